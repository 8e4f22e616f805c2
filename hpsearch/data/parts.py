"""The arrays that an engine eats: train and dev parts, their inputs once per normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Part:
    """One part of a data set; all arrays are C-contiguous and writeable, and nobody writes to them.

    Attributes:
        inputs: (rows, features) float32.
        labels: (rows,) int32 class index; (0,) for regression.
        targets: (rows, 1) float32, standardised; (0, 1) for classification.
    """

    inputs: np.ndarray
    labels: np.ndarray
    targets: np.ndarray

    def at(self, rows: np.ndarray) -> Part:
        """The rows at these places, a copy."""
        labels, targets = (array[rows] if len(array) else array for array in (self.labels, self.targets))
        return Part(self.inputs[rows], labels, targets)

    def joined(self, other: Part) -> Part:
        """The rows of both, a copy."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("inputs", "labels", "targets"))
        return Part(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class Arrays:
    """The parts that are at hand.

    Attributes:
        inputs: by part (`train`, `dev`) and normalisation.
        labels: by part.
        targets: by part.
    """

    inputs: dict[str, dict[str, np.ndarray]]
    labels: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]

    def part(self, name: str, normalize: str) -> Part:
        """Return one part. Raises DataError when it was not prepared."""
        if name not in self.inputs:
            raise DataError(f"there is no {name!r} part; {did_you_mean(name, self.inputs)}")
        if normalize not in self.inputs[name]:
            raise DataError(f"normalize: {normalize!r} was not prepared; {did_you_mean(normalize, self.inputs[name])}")
        return Part(self.inputs[name][normalize], self.labels[name], self.targets[name])


def empty_labels() -> np.ndarray:
    """Labels (0,) of a regression."""
    return np.empty(0, np.int32)


def empty_targets() -> np.ndarray:
    """Targets (0, 1) of a classification."""
    return np.empty((0, 1), np.float32)
