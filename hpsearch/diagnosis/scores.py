"""Every metric from predictions, with the interval in which it would lie for other rows like these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    Scorer = Callable[[np.ndarray], float | None]

CLASS_METRICS = ("log_loss", "error", "accuracy", "balanced_accuracy", "auc")
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


def class_scorer(
    shares: np.ndarray, labels: np.ndarray, wanted: Collection[str] = CLASS_METRICS
) -> Callable[[np.ndarray], dict[str, float]]:
    """The wanted metrics of predicted shares (rows, classes) for labels (rows,), by how often each row counts.

    As the engine has them: balanced accuracy and AUC are means over the classes that are there, one class against the
    rest where there are more than two. What is not defined is left out.
    """
    k = shares.shape[1]
    makers = {
        "log_loss": lambda: _log_loss(shares, labels),
        "error": lambda: _error(shares, labels),
        "accuracy": lambda: _accuracy(shares, labels),
        "balanced_accuracy": lambda: _balanced_accuracy(shares, labels),
        "auc": lambda: _mean_area(shares, labels, [1] if k == 2 else range(k)),
    }
    scorers = {name: makers[name]() for name in CLASS_METRICS if name in wanted}

    def scores(weights: np.ndarray) -> dict[str, float]:
        found = {name: scorer(weights) for name, scorer in scorers.items()}
        return {name: value for name, value in found.items() if value is not None}

    return scores


def _log_loss(shares: np.ndarray, labels: np.ndarray) -> Scorer:
    losses = -np.log(np.maximum(shares[np.arange(len(labels)), labels].astype(float), LEAST_SHARE))
    return lambda weights: float(weights @ losses / weights.sum())


def _accuracy(shares: np.ndarray, labels: np.ndarray) -> Scorer:
    right = (shares.argmax(1) == labels).astype(float)
    return lambda weights: float(weights @ right / weights.sum())


def _error(shares: np.ndarray, labels: np.ndarray) -> Scorer:
    accuracy = _accuracy(shares, labels)
    return lambda weights: 1 - accuracy(weights)


def _balanced_accuracy(shares: np.ndarray, labels: np.ndarray) -> Scorer:
    k, right = shares.shape[1], (shares.argmax(1) == labels).astype(float)

    def score(weights: np.ndarray) -> float:
        there, found = np.bincount(labels, weights, k), np.bincount(labels, weights * right, k)
        present = there > 0
        return float(np.mean(found[present] / there[present]))

    return score


def _mean_area(shares: np.ndarray, labels: np.ndarray, classes: Iterable[int]) -> Scorer:
    ranked = [(np.unique(shares[:, c], return_inverse=True)[1], labels == c) for c in classes]

    def score(weights: np.ndarray) -> float | None:
        areas = [area for place, own in ranked if (area := _area(place, own, weights)) is not None]
        return float(np.mean(areas)) if areas else None

    return score


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
