"""NPZ archives of NumPy: an array of inputs, rows or images, and a 1-D array of targets become a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hpsearch.data.plain import show
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_USUAL_NAMES = (("X", "y"), ("x", "y"), ("data", "target"))
_KINDS = "biufU"


def read_npz(path: Path, *, labelled: bool = True) -> tuple[pl.DataFrame, tuple[int, ...] | None]:
    """Read a `.npz` file: columns x0, x1, ... and, last, the target under the name of its array.

    `labelled`: there must be one; without it, a file of inputs alone will do.

    Returns:
        The frame, and the shape (h, w) or (h, w, c) of a row where the inputs are images (rows, h, w[, c]).

    Raises:
        DataError: it is damaged, holds pickled objects, or no arrays of inputs and targets of one length.
    """
    if not _is_zip(path):
        raise DataError(f"{path}: not an .npz file; make one with np.savez")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # noqa: BLE001  a damaged archive can raise nearly anything in zipfile, zlib and NumPy
        if "pickle" in str(error):
            raise DataError(f"{path}: it holds pickled objects, which are never read; save plain arrays only") from None
        raise DataError(f"{path}: not a readable .npz file ({show(str(error), 80)})") from None
    inputs, target = _choose(path, arrays, labelled=labelled)
    X = arrays[inputs]
    if X.size == 0:
        raise DataError(f"{path}: array {inputs!r} is empty, its shape is {X.shape}")
    image_shape = X.shape[1:] if X.ndim > 2 else None
    if image_shape:
        X = X.reshape(len(X), -1)
        X = X.astype(np.uint8) if X.dtype == bool else X  # a pixel is a number
    frame = pl.DataFrame(np.ascontiguousarray(_native(X)), schema=[f"x{j}" for j in range(X.shape[1])], orient="row")
    if target is None:
        return frame, image_shape
    name = target if target not in frame.columns else "target"
    return frame.with_columns(pl.Series(name, _native(arrays[target]))), image_shape


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _choose(path: Path, arrays: dict[str, np.ndarray], *, labelled: bool) -> tuple[str, str | None]:
    """Return the names of the arrays of inputs and targets, by their usual names or else the first that match."""

    def fit(inputs: str, target: str | None) -> bool:
        X = arrays[inputs]
        fits = X.ndim in (2, 3, 4) and X.dtype.kind in "biuf"
        if target is None:
            return fits
        y = arrays[target]
        return fits and y.ndim == 1 and len(X) == len(y) and y.dtype.kind in _KINDS

    pairs = [pair for pair in _USUAL_NAMES if pair[0] in arrays and pair[1] in arrays]
    pairs += [(inputs, target) for inputs in arrays for target in arrays]
    if not labelled:
        usual = [inputs for inputs, _ in _USUAL_NAMES if inputs in arrays]
        pairs += [(inputs, None) for inputs in (*usual, *arrays)]
    for inputs, target in pairs:
        if fit(inputs, target):
            return inputs, target
    found = (
        ", ".join(f"{show(name)} {array.dtype}{array.shape}" for name, array in list(arrays.items())[:6]) or "nothing"
    )
    y = " and a 1-D array of equal length as y" if labelled else ""
    raise DataError(f"{path}: numbers (n, k), or images (n, h, w[, c]), as X{y} are needed; found {found}")


def _native(array: np.ndarray) -> np.ndarray:
    """The same numbers in this machine's byte order, in a type that polars knows."""
    if array.dtype == np.float16 or (array.dtype.itemsize > 8 and array.dtype.kind == "f"):
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
