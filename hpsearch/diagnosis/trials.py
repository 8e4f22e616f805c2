"""One word for how a trial went, from its curves and what was seen in its layers.

The first of these that holds. "What there is to lose" is the error of the best constant prediction less the target's:
the human error, or 0 (see bias.py).

- diverged: the loss left the finite numbers or exploded.
- vanishing: at most of the moments at which the layers were looked at, the first one's gradient was less than
  VANISHED of the last one's, while MUCH or more of what there is to lose is left on train.
- dead_units: at the end a hidden layer has DEAD or more of its units stuck, and LITTLE or more is left on train.
- unstable: the training loss rose twice or more from one epoch to the next by JUMP of all that it ever fell, the fall
  being counted from its first value or that of the constant prediction, whichever is less, and being LITTLE or more.
- plateau: MUCH or more is left on train, and the last third of the epochs lowered the training loss by less than
  FLAT of what all of them did, or it never fell: a plateau, a saddle point or a poor minimum.
- still_improving: the best epoch is the last that was allowed, and the last tenth brought GAIN or more.
- early_peak: the best epoch is within the first EARLY of those allowed, and dev has lost LITTLE or more since.
- high_variance, high_bias: the larger of the two, where it is LITTLE or more.
- ok: none of these.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.diagnosis.bias import BiasVariance, Yardstick, bias_and_variance
from hpsearch.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.trial import TrialResult

DIAGNOSES = (
    "diverged", "vanishing", "dead_units", "unstable", "plateau", "still_improving", "early_peak", "high_variance",
    "high_bias", "ok",
)  # fmt: skip
MUCH = 0.5  # shares of what there is to lose
LITTLE = 0.05
GAIN = 0.01
VANISHED = 1e-3
DEAD = 0.8
JUMP = 0.25
FLAT = 0.02
EARLY = 0.1
CONSTANT_LOSS = 0.5  # of the mean as a prediction of standardised values: half the mean of their squares
FEWEST_EPOCHS = 6  # with fewer there is no course to speak of


def diagnose(
    result: TrialResult,
    curves: Mapping[str, Sequence[float | None]],
    health: Mapping[str, Sequence[Any]],
    yardstick: Yardstick,
    allowed: int,
) -> str:
    """One of DIAGNOSES; nothing for a trial that failed otherwise than by diverging.

    curves, health: as in TrialResult. allowed: the epochs that it might have been trained for.
    """
    if result.error.startswith("diverged"):
        return "diverged"
    if result.state is TrialState.FAIL:
        return ""
    split = bias_and_variance(result, curves, yardstick)
    losses = _finite(curves.get("train_loss", []))
    left = split.fitted - yardstick.target if split else math.nan
    if left > MUCH * yardstick.worth and _vanished(health):
        return "vanishing"
    if left > LITTLE * yardstick.worth and _dead(health):
        return "dead_units"
    if _jumps(losses, yardstick.constant.get("log_loss", CONSTANT_LOSS)) >= 2:
        return "unstable"
    if left > MUCH * yardstick.worth and _flat(losses):
        return "plateau"
    return _by_best_epoch(result, curves, allowed, yardstick) or _dominant(split)


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _vanished(health: Mapping[str, Sequence[Any]]) -> bool:
    points = [point for point in health.get("grad_norm", []) if len(point) > 2 and None not in (point[0], point[-1])]
    return len(points) > 0 and sum(point[0] < VANISHED * point[-1] for point in points) * 2 > len(points)


def _dead(health: Mapping[str, Sequence[Any]]) -> bool:
    hidden = [layer[:-1] for layer in health.get("stuck", [])[-1:]]
    return any(share is not None and share >= DEAD for point in hidden for share in point)


def _jumps(losses: list[float], start: float) -> int:
    """How often the loss rose by JUMP of its largest fall, from `start` or its first value to its least."""
    if len(losses) < FEWEST_EPOCHS:
        return 0
    fall = min(losses[0], start) - min(losses)
    if fall < LITTLE * start:  # nothing was learned that could be lost
        return 0
    return sum(later - earlier > JUMP * fall for earlier, later in pairwise(losses))


def _flat(losses: list[float]) -> bool:
    if len(losses) < FEWEST_EPOCHS:
        return False
    before = min(losses[: len(losses) * 2 // 3])
    return before - min(losses) <= FLAT * max(losses[0] - min(losses), 0.0)


def _by_best_epoch(
    result: TrialResult, curves: Mapping[str, Sequence[float | None]], allowed: int, yardstick: Yardstick
) -> str:
    """What the place of the best epoch says; nothing if it says nothing."""
    best, dev = result.best_epoch, curves.get("dev_metric", [])
    if best is None or len(dev) < FEWEST_EPOCHS or yardstick.judged != yardstick.metric:
        return ""
    errors = [math.inf if score is None else yardstick.error(score) for score in dev]
    if best == result.epochs == allowed:
        before = min(errors[: -max(1, allowed // 10)])
        return "still_improving" if before - errors[best - 1] >= GAIN * yardstick.worth else ""
    lost = errors[-1] - errors[best - 1]
    return "early_peak" if best <= max(1, EARLY * allowed) and lost >= LITTLE * yardstick.worth else ""


def _dominant(split: BiasVariance | None) -> str:
    if split is None or math.isnan(split.worth):
        return ""
    if max(split.avoidable_bias, split.variance) < LITTLE * split.worth:
        return "ok"
    return "high_bias" if split.avoidable_bias >= split.variance else "high_variance"
