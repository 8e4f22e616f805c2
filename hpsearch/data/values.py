"""One text for one value however a file wrote it (`1`, `1.0`), and plain numbers out of any column."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hpsearch.data.plain import show
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE_LIMIT = 1e15  # below it every whole float has one integer text
NESTED = (pl.List, pl.Array, pl.Struct, pl.Binary, pl.Object)


def is_number(dtype: pl.DataType) -> bool:
    """Tell whether a column of this type holds integers, floats or decimals."""
    return dtype.is_numeric()


def is_text(dtype: pl.DataType) -> bool:
    """Tell whether a column of this type holds text or categories."""
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def as_text(values: pl.Series) -> pl.Series:
    """Write each value (rows,) as text: `true`, `3` (also for 3.0), `0.5`, an ISO date, or itself.

    Raises:
        DataError: the column holds lists or the like.
    """
    if values.dtype in NESTED:
        raise DataError(f"column {show(values.name)}: numbers, text or dates are needed, it holds {values.dtype}")
    if values.dtype.is_float() or values.dtype.is_decimal():
        number = values.cast(pl.Float64)
        whole = (number == number.round(0)) & (number.abs() < _WHOLE_LIMIT)
        integers = number.set(~whole.fill_null(value=False), None).cast(pl.Int64).cast(pl.String)
        return integers.zip_with(whole.fill_null(value=False), number.cast(pl.String))
    return values.cast(pl.String)


def as_float64(values: pl.Series) -> np.ndarray:
    """Return numbers or booleans (rows,) as float64 in which missing, NaN and infinite values are NaN."""
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    finite = np.isfinite(numbers)
    return numbers if finite.all() else np.where(finite, numbers, np.nan)


def positions(values: pl.Series, known: Sequence[object]) -> np.ndarray:
    """Return for each value (rows,) its int32 index in `known`, -1 when it is not there, -2 when missing.

    `known` are texts, integers or booleans. A file read again may write them otherwise (a column of zip codes
    turns into integers once no letter is among them): numbers are then compared as numbers, booleans whatever
    their case.
    """
    wanted = [str(value).lower() if isinstance(value, bool) else str(value) for value in known]
    found = _search(as_text(values), wanted)
    strangers = found == -1
    if not strangers.any():
        return found
    if is_number(values.dtype) and all(isinstance(value, bool) for value in known):
        second = _search(as_text(values), ["1" if value else "0" for value in known])
    elif is_number(values.dtype):
        second = _search(as_text(values), _as_written_numbers(wanted))
    elif values.dtype == pl.Boolean or all(isinstance(value, bool) for value in known):
        second = _search(as_text(values).str.to_lowercase(), [word.lower() for word in wanted])
    elif all(type(value) is int for value in known):
        second = _search(as_text(values.cast(pl.Float64, strict=False)), wanted) if is_text(values.dtype) else found
    else:
        return found
    return np.where(strangers, np.maximum(second, -1), found).astype(np.int32)


def _search(text: pl.Series, wanted: list[str]) -> np.ndarray:
    """Index of each text in `wanted`; a word that stands there twice is ambiguous and never found."""
    tally = Counter(wanted)
    index = {word: place for place, word in enumerate(wanted) if tally[word] == 1}
    if index:
        found = text.replace_strict(list(index), list(index.values()), default=-1, return_dtype=pl.Int32)
    else:
        found = pl.Series(np.full(len(text), -1, np.int32))
    return found.set(text.is_null(), -2).to_numpy(writable=True)


def _as_written_numbers(words: list[str]) -> list[str]:
    """`007` as `7`, `1.50` as `1.5`; what is no number stays."""
    numbers = as_text(pl.Series(words, dtype=pl.String).cast(pl.Float64, strict=False)).to_list()
    return [word if number is None else number for word, number in zip(words, numbers, strict=True)]


def missing_mask(values: pl.Series) -> np.ndarray:
    """Return (rows,) bool: the value is missing, NaN or infinite."""
    if values.dtype.is_float() or values.dtype.is_decimal():
        return np.isnan(as_float64(values))
    return values.is_null().to_numpy()


def row_hashes(frame: pl.DataFrame, names: list[str]) -> pl.Series:
    """Return a 64-bit hash (rows,) of the named cells of each row; equal rows have equal hashes."""
    return frame.select(names).hash_rows(0)
