"""What each column holds, in a few figures for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from hpsearch.data.plain import show
from hpsearch.data.values import is_number, missing_mask

if TYPE_CHECKING:
    from hpsearch.data.describing import Description

LONGEST = 24  # characters of an example


def summarise(frame: pl.DataFrame, description: Description) -> list[dict[str, Any]]:
    """For each column, the target last: name, kind, share missing, number of different values, what they are, why.

    `holds` is the range of numbers and dates, else the most frequent value with its share of the rows.
    """
    rows = [
        {"column": column.name, "kind": column.kind, **_figures(frame[column.name]), "why": column.reason}
        for column in description.columns
    ]
    return [*rows, {"column": description.target, "kind": "target", **_figures(frame[description.target]),
                    "why": description.task}]  # fmt: skip


def _figures(values: pl.Series) -> dict[str, Any]:
    missing = missing_mask(values)
    known = values.filter(pl.Series(~missing)) if missing.any() else values
    try:
        different = known.n_unique()
    except pl.exceptions.PolarsError:
        return {"missing": float(missing.mean()), "values": None, "holds": str(values.dtype)}
    return {"missing": float(missing.mean()), "values": different, "holds": _holds(known)}


def _holds(known: pl.Series) -> str:
    if not len(known):
        return ""
    if is_number(known.dtype) or known.dtype.is_temporal():
        low, high = known.min(), known.max()
        return f"{_number(low)} to {_number(high)}"
    first = known.alias("value").value_counts(sort=True).sort(["count", "value"], descending=[True, False]).row(0)
    text = show(first[0])
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return f"{text} {100 * first[1] / len(known):.0f} %"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
