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


def class_scorer(shares: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """The metrics of predicted shares (rows, classes) for labels (rows,), as a function of how often each row counts.

    As the engine has them: balanced accuracy and AUC are means over the classes that are there, one class against the
    rest where there are more than two. What is not defined is left out.
    """
    k = shares.shape[1]
    losses = -np.log(np.maximum(shares[np.arange(len(labels)), labels].astype(float), LEAST_SHARE))
    right = (shares.argmax(1) == labels).astype(float)
    ranked = [(np.unique(shares[:, c], return_inverse=True)[1], labels == c) for c in ([1] if k == 2 else range(k))]

    def scores(weights: np.ndarray) -> dict[str, float]:
        rows = weights.sum()
        accuracy = float(weights @ right / rows)
        there, found = np.bincount(labels, weights, k), np.bincount(labels, weights * right, k)
        present = there > 0
        areas = [area for place, own in ranked if (area := _area(place, own, weights)) is not None]
        return {
            "log_loss": float(weights @ losses / rows),
            "error": 1 - accuracy,
            "accuracy": accuracy,
            "balanced_accuracy": float(np.mean(found[present] / there[present])),
            **({"auc": float(np.mean(areas))} if areas else {}),
        }

    return scores


def _area(place: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float | None:
    """The weighted area under the ROC curve: how often a positive row has the larger share, ties counting half.

    place (rows,) is the rank of a row's share, equal shares having one rank.
    """
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    pairs = above.sum() * below.sum()
    return float(above @ (np.cumsum(below) - below / 2) / pairs) if pairs > 0 else None


def value_scorer(predicted: np.ndarray, values: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """The metrics of predictions (rows,) for values (rows,), in their units, by how often each row counts."""
    rest = values - predicted

    def scores(weights: np.ndarray) -> dict[str, float]:
        rows, squared = weights.sum(), float(weights @ rest**2)
        spread = float(weights @ (values - weights @ values / rows) ** 2)
        found = {"rmse": math.sqrt(squared / rows), "mae": float(weights @ np.abs(rest) / rows)}
        return found | ({"r2": 1 - squared / spread} if spread > 0 else {})

    return scores


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
