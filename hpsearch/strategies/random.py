"""Random search (Bergstra and Bengio 2012): independent draws, each parameter on its own scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.seeds import Purpose, generator
from hpsearch.strategies.base import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.space import Config, Space


class RandomStrategy(Strategy):
    """Trial 0 is the point of the space nearest to the defaults, so that a search shows what tuning was worth."""

    def __init__(self, space: Space, seed: int, defaults: Mapping[str, Any]) -> None:
        self._space = space
        self._seed = seed
        self._defaults = defaults

    @property
    def limit(self) -> int | None:
        """Draws never end, but a space without parameters has one configuration."""
        return None if self._space.parameters else 1

    def ask(self, number: int) -> Config:
        """The configuration of trial `number`; its draws come from (seed, number) alone."""
        if number == 0:
            return self._space.nearest(self._defaults)
        return self._space.decode(
            generator(self._seed, number, Purpose.PROPOSAL).random(self._space.dimensions).tolist()
        )
