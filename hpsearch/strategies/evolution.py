"""Evolution: the best results have offspring, and a cheap guess at their scores picks which of these is tried."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.seeds import Purpose, generator
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.cost_guess import CostGuess
from hpsearch.strategies.random import reflect
from hpsearch.strategies.sobol import SobolSequence
from hpsearch.surrogate import Surrogate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hpsearch.space import Config, Space
    from hpsearch.strategies.base import Told

DESIGN = 10  # results before the first offspring
MEMORY = 100  # best, and as many most recent results, that the guess is made from
GROWTH = 0.1  # more results, and parents and guess are chosen anew
TOGETHER = 16  # proposals whose offspring are made at once
ELITE, FEWEST, MOST = 0.1, 2, 25  # share of the results that are parents, but not fewer or more
WIDTH = 0.3  # sd of a step, of a side's length, were there no parents
LEAST_STEP = 0.6  # sd of a step, of the distance to the next value
OTHER_CHOICE = 0.5  # share of the categories that are drawn anew
MOST_SORTED = 64  # points to begin with
THRIFTY = 100  # results after which thrift is half of what it was
ATTEMPTS = 5  # each with steps twice as wide, to find offspring that was not tried yet


@dataclass(frozen=True)
class EvolutionOptions:
    """How the parents are chosen and what they pass on; None: what suits the number of results.

    elite: so many of the best results are parents. population: with so many, the rest are the most recent, so that a
    score that was only luck is forgotten (aging evolution, Real et al. 2019, arXiv 1802.01548). selection: so many of
    them, drawn at random, compete for being a parent. crossover: share of offspring with two parents, each side of the
    cube from either. mutation: standard deviation of the step that every side takes, of its length. offspring: so many
    are made, and the one with the best guess is tried; 1 is evolution without a guess. thrift: how much a cost e times
    as high counts in that at first, the standard deviation of the results by rank being 1; None or 0: it does not.
    """

    population: int | None = None
    elite: int | None = None
    selection: int = 1
    crossover: float = 0.0
    mutation: float | None = None
    offspring: int = 24
    thrift: float | None = None


@dataclass(frozen=True, order=True)
class _Result:
    score: float
    order: int
    place: tuple[float, ...]
    active: tuple[bool, ...]
    cost: float | None


class EvolutionStrategy(Strategy):
    """Begins with the default configuration and points of a Sobol sequence, then proposes offspring.

    There are no generations that anybody waits for: parents are chosen anew whenever there are a tenth more results,
    and with each where no guess is made. By itself, offspring is a draw from a kernel density over the best tenth of
    the results, as in an estimation of distribution algorithm (Larranaga and Lozano 2002): a normal step on every side,
    the shorter the more parents there are, and now and then a point from anywhere. The guess (see surrogate.py) sees
    through the noise of single scores what a parent's own score cannot tell. Where time is short and not trials,
    `thrift` prefers what is about as good and trains sooner, for more is found by many such trials (in the spirit of
    expected improvement per second; Snoek et al. 2012, section 3.2). The more trials there was time for, the less it
    counts, as where costs are cooled (Lee et al. 2020, arXiv 2003.10870). For the same reason the points to begin with
    are then tried in the order of their `cost`, where that is known beforehand: an early one that does not end in time
    would keep all that come after it from counting.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        lag: int,
        defaults: Mapping[str, Any],
        options: EvolutionOptions,
        cost: Callable[[Config], float] | None = None,
    ) -> None:
        super().__init__(space, seed, lag)
        self._defaults = defaults
        self._options = options
        self._cost = cost if options.thrift else None
        self._unordered = np.array(space.categories) > 0
        self._cells = np.array(space.cells, int)
        self._cell = np.where(self._cells > 0, 1 / np.maximum(self._cells, 1), 0.0)  # its length
        self._sequence = SobolSequence(space.dimensions, generator(seed, 0, Purpose.PROPOSAL))
        self._screens = options.offspring > 1  # one alone needs no guess
        self._surrogate = Surrogate(space.categories)
        self._costs = CostGuess(space.categories)
        self._best: list[_Result] = []
        self._recent: deque[_Result] = deque(maxlen=MEMORY)
        self._fitted, self._next_fit = 0, DESIGN  # numbers of results
        self._offspring_from = -1
        self._offspring = np.empty(0)

    def stages(self, trials: int) -> list[str]:
        """How many trials come before the first offspring."""
        first = min(trials, self._first_after(max(DESIGN, self.earlier)) or 1)
        return [f"{first} of {trials} trials to begin with, then offspring"]

    def _needs(self, number: int) -> int:
        results = super()._needs(number)
        return results if self.earlier + results >= DESIGN else 0

    def _learn(self, told: Told) -> None:
        active = tuple(name in told.config for name in self.space.parameters)
        result = _Result(told.score, self._known, tuple(told.place.tolist()), active, told.cost)
        insort(self._best, result)
        del self._best[MEMORY:]
        self._recent.append(result)
        # The number of results decides when, not who asks, so that a resumed run does the same.
        if self._known + 1 == self._next_fit:
            self._fit(self._next_fit)

    def _fit(self, results: int) -> None:
        """Choose the parents among so many results and make the guess anew."""
        if self._screens:
            known = {result.order: result for result in (*self._best, *self._recent)}.values()
            self._surrogate.fit(np.array([r.place for r in known]), np.array([r.score for r in known]))
            if self._options.thrift:
                whole = [r for r in known if r.cost]
                self._costs.fit(np.array([r.place for r in whole]), np.array([r.cost for r in whole]))
        parents = self._parents(results)
        self._places = np.array([result.place for result in parents])
        self._active = np.array([result.active for result in parents])
        self._fitted, self._next_fit = results, results + (max(1, int(results * GROWTH)) if self._screens else 1)
        self._offspring_from = -1

    def _parents(self, results: int) -> list[_Result]:
        """Those of so many results that may have offspring, the best first."""
        elite, population = self._options.elite, self._options.population
        if elite is None:
            elite = min(max(FEWEST, math.ceil(ELITE * results)), MOST)
        if population is None:
            population = max(elite, 1)
        young = list(self._recent)[-(population - elite) :] if population > elite else []
        return sorted({result.order: result for result in (*self._best[: min(elite, population)], *young)}.values())

    def _propose(self, number: int) -> Config:
        if number == 0:
            return self.space.nearest(self._defaults)
        points = self._start(number) if self.earlier + self._needs(number) < DESIGN else self._children(number)
        return self._first_new(number, (self.space.decode(point.tolist()) for point in points))

    def _start(self, number: int) -> Iterator[np.ndarray]:
        yield self._cheap_first[number - 1] if number <= len(self._cheap_first) else self._point(number)
        yield from self._rng(number).random((4 * ATTEMPTS, self.space.dimensions))

    def _point(self, number: int) -> np.ndarray:
        return self._sequence[self.earlier + number - 1]

    @cached_property
    def _cheap_first(self) -> list[np.ndarray]:
        """The points for trial 1 and those after it, where they are to come in the order of their cost."""
        points = [self._point(n) for n in range(1, min(self._first_after(DESIGN), MOST_SORTED)) if self._cost]
        return sorted(points, key=lambda point: self._cost(self.space.decode(point.tolist())))

    def _children(self, number: int) -> Iterator[np.ndarray]:
        """Places of the offspring for trial `number`, the most promising first.

        As long as parents and guess are the same, many trials get theirs at once, which costs little more than one.
        """
        first = self._first_after(self._fitted)
        start = number - (number - first) % TOGETHER
        if start != self._offspring_from:
            proposals = min(TOGETHER, self._first_after(self._next_fit) - start)
            self._offspring = self._breed(proposals, 1.0, self._rng(start))
            self._offspring_from = start
        yield from self._offspring[number - start]
        rng = self._rng(number)
        for attempt in range(1, ATTEMPTS):
            yield from self._breed(1, 2.0**attempt, rng)[0]

    def _first_after(self, results: int) -> int:
        """The first trial that is proposed from so many results, those of an earlier search among them."""
        own = results - self.earlier
        return own + self.lag - 1 if own > 0 else 0

    def _breed(self, proposals: int, wider: float, rng: np.random.Generator) -> np.ndarray:
        """Offspring (proposals, offspring, sides), the most promising first, with steps so much wider."""
        count = proposals * self._options.offspring
        parents = self._winners(count, rng)
        places, active = self._places[parents], self._active[parents]
        if self._options.crossover > 0:
            others = self._winners(count, rng)
            swap = rng.random((count, 1)) < self._options.crossover
            swap = swap & (rng.random(places.shape) < 0.5)
            places = np.where(swap, self._places[others], places)
            active = np.where(swap, self._active[others], active)
        places = self._mutated(places, wider, rng)
        # What was inactive in the parent has no value to inherit, and may be active in the child.
        strange = ~active | (rng.random((count, 1)) < 1 / (len(self._places) + 1))
        places = self._middles(np.where(strange, rng.random(places.shape), places))
        if not self._screens:
            return places[:, None]
        order = np.argsort(self._promise(places).reshape(proposals, -1), kind="stable")
        return np.take_along_axis(places.reshape(proposals, -1, places.shape[1]), order[:, :, None], axis=1)

    def _promise(self, places: np.ndarray) -> np.ndarray:
        """What decides which offspring (n, sides) is tried (n,): the guess, and the cost where that counts."""
        guess, thrift = self._surrogate.guess(places), self._options.thrift
        if not thrift:
            return guess
        return guess + thrift / (1 + self._fitted / THRIFTY) * self._costs.guess(places)

    def _winners(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of the parents (count,): each the best of those that compete."""
        return rng.integers(len(self._places), size=(count, self._options.selection)).min(axis=1)

    def _mutated(self, places: np.ndarray, wider: float, rng: np.random.Generator) -> np.ndarray:
        """Places (n, sides) after a step on each scale; some categories are drawn anew."""
        sides = places.shape[1]
        # Scott's rule for the width of a kernel: the more parents, the narrower.
        width = self._options.mutation or WIDTH * (len(self._places) + 1) ** (-1 / (sides + 4))
        steps = np.maximum(wider * width, LEAST_STEP * self._cell) * rng.standard_normal(places.shape)
        moved = reflect(places + steps)
        if self._unordered.any():
            other = np.where(rng.random(places.shape) < OTHER_CHOICE, rng.random(places.shape), places)
            moved = np.where(self._unordered, other, moved)
        return moved

    def _middles(self, places: np.ndarray) -> np.ndarray:
        """Places (n, sides) at the middle of their cells, where a side has some."""
        middles = (np.minimum((places * self._cells).astype(int), self._cells - 1) + 0.5) * self._cell
        return np.where(self._cells > 0, middles, places)
