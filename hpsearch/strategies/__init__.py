"""What to try next: strategies know the space and what they are told of trials, nothing of processes, files, data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.strategies.babysitter import Babysitter
from hpsearch.strategies.evolution import EvolutionOptions, EvolutionStrategy
from hpsearch.strategies.grid import GridStrategy
from hpsearch.strategies.random import PlainStrategy, RandomStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hpsearch.space import Space
    from hpsearch.strategies.base import Strategy


def make_strategy(
    space: Space, seed: int, defaults: Mapping[str, Any], *, name: str, lag: int, planned: int | None, **options: Any
) -> Strategy:
    """The strategy called `name`.

    `defaults` is the configuration to begin with, `planned` the number of trials that it is meant for (None: as many as
    it has), `options` are those of all strategies (see config.StrategyConfig).
    """
    if name == "grid":
        return GridStrategy(space, seed, lag, points=options["points"], planned=planned, rounds=options["rounds"])
    if name == "evolve":
        own = {option: options[option] for option in EvolutionOptions.__dataclass_fields__}
        return EvolutionStrategy(space, seed, lag, defaults, EvolutionOptions(**own))
    if name == "panda":
        return Babysitter(space, seed, defaults)
    if options["plain"]:
        return PlainStrategy(space, seed, lag, defaults)
    return RandomStrategy(space, seed, lag, defaults, options["densify"])


__all__ = ["make_strategy"]
