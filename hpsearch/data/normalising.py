"""Features on one scale, by statistics of the training part alone.

    none         x
    standard     (x - mean) / sd
    minmax       (x - min) / (max - min)
    robust       (x - median) / (q75 - q25)
    robust_clip  z / sqrt(1 + (z / 3)^2) of the robust z, so that nothing is further out than 3

A spread of 0 is replaced: quartiles that tie by (max - min) / 2, a constant by 1. The pixels of images share their
statistics, one set for each colour: a pixel that an augmentation moves keeps its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.data.plain import Plain, choice, field, fields
from hpsearch.errors import DataError

NORMALIZATIONS = ("none", "standard", "minmax", "robust", "robust_clip")
_CLIP = 3.0
_LARGEST = 1e30  # the float32 result stays finite, and so does a product of it with a weight
_BLOCK_CELLS = 1 << 18


@dataclass(frozen=True)
class Normalizer:
    """A fitted scale; features that are not numeric have shift 0 and scale 1.

    Attributes:
        kind: one of `NORMALIZATIONS`.
        numeric: (features,) bool, the features that are touched.
        shift: (features,) float64, subtracted first.
        scale: (features,) float64 above 0, divided by.
    """

    kind: str
    numeric: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, kind: str, X_train: np.ndarray, numeric: np.ndarray, channels: int | None = None) -> Normalizer:
        """Learn from the training part.

        Args:
            kind: one of `NORMALIZATIONS`.
            X_train: (rows, features) float32, finite, at least one row.
            numeric: (features,) bool.
            channels: the features are pixels of so many colours, one after the other; None: they are not.

        Raises:
            DataError: `kind` is unknown.
        """
        choice("normalize", kind, NORMALIZATIONS)
        shift, scale = np.zeros(X_train.shape[1]), np.ones(X_train.shape[1])
        if kind != "none" and channels:
            for c in range(channels):
                shift[c::channels], scale[c::channels] = _STATISTICS[kind](X_train[:, c::channels].reshape(-1))
        elif kind != "none":
            for j in np.flatnonzero(numeric):
                shift[j], scale[j] = _STATISTICS[kind](X_train[:, j].astype(np.float64))
        return cls(kind, np.array(numeric, bool), shift, scale)

    def transform(self, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return (rows, features) float32, C-contiguous; `out` may be X itself. Raises DataError."""
        if X.ndim != 2 or X.shape[1] != len(self.shift):
            raise DataError(f"{len(self.shift)} features are needed, the rows have {X.shape[-1]}")
        out = np.empty(X.shape, np.float32) if out is None else out
        block = max(_BLOCK_CELLS // max(X.shape[1], 1), 1)
        touched = self.numeric if self.kind != "none" else np.zeros_like(self.numeric)
        whole = bool(touched.all())
        for start in range(0, len(X), block):
            rows = slice(start, start + block)
            z = (X[rows].astype(np.float64) - self.shift) / self.scale
            if self.kind == "robust_clip":
                if whole:
                    z /= np.sqrt(1 + (z / _CLIP) ** 2)
                else:
                    z[:, touched] /= np.sqrt(1 + (z[:, touched] / _CLIP) ** 2)
            out[rows] = np.clip(z, -_LARGEST, _LARGEST)
        return out

    def to_dict(self) -> Plain:
        """Return plain data, exact to the bit through YAML and JSON."""
        return {
            "kind": self.kind,
            "numeric": self.numeric.tolist(),
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Normalizer:
        """Return the normaliser that `to_dict` wrote. Raises DataError for anything else."""
        kind = choice("normalize", field(data, "kind", str), NORMALIZATIONS)
        numeric, shift, scale = (
            fields(data, "numeric", bool),
            fields(data, "shift", float),
            fields(data, "scale", float),
        )
        if not len(numeric) == len(shift) == len(scale) or not numeric:
            raise DataError("preprocessing: 'numeric', 'shift' and 'scale' must have one entry per feature")
        if min(scale) <= 0:
            raise DataError(f"preprocessing: every 'scale' must be above 0, not {min(scale)}")
        return cls(kind, np.array(numeric, bool), np.array(shift), np.array(scale))


def _standard(x: np.ndarray) -> tuple[float, float]:
    return x.mean(dtype=np.float64), _positive(x.std(dtype=np.float64) if x.min() < x.max() else 0.0)


def _minmax(x: np.ndarray) -> tuple[float, float]:
    low, high = float(x.min()), float(x.max())
    return low, _positive(high - low)


def _robust(x: np.ndarray) -> tuple[float, float]:
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75))
    return middle, _positive(high - low or (x.max() - x.min()) / 2)


def _positive(spread: float) -> float:
    return spread if spread > 0 else 1.0


_STATISTICS = {"standard": _standard, "minmax": _minmax, "robust": _robust, "robust_clip": _robust}
