"""Which search finds the better network in a hundred trials of the real engine? Eight real sets, few rows of each.

    python equal_trials.py --seeds 5

So that a hundred trials take seconds, a search sees 600 training and up to 1,200 dev rows and trains for at most 40
epochs; its models are judged on all others. Each search proposes in the space that hpsearch makes of such a table, from
hpsearch's first configuration on; nothing is pruned. hpsearch's own have the lag of ten that a hundred trials bring,
Optuna's TPE has none: each trial is told before the next one is asked for. At the end each has its best five, chosen as
hpsearch chooses finalists, trained three times more, and hands over the best of these by their mean.

Needs optuna 5 beside hpsearch. Each line of equal_trials.jsonl is a run, which is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from datasets import SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine_report import Runs
    from engine_task import Task

    from hpsearch.space import Config
    from hpsearch.trial import TrialResult

STORE = Path(__file__).with_name("equal_trials.jsonl")
TRIALS = 100
TRAIN_ROWS, DEV_ROWS, EPOCHS = 600, 1200, 40
TOP, REPEATS = 5, 3
OWN = ("evolve", "random", "grid")
SEARCHES = (*OWN, "tpe", "tpe_multivariate")
DEV_MARKS = (10, 20, 30, 50, 100)


def main() -> None:
    """Run what is not there yet, and report."""
    runs = compared(__doc__, STORE, run, known=SEARCHES, usual=("evolve", "random", "grid", "tpe"), seeds=5)
    from engine_report import at_trial, finals_table, marks_table  # noqa: PLC0415 - as in compared()
    from engine_task import TRIAL_MARKS  # noqa: PLC0415

    marks = [(f"{mark} trials", lambda run, mark=mark: at_trial(run, mark)) for mark in TRIAL_MARKS if mark > 1]
    marks.append(("after the finals", lambda run: run["finals"]["test"]))
    dev_marks = [(f"{mark} trials", mark) for mark in DEV_MARKS]
    tables = (marks_table(runs, runs.searches, marks), finals_table(runs), dev_table(runs, dev_marks, "trials"))
    print("\n\n".join("\n".join(table) for table in tables))


def compared(
    about: str,
    store: Path,
    run: Callable[[tuple[str, int, str]], dict[str, Any]],
    *,
    known: Sequence[str],
    usual: Sequence[str],
    seeds: int,
) -> Runs:
    """The runs that the command line asks for, of searches that are `known`; what `store` lacks is run, two at a time.

    `run` gives the line of a (set, seed, search).
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before NumPy is imported
    from engine_report import Runs  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=seeds, help="so many splits: 0, 1, ...")
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas")
    parser.add_argument("--searches", default=",".join(usual), help=f"of {', '.join(known)}")
    options = parser.parse_args()
    sets, searches = options.sets.split(","), options.searches.split(",")
    wanted = [(name, seed, search) for seed in range(options.seeds) for name in sets for search in searches]
    stored = store.read_text(encoding="utf-8").splitlines() if store.exists() else []
    found = {(line["set"], line["seed"], line["search"]): line for line in map(json.loads, stored)}
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        lacking = [job for job in wanted if job not in found]
        for job, line in zip(lacking, pool.map(run, lacking), strict=True):
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(*job, line["finals"], file=sys.stderr, flush=True)
            found[job] = line
    return Runs([found[job] for job in wanted], searches)


def dev_table(runs: Runs, marks: list[tuple[str, float]], spent: str) -> list[str]:
    """How low each search comes on dev: 0 is the lowest at the last mark, 1 the median at the first one; with errors.

    A mark is (label, how much is spent), and `spent` says which number of a point that is.
    """
    import numpy as np  # noqa: PLC0415 - main() sets variables for it

    lines = [f"| after | {' | '.join(runs.searches)} |", f"| --: |{' --: |' * len(runs.searches)}"]
    for label, mark in marks:
        rows = []
        for found in runs.by_pair.values():
            now, early, end = (
                [_dev_at(found[search], at, spent) for search in runs.searches]
                for at in (mark, marks[0][1], marks[-1][1])
            )
            rows.append((np.array(now) - min(end)) / (np.median(early) - min(end)))
        values = np.array(rows)
        errors = values.std(axis=0, ddof=1) / math.sqrt(len(values))
        cells = [f"{mean:.2f} ({error:.2f})" for mean, error in zip(values.mean(axis=0), errors, strict=True)]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _dev_at(run: dict[str, Any], mark: float, spent: str) -> float:
    """The best dev score when so much was spent."""
    return [point["dev"] for point in run["points"] if point[spent] <= mark][-1]


def run(job: tuple[str, int, str]) -> dict[str, Any]:
    """One search on a set under a split: the line of STORE."""
    from engine_task import Point  # noqa: PLC0415 - what it imports must find the variables of main()

    from hpsearch.trial import Trial, TrialSettings, run_trial, score  # noqa: PLC0415

    name, seed, search = job
    task = few_rows(name, seed)
    settings = TrialSettings(task.study.seed, task.metric)
    results: list[TrialResult] = []
    points: list[Point] = []
    best, start = math.inf, time.perf_counter()

    def judge(config: Config) -> float:
        nonlocal best
        result = run_trial(Trial(len(results), config), task.data, settings)
        found = score(result, task.metric, maximize=False)
        results.append(result)
        if found < best:
            best, seconds = found, time.perf_counter() - start
            points.append(Point(len(results), seconds, found, task.test_score(result), result.number))
        result.weights = None
        return found

    search_with(search, task, seed, judge)
    wall = time.perf_counter() - start
    test = finals(task, settings, results)
    return {
        "set": name,
        "seed": seed,
        "search": search,
        "metric": task.metric,
        "constant": task.constant_test_score(),
        "finished": TRIALS,
        "points": [asdict(point) for point in points],
        "finals": {"test": test, "seconds": time.perf_counter() - start - wall},
    }


def few_rows(name: str, seed: int) -> Task:
    """The set with most of its rows in the test part."""
    from engine_task import Task  # noqa: PLC0415

    rows = sum(Task.open(name, seed, ("none",)).data.rows.values())
    train = TRAIN_ROWS / rows
    dev = min(DEV_ROWS / rows, (1 - train) / 2)
    shares = {"data.split.train": train, "data.split.dev": dev, "data.split.test": 1 - train - dev}
    return Task.open(name, seed, keys={"budget.epochs": EPOCHS, **shares})


def search_with(search: str, task: Task, seed: int, judge: Callable[[Config], float]) -> None:
    """Have TRIALS configurations judged, one after the other."""
    from hpsearch.config import BudgetConfig  # noqa: PLC0415
    from hpsearch.strategies import make_strategy  # noqa: PLC0415

    space = task.study.search_space()
    if search in OWN:
        options = task.study.strategy.begun(BudgetConfig(trials=TRIALS), {}).model_dump() | {"name": search}
        strategy = make_strategy(space, seed, task.default(), **options)
        for number in range(TRIALS):
            config = strategy.ask(number)
            strategy.tell(number, config, judge(config))
        return
    import optuna  # noqa: PLC0415 - only this search needs it
    from optuna_space import params, suggested  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    multivariate = search == "tpe_multivariate"
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=multivariate))
    study.enqueue_trial(params(task.default(), space))
    for _ in range(TRIALS):
        trial = study.ask()
        study.tell(trial, judge(suggested(trial, space)))


def finals(task: Task, settings: Any, results: list[TrialResult]) -> float:
    """The test score of the finalists' best: the mean over its networks."""
    from hpsearch.finals import choose  # noqa: PLC0415
    from hpsearch.run_directory.record import RunRecord  # noqa: PLC0415
    from hpsearch.trial import Trial, run_trial, score  # noqa: PLC0415

    found = []
    for number in choose(RunRecord.of({"metric": task.metric}, {}, results), task.study.search_space(), TOP):
        again = [
            run_trial(Trial(number, results[number].config, repeat=n), task.data, settings)
            for n in range(1, REPEATS + 1)
        ]
        dev = fmean(score(result, task.metric, maximize=False) for result in again)
        if math.isfinite(dev):
            found.append((dev, fmean(task.test_score(result) for result in again)))
    return min(found)[1]


if __name__ == "__main__":
    main()
