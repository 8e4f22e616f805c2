"""Bias and variance: how far a network is from its target, and how much of that is lost between train and dev."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.trial import TrialResult


@dataclass(frozen=True)
class Yardstick:
    """What scores are measured by.

    Attributes:
        metric: the study's metric.
        constant: by metric, the dev score of the best constant prediction (diagnosis.baseline).
        human_error: the error that a person makes, or that nobody can beat, or None: as a share of wrong rows for
            log_loss, error and accuracy, in the target's units for rmse and mae, else as the distance from 1.
    """

    metric: str
    constant: Mapping[str, float]
    human_error: float | None = None

    @property
    def judged(self) -> str:
        """The metric whose errors are compared: the study's, but accuracy where a share of wrong rows is the target."""
        return "accuracy" if self.metric == "log_loss" and self.human_error is not None else self.metric

    def error(self, score: float) -> float:
        """How far a score of the judged metric is from a perfect one; 0 or more but for rounding."""
        return 1 - score if self.judged in MAXIMIZED_METRICS else score

    @property
    def target(self) -> float:
        """The error to be reached: the human one, or none at all."""
        return self.human_error or 0.0

    @property
    def worth(self) -> float:
        """The error that there is to lose, from the constant prediction to the target; NaN where it is not known."""
        constant = self.constant.get(self.judged, math.nan)
        worth = self.error(constant) - self.target
        return worth if worth > 0 else math.nan


@dataclass(frozen=True)
class BiasVariance:
    """Errors of one network in the judged metric, and what they split into (TECHNIQUES 21).

    Attributes:
        train, dev: at the best epoch.
        fitted: the smallest error on train that its training came to, which says what the network is able to learn:
            at the best epoch much of it may still be missing, just because early stopping keeps the variance small.
        avoidable_bias: fitted less the target.
        variance: dev less fitted.
        worth: the yardstick's, to measure both by.
    """

    train: float
    dev: float
    fitted: float
    avoidable_bias: float
    variance: float
    worth: float


def bias_and_variance(
    result: TrialResult, curves: Mapping[str, Sequence[float | None]], yardstick: Yardstick
) -> BiasVariance | None:
    """The split of a trial's error; None where it has no scores on both parts."""
    name = yardstick.judged
    found = [result.metrics.get(f"{part}_{name}") for part in ("train", "dev")]
    if result.state is TrialState.FAIL or None in found:
        return None
    train, dev = (yardstick.error(score) for score in found)
    seen = curves.get("train_metric", []) if name == yardstick.metric else []
    fitted = min([train, *(yardstick.error(score) for score in seen if score is not None and math.isfinite(score))])
    return BiasVariance(train, dev, fitted, fitted - yardstick.target, dev - fitted, yardstick.worth)
