"""From what limits the best trials to what to try next: the lecture's list (TECHNIQUES 22) as ranges to search.

Each remedy is a function from the space that was searched and the winner to texts as `-p` takes them; none where the
space has no room for it. Every new range holds the winner's value, so that the next search can begin with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.engine.hyperparameters import HYPERPARAMETERS
from hpsearch.space import Categorical, Float, Int

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hpsearch.space import Space

MORE_LAYERS = 2
MOST_LAYERS = 8
MORE_UNITS = 4
MOST_UNITS = 1024
FACTOR = 10.0  # by which a range on a logarithmic scale is moved
STEADY = ("silu", "gelu", "leaky_relu")  # activations whose units cannot die


@dataclass(frozen=True)
class Situation:
    """What a remedy looks at: the space, the winner's configuration with all defaults, and what the rows are."""

    space: Space
    winner: Mapping[str, Any]
    task: str
    images: bool = False

    def searched(self, name: str) -> Any:
        """The parameter of the space; None where it is fixed."""
        return self.space.parameters.get(name)

    def value(self, name: str) -> Any:
        """The winner's value; the default where it does not say."""
        return self.winner.get(name, HYPERPARAMETERS[name].default)


@dataclass(frozen=True)
class Advice:
    """What to do, and the ranges that do it, as `-p` takes them; some things no range can do."""

    text: str
    ranges: tuple[str, ...] = ()


Remedy = tuple[str, "Callable[[Situation], str]"]


def advice_for(limit: str, situation: Situation) -> list[Advice]:
    """What helps against this limit (one of REMEDIES), the most promising first."""
    found = []
    for text, *makers in REMEDIES.get(limit, ()):
        ranges = tuple(filter(None, (make(situation) for make in makers)))
        if ranges or not makers:
            found.append(Advice(text, ranges))
    return found


def _layers(it: Situation) -> str:
    if it.value("hidden") is not None:
        return ""
    best = it.value("layers")
    return f"layers={min(best, max(1, best - 1))}:{min(max(best + MORE_LAYERS, 2), max(MOST_LAYERS, best))}"


def _units(it: Situation) -> str:
    best = it.value("units")
    if it.value("hidden") is not None or best >= MOST_UNITS:
        return ""
    return _units_between(best, best * MORE_UNITS)


def _fewer_units(it: Situation) -> str:
    best = it.value("units")
    return "" if it.value("hidden") is not None or best < 16 else _units_between(best // 4, best)


def _units_between(low: int, high: int) -> str:
    powers = all(end & (end - 1) == 0 for end in (low, high))
    return f"units={low}:{high}" + (":x2" if powers else "")


def _epochs(it: Situation) -> str:
    epochs = it.searched("epochs")
    if isinstance(epochs, Int):
        return f"epochs={epochs.high}:{2 * epochs.high}" if it.value("epochs") == epochs.high else ""
    return f"epochs={2 * it.value('epochs')}"


def _rate(it: Situation, way: int) -> str:
    """The learning rate from the winner's to FACTOR times less (way -1) or more (1), and a little to the other side."""
    best, limit = it.value("learning_rate"), HYPERPARAMETERS["learning_rate"].high
    low, high = (best / FACTOR, best * 2) if way < 0 else (best / 2, best * FACTOR)
    return f"learning_rate={_round(low, -1)}:{_round(min(high, limit), 1)}:log"


def _more_of(name: str, least: float, most: float) -> Callable[[Situation], str]:
    """A strength on a logarithmic scale, from the winner's to FACTOR times the strongest so far."""

    def make(it: Situation) -> str:
        best, searched = it.value(name), it.searched(name)
        if not isinstance(best, int | float):
            return ""
        strongest = searched.high if isinstance(searched, Float) else best
        high = min(max(strongest * FACTOR, most), HYPERPARAMETERS[name].high or math.inf)
        if best <= 0:
            return f"{name}=0:{_round(most, 1)}" if searched is None else ""
        low = min(best, high / FACTOR)
        return f"{name}={_round(max(low, min(least, best)), -1)}:{_round(high, 1)}:log"

    return make


def _less_of(name: str) -> Callable[[Situation], str]:
    """A strength on a logarithmic scale, from FACTOR times less than the weakest so far to the winner's."""

    def make(it: Situation) -> str:
        best, searched = it.value(name), it.searched(name)
        if not isinstance(best, int | float) or best <= 0:
            return ""
        weakest = searched.low if isinstance(searched, Float) and searched.low > 0 else best
        return f"{name}={_round(weakest / FACTOR, -1)}:{_round(best * 2, 1)}:log"

    return make


def _share(name: str, most: float) -> Callable[[Situation], str]:
    """A share that was not searched yet, from nothing on."""

    def make(it: Situation) -> str:
        best = it.value(name)
        if it.searched(name) is not None or not isinstance(best, int | float):
            return ""
        return f"{name}=0:{max(most, best):g}"

    return make


def _smoothing(it: Situation) -> str:
    return _share("label_smoothing", 0.2)(it) if it.task == "classification" else ""


def _augment(it: Situation) -> str:
    if it.searched("augment") is not None or any(name.startswith("augment.") for name in it.winner):
        return ""
    ours = it.value("augment")
    wanted = ["none", "shift+rotate+scale" if it.images else "noise"]
    return "augment=" + ",".join(dict.fromkeys([ours, *wanted]))


def _other(name: str, *choices: str) -> Callable[[Situation], str]:
    """Values of the list that were not searched, and the winner's."""

    def make(it: Situation) -> str:
        best, searched = str(it.value(name)).lower(), it.searched(name)
        tried = [str(choice).lower() for choice in searched.choices] if isinstance(searched, Categorical) else [best]
        new = [choice for choice in choices if choice not in tried]
        return f"{name}=" + ",".join([best, *new]) if new else ""

    return make


def _clip(it: Situation) -> str:
    return "" if it.searched("clip_norm") is not None or it.value("clip_norm") else "clip_norm=0,1,10"


def _round(value: float, way: int) -> str:
    """Two significant digits, downwards (way -1) or upwards (1), so that a range never loses its end."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    near = value / step
    whole = math.floor(near + 1e-9) if way < 0 else math.ceil(near - 1e-9)
    return f"{whole * step:.2g}"


def _slower(it: Situation) -> str:
    return _rate(it, -1)


def _faster(it: Situation) -> str:
    return _rate(it, 1)


_NORM = _other("batch_norm", "true", "false")
_SCHEDULE = _other("schedule", "constant", "cosine")
REMEDIES: dict[str, tuple[Any, ...]] = {
    "high_bias": (
        ("a bigger network", _layers, _units),
        ("training for longer", _epochs),
        ("less of what holds it back", _less_of("l2"), _less_of("weight_decay")),
        ("another learning rate and schedule", _faster, _SCHEDULE),
        ("another activation", _other("activation", "silu", "relu", "tanh", "gelu", "selu")),
        ("other inputs: more columns, or ones made from these",),
    ),
    "high_variance": (
        ("more regularisation", _more_of("l2", 1e-5, 1.0), _share("dropout", 0.5), _smoothing),
        ("augmentation", _augment),
        ("a smaller network", _fewer_units),
        ("more rows to learn from",),
    ),
    "still_improving": (("training for longer", _epochs), ("larger steps", _faster)),
    "early_peak": (
        ("smaller steps", _slower),
        ("more regularisation", _more_of("l2", 1e-5, 1.0), _share("dropout", 0.5)),
    ),
    "unstable": (
        ("smaller steps", _slower, _SCHEDULE),
        ("shorter gradients", _clip),
    ),
    "diverged": (("smaller steps", _slower), ("shorter gradients", _clip)),
    "dead_units": (
        ("activations whose units cannot die", _other("activation", *STEADY)),
        ("smaller steps", _slower),
    ),
    "vanishing": (
        ("activations that pass gradients on", _other("activation", "relu", *STEADY)),
        ("batch normalisation", _NORM),
        ("larger steps", _faster),
    ),
    "plateau": (
        ("larger steps", _faster, _SCHEDULE),
        ("another optimiser", _other("optimizer", "adam", "nesterov", "rmsprop")),
        ("batch normalisation", _NORM),
    ),
}
