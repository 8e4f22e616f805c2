"""The target column: class names and int32 labels, or a standardised float32 number, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hpsearch.data.plain import Plain, choice, field, show
from hpsearch.data.values import as_float64, as_text, is_number, is_text, positions
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.data.describing import Description

_LARGEST = 1e30
TASKS = ("classification", "regression")


def class_values(values: pl.Series) -> list[bool] | list[int] | list[str]:
    """Return the different values of a column, sorted: booleans, integers (whole floats too) or else text."""
    filled = values.drop_nulls()
    if filled.dtype == pl.Boolean:
        return filled.unique().sort().to_list()
    words = as_text(filled).unique()
    whole = words.cast(pl.Int64, strict=False) if is_number(filled.dtype) else words
    return sorted((words if whole.null_count() else whole).to_list())


@dataclass(frozen=True)
class Target:
    """What the network's output means.

    Attributes:
        name: the column.
        task: `classification` or `regression`.
        classes: plain int, bool or str values in the order of the labels; empty for regression.
        mean: of the training part, in the column's unit; 0 for classes.
        sd: standard deviation (divided by n) of the training part, above 0; 1 for classes.
    """

    name: str
    task: str
    classes: list
    mean: float = 0.0
    sd: float = 1.0

    @classmethod
    def fit(cls, values: pl.Series, description: Description) -> Target:
        """Fit to the training rows of the target. Raises DataError when a number never changes."""
        if description.task == "classification":
            return cls(description.target, description.task, list(description.classes))
        numbers = as_float64(values)
        name, largest = show(values.name), np.abs(numbers).max()
        if largest > _LARGEST:
            raise DataError(f"target {name}: values up to {largest:.3g} are too large; rescale it")
        if numbers.min() == numbers.max():
            raise DataError(f"target {name}: every training row says {numbers[0]:g}, there is nothing to learn")
        mean, sd = float(numbers.mean()), float(numbers.std())
        if sd == 0.0:
            raise DataError(f"target {name}: its values differ too little; rescale it")
        return cls(description.target, description.task, [], mean, sd)

    def labels(self, values: pl.Series) -> np.ndarray:
        """Return class indices (rows,) int32. Raises DataError at an unknown or missing class."""
        found = positions(values, self.classes)
        bad = np.flatnonzero(found < 0)
        if bad.size:
            value = values[int(bad[0])]
            known = ", ".join(show(name) for name in self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
            raise DataError(
                f"target {show(self.name)}, row {bad[0] + 1}: {show(value)} is none of the classes ({known})"
            )
        return found

    def standardise(self, values: pl.Series) -> np.ndarray:
        """Return (value - mean) / sd, (rows, 1) float32. Raises DataError at all that is no finite number."""
        if is_text(values.dtype):
            values = values.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
        if not (is_number(values.dtype) or values.dtype == pl.Boolean):
            raise DataError(f"target {show(self.name)}: numbers are needed, the column holds {values.dtype}")
        numbers = as_float64(values)
        bad = np.flatnonzero(np.isnan(numbers))
        if bad.size:
            raise DataError(f"target {show(self.name)}, row {bad[0] + 1}: a finite number is needed")
        limit = float(np.finfo(np.float32).max) / 2
        with np.errstate(over="ignore"):  # what overflows is held at the limit
            return np.clip((numbers - self.mean) / self.sd, -limit, limit).astype(np.float32)[:, None]

    def original(self, standardised: np.ndarray) -> np.ndarray:
        """Return predictions (rows,) or (rows, 1) in the column's unit, float64 of the same shape."""
        return np.asarray(standardised, np.float64) * self.sd + self.mean

    def names(self, labels: np.ndarray) -> list:
        """Return the class of each label (rows,) as a plain value."""
        return [self.classes[label] for label in np.asarray(labels).tolist()]

    def to_dict(self) -> Plain:
        """Return plain data from which `from_dict` makes an equal target."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "mean": self.mean,
            "sd": self.sd,
        }

    @classmethod
    def from_dict(cls, data: object) -> Target:
        """Return the target that `to_dict` wrote. Raises DataError for anything else."""
        task = choice("task", field(data, "task", str), TASKS)
        classes = field(data, "classes", list)
        kinds = {type(value) for value in classes}
        if len(kinds) > 1 or not kinds <= {int, bool, str} or len(set(classes)) < len(classes):
            raise DataError("preprocessing: 'classes' must be different integers, booleans or texts")
        if (task == "classification") != (len(classes) >= 2):
            raise DataError(f"preprocessing: {task} with {len(classes)} classes makes no sense")
        sd = field(data, "sd", float)
        if sd <= 0:
            raise DataError(f"preprocessing: 'sd' must be above 0, not {sd}")
        return cls(field(data, "name", str), task, classes, field(data, "mean", float), sd)
