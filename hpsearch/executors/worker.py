"""What runs in each of caviar's processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.sharing import load_shared
from hpsearch.engine.network import start_engine
from hpsearch.trial import run_trial

if TYPE_CHECKING:
    from hpsearch.trial import TrialSettings


def serve(pipe: connection.Connection, folder: str, settings: TrialSettings, worker: int) -> None:
    """Run the trials that arrive on `pipe` and send what comes of them back, until the pipe closes.

    Messages are ("ready", None) once, ("result", TrialResult), and ("error", (class, text)) of an exception that no
    trial should raise.
    """
    # Ctrl-C reaches the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        data = load_shared(Path(folder))
        start_engine()
        pipe.send(("ready", None))
        while True:
            try:
                trial = pipe.recv()
            except EOFError:
                return
            result = run_trial(trial, data, settings)
            result.worker = worker
            pipe.send(("result", result))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        pipe.send(("error", (type(error).__name__, str(error))))


def _die_with_parent() -> None:
    """A parent that was killed cannot end its workers; the sentinel becomes readable when it is gone."""
    parent = multiprocessing.parent_process()
    connection.wait([parent.sentinel])
    os._exit(1)
