"""How far predictions are to be trusted: a single one, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass

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


BINS = 10  # of confidence, equally wide


@dataclass(frozen=True)
class Calibration:
    """How often a classifier is right beside how sure it is.

    Attributes:
        bins: for each part of [0, 1] with rows in it: mean confidence, share that was right, rows.
        ece: the expected calibration error, the mean over rows of the distance between the two.
    """

    bins: list[tuple[float, float, int]]
    ece: float


def calibration(shares: np.ndarray, labels: np.ndarray) -> Calibration:
    """The reliability curve of predicted shares (rows, classes) for true labels (rows,).

    Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, eq. 3: confidence is the share of
    the predicted class.
    """
    winners = shares.argmax(1)
    sure = shares[np.arange(len(shares)), winners].astype(float)
    right = (winners == labels).astype(float)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    filled = np.flatnonzero(rows)
    mean_sure, mean_right = (np.bincount(place, v, BINS)[filled] / rows[filled] for v in (sure, right))
    bins = [*zip(mean_sure.tolist(), mean_right.tolist(), rows[filled].tolist(), strict=True)]
    return Calibration(bins, float(np.abs(mean_sure - mean_right) @ rows[filled] / len(labels)))
