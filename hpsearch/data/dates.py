"""Dates written as text: which format a column follows, and the column parsed by it.

ISO dates mean the same everywhere and are parsed as a file is read. All others (03/04/2020) may be day first
or month first: the format that fits the training file is kept with the preparation, for new files too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

ISO_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M:%S%.f%:z",
)
_DAYS = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
LOCAL_FORMATS = tuple(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S"))
_LOOKS_LIKE_A_DATE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
_PROBE = 100


def parse(text: pl.Series, date_format: str) -> pl.Series:
    """Parse text (rows,) into dates or datetimes; what does not fit becomes null."""
    if "%H" in date_format:
        return text.str.to_datetime(date_format, strict=False, time_unit="us")
    return text.str.to_date(date_format, strict=False)


def find_format(text: pl.Series, formats: tuple[str, ...]) -> str | None:
    """Return the first format that every non-missing value of `text` (rows,) follows, or None."""
    filled = text.drop_nulls()
    probe = filled.head(_PROBE)
    if filled.is_empty() or not probe.str.contains(_LOOKS_LIKE_A_DATE).all():
        return None
    for date_format in formats:
        if parse(probe, date_format).null_count() == 0 and parse(filled, date_format).null_count() == 0:
            return date_format
    return None


def other_reading(text: pl.Series, date_format: str) -> str | None:
    """Return the format with day and month swapped when `text` fits it as well, else None."""
    swapped = date_format.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
    if swapped not in LOCAL_FORMATS:
        return None
    return find_format(text, (swapped,))
