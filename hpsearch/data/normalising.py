"""Features on one scale, by statistics of the training part alone.

    none         x
    standard     (x - mean) / sd
    minmax       (x - min) / (max - min)
    robust       (x - median) / (q75 - q25)
    robust_clip  z / sqrt(1 + (z / 3)^2) of the robust z, so that nothing is further out than 3
    piecewise_linear
                 for each bin [a, b] of a column one feature, (x - a) / (b - a) from 0 below the bin to 1 above it, so
                 that a network's first layer is a free curve of each column (Gorishniy et al. 2022, arXiv 2203.05556,
                 eq. 1). Beside the first and the last bin it goes on by as much as that bin is wide. The bins end at
                 each value of a column that has few, no more than the root of the rows and 128; otherwise at
                 quantiles of the rows, and at quantiles of the different values, for where most rows say the same.
                 A column of one value has no bin and is 0.
    piecewise_and_linear
                 these bins, and beside the n bins of a column the robust z itself, no further out than 3, times the
                 root of n: as much say as its bins have together (compared in experiments/defaults).

A spread of 0 is replaced: quartiles that tie by (max - min) / 2, a constant by 1. The pixels of images share their
statistics, one set for each colour: a pixel that an augmentation moves keeps its meaning.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpsearch.data.plain import Plain, choice, field, fields
from hpsearch.errors import DataError

NORMALIZATIONS = ("none", "standard", "minmax", "robust", "robust_clip", "piecewise_linear", "piecewise_and_linear")
IN_BINS = ("piecewise_linear", "piecewise_and_linear")
_CLIP = 3.0
_LARGEST = 1e30  # the float32 result stays finite, and so does a product of it with a weight
_BLOCK_CELLS = 1 << 18
_BINS = 32  # by rows, and as many by different values, of a column with many
_FEW = 128  # values that each end a bin: where most rows say 0, the others may mean one thing each
_MOST_BINS = 1024  # of all columns together, about


@dataclass(frozen=True)
class Normalizer:
    """A fitted scale; features that are not numeric have shift 0 and scale 1.

    Attributes:
        kind: one of `NORMALIZATIONS`.
        numeric: (features,) bool, the features that are touched.
        shift: (width,) float64, subtracted first.
        scale: (width,) float64 above 0, divided by.
        source: (width,) int64, the feature that each output is made of; None: each its own.
        low, high: (width,) float64, the ends of each output; None: none but what float32 can take.
    """

    kind: str
    numeric: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    source: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Columns of what `transform` returns."""
        return len(self.shift)

    @classmethod
    def fit(cls, kind: str, X_train: np.ndarray, numeric: np.ndarray, channels: int | None = None) -> Normalizer:
        """Learn from the training part.

        Args:
            kind: one of `NORMALIZATIONS`.
            X_train: (rows, features) float32, finite, at least one row.
            numeric: (features,) bool.
            channels: the features are pixels of so many colours, one after the other; None: they are not.

        Raises:
            DataError: `kind` is unknown, or not for images.
        """
        choice("normalize", kind, NORMALIZATIONS)
        if kind in IN_BINS:
            if channels:
                raise DataError(f"normalize: {kind} is not for images; set data.image_shape to null, or leave it out")
            return cls(kind, np.array(numeric, bool), *_bins(X_train, numeric, beside=kind == IN_BINS[1]))
        shift, scale = np.zeros(X_train.shape[1]), np.ones(X_train.shape[1])
        if kind != "none" and channels:
            for c in range(channels):
                shift[c::channels], scale[c::channels] = _STATISTICS[kind](X_train[:, c::channels].reshape(-1))
        elif kind != "none":
            for j in np.flatnonzero(numeric):
                shift[j], scale[j] = _STATISTICS[kind](X_train[:, j].astype(np.float64))
        return cls(kind, np.array(numeric, bool), shift, scale)

    def transform(self, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return (rows, width) float32, C-contiguous; `out`, perhaps X, is used if it is as wide. Raises DataError."""
        if X.ndim != 2 or X.shape[1] != len(self.numeric):
            raise DataError(f"{len(self.numeric)} features are needed, the rows have {X.shape[-1]}")
        out = np.empty((len(X), self.width), np.float32) if out is None or out.shape[1] != self.width else out
        block = max(_BLOCK_CELLS // max(self.width, 1), 1)
        scale = self._scaled if self.source is None else self._in_bins
        for start in range(0, len(X), block):
            rows = slice(start, start + block)
            scale(X[rows], out[rows])
        return out

    def _scaled(self, X: np.ndarray, out: np.ndarray) -> None:
        z = X.astype(np.float64)
        z -= self.shift
        z /= self.scale
        if self.kind == "robust_clip" and self.numeric.all():
            z /= np.sqrt(1 + (z / _CLIP) ** 2)
        elif self.kind == "robust_clip":
            z[:, self.numeric] /= np.sqrt(1 + (z[:, self.numeric] / _CLIP) ** 2)
        np.clip(z, -_LARGEST, _LARGEST, out=out, casting="same_kind")

    def _in_bins(self, X: np.ndarray, out: np.ndarray) -> None:
        """In single precision, which loses nothing: shifts are float32, and where x = b, (x - a) / (b - a) is 1."""
        shift, scale, low, high = self._single
        with np.errstate(over="ignore"):  # beside a bin that is narrow; it is clipped
            np.take(X, self.source, axis=1, out=out, mode="clip")  # mode raise, the default, would need a copy
            out -= shift
            out /= scale
            np.maximum(out, low, out=out)  # twice as fast as clip
            np.minimum(out, high, out=out)

    @cached_property
    def _single(self) -> tuple[np.ndarray, ...]:
        shift, scale, low, high = (known.astype(np.float32) for known in (self.shift, self.scale, self.low, self.high))
        return shift, np.maximum(scale, np.finfo(np.float32).smallest_subnormal), low, high

    def to_dict(self) -> Plain:
        """Return plain data, exact to the bit through YAML and JSON."""
        found = {
            "kind": self.kind,
            "numeric": self.numeric.tolist(),
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
        }
        if self.source is not None:
            found |= {name: getattr(self, name).tolist() for name in ("source", "low", "high")}
        return found

    @classmethod
    def from_dict(cls, data: object) -> Normalizer:
        """Return the normaliser that `to_dict` wrote. Raises DataError for anything else."""
        kind = choice("normalize", field(data, "kind", str), NORMALIZATIONS)
        numeric, shift, scale = (
            fields(data, "numeric", bool),
            fields(data, "shift", float),
            fields(data, "scale", float),
        )
        bins = (
            ()
            if kind not in IN_BINS
            else (fields(data, "source", int), *(fields(data, n, float) for n in ("low", "high")))
        )
        if bins and (set(bins[0]) != set(range(len(numeric))) or {len(one) for one in bins} != {len(shift)}):
            raise DataError("preprocessing: 'source' must name every feature, with 'low' and 'high' for each output")
        if len(shift) != len(scale) or not numeric or (not bins and len(numeric) != len(shift)):
            raise DataError("preprocessing: 'numeric', 'shift' and 'scale' must have one entry per feature")
        if min(scale) <= 0:
            raise DataError(f"preprocessing: every 'scale' must be above 0, not {min(scale)}")
        return cls(kind, np.array(numeric, bool), np.array(shift), np.array(scale), *map(np.array, bins))


def _bins(X_train: np.ndarray, numeric: np.ndarray, *, beside: bool) -> tuple[np.ndarray, ...]:
    """Shift, scale, source, low and high of the outputs: a column's bins, and the features that are not numeric.

    `beside`: after its bins each column has an output of its own.
    """
    room = max(2, _MOST_BINS // max(int(np.sum(numeric)), 1))
    rows: list[tuple[float, float, int, float, float]] = []
    for j in range(X_train.shape[1]):
        column = X_train[:, j].astype(np.float64)
        if not numeric[j]:
            rows.append((0.0, 1.0, j, -_LARGEST, _LARGEST))
            continue
        ends = _ends(column, room)
        if len(ends) < 2:
            rows.append((float(ends[0]), 1.0, j, 0.0, 0.0))  # nothing is learned of other values: 0 for them all
            continue
        last = len(ends) - 2
        rows += [
            (float(a), float(b - a), j, -1.0 if k == 0 else 0.0, 2.0 if k == last else 1.0)
            for k, (a, b) in enumerate(itertools.pairwise(ends))
        ]
        if beside:
            middle, spread = _robust(column)
            say = float(np.sqrt(last + 1))
            rows.append((float(np.float32(middle)), float(spread) / say, j, -_CLIP * say, _CLIP * say))
    shift, scale, source, low, high = (np.array(column) for column in zip(*rows, strict=True))
    return shift, scale, source.astype(np.int64), low, high


def _ends(x: np.ndarray, room: int) -> np.ndarray:
    """Where the at most `room` bins of a column end: values that it has."""
    values = np.unique(x)
    if len(values) <= min(_FEW, room, math.isqrt(len(x))):
        return values
    shares = np.linspace(0, 1, min(_BINS, room // 2) + 1)
    return np.unique([np.quantile(known, shares, method="nearest") for known in (x, values)])


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
