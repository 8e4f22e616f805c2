"""Trials that every executor is to run alike, a loop that runs them, and what of a result no place may change."""

import struct
import time
from pathlib import Path

from hpsearch.trial import Trial, TrialSettings

SETTINGS = TrialSettings(seed=3, metric="log_loss")
CONFIGS = [
    {"layers": 1, "units": 32, "epochs": 6},
    {"layers": 0, "epochs": 9, "optimizer": "sgd", "normalize": "standard"},
    {"hidden": [48, 16], "activation": "relu", "batch_size": 7, "epochs": 5, "l2": 0.01},
    {"optimizer": "sgd", "learning_rate": 1000.0, "activation": "identity", "epochs": 5},  # diverges
    {"layers": 2, "units": 16, "optimizer": "momentum", "momentum": 0.8, "batch_size": "full", "epochs": 12},
    {"layers": 1, "units": 8, "epochs": 400, "patience": 3, "batch_size": 8, "learning_rate": 0.01},  # stops early
    {"layers": 3, "units": 64, "epochs": 4, "activation": "tanh", "init": "glorot_uniform"},
]
SHORT = [Trial(number, config) for number, config in enumerate(CONFIGS)]
LONG = {"layers": 1, "units": 32, "batch_size": 8, "epochs": 4000, "patience": 0}  # some tenths of a second
ENDLESS = LONG | {"epochs": 1_000_000}
PATIENCE_SECONDS = 60.0  # until a test gives up; far more than anything here takes


def gather(executor, trials, meanwhile=lambda: None):
    """Run trials as a study does; the results in the order in which they came."""
    waiting = list(trials)
    running = 0
    results = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting or running:
        assert time.monotonic() < deadline, f"{running} trials never came back"
        while waiting and running < executor.capacity:
            executor.submit(waiting.pop(0))
            running += 1
        found = executor.wait(0.02)
        running -= len(found)
        results += found
        meanwhile()
    return results


def by_number(results):
    """The exact content of each result; no trial may have come twice."""
    results = list(results)
    numbers = [result.number for result in results]
    assert len(set(numbers)) == len(numbers)
    return {result.number: exact(result) for result in results}


def exact(result):
    """All of a result that must be the same wherever it was run, every float as its bits."""

    def bits(value):
        return struct.pack("<d", value) if isinstance(value, float) else value

    return (
        result.number, result.config, result.state, result.error,
        {name: bits(value) for name, value in result.metrics.items()},
        {name: [bits(value) for value in values] for name, values in result.curves.items()},
        result.best_epoch, result.epochs, result.updates, result.parameters, bits(result.gflop),
        None if result.weights is None else (result.weights.dtype.str, result.weights.tobytes()),
    )  # fmt: skip


def until(condition):
    """Wait for something that will come; fail when it does not come in a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def processor_ticks(pid):
    """Processor time that a process has used, in hundredths of a second."""
    fields = status(pid)
    return int(fields[11]) + int(fields[12])


def is_alive(pid):
    """Whether a process is there, and no zombie that only waits to be reaped."""
    fields = status(pid)
    return bool(fields) and fields[0] not in "ZX"


def is_of_session(pid, leader):
    """Whether a living process belongs to the session of `leader`."""
    fields = status(pid)
    return bool(fields) and fields[0] not in "ZX" and int(fields[3]) == leader


def status(pid):
    """What stands in /proc/PID/stat behind the name, from the state on; nothing if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
