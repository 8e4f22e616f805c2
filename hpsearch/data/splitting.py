"""Rows are dealt to train, dev and test so that each part looks like the whole.

Rows of one class stand in a line, sorted by the column to be spread (or by the quantile of the number to be
predicted) and shuffled within equals; each part then takes evenly spaced places of the line. That is
stratified sampling with exact sizes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.grouping import deal_groups
from hpsearch.data.plain import show
from hpsearch.data.values import row_hashes
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

PARTS = ("train", "dev", "test")
_STREAM = 3  # its own stream of the seed, shared with no other use of chance
_ROWS_PER_BIN, _MOST_BINS = 10, 100
_GROUP_BINS = 10


def split_rows(
    y: np.ndarray,
    *,
    task: str,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int,
    groups: np.ndarray | None = None,
    stratify: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Deal rows to three parts; the same arguments always give the same parts.

    Args:
        y: (rows,) class labels, or the numbers to be predicted.
        task: `classification` or `regression`.
        fractions: of train, dev and test; only test may be 0.
        seed: not negative.
        groups: (rows,) int; rows of equal number stay together.
        stratify: (rows,) int; rows of equal number are spread over the parts.

    Returns:
        For each of `PARTS` the sorted int64 row indices. Without groups the sizes are exact to a row (unless
        there are many tiny classes), train holds every class, dev each of two rows or more, test of three.

    Raises:
        DataError: fractions or seed make no sense, or there are fewer rows or groups than parts.
    """
    shares = _checked(fractions)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataError(f"split seed: {show(seed)} is not a whole number of 0 or more")
    needed = int((shares > 0).sum())
    if len(y) < needed:
        raise DataError(f"split: {len(y)} rows cannot fill {needed} parts")
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(int(seed), spawn_key=(_STREAM,))))
    if groups is not None:
        strata = np.unique(y, return_inverse=True)[1] if task == "classification" else _bins(y, _GROUP_BINS)
        if stratify is not None:
            strata = np.unique(_crossed(strata, stratify), return_inverse=True)[1]
        part = deal_groups(groups, strata, shares, random)
    elif task == "classification":
        part = _deal(
            np.unique(y, return_inverse=True)[1],
            np.zeros(len(y), np.int64) if stratify is None else stratify,
            shares,
            random,
        )
    else:
        bins = _bins(y, min(max(len(y) // _ROWS_PER_BIN, 1), _MOST_BINS))
        order = bins if stratify is None else _crossed(stratify, bins)
        part = _deal(np.zeros(len(y), np.int64), order, shares, random)
    for number in np.flatnonzero(shares):
        if not (part == number).any():
            raise DataError(f"split: no row is left for {PARTS[number]}; every class needs more rows")
    return {name: np.flatnonzero(part == number) for number, name in enumerate(PARTS)}


def deal_again(
    rows: dict[str, np.ndarray],
    y: np.ndarray,
    *,
    task: str,
    fractions: Sequence[float],
    seed: int,
    repeat: int,
    groups: np.ndarray | None = None,
    stratify: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Deal the rows of train and dev anew, by the same rules; test stays. `repeat` (from 1) numbers the deals."""
    pool = np.sort(np.concatenate([rows["train"], rows["dev"]]))
    train, dev = fractions[0], fractions[1]
    again = split_rows(
        y[pool],
        task=task,
        fractions=(train / (train + dev), dev / (train + dev), 0.0),
        seed=int(np.random.SeedSequence([int(seed), repeat]).generate_state(1, np.uint64)[0] >> np.uint64(1)),
        groups=None if groups is None else groups[pool],
        stratify=None if stratify is None else stratify[pool],
    )
    return {"train": pool[again["train"]], "dev": pool[again["dev"]], "test": rows["test"]}


def _checked(fractions: Sequence[float]) -> np.ndarray:
    try:
        shares = np.array([float(share) for share in fractions])
    except (TypeError, ValueError):
        raise DataError(f"split: three numbers are needed (train, dev, test), not {show(fractions)}") from None
    text = ", ".join(f"{share:g}" for share in shares)
    if len(shares) != len(PARTS):
        raise DataError(f"split: three fractions are needed (train, dev, test), not {text}")
    if not np.isfinite(shares).all() or (shares < 0).any() or not math.isclose(shares.sum(), 1.0, abs_tol=1e-6):
        raise DataError(f"split: {text} must each be 0 or more and add up to 1 (they add up to {shares.sum():g})")
    if shares[0] == 0 or shares[1] == 0:
        raise DataError(f"split: {text}: train and dev must be above 0; only test may be 0")
    return shares / shares.sum()


def _crossed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first.astype(np.int64) * (int(second.max()) + 1) + second


def _bins(y: np.ndarray, number: int) -> np.ndarray:
    """Return (rows,) int64: which of `number` equally filled bins each value falls into."""
    rank = np.empty(len(y), np.int64)
    rank[np.argsort(y, kind="stable")] = np.arange(len(y))
    return rank * number // len(y)


def _deal(labels: np.ndarray, order: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return (rows,) int8 part numbers.

    Args:
        labels: (rows,) int from 0 without gaps; each label gets its own exact counts.
        order: (rows,) int; rows of one label are spread along it.
        shares: (3,) summing to 1.
        random: source of all chance.
    """
    rows = len(labels)
    line = random.permutation(rows)
    line = line[np.argsort(_crossed(labels, order)[line], kind="stable")]
    sizes = np.bincount(labels)
    counts = _counts(sizes, shares)
    label = labels[line]
    place = np.arange(rows) - (np.cumsum(sizes) - sizes)[label]

    in_test = _evenly(place, counts[label, 2], sizes[label], random.integers(0, sizes)[label])
    left = sizes - counts[:, 2]
    taken = np.cumsum(in_test) - in_test
    place -= taken - (np.cumsum(counts[:, 2]) - counts[:, 2])[label]
    in_dev = ~in_test & _evenly(place, counts[label, 1], left[label], random.integers(0, np.maximum(left, 1))[label])

    part = np.empty(rows, np.int8)
    part[line] = np.where(in_test, 2, np.where(in_dev, 1, 0))
    return part


def _evenly(place: np.ndarray, wanted: np.ndarray, size: np.ndarray, start: np.ndarray) -> np.ndarray:
    """True at exactly `wanted` of the places 0..size-1, evenly spaced from a start there; elementwise."""
    return ((place + 1) * wanted + start) // size > (place * wanted + start) // size


def _counts(sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return (labels, 3) int: rows of each label for each part.

    Each row sums to its size and each column to its share of all, as long as every label gets a row in train,
    then dev, then test.
    """
    ideal = sizes[:, None] * shares
    least = np.stack([sizes >= 1, sizes >= 2, (sizes >= 3) & (shares[2] > 0)], axis=1).astype(np.int64)
    counts = np.maximum(np.floor(ideal + 1e-9).astype(np.int64), least)
    for label in np.flatnonzero(counts.sum(axis=1) > sizes):
        while counts[label].sum() > sizes[label]:
            room = np.where(counts[label] > least[label], counts[label] - ideal[label], -np.inf)
            counts[label, np.argmax(room)] -= 1

    total = int(sizes.sum())
    goal = np.floor(total * shares + 0.5).astype(np.int64)
    goal[0] = total - goal[1] - goal[2]
    short = goal - counts.sum(axis=0)
    spare = sizes - counts.sum(axis=1)
    owed = ideal - counts
    for flat in np.argsort(-owed, axis=None, kind="stable"):
        label, part = divmod(int(flat), len(shares))
        if spare[label] > 0 and short[part] > 0 and shares[part] > 0:
            counts[label, part] += 1
            spare[label] -= 1
            short[part] -= 1
    for label in np.flatnonzero(spare):
        while spare[label]:
            part = int(np.argmax(np.where(shares > 0, short, -total)))
            counts[label, part] += 1
            spare[label] -= 1
            short[part] -= 1
    return counts


def duplicates_across(frame: pl.DataFrame, parts: dict[str, np.ndarray]) -> dict[str, int]:
    """Count the rows of dev and test that also stand, cell for cell, in train.

    Args:
        frame: (rows, columns) the columns that count: inputs and target.
        parts: row indices as `split_rows` returns them.
    """
    hashes = row_hashes(frame, frame.columns).to_numpy()
    train = np.sort(hashes[parts["train"]])
    copies = {}
    for name in PARTS[1:]:
        rows = hashes[parts[name]]
        places = np.minimum(np.searchsorted(train, rows), len(train) - 1)
        copies[name] = int((train[places] == rows).sum())
    return copies
