"""What pruning saves and what it costs: runs without pruning are replayed under several rules.

    python run.py --trials 60 --seeds 0,1,2 --sets german,phoneme,digits

Runs `hpsearch random SET --no-prune` for each set and each seed of the split and of the search (kept in
../data/pruning, so nothing is trained twice), then stops its trials where a rule would have stopped them. Prints, over
all runs:

  saved    share of the floating-point operations of training that were not spent;
  trials   normalised regret of the best trial after all trials: (its score - the best of the run without pruning) /
           (median score of that run - its best). Without pruning it is 0;
  budget   the same after as many operations as half of the trials take without pruning: what pruning is for;
  lost     in how many of the runs the best trial was stopped.

Scores are those on the dev part. The proposals are those of the unpruned run, whatever a rule stops.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from hpsearch.strategies import pruning
from hpsearch.trial import cut_short, score

DATA = Path(__file__).resolve().parents[1] / "data"
BUNDLED = ("digits", "wine", "breast_cancer")
LAG = 8
RULES = {
    "worse than 3/4, from epoch 4 (ours)": {},
    "the same, constant only": {"LEAST": 10**9},
    "the same, without constant": {"FAIR_EPOCH": 10**9},
    "worse than 3/4, from epoch 1": {"FIRST_RUNG": 1},
    "worse than 3/4, from epoch 16": {"FIRST_RUNG": 16},
    "worse than 4/5, from epoch 4": {"BETTER": 4, "OF": 5},
    "worse than 2/3, from epoch 4": {"BETTER": 2, "OF": 3},
    "worse than 1/2 (median), from epoch 4": {"BETTER": 1, "OF": 2},
    "worse than 1/2 (median), from epoch 1": {"BETTER": 1, "OF": 2, "FIRST_RUNG": 1},
    "worse than 1/4, from epoch 4": {"BETTER": 1, "OF": 4},
}


@dataclass
class Outcome:
    """What a run came to, trial by trial: scores (infinity: stopped) and operations."""

    scores: np.ndarray
    gflop: np.ndarray

    def best_within(self, gflop: float) -> float:
        """The best score among the trials that end within so many operations."""
        return float(self.scores[np.cumsum(self.gflop) <= gflop].min(initial=math.inf))


def searched(name: str, seed: int, trials: int) -> Path:
    """The run directory of an unpruned search, which is run or gone on with where that is needed."""
    source = name if name in BUNDLED else next((DATA / "sets").glob(f"{name}.*"))
    folder = DATA / "pruning" / f"{name}-{seed}"
    command = [sys.executable, "-m", "hpsearch", "random", str(source), "-n", str(trials), "-o", str(folder), "-q"]
    flags = [
        "--no-prune",
        "--finalists",
        "0",
        "--lag",
        str(LAG),
        "--seed",
        str(seed),
        "--set",
        f"data.split.seed={seed}",
    ]
    subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
    return folder


def unpruned(folder: Path, trials: int) -> tuple[list, str, bool, float]:
    """The results of a run with their curves, the metric, whether more is better, and a constant's score."""
    from hpsearch.config import StudyConfig  # noqa: PLC0415
    from hpsearch.data.dataset import load_dataset  # noqa: PLC0415
    from hpsearch.diagnosis.baseline import constant_score  # noqa: PLC0415
    from hpsearch.run_directory.record import RunRecord, read_curves  # noqa: PLC0415

    record = RunRecord.load(folder)
    study = StudyConfig.model_validate(record.study)
    data = load_dataset(**study.data.loading())
    normalize = next(iter(data.arrays.inputs["train"]))
    constant = constant_score(data.part("train", normalize), data.part("dev", normalize), study.metric, data.target_sd)
    results = []
    for number in range(trials):
        result = record.results[number]
        curves = read_curves(folder, record, number)
        result.curves = {key: [math.nan if v is None else v for v in values] for key, values in curves.items()}
        result.health = {"epochs": []}
        if result.epochs:
            result.epoch_updates, result.epoch_flop = (
                result.updates // result.epochs,
                result.gflop * 1e9 / result.epochs,
            )
        results.append(result)
    return results, record.metric, record.maximize, -constant if record.maximize else constant


def replay(folder: Path, trials: int, rule: dict[str, int] | None) -> Outcome:
    """The run under a rule; None: as it was."""
    results, metric, maximize, constant = unpruned(folder, trials)
    scores, gflop = [], []
    with mock.patch.dict(vars(pruning), rule or {}):
        rungs = pruning.rungs_below(max(result.epochs for result in results)) if rule is not None else ()
        pruner = pruning.Pruner(rungs, LAG, constant)
        for result in results:
            worse_first = [-v if maximize else v for v in result.curves.get("dev_metric", [])]
            best = list(itertools.accumulate(worse_first, lambda a, b: b if math.isnan(a) or b < a else a))
            result.reports = [best[min(epoch, len(best)) - 1] if best else math.inf for epoch in rungs]
            result.survived = result.epochs - 1
            pruner.end(result.number, result.reports, result.rungs_gone_past(rungs))
            stop = pruner.stopped_at(result.number)
            if stop is not None and stop >= 0:
                result = cut_short(result, stop, rungs, metric)  # noqa: PLW2901
            pruner.tell(result.number, result.reports)
            scores.append(score(result, metric, maximize) if result.state == "COMPLETE" else math.inf)
            gflop.append(result.gflop)
    return Outcome(np.array(scores), np.array(gflop))


def judged(name: str, seed: int, trials: int) -> dict[str, tuple[float, float, float, bool]]:
    """For each rule: share saved, regrets at equal trials and at equal operations, whether the best was stopped."""
    folder = searched(name, seed, trials)
    whole = replay(folder, trials, None)
    best, middle = whole.scores.min(), np.median(whole.scores[np.isfinite(whole.scores)])
    half = float(whole.gflop[: trials // 2].sum())
    found = {}
    for label, rule in {"no pruning": None, **RULES}.items():
        outcome = replay(folder, trials, rule)
        regrets = [(value - best) / (middle - best) for value in (outcome.scores.min(), outcome.best_within(half))]
        lost = bool(np.isinf(outcome.scores[np.argmin(whole.scores)]))
        found[label] = (1 - outcome.gflop.sum() / whole.gflop.sum(), *regrets, lost)
    return found


def main() -> None:
    """Run what is lacking, replay and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("--sets", default="digits,wine,breast_cancer,german,phoneme", help="separated by commas")
    options = parser.parse_args()
    runs = list(itertools.product(options.sets.split(","), map(int, options.seeds.split(","))))
    judgements = []
    for place, (name, seed) in enumerate(runs):
        print(f"{place + 1} of {len(runs)}: {name}, seed {seed}", file=sys.stderr, flush=True)
        judgements.append(judged(name, seed, options.trials))
    print(f"{len(runs)} runs of {options.trials} trials: {options.sets}, seeds {options.seeds}\n")
    print("| rule | saved | trials: mean | worst | budget: mean | worst | lost |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for label in judgements[0]:
        saved, trials, budget, lost = np.array([judgement[label] for judgement in judgements]).T
        cells = [
            f"{saved.mean():.0%}",
            *(f"{v:.3f}" for v in (trials.mean(), trials.max(), budget.mean(), budget.max())),
        ]
        print(f"| {label} | {' | '.join(cells)} | {int(lost.sum())} |")


if __name__ == "__main__":
    main()
