"""Whose model is the best after a minute on two cores? hpsearch with its ensemble against what people use for tables.

    python experiments/benchmarks/models/run.py --seconds 60 --seeds 5
    python experiments/benchmarks/models/run.py --seconds 60 --report

Needs flaml[automl], pandas, pyarrow and scikit-learn beside hpsearch, and the sets of ../strategies/datasets.py. Every
method is given the same rows: those of train and dev to do with as it likes, and test, which is looked at once. The
methods on a set with a seed come after each other. Each line of runs.jsonl is a run, which is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

import numpy as np
from scipy.stats import rankdata

HERE = Path(__file__).resolve().parent
SETS = HERE.parent / "data" / "sets"
RUNS = HERE / "runs.jsonl"
METHODS = ("hpsearch", "hpsearch alone", "hgb", "sklearn", "flaml")
JOBS = 2


def own(file: Path, seed: int, seconds: int) -> list[dict]:
    """Test scores of the model in use and of the winner alone, of one search."""
    with tempfile.TemporaryDirectory() as place:
        folder = f"{place}/run"
        search = ["evolve", file, "-o", folder, "--timeout", f"{seconds}s", "--seed", seed, "-j", JOBS]
        hpsearch(*search, "--set", f"data.split.seed={seed}", "-q")
        found = []
        for method, flags in (("hpsearch", []), ("hpsearch alone", ["--single"])):
            told = json.loads(hpsearch("evaluate", folder, "-f", "json", *flags))
            test = told["scores"].get("log_loss", told["scores"].get("rmse"))
            best = json.loads(hpsearch("best", folder, "-f", "json"))
            what = {"networks": told["networks"], "trials": best["trials"], "ensemble": best.get("ensemble", {})}
            found.append({"method": method, "test": test, "what": what})
        return found


def hpsearch(*words) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "hpsearch", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def peer(method: str, file: Path, seed: int, seconds: int) -> list[dict]:
    """The test score of another method."""
    words = [method, file.name.split(".")[0], seed, seconds, JOBS]
    command = [sys.executable, HERE / "peer.py", *map(str, words)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return [{"method": method} | json.loads(out.splitlines()[-1])]


def main() -> None:
    """Run what is not there yet, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default="")
    parser.add_argument("--methods", default="hpsearch,hgb,sklearn,flaml")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no more is begun")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    for seed in () if options.report else range(options.seeds):
        for file in sorted(SETS.iterdir()):
            name = file.name.split(".")[0]
            if options.sets and name not in options.sets.split(","):
                continue
            done = {run["method"] for run in load(options.seconds) if (run["set"], run["seed"]) == (name, seed)}
            for method in options.methods.split(","):
                if method in done or time.monotonic() - began > 60 * options.minutes:
                    continue
                start = time.monotonic()
                found = (
                    own(file, seed, options.seconds)
                    if method == "hpsearch"
                    else peer(method, file, seed, options.seconds)
                )
                wall = round(time.monotonic() - start, 1)
                with RUNS.open("a", encoding="utf-8") as out:
                    for one in found:
                        line = {"set": name, "seed": seed, "seconds": options.seconds, "wall": wall} | one
                        out.write(json.dumps(line) + "\n")
                        print(name, seed, one["method"], f"{one['test']:.4f}", wall, file=sys.stderr, flush=True)
    report(load(options.seconds))


def load(seconds: int) -> list[dict]:
    """The runs of so many seconds."""
    lines = RUNS.read_text(encoding="utf-8").splitlines() if RUNS.exists() else []
    return [run for run in map(json.loads, lines) if run["seconds"] == seconds]


def report(runs: list[dict]) -> None:
    """Mean test scores by set, ranks, and in how many pairs hpsearch is better."""
    scores = {(run["set"], run["seed"], run["method"]): run["test"] for run in runs}
    pairs = sorted({(name, seed) for name, seed, _ in scores})
    whole = [pair for pair in pairs if all((*pair, method) in scores for method in METHODS)]
    sets = sorted({name for name, _ in whole})
    print(f"| set (splits) | {' | '.join(METHODS)} |\n|{'---|' * (len(METHODS) + 1)}")
    for name in sets:
        seeds = [seed for one, seed in whole if one == name]
        means = [fmean(scores[name, seed, method] for seed in seeds) for method in METHODS]
        cells = [f"**{mean:.4f}**" if mean == min(means) else f"{mean:.4f}" for mean in means]
        print(f"| {name} ({len(seeds)}) | {' | '.join(cells)} |")
    for label, methods in (
        ("mean rank", METHODS),
        ("mean rank without hpsearch alone", [m for m in METHODS if m != "hpsearch alone"]),
    ):
        ranks = np.mean([rankdata([scores[*pair, method] for method in methods]) for pair in whole], axis=0)
        by_method = dict(zip(methods, ranks, strict=True))
        print(f"| {label} | " + " | ".join(f"{by_method[m]:.2f}" if m in by_method else "" for m in METHODS) + " |")
    ours = "hpsearch"
    ratios = {m: [scores[*pair, ours] / scores[*pair, m] for pair in whole] for m in METHODS}
    print(
        "| better than it in | | "
        + " | ".join(f"{sum(ratio < 1 for ratio in ratios[m])} of {len(whole)}" for m in METHODS if m != ours)
        + " |"
    )
    print(
        "| median of hpsearch / it | | " + " | ".join(f"{median(ratios[m]):.3f}" for m in METHODS if m != ours) + " |"
    )
    walls = {m: [run["wall"] for run in runs if run["method"] == m] for m in METHODS}
    print("| seconds from start to score, median | " + " | ".join(f"{median(walls[m]):.0f}" for m in METHODS) + " |")


if __name__ == "__main__":
    main()
