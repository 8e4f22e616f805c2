"""A table becomes float32 features, today or years later on new rows, by what the training rows taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hpsearch.data.describing import MISSING, nearest_column
from hpsearch.data.encoders import ENCODERS, Encoder
from hpsearch.data.plain import Plain, choice, count, field, show
from hpsearch.data.target import Target
from hpsearch.data.values import missing_mask
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.data.describing import Description


@dataclass(frozen=True)
class Preparation:
    """The fitted encoders of all used columns and of the target; plain data through `to_dict` and back.

    Attributes:
        encoders: one per used column, in the table's order.
        target: what the output means.
        missing: one of `describing.MISSING`; with `error` a missing value is refused, also in new rows.
    """

    encoders: tuple[Encoder, ...]
    target: Target
    missing: str = "auto"

    @classmethod
    def fit(cls, frame: pl.DataFrame, description: Description, train_rows: np.ndarray) -> Preparation:
        """Learn from the training rows alone.

        Args:
            frame: (rows, columns), every row with a target.
            description: which columns to use, and how.
            train_rows: (n,) int row indices.

        Raises:
            DataError: nothing is left to learn from, or a value is missing where none may be.
        """
        rows = pl.Series(train_rows)
        if description.missing == "error":
            _refuse_missing(frame, [column.name for column in description.used])
        encoders = tuple(ENCODERS[column.kind].fit(frame[column.name].gather(rows)) for column in description.used)
        if not any(encoder.names for encoder in encoders):
            raise DataError("no feature is left: every text of the training rows stands there only once")
        target = Target.fit(frame[description.target].gather(rows), description)
        return cls(encoders, target, description.missing)

    @property
    def feature_names(self) -> list[str]:
        """One name per feature: the column's, or `column=level`."""
        return [name for encoder in self.encoders for name in encoder.names]

    @property
    def numeric_mask(self) -> np.ndarray:
        """(features,) bool: true for measured numbers, false for 0/1 features that no normaliser touches."""
        return np.array([flag for encoder in self.encoders for flag in encoder.numeric], bool)

    def transform(self, frame: pl.DataFrame, rows: np.ndarray | None = None) -> np.ndarray:
        """Return (rows, features) float32, C-contiguous and finite, not yet normalised.

        Args:
            frame: a table with the training table's columns in any order; others are ignored.
            rows: (n,) int row indices; None is all of them.

        Raises:
            DataError: a column is missing, or holds a value of another kind; the message says where.
        """
        for encoder in self.encoders:
            if encoder.name not in frame.columns:
                near = nearest_column(encoder.name, frame.columns)
                raise DataError(f"column {show(encoder.name)} is missing, the model needs it; {near}")
        if self.missing == "error":
            _refuse_missing(frame, [encoder.name for encoder in self.encoders])
        height = frame.height if rows is None else len(rows)
        features = np.empty((height, len(self.feature_names)), np.float32)
        chosen = None if rows is None else pl.Series(rows)
        start = 0
        for encoder in self.encoders:
            stop = start + len(encoder.names)
            values = frame[encoder.name]
            encoder.encode(values if chosen is None else values.gather(chosen), features[:, start:stop])
            start = stop
        return features

    def to_dict(self) -> Plain:
        """Return nested dict, list, str, int, float and bool only: YAML and JSON keep it to the bit."""
        return {
            "missing": self.missing,
            "columns": [encoder.to_dict() for encoder in self.encoders],
            "target": self.target.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Preparation:
        """Return the preparation that `to_dict` wrote. Raises DataError for anything else."""
        encoders = []
        for column in field(data, "columns", list):
            kind = choice("preprocessing kind", field(column, "kind", str), tuple(ENCODERS))
            encoders.append(ENCODERS[kind].from_dict(column))
        names = [encoder.name for encoder in encoders]
        if not any(encoder.names for encoder in encoders) or len(set(names)) < len(names):
            raise DataError("preprocessing: 'columns' must hold different columns with at least one feature")
        missing = choice("preprocessing missing", field(data, "missing", str), MISSING)
        return cls(tuple(encoders), Target.from_dict(field(data, "target", dict)), missing)


def _refuse_missing(frame: pl.DataFrame, names: list[str]) -> None:
    for name in names:
        missing = missing_mask(frame[name])
        if missing.any():
            number, row = count(int(missing.sum()), "value"), int(np.argmax(missing)) + 1
            raise DataError(
                f"column {show(name)}, row {row}: {number} missing or infinite, "
                "which missing: error does not allow; missing: auto fills them in"
            )
