"""One search with an objective that costs nothing: prints {trials, seconds, last, memory} as JSON.

    python measure.py "random|grid|evolve[ loop]" TRIALS LIMIT
    python measure.py "optuna random|optuna tpe" TRIALS LIMIT

The score of a trial is drawn at random beforehand. Alone, a strategy is asked and told in turn; in the loop, hpsearch's
Study does this with pruning, and with a journal on the disk, for an executor that returns results at once. Optuna keeps
its study in memory. The space is hpsearch's default one. `last` are seconds for a trial in the last tenth;
after LIMIT seconds a search ends, and `trials` tells where. `memory` are bytes for a trial.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.config import default_configuration, load_study, resolve
from hpsearch.engine.layout import CURVES
from hpsearch.executors.base import Executor
from hpsearch.run_directory.directory import open_run
from hpsearch.strategies import make_strategy
from hpsearch.strategies.pruning import Pruner, rungs_below
from hpsearch.study import StopRules, Study
from hpsearch.trial import Trial, TrialResult, TrialState

if TYPE_CHECKING:
    from hpsearch.config import StudyConfig
    from hpsearch.strategies.base import Strategy

TRAIN_ROWS, DEV_ROWS = 3000, 1000
SLOTS = 2
EPOCHS = 100
SCORES = np.random.default_rng(0).random(4096).tolist()


class Clock:
    """Told after each trial: knows when it is over, and how long the last ones took."""

    def __init__(self, trials: int, limit: float) -> None:
        self.moments = deque(maxlen=max(2, trials // 10))
        self.memory = status("VmRSS")
        self.start = time.perf_counter()
        self.end = self.start + limit
        self.trials = 0

    def tick(self, *_: object) -> None:
        """A trial is done, or nothing happened."""

    def finished(self, *_: object) -> None:
        """A trial is done."""
        self.trials += 1
        self.moments.append(time.perf_counter())

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        return bool(self.moments) and self.moments[-1] > self.end

    def measured(self) -> dict[str, Any]:
        """What is printed."""
        seconds = time.perf_counter() - self.start
        return {
            "trials": self.trials,
            "seconds": seconds,
            "last": (self.moments[-1] - self.moments[0]) / (len(self.moments) - 1),
            "memory": (status("VmHWM") - self.memory) / self.trials,
        }


def status(name: str) -> int:
    """Bytes of resident memory of this process: VmRSS now, VmHWM at the peak."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(text.partition(f"{name}:")[2].split()[0])


class Instant(Executor):
    """Has the result of a trial as soon as it is submitted."""

    slots = SLOTS

    def __init__(self, rungs: tuple[int, ...]) -> None:
        self._rungs = rungs
        self._results: list[TrialResult] = []

    def submit(self, trial: Trial) -> None:
        """A result of a long training with the shortest of curves."""
        score = SCORES[trial.number % len(SCORES)]
        self._results.append(
            TrialResult(
                trial.number,
                trial.config,
                TrialState.COMPLETE,
                metrics=dict.fromkeys(("dev_log_loss", "train_log_loss", "dev_accuracy", "train_accuracy"), score),
                best_epoch=1,
                epochs=EPOCHS,
                updates=EPOCHS,
                parameters=1000,
                gflop=1.0,
                curves={name: [score] for name in CURVES},
                health={"epochs": [1]},
                started=time.time(),
                reports=[score] * len(self._rungs),
                survived=EPOCHS - 1,
            )
        )

    def wait(self, seconds: float) -> list[TrialResult]:  # noqa: ARG002 - nothing is waited for
        """All that were submitted."""
        results, self._results = self._results, []
        return results


def study_of(name: str, trials: int) -> tuple[StudyConfig, Strategy]:
    """A search of so many trials on a table that nobody has seen."""
    study = load_study(None, {"strategy.name": name, "budget.trials": trials})
    study = resolve(study, target="y", task="classification", train_rows=TRAIN_ROWS, classes=[0, 1])
    defaults = default_configuration(TRAIN_ROWS)
    return study, make_strategy(study.search_space(), study.seed, defaults, **study.strategy.model_dump())


def alone(name: str, trials: int, limit: float) -> dict[str, Any]:
    """A strategy, asked and told."""
    _, strategy = study_of(name, trials)
    clock = Clock(trials, limit)
    for number in range(trials):
        config = strategy.ask(number)
        strategy.tell(number, config, SCORES[number % len(SCORES)])
        clock.finished()
        if clock.over:
            break
    return clock.measured()


def loop(name: str, trials: int, limit: float) -> dict[str, Any]:
    """A whole search into a run directory."""
    study, strategy = study_of(name, trials)
    rungs = rungs_below(study.longest_trial())
    pruner = Pruner(rungs, study.strategy.lag, math.inf)
    rows = {"train": TRAIN_ROWS, "dev": DEV_ROWS, "test": DEV_ROWS}
    data = {"task": "classification", "sha256": "", "rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(trials, limit)
        with open_run(Path(folder) / "run", study.to_dict(), data, {}) as directory:
            stop = StopRules(deadline=time.monotonic() + limit)
            search = Study(directory, strategy, range(trials), stop, pruner=pruner)
            search.run(Instant(rungs), clock, lambda _: None)
        return clock.measured()


def optuna(name: str, trials: int, limit: float) -> dict[str, Any]:
    """A study of Optuna in memory, asked and told."""
    import optuna  # noqa: PLC0415 - hpsearch's searches are measured without it

    sys.path.append(str(Path(__file__).parents[1] / "strategies"))
    from optuna_space import suggested  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=0) if name == "tpe" else optuna.samplers.RandomSampler(seed=0)
    space = study_of("random", trials)[0].search_space()
    study = optuna.create_study(sampler=sampler)
    clock = Clock(trials, limit)
    for number in range(trials):
        trial = study.ask()
        suggested(trial, space)
        study.tell(trial, SCORES[number % len(SCORES)])
        clock.finished()
        if clock.over:
            break
    return clock.measured()


def main() -> None:
    """Measure what the arguments say."""
    search, trials, limit = sys.argv[1:]
    first, _, second = search.partition(" ")
    if first == "optuna":
        found = optuna(second, int(trials), float(limit))
    else:
        found = (loop if second == "loop" else alone)(first, int(trials), float(limit))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
