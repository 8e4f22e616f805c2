"""A model judged on rows with known targets: scores with intervals, classes, confusion, calibration, trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.diagnosis.confidence import TRUST, calibration, trust_marks
from hpsearch.diagnosis.scores import class_scorer, intervals, value_scorer

if TYPE_CHECKING:
    from hpsearch.data.parts import Part
    from hpsearch.data.target import Target

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def judge_rows(target: Target, part: Part, predicted: np.ndarray, supports: np.ndarray | None) -> dict[str, Any]:
    """What a model's outputs for a part are worth, as plain data.

    `rows`, `scores`, `intervals` (both ends by metric), and what the task has beside.

    Of classes: `classes` (rows, recall, precision of each), `confusion` (class by what it was taken for),
    `calibration` (mean confidence, share right, rows of each bin), `ece`, `trust` (rows by mark) and `supported`
    (whether the marks are by support). Of values:
    `residual_sd`, and the quantiles QUANTILES of value less prediction, in units of the target.
    """
    if target.task == "classification":
        found = intervals(class_scorer(predicted, part.labels), len(part.inputs))
        more = _of_classes(target.classes, predicted, supports, part.labels)
    else:
        values, guesses = (target.original(known)[:, 0] for known in (part.targets, predicted))
        found = intervals(value_scorer(guesses, values), len(part.inputs))
        rest = values - guesses
        ends = np.quantile(rest, QUANTILES).tolist()
        more = {"residual_sd": float(rest.std()), "residual_quantiles": ends}
    return {
        "rows": len(part.inputs),
        "scores": {name: one.score for name, one in found.items()},
        "intervals": {name: [one.low, one.high] for name, one in found.items()},
        **more,
    }


def _of_classes(
    classes: list[Any], shares: np.ndarray, supports: np.ndarray | None, labels: np.ndarray
) -> dict[str, Any]:
    k, winners = shares.shape[1], shares.argmax(1)
    counts = np.bincount(labels * k + winners, minlength=k * k).reshape(k, k)
    sure = calibration(shares, labels)
    marks = trust_marks(shares, supports)
    return {
        "classes": [
            {
                "class": name,
                "rows": int(counts[c].sum()),
                "recall": _share(counts[c, c], counts[c].sum()),
                "precision": _share(counts[c, c], counts[:, c].sum()),
            }
            for c, name in enumerate(classes)
        ],
        "confusion": counts.tolist(),
        "calibration": [list(one) for one in sure.bins],
        "ece": sure.ece,
        "supported": supports is not None,
        "trust": {word: int((marks == word).sum()) for word in TRUST},
    }


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
