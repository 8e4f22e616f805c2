"""How far a single prediction is to be trusted."""

from __future__ import annotations

import numpy as np

TRUST = ("ok", "low", "ambiguous")
ENOUGH = 0.5  # a support, or share, below it speaks against a class rather than for it


def trust_marks(shares: np.ndarray, supports: np.ndarray | None) -> np.ndarray:
    """A word of TRUST for each row of shares (rows, classes): TECHNIQUES 8.

    `low`: not even the winner has a support of ENOUGH. `ambiguous`: another class has one too. Supports (rows, classes)
    are the sigmoids of the logistic output; a softmax has none, so its shares stand for them, and as these add up to 1
    they are never ambiguous.
    """
    supports = shares if supports is None else supports
    enough = np.count_nonzero(supports >= ENOUGH, axis=1)
    return np.select([enough == 1, enough == 0], TRUST[:2], TRUST[2])
