"""The interface of every strategy: ask for trial i, tell how trial i went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpsearch.space import Config


class Strategy(ABC):
    """Proposes configurations by trial number.

    A proposal is a pure function of the space, the seed, the number and what was told, so a run that is killed goes on
    with the same proposals once the old results are told again.
    """

    @property
    @abstractmethod
    def limit(self) -> int | None:
        """How many different trials there are; None: no end."""

    @abstractmethod
    def ask(self, number: int) -> Config:
        """The configuration of trial `number` (from 0, below `limit`), with Python scalars as values."""

    def tell(self, number: int, config: dict[str, Any], score: float) -> None:  # noqa: B027 - a choice, not an omission
        """Learn the score (smaller is better, infinity for a failure) of a trial; called in order of numbers."""
