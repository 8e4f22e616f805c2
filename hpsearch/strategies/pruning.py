"""Pruning: a trial that is worse than three quarters of the earlier ones after as many epochs ends there.

A mild form of the median rule of Vizier (Golovin et al. 2017, doi 10.1145/3097983.3098043, section 3.2.1), on the best
score so far at rungs of 4, 8, 16, ... epochs, and a comparison with a constant prediction once training had a fair
start. The median itself stops too many slow starters that win in the end (measured in experiments/benchmarks/pruning).
A trial that was stopped counts as the worst at all later rungs, so the bar does not rise with every trial that is
stopped, and it is known beforehand how many trials there are to compare with. The first trial goes on in any case, so
that a search from which nothing can be learned ends with a model too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_RUNG = 4  # before, most trials that win are still among the last
FAIR_EPOCH = 8  # no trial of the best quarter was worse than a constant after it, on eight data sets
LEAST = 5  # trials to compare with
BETTER, OF = 3, 4  # a trial is stopped when more than this share of them were better
WINDOW = 64  # the latest of them


def rungs_below(epochs: int) -> tuple[int, ...]:
    """The epochs after which trials of at most `epochs` epochs are compared; none for short trials."""
    return tuple(FIRST_RUNG << i for i in range(32) if FIRST_RUNG << i < epochs)


class Pruner:
    """Decides which trials are stopped at which of the `rungs`, by what trials 0 .. i - lag reported there.

    Scores are better when smaller. The decision depends on these trials alone, and not on when they report: what is not
    known yet leaves it open, unless it cannot change it any more. `constant` is the score of a constant prediction.
    """

    def __init__(self, rungs: Sequence[int], lag: int, constant: float = math.inf) -> None:
        self.rungs = tuple(rungs)
        self._lag = lag
        self._constant = constant
        self._raw: dict[int, list[float | None]] = {}
        self._judged: dict[int, int] = {}
        self._final: dict[int, Sequence[float]] = {}
        self._verdicts: dict[tuple[int, int], bool] = {}

    def report(self, number: int, rung: int, score: float) -> None:
        """Note the best score so far of trial `number`, which goes on, at the rung with this index."""
        self._raw.setdefault(number, [None] * len(self.rungs))[rung] = score

    def end(self, number: int, reports: Sequence[float], judged: int) -> None:
        """Note the scores at all rungs of a trial that has ended; it went on at the first `judged` of them."""
        self._raw[number] = list(reports)
        self._judged[number] = judged

    def stopped_at(self, number: int) -> int | None:
        """The index of the rung at which a trial that has ended was to be stopped, -1 if at none; None: still open."""
        return self._first_stop(number, self._judged[number])

    def tell(self, number: int, reports: Sequence[float]) -> None:
        """Note the scores of a settled trial at all rungs; infinity where it had been stopped or had failed.

        One that was run without rungs, because it was asked for alone, has none, and counts as stopped at all of them.
        """
        self._final[number] = reports or [math.inf] * len(self.rungs)
        self._raw.pop(number, None)
        self._judged.pop(number, None)

    def limits(self, number: int) -> tuple[tuple[int, float], ...]:
        """(epoch, limit) of each rung at which trial `number` is sure to be stopped if its score is above the limit."""
        rivals = self._rivals(number)
        return tuple((epoch, self._limit(number, rung, rivals)) for rung, epoch in enumerate(self.rungs))

    def _bar(self, number: int, rung: int) -> float:
        """The score that is too bad at a rung whatever others have."""
        return self._constant if number > 0 and self.rungs[rung] >= FAIR_EPOCH else math.inf

    def _rivals(self, number: int) -> range:
        end = max(0, number - self._lag + 1)
        return range(max(0, end - WINDOW), end)

    def _limit(self, number: int, rung: int, rivals: range) -> float:
        bar = self._bar(number, rung)
        if len(rivals) < LEAST:
            return bar
        known = sorted(score for n in rivals if (score := self._reported(n, rung)) is not None)
        enough = len(rivals) * BETTER // OF
        return min(bar, known[enough]) if len(known) > enough else bar

    def _first_stop(self, number: int, judged: int) -> int | None:
        """The first of the first `judged` rungs at which the trial is stopped, -1 if at none; None while it is open."""
        for rung in range(judged):
            verdict = self._verdict(number, rung, self._raw[number][rung])
            if verdict is not False:
                return rung if verdict else None
        return -1

    def _verdict(self, number: int, rung: int, score: float) -> bool | None:
        """Whether the trial is stopped at this rung, where it has this score; None while that is open."""
        if (number, rung) in self._verdicts:
            return self._verdicts[number, rung]
        rivals = self._rivals(number)
        bar = self._bar(number, rung)
        if score == math.inf or len(rivals) < LEAST:  # what has no score at all fails at its end, and says why
            verdict = bar < score < math.inf
        elif score > bar:
            verdict = True
        else:
            scores = [self._reported(n, rung) for n in rivals]
            better = sum(s is not None and s < score for s in scores)
            open_ = scores.count(None)
            if OF * better <= BETTER * len(rivals) < OF * (better + open_):
                return None
            verdict = OF * better > BETTER * len(rivals)
        self._verdicts[number, rung] = verdict
        return verdict

    def _reported(self, number: int, rung: int) -> float | None:
        """The score at a rung that counts, infinity after the trial was stopped; None while it is not known."""
        if number in self._final:
            return self._final[number][rung]
        raw = self._raw.get(number)
        if raw is None or raw[rung] is None:
            return None
        stopped = self._first_stop(number, min(rung, self._judged.get(number, rung)))
        return None if stopped is None else raw[rung] if stopped < 0 else math.inf

    def forget(self, number: int) -> None:
        """Drop what is of no use when no trial before `number` will be asked about any more."""
        start = self._rivals(number).start
        for known in (self._final, self._raw, self._judged):
            for old in [n for n in known if n < start]:
                del known[old]
        for key in [key for key in self._verdicts if key[0] < start]:
            del self._verdicts[key]
