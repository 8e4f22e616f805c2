"""Which search finds the better network in as many epochs as a hundred whole trainings have, with and without pruning?

    python equal_epochs.py --seeds 3

The sets, rows and finals of equal_trials.py, but what a search may spend are EPOCHS_IN_ALL epochs, in as many trials as
it likes. `evolve` and `random` are hpsearch's, `_pruned` with its pruning; `dehb` is the DEHB package
(Awad et al. 2021, arXiv 2105.09821), which trains for 4, 13 and 40 epochs. Epochs that early stopping saves are not
counted. A network that was stopped is not handed over.

Needs dehb beside hpsearch. Each line of equal_epochs.jsonl is a run, which is not run again.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equal_trials import EPOCHS, TRIALS, compared, dev_table, few_rows, finals

if TYPE_CHECKING:
    from engine_task import Task

    from hpsearch.space import Config
    from hpsearch.trial import TrialResult

STORE = Path(__file__).with_name("equal_epochs.jsonl")
EPOCHS_IN_ALL = TRIALS * EPOCHS
SHARES = (0.1, 0.25, 0.5, 1.0)
SEARCHES = ("evolve", "evolve_pruned", "random", "random_pruned", "dehb")
ETA, FIDELITIES = 3, 3  # of DEHB: each trains for so many times the epochs of the one before


def main() -> None:
    """Run what is not there yet, and report."""
    runs = compared(__doc__, STORE, run, known=SEARCHES, usual=SEARCHES, seeds=3)
    from engine_report import finals_table, marks_table  # noqa: PLC0415 - as in compared()

    marks = [
        (f"{share * EPOCHS_IN_ALL:,.0f} epochs", lambda run, share=share: at_share(run, share)) for share in SHARES
    ]
    marks.append(("after the finals", lambda run: run["finals"]["test"]))
    dev_marks = [(label, share * EPOCHS_IN_ALL) for (label, _), share in zip(marks, SHARES, strict=False)]
    tables = (marks_table(runs, runs.searches, marks), finals_table(runs), dev_table(runs, dev_marks, "spent"))
    print("\n\n".join("\n".join(table) for table in (*tables, trials_table(runs))))


def at_share(run: dict[str, Any], share: float) -> float:
    """The test score when this share of the epochs was spent; that of a constant as long as there is no network."""
    points = [point for point in run["points"] if point["spent"] <= share * EPOCHS_IN_ALL]
    return points[-1]["test"] if points else run["constant"]


def trials_table(runs: Any) -> list[str]:
    """How many trainings each search had for its epochs."""
    lines = ["| search | trials: median | least | most | stopped: median |", "| --- | --: | --: | --: | --: |"]
    for search in runs.searches:
        found = [every[search] for every in runs.by_pair.values()]
        trials, stopped = (sorted(run[what] for run in found) for what in ("trials", "stopped"))
        middle = len(found) // 2
        lines.append(f"| {search} | {trials[middle]} | {trials[0]} | {trials[-1]} | {stopped[middle]} |")
    return lines


def run(job: tuple[str, int, str]) -> dict[str, Any]:
    """One search on a set under a split: the line of STORE."""
    name, seed, search = job
    task = few_rows(name, seed)
    record = Record(task)
    start = time.perf_counter()
    try:
        if search == "dehb":
            dehb(task, seed, record)
        else:
            own(task, seed, record, search)
    except Spent:
        pass
    wall = time.perf_counter() - start
    test = finals(task, record.settings, record.results)
    return {
        "set": name,
        "seed": seed,
        "search": search,
        "metric": task.metric,
        "constant": task.constant_test_score(),
        "finished": len(record.results),
        "trials": len(record.results),
        "stopped": record.stopped,
        "points": record.points,
        "finals": {"test": test, "seconds": time.perf_counter() - start - wall},
    }


class Spent(Exception):  # noqa: N818 - it is no error
    """All epochs are trained."""


class Record:
    """Trains, counts the epochs, and keeps what would be handed over."""

    def __init__(self, task: Task) -> None:
        from hpsearch.strategies.pruning import rungs_below  # noqa: PLC0415
        from hpsearch.trial import TrialSettings  # noqa: PLC0415 - what it imports must find the variables of main()

        self.task = task
        self.settings = TrialSettings(task.study.seed, task.metric, rungs=rungs_below(EPOCHS))
        self.results: list[TrialResult] = []
        self.points: list[dict[str, Any]] = []
        self.stopped = self._spent = 0
        self._best, self._start = math.inf, time.perf_counter()

    def train(self, config: Config, limits: tuple[tuple[int, float], ...] = ()) -> TrialResult:
        """The next trial's result, which does not count yet."""
        from hpsearch.trial import Trial, run_trial  # noqa: PLC0415

        return run_trial(Trial(len(self.results), config, limits=limits), self.task.data, self.settings)

    def add(self, result: TrialResult) -> float:
        """Count the trial, and return its score; raises Spent where the epochs do not suffice for it."""
        from engine_task import Point  # noqa: PLC0415

        from hpsearch.trial import TrialState, score  # noqa: PLC0415

        self._spent += result.epochs
        if self._spent > EPOCHS_IN_ALL:
            raise Spent
        self.results.append(result)
        self.stopped += result.state is TrialState.PRUNED
        found = score(result, self.task.metric, maximize=False)
        if result.state is TrialState.COMPLETE and found < self._best:
            self._best, seconds = found, time.perf_counter() - self._start
            point = Point(len(self.results), seconds, found, self.task.test_score(result), result.number)
            self.points.append(asdict(point) | {"spent": self._spent})
        result.weights = None
        return found


def own(task: Task, seed: int, record: Record, search: str) -> None:
    """hpsearch's strategies, a trial at a time, with the lag that a hundred trials bring."""
    from hpsearch.config import BudgetConfig  # noqa: PLC0415
    from hpsearch.diagnosis.baseline import constant_score  # noqa: PLC0415
    from hpsearch.strategies import make_strategy  # noqa: PLC0415
    from hpsearch.strategies.pruning import Pruner  # noqa: PLC0415

    name, _, pruned = search.partition("_")
    options = task.study.strategy.begun(BudgetConfig(trials=TRIALS), {}).model_dump() | {"name": name}
    strategy = make_strategy(task.study.search_space(), seed, task.default(), **options)
    normalize = next(iter(task.data.normalizers))
    parts = (task.data.part(part, normalize) for part in ("train", "dev"))
    constant = constant_score(*parts, task.metric, task.data.target_sd)
    pruner = Pruner(record.settings.rungs, options["lag"], constant)
    for number in itertools.count():
        config = strategy.ask(number)
        result = record.train(config, pruner.limits(number) if pruned else ())
        strategy.tell(number, config, record.add(result), result.cost)
        pruner.tell(number, result.reports)


def dehb(task: Task, seed: int, record: Record) -> None:
    """DEHB with its defaults in the space's unit cube, after hpsearch's first configuration, which it is not told."""
    from dehb import DEHB  # noqa: PLC0415 - only this search needs it

    from hpsearch.trial import TrialState  # noqa: PLC0415

    space = task.study.search_space()
    record.add(record.train(task.default()))
    with tempfile.TemporaryDirectory() as folder:
        search = DEHB(
            dimensions=space.dimensions,
            min_fidelity=EPOCHS / ETA ** (FIDELITIES - 1),
            max_fidelity=EPOCHS,
            eta=ETA,
            seed=seed,
            n_workers=1,
            output_path=folder,
            log_level="ERROR",
        )
        while True:
            job = search.ask()
            epochs = round(job["fidelity"])
            result = record.train(space.decode(job["config"].tolist()) | {"epochs": epochs})
            if epochs < EPOCHS:
                result = replace(result, state=TrialState.PRUNED)
            search.tell(job, {"fitness": record.add(result), "cost": result.epochs})


if __name__ == "__main__":
    main()
