"""The loop: ask the strategy, run on the executor, tell and record, until the budget is spent or somebody says stop."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from hpsearch.strategies.base import Course
from hpsearch.trial import Trial, TrialResult, TrialState, best_of, cut_short, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hpsearch.executors.base import Executor
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.strategies.base import Strategy
    from hpsearch.strategies.pruning import Pruner
    from hpsearch.trial import RungReport

WAIT_SECONDS = 0.1
LAST_PER_SLOT = 4
MOST_HELD = 64


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
    """When a study ends before its trials are done.

    `goal` is a value of the metric; `deadline` of time.monotonic, of which `reserved` seconds are for what comes after.
    `asked_to_end`: somebody wants it to end with the trial that runs.
    """

    goal: float | None = None
    deadline: float | None = None
    interrupted: Callable[[], bool] = lambda: False
    reserved: Callable[[], float] = lambda: 0.0
    asked_to_end: Callable[[], bool] = lambda: False

    def urgent(self) -> str | None:
        """Why to stop at once, whatever is running; None: there is no hurry."""
        if self.interrupted():
            return "interrupted"
        if self.deadline is not None and time.monotonic() > self.deadline - self.reserved():
            return "timeout"
        return None

    def reason(self) -> str | None:
        """Why to begin nothing new; None: go on."""
        return self.urgent() or ("stopped" if self.asked_to_end() else None)


class Study:
    """Runs trials `numbers` of a strategy on an executor into a run directory.

    Results are recorded and told to the strategy as they arrive; which of them a proposal uses, the strategy knows, so
    what it proposes does not depend on who was faster. What the run directory already holds is told, not run again.
    With several slots, the costliest (by `cost`) of the last few trials begin first, so that no long one is left to run
    alone. No result depends on that.

    With a `pruner` a trial begins with the limits that are known by then, and runs on where they are not. Its result
    waits (`held`, in the journal too) until it is known whether it should have been stopped on its way, and is then cut
    short.
    """

    def __init__(
        self,
        directory: RunDirectory,
        strategy: Strategy,
        numbers: Sequence[int],
        stop: StopRules,
        cost: Callable[[Trial], float] = lambda _: 0.0,
        pruner: Pruner | None = None,
    ) -> None:
        self._directory = directory
        whole = range(len(numbers))
        alone = numbers != whole and list(numbers) != list(whole)
        self._pruner = None if alone else pruner  # what is run without the trials before it is compared with none
        self._record = directory.record
        self._strategy = strategy
        self._numbers = numbers
        self._stop = stop
        self._cost = cost
        self._asked = 0
        self._ahead: list[Trial] = []
        self._running: set[int] = set()
        self._held: dict[int, TrialResult] = {}
        self._gapless = 0
        self._goal_place: int | None = None
        ours = numbers if isinstance(numbers, range) else set(numbers)
        best = min(((value, n) for n, value in self._record.scores.items() if n in ours), default=None)
        self.best = self._record.results[best[1]] if best else None
        self._tell_what_is_there()

    def _tell_what_is_there(self) -> None:
        gapless = 0
        for result in self._record.results.values():
            self._tell(result)
            if self._pruner is not None:
                self._pruner.tell(result.number, result.reports)
            if result.number == gapless:  # then all before it were proposed and told, so much need not be kept
                gapless += 1
                self._strategy.prepare(gapless)
        for result in self._directory.held(self._numbers) if self._pruner is not None else ():
            self._hold(result)

    def run(self, executor: Executor, observer: Observer, keep: Callable[[TrialResult], None]) -> str:
        """Go on until the end; return its reason: done, goal, timeout, stopped or interrupted.

        `keep` is given each result that is the best so far, with its weights, before they are dropped; it may have
        none if it had waited when an earlier session ended.
        """
        while True:
            self._look_for_goal()
            if self._goal_place is not None:
                return self._finish("goal", self._goal_place + 1)
            if self._gapless == len(self._numbers):
                return self._finish("done", self._gapless)
            reason = self._stop.reason()
            if reason:
                return self._finish(reason, self._gapless)
            while len(self._running) < executor.capacity and (trial := self._next_trial(executor)):
                self._directory.start(trial)
                self._running.add(trial.number)
                executor.submit(self._with_limits(trial))
            arrived = executor.wait(WAIT_SECONDS)
            for item in arrived:
                self._arrive(item)
            for result in self._settled():
                self._take(result, keep)
                observer.finished(result, self.best)
            self._hold_rest(arrived)
            if not arrived:
                observer.tick()

    def _with_limits(self, trial: Trial) -> Trial:
        if self._pruner is None:
            return trial
        self._pruner.forget(min({*self._running, *self._held, *(ahead.number for ahead in self._ahead)}))
        return replace(trial, limits=self._pruner.limits(trial.number))

    def _arrive(self, item: TrialResult | RungReport) -> None:
        if isinstance(item, TrialResult):
            self._running.remove(item.number)
            self._hold(item)
        elif self._pruner is not None:
            self._pruner.report(item.number, item.rung, item.score)

    def _hold(self, result: TrialResult) -> None:
        self._held[result.number] = result
        if self._pruner is not None:
            self._pruner.end(result.number, result.reports, result.rungs_gone_past(self._pruner.rungs))

    def _hold_rest(self, arrived: Sequence[TrialResult | RungReport]) -> None:
        """See to it that none of these results is lost while it waits."""
        if rest := [item for item in arrived if self._held.get(item.number) is item]:
            self._directory.hold(rest)

    def _settled(self) -> Iterator[TrialResult]:
        """The results that no open decision holds back, cut short where they should have been stopped."""
        for number in sorted(self._held):
            result = self._held[number]
            if self._pruner is not None:
                stop = self._pruner.stopped_at(number)
                if stop is None:
                    continue
                if stop >= 0:
                    result = cut_short(result, stop, self._pruner.rungs, self._record.metric)
                self._pruner.tell(number, result.reports)
            del self._held[number]
            yield result

    def _next_trial(self, executor: Executor) -> Trial | None:
        """The trial that is to begin next; None while its proposal waits for results, and when all have begun."""
        few = LAST_PER_SLOT * executor.slots
        last = len(self._numbers) - (few if executor.slots > 1 and len(self._numbers) > 2 * few else 0)
        while self._asked < len(self._numbers) and (self._asked > last or not self._ahead):
            number = self._numbers[self._asked]
            if number not in self._record.results:
                if not self._strategy.ready(number):
                    break
                trial = Trial(number, self._strategy.ask(number))  # also for what waits: no later one may be the same
                self._ahead += [] if number in self._held else [trial]
            self._asked += 1
        if not self._ahead:
            return None
        trial = max(self._ahead, key=self._cost) if len(self._ahead) > 1 else self._ahead[0]
        if self._held and len(self._held) + len(self._running) >= max(MOST_HELD, 2 * executor.capacity):
            # Results wait for trials before them, so only such a one may begin.
            trial = min(self._ahead, key=lambda ahead: ahead.number)
            if trial.number > max(self._held):
                return None
        self._ahead.remove(trial)
        return trial

    def _take(self, result: TrialResult, keep: Callable[[TrialResult], None]) -> None:
        self._directory.add(result)
        self._tell(result)
        metric, maximize = self._record.metric, self._record.maximize
        rivals = {result.number: result} | ({self.best.number: self.best} if self.best else {})
        if best_of(rivals, metric, maximize) is result:
            self.best = result
            keep(result)
        result.curves, result.health, result.weights = {}, {}, None

    def _tell(self, result: TrialResult) -> None:
        record, number = self._record, result.number
        self._strategy.tell(number, result.config, score(result, record.metric, record.maximize), result.cost)
        if self._strategy.curious:
            whole = result.state is not TrialState.PRUNED
            self._strategy.see(number, Course(record.diagnosis(result), record.curves.get(number, {}), whole))

    def _look_for_goal(self) -> None:
        """Note the first result that reaches the goal, among those that have no gap before them."""
        results = self._record.results
        while self._gapless < len(self._numbers) and (number := self._numbers[self._gapless]) in results:
            if self._goal_place is None and self._reaches_goal(number):
                self._goal_place = self._gapless
            self._gapless += 1

    def _reaches_goal(self, number: int) -> bool:
        goal, scores = self._stop.goal, self._record.scores
        return goal is not None and scores.get(number, math.inf) <= (-goal if self._record.maximize else goal)

    def _finish(self, reason: str, places: int) -> str:
        numbers = self._numbers[:places]
        self._directory.finish(reason, len(numbers) if isinstance(numbers, range) else list(numbers))
        return reason
