"""Does the panda end better than it began? Test scores of the default, of panda and of random with as many trials.

Run from the root of the project, after experiments/benchmarks/strategies/datasets.py:

    python experiments/panda/run.py --trials 20 --seeds 0,1,2

What a run came to is kept in a folder beside the data, so a comparison goes on where it was stopped.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

SETS = Path(__file__).parents[1] / "benchmarks" / "data" / "sets"
RUNS = SETS.parent / "panda"
PROCESSES = 2


def hpsearch(*words):
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"hpsearch {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def score(file, name, seed, words):
    """The test score in the study's metric; the run directory is kept."""
    folder = RUNS / f"{file.stem}-{name}-{seed}"
    hpsearch(*words, file, "-o", folder, "--seed", seed, "--set", f"data.split.seed={seed}", "-q")
    found = json.loads(hpsearch("evaluate", folder, "-f", "json"))["scores"]
    return found.get("log_loss", found.get("rmse"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--sets", default="")
    args = parser.parse_args()
    files = [file for file in sorted(SETS.iterdir()) if not args.sets or file.stem in args.sets.split(",")]
    seeds = [int(seed) for seed in args.seeds.split(",")]
    ways = {
        "default": ["random", "-n", 1, "--finalists", 0, "-j", 1],
        "panda": ["panda", "-n", args.trials],
        "random": ["random", "-n", args.trials, "-j", 1],
    }
    with ThreadPoolExecutor(PROCESSES) as pool:
        jobs = {
            (file.stem, seed, name): pool.submit(score, file, name, seed, words)
            for file in files for seed in seeds for name, words in ways.items()
        }  # fmt: skip
        found = {key: job.result() for key, job in jobs.items()}
    print(f"| set | {' | '.join(ways)} | panda / default | better than its default | better than random |")
    print("|---" * (len(ways) + 4) + "|")
    wins = 0
    for file in files:
        means = {name: fmean(found[file.stem, seed, name] for seed in seeds) for name in ways}
        better, beaten = (
            sum(found[file.stem, seed, "panda"] < found[file.stem, seed, other] for seed in seeds)
            for other in ("default", "random")
        )
        wins += means["panda"] < means["default"]
        cells = " | ".join(f"{mean:.4f}" for mean in means.values())
        ratio = means["panda"] / means["default"]
        print(f"| {file.stem} | {cells} | {ratio:.3f} | {better} of {len(seeds)} | {beaten} of {len(seeds)} |")
    print(f"\nThe mean test score of panda is better than its default's on {wins} of {len(files)} sets.")


if __name__ == "__main__":
    main()
