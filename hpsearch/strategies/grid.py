"""Grid search: every point of a mesh over the space, by index."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpsearch.space import Mesh
from hpsearch.strategies.base import Strategy

if TYPE_CHECKING:
    from hpsearch.space import Config, Space

GOLDEN = (math.sqrt(5) - 1) / 2


class GridStrategy(Strategy):
    """Each parameter takes at most `points` values, spread on its scale.

    The mesh is walked in steps of about its golden section, coprime to its size: every point comes once, and a search
    that ends early has looked everywhere a little, instead of at one corner.
    """

    def __init__(self, space: Space, points: int) -> None:
        self._mesh = Mesh(space, points)
        self._stride = max(1, round(self._mesh.size * GOLDEN))
        while math.gcd(self._stride, self._mesh.size) != 1:
            self._stride += 1

    @property
    def limit(self) -> int:
        """Points of the mesh."""
        return self._mesh.size

    def ask(self, number: int) -> Config:
        """The configuration of trial `number`."""
        return self._mesh[number * self._stride % self._mesh.size]
