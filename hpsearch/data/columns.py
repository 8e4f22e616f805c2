"""What one column is good for: a number, a boolean, a category, a date, or nothing, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from hpsearch.data import dates
from hpsearch.data.plain import show
from hpsearch.data.values import NESTED, as_float64, is_number, is_text

KINDS = ("numeric", "boolean", "category", "date", "dropped")
CONSTANT, IDENTIFIER, LEAK, FREE_TEXT = "constant", "identifier", "leak", "free text"

_ID_NAME = re.compile(
    r"(?i:id|idx|index|row|uuid|guid|(row|record|line)[ _-]?(id|number|num|nr|no)|.+[ _-](id|uuid|guid))"
    r"|.*[a-z0-9](Id|ID)|unnamed_\d+|Unnamed: \d+"
)
_IDENTIFIER_SHARE = 0.95  # of the texts differ
_FREE_TEXT_SHARE = 0.5
_LONG_COUNT = 100  # a shorter run of numbers (years, say) may well mean something
_PROBE = 2000


@dataclass(frozen=True)
class Column:
    """One column of the table: its kind (one of `KINDS`), and the reason where it needs one."""

    name: str
    kind: str
    reason: str = ""


def natural_kind(values: pl.Series, *, as_category: bool) -> str:
    """Return the kind by type alone; `dropped` is a type that no network can use."""
    dtype = values.dtype
    if dtype in NESTED or dtype in (pl.Null, pl.Duration, pl.Time):
        return "dropped"
    if as_category:
        return "category"
    if dtype == pl.Boolean:
        return "boolean"
    if is_number(dtype):
        return "numeric"
    if dtype.is_temporal():
        return "date"
    return "date" if is_text(dtype) and _local_format(values) else "category"


def _local_format(values: pl.Series) -> str | None:
    return dates.find_format(values.cast(pl.String), dates.LOCAL_FORMATS)


def ambiguous_date(values: pl.Series) -> str | None:
    """Say so when a column of text dates can be read day first and month first."""
    if not is_text(values.dtype):
        return None
    text = values.cast(pl.String)
    date_format = dates.find_format(text, dates.LOCAL_FORMATS)
    if date_format is None or dates.other_reading(text, date_format) is None:
        return None
    order = "day before month" if date_format.index("%d") < date_format.index("%m") else "month before day"
    return f"dates like {show(text.drop_nulls()[0])} are read {order}; 2020-12-31 is never misread"


def is_constant(values: pl.Series) -> bool:
    """Tell whether every row says the same: all missing counts, one value and some missing does not."""
    if is_number(values.dtype):
        numbers = as_float64(values)
        first = numbers[0]
        return bool((numbers != numbers).all() if first != first else (numbers == first).all())  # noqa: PLR0124  NaN
    return values.null_count() == len(values) or (values.null_count() == 0 and bool((values == values[0]).all()))


def has_id_name(name: str) -> bool:
    """Tell whether a column's name says that it numbers or names the rows."""
    return _ID_NAME.fullmatch(name) is not None


def why_useless(values: pl.Series, kind: str) -> str:
    """Return `CONSTANT`, `IDENTIFIER`, `FREE_TEXT` or "" for a column (rows,) of that kind."""
    if is_constant(values):
        return CONSTANT
    if kind == "category" and is_text(values.dtype):
        filled = values.drop_nulls()
        share = filled.n_unique() / len(filled)
        if share > _IDENTIFIER_SHARE:
            return IDENTIFIER
        return FREE_TEXT if share > _FREE_TEXT_SHARE else ""
    return IDENTIFIER if values.dtype.is_integer() and _numbers_the_rows(values) else ""


def _numbers_the_rows(values: pl.Series) -> bool:
    rows, low, high = len(values), values.min(), values.max()
    named = has_id_name(values.name)
    if values.null_count() or not (named or high - low + 1 == rows) or not values.is_unique().all():
        return False
    in_order = values.is_sorted() and rows >= _LONG_COUNT
    return named or low in (0, 1) or in_order


def repeating_id(values: pl.Series) -> bool:
    """Tell whether a column with an identifier's name marks several rows each, as a patient's visits."""
    if not has_id_name(values.name) or values.dtype.is_float():
        return False
    different = values.drop_nulls().n_unique()
    return 20 < different <= len(values) / 1.2


def leaks(values: pl.Series, target: pl.Series, levels: int) -> bool:
    """Tell whether a column is the target, or names it one to one.

    Args:
        values: the column (rows,).
        target: the target (rows,), without missing values.
        levels: how many different values the target has.
    """
    if is_number(values.dtype) and is_number(target.dtype) and not values.null_count():
        probe = values.head(_PROBE).cast(pl.Float64) == target.head(_PROBE).cast(pl.Float64)
        if probe.all() and (values.cast(pl.Float64) == target.cast(pl.Float64)).all():
            return True
    if levels > len(target) / 2 or values.head(_PROBE).drop_nulls().n_unique() > levels:
        return False
    pairs = pl.DataFrame({"value": values, "target": target}).drop_nulls()
    different = pairs["value"].n_unique()
    return different == levels and pairs["target"].n_unique() == levels and pairs.n_unique() == levels
