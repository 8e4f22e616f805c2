"""Searches as processes of their own, in sessions of their own, whose members can be found and killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from executors.driving import is_of_session, status

from hpsearch.run_directory.journal import read

GIVE_UP_SECONDS = 120
VIEWS = ("trials.csv", "curves.csv", "best.yaml", "model/model.yaml", "model/weights.safetensors")
STUDY = """\
data: {source: wine}
seed: 3
budget: {epochs: 60}
space:
  layers: {low: 0, high: 2}
  units: {low: 8, high: 32}
  learning_rate: {low: 1e-4, high: 1e-1, log: true}
  activation: [relu, tanh]
  batch_size: 16
"""  # a trial takes some 5 ms


def command(strategy, *flags):
    return [sys.executable, "-m", "hpsearch", strategy, *map(str, flags)]


def tiny_search(folder, trials, *flags):
    """A function that makes the command of a search by evolution into a folder within this one."""
    (folder / "tiny.yaml").write_text(STUDY)
    usual = ("-n", trials, "-q", *flags)
    return lambda out, *more: command("evolve", folder / "tiny.yaml", "-o", folder / out, *usual, *more)


def finished_in(journal):
    """The trials that have a result, as often and in the order in which they were noted."""
    return [line.trial for line in read(journal) if line.kind == "trial"] if journal.exists() else []


@contextmanager
def repeatedly(seconds, action):
    """Within: do something now and then."""
    over = threading.Event()

    def act():
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def start(words, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    options = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(words, start_new_session=True, **options)


def finish(words, **options):
    """Run to the end, which must be a good one; the seconds that it took."""
    began = time.monotonic()
    process = start(words, **options)
    _, errors = process.communicate(timeout=GIVE_UP_SECONDS)
    assert process.returncode == 0, errors
    return time.monotonic() - began


def session(leader):
    """The living processes of a session."""
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in numbers if is_of_session(pid, leader)]


def workers(leader):
    """The processes that train for a search: children of the server that is its child."""
    parents = {pid: int(fields[1]) for pid in session(leader) if (fields := status(pid))}
    return [pid for pid, parent in parents.items() if parents.get(parent) == leader]


def kill(pid, number=signal.SIGKILL):
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def views(folder):
    return {name: (folder / name).read_bytes() for name in VIEWS}
