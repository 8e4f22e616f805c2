"""One way of running tasks in two processes, put to one test: see run.py; prints JSON.

empty: seconds for tasks that do nothing. chaos: for tasks of 5 ms, while a worker is killed every 250 ms. hold: says
that its processes are at work, and waits to be killed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from sleeping import serve
from tasks import work

from hpsearch.data.dataset import load_dataset
from hpsearch.data.sharing import save_shared
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.trial import Trial, TrialSettings

PROCESSES = 2
TASK_SECONDS = 0.005
KILL_SECONDS = 0.25
GIVE_UP_SECONDS = 60.0
MODULES = {
    "hpsearch": "hpsearch",
    "ProcessPoolExecutor": "concurrent.futures",
    "Pool": "multiprocessing",
    "loky": "joblib",
}


def run_hpsearch(tasks):
    """The executor of caviar mode."""
    kind = type("Sleeping", (CaviarExecutor,), {"entry": staticmethod(serve)})
    waiting = [Trial(number, {"seconds": seconds}) for number, seconds in reversed(tasks)]
    with kind(Path(), TrialSettings(0, "log_loss"), PROCESSES) as executor:
        running = 0
        while waiting or running:
            while waiting and running < executor.capacity:
                executor.submit(waiting.pop())
                running += 1
            for result in executor.wait(0.1):
                running -= 1
                yield result.number


def run_futures(tasks, make, broken):
    """A pool of futures; one that breaks is made anew by hand, and what it had is submitted again."""
    left = dict(tasks)
    while left:
        with make() as pool:
            futures = {pool.submit(work, task) for task in left.items()}
            try:
                while futures:
                    done, futures = wait(futures, return_when=FIRST_COMPLETED)
                    for future in done:
                        left.pop(future.result())
                        yield 0
            except broken:
                pass


def run_pool(tasks):
    """multiprocessing.Pool."""
    with multiprocessing.get_context("forkserver").Pool(PROCESSES) as pool:
        yield from pool.imap_unordered(work, tasks)


def run(name, tasks):
    """The numbers of tasks as they are done."""
    if name == "hpsearch":
        return run_hpsearch(tasks)
    if name == "Pool":
        return run_pool(tasks)
    if name == "loky":
        from joblib.externals.loky import ProcessPoolExecutor as Loky  # noqa: PLC0415 - may not be installed
        from joblib.externals.loky.process_executor import TerminatedWorkerError  # noqa: PLC0415

        return run_futures(tasks, lambda: Loky(PROCESSES), TerminatedWorkerError)
    context = multiprocessing.get_context("forkserver")
    return run_futures(tasks, lambda: ProcessPoolExecutor(PROCESSES, mp_context=context), BrokenProcessPool)


def workers(parent: int) -> list[int]:
    """The processes below this one, without those that only serve others."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1]), b"resource_tracker" in words
        except OSError:
            continue
    below = {pid for pid, (above, _) in parents.items() if above == parent}
    grandchildren = {pid for pid, (above, _) in parents.items() if above in below}
    return sorted(pid for pid in grandchildren or below if not parents[pid][1])


def disturb(over: threading.Event, killed: list[int]) -> None:
    """Kill a worker now and then."""
    chance = random.Random(0)
    while not over.wait(KILL_SECONDS):
        if found := workers(os.getpid()):
            try:
                os.kill(chance.choice(found), signal.SIGKILL)
                killed.append(1)
            except ProcessLookupError:
                pass


def hold(name: str) -> None:
    """Have two processes at work for ten minutes, and say so."""
    if name == "hpsearch":  # its real workers, for how they end is their own affair
        data = load_dataset("wine", normalize=("robust_clip",))
        folder = Path(tempfile.mkdtemp())
        save_shared(data, folder / "0")
        executor = CaviarExecutor(folder, TrialSettings(0, "log_loss"), PROCESSES)
        for number in range(PROCESSES):
            executor.submit(Trial(number, {"epochs": 10**9, "patience": 0}))
        go_on = partial(executor.wait, 600.0)
    else:
        go_on = partial(list, run(name, [(number, 600.0) for number in range(4)]))
    threading.Thread(target=lambda: [go_on() for _ in range(100)], daemon=True).start()
    while len(workers(os.getpid())) < PROCESSES:
        time.sleep(0.05)
    time.sleep(1.0)
    print("at work", flush=True)
    time.sleep(600)


def main() -> None:
    name, test = sys.argv[1:3]
    if test == "hold":
        hold(name)
    count, seconds = int(sys.argv[3]), 0.0 if test == "empty" else TASK_SECONDS
    over, killed, times = threading.Event(), [], [time.monotonic()]

    def finish():
        """Say how far it came, and end with all that is left."""
        whole = len(times) == count + 1
        found = {"done": len(times) - 1, "killed": len(killed), "seconds": times[-1] - times[1] if whole else None}
        print(json.dumps(found), flush=True)
        os.killpg(0, signal.SIGKILL)

    def give_up():
        while not over.wait(1.0):
            if time.monotonic() - times[-1] > GIVE_UP_SECONDS:
                finish()

    threading.Thread(target=give_up, daemon=True).start()
    if test == "chaos":
        threading.Thread(target=disturb, args=(over, killed), daemon=True).start()
    times.extend(time.monotonic() for _ in run(name, [(number, seconds) for number in range(count)]))
    finish()
