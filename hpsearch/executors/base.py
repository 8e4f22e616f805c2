"""The interface of every executor, and how many processes this machine has room for."""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.trial import TrialResult, TrialState

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from hpsearch.trial import RungReport, Trial, TrialSettings

MEMORY = 0.1  # share of the latest trial in the mean of how long trials take


class Executor(ABC):
    """Runs trials, `slots` at a time. Submit at most `capacity`, then wait for results; they come in any order.

    A context manager: leaving it ends whatever is still running.
    """

    slots: int

    @property
    def capacity(self) -> int:
        """How many trials may be submitted and have no result now: the slots, and what should wait for them."""
        return self.slots

    @abstractmethod
    def submit(self, trial: Trial) -> None:
        """Take a trial to run."""

    @abstractmethod
    def wait(self, seconds: float) -> list[TrialResult | RungReport]:
        """What is there after waiting for it at most about `seconds`: results, and reports of those that still run."""

    def abandon(self) -> None:  # noqa: B027 - an executor that keeps nothing has nothing to give up
        """Give up the trials that were submitted and have no result yet; others may be submitted then."""

    def close(self) -> None:  # noqa: B027 - an executor without processes has nothing to end
        """End all that still runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pace:
    """How long trials take, by the latest ones; infinitely long before the first one."""

    seconds = math.inf

    def note(self, seconds: float) -> None:
        """Learn of a trial."""
        known = seconds if self.seconds == math.inf else self.seconds
        self.seconds = known + MEMORY * (seconds - known)


def failed(trial: Trial, reason: str, settings: TrialSettings, worker: int = 0) -> TrialResult:
    """The result of a trial that ended without one."""
    return TrialResult(
        trial.number,
        trial.config,
        TrialState.FAIL,
        error=reason,
        started=time.time(),
        worker=worker,
        reports=[math.inf] * len(settings.rungs),
        repeat=trial.repeat,
        refit_epochs=trial.refit_epochs,
    )


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """CPUs that this process may use: its affinity, and the quota of its control group rounded up."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affine, _cgroup_quota(cgroup, own))))


def _cgroup_quota(cgroup: Path, own: Path) -> float:
    """CPUs' worth of time granted by control groups; infinity where there is no limit.

    Version 2: the smallest cpu.max from our own group, named in `own`, up to the root. Version 1: that of the root.
    """
    groups = [cgroup]
    try:
        name = own.read_text(encoding="utf-8").partition("0::/")[2].splitlines()
    except OSError:
        name = []
    for part in Path(name[0]).parts if name else ():
        groups.append(groups[-1] / part)
    limit = min(_share((group / "cpu.max",)) for group in groups)
    old = cgroup / "cpu"
    return limit if limit < math.inf else _share((old / "cpu.cfs_quota_us", old / "cpu.cfs_period_us"))


def _share(files: tuple[Path, ...]) -> float:
    """Quota over period, which stand in one file or in two; infinity where they say no limit, or nothing sensible."""
    try:
        quota, period = (word for file in files for word in file.read_text(encoding="ascii").split())
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
