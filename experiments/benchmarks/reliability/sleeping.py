"""What hpsearch's processes run here; a module of its own, so that a new one loads nothing that real ones do not."""

from __future__ import annotations

import time

from hpsearch.executors.messages import until_closed
from hpsearch.trial import TrialResult, TrialState


def serve(pipe, *_):
    """What stands in the place of a worker: a result after the seconds that the trial says."""
    pipe.send(("ready", None))
    for trial in until_closed(pipe):
        time.sleep(trial.config["seconds"])
        pipe.send(
            ("result", TrialResult(trial.number, trial.config, TrialState.COMPLETE, seconds=trial.config["seconds"]))
        )
