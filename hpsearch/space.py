"""What may be varied, and on which scale: the only place that knows how a number in [0, 1] becomes a hyperparameter.

A space is a set of parameters, each mapped to one side of the unit cube, and of constants. Strategies work in the cube
or by index; everybody else sees configurations, plain dicts of the active hyperparameters.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Config = dict[str, Any]

LOG_CHOICES = (False, True, "reversed")
FEW = 5


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`, both included.

    log: True spreads orders of magnitude evenly (alpha = 10^r, r uniform); "reversed" does so for 1 - x, as a momentum
    near 1 needs. step: only low, low + step, ... up to high.
    """

    low: float
    high: float
    log: bool | str = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"bounds {self.low!r} and {self.high!r}: both must be finite")
        if self.low > self.high:
            raise ConfigError(f"low {self.low!r} is greater than high {self.high!r}")
        if self.log not in LOG_CHOICES:
            raise ConfigError(f"log: {self.log!r} is not one of true, false, reversed")
        if self.log is True and self.low <= 0:
            raise ConfigError(f"low {self.low!r} on a log scale; it must be above 0 (bounds are values, not exponents)")
        if self.log == "reversed" and self.high >= 1:
            raise ConfigError(f"high {self.high!r} on a reversed log scale; it must be below 1")
        if self.step is not None and (self.step <= 0 or self.log):
            raise ConfigError(f"step {self.step!r}: it must be above 0, and not together with log")

    @property
    def size(self) -> int | None:
        """How many values there are; None: a continuum."""
        if self.step is not None:
            return math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return 1 if self.low == self.high else None

    def from_unit(self, u: float) -> float:
        """The value at `u` in [0, 1]."""
        if self.step is not None:
            return _snapped(self.low + min(int(u * self.size), self.size - 1) * self.step, self.step)
        if self.log is True:
            value = _short(math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low))))
        elif self.log == "reversed":
            near, far = math.log(1 - self.high), math.log(1 - self.low)
            value = round(1 - _short(math.exp(far + u * (near - far))), 15)
        else:
            value = _short(self.low + u * (self.high - self.low))
        return min(max(value, self.low), self.high)

    def to_unit(self, value: float) -> float:
        """The place of `value` in [0, 1]; of a stepped value, the middle of its cell. Outside values go to the ends."""
        value = min(max(value, self.low), self.high)
        if self.low == self.high:
            return 0.5
        if self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / self.size
        if self.log is True:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        if self.log == "reversed":
            near, far = math.log(1 - self.high), math.log(1 - self.low)
            return (math.log(1 - value) - far) / (near - far)
        return (value - self.low) / (self.high - self.low)

    def mesh(self, points: int) -> list[float]:
        """At most `points` values, evenly spread on the scale, both ends included."""
        if self.size is not None:
            return [self.from_unit((i + 0.5) / self.size) for i in _spread(range(self.size), points)]
        return [self.from_unit(u) for u in _unit_mesh(points)]

    def nearest(self, value: Any) -> float:
        """The allowed value nearest to `value` on this scale."""
        if self.step is not None:
            return self.from_unit(self.to_unit(float(value)))
        return min(max(float(value), self.low), self.high)


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included.

    log: as for Float, each number's share is that of its interval [n - 1/2, n + 1/2]. step: multiples above low.
    scale "pow2": low, 2 low, 4 low, ... up to high, all equally likely.
    """

    low: int
    high: int
    log: bool = False
    step: int | None = None
    scale: str | None = None

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ConfigError(f"low {self.low!r} is greater than high {self.high!r}")
        if self.log not in (False, True):
            raise ConfigError(f"log: {self.log!r} is not true or false, the choices for whole numbers")
        if self.scale not in (None, "pow2"):
            raise ConfigError(f"scale: {self.scale!r} is not pow2, the only one")
        if (self.log or self.scale) and self.low <= 0:
            raise ConfigError(f"low {self.low!r} on a log scale; it must be above 0 (bounds are values, not exponents)")
        if self.step is not None and (self.step <= 0 or self.log or self.scale):
            raise ConfigError(f"step {self.step!r}: it must be above 0, and not together with log or scale")
        if self.log and self.scale:
            raise ConfigError("log and scale: only one of them")

    @cached_property
    def size(self) -> int:
        """How many values there are."""
        if self.scale:
            return (self.high // self.low).bit_length()
        return (self.high - self.low) // (self.step or 1) + 1

    def _value(self, index: int) -> int:
        return self.low << index if self.scale else self.low + index * (self.step or 1)

    def _log_ends(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def from_unit(self, u: float) -> int:
        """The value at `u` in [0, 1]."""
        if self.log:
            start, end = self._log_ends()
            return min(max(round(math.exp(start + u * (end - start))), self.low), self.high)
        return self._value(min(int(u * self.size), self.size - 1))

    def to_unit(self, value: float) -> float:
        """The middle of the cell of `value` in [0, 1]; outside values go to the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            start, end = self._log_ends()
            return (math.log(value) - start) / (end - start)
        index = round(math.log2(value / self.low)) if self.scale else round((value - self.low) / (self.step or 1))
        return (min(index, self.size - 1) + 0.5) / self.size

    def mesh(self, points: int) -> list[int]:
        """At most `points` different values, evenly spread on the scale, both ends included."""
        if self.log and points < self.size:
            ends = math.log(self.low), math.log(self.high)
            spread = [round(math.exp(ends[0] + u * (ends[1] - ends[0]))) for u in _unit_mesh(points)]
            return sorted(set(spread))
        return [self._value(index) for index in _spread(range(self.size), points)]

    def nearest(self, value: Any) -> int:
        """The allowed value nearest to `value` on this scale."""
        return self.from_unit(self.to_unit(float(value)))


@dataclass(frozen=True)
class Categorical:
    """One of some values without order."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ConfigError("an empty list of values; give at least one")
        for i, choice in enumerate(self.choices):
            if choice in self.choices[:i]:
                raise ConfigError(f"{choice!r} stands twice in the list of values")

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.choices)

    def from_unit(self, u: float) -> Any:
        """The value at `u` in [0, 1]."""
        return self.choices[min(int(u * self.size), self.size - 1)]

    def to_unit(self, value: Any) -> float:
        """The middle of the cell of `value` in [0, 1]; ValueError for a value that is none of the choices."""
        return (self.choices.index(value) + 0.5) / self.size

    def mesh(self, points: int) -> list[Any]:  # noqa: ARG002 - the other kinds thin out, values without order cannot
        """All values."""
        return list(self.choices)

    def nearest(self, value: Any) -> Any:
        """`value` if it is allowed, else the first choice."""
        return value if value in self.choices else self.choices[0]


Parameter = Float | Int | Categorical


@dataclass(frozen=True)
class Space:
    """Parameters to search and constants, with the conditions under which they are active.

    conditions[name] = {parent: values}: `name` is active only where each parent is active and has one of the values.
    Parents must not depend on each other in a circle. Raises ConfigError.
    """

    parameters: dict[str, Parameter]
    constants: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, dict[str, tuple[Any, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {**self.parameters, **self.constants}
        for name, condition in self.conditions.items():
            for parent, values in condition.items():
                if parent not in known:
                    raise ConfigError(f"{name}: when {parent}: there is no such parameter in the space")
                for value in values:
                    if not self._possible(parent, value):
                        raise ConfigError(f"{name}: when {parent}: {value!r} is never a value of {parent}")
        object.__setattr__(self, "_order", self._parents_first())

    def _possible(self, name: str, value: Any) -> bool:
        if name in self.constants:
            return self.constants[name] == value
        parameter = self.parameters[name]
        if isinstance(parameter, Categorical):
            return value in parameter.choices
        inside = isinstance(value, int | float) and parameter.low <= value <= parameter.high
        return inside and (parameter.size is None or parameter.nearest(value) == value)

    def _parents_first(self) -> tuple[str, ...]:
        order: list[str] = []
        waiting = [*self.constants, *self.parameters]
        while waiting:
            ready = [name for name in waiting if all(parent in order for parent in self.conditions.get(name, ()))]
            if not ready:
                raise ConfigError(f"when: {', '.join(waiting)} depend on each other in a circle")
            order += ready
            waiting = [name for name in waiting if name not in ready]
        return tuple(order)

    @property
    def dimensions(self) -> int:
        """Sides of the unit cube: one for each parameter, active or not."""
        return len(self.parameters)

    @property
    def cells(self) -> list[int]:
        """Into how many equal cells each side is cut, one for each value; 0: a continuum, or unequal cells."""
        return [0 if getattr(p, "log", False) else p.size or 0 for p in self.parameters.values()]

    @property
    def categories(self) -> list[int]:
        """How many values without order each side has; 0: those of this side have an order."""
        return [p.size if isinstance(p, Categorical) else 0 for p in self.parameters.values()]

    def is_active(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether `name` matters, given a configuration that holds its parents where they are active."""
        if name not in self.conditions:
            return True
        condition = self.conditions[name]
        return all(parent in config and config[parent] in values for parent, values in condition.items())

    def _build(self, value_of: Callable[[str], Any]) -> Config:
        """The configuration with the values that `value_of` gives to active parameters, in fixed order."""
        config: Config = {}
        for name in self._order:
            if self.is_active(name, config):
                config[name] = self.constants[name] if name in self.constants else value_of(name)
        return {name: config[name] for name in (*self.parameters, *self.constants) if name in config}

    def decode(self, unit: Sequence[float]) -> Config:
        """The configuration at a point of the unit cube (dimensions,)."""
        place = dict(zip(self.parameters, unit, strict=True))
        return self._build(lambda name: self.parameters[name].from_unit(float(place[name])))

    def encode(self, config: Mapping[str, Any]) -> list[float]:
        """The point of the unit cube (dimensions,) of a configuration; inactive parameters are at 1/2."""
        return [
            parameter.to_unit(config[name]) if name in config else 0.5 for name, parameter in self.parameters.items()
        ]

    def nearest(self, defaults: Mapping[str, Any]) -> Config:
        """The configuration of this space nearest to `defaults`.

        A parameter that these lack is in the middle, and so is a number for which they have a word (auto).
        """
        return self._build(lambda name: self._nearest(name, defaults))

    def _nearest(self, name: str, defaults: Mapping[str, Any]) -> Any:
        parameter, default = self.parameters[name], defaults.get(name)
        far = default is None or (isinstance(default, str) and not isinstance(parameter, Categorical))
        return parameter.from_unit(0.5) if far else parameter.nearest(default)

    def adopted(self, config: Mapping[str, Any]) -> Config:
        """The configuration of this space with the values that `config` gives to parameters.

        Raises ConfigError, naming the parameter and what is allowed, where `config` has no value that is in the space.
        """

        def value_of(name: str) -> Any:
            parameter, value = self.parameters[name], config.get(name)
            unordered = isinstance(parameter, Categorical)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (unordered or number) or parameter.nearest(value) != value:
                raise ConfigError(f"{name} has {'no value' if value is None else value}, here {_allowed(parameter)}")
            return value

        return self._build(value_of)

    def completed(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Config:
        """`values`, which may lie outside this space, and what else is active beside them: constants, defaults."""
        config: Config = {}
        for name in self._order:
            if name in values:
                config[name] = values[name]
            elif self.is_active(name, config):
                config[name] = self.constants[name] if name in self.constants else self._nearest(name, defaults)
        return config | values

    def size(self) -> int | None:
        """How many different configurations there are; None: infinitely many."""
        if any(parameter.size is None for parameter in self.parameters.values()):
            return None
        named = self._named()
        values = {
            name: parameter.mesh(parameter.size) if name in named else range(parameter.size)
            for name, parameter in self.parameters.items()
        }
        return sum(math.prod(map(len, box.values())) for box in self._boxes(values))

    def _named(self) -> dict[str, list[Any]]:
        """By parameter on which others depend, the values that their conditions name."""
        named: dict[str, list[Any]] = {}
        for condition in self.conditions.values():
            for parent, values in condition.items():
                if parent in self.parameters:
                    named.setdefault(parent, []).extend(values)
        return named

    def _boxes(self, values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Sequence[Any]]]:
        """All different configurations with these `values`, as products: the values of each parameter that is active.

        In one box are those with the same values that conditions name; all others of a parent make no difference.
        """
        groups: dict[str, list[list[Any]]] = {}
        for parent, named in self._named().items():
            rest = [value for value in values[parent] if value not in named]
            groups[parent] = [[value] for value in values[parent] if value in named] + ([rest] if rest else [])
        seen = set()
        for combination in itertools.product(*groups.values()):
            chosen = dict(zip(groups, combination, strict=True))
            whole = self._build(lambda name, chosen=chosen: chosen[name][0] if name in chosen else None)
            box = {name: chosen.get(name, values[name]) for name in self.parameters if name in whole}
            if (key := repr([(name, whole[name]) for name in groups if name in whole])) not in seen:
                seen.add(key)
                yield box


class Mesh:
    """The grid over a space, addressed by index and never listed as a whole.

    Each parameter has at most `points` values; those with few values (FEW), and categories, have all of theirs. What
    is inactive makes no copies: the mesh is a row of boxes, in each of which the same parameters are active, and each
    is the product of their values.
    """

    def __init__(self, space: Space, points: int) -> None:
        self.space = space
        self.values = {
            name: parameter.mesh(max(points, FEW) if (parameter.size or math.inf) <= FEW else points)
            for name, parameter in space.parameters.items()
        }
        boxes = space._boxes(self.values)  # noqa: SLF001
        self._boxes = [(box, math.prod(map(len, box.values()))) for box in boxes]
        self.size = sum(size for _, size in self._boxes)

    def at(self, unit: Sequence[float]) -> Config:
        """The configuration whose values are at these places, in [0, 1), of their lists."""
        place = dict(zip(self.values, unit, strict=True))
        return self.space._build(lambda name: self.values[name][int(place[name] * len(self.values[name]))])  # noqa: SLF001

    def __getitem__(self, index: int) -> Config:
        """Configuration number `index` (from 0); the last parameter varies fastest."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        place = 0
        while index >= self._boxes[place][1]:
            index -= self._boxes[place][1]
            place += 1
        chosen = {}
        for name, values in reversed(self._boxes[place][0].items()):
            index, digit = divmod(index, len(values))
            chosen[name] = values[digit]
        return self.space._build(chosen.__getitem__)  # noqa: SLF001


def _allowed(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return "one of " + ", ".join(map(str, parameter.choices))
    steps = f" in steps of {parameter.step:g}" if parameter.step else ""
    doubled = ", doubled" if isinstance(parameter, Int) and parameter.scale else ""
    return f"{parameter.low:g} to {parameter.high:g}{steps}{doubled}"


def _unit_mesh(points: int) -> list[float]:
    return [0.5] if points == 1 else [i / (points - 1) for i in range(points)]


def _spread(values: Sequence[Any], points: int) -> Sequence[Any]:
    """At most `points` of the values, evenly spread, both ends included."""
    if len(values) <= points:
        return values
    return [values[round(u * (len(values) - 1))] for u in _unit_mesh(points)]


def _short(value: float) -> float:
    """`value` with six significant digits: finer than any effect of it, and short enough to read and to type."""
    return float(f"{value:.6g}")


def _snapped(value: float, step: float) -> float:
    """`value` without the rounding noise of low + i * step, far below the step's own digits."""
    return round(value, 12 - math.floor(math.log10(step)))
