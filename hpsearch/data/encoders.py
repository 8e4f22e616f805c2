"""One column becomes float32 features, by what the training rows taught: one small class per kind.

All share one interface: `fit(values)` on training rows, `names` of the features, `numeric` (which of them a
normaliser may touch), `encode(values, out)`, and plain data both ways. `values` is a Series (rows,), `out` a
float32 view (rows, width) that is written to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from hpsearch.data import dates
from hpsearch.data.plain import Plain, field, fields, show
from hpsearch.data.values import as_float64, as_text, is_number, is_text, positions
from hpsearch.errors import DataError

LARGEST = 1e30  # well inside float32, with room for differences and scaling
FINE = 1e-4
_MOST_LEVELS = 50
_LEAST_SHARE = 0.001
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")


def _middle(numbers: np.ndarray) -> float:
    """Median of the numbers that are there; 0 when none is."""
    present = numbers[~np.isnan(numbers)]
    return float(np.median(np.clip(present, -LARGEST, LARGEST))) if present.size else 0.0


def origin_of(numbers: np.ndarray) -> float:
    """What is subtracted from numbers (rows,), NaN where missing, before single precision rounds them; mostly 0.

    It is their median, as of times in seconds since 1970, where the distance of two float32 numbers there is more than
    FINE of the distance of the quartiles.
    """
    present = np.clip(numbers[~np.isnan(numbers)], -LARGEST, LARGEST)
    if not present.size:
        return 0.0
    low, middle, high = np.quantile(present, (0.25, 0.5, 0.75))
    spread = high - low or np.ptp(present)
    return float(middle) if np.spacing(np.float32(abs(middle))) > FINE * spread > 0 else 0.0


def _write(numbers: np.ndarray, fill: float, out: np.ndarray) -> None:
    """Put numbers (rows,) into `out` (rows,), `fill` where they are missing."""
    missing = np.isnan(numbers)
    known = np.where(missing, fill, numbers) if missing.any() else numbers
    np.clip(known, -LARGEST, LARGEST, out=out, casting="same_kind")


def _refuse(values: pl.Series, bad: np.ndarray, allowed: str) -> None:
    """Raise DataError at the first row where `bad` (rows,) is true."""
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"column {show(values.name)}, row {row + 1}: {show(values[row])} is not allowed; {allowed}")


@dataclass(frozen=True)
class Number:
    """Integers and floats: missing values take the training median, and a second feature marks them.

    The feature is the number less `origin`.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    fill: float
    marked: bool
    origin: float = 0.0

    @classmethod
    def fit(cls, values: pl.Series) -> Number:
        """Learn the median and whether values are missing."""
        numbers = as_float64(values)
        return cls(values.name, _middle(numbers), bool(np.isnan(numbers).any()), origin_of(numbers))

    @property
    def names(self) -> list[str]:
        """Feature names."""
        return [self.name, f"{self.name}=missing"][: 1 + self.marked]

    @property
    def numeric(self) -> list[bool]:
        """Which features a normaliser may touch."""
        return [True, False][: 1 + self.marked]

    def encode(self, values: pl.Series, out: np.ndarray) -> None:
        """Write the features. Raises DataError at text that is no number."""
        numbers = _numbers(values)
        _write(numbers - self.origin if self.origin else numbers, self.fill - self.origin, out[:, 0])
        if self.marked:
            out[:, 1] = np.isnan(numbers)

    def to_dict(self) -> Plain:
        """Plain data."""
        known = {"kind": self.kind, "name": self.name, "fill": self.fill, "marked": self.marked}
        return known | ({"origin": self.origin} if self.origin else {})

    @classmethod
    def from_dict(cls, data: object) -> Number:
        """The inverse of `to_dict`. Raises DataError."""
        known = field(data, "name", str), field(data, "fill", float), field(data, "marked", bool)
        return cls(*known, field(data, "origin", float) if "origin" in data else 0.0)


def _numbers(values: pl.Series) -> np.ndarray:
    """Return float64 (rows,), NaN where missing; numbers may be written as text. Raises DataError."""
    if values.dtype == pl.Null:
        return np.full(len(values), np.nan)
    if is_text(values.dtype):
        text = values.cast(pl.String).str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        _refuse(values, (numbers.is_null() & text.is_not_null()).to_numpy(), "the column holds numbers")
        return as_float64(numbers)
    if not (is_number(values.dtype) or values.dtype == pl.Boolean):
        raise DataError(f"column {show(values.name)}: numbers are needed, it holds {values.dtype}")
    return as_float64(values)


@dataclass(frozen=True)
class Flag:
    """Booleans as 0 and 1: missing values take the commoner one, and a second feature marks them."""

    kind: ClassVar[str] = "boolean"
    name: str
    fill: float
    marked: bool

    @classmethod
    def fit(cls, values: pl.Series) -> Flag:
        """Learn the commoner value and whether values are missing."""
        numbers = as_float64(values)
        return cls(values.name, float(_middle(numbers) > 0.5), bool(np.isnan(numbers).any()))

    names = Number.names

    @property
    def numeric(self) -> list[bool]:
        """Which features a normaliser may touch."""
        return [False] * (1 + self.marked)

    def encode(self, values: pl.Series, out: np.ndarray) -> None:
        """Write the features. Raises DataError at values that mean neither true nor false."""
        allowed = "the column holds true and false (or 1 and 0)"
        if is_text(values.dtype):
            text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
            meaning = dict.fromkeys(_TRUE, 1.0) | dict.fromkeys(_FALSE, 0.0)
            found = text.replace_strict(list(meaning), list(meaning.values()), default=None, return_dtype=pl.Float64)
            _refuse(values, (found.is_null() & text.is_not_null()).to_numpy(), allowed)
            numbers = as_float64(found)
        else:
            numbers = _numbers(values)
            _refuse(values, ~np.isnan(numbers) & (numbers != 0) & (numbers != 1), allowed)
        _write(numbers, self.fill, out[:, 0])
        if self.marked:
            out[:, 1] = np.isnan(numbers)

    def to_dict(self) -> Plain:
        """Plain data."""
        return {"kind": self.kind, "name": self.name, "fill": self.fill, "marked": self.marked}

    @classmethod
    def from_dict(cls, data: object) -> Flag:
        """The inverse of `to_dict`. Raises DataError."""
        return cls(field(data, "name", str), field(data, "fill", float), field(data, "marked", bool))


@dataclass(frozen=True)
class Category:
    """One-hot levels: the frequent ones, one for all rare or new ones, one for missing.

    The last two are there only if training has such rows; without them new or missing values are all zeros.
    """

    kind: ClassVar[str] = "category"
    name: str
    levels: list[str]
    other: bool
    marked: bool

    @classmethod
    def fit(cls, values: pl.Series) -> Category:
        """Learn the 50 most frequent levels that two rows and a thousandth of all have; ties go by text."""
        text = as_text(values).alias("level")
        tally = text.drop_nulls().value_counts().sort("count", "level", descending=[True, False])
        enough = max(2, math.ceil(_LEAST_SHARE * len(text)))
        levels = tally.filter(tally["count"] >= enough)["level"].head(_MOST_LEVELS).to_list()
        return cls(values.name, levels, bool(levels) and tally.height > len(levels), text.null_count() > 0)

    @property
    def names(self) -> list[str]:
        """Feature names."""
        extra = ["(other)"] * self.other + ["missing"] * self.marked
        return [f"{self.name}={level}" for level in (*self.levels, *extra)]

    @property
    def numeric(self) -> list[bool]:
        """Which features a normaliser may touch."""
        return [False] * len(self.names)

    def encode(self, values: pl.Series, out: np.ndarray) -> None:
        """Write the features."""
        found = positions(values, self.levels)
        out[:] = 0.0
        known = np.flatnonzero(found >= 0)
        out[known, found[known]] = 1.0
        if self.other:
            out[found == -1, len(self.levels)] = 1.0
        if self.marked:
            out[found == -2, -1] = 1.0

    def to_dict(self) -> Plain:
        """Plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "levels": list(self.levels),
            "other": self.other,
            "marked": self.marked,
        }

    @classmethod
    def from_dict(cls, data: object) -> Category:
        """The inverse of `to_dict`. Raises DataError."""
        levels = fields(data, "levels", str)
        if len(set(levels)) < len(levels):
            raise DataError("preprocessing: 'levels' must differ")
        return cls(field(data, "name", str), levels, field(data, "other", bool), field(data, "marked", bool))


@dataclass(frozen=True)
class Date:
    """Days since 1970, and month (1-12), weekday (1-7, Monday first) and hour where training varies in them.

    `format` is how text is parsed, "" when the column was read as dates; `fills` has one number per part.
    """

    kind: ClassVar[str] = "date"
    name: str
    format: str
    parts: list[str]
    fills: list[float]
    marked: bool

    @classmethod
    def fit(cls, values: pl.Series) -> Date:
        """Learn the format, the parts that vary and their medians."""
        text_format = dates.find_format(values.cast(pl.String), dates.LOCAL_FORMATS) if is_text(values.dtype) else None
        moments = _moments(values, text_format or "")
        measured = {part: measure(moments) for part, measure in _DATE_PARTS.items()}
        present = measured["days"][~np.isnan(measured["days"])]
        parts = [
            part
            for part, numbers in measured.items()
            if part == "days" or np.unique(numbers[~np.isnan(numbers)]).size > 1
        ]
        fills = [_middle(measured[part]) for part in parts]
        return cls(values.name, text_format or "", parts, fills, present.size < len(values))

    @property
    def names(self) -> list[str]:
        """Feature names."""
        return [f"{self.name}={part}" for part in (*self.parts, *["missing"] * self.marked)]

    @property
    def numeric(self) -> list[bool]:
        """Which features a normaliser may touch."""
        return [True] * len(self.parts) + [False] * self.marked

    def encode(self, values: pl.Series, out: np.ndarray) -> None:
        """Write the features. Raises DataError at text that is no date of the training file's format."""
        moments = _moments(values, self.format)
        for column, (part, fill) in enumerate(zip(self.parts, self.fills, strict=True)):
            _write(_DATE_PARTS[part](moments), fill, out[:, column])
        if self.marked:
            out[:, -1] = moments.is_null().to_numpy()

    def to_dict(self) -> Plain:
        """Plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "format": self.format,
            "parts": list(self.parts),
            "fills": list(self.fills),
            "marked": self.marked,
        }

    @classmethod
    def from_dict(cls, data: object) -> Date:
        """The inverse of `to_dict`. Raises DataError."""
        parts, fills = fields(data, "parts", str), fields(data, "fills", float)
        date_format = field(data, "format", str)
        if not parts or not set(parts) <= set(_DATE_PARTS) or len(set(parts)) < len(parts) or len(fills) != len(parts):
            raise DataError(f"preprocessing: 'parts' must be some of {', '.join(_DATE_PARTS)}, each with a fill")
        if date_format not in ("", *dates.LOCAL_FORMATS):
            raise DataError(f"preprocessing: 'format' {show(date_format)} is not known")
        return cls(field(data, "name", str), date_format, parts, fills, field(data, "marked", bool))


def _moments(values: pl.Series, text_format: str) -> pl.Series:
    """Return datetimes (rows,) in microseconds, local time. Raises DataError at values that are no dates."""
    if values.null_count() == len(values):
        return pl.Series(values.name, [None] * len(values), pl.Datetime("us"))
    if is_text(values.dtype):
        text = values.cast(pl.String).str.strip_chars()
        iso = dates.find_format(text, dates.ISO_FORMATS)
        parsed = dates.parse(text, iso or text_format or dates.ISO_FORMATS[0])
        example = text_format.replace("%", "") if text_format and not iso else "2020-12-31"
        _refuse(
            values,
            (parsed.is_null() & text.is_not_null()).to_numpy(),
            f"the column holds dates like {example}",
        )
        values = parsed
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us"))
    if not isinstance(values.dtype, pl.Datetime):
        raise DataError(f"column {show(values.name)}: dates are needed, it holds {values.dtype}")
    return values.dt.replace_time_zone(None).cast(pl.Datetime("us"))


_DATE_PARTS = {
    "days": lambda moments: as_float64(moments.cast(pl.Int64)) / 86_400e6,
    "month": lambda moments: as_float64(moments.dt.month()),
    "weekday": lambda moments: as_float64(moments.dt.weekday()),
    "hour": lambda moments: as_float64(moments.dt.hour()) + as_float64(moments.dt.minute()) / 60,
}

Encoder = Number | Flag | Category | Date
ENCODERS = {encoder.kind: encoder for encoder in (Number, Flag, Category, Date)}
