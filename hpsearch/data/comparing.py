"""Do train, dev and test come from one distribution? One test per column, and a sentence when they do not."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from hpsearch.data.plain import show
from hpsearch.data.values import as_float64, as_text, is_number

_ERROR_RATE = 0.001  # of a false alarm in any column of the table
_VISIBLE = 0.1  # a smaller distance does not matter, however sure it is
_MOST_ROWS = 50_000  # enough to see a distance of 0.1


def compare_parts(frame: pl.DataFrame, parts: dict[str, np.ndarray]) -> list[str]:
    """Return a sentence for each column whose distribution in dev or test is not that of train.

    The distance is Kolmogorov's and Smirnov's, the largest difference of the two cumulative distributions; of
    text it is taken over the sorted levels, where the same bound holds and is only more careful. Missing is a
    value of its own.

    Args:
        frame: (rows, columns) the columns to compare.
        parts: row indices by part; `train` must be one.
    """
    names = ["train", *(name for name, rows in parts.items() if name != "train" and len(rows))]
    chosen = [_thinned(parts[name]) for name in names]
    bounds = np.cumsum([len(rows) for rows in chosen])[:-1]
    together = pl.Series(np.concatenate(chosen))
    level = _ERROR_RATE / max(frame.width * (len(names) - 1), 1)
    sentences = []
    for values in frame.iter_columns():
        train, *others = (np.sort(part) for part in np.split(_codes(values.gather(together)), bounds))
        for name, other in zip(names[1:], others, strict=True):
            distance = _distance(train, other)
            bound = math.sqrt(-math.log(level / 2) / 2 * (1 / len(train) + 1 / len(other)))
            if distance > max(bound, _VISIBLE):
                sentences.append(
                    f"column {show(values.name)} is distributed otherwise in {name} than in train "
                    f"(largest difference {100 * distance:.0f} %)"
                )
    return sentences


def _thinned(rows: np.ndarray) -> np.ndarray:
    return rows[:: -(-len(rows) // _MOST_ROWS)] if len(rows) > _MOST_ROWS else rows


def _codes(values: pl.Series) -> np.ndarray:
    """Return (rows,) float64 in the order of the values, missing first."""
    if is_number(values.dtype) or values.dtype.is_temporal():
        numbers = as_float64(values if is_number(values.dtype) else values.to_physical())
        return np.where(np.isnan(numbers), -np.inf, numbers)
    return as_text(values).rank("dense").fill_null(0).cast(float).to_numpy()


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of two cumulative distributions, given as sorted samples."""
    places = np.concatenate([first, second])
    below = [np.searchsorted(sample, places, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
