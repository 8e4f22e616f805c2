"""Inputs of which little has to be said: one-hot categories, and bins, each of which goes on from the one before it.

A first layer multiplies a row x with its weights, sum over p of x[p] W[p]. Where an input is only other than 0 when the
one before it is 1, as in the bins of a column (1, 1, 1, 0.3, 0, 0), it goes on from it; and the sum over such a run,
taken by parts (Abel), is that of (x[p] - x[p + 1]) T[p], with T[p] the sum of the W from the run's start to p. Two
terms of it are not 0, however many the bins; and of a one-hot category one is. This is true of any x and any runs; that
inputs go on only decides how few terms there are.
"""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np

WORTH_IT = 8  # a term costs as much as so many of a dense product, about: it fits no register tile
_BLOCK_CELLS = 1 << 20


class SparseRows(NamedTuple):
    """The terms of rows: places (rows * most,) int32, -1 after a row's last, and values (rows * most,) float32."""

    places: np.ndarray
    values: np.ndarray


class SparseInputs(NamedTuple):
    """Up to `most` terms for each row of both parts; goes_on (features,) int32: which goes on from the one before."""

    most: int
    goes_on: np.ndarray
    train: SparseRows
    dev: SparseRows


_NONE = SparseRows(np.zeros(0, np.int32), np.zeros(0, np.float32))
DENSE = SparseInputs(0, np.zeros(0, np.int32), _NONE, _NONE)
_known: dict[tuple[int, int], SparseInputs] = {}


def sparse_inputs(train: np.ndarray, dev: np.ndarray) -> SparseInputs:
    """The terms of inputs (rows, features), or DENSE where those of a train row are too many to be worth it.

    They are kept for as long as both arrays are, which nobody may change: all trainings of a search have the same.
    """
    key = (id(train), id(dev))
    if key not in _known:
        _known[key] = _sparse_inputs(train, dev)
        for inputs in (train, dev):
            weakref.finalize(inputs, _known.pop, key, None).atexit = False
    return _known[key]


def _sparse_inputs(train: np.ndarray, dev: np.ndarray) -> SparseInputs:
    limit = train.shape[1] // WORTH_IT
    some = _blocks(train)[:1]
    if _most(some, _goes_on(some)) > limit:  # more rows end runs, which leaves no row fewer terms
        return DENSE
    goes_on = _goes_on(_blocks(train))
    most = _most(_blocks(train), goes_on)
    if not 0 < most <= limit:
        return DENSE
    most = max(most, _most(_blocks(dev), goes_on))
    return SparseInputs(most, goes_on.astype(np.int32), *(_rows(inputs, goes_on, most) for inputs in (train, dev)))


def _blocks(inputs: np.ndarray) -> list[np.ndarray]:
    rows = max(1, _BLOCK_CELLS // inputs.shape[1])
    return [inputs[start : start + rows] for start in range(0, len(inputs), rows)]


def _goes_on(blocks: list[np.ndarray]) -> np.ndarray:
    """Which inputs (features,) are only other than 0 where the one before is 1."""
    goes_on = np.ones(blocks[0].shape[1], bool)
    goes_on[0] = False
    for block in blocks:
        goes_on[1:] &= ((block[:, 1:] == 0) | (block[:, :-1] == 1)).all(axis=0)
    return goes_on


def _terms(block: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    """x[p] - x[p + 1] where p + 1 goes on from p, else x[p]; (rows, features)."""
    terms = block.copy()
    np.subtract(block[:, :-1], block[:, 1:], out=terms[:, :-1], where=goes_on[1:])
    return terms


def _most(blocks: list[np.ndarray], goes_on: np.ndarray) -> int:
    """The most terms of a row."""
    return max(int(np.count_nonzero(_terms(block, goes_on), axis=1).max()) for block in blocks)


def _rows(inputs: np.ndarray, goes_on: np.ndarray, most: int) -> SparseRows:
    places, values = np.full((len(inputs), most), -1, np.int32), np.zeros((len(inputs), most), np.float32)
    start = 0
    for block in _blocks(inputs):
        terms = _terms(block, goes_on)
        row, place = terms.nonzero()
        nth = np.arange(len(row)) - np.searchsorted(row, row)  # of its row
        places[start + row, nth], values[start + row, nth] = place, terms[row, place]
        start += len(block)
    return SparseRows(places.reshape(-1), values.reshape(-1))
