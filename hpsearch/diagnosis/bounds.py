"""Where the winner stands at an end of what was searched, and what a wider search would be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpsearch.engine.hyperparameters import HYPERPARAMETERS
from hpsearch.space import Categorical, Float, Int

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.space import Space

DIGITS = 15  # that every float has: fewer would round an end inwards, or onto a bound
NEAR = 0.04  # of a range's length, on its scale


def widened(space: Space, config: Mapping[str, Any], usual: Mapping[str, Any] | None = None) -> dict[str, str]:
    """For each number of the configuration at an end of its range a wider one, as `-p` takes it: lr=1e-5:1e-1:log.

    What is as in the `usual` configuration, with which a search begins, was not driven to that end. Half a length more
    on the scale of the range, as far as the hyperparameter allows; none where that is no further.
    """
    found = {}
    for name, parameter in space.parameters.items():
        if usual is not None and name in usual and usual[name] == config.get(name):
            continue
        if name not in config or isinstance(parameter, Categorical) or parameter.low == parameter.high:
            continue
        near = max(NEAR, 0.6 / parameter.size) if parameter.size else NEAR
        place = parameter.to_unit(config[name])
        low = _further(name, parameter, -1) if place <= near else parameter.low
        high = _further(name, parameter, 1) if place >= 1 - near else parameter.high
        if (low, high) != (parameter.low, parameter.high):
            found[name] = f"{name}={low:.{DIGITS}g}:{high:.{DIGITS}g}{_ending(parameter)}"
    return found


def _further(name: str, parameter: Float | Int, way: int) -> float:
    """The low end (way -1) or the high end (way 1) half a length further out, of powers of two two further."""
    low, high = parameter.low, parameter.high
    end = high if way > 0 else low
    if isinstance(parameter, Int) and parameter.scale:
        new = end * 4 if way > 0 else end // math.gcd(end, 4)
    elif parameter.log == "reversed":
        new = 1 - _two_digits((1 - end) * ((1 - high) / (1 - low)) ** (way / 2))
    elif parameter.log:
        new = _two_digits(end * (high / low) ** (way / 2))
    elif parameter.step:
        new = end + way * parameter.step * max(1, round((high - low) / 2 / parameter.step))
    else:
        new = _two_digits(end + way * (high - low) / 2)
    if isinstance(parameter, Int):
        new = max(1, round(new)) if parameter.log else round(new)
    return _allowed(name, end, new)


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _allowed(name: str, end: float, new: float) -> float:
    """`new` inside the hyperparameter's own bounds; the old end where nothing is left to gain."""
    known = HYPERPARAMETERS[name]
    new = min(max(new, -math.inf if known.low is None else known.low), math.inf if known.high is None else known.high)
    inside = (known.above is None or new > known.above) and (known.below is None or new < known.below)
    return new if inside else end


def _ending(parameter: Float | Int) -> str:
    if isinstance(parameter, Int) and parameter.scale:
        return ":x2"
    if parameter.log:
        return ":reversed" if parameter.log == "reversed" else ":log"
    return f":{parameter.step:.{DIGITS}g}" if parameter.step else ""
