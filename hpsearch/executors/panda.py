"""Panda: one trial at a time, in this process, watched epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.executors.base import Executor
from hpsearch.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.trial import SearchData, Trial, TrialResult, TrialSettings, Watcher


class _AbandonedError(Exception):
    """The run is to end before the trial does."""


class PandaExecutor(Executor):
    """Runs a trial inside `wait`, on `data` of its repeat.

    `watch` sees it after every slice, and `should_stop` is asked as often.
    """

    slots = 1

    def __init__(
        self,
        data: Callable[[int], SearchData],
        settings: TrialSettings,
        watch: Watcher,
        should_stop: Callable[[], bool],
    ) -> None:
        self._data = data
        self._settings = settings
        self._watch = watch
        self._should_stop = should_stop
        self._waiting: list[Trial] = []

    def submit(self, trial: Trial) -> None:
        """Take a trial to run at the next `wait`."""
        self._waiting.append(trial)

    def wait(self, seconds: float) -> list[TrialResult]:  # noqa: ARG002 - a trial is run to its end or abandoned
        """Run the submitted trial."""
        if not self._waiting:
            return []
        try:
            trial = self._waiting.pop()
            return [run_trial(trial, self._data(trial.repeat), self._settings, self._look)]
        except _AbandonedError:
            return []

    def abandon(self) -> None:
        """Forget the trial that waits, if any."""
        self._waiting.clear()

    def _look(self, trial: Trial, training: Any) -> bool | None:
        skip = self._watch(trial, training)
        if self._should_stop():
            raise _AbandonedError
        return skip
