"""Every metric from predictions, with the interval in which it would lie for other rows like these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

RESAMPLES = 1000
FEWER_RESAMPLES = 200
MANY_ROWS = 20_000  # from here on FEWER_RESAMPLES do
COVERAGE = 0.95
LEAST_SHARE = float(np.finfo(np.float32).tiny)  # the engine's floor of a probability


@dataclass(frozen=True)
class Interval:
    """A score and the ends of its bootstrap interval of COVERAGE."""

    score: float
    low: float
    high: float


def classified(shares: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of predicted shares (rows, classes) for labels (rows,); a row counts `weights` (rows,) times.

    As the engine has them: balanced accuracy and AUC are means over the classes that are there, one class against the
    rest where there are more than two. What is not defined is left out.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    rows, own = weights.sum(), shares[np.arange(len(labels)), labels].astype(float)
    right = shares.argmax(1) == labels
    accuracy = float(weights @ right / rows)
    there = np.bincount(labels, weights, shares.shape[1])
    found = np.bincount(labels, weights * right, shares.shape[1])
    present = there > 0
    scores = {
        "log_loss": float(weights @ -np.log(np.maximum(own, LEAST_SHARE)) / rows),
        "error": 1 - accuracy,
        "accuracy": accuracy,
        "balanced_accuracy": float(np.mean(found[present] / there[present])),
    }
    classes = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    areas = [area for c in classes if (area := _area(shares[:, c], labels == c, weights)) is not None]
    return scores | ({"auc": float(np.mean(areas))} if areas else {})


def _area(shares: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float | None:
    """The weighted area under the ROC curve: how often a positive row has the larger share, ties counting half."""
    _, place = np.unique(shares, return_inverse=True)
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    pairs = above.sum() * below.sum()
    return float(above @ (np.cumsum(below) - below / 2) / pairs) if pairs > 0 else None


def regressed(predicted: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of predictions (rows,) for values (rows,), in their units; a row counts `weights` (rows,) times."""
    weights = np.ones(len(values)) if weights is None else weights
    rest, rows = values - predicted, weights.sum()
    squared = float(weights @ rest**2)
    spread = float(weights @ (values - weights @ values / rows) ** 2)
    scores = {"rmse": math.sqrt(squared / rows), "mae": float(weights @ np.abs(rest) / rows)}
    return scores | ({"r2": 1 - squared / spread} if spread > 0 else {})


def intervals(scores: Callable[[np.ndarray], dict[str, float]], rows: int, seed: int = 0) -> dict[str, Interval]:
    """Each metric of `rows` rows with its percentile interval (Efron and Tibshirani 1993, section 13.3).

    `scores` takes how often each row counts (rows,). Rows are drawn with replacement; the same seed, the same ends.
    """
    chance = np.random.default_rng(seed)
    draws = [
        scores(np.bincount(chance.integers(rows, size=rows), minlength=rows).astype(float))
        for _ in range(RESAMPLES if rows < MANY_ROWS else FEWER_RESAMPLES)
    ]
    found = {}
    for name, score in scores(np.ones(rows)).items():
        known = [draw[name] for draw in draws if name in draw]
        low, high = np.quantile(known, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        found[name] = Interval(score, float(low), float(high))
    return found
