"""What the pools' processes run; a module of its own, so that they start as fast as they can."""

from __future__ import annotations

import time


def work(task: tuple[int, float]) -> int:
    """A task: its number comes back after so many seconds."""
    time.sleep(task[1])
    return task[0]
