"""The panda: one model, watched and patiently improved, one change at a time (TECHNIQUES 28).

Each trial changes what the diagnosis of the best configuration so far asks for. A change that seems to help is trained
once more with other random numbers, and is kept only if the mean of its scores is better beyond their noise; else it is
rolled back. How large the noise is, every repetition of a configuration says, and the first one is that of the start.
What is done is a function of the space and of what all trials before came to, so a run that goes on does the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hpsearch.diagnosis.averaging import smoothed
from hpsearch.space import Categorical, Float, Int
from hpsearch.strategies.base import Course, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hpsearch.space import Config, Space

RANGE_TEST = {"schedule": "rising"}
RANGE_SHARE = 0.25  # of the epochs of a trial
FEWEST_RANGE_EPOCHS = 12
SMOOTHING = 0.5
SAFETY = 3.0  # the rate that is suggested is so many times below the one at which a loss was least
WORTH_A_TRIAL = 1.5  # factor between the suggested rate and that of the start
PROMISING = 0.5  # standard errors better: trained once more
LEAP = 100.0  # a factor from which on a step further in the same direction is its root
BEYOND_NOISE = 1.0  # standard errors better, with the repetition: kept


@dataclass(frozen=True)
class Move:
    """A change of one hyperparameter.

    `by` is a factor, a word to change to, or, where `added` is true, a number to add.
    """

    name: str
    by: Any
    added: bool = False


@dataclass(frozen=True)
class Step:
    """What one trial is for.

    Attributes:
        kind: start, again (the start once more, for the noise), range (of the learning rate), change, confirm.
        config: the configuration.
        changed: by name the value before and the new one.
        why: in words.
        move: that of a change, and of its confirmation.
    """

    kind: str
    config: Config
    changed: dict[str, tuple[Any, Any]]
    why: str
    move: Move | None = None

    def __str__(self) -> str:
        changed = ", ".join(f"{name} {_short(old)} -> {_short(new)}" for name, (old, new) in self.changed.items())
        return f"{changed} ({self.why})" if changed else self.why


def _factors(name: str, *factors: float) -> tuple[Move, ...]:
    return tuple(Move(name, factor) for factor in factors)


def _words(name: str, *words: object) -> tuple[Move, ...]:
    return tuple(Move(name, word) for word in words)


RATE_UP, RATE_DOWN = _factors("learning_rate", 3, 1.6), _factors("learning_rate", 1 / 3, 1 / 1.6)
BIGGER = (Move("units", 2), Move("layers", 1, added=True))
SMALLER = (Move("units", 0.5), Move("layers", -1, added=True))
PENALTY = _factors("l2", 1e4, 1e3, 10)  # from hardly any at once to what can be felt, then in steps
DROPOUT = (Move("dropout", 0.15, added=True), Move("label_smoothing", 0.05, added=True))
FREEDOM = (*_factors("l2", 0.1), Move("dropout", -0.15, added=True))
BATCH_DOWN, BATCH_UP = (Move("batch_size", 0.5),), (Move("batch_size", 2),)
SCHEDULE = _words("schedule", "cosine", "constant")
ACTIVATIONS = _words("activation", "relu", "selu", "tanh", "silu", "gelu")
SMOOTH = _words("activation", "silu", "gelu")
INPUTS = _words("normalize", "piecewise_linear", "piecewise_and_linear", "standard", "robust_clip", "robust")
NORM = (Move("batch_norm", by=True), Move("batch_norm", by=False))
LONGER = (Move("epochs", 2),)
AUGMENT = _words("augment", "shift+rotate+scale", "noise", "none")
# Another activation and another scaling of the inputs are of no direction, and pay as often as anything.
OTHERS = (ACTIVATIONS[:3], INPUTS)

# What helps first, by the word for how the best configuration went; then everything.
ORDER = {
    "high_bias": (RATE_UP[:1], *OTHERS, BATCH_DOWN, RATE_DOWN[:1], BIGGER, SCHEDULE, FREEDOM[:1], LONGER),
    "high_variance": (PENALTY[:1], AUGMENT, ACTIVATIONS[:3], PENALTY[1:2], DROPOUT, INPUTS, RATE_DOWN[:1], SMALLER),
    "still_improving": (RATE_UP[:1], LONGER, BATCH_DOWN, *OTHERS, BIGGER),
    "early_peak": (PENALTY[:1], RATE_DOWN[:1], AUGMENT, ACTIVATIONS[:3], PENALTY[1:2], DROPOUT, INPUTS, SMALLER),
    "unstable": (RATE_DOWN[:1], SCHEDULE, BATCH_UP, NORM),
    "plateau": (RATE_UP[:1], RATE_DOWN[:1], NORM, BIGGER),
    "dead_units": (SMOOTH, RATE_DOWN[:1], NORM),
    "vanishing": (ACTIVATIONS[:1], NORM, RATE_UP[:1], SMALLER[1:]),
    "diverged": (RATE_DOWN[:1],),
}
EVERYTHING = (
    PENALTY[:1], *OTHERS, RATE_UP[:1], RATE_DOWN[:1], BATCH_DOWN, PENALTY[1:], AUGMENT, SCHEDULE, BIGGER, DROPOUT,
    SMALLER, BATCH_UP, RATE_UP[1:], RATE_DOWN[1:], FREEDOM, ACTIVATIONS[3:], NORM, LONGER,
)  # fmt: skip


class Babysitter(Strategy):
    """See the module. `defaults` is the configuration to start with; what is fixed in the space is never changed.

    Attributes:
        approve: asked before a change is tried, if it is there; what it says no to is not asked for again.
        ledger: what was done, a line (see _Case.take) for each trial that was taken in.
    """

    curious = True

    def __init__(self, space: Space, seed: int, defaults: Mapping[str, Any]) -> None:
        super().__init__(space, seed, lag=1)
        self.limit = None
        self.approve: Callable[[int, Step], bool] | None = None
        self._results: dict[int, tuple[Config, float]] = {}
        self._courses: dict[int, Course] = {}
        self._case = _Case(space, defaults)
        self._taken = 0
        self.ledger: list[dict[str, Any]] = []

    def begin_with(self, results: Sequence[tuple[Config, float]]) -> None:
        """Nothing is learned of an earlier search but where to start, which `defaults` says."""

    def prepare(self, number: int) -> None:
        """Take in what the trials before came to."""
        while self._taken < number:
            config, score = self._results.pop(self._taken)
            self.ledger.append(self._case.take(self._taken, config, score, self._courses.pop(self._taken)))
            self._taken += 1

    def ready(self, number: int) -> bool:
        """Whether all trials before were told and shown."""
        return all(n in self._results and n in self._courses for n in range(self._taken, number))

    def tell(self, number: int, config: Config, score: float, cost: float | None = None) -> None:  # noqa: ARG002
        """Tell the score (smaller is better, infinity for a failure) of a trial."""
        self._results[number] = config, score

    def see(self, number: int, course: Course) -> None:
        """Show how a trial went."""
        self._courses[number] = course

    def refuse(self, config: Config) -> None:
        """Never change to this configuration."""
        self._case.refuse(config)

    def step(self, number: int) -> Step:
        """What trial `number`, which is `ready`, is for."""
        self.prepare(number)
        return self._case.next()

    def _propose(self, number: int) -> Config:
        step = self.step(number)
        while self.approve and step.kind == "change" and not self.approve(number, step):
            self.refuse(step.config)
            step = self.step(number)
        return step.config

    def _note(self, number: int, config: Config) -> bytes:  # noqa: ARG002 - the same one may be trained again
        return b""


class _Case:
    """The model under care: what was tried, what is kept, and what comes next."""

    def __init__(self, space: Space, defaults: Mapping[str, Any]) -> None:
        self._space = space
        self.kept = space.nearest(defaults)
        self._scores: dict[str, list[float]] = {}
        self._words: dict[str, str] = {}
        self._pending: Step | None = None
        self._last: Move | None = None
        self._suggested: float | None = None
        self._tested = False
        self._refused: set[str] = set()
        self._step: Step | None = None

    def refuse(self, config: Config) -> None:
        """Somebody does not want this configuration."""
        self._refused.add(_key(config))
        self._step = None

    def next(self) -> Step:
        """What to do now."""
        if self._step is None:
            self._step = self._decide()
        return self._step

    def take(self, number: int, config: Config, score: float, course: Course) -> dict[str, Any]:
        """Learn what a trial came to; its line in the ledger."""
        step, self._step = self.next(), None
        if config != step.config:  # somebody chose otherwise
            step = Step("change", config, changes(self.kept, config), "chosen by hand")
        saw = self._words.get(_key(self.kept), "")
        if step.kind == "range":
            self._tested, self._suggested = True, suggested_rate(course.curves)
            outcome = f"learning rate {self._suggested:g} suggested" if self._suggested else "nothing to be seen"
        elif not course.whole:
            # Nothing is learned of a training that somebody ended, but that this change is not wanted now.
            if step.kind in ("change", "confirm"):
                self._refused.add(_key(step.config))
            self._pending, outcome = None, "ended before its time"
        else:
            outcome = self._judge(step, score, course.diagnosis)
        return {
            "trial": number,
            "kind": step.kind,
            "saw": saw,
            "changed": {name: {"from": old, "to": new} for name, (old, new) in step.changed.items()},
            "why": step.why,
            "diagnosis": course.diagnosis,
            "score": score if math.isfinite(score) else None,
            "outcome": outcome,
            "hyperparameters": config,
        }

    def _judge(self, step: Step, score: float, word: str) -> str:
        key = _key(step.config)
        self._scores.setdefault(key, []).append(score)
        self._words[key] = word
        if key == _key(self.kept):
            return "start" if step.kind == "start" else "the noise is known better"
        ours, theirs = self._mean(step.config), self._mean(self.kept)
        error = self._noise() * math.sqrt(1 / len(self._scores[key]) + 1 / len(self._scores[_key(self.kept)]))
        if step.kind == "change" and ours < theirs - PROMISING * error:
            self._pending = Step(
                "confirm", step.config, step.changed, "it seems better: once more, to be sure", step.move
            )
            return "promising"
        self._pending = None
        if step.kind == "confirm" and ours < theirs - BEYOND_NOISE * error:
            self.kept, self._last = step.config, step.move
            return "kept"
        self._last = None
        return "rolled back"

    def _mean(self, config: Config) -> float:
        return fmean(self._scores[_key(config)])

    def _noise(self) -> float:
        """The standard deviation of a score over repetitions, pooled over all configurations that have some."""
        squares, freedom = 0.0, 0
        for scores in self._scores.values():
            finite = [score for score in scores if math.isfinite(score)]
            if len(finite) > 1:
                squares += sum((score - fmean(finite)) ** 2 for score in finite)
                freedom += len(finite) - 1
        return math.sqrt(squares / freedom) if freedom else 0.0

    def _decide(self) -> Step:
        if not self._scores:
            return Step("start", self.kept, {}, "where it starts")
        if len(self._scores) == 1 and len(self._scores[_key(self.kept)]) == 1:
            return Step("again", self.kept, {}, "the same once more: how far do scores differ by chance?")
        if not self._tested and (test := self._range_test()):
            return test
        if self._pending is not None:
            return self._pending
        for move, why in self._moves():
            config = moved(self._space, self.kept, move)
            if config is not None and _key(config) not in self._scores.keys() | self._refused:
                return Step("change", config, changes(self.kept, config), why, move)
        return Step("again", self.kept, {}, "nothing is left to change: the noise of the score once more")

    def _range_test(self) -> Step | None:
        rate, schedule = (self._space.parameters.get(name) for name in ("learning_rate", "schedule"))
        if not isinstance(rate, Float) or not isinstance(schedule, Categorical) or "rising" not in schedule.choices:
            return None
        epochs = min(self.kept["epochs"], max(FEWEST_RANGE_EPOCHS, int(RANGE_SHARE * self.kept["epochs"])))
        if "epochs" in self._space.parameters:
            epochs = self._space.parameters["epochs"].nearest(epochs)
            epochs = min(epochs, self.kept["epochs"])
        new = {"learning_rate": rate.high, "epochs": epochs, "patience": self._most_patience()}
        config = self.kept | RANGE_TEST | new
        return Step("range", config, changes(self.kept, config), "at which learning rates does the loss fall?")

    def _most_patience(self) -> int:
        """No early stopping, or what comes nearest to it in the space."""
        parameter = self._space.parameters.get("patience")
        if parameter is None or parameter.nearest(0) == 0:
            return 0
        return max(parameter.choices) if isinstance(parameter, Categorical) else parameter.high

    def _moves(self) -> Iterator[tuple[Move, str]]:
        """Moves and why, the most promising first."""
        if self._suggested:
            factor = self._suggested / self.kept["learning_rate"]
            if max(factor, 1 / factor) > WORTH_A_TRIAL:
                yield Move("learning_rate", factor), "the range test suggests this learning rate"
        if self._last is not None and not isinstance(self._last.by, str | bool):
            by = self._last.by
            further = by if self._last.added or by < LEAP else math.sqrt(by)
            yield replace(self._last, by=further), "that helped: further in the same direction"
        word = self._words.get(_key(self.kept), "")
        for move in chain(*ORDER.get(word, ())):
            yield move, f"{word}: this is what helps against it"
        for move in chain(*EVERYTHING):
            yield move, f"{word or 'nothing known'}: next in turn"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()


def _key(config: Config) -> str:
    return json.dumps(config, sort_keys=True)


def changes(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """By name the values in which two configurations differ, old and new; None where there is none."""
    names = dict.fromkeys((*old, *new))
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def moved(space: Space, config: Config, move: Move) -> Config | None:
    """The configuration after a move, within the space; None where the move leads nowhere."""
    parameter = space.parameters.get(move.name)
    value = config.get(move.name)
    if parameter is None or value is None:
        return None
    if isinstance(parameter, Categorical):
        new = _choice(parameter.choices, value, move)
        if new is None:
            return None
    elif isinstance(move.by, str | bool) or isinstance(value, str):
        return None
    else:
        wanted = value + move.by if move.added else value * move.by
        if wanted == 0 and not move.added:
            return None
        inside = min(max(wanted, parameter.low), parameter.high)
        new = parameter.nearest(round(inside) if isinstance(parameter, Int) else float(f"{inside:.3g}"))
        if new == value:
            return None
    return space.adopted(space.completed(config | {move.name: new}, config)) | _beside(space, config)


def _choice(choices: Sequence[Any], value: Any, move: Move) -> Any:
    """What a move makes of one of some choices: the word itself, or of numbers the nearest one in its direction."""
    if isinstance(move.by, str | bool):
        return next((c for c in choices if c == move.by and type(c) is type(move.by) and c != value), None)
    if not _is_number(value):
        return None
    wanted = value + move.by if move.added else value * move.by
    further = [c for c in choices if _is_number(c) and (c - value) * (wanted - value) > 0]
    return min(further, key=lambda choice: abs(choice - wanted), default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _beside(space: Space, config: Config) -> Config:
    """What a configuration has that is no parameter of the space."""
    return {name: value for name, value in config.items() if name not in space.parameters}


def suggested_rate(curves: Mapping[str, Sequence[float | None]]) -> float | None:
    """The learning rate that a range test suggests; None where nothing can be seen.

    SAFETY below the one at which the smoothed loss was least, on train or on dev, whichever came first: a network that
    learns all rows by heart on the way goes on learning at any rate.
    """
    found = []
    for part in ("train_loss", "dev_loss"):
        losses = smoothed(curves.get(part, []), SMOOTHING)
        known = [
            (loss, rate) for loss, rate in zip(losses, curves.get("learning_rate", []), strict=True) if loss and rate
        ]
        found += [min(known)[1]] if known else []
    return float(f"{min(found) / SAFETY:.2g}") if found else None
