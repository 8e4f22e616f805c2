"""Which hyperparameters made the difference: functional analysis of variance over a random forest.

Hutter, Hoos and Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter Importance. Each tree is a guess
at the score everywhere in the unit cube, constant in boxes, so that the mean over any sides is a sum over its leaves
(eq. 9 there). Its variance over the cube splits into what each side explains by itself, and what two explain together
beyond that. The trees are extremely randomised (Geurts, Ernst and Wehenkel 2006), each on a sample of the trials drawn
with replacement, so the spread of the shares over the trees says how certain they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hpsearch.space import Space

FEWEST = 12  # trials from which anything can be said
MOST = 500  # trials that are looked at
TREES = 48
LEAST_TO_SPLIT = 4  # trials in a box
PAIRED = 5  # of the most important hyperparameters are looked at in pairs
TAIL = 1.5  # interquartile ranges above the upper quartile, beyond which all scores are equally bad (Tukey's fence)


@dataclass(frozen=True)
class Share:
    """What one hyperparameter explains, or two beyond what each does: a share of the variance, and its sd."""

    names: tuple[str, ...]
    share: float
    sd: float


@dataclass(frozen=True)
class Importance:
    """Shares, largest first, and how well trials are foretold by the others: 0 not at all, 1 exactly."""

    single: list[Share]
    pairs: list[Share]
    foretold: float


def importance(space: Space, configs: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> Importance | None:
    """What the searched hyperparameters explain of the scores (smaller is better, infinity for a failure).

    None where there are fewer than FEWEST trials, no two different scores, or nothing was searched. No chance is in it:
    the same trials give the same numbers.
    """
    keep = slice(None, None, max(1, -(-len(configs) // MOST)))
    names, values = list(space.parameters), _fenced(np.array(scores[keep], float))
    if not names or len(values) < FEWEST or np.ptp(values) == 0:
        return None
    places = np.array([space.encode(config) for config in configs[keep]])
    chance = np.random.default_rng(0)
    trees = [_Tree(places, values, space, chance) for _ in range(TREES)]
    single = np.array([[tree.explained((side,)) for side in range(len(names))] for tree in trees])
    order = np.argsort(-single.mean(0), kind="stable").tolist()
    likely = [tuple(sorted(pair)) for pair in combinations(order[:PAIRED], 2)]
    pairs = np.array([[tree.explained(pair) - single[t, list(pair)].sum() for pair in likely]
                      for t, tree in enumerate(trees)])  # fmt: skip
    return Importance(
        [_share(names, (side,), single[:, side]) for side in order],
        sorted((_share(names, pair, pairs[:, k]) for k, pair in enumerate(likely)), key=lambda share: -share.share),
        _foretold(trees, places, values),
    )


def _fenced(scores: np.ndarray) -> np.ndarray:
    """The scores with what is very bad, failures among it, held at one value: how bad it was is not asked."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return np.zeros(len(scores))
    low, high = np.quantile(finite, [0.25, 0.75])
    return np.minimum(scores, high + TAIL * (high - low) if high > low else finite.max())


def _share(names: list[str], sides: tuple[int, ...], shares: np.ndarray) -> Share:
    return Share(tuple(names[side] for side in sides), max(0.0, float(shares.mean())), float(shares.std()))


class _Tree:
    """Boxes of the unit cube and the mean score in each: low, high (leaves, sides), value (leaves,)."""

    def __init__(self, places: np.ndarray, scores: np.ndarray, space: Space, chance: np.random.Generator) -> None:
        self._chance = chance
        # Values without order lie along a side in an order that each tree draws, so that any of them can be neighbours.
        self._orders = {side: chance.permutation(count) for side, count in enumerate(space.categories) if count}
        self._cells = np.array(space.cells)
        drawn = chance.integers(len(scores), size=len(scores))
        self.unseen = np.setdiff1d(np.arange(len(scores)), drawn)
        leaves = [*self._grow(self._arranged(places)[drawn], scores[drawn])]
        self.low, self.high = (np.array([leaf[end] for leaf in leaves]) for end in (0, 1))
        self.value = np.array([leaf[2] for leaf in leaves])
        self._lengths = self.high - self.low
        volumes = self._lengths.prod(1)
        self._mean = float(volumes @ self.value)
        self._variance = float(volumes @ (self.value - self._mean) ** 2)

    def _arranged(self, places: np.ndarray) -> np.ndarray:
        arranged = places.copy()
        for side, order in self._orders.items():
            choices = np.minimum((places[:, side] * len(order)).astype(int), len(order) - 1)
            arranged[:, side] = (order[choices] + 0.5) / len(order)
        return arranged

    def _grow(self, places: np.ndarray, scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        """(low, high, mean) of each leaf."""
        sides = places.shape[1]
        waiting = [(np.arange(len(scores)), np.zeros(sides), np.ones(sides))]
        while waiting:
            rows, low, high = waiting.pop()
            inside, here = places[rows], scores[rows]
            side, cut = self._cut(inside, here) if len(rows) >= LEAST_TO_SPLIT else (-1, 0.0)
            if side < 0:
                yield low, high, float(here.mean())
                continue
            left = inside[:, side] < cut
            middle_high, middle_low = high.copy(), low.copy()
            middle_high[side] = middle_low[side] = cut
            waiting += [(rows[left], low, middle_high), (rows[~left], middle_low, high)]

    def _cut(self, places: np.ndarray, scores: np.ndarray) -> tuple[int, float]:
        """Of one cut at random through each side, the one that parts the scores best; side -1 where none does."""
        least, most = places.min(0), places.max(0)
        cuts = least + self._chance.random(len(least)) * (most - least)
        stepped = self._cells > 0
        cuts[stepped] = np.round(cuts[stepped] * self._cells[stepped]) / self._cells[stepped]
        left = places < cuts
        lefts = left.sum(0)
        possible = (lefts > 0) & (lefts < len(scores))
        if not possible.any() or np.ptp(scores) == 0:
            return -1, 0.0
        centred = scores - scores.mean()
        sums = centred @ left
        # Between the means of both parts: n_l n_r (m_l - m_r)^2 / n, which with a mean of 0 is s_l^2 n / (n_l n_r).
        gain = np.where(possible, sums * sums / np.maximum(lefts * (len(scores) - lefts), 1), -1.0)
        side = int(gain.argmax())
        return side, float(cuts[side])

    def explained(self, sides: tuple[int, ...]) -> float:
        """The variance of the mean over all other sides, as a share of the whole variance."""
        if self._variance == 0:
            return 0.0
        others = np.delete(np.arange(self.low.shape[1]), sides)
        weights = self.value * self._lengths[:, others].prod(1)
        inside, widths = zip(*map(self._slabs, sides), strict=True)
        if len(sides) == 1:
            means, measure = inside[0] @ weights, widths[0]
        else:
            means, measure = (inside[0] * weights) @ inside[1].T, np.outer(*widths)
        return float((measure * (means - self._mean) ** 2).sum()) / self._variance

    def _slabs(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Which leaves lie over each piece between neighbouring cuts of a side (pieces, leaves), and its width."""
        ends = np.unique(np.concatenate([self.low[:, side], self.high[:, side]]))
        middles = (ends[1:] + ends[:-1]) / 2
        inside = (self.low[:, side] < middles[:, None]) & (middles[:, None] < self.high[:, side])
        return inside.astype(float), np.diff(ends)

    def guess(self, places: np.ndarray) -> np.ndarray:
        """The scores (n,) at points (n, sides)."""
        places = np.minimum(self._arranged(places), 1 - 1e-12)[:, None, :]
        return self.value[((self.low <= places) & (places < self.high)).all(2).argmax(1)]


def _foretold(trees: list[_Tree], places: np.ndarray, scores: np.ndarray) -> float:
    """Of the scores' variance, the share that those trees explain which have not seen the trial; at least 0."""
    sums, counts = np.zeros(len(scores)), np.zeros(len(scores))
    for tree in trees:
        sums[tree.unseen] += tree.guess(places[tree.unseen])
        counts[tree.unseen] += 1
    known = counts > 0
    errors = scores[known] - sums[known] / counts[known]
    return max(0.0, 1 - float(np.mean(errors**2) / np.var(scores)))
