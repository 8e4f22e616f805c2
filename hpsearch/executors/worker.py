"""What runs in each of caviar's processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from functools import cache
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.sharing import load_shared, repeat_folder
from hpsearch.engine.network import start_engine
from hpsearch.executors.messages import until_closed
from hpsearch.trial import RungReport, best_scores, run_trial

if TYPE_CHECKING:
    from typing import Any

    from hpsearch.trial import Trial, TrialSettings


def serve(pipe: connection.Connection, folder: str, settings: TrialSettings, worker: int) -> None:
    """Run the trials that arrive on `pipe` and send what comes of them back, until the pipe closes.

    Messages are ("ready", None) once, ("report", RungReport) of a trial that goes on, ("result", TrialResult), and
    ("error", (class, text)) of an exception that no trial should raise.
    """
    # Ctrl-C reaches the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        load = cache(load_shared)  # once, so that what the engine finds out about an array is found once
        load(repeat_folder(Path(folder), 0))
        start_engine()
        pipe.send(("ready", None))
        for trial in until_closed(pipe):
            rows = load(repeat_folder(Path(folder), trial.repeat))
            result = run_trial(trial, rows, settings, _RungReporter(pipe, rows.target_sd, settings))
            result.worker = worker
            pipe.send(("result", result))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        pipe.send(("error", (type(error).__name__, str(error))))


class _RungReporter:
    """Tells how a trial stands at the rungs that it has passed, for others may be compared with it before it ends."""

    def __init__(self, pipe: connection.Connection, target_sd: float, settings: TrialSettings) -> None:
        self._pipe = pipe
        self._target_sd = target_sd
        self._settings = settings
        self._next = 0

    def __call__(self, trial: Trial, training: Any) -> None:
        rungs = self._settings.rungs
        if (
            trial.repeat
            or trial.refit_epochs
            or self._next == len(rungs)
            or training.epochs < rungs[self._next]
            or training.status != "running"
        ):
            return
        scores = best_scores(training, self._target_sd, self._settings.metric)
        while self._next < len(rungs) and rungs[self._next] <= training.epochs:
            score = float(scores[rungs[self._next] - 1])
            self._pipe.send(("report", RungReport(trial.number, self._next, score)))
            self._next += 1


def _die_with_parent() -> None:
    """A parent that was killed cannot end its workers; the sentinel becomes readable when it is gone."""
    parent = multiprocessing.parent_process()
    connection.wait([parent.sentinel])
    os._exit(1)
