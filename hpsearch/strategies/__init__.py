"""What to try next: strategies know the space and the scores they were told, nothing of processes, files or data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.strategies.grid import GridStrategy
from hpsearch.strategies.random import RandomStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hpsearch.space import Space
    from hpsearch.strategies.base import Strategy


def make_strategy(name: str, space: Space, *, seed: int, defaults: Mapping[str, Any], points: int) -> Strategy:
    """The strategy called `name`; `defaults` is the default configuration, `points` a grid's values per parameter."""
    if name == "grid":
        return GridStrategy(space, points)
    return RandomStrategy(space, seed, defaults)


__all__ = ["make_strategy"]
