"""Which networks vote: greedy selection with replacement on the dev part.

A search trains many networks that are about as good and err on different rows; the mean of some of their predictions
is mostly better than the best of them (Caruana et al. 2004, doi 10.1145/1015330.1015432).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.diagnosis.scores import class_scorer, value_scorer
from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.data.parts import Part
    from hpsearch.data.target import Target

MOST_ROWS = 10_000  # of dev that are enough to choose by
FOLDS = 5
RESAMPLES = 200
BEYOND = 1.64  # standard errors of the gain above 0: chance alone does that in one case of twenty


@dataclass(frozen=True)
class Choice:
    """An ensemble of candidates, and what it gains.

    Attributes:
        votes: by candidate, at least 1; in the order of candidates.
        scores: by metric, on the rows that it was chosen by.
        gain: by how much the metric of many is better than that of one, both on rows that they were not chosen by.
        error: the standard error of the gain.
    """

    votes: Mapping[int, int]
    scores: Mapping[str, float]
    gain: float
    error: float

    @property
    def better(self) -> bool:
        """Whether it is better than a single network beyond noise."""
        return len(self.votes) > 1 and self.gain > BEYOND * self.error


class AbandonedError(Exception):
    """Somebody said stop before the choice was made."""


def rows_to_choose_by(rows: int, seed: int) -> np.ndarray:
    """The places of at most MOST_ROWS of so many rows, in order."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_ROWS])


def choose(
    outputs: Sequence[np.ndarray],
    part: Part,
    target: Target,
    metric: str,
    *,
    size: int,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Choice:
    """Let at most `size` votes be given to candidates, so that their mean has the best score.

    Args:
        outputs: of each candidate the network's outputs (rows, outputs) for the part.
        part: rows with known targets that no candidate was trained on.
        target: what the outputs mean.
        metric: that is to be best.
        size: votes, at least 1.
        seed: of the folds and of the resampling.
        should_stop: asked before each vote; AbandonedError if it says so.

    The gain is that of ensembles chosen by four fifths of the rows over single networks that are chosen so too, on the
    last fifth, put together over the fifths; its error is that of a paired bootstrap. So the luck that made candidates
    of all of them, and one the winner, is on both sides.
    """
    chance = np.random.default_rng(seed)
    rows = chance.permutation(len(part.inputs))
    judge = _Judge(part, target, metric, should_stop)
    stack = np.stack([judge.prepared(one) for one in outputs])
    one, many = (_unseen(stack, judge, rows, votes) for votes in (1, size))
    gain, error = judge.difference(one, many, rows, chance)
    picks = _picks(stack, judge, rows, size)
    scores = judge.scores(stack[picks].mean(0))
    return Choice(dict(sorted(Counter(picks).items())), scores, gain, error)


def _unseen(stack: np.ndarray, judge: _Judge, rows: np.ndarray, size: int) -> np.ndarray:
    """For each of these rows the prediction of an ensemble that was chosen without its fold."""
    found = np.full(stack.shape[1:], np.nan)
    for fold in range(FOLDS):
        out = rows[fold::FOLDS]
        others = np.concatenate([rows[other::FOLDS] for other in range(FOLDS) if other != fold])
        found[out] = stack[_picks(stack, judge, others, size) if len(others) else [0]][:, out].mean(0)
    return found


def _picks(stack: np.ndarray, judge: _Judge, rows: np.ndarray, size: int) -> list[int]:
    """Candidates (some repeatedly), the best beginning of a greedy sequence judged on these rows."""
    known, whole = stack[:, rows], np.zeros(stack[:, rows].shape[1:])
    loss = judge.loss(rows)
    picks: list[int] = []
    best, length = (math.inf, math.inf), 0
    for count in range(1, size + 1):
        judge.look_up()
        losses = [loss((whole + one) / count) for one in known]
        pick = min(range(len(known)), key=losses.__getitem__)
        whole = whole + known[pick]
        picks.append(pick)
        if losses[pick] < best:
            best, length = losses[pick], count
    return picks[: max(length, 1)]


class _Judge:
    """Scores of predictions for a part: shares (rows, classes), or values (rows,) in units of the target."""

    def __init__(self, part: Part, target: Target, metric: str, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._target = target
        self._metric = metric
        self._sign = -1.0 if metric in MAXIMIZED_METRICS else 1.0
        self._classes = target.task == "classification"
        self._known = part.labels if self._classes else target.original(part.targets)[:, 0]

    def look_up(self) -> None:
        """Raise AbandonedError if it is time to stop."""
        if self._should_stop():
            raise AbandonedError

    def prepared(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a network as predictions."""
        return outputs if self._classes else self._target.original(outputs)[:, 0]

    def scores(self, predictions: np.ndarray) -> dict[str, float]:
        """Every metric on all rows."""
        scorer = (class_scorer if self._classes else value_scorer)(predictions, self._known)
        return scorer(np.ones(len(predictions)))

    def loss(self, rows: np.ndarray) -> Callable[[np.ndarray], tuple[float, float]]:
        """What is to be small for predictions of these rows; of equal ones log loss or squared error decides."""
        known, ones = self._known[rows], np.ones(len(rows))

        def loss(predictions: np.ndarray) -> tuple[float, float]:
            scorer = self._scorer(predictions, known, (self._metric, "log_loss"))
            found = scorer(ones)
            proper = found.get("log_loss", found.get("rmse", math.inf))
            return self._sign * found.get(self._metric, self._sign * math.inf), proper

        return loss

    def difference(
        self, one: np.ndarray, other: np.ndarray, rows: np.ndarray, chance: np.random.Generator
    ) -> tuple[float, float]:
        """By how much the other's metric is better on these rows, and the standard error of that."""
        before, after = (self._scorer(p[rows], self._known[rows], (self._metric,)) for p in (one, other))

        def gain(weights: np.ndarray) -> float:
            missing = math.nan
            return self._sign * (before(weights).get(self._metric, missing) - after(weights).get(self._metric, missing))

        n = len(rows)
        draws = [gain(np.bincount(chance.integers(n, size=n), minlength=n).astype(float)) for _ in range(RESAMPLES)]
        known = [draw for draw in draws if math.isfinite(draw)]
        return gain(np.ones(n)), float(np.std(known)) if known else math.inf

    def _scorer(
        self, predictions: np.ndarray, known: np.ndarray, wanted: Sequence[str]
    ) -> Callable[[np.ndarray], dict[str, float]]:
        return class_scorer(predictions, known, wanted) if self._classes else value_scorer(predictions, known)
