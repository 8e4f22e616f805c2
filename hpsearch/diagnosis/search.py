"""What the scores of a search say about the search itself: has it had enough, and how lucky was its winner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEWEST = 10


def expected_best(scores: Sequence[float], k: int) -> float:
    """The mean of the best (least) of k of these scores, over all ways to draw k of them.

    The i-th smallest of n, i from 0, is the best of a draw in C(n-1-i, k-1) of C(n, k) ways.
    """
    ordered = sorted(scores)
    n = len(ordered)
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}; it must be from 1 to the number of scores, {n}")
    chance, total = k / n, 0.0
    for i, value in enumerate(ordered[: n - k + 1]):
        total += chance * value
        chance *= (n - k - i) / (n - 1 - i) if i < n - 1 else 0.0
    return total


@dataclass(frozen=True)
class Enough:
    """Whether more trials of the same kind pay.

    Attributes:
        best: the best score. half: the expected best of half as many trials.
        gain: what the second half brought, and so about what twice as many trials would bring at most.
        noise: the sd of a score over seeds, if it is known.
        enough: whether the gain is no more than the noise; None where the noise is not known.
    """

    best: float
    half: float
    gain: float
    noise: float | None
    enough: bool | None


def had_enough(scores: Sequence[float], noise: float | None) -> Enough | None:
    """Judge a search by the scores (smaller is better) of its complete trials; None where there are few."""
    if len(scores) < FEWEST:
        return None
    best, half = min(scores), expected_best(scores, len(scores) // 2)
    return Enough(best, half, half - best, noise, None if noise is None else half - best <= noise)


@dataclass(frozen=True)
class Optimism:
    """By how much scores of the search were better than the same configurations proved to be in the finals.

    Attributes:
        winner: of the winner. mean, sd: over all finalists; sd None where there is one.
    """

    winner: float
    mean: float
    sd: float | None


def optimism(searched: Mapping[int, float], finals: Mapping[int, float], winner: int) -> Optimism | None:
    """Compare the scores (smaller is better) of finalists in the search with their means in the finals.

    The best of many noisy scores is better than its configuration: it was chosen for its luck too. None without finals.
    """
    lost = {n: finals[n] - searched[n] for n in finals if math.isfinite(finals[n]) and n in searched}
    if winner not in lost:
        return None
    values = list(lost.values())
    return Optimism(lost[winner], fmean(values), stdev(values) if len(values) > 1 else None)


def pareto(costs: Mapping[int, Sequence[float]]) -> list[int]:
    """Those that no other one beats or equals in everything and beats in something; by their first cost."""

    def beaten(number: int) -> bool:
        own = costs[number]
        return any(
            all(a <= b for a, b in zip(other, own, strict=True)) and tuple(other) != tuple(own)
            for other in costs.values()
        )

    return sorted((number for number in costs if not beaten(number)), key=lambda number: (costs[number], number))
