"""A limit on what this process allocates while something runs, kept by the system."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = Path("/proc/self/statm")
_DATA = 5  # the field that counts the pages which RLIMIT_DATA limits, and those of the stack


@contextmanager
def memory_limit(most: int | None) -> Iterator[None]:
    """Within: what needs more than `most` bytes beyond what is there now raises MemoryError. None: no limit.

    Raises ConfigError on a system that cannot do this.
    """
    if most is None:
        yield
        return
    before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        used = int(_SIZES.read_text(encoding="ascii").split()[_DATA]) * resource.getpagesize()
    except OSError:
        raise ConfigError(f"budget.trial_memory: {most}: this system has no such limit; only Linux has") from None
    limits = [used + most, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
