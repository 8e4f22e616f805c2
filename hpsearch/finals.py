"""The last stage: the best trials are trained again with fresh seeds, and the winner is the best of these on average.

The best of many noisy scores owes a part of its lead to luck. What is trained again shows the score without it. Who
takes part depends a little on the scores of similar trials too: where a good score stands alone, it was more likely
luck.
"""

from __future__ import annotations

import json
import math
from collections import deque
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.surrogate import Surrogate
from hpsearch.trial import Trial, TrialResult, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hpsearch.executors.base import Executor
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.space import Space
    from hpsearch.study import Observer, StopRules

WAIT_SECONDS = 0.1
USUAL = 5  # finalists
FEWEST = 10  # results to guess from
MOST = 500  # of the best, and as many of the others, are guessed from
GUESS_WEIGHT = 0.25  # of the rank by guess, that by score being 1
START_SECONDS = 1.0  # from the end of the search until the finals run
HEADROOM = 1.2  # what is planned for what comes after the search, of what it should take
MORE = 50  # new results, as a share of those before: one of so many
FEWEST_REPEATS = 2
FEW_ROWS = 5_000  # with fewer, the split decides as much as the seeds, so it is made anew too


def choose(record: RunRecord, space: Space, top: int | None) -> list[int]:
    """The numbers of the finalists, the most promising first; none where there is nothing to choose.

    `top` None: five, but not more than a fifth of the trials (and at least two), so that a short search stays short.
    """
    ranked = _by_promise(record, space)
    top = _how_many(top, len(record.counted()))
    return ranked[:top] if min(top, len(ranked)) > 1 else []


def _by_promise(record: RunRecord, space: Space) -> list[int]:
    """The complete trials by score, and to a part by what all scores together make one expect of them."""
    best = _different(record.results[number] for number in record.ranking(MOST))
    others = sorted(record.counted().keys() - {result.number for result in best})
    known = best + [record.results[number] for number in others[:: len(others) // MOST + 1]]
    if len(best) < 2 or len(known) < FEWEST or not space.parameters:
        return [result.number for result in best]

    def places(results: list[TrialResult]) -> np.ndarray:
        return np.array([space.encode(result.config) for result in results])

    surrogate = Surrogate(space.categories)
    surrogate.fit(places(known), np.array([score(result, record.metric, record.maximize) for result in known]))
    guess_rank = surrogate.guess(places(best), curiosity=0.0).argsort(kind="stable").argsort()
    order = (np.arange(len(best)) + GUESS_WEIGHT * guess_rank).argsort(kind="stable")
    return [best[place].number for place in order.tolist()]


def _different(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The first result of each configuration: the panda trains one again and again, and it is one finalist."""
    found: dict[str, TrialResult] = {}
    for result in results:
        found.setdefault(json.dumps(result.config, sort_keys=True), result)
    return list(found.values())


def most_finalists(top: int | None) -> int:
    """How many there may be at most, however many trials."""
    return USUAL if top is None else top


def _how_many(top: int | None, trials: int) -> int:
    return min(USUAL, max(2, trials // 5)) if top is None else top


class TimeForFinals:
    """How many seconds of a time limit a search keeps for what comes after it, by what the best trials so far took.

    That is `writing` the views, which with tens of thousands of results takes seconds; finals, with `preparing` on top
    of their trainings; then, `choosing` who votes, and `refits` trainings up to the best epoch, each `longer` by this
    factor. Called often while the search goes on, so it looks anew only when there are more results. Of the time, a
    third may go into what is trained, or half if somebody said how many finalists there are to be (`top`).
    There are fewer where that is not enough, and no finals where it is not even for two.

    Attributes:
        finalists: how many there is time for, 0 or at least 2.
        needed: seconds that the finals of two would take.
        afterwards: of the seconds that are kept, those for what comes after the finals.
    """

    def __init__(
        self,
        record: RunRecord,
        top: int | None,
        repeats: int,
        *,
        slots: int,
        preparing: float,
        timeout: float,
        choosing: float = 0.0,
        refits: int = 0,
        longer: float = 1.0,
        writing: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._record = record
        self._preparing = preparing
        self._top = top
        self._repeats = repeats
        self._slots = slots
        self._choosing = choosing
        self._refits = refits
        self._longer = longer
        self._writing = writing
        self._most = timeout / (3 if top is None else 2)
        self._seconds = 0.0
        self._next = 1
        self.finalists = 0
        self.needed = 0.0
        self.afterwards = 0.0

    def __call__(self) -> float:
        """The seconds, by what is known now."""
        results = self._record.results
        if len(results) >= self._next:
            self._next = len(results) + 1 + len(results) // MORE
            self._look()
        return self._seconds + HEADROOM * self._writing()

    def _look(self) -> None:
        wanted = _how_many(self._top, len(self._record.results))
        best = self._record.ranking(max(wanted, 1))
        self.finalists, self._seconds, self.afterwards = 0, 0.0, 0.0
        if not best:
            return
        trials = [self._record.results[number] for number in best]
        mean = fmean(trial.seconds for trial in trials)
        refit = self._longer * fmean(_seconds_to_the_best(trial) for trial in trials)
        possible = range(2, min(len(best), wanted) + 1)
        self.needed = self._finals_seconds(2, mean) if possible else 0.0
        afterwards = self._choosing + HEADROOM * math.ceil(self._refits / self._slots) * refit
        afterwards = min(afterwards, self._most)  # it may take less
        for finalists in (0, *possible):
            seconds = afterwards + self._finals_seconds(finalists, mean)
            if seconds <= self._most:
                self.finalists, self._seconds, self.afterwards = finalists, seconds, afterwards

    def _finals_seconds(self, finalists: int, mean: float) -> float:
        rounds = math.ceil(finalists * self._repeats / self._slots)
        return START_SECONDS + HEADROOM * (self._preparing + rounds * mean) if finalists else 0.0


def _seconds_to_the_best(trial: TrialResult) -> float:
    """Without the epochs after the best one, which showed that nothing better comes."""
    return trial.seconds * (trial.best_epoch / trial.epochs if trial.best_epoch else 1.0)


class Finals:
    """Trains trials `numbers` of a run `repeats` times more each and notes who takes part; what is there is not run."""

    def __init__(self, directory: RunDirectory, numbers: Sequence[int], repeats: int, *, fresh_splits: bool) -> None:
        self.numbers = list(numbers)
        self._directory = directory
        self._repeats = repeats
        self._fresh_splits = fresh_splits

    def missing(self) -> list[Trial]:
        """What is still to be trained, repeat by repeat."""
        record = self._directory.record
        return [
            Trial(number, record.results[number].config, repeat=repeat)
            for repeat in range(1, self._repeats + 1)
            for number in self.numbers
            if (number, repeat) not in record.finals
        ]

    def done(self) -> bool:
        """Whether these finals are the last thing that was noted of the run."""
        noted = self._directory.record.finalists
        return noted is not None and (noted["trials"], noted["repeats"]) == (self.numbers, self._repeats)

    def run(self, executor: Executor, observer: Observer, stop: StopRules) -> int:
        """Train what is missing, as far as there is no reason to stop; how many repeats the finals have.

        In each repeat, what took longest before begins first, so that no long training is left to run alone. Where the
        time was over, the repeats that are whole count if there are at least two.
        """
        results = self._directory.record.results
        waiting = sorted(self.missing(), key=lambda trial: (trial.repeat, -results[trial.number].seconds))
        done = train_all(waiting, executor, observer, stop, self._take)
        repeats = self._repeats if done else min((trial.repeat for trial in self.missing()), default=1) - 1
        if not done and (repeats < FEWEST_REPEATS or stop.reason() != "timeout"):
            return 0
        self._directory.finish_finals(self.numbers, repeats, fresh_splits=self._fresh_splits)
        return repeats

    def _take(self, result: TrialResult) -> None:
        self._directory.add_final(result, keep=not self._fresh_splits)


def train_all(
    trials: Iterable[Trial],
    executor: Executor,
    observer: Observer,
    stop: StopRules,
    take: Callable[[TrialResult], None],
) -> bool:
    """Run trials in this order and give each result to `take`; whether all were done before a reason to stop."""
    waiting, running = deque(trials), 0
    while waiting or running:
        if stop.reason():
            return False
        while waiting and running < executor.capacity:
            executor.submit(waiting.popleft())
            running += 1
        arrived = [item for item in executor.wait(WAIT_SECONDS) if isinstance(item, TrialResult)]
        for result in arrived:
            running -= 1
            take(result)
            observer.finished(result, None)
        if not arrived:
            observer.tick()
    return True
