"""What a table holds: the target and its task, the kind of each column, what will hurt, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hpsearch.data import columns as judge
from hpsearch.data import troubles
from hpsearch.data.columns import Column
from hpsearch.data.plain import choice, count, show, show_some
from hpsearch.data.target import TASKS
from hpsearch.data.task import FEWEST_ROWS, read_target
from hpsearch.data.values import missing_mask
from hpsearch.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

MISSING = ("auto", "drop", "error")


@dataclass(frozen=True)
class Description:
    """What `describe` found out.

    Attributes:
        target: the column to be predicted.
        task: `classification` or `regression`.
        classes: sorted plain int, bool or str values; empty for regression.
        columns: every column but the target, in the table's order.
        notes: what was inferred.
        warnings: what will hurt.
        group: the column whose rows stay together, or None.
        stratify_by: the column that is spread evenly over the parts, or None.
        missing: what happens to missing values: `auto` (filled in, marked), `drop` (the row goes), `error`.
        rows: rows with a target.
    """

    target: str
    task: str
    classes: list
    columns: list[Column]
    notes: list[str]
    warnings: list[str]
    group: str | None = None
    stratify_by: str | None = None
    missing: str = "auto"
    rows: int = 0

    @property
    def used(self) -> list[Column]:
        """The columns that become inputs."""
        return [column for column in self.columns if column.kind != "dropped"]


def describe(
    frame: pl.DataFrame,
    *,
    target: str | None = None,
    task: str = "auto",
    drop: Iterable[str] = (),
    keep: Iterable[str] = (),
    group: str | None = None,
    stratify_by: str | None = None,
    missing: str = "auto",
    categorical: str | Iterable[str] = "auto",
    pixels: bool = False,
) -> Description:
    """Find out what a table (rows, columns) holds.

    Args:
        frame: the table as `read_table` returns it.
        target: the column to be predicted; None is the last one.
        task: `auto`, `classification` or `regression`.
        drop: columns that are left out whatever they hold.
        keep: columns that are used although they look useless, where that is possible.
        group: a column whose rows stay on one side of a split; it is no input unless kept.
        stratify_by: a column to be spread evenly over the parts.
        missing: one of `MISSING`.
        categorical: `auto`, or columns to be taken as categories although they hold numbers.
        pixels: the numbers of a row are an image, so none of them is useless: its place is what counts.

    Raises:
        DataError: a column is unknown, or nothing can be learned from the table.
    """
    names = frame.columns
    target = names[-1] if target is None else target
    wishes = _Wishes(_listed("drop", drop), _listed("keep", keep), _listed("categorical", categorical), group, pixels)
    choice("task", task, ("auto", *TASKS))
    choice("missing", missing, MISSING)
    _refuse_unknown("target", [target], names)
    _refuse_unknown("stratify_by", [] if stratify_by is None else [stratify_by], names)
    wishes.check(names, target)

    task, classes, found_out = read_target(frame[target], task)
    place = " (the last column)" if target == names[-1] else ""
    notes, warnings = [f"target {show(target)}{place}: {found_out}"], []
    without = frame[target].null_count()
    if without:
        warnings.append(f"left out, {count(without, 'row')} without a value of the target {show(target)}")
        frame = frame.filter(frame[target].is_not_null())
    if classes:
        warnings += troubles.on_classes(frame[target])

    found = _judge_columns(frame, target, len(classes) or frame[target].n_unique(), wishes)
    used = [column.name for column in found if column.kind != "dropped"]
    reasons = troubles.names_by_reason(found)
    if not used:
        why = "; ".join(f"{reason}: {show_some(names, 3)}" for reason, names in reasons.items())
        raise DataError(f"no column is left to learn from ({why or 'there is only the target'}); keep brings one back")
    notes += _notes_on(found)
    warnings += troubles.on_columns(frame, found, grouped=group is not None)
    warnings += troubles.on_copies(frame, [*used, target])
    return Description(target, task, classes, found, notes, warnings, group, stratify_by, missing, frame.height)


def usable_rows(frame: pl.DataFrame, description: Description) -> pl.DataFrame:
    """Return the rows that have a target and, with `missing: drop`, every input.

    Raises:
        DataError: too few are left.
    """
    frame = frame.filter(frame[description.target].is_not_null())
    if description.missing == "drop":
        whole = np.ones(frame.height, bool)
        for column in description.used:
            whole &= ~missing_mask(frame[column.name])
        frame = frame if whole.all() else frame.filter(pl.Series(whole))
        if frame.height < FEWEST_ROWS:
            raise DataError(f"missing: drop leaves {count(frame.height, 'row')} of {whole.size:,}; use missing: auto")
    return frame


@dataclass(frozen=True)
class _Wishes:
    """What the user said of the columns."""

    drop: list[str]
    keep: list[str]
    categorical: list[str]
    group: str | None
    pixels: bool

    def check(self, names: list[str], target: str) -> None:
        """Raise DataError at an unknown column, the target, or a contradiction."""
        group = [] if self.group is None else [self.group]
        for key, wanted in (("group", group), ("drop", self.drop), ("keep", self.keep)):
            _refuse_unknown(key, wanted, names)
            if target in wanted:
                raise DataError(f"{key}: {show(target)} is the target; name another column")
        _refuse_unknown("categorical", self.categorical, names)
        both = sorted(set(self.drop) & set(self.keep))
        if both:
            raise DataError(f"column {show_some(both)} stands in both drop and keep; choose one")


def _listed(key: str, names: str | Iterable[str]) -> list[str]:
    if isinstance(names, str):
        return [] if key == "categorical" and names == "auto" else [names]
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"{key}: a list of column names is needed, not {show(names)}")
    return names


def _refuse_unknown(key: str, wanted: list[str], names: list[str]) -> None:
    for name in wanted:
        if name not in names:
            raise DataError(f"{key}: there is no column {show(name)}; {nearest_column(name, names)}")


def nearest_column(name: str, names: list[str]) -> str:
    """The tail of a message, on one line whatever the columns are called; at most 20 of them are listed."""
    near = did_you_mean(name, names)
    if not near.startswith("did"):
        near = "the table has: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return " ".join(near.split())


def _judge_columns(frame: pl.DataFrame, target: str, levels: int, wishes: _Wishes) -> list[Column]:
    """Return a Column for each but the target, which has `levels` different values."""
    goal = frame[target]
    found = [_judge(values, goal, levels, wishes) for values in frame.iter_columns() if values.name != target]
    usable = [column.reason for column in found if column.kind != "dropped"]
    doubtful = (judge.IDENTIFIER, judge.LEAK)
    if all(reason in doubtful for reason in usable):  # better a doubtful input than none
        doubtful = (judge.IDENTIFIER,) if judge.LEAK in usable else ()
    return [Column(c.name, "dropped", c.reason) if c.reason in doubtful else c for c in found]


def _judge(values: pl.Series, goal: pl.Series, levels: int, wishes: _Wishes) -> Column:
    name = values.name
    kind = judge.natural_kind(values, as_category=name in wishes.categorical)
    if name in wishes.drop:
        return Column(name, "dropped", "as asked")
    if values.null_count() == len(values):
        return Column(name, "dropped", judge.CONSTANT)
    if kind == "dropped":
        if name in wishes.keep:
            raise DataError(f"keep: column {show(name)} holds {values.dtype}, which cannot be used")
        return Column(name, kind, f"holds {values.dtype}")
    if name in wishes.keep or name in wishes.categorical:
        return Column(name, kind, "as asked")
    if name == wishes.group:
        return Column(name, "dropped", "the group column")
    if wishes.pixels and kind == "numeric":
        return Column(name, kind)
    reason = judge.why_useless(values, kind)
    if reason == judge.IDENTIFIER and kind == "numeric":
        return Column(name, kind, reason)
    if reason:
        return Column(name, "dropped", reason)
    return Column(name, kind, judge.LEAK if judge.leaks(values, goal, levels) else "")


def _notes_on(found: list[Column]) -> list[str]:
    used = [column.kind for column in found if column.kind != "dropped"]
    notes = ["inputs: " + ", ".join(f"{used.count(kind)} {kind}" for kind in judge.KINDS if kind in used)]
    for reason, names in troubles.names_by_reason(found).items():
        if reason not in (judge.CONSTANT, judge.IDENTIFIER, judge.LEAK):
            notes.append(f"left out ({reason}): {show_some(names)}")
    return notes
