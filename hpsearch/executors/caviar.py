"""Caviar: many trials at once, each worker a process of its own.

A supervisor with one duplex pipe for each worker and nothing shared between them: no lock or queue that a dying process
could leave taken, and always known which trial a dead worker had. Workers are forked from a server that has the engine
loaded; the data are files that all of them map, so they lie in memory once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver, resource_tracker
from typing import TYPE_CHECKING

from hpsearch import errors
from hpsearch.errors import NoValidTrialError
from hpsearch.executors.base import Executor, Pace, failed
from hpsearch.executors.messages import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path
    from typing import Any

    from hpsearch.trial import Key, RungReport, Trial, TrialResult, TrialSettings

MAX_DEATHS_OF_TRIAL = 3
MAX_DEATHS_IN_ROW = 20
START_ATTEMPTS = 5
START_SECONDS = 120.0  # the first one may wait for the engine to be loaded, on a busy machine
GRACE_SECONDS = 1.0  # a worker ends its own trial at the timeout; only one that hangs is killed
SHORT_SECONDS = 0.1  # of such trials a worker has the next one waiting: what it might do for an idle one costs no more
SOCKET_PATH = 103  # bytes that the path of a socket may have on every system
SOCKET_NAME = len("/pymp-12345678/listener-12345678")
_STARTING = threading.Lock()


class WorkersDieError(NoValidTrialError):
    """Workers die before they can begin."""


@dataclass(eq=False)
class _Worker:
    """A process and what was sent to it: the first of `trials` is the one that it runs."""

    number: int
    process: ForkServerProcess
    pipe: connection.Connection
    inbox: Inbox
    ready: bool = False
    trials: deque[Trial] = field(default_factory=deque)
    deadline: float | None = None  # of time.monotonic: to be ready, then to end the trial


def _serve(*arguments: object) -> None:
    """Enter the worker; its module loads the engine, which this process does not need."""
    from hpsearch.executors.worker import serve  # noqa: PLC0415

    serve(*arguments)


class CaviarExecutor(Executor):
    """`jobs` worker processes for the data that were saved in `folder`, by repeat (see data.sharing).

    A worker that dies costs one attempt of the trial that it ran; a trial that kills three workers fails, and the run
    goes on. What a worker raises is raised by `wait`; WorkersDieError when twenty in a row die before they are ready.

    Where trials are short, each worker is sent the next one while it runs another, so that it never waits for this
    process, which writes and proposes meanwhile.
    """

    entry = staticmethod(_serve)

    def __init__(self, folder: Path, settings: TrialSettings, jobs: int) -> None:
        self.slots = jobs
        self._folder = folder
        self._settings = settings
        self._waiting: deque[Trial] = deque()
        self._deaths: Counter[Key] = Counter()
        self._deaths_in_row = 0
        self._pace = Pace()
        start_server()
        self._context = multiprocessing.get_context("forkserver")
        self._workers = [self._start(number) for number in range(jobs)]

    def _start(self, number: int) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=True)
        process = self._context.Process(
            target=self.entry, args=(theirs, str(self._folder), self._settings, number), daemon=True
        )
        for attempt in range(START_ATTEMPTS):
            try:
                with _undisturbed_start():
                    process.start()
                break
            except (ConnectionError, EOFError):  # the server died just now; the next attempt starts another
                if attempt == START_ATTEMPTS - 1:
                    raise
                time.sleep(0.02 * 2**attempt)  # until the system has noted its death
        theirs.close()
        return _Worker(number, process, ours, Inbox(ours), deadline=time.monotonic() + START_SECONDS)

    @property
    def capacity(self) -> int:
        """Twice as many as there are processes where trials are short."""
        return self.slots * self._depth

    @property
    def _depth(self) -> int:
        return 2 if self._pace.seconds < SHORT_SECONDS else 1

    def submit(self, trial: Trial) -> None:
        """Give the trial to the worker that has the fewest, or let it wait for one."""
        self._waiting.append(trial)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.trials))
            if len(worker.trials) >= self._depth:
                return
            trial = self._waiting.popleft()
            try:
                worker.pipe.send(trial)
            except OSError:  # it died; `wait` sees the end of its pipe and replaces it
                self._waiting.appendleft(trial)
                return
            worker.trials.append(trial)
            if worker.ready and len(worker.trials) == 1:
                self._set_deadline(worker)

    def _set_deadline(self, worker: _Worker) -> None:
        """The time of a trial counts from when a worker that is ready begins it."""
        limited = self._settings.trial_timeout and worker.trials
        worker.deadline = time.monotonic() + self._settings.trial_timeout + GRACE_SECONDS if limited else None

    def wait(self, seconds: float) -> list[TrialResult | RungReport]:
        """Collect results and reports; replace workers that died or hang."""
        now = time.monotonic()
        deadlines = [worker.deadline - now for worker in self._workers if worker.deadline is not None]
        wait = max(0.0, min([seconds, *deadlines]))
        ready = set(connection.wait([worker.pipe for worker in self._workers], wait))
        results = [item for worker in self._workers[:] if worker.pipe in ready for item in self._hear(worker)]
        now = time.monotonic()
        late = [worker for worker in self._workers if worker.deadline is not None and now > worker.deadline]
        results += [self._end_hanging(worker) for worker in late]
        self._dispatch()
        return [result for result in results if result is not None]

    def _hear(self, worker: _Worker) -> Iterator[TrialResult | RungReport | None]:
        """What a worker has to say; its end is the failure of its trial, if anything."""
        try:
            messages = worker.inbox.read()
        except Exception:  # noqa: BLE001 - a message that is damaged may raise anything
            yield self._bury(worker)
        else:
            yield from (self._take(worker, kind, content) for kind, content in messages)

    def _end_hanging(self, worker: _Worker) -> TrialResult | None:
        """Kill a worker that is over its time: its trial has failed, unless it never began."""
        if not worker.ready:
            return self._bury(worker)
        self._replace(worker)
        return self._failed(worker, f"timeout: longer than {self._settings.trial_timeout:g} s")

    def _take(self, worker: _Worker, kind: str, content: Any) -> TrialResult | RungReport | None:
        """What a message of a worker means."""
        if kind == "error":
            name, text = content
            found = getattr(errors, name, None)
            raise found(text) if found else RuntimeError(f"in a worker: {name}: {text}")
        self._deaths_in_row = 0
        if kind == "ready":
            worker.ready = True
            self._set_deadline(worker)
            return None
        if kind == "result":
            worker.trials.popleft()
            self._set_deadline(worker)
            self._pace.note(content.seconds)
        return content

    def _bury(self, worker: _Worker) -> TrialResult | None:
        """Take note of a death: its trial is tried again, or has failed for good."""
        self._replace(worker)
        code = worker.process.exitcode or 0
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not worker.ready:
            self._deaths_in_row += 1
            if self._deaths_in_row >= MAX_DEATHS_IN_ROW:
                raise WorkersDieError(
                    f"{MAX_DEATHS_IN_ROW} worker processes died before they began, the last by {cause}"
                )
        if worker.trials and worker.ready:  # else it is no trial's fault
            head = worker.trials[0]
            self._deaths[head.key] += 1
            if self._deaths[head.key] >= MAX_DEATHS_OF_TRIAL:
                many = f"{MAX_DEATHS_OF_TRIAL} worker processes died of it"
                return self._failed(worker, f"crashed: {many}, the last one by {cause}")
        self._take_back(worker)
        return None

    def _failed(self, worker: _Worker, reason: str) -> TrialResult:
        """The result of the trial that a dead worker ran; what waited behind it is taken back."""
        trial = worker.trials.popleft()
        self._take_back(worker)
        return failed(trial, reason, self._settings, worker.number)

    def _take_back(self, worker: _Worker) -> None:
        """Let the trials of a dead worker wait for another one, before all others."""
        self._waiting.extendleft(reversed(worker.trials))
        worker.trials.clear()

    def _replace(self, worker: _Worker) -> None:
        """Kill a worker and start another one in its place."""
        _kill(worker)
        self._workers[self._workers.index(worker)] = self._start(worker.number)

    def abandon(self) -> None:
        """Replace the workers that are busy."""
        self._waiting.clear()
        for worker in [worker for worker in self._workers if worker.trials]:
            self._replace(worker)

    def close(self) -> None:
        """Kill the workers; an unfinished trial is tried again by the next run."""
        for worker in self._workers:
            _kill(worker)


def start_server() -> None:
    """Start the process that workers are forked from; it loads the engine meanwhile. Does nothing if it is there."""
    multiprocessing.set_forkserver_preload(["hpsearch.executors.preload"])
    with _undisturbed_start(), _short_temporary_folder():
        forkserver.ensure_running()


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """In which the server's socket can lie: its path has at most SOCKET_PATH bytes, and a TMPDIR may be long."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > SOCKET_PATH - SOCKET_NAME:
        tempfile.tempdir = "/tmp"  # noqa: S108 - a private folder is made in it
    try:
        yield
    finally:
        tempfile.tempdir = before


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


@contextmanager
def _undisturbed_start() -> Iterator[None]:
    """Start a process that signals to the whole group do not end and that does not run this one's main script again.

    What ends it is this process: by killing it, or by its own end.
    A worker needs nothing of `__main__`; without this, multiprocessing would import it, and a script without an
    `if __name__ == "__main__"` guard would start itself over.
    One thread at a time: those of a Dask worker may start processes at once.
    """
    with _STARTING:
        main = sys.modules["__main__"]
        hidden = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
        main.__spec__ = None
        # Blocked signals stay blocked in what is started, and reach this process when it is done. The tracker, which is
        # started along with the first process, would unblock them.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            main.__dict__.update(hidden)
