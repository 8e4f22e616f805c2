"""What a model that looks at no input would score: the bar below which nothing was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hpsearch.data.parts import Part


def constant_score(train: Part, dev: Part, metric: str, target_sd: float = 1.0) -> float:
    """The dev metric of the best constant prediction that the training part gives.

    For classes their shares in training, for values the training mean; `target_sd` turns standardised targets into
    units of the target.
    """
    if len(dev.labels):
        shares = np.bincount(train.labels, minlength=int(max(train.labels.max(), dev.labels.max())) + 1) / len(
            train.labels
        )
        rows, right = len(dev.labels), int(np.sum(dev.labels == np.argmax(shares)))
        recalled = float(right > 0) / len(np.unique(dev.labels))
        chance = {
            "accuracy": right / rows,
            "error": (rows - right) / rows,  # as the engine does it: who predicts the same scores the same
            "balanced_accuracy": recalled,
            "auc": 0.5,
        }
        if metric in chance:
            return chance[metric]
        return float(-np.mean(np.log(np.maximum(shares[dev.labels], np.finfo(np.float32).tiny))))
    values, mean = dev.targets.astype(float), float(np.mean(train.targets, dtype=float))
    if metric == "mae":
        return float(np.mean(np.abs(values - mean))) * target_sd
    squared = float(np.mean((values - mean) ** 2))
    return 1 - squared / max(float(np.var(values)), 1e-30) if metric == "r2" else squared**0.5 * target_sd
