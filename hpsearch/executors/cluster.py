"""Caviar past one machine: trials on the workers of a Dask scheduler that somebody else has started.

The run directory, its journal and all decisions stay in this process; the cluster trains and forgets. A task is a batch
of trials that takes some tenths of a second, for a task costs milliseconds. Inside a Dask worker a child process
runs them, so that a trial has the same end as on one machine (see cluster_worker).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import logging
import math
import operator
import queue
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.sharing import checksum, repeat_folder
from hpsearch.errors import ClusterError, ConfigError, HpsearchError, StorageError
from hpsearch.executors.base import Executor, Pace, failed

try:
    import distributed
    import toolz

    from hpsearch.executors import cluster_worker
except ImportError as error:
    raise ConfigError(f"--cluster needs Dask ({error}); install it with: pip install 'hpsearch[cluster]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.executors.cluster_worker import Answer, Machine
    from hpsearch.trial import Key, RungReport, Trial, TrialResult, TrialSettings

BATCH_SECONDS = 0.5  # that a batch should take: a task costs a few milliseconds, and its child process ten
MOST_IN_BATCH = 256
AHEAD = 2  # batches for each thread of the cluster: one that runs and one that waits
LOOK_SECONDS = 2.0  # between two looks at who has joined or left
CONNECT_SECONDS = 10.0
MAX_DEATHS_ALONE = 3
CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)


class ClusterExecutor(Executor):
    """Trials for the data that were saved in `folder` (see data.sharing) on the cluster of a Dask scheduler.

    address: tcp://host:8786, or the file that `dask scheduler --scheduler-file` wrote. Workers may come and go, and
    where there are none trials wait for one. The data are read from `folder` where a worker sees it, and sent to the
    others once. announce: told when there is something to wait for.

    Raises ClusterError when the scheduler cannot be reached, from `wait` too when it is lost; ConfigError when a worker
    has other versions than this process, or, unless `mixed`, another processor than the others.
    """

    def __init__(
        self, address: str, folder: Path, settings: TrialSettings, *, mixed: bool, announce: Callable[[str], None]
    ) -> None:
        self._address = address
        self._folder = folder.resolve()
        self._settings = settings
        self._mixed = mixed
        self._announce = announce
        self._run = uuid.uuid4().hex[:12]
        self._checksums: dict[int, str] = {}
        self._waiting: deque[Trial] = deque()
        self._running: dict[int, tuple[Any, tuple[Trial, ...]]] = {}
        self._batches = 0
        self._outcomes: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
        self._deaths: Counter[Key] = Counter()
        self._alone: set[Key] = set()
        self._pace = Pace()
        self._machine: Machine | None = None
        self._workers: dict[str, int] = {}
        self._batches_before_data: dict[str, int] = {}  # that were sent to it; those may still come back undone
        self._client = _connect(address, announce)
        self._threads = sum(self._client.nthreads().values())
        self._lonely = False
        self._closed = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        """Keep the number of threads up to date; a thread of its own, for a scheduler may be slow to answer."""
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self._threads = sum(self._client.nthreads().values())
            except Exception:  # noqa: BLE001 - `wait` finds out what it means
                return

    @property
    def slots(self) -> int:  # type: ignore[override]
        """The threads of all workers, at least one."""
        return max(1, self._threads)

    @property
    def capacity(self) -> int:
        """Enough for each thread to have a batch that runs and one that waits."""
        return AHEAD * self.slots * self._batch_size

    @property
    def _batch_size(self) -> int:
        return 1 if self._pace.seconds == math.inf else min(MOST_IN_BATCH, 1 + int(BATCH_SECONDS / self._pace.seconds))

    def submit(self, trial: Trial) -> None:
        """Take a trial; it goes out with others at the next `wait`."""
        self._waiting.append(trial)
        repeat = int(repeat_folder(self._folder, trial.repeat).name)
        if repeat not in self._checksums:
            known = checksum(self._folder / str(repeat))
            if known is None:
                raise StorageError(f"{self._folder / str(repeat)}: the shared data cannot be read")
            self._checksums[repeat] = known

    def _dispatch(self) -> None:
        """Share what waits among the places that are free, in batches of the right size."""
        places = AHEAD * self.slots - len(self._running)
        while self._waiting and places > 0:
            size = min(self._batch_size, math.ceil(len(self._waiting) / places))
            trials = [self._waiting.popleft()]
            while self._waiting and len(trials) < size and not self._alone & {trials[0].key, self._waiting[0].key}:
                trials.append(self._waiting.popleft())
            self._send(tuple(trials))
            places -= 1

    def _send(self, trials: tuple[Trial, ...]) -> None:
        batch = asdict(cluster_worker.Batch(trials, self._settings, self._run, str(self._folder), self._checksums))
        number = self._batches
        self._batches += 1
        # Of what all schedulers and workers can read: one without hpsearch would lose its connection over ours.
        task = toolz.compose(operator.methodcaller("run_batch", batch), importlib.import_module)
        future = self._client.submit(
            task, cluster_worker.__name__, key=f"hpsearch-{self._run}-{number}", pure=False, retries=0
        )
        self._running[number] = (future, trials)
        future.add_done_callback(partial(_put_outcome, self._outcomes, number))

    def wait(self, seconds: float) -> list[TrialResult | RungReport]:
        """Collect the results of batches; send those of lost workers again, and data to whom it lacks."""
        self._dispatch()
        self._say_when_lonely()
        results: list[TrialResult | RungReport] = []
        try:
            number, outcome = self._outcomes.get(timeout=max(0.0, seconds))
            while True:
                if number in self._running:  # else it was abandoned
                    _, trials = self._running.pop(number)
                    results += self._take(number, trials, outcome)
                number, outcome = self._outcomes.get_nowait()
        except queue.Empty:
            pass
        if not results and self._client.status != "running":
            raise self._lost()
        self._dispatch()
        return results

    def _say_when_lonely(self) -> None:
        lonely = self._threads == 0 and bool(self._running)
        if lonely and not self._lonely:
            self._announce(f"{self._address}: there is no worker; waiting for one")
        self._lonely = lonely

    def _take(self, number: int, trials: tuple[Trial, ...], outcome: Answer | BaseException) -> list[TrialResult]:
        """What has become of the batch with this number."""
        if isinstance(outcome, BaseException):
            return self._take_error(trials, outcome)
        self._check(outcome.machine)
        if outcome.results is None:
            if number >= self._batches_before_data.get(outcome.machine.worker, 0):
                self._send_data(outcome.machine.worker)
            self._waiting.extendleft(reversed(trials))
            return []
        place = self._workers.setdefault(outcome.machine.worker, len(self._workers))
        for result in outcome.results:
            result.worker = place
            self._pace.note(result.seconds)
        done = {result.key for result in outcome.results}
        self._waiting.extendleft(trial for trial in reversed(trials) if trial.key not in done)  # it was asked to go
        return outcome.results

    def _take_error(self, trials: tuple[Trial, ...], error: BaseException) -> list[TrialResult]:
        """A batch whose workers died is run again trial by trial; a trial that goes on doing so fails."""
        if isinstance(error, distributed.KilledWorker):
            self._alone.update(trial.key for trial in trials)
            if len(trials) > 1 or self._died_alone(trials[0]) < MAX_DEATHS_ALONE:
                self._waiting.extendleft(reversed(trials))
                return []
            return [failed(trials[0], "crashed: Dask workers died of it again and again", self._settings)]
        if isinstance(error, HpsearchError):
            raise error
        if isinstance(error, ImportError):
            raise ConfigError(
                f"{self._address}: a worker cannot load hpsearch ({error}); install the same version there"
            ) from None
        if isinstance(error, CANCELLED) or self._client.status != "running":
            raise self._lost() from None
        raise RuntimeError(f"in a Dask worker: {type(error).__name__}: {error}") from error

    def _died_alone(self, trial: Trial) -> int:
        self._deaths[trial.key] += 1
        return self._deaths[trial.key]

    def _lost(self) -> ClusterError:
        return ClusterError(f"{self._address}: the connection to the scheduler is lost")

    def _check(self, machine: Machine) -> None:
        """Raise ConfigError where the results of a machine might differ from those of the others."""
        for name, here in cluster_worker.software().items():
            if machine.software[name] != here:
                raise ConfigError(
                    f"{machine.worker}: {name} {machine.software[name]} there, {here} here; install the same versions"
                )
        self._machine = self._machine or machine
        if machine.processor != self._machine.processor and not self._mixed:
            raise ConfigError(
                f"{machine.worker} has another processor than {self._machine.worker}"
                f" ({_model(machine)}, {_model(self._machine)}), so its results may differ in their last digits;"
                " --allow-mixed-cpus allows that"
            )

    def _send_data(self, worker: str) -> None:
        """Send the data to a worker that does not see their folder; if it has gone meanwhile, another one will ask."""
        try:
            repeats = {
                repeat: {file.name: file.read_bytes() for file in (self._folder / str(repeat)).iterdir()}
                for repeat in self._checksums
            }
        except OSError as error:
            raise StorageError(f"{self._folder}: the shared data cannot be read: {error.strerror or error}") from None
        self._announce(f"{worker}: does not see {self._folder}; sending the data")
        self._batches_before_data[worker] = self._batches
        answers = self._client.run(cluster_worker.receive, self._run, repeats, workers=[worker], on_error="return")
        error = answers.get(worker)
        if isinstance(error, OSError) and not isinstance(error, distributed.comm.CommClosedError):
            raise StorageError(f"{worker}: the data cannot be written there: {error}")

    def abandon(self) -> None:
        """Release all tasks; their workers notice and end the children that run them."""
        self._waiting.clear()
        for future, _ in self._running.values():
            future.release()
        self._running.clear()

    def close(self) -> None:
        """Leave the cluster."""
        self._closed.set()
        self.abandon()
        self._client.close(timeout=1)


def _connect(address: str, announce: Callable[[str], None]) -> distributed.Client:
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what matters of it is said in one line
    options = {"timeout": CONNECT_SECONDS, "set_as_default": False}
    try:
        if "://" in address:
            return distributed.Client(address, **options)
        _wait_for_file(Path(address), announce)
        return distributed.Client(scheduler_file=address, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ClusterError(f"--cluster {address}: no scheduler there ({' '.join(str(error).split())})") from None


def _wait_for_file(file: Path, announce: Callable[[str], None]) -> None:
    """A script may just have started the scheduler that will write it. Raises ConfigError when it does not come."""
    if not file.exists():
        announce(f"waiting for a scheduler to write {file}")
    deadline = time.monotonic() + CONNECT_SECONDS
    while not file.is_file():
        if file.exists() or time.monotonic() > deadline:
            raise ConfigError(
                f"--cluster {file}: it must be tcp://HOST:PORT, or a file written by dask scheduler --scheduler-file"
            )
        time.sleep(0.1)


def _put_outcome(outcomes: queue.SimpleQueue[tuple[int, Any]], number: int, future: Any) -> None:
    """Called by the client's own thread when a batch has ended, so that only it waits for the results to arrive."""
    try:
        outcome = future.result()
    except BaseException as error:  # noqa: BLE001 - `wait` raises it, or knows what it means
        outcome = error
    outcomes.put((number, outcome))


def _model(machine: Machine) -> str:
    return machine.processor.partition("\n")[0].partition(":")[2].strip() or machine.processor
