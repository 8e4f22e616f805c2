"""A real set as hpsearch sees it, the judge of every model of its engine, and how fast a search got where."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import path

from hpsearch.config import first_configuration, load_study, resolve, wanted_normalizations
from hpsearch.data.dataset import load_dataset, load_test_part
from hpsearch.data.sharing import save_shared
from hpsearch.diagnosis.baseline import constant_score
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.model import Member
from hpsearch.trial import SCALED_METRICS, TrialResult, TrialSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.parts import Part
    from hpsearch.executors.base import Executor
    from hpsearch.trial import Trial

WAIT_SECONDS = 0.05
TRIAL_MARKS = (1, 10, 20, 50, 100)
SECOND_MARKS = (5, 10, 20, 30, 60)


@dataclass(frozen=True)
class Point:
    """A model that a search hands over from now on: the best on the dev part of the `trials` that it has finished.

    seconds: since the command was given. what: the trial's number or configuration. test: None where it is of no use.
    """

    trials: int
    seconds: float
    dev: float
    test: float | None
    what: Any


@dataclass(frozen=True)
class Course:
    """What became of a search: `finished` trials, the models that it would have handed over, and when it returned.

    failed: those of the trials without a score. finals: the winner's test score, and the seconds that they took.
    """

    finished: int
    failed: int
    points: list[Point]
    wall: float
    finals: dict[str, float] | None = None


def marked(points: list[Point], seconds: float) -> list[Point]:
    """Those of the points that stand at some mark, or at the end."""
    chosen = [[point for point in points if point.trials <= mark][-1:] for mark in TRIAL_MARKS]
    chosen += [[point for point in points if point.seconds <= mark][-1:] for mark in (*SECOND_MARKS, seconds)]
    return [point for point in points if [point] in chosen]


@dataclass(frozen=True, eq=False)
class Task:
    """A set under one split, with the study that hpsearch makes of it when nobody says more."""

    study: StudyConfig
    data: Dataset

    @classmethod
    def open(
        cls,
        name: str,
        seed: int,
        normalize: tuple[str, ...] = (),
        space: Mapping[str, Any] | None = None,
        keys: Mapping[str, Any] | None = None,
    ) -> Task:
        """The set `name` split by `seed`, which is the root of all other randomness too; normalised as said.

        `space` is put over the default one, `keys` over those of the study.
        """
        said = {"data.source": str(path(name)), "data.split.seed": seed, "seed": seed}
        study = load_study(None, said | (keys or {}))
        data = load_dataset(**study.data.loading(), normalize=normalize or partial(wanted_normalizations, study, None))
        return cls(resolve(study, **data.facts(), space_overrides=space), data)

    @property
    def metric(self) -> str:
        """The one that is optimised and judged by: less is better."""
        return self.study.metric

    def default(self) -> dict[str, Any]:
        """The configuration of hpsearch's trial 0."""
        space = self.study.search_space()
        return space.nearest(first_configuration(space, self.data.rows["train"]))

    @contextmanager
    def executor(self, jobs: int) -> Iterator[Executor]:
        """Processes that train on this task."""
        with tempfile.TemporaryDirectory() as folder:
            save_shared(self.data, Path(folder) / "0")
            with CaviarExecutor(Path(folder), TrialSettings(self.study.seed, self.metric), jobs) as executor:
                yield executor

    def test_part(self, normalize: str) -> Part:
        """The sealed rows."""
        return _test_part(self, normalize)

    def test_score(self, result: TrialResult) -> float:
        """Of a trial's network, on the sealed rows."""
        member = Member.of(result, self.data, self.metric)
        _, found = member.network.evaluate(member.weights, self.test_part(member.normalize))
        return found[self.metric] * (self.data.target_sd if self.metric in SCALED_METRICS else 1.0)

    def constant_test_score(self) -> float:
        """Of the best constant prediction that the training rows give: what there is before the first model."""
        normalize = next(iter(self.data.normalizers))
        return constant_score(
            self.data.part("train", normalize), self.test_part(normalize), self.metric, self.data.target_sd
        )


@cache
def _test_part(task: Task, normalize: str) -> Part:
    data = task.data
    return load_test_part(
        **task.study.data.loading(), preparation=data.preparation, normalizer=data.normalizers[normalize]
    )


def train(
    executor: Executor,
    propose: Callable[[], Trial | None],
    take: Callable[[TrialResult], None],
    deadline: float = float("inf"),
) -> None:
    """Train what is proposed, until there is None or it is `deadline` on the wall clock; then the rest is dropped."""
    running = 0
    while time.time() < deadline:
        while running < executor.slots and (trial := propose()):
            executor.submit(trial)
            running += 1
        if not running:
            return
        for item in executor.wait(WAIT_SECONDS):
            if isinstance(item, TrialResult):
                running -= 1
                take(item)
