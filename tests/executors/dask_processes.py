"""A real Dask scheduler and real workers on 127.0.0.1, each a process with a session of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from executors.driving import status
from faults.processes import GIVE_UP_SECONDS, kill, session


class Cluster:
    """`dask scheduler` and `dask worker`s that write what they say into `folder`."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self._environment = os.environ | environment
        self._count = 0
        self._leaders = []
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self.file)
        wait_until(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"))

    @property
    def address(self):
        return json.loads(self.file.read_text())["address"]

    def add_worker(self, *more, before=(), environment=None, nanny=True):
        """Start a worker of one thread and wait until the scheduler knows it; the process."""
        log = self.folder / f"{self._count}.log"
        flags = ["--nthreads", "1", "--local-directory", self.folder / f"local-{self._count}", "--death-timeout", "60"]
        flags += more if nanny else [*more, "--no-nanny"]
        worker = self._start("worker", self.address, *flags, before=before, environment=environment)
        wait_until(lambda: "Registered to" in log.read_text())
        return worker

    def _start(self, *words, before=(), environment=None):
        log = self.folder / f"{self._count}.log"
        self._count += 1
        command = [*before, sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"]
        with log.open("wb") as said:
            process = subprocess.Popen(
                command,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env=self._environment | (environment or {}),
                start_new_session=True,
            )
        self._leaders.append(process)
        return process

    def trainers(self):
        """The processes that train: what the servers inside the workers have forked."""
        servers = self._servers()
        return [pid for pid, parent in servers.items() if parent in servers]

    def training_workers(self):
        """The living workers with processes that train: parents of servers that have forked.

        What a dead worker's server still trains belongs to nobody here: its parent is of another session.
        """
        servers = self._servers()
        forked = {parent for parent in servers.values() if parent in servers}
        return sorted({servers[server] for server in forked}.intersection(self._members()))

    def _members(self):
        return [pid for leader in self._leaders for pid in session(leader.pid)]

    def _servers(self):
        """The fork servers and what they have forked: who is whose child."""
        return {pid: int(fields[1]) for pid in self._members() if is_server(pid) and (fields := status(pid))}

    def end(self, process):
        """Kill a scheduler, or a worker with its nanny and all that it has started."""
        for pid in session(process.pid):
            kill(pid)
        process.wait()

    def close(self):
        for process in self._leaders:
            self.end(process)


def is_server(pid):
    """Whether a process is one of multiprocessing's fork servers or was forked from one."""
    try:
        return b"multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=GIVE_UP_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
