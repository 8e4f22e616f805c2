"""The loop: ask the strategy, run on the executor, tell and record, until the budget is spent or somebody says stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hpsearch.trial import Trial, TrialState, best_of, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hpsearch.executors.base import Executor
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.strategies.base import Strategy
    from hpsearch.trial import TrialResult

WAIT_SECONDS = 0.1
LAST_PER_SLOT = 4


class Observer(Protocol):
    """Told what happens while a study runs."""

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Learn of a result, and of the best one so far."""
        ...

    def tick(self) -> None:
        """Nothing happened for a moment."""
        ...


@dataclass(frozen=True)
class StopRules:
    """When a study ends before its trials are done. `goal` is a value of the metric; `deadline` of time.monotonic."""

    goal: float | None = None
    deadline: float | None = None
    interrupted: Callable[[], bool] = lambda: False

    def reason(self) -> str | None:
        """Why to stop now; None: go on."""
        if self.interrupted():
            return "interrupted"
        if self.deadline is not None and time.monotonic() > self.deadline:
            return "timeout"
        return None


class Study:
    """Runs trials `numbers` of a strategy on an executor into a run directory.

    Results are recorded as they arrive and told to the strategy in order of their numbers, so what it proposes does not
    depend on who was faster. What the run directory already holds is told, not run again. With several slots, the
    costliest (by `cost`) of the last few trials begin first, so that no long one is left to run alone. No result
    depends on that.
    """

    def __init__(
        self,
        directory: RunDirectory,
        strategy: Strategy,
        numbers: Sequence[int],
        stop: StopRules,
        cost: Callable[[Trial], float] = lambda _: 0.0,
    ) -> None:
        self._directory = directory
        self._record = directory.record
        self._strategy = strategy
        self._numbers = numbers
        self._stop = stop
        self._cost = cost
        self._told = 0
        self._goal_place: int | None = None
        self.best = best_of(
            {n: r for n, r in self._record.results.items() if n in numbers},
            self._record.metric,
            self._record.maximize,
        )

    def run(self, executor: Executor, observer: Observer, keep: Callable[[TrialResult], None]) -> str:
        """Go on until the end; return its reason: done, goal, timeout or interrupted.

        `keep` is given each result that is the best so far, with its weights, before they are dropped.
        """
        outstanding = 0
        trials = self._trials(executor.slots)
        while True:
            self._tell()
            if self._goal_place is not None:
                return self._finish("goal", self._goal_place + 1)
            if self._told == len(self._numbers):
                return self._finish("done", self._told)
            reason = self._stop.reason()
            if reason:
                return self._finish(reason, self._told)
            while outstanding < executor.slots and (trial := next(trials, None)):
                self._directory.start(trial)
                executor.submit(trial)
                outstanding += 1
            results = executor.wait(WAIT_SECONDS)
            for result in results:
                outstanding -= 1
                self._take(result, keep)
                observer.finished(result, self.best)
            if not results:
                observer.tick()

    def _trials(self, slots: int) -> Iterator[Trial]:
        """The trials that have no result yet, in the order in which they are to begin."""
        few = LAST_PER_SLOT * slots
        last = len(self._numbers) - (few if slots > 1 and len(self._numbers) > 2 * few else 0)
        for place in range(last):
            if self._numbers[place] not in self._record.results:
                yield Trial(self._numbers[place], self._strategy.ask(self._numbers[place]))
        missing = [number for number in self._numbers[last:] if number not in self._record.results]
        yield from sorted((Trial(n, self._strategy.ask(n)) for n in missing), key=self._cost, reverse=True)

    def _take(self, result: TrialResult, keep: Callable[[TrialResult], None]) -> None:
        self._directory.add(result)
        metric, maximize = self._record.metric, self._record.maximize
        rivals = {result.number: result} | ({self.best.number: self.best} if self.best else {})
        if best_of(rivals, metric, maximize) is result:
            self.best = result
            keep(result)
        result.weights = None
        result.curves, result.health = {}, {}

    def _tell(self) -> None:
        """Tell the strategy every result that has no gap before it, and look whether one of them reaches the goal."""
        record = self._record
        while self._told < len(self._numbers) and (number := self._numbers[self._told]) in record.results:
            result = record.results[number]
            value = score(result, record.metric, record.maximize)
            self._strategy.tell(number, result.config, value)
            if self._goal_place is None and self._reaches_goal(result, value):
                self._goal_place = self._told
            self._told += 1

    def _reaches_goal(self, result: TrialResult, value: float) -> bool:
        if self._stop.goal is None or result.state is not TrialState.COMPLETE:
            return False
        return value <= (-self._stop.goal if self._record.maximize else self._stop.goal)

    def _finish(self, reason: str, places: int) -> str:
        numbers = self._numbers[:places]
        self._directory.finish(reason, len(numbers) if isinstance(numbers, range) else list(numbers))
        return reason
