"""A cheap guess at scores that nobody has measured: smooth through the noise of those that were.

Kernel ridge regression (the mean of a Gaussian process; Rasmussen and Williams 2006, eq. 2.25) on the ranks of the
scores. Ranks, as normal scores, make one failed trial no worse than the last of the others, and mean the same for
every metric. How far each side of the cube reaches follows from how much of the ranks it explains by itself, so no
likelihood has to be maximised and a fit costs a fraction of a millisecond.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 5  # into which a side is cut to see what it explains
MISMATCH = 0.15  # squared distance of two different categories
REACH = 0.8  # of the kernel, where all sides weigh the same
NOISE = 0.5  # variance of the noise, that of the ranks being 1
SHARED_WEIGHT = 0.1  # no side weighs less, of the mean weight
CURIOSITY = 2.0  # how much a point gains where nothing is known


class Features:
    """Numbers for the points of a unit cube, whose side i has `categories[i]` values without order, or is a scale (0).

    All sides as they are, but categories replaced by 0; then a column for each category, 1 where a point has it.

    Attributes:
        side: of each feature.
        one_hot: which features are categories.
    """

    def __init__(self, categories: Sequence[int]) -> None:
        counts = np.array(categories, int)
        self._unordered = np.flatnonzero(counts)
        self.side = np.concatenate([np.arange(len(counts)), np.repeat(np.arange(len(counts)), counts)])
        self.one_hot = np.arange(len(self.side)) >= len(counts)
        self._counts = counts[self.side[self.one_hot]]
        self._choices = np.concatenate([np.arange(k) for k in counts.tolist()] or [[]]).astype(int)

    def of(self, places: np.ndarray) -> np.ndarray:
        """Points (n, sides) as (n, features)."""
        sides = places.shape[1]
        found = np.concatenate([places, places[:, self.side[sides:]]], axis=1)
        if len(self._unordered):
            found[:, self._unordered] = 0
            hot = found[:, sides:]
            hot[...] = (hot * self._counts).astype(int) == self._choices
        return found


class Surrogate:
    """Guesses scores in a unit cube; side i has `categories[i]` values without order, or a scale where that is 0."""

    def __init__(self, categories: Sequence[int]) -> None:
        counts = np.array(categories, int)
        self._bins = np.where(counts > 0, counts, BINS)
        self._first_bin = np.concatenate([[0], np.cumsum(self._bins)[:-1]])
        self._features = Features(categories)
        # Two different categories differ in two features.
        self._unit = np.where(self._features.one_hot, (MISMATCH / 2) ** 0.5, 1.0)

    def fit(self, places: np.ndarray, scores: np.ndarray) -> None:
        """Learn from points (n, sides) of the cube and their scores (n,), infinity for a failure."""
        normal = normal_scores(scores)
        self._scale = np.sqrt(self._weights(places, normal))[self._features.side] / REACH * self._unit
        self._points = self._scaled(places)
        kernel = self._kernel(self._points)
        kernel[np.diag_indices_from(kernel)] += NOISE
        self._coefficients = np.stack([np.linalg.solve(kernel, normal), np.ones(len(normal))], axis=1)

    def guess(self, places: np.ndarray, curiosity: float = CURIOSITY) -> np.ndarray:
        """The guessed normal scores (n,) at points (n, sides), less a bonus for little-known parts; smaller is better.

        With a kernel near 1 around known points, the sum of its values is about their number.
        """
        mean, known = (self._kernel(self._scaled(places)) @ self._coefficients).T
        return mean - curiosity / np.sqrt(1 + known)

    def _scaled(self, places: np.ndarray) -> np.ndarray:
        """Points (n, sides) as features (n, features) in units of the kernel's reach."""
        return self._features.of(places) * self._scale

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        """Rational quadratic with alpha = 2 (ibid., eq. 4.19) between `points` and those fitted."""
        known = self._points
        kernel = points @ (-2 * known.T)
        kernel += 1 + (known * known).sum(1)
        kernel += (points * points).sum(1)[:, None]
        np.maximum(kernel, 1, out=kernel)
        kernel *= kernel
        return np.reciprocal(kernel, out=kernel)

    def _weights(self, places: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """What each side counts in a distance (sides,), 1 on average.

        It grows with the square of the correlation between the ranks and the mean rank of the other points in the same
        part of this side.
        """
        bins = np.minimum((places * self._bins).astype(int), self._bins - 1) + self._first_bin
        total = int(self._bins.sum())
        counts = np.bincount(bins.ravel(), minlength=total)[bins]
        sums = np.bincount(bins.ravel(), np.repeat(normal, bins.shape[1]), total)[bins]
        foretold = (sums - normal[:, None]) / (counts - 0.5)
        spread = np.sqrt((foretold * foretold).mean(0)) + 1e-9
        weights = np.maximum((foretold * normal[:, None]).mean(0) / spread, 0) ** 2
        mean = weights.mean()
        return (weights + SHARED_WEIGHT * mean + 1e-3) / ((1 + SHARED_WEIGHT) * mean + 1e-3)


def normal_scores(scores: np.ndarray) -> np.ndarray:
    """The ranks of scores (n,) as quantiles of the normal distribution; equal scores share their mean rank."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(scores)]]))
    inverse = NormalDist().inv_cdf
    quantiles = [inverse(share) for share in ((starts + counts / 2) / len(scores)).tolist()]
    found = np.empty(len(scores))
    found[order] = np.repeat(quantiles, counts)
    return found
