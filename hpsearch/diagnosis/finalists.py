"""Which of the finalists is the best, and which of the others cannot be told apart from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Standing:
    """A finalist: mean and standard deviation of its scores, and whether chance alone may keep it from being first."""

    trial: int
    mean: float
    sd: float
    level: bool


def standings(scores: Mapping[int, Sequence[float]], shared: float = 0.0) -> list[Standing]:
    """The finalists, best first (smaller scores are better; of equal ones the lower number).

    scores: of each trial, one for each repeat, in the same order for all; at least two repeats. Infinity: it failed.
    shared: rows of dev / rows of train where every repeat has a split of its own, else 0.

    A finalist is level with the first when their mean difference is below the least significant one: Student's t times
    the standard error of a difference in the two-way layout trials x repeats, for what is common to all in one repeat
    (its split) tells nothing of the difference. Splits of the same rows overlap, so that their variance is divided by
    less than their number (Nadeau and Bengio 2003, doi 10.1023/A:1024068626366, eq. 8).
    """
    means = {trial: fmean(values) for trial, values in scores.items()}
    order = sorted(means, key=lambda trial: (means[trial], trial))
    first, repeats = order[0], len(scores[order[0]])
    finite = [trial for trial in order if math.isfinite(means[trial])]
    freedom = (len(finite) - 1) * (repeats - 1)
    least = 0.0
    if freedom > 0:
        columns = [fmean(scores[trial][r] for trial in finite) for r in range(repeats)]
        whole = fmean(columns)
        rest = sum((scores[t][r] - means[t] - columns[r] + whole) ** 2 for t in finite for r in range(repeats))
        error = math.sqrt(2 * rest / freedom * (1 / repeats + shared))
        least = student_quantile((1 + CONFIDENCE) / 2, freedom) * error
    return [
        Standing(
            trial,
            means[trial],
            stdev(scores[trial]) if math.isfinite(means[trial]) else math.inf,
            level=trial != first and means[trial] - means[first] <= least,  # without noise, of equal ones too
        )
        for trial in order
    ]


def noise(scores: Mapping[int, Sequence[float]]) -> float | None:
    """The standard deviation of one score, without what is common to all in one repeat, as their split is.

    The residual of the two-way layout trials x repeats; of a single trial its plain deviation. None where there is
    none.
    """
    finite = [values for values in scores.values() if all(map(math.isfinite, values))]
    if len(finite) < 2:
        return stdev(finite[0]) if finite and len(finite[0]) > 1 else None
    repeats, columns = len(finite[0]), [fmean(column) for column in zip(*finite, strict=True)]
    whole = fmean(columns)
    rest = sum((v - fmean(values) - c + whole) ** 2 for values in finite for v, c in zip(values, columns, strict=True))
    freedom = (len(finite) - 1) * (repeats - 1)
    return math.sqrt(rest / freedom) if freedom else None


def student_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t: exact for 1 and 2 degrees of freedom, above within 1 %.

    Abramowitz and Stegun, 26.7.5, from the normal quantile.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (1 - (2 * share - 1) ** 2))
    x = NormalDist().inv_cdf(share)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / freedom**power for power, term in enumerate(terms, start=1))
