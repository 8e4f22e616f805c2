"""What serves in the place of executors.worker.serve, in processes that are forked from the workers' server."""

import os
import signal
import struct
import time
from pathlib import Path

from hpsearch.executors.messages import until_closed
from hpsearch.executors.worker import serve
from hpsearch.trial import TrialResult, TrialState

LARGE = 4_000_000  # bytes of a message, more than a pipe holds


def _half_a_result(pipe):
    pipe.send(("ready", None))
    pipe.recv()
    os.write(pipe.fileno(), struct.pack("!i", LARGE) + b"x" * 1000)


def stops_while_sending(pipe, *_):
    _half_a_result(pipe)
    os.kill(os.getpid(), signal.SIGSTOP)


def dies_while_sending(pipe, *_):
    _half_a_result(pipe)
    os.kill(os.getpid(), signal.SIGKILL)


def exits(pipe, *_):
    """What a library does that calls the C function of this name."""
    pipe.send(("ready", None))
    pipe.recv()
    os._exit(7)


def dies_at_start(*_):
    os.kill(os.getpid(), signal.SIGSEGV)


def dies_at_first(pipe, folder, settings, number):
    """The first few times that somebody starts it."""
    starts = Path(folder) / "starts"
    starts.touch()
    with starts.open("a") as file:
        file.write(".")
    if starts.stat().st_size <= 5:
        dies_at_start()
    serve(pipe, folder, settings, number)


def does_nothing(pipe, *_):
    """Complete at once."""
    pipe.send(("ready", None))
    for trial in until_closed(pipe):
        pipe.send(("result", TrialResult(trial.number, trial.config, TrialState.COMPLETE, started=time.time())))
