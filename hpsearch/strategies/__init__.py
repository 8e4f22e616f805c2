"""What to try next: strategies know the space and what they are told of trials, nothing of processes, files, data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.strategies.babysitter import Babysitter
from hpsearch.strategies.evolution import EvolutionOptions, EvolutionStrategy
from hpsearch.strategies.grid import GridStrategy
from hpsearch.strategies.random import PlainStrategy, RandomStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from hpsearch.space import Config, Space
    from hpsearch.strategies.base import Strategy


def make_strategy(
    space: Space,
    seed: int,
    defaults: Mapping[str, Any],
    *,
    name: str,
    lag: int,
    planned: int | None,
    cost: Callable[[Config], float] | None = None,
    **options: Any,
) -> Strategy:
    """The strategy called `name`.

    `defaults` is the configuration to begin with, `planned` the number of trials that it is meant for (None: as many as
    it has), `cost` what a trial will take at most, in any unit that no machine decides, `options` are those of all
    strategies (see config.StrategyConfig).
    """
    if name == "grid":
        return GridStrategy(space, seed, lag, points=options["points"], planned=planned, rounds=options["rounds"])
    if name == "evolve":
        own = {option: options[option] for option in EvolutionOptions.__dataclass_fields__}
        return EvolutionStrategy(space, seed, lag, defaults, EvolutionOptions(**own), cost)
    if name == "panda":
        return Babysitter(space, seed, defaults)
    if options["plain"]:
        return PlainStrategy(space, seed, lag, defaults)
    return RandomStrategy(space, seed, lag, defaults, options["densify"])


__all__ = ["make_strategy"]
