"""Whole groups of rows are dealt to train, dev and test: the largest first, each where it suits best."""

from __future__ import annotations

import numpy as np

from hpsearch.data.plain import count
from hpsearch.errors import DataError


def deal_groups(groups: np.ndarray, strata: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return (rows,) int8 part numbers; no group stands in two parts.

    A group goes where it adds least to  sum_s (have[s] - goal[s])^2 / goal[s],  over the strata s and the
    number of all rows. Every part gets a group; train gets a row of every stratum that can spare one.

    Args:
        groups: (rows,) int; equal numbers stay together.
        strata: (rows,) int from 0 without gaps, whose shares should be alike in all parts.
        shares: (3,) of train, dev and test, summing to 1; a part with share 0 stays empty.
        random: decides between groups of equal size.

    Raises:
        DataError: there are fewer groups than parts.
    """
    group = np.unique(groups, return_inverse=True)[1]
    number = int(group.max()) + 1
    parts = [part for part in range(len(shares)) if shares[part] > 0]
    if number < len(parts):
        raise DataError(
            f"group: {count(number, 'group')} cannot fill {len(parts)} parts; name a column with more groups"
        )

    kinds = int(strata.max()) + 1
    cells, tally = np.unique(group * kinds + strata, return_counts=True)
    bounds = np.searchsorted(cells, np.arange(number + 1) * kinds).tolist()
    stratum, tally = (cells % kinds).tolist(), tally.tolist()
    sizes = np.bincount(group)
    shuffled = random.permutation(number)
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist()

    goals = np.outer(shares, [*np.bincount(strata, minlength=kinds), len(group)])
    goal = np.maximum(goals, 1e-9).tolist()
    have = [[0] * (kinds + 1) for _ in shares]
    part_of = [0] * number
    for member in largest_first:
        contents = [(stratum[i], tally[i]) for i in range(bounds[member], bounds[member + 1])]
        contents.append((kinds, sum(rows for _, rows in contents)))
        best, least = parts[0], float("inf")
        for part in parts:
            here, wanted = have[part], goal[part]
            cost = sum(rows * (2 * (here[s] - wanted[s]) + rows) / wanted[s] for s, rows in contents)
            if cost < least:
                best, least = part, cost
        part_of[member] = best
        for s, rows in contents:
            have[best][s] += rows
    dealt = np.array(part_of, np.int8)
    _fill_empty_parts(dealt, sizes, parts)
    _teach_train_everything(dealt, cells // kinds, cells % kinds, sizes, kinds)
    return dealt[group]


def _fill_empty_parts(dealt: np.ndarray, sizes: np.ndarray, parts: list[int]) -> None:
    """Give each empty part the smallest group of the part with most; changes `dealt` (groups,) in place."""
    for part in parts:
        if not (dealt == part).any():
            donor = int(np.argmax(np.bincount(dealt, minlength=3)))
            candidates = np.flatnonzero(dealt == donor)
            dealt[candidates[np.argmin(sizes[candidates])]] = part


def _teach_train_everything(
    dealt: np.ndarray, members: np.ndarray, stratum: np.ndarray, sizes: np.ndarray, kinds: int
) -> None:
    """Move to train, in place, the smallest group with a stratum that it lacks, unless its part has no other.

    Args:
        dealt: (groups,) part numbers.
        members: (cells,) group of each pair of group and stratum that occurs.
        stratum: (cells,) stratum of the same pairs.
        sizes: (groups,) rows.
        kinds: number of strata.
    """
    known = np.zeros(kinds, bool)
    known[stratum[dealt[members] == 0]] = True
    for missing in np.flatnonzero(~known):
        if known[missing]:
            continue
        holders = members[stratum == missing]
        holders = holders[[(dealt == dealt[holder]).sum() > 1 for holder in holders]]
        if holders.size:
            moved = holders[np.argmin(sizes[holders])]
            dealt[moved] = 0
            known[stratum[members == moved]] = True
