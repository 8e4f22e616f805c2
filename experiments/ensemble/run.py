"""What the refit and the ensemble bring: test scores of the winner, alone and voting, on the train rows and on all.

Run from the root of the project, after experiments/benchmarks/strategies/datasets.py:

    python experiments/ensemble/run.py --seconds 45 --seeds 0,1,2

Each search is run once; what came of it is a line of runs.jsonl, so a comparison goes on where it was stopped.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np

from hpsearch.config import StudyConfig, wanted_normalizations
from hpsearch.data.dataset import load_dataset, load_test_part
from hpsearch.data.sharing import save_shared
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.model import Member, Model
from hpsearch.report.judging import class_scorer, value_scorer
from hpsearch.run_directory.directory import WEIGHTS
from hpsearch.run_directory.record import RunRecord
from hpsearch.run_directory.weights import KeptWeights
from hpsearch.trial import Trial, TrialResult, TrialSettings, TrialState

HERE = Path(__file__).parent
SETS = HERE.parent / "benchmarks" / "data" / "sets"
RUNS = HERE / "runs.jsonl"
WAYS = ("winner", "refit", "ensemble", "ensemble refit")


def searched(file, seed, seconds, folder):
    """A search of so many seconds; its record."""
    words = ["evolve", file, "-o", folder, "--timeout", f"{seconds}s", "--seed", seed, "--no-refit", "-q", "-n", 10_000]
    command = [sys.executable, "-m", "hpsearch", *map(str, words), "--set", f"data.split.seed={seed}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return RunRecord.load(folder)


def compared(file, seed, seconds):
    """Test scores of one search's models, in the study's metric, and what the ensemble was believed to gain."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        record = searched(file, seed, seconds, folder)
        study = StudyConfig.model_validate(record.study)
        data = load_dataset(**study.data.loading(), normalize=wanted_normalizations(study))
        winner, choice = record.best().number, record.ensemble
        chosen = {(one["trial"], one["repeat"]): one["votes"] for one in choice["members"]}
        keys = {(winner, 0), *chosen}
        weights = KeptWeights(folder / WEIGHTS)
        results = {
            key: TrialResult(key[0], record.results[key[0]].config, TrialState.COMPLETE, repeat=key[1], weights=vector)
            for key in keys if (vector := weights.get((*key, 0))) is not None
        }  # fmt: skip
        refits = [
            Trial(n, record.results[n].config, repeat=r, refit_epochs=record.refit_of(n, r)[2]) for n, r in sorted(keys)
        ]
        again = [Trial(n, record.results[n].config, repeat=r) for n, r in sorted(keys - results.keys())]
        save_shared(data, Path(place) / "shared" / "0")
        with CaviarExecutor(Path(place) / "shared", TrialSettings(study.seed, study.metric), 2) as executor:
            for trial in [*again, *refits]:
                executor.submit(trial)
            waiting = len(again) + len(refits)
            refitted = {}
            while waiting:
                for result in executor.wait(1.0):
                    if isinstance(result, TrialResult):
                        waiting -= 1
                        (refitted if result.refit_epochs else results)[result.number, result.repeat] = result
        part = load_test_part(**study.data.loading(), preparation=data.preparation)
        found = {}
        for way, known, votes in (
            ("winner", results, {(winner, 0): 1}), ("refit", refitted, {(winner, 0): 1}),
            ("ensemble", results, chosen), ("ensemble refit", refitted, chosen),
        ):  # fmt: skip
            members = [Member.of(known[key], data, study.metric, n) for key, n in votes.items()]
            found[way] = score(Model.of(winner, members, data, study.metric), part, study.metric)
        told = {name: choice[name] for name in ("gain", "standard_error", "kept")}
        return {"set": file.stem, "seed": seed, "seconds": seconds, "trials": len(record.counted()), **found, **told}


def score(model, part, metric):
    """The model's score on the part."""
    outputs, _ = model.outputs(part.inputs)
    if model.classes:
        return class_scorer(outputs, part.labels)(np.ones(len(outputs)))[metric]
    original = model.preparation.target.original
    return value_scorer(original(outputs)[:, 0], original(part.targets)[:, 0])(np.ones(len(outputs)))[metric]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=45)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sets", default="")
    args = parser.parse_args()
    lines = [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []
    done = {(line["set"], line["seed"], line["seconds"]) for line in lines}
    for seed in map(int, args.seeds.split(",")):
        for file in sorted(SETS.iterdir()):
            if (args.sets and file.stem not in args.sets.split(",")) or (file.stem, seed, args.seconds) in done:
                continue
            lines.append(compared(file, seed, args.seconds))
            with RUNS.open("a") as out:
                out.write(json.dumps(lines[-1]) + "\n")
            print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    tell([line for line in lines if line["seconds"] == args.seconds])


def tell(lines):
    """Ratios to the winner's test score by set, and what each threshold of the gain would have done."""
    print(f"| set | {' | '.join(WAYS)} | gain / error |")
    print("|---" * (len(WAYS) + 2) + "|")
    by_set = defaultdict(list)
    for line in lines:
        by_set[line["set"]].append(line)
    for name, found in by_set.items():
        ratios = [fmean(line[way] / line["winner"] for line in found) for way in WAYS]
        sure = ", ".join(f"{line['gain'] / line['standard_error']:.1f}" for line in found)
        print(
            f"| {name} | {fmean(line['winner'] for line in found):.4f} | "
            + " | ".join(f"{ratio:.3f}" for ratio in ratios[1:])
            + f" | {sure} |"
        )
    print("\n| kept beyond | kept | mean ratio, train rows | mean ratio, refit |\n|---|---|---|---|")
    for threshold in (-1e9, 0.0, 0.5, 1.0, NormalDist().inv_cdf(0.95), 1e9):
        kept = [line["gain"] > threshold * line["standard_error"] for line in lines]
        plain = fmean(
            (line["ensemble"] if k else line["winner"]) / line["winner"] for line, k in zip(lines, kept, strict=True)
        )
        refit = fmean(
            (line["ensemble refit"] if k else line["refit"]) / line["winner"]
            for line, k in zip(lines, kept, strict=True)
        )
        print(f"| {threshold:.2f} errors | {sum(kept)} of {len(lines)} | {plain:.4f} | {refit:.4f} |")


if __name__ == "__main__":
    main()
