"""Checks on plain data (YAML, JSON) from a file, and values made short enough for a one-line message."""

from __future__ import annotations

import math
from typing import Any

from hpsearch.errors import DataError, did_you_mean

Plain = dict[str, Any]


def show(value: object, longest: int = 40) -> str:
    """`repr` of a value on one line, cut to about `longest` characters."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 4]}...{text[-1]}"


def count(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def show_some(values: list, most: int = 5) -> str:
    """The first few values, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(show(value) for value in values[:most]) + more


def choice(key: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return `value` when it is one of `allowed`, else raise DataError."""
    if not isinstance(value, str) or value not in allowed:
        near = did_you_mean(value, allowed)
        listed = "" if near.startswith("allowed") else f" (allowed: {', '.join(allowed)})"
        raise DataError(f"{key}: {show(value)} is not known; {near}{listed}")
    return value


def field(data: object, key: str, kind: type) -> Any:
    """Return `data[key]`, a `kind`; whole numbers are floats too, NaN and infinity not. Raises DataError."""
    if not isinstance(data, dict):
        raise DataError(f"preprocessing: a mapping is needed, not {show(data)}")
    if key not in data:
        raise DataError(f"preprocessing: {key!r} is missing")
    value = data[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise DataError(f"preprocessing: {key!r} must be a {kind.__name__}, not {show(value)}")
    if kind is float and not math.isfinite(value):
        raise DataError(f"preprocessing: {key!r} must be finite, not {value}")
    return value


def fields(data: object, key: str, kind: type) -> list:
    """Return `data[key]`, which must be a list of `kind`. Raises DataError."""
    return [field({key: value}, key, kind) for value in field(data, key, list)]
