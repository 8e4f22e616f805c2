"""A guess at what a trial will cost, from what others did: a product with a factor for every side of the space.

Ridge regression of the logarithm of the cost (Hoerl and Kennard 1970, eq. 2.1): what is multiplied in it, width by
width by epochs, adds up there. On a logarithmic scale a factor is a power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.surrogate import Features

if TYPE_CHECKING:
    from collections.abc import Sequence

RIDGE = 0.1  # added to the sum of squares of each feature
FEWEST = 4  # results to guess from


class CostGuess:
    """Guesses costs in a unit cube; side i has `categories[i]` values without order, or a scale where that is 0."""

    def __init__(self, categories: Sequence[int]) -> None:
        self._features = Features(categories)
        self._slopes = np.zeros(len(self._features.side))

    def fit(self, places: np.ndarray, costs: np.ndarray) -> None:
        """Learn from points (n, sides) of the cube and what trials there cost (n,), above 0 and in any unit."""
        if len(costs) < FEWEST:
            return
        features, logs = self._features.of(places), np.log(costs)
        features -= features.mean(0)
        squares = features.T @ features
        squares[np.diag_indices_from(squares)] += RIDGE
        self._slopes = np.linalg.solve(squares, features.T @ (logs - logs.mean()))

    def guess(self, places: np.ndarray) -> np.ndarray:
        """Logarithms (n,) of costs at points (n, sides), but for a constant; all 0 while nothing is known."""
        return self._features.of(places) @ self._slopes
