"""The interface of every executor, and how many processes this machine has room for."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from hpsearch.trial import Trial, TrialResult


class Executor(ABC):
    """Runs trials. Submit at most `slots` at a time, then wait for results; they come in any order.

    A context manager: leaving it ends whatever is still running.
    """

    slots: int

    @abstractmethod
    def submit(self, trial: Trial) -> None:
        """Take a trial to run."""

    @abstractmethod
    def wait(self, seconds: float) -> list[TrialResult]:
        """Results that are there, after waiting for the first at most about `seconds`; perhaps none."""

    def close(self) -> None:  # noqa: B027 - an executor without processes has nothing to end
        """End all that still runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this process may use: its affinity, and the quota of its control group rounded up."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affine, _cgroup_quota(cgroup))))


def _cgroup_quota(cgroup: Path) -> float:
    """CPUs' worth of time granted by cgroup v2 (cpu.max) or v1; infinity where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
