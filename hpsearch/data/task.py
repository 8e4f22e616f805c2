"""What is to be predicted: classes or a number, and whether the table has enough of it."""

from __future__ import annotations

import numpy as np
import polars as pl

from hpsearch.data.plain import count, show, show_some
from hpsearch.data.target import class_values
from hpsearch.data.values import NESTED, as_float64, is_number
from hpsearch.errors import DataError

MOST_CLASSES = 1000
FEWEST_ROWS = 10
_FEWEST_ROWS_PER_CLASS = 3  # one each to train, tune and test on
_MOST_AUTO_CLASSES = 20


def read_target(values: pl.Series, task: str) -> tuple[str, list, str]:
    """Return the task, its classes (none for regression) and how that was found out.

    Args:
        values: the target column (rows,), perhaps with missing values.
        task: `auto`, `classification` or `regression`.

    Raises:
        DataError: nothing can be learned from this column, or not this way.
    """
    filled = _checked(values)
    name = show(values.name)
    if task == "auto":
        task, why = _infer(filled)
    else:
        why = "as asked"
    if task == "classification":
        classes = _classes(filled)
        return task, classes, f"{len(classes)} classes, {show_some(classes)} ({why})"
    if not (is_number(values.dtype) or values.dtype == pl.Boolean):
        raise DataError(f"task: regression needs numbers, column {name} holds text such as {show(filled[0])}")
    return task, [], f"regression ({why})"


def _checked(values: pl.Series) -> pl.Series:
    """Return the values that are there. Raises DataError when they are too few or useless."""
    name, dtype = show(values.name), values.dtype
    if dtype in NESTED or dtype.is_temporal():
        raise DataError(f"target {name}: {dtype} cannot be predicted; numbers, booleans or text can")
    if dtype.is_float():
        infinite = np.flatnonzero((values.is_infinite() | values.is_nan()).fill_null(value=False).to_numpy())
        if infinite.size:
            row = int(infinite[0])
            raise DataError(f"target {name}, row {row + 1}: {values[row]} is not finite; mend or leave out the row")
    filled = values.drop_nulls()
    if len(filled) < FEWEST_ROWS:
        rows = count(len(filled), "row")
        raise DataError(f"target {name}: {rows} with a value, at least {FEWEST_ROWS} are needed")
    return filled


def _infer(filled: pl.Series) -> tuple[str, str]:
    """Few whole numbers are classes when each comes up three times on average; two values always are."""
    if not is_number(filled.dtype):
        return "classification", "boolean" if filled.dtype == pl.Boolean else "text"
    numbers = as_float64(filled)
    if not (numbers == np.round(numbers)).all():
        return "regression", "numbers with fractions"
    different = len(np.unique(numbers))
    if different <= 2 or (different <= _MOST_AUTO_CLASSES and 3 * different < len(filled)):
        return "classification", "few different whole numbers; task: regression if they are amounts"
    return "regression", f"{different:,} different whole numbers; task: classification if they are names"


def _classes(filled: pl.Series) -> list:
    name, different = show(filled.name), filled.n_unique()
    if different == 1:
        raise DataError(f"target {name}: every row says {show(filled[0])}, at least 2 classes are needed")
    if different > MOST_CLASSES or different * _FEWEST_ROWS_PER_CLASS > len(filled):
        raise DataError(
            f"target {name}: {different:,} different values in {len(filled):,} rows are too many classes "
            f"(at most {MOST_CLASSES:,}, with {_FEWEST_ROWS_PER_CLASS} rows each on average); "
            "is another column the target?"
        )
    return class_values(filled)
