"""What will hurt: the warnings that a table earns, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.data import columns as judge
from hpsearch.data.plain import count, show, show_some
from hpsearch.data.values import missing_mask, row_hashes

if TYPE_CHECKING:
    import polars as pl

    from hpsearch.data.columns import Column

_FEW = 10
_NAMED = 5
_MUCH_MISSING = 0.5
_LEFT_OUT = {
    judge.CONSTANT: "the same in every row: {}",
    judge.IDENTIFIER: "only numbers or names the rows: {} (data.keep uses it)",
    judge.LEAK: "says the same as the target (a leak): {} (data.keep uses it)",
}
_ONLY_INPUT = {
    judge.IDENTIFIER: "looks as if it only numbers the rows",
    judge.LEAK: "says the same as the target (a leak?)",
}


def names_by_reason(found: list[Column]) -> dict[str, list[str]]:
    """Return the dropped columns by the reason why."""
    reasons: dict[str, list[str]] = {}
    for column in found:
        if column.kind == "dropped":
            reasons.setdefault(column.reason, []).append(column.name)
    return reasons


def on_classes(values: pl.Series) -> list[str]:
    """Name the classes with few rows; `values` (rows,) is the target without missing values."""
    tally = values.alias("class").value_counts()
    rare = tally.filter(tally["count"] < _FEW).sort("count", "class")
    if not rare.height:
        return []
    named = ", ".join(f"{show(value)} ({rows})" for value, rows in rare.head(_NAMED).iter_rows())
    more = f" and {rare.height - _NAMED} more" if rare.height > _NAMED else ""
    return [f"classes with fewer than {_FEW} rows: {named}{more}"]


def on_columns(frame: pl.DataFrame, found: list[Column], *, grouped: bool) -> list[str]:
    """Return what is wrong with the columns, those left out first; `grouped`: there is a group column."""
    reasons = names_by_reason(found)
    warnings = [
        "left out, " + sentence.format(show_some(reasons[reason]))
        for reason, sentence in _LEFT_OUT.items()
        if reason in reasons
    ]
    for column in found:
        if column.kind != "dropped":
            warnings += _on_column(frame[column.name], column, grouped=grouped)
    return warnings


def _on_column(values: pl.Series, column: Column, *, grouped: bool) -> list[str]:
    name, warnings = show(column.name), []
    if column.reason in _ONLY_INPUT:
        warnings.append(f"column {name} {_ONLY_INPUT[column.reason]}, but there is no other input")
    infinite = int(values.is_infinite().sum()) if values.dtype.is_float() else 0
    if infinite:
        warnings.append(f"column {name}: {count(infinite, 'infinite value')} taken as missing")
    share = missing_mask(values).mean()
    if share > _MUCH_MISSING:
        warnings.append(f"column {name}: {100 * share:.0f} % of the values are missing")
    doubt = judge.ambiguous_date(values) if column.kind == "date" else None
    if doubt:
        warnings.append(f"column {name}: {doubt}")
    if not grouped and judge.repeating_id(values):
        warnings.append(f"column {name} marks several rows each; group: {name} keeps them on one side")
    return warnings


def on_copies(frame: pl.DataFrame, names: list[str]) -> list[str]:
    """Count the rows that repeat an earlier one in all the named columns."""
    copies = frame.height - row_hashes(frame, names).n_unique()
    if not copies:
        return []
    verb = "repeats" if copies == 1 else "repeat"
    advice = "leave them out of the file, or keep them together with data.group"
    return [
        f"{count(copies, 'row')} {verb} an earlier row exactly; copies can get on both sides of the split: {advice}"
    ]
