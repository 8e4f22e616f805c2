"""What can go wrong, each with the exit code that a script sees (listed in the README)."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class HpsearchError(Exception):
    """Something that its user can mend; the message is one line that names file, value and what is allowed."""

    exit_code = 2


class ConfigError(HpsearchError):
    """A study, a flag or an environment variable that makes no sense."""


class DataError(HpsearchError):
    """A data file that cannot be read, or that no network can learn from."""


class RunError(HpsearchError):
    """A run directory or model that is not there, not ours or of another study."""


class NoValidTrialError(HpsearchError):
    """Every trial failed, or more of them than `--max-failures` allows."""

    exit_code = 3


class GoalMissedError(HpsearchError):
    """`--require-goal` was given and no trial reached the goal."""

    exit_code = 4


class LockedError(HpsearchError):
    """Another process writes to this run directory."""

    exit_code = 5


class JournalError(HpsearchError):
    """The journal is damaged, foreign or newer than this program."""

    exit_code = 5


class StorageError(HpsearchError):
    """The disk is full, read-only or broken."""

    exit_code = 6


class ClusterError(HpsearchError):
    """The scheduler of a cluster cannot be reached, or not any more."""

    exit_code = 6


def did_you_mean(word: object, allowed: Iterable[str]) -> str:
    """The tail of an error message: the nearest allowed word, or all of them when none is near."""
    allowed = list(allowed)
    near = difflib.get_close_matches(str(word), allowed, n=1)
    return f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}"
