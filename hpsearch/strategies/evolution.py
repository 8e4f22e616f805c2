"""Evolution: good results have offspring, and a cheap guess at their scores picks which of these is tried."""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.seeds import Purpose, generator
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.random import reflect
from hpsearch.strategies.sobol import SobolSequence
from hpsearch.strategies.surrogate import Surrogate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hpsearch.space import Config, Space

DESIGN = 8  # results before the first offspring
MEMORY = 100  # best, and as many most recent results, that the guess is made from
GROWTH = 0.1  # more results, and the guess is made anew
TWICE = 0.3  # share of offspring that mutate a second time
ATTEMPTS = 5  # each with one mutation more, to find offspring that was not tried yet


@dataclass(frozen=True)
class EvolutionOptions:
    """How the parents are chosen and what they pass on.

    population: results that may be parents: the best `elite` of all, and for the rest the most recent, so that a score
    that was only luck is forgotten (aging evolution, Real et al. 2019, arXiv 1802.01548). selection: so many of them,
    drawn at random, compete for being a parent. crossover: share of offspring with two parents, each side of the cube
    from either. mutation: standard deviation of a step, of a side's length. offspring: so many are made, and the one
    with the best guess is tried; 1 is evolution without a guess.
    """

    population: int = 20
    elite: int = 10
    selection: int = 2
    crossover: float = 0.0
    mutation: float = 0.2
    offspring: int = 30


@dataclass(frozen=True, order=True)
class _Result:
    score: float
    order: int
    place: tuple[float, ...]
    active: tuple[bool, ...]


class EvolutionStrategy(Strategy):
    """Begins with the default configuration and points of a Sobol sequence, then proposes offspring.

    There are no generations: every proposal takes its parents from the results known by then, so no process ever waits
    for the others. The guess (see surrogate.py) sees through the noise of single scores what a parent's own score
    cannot tell.
    """

    def __init__(
        self, space: Space, seed: int, lag: int, defaults: Mapping[str, Any], options: EvolutionOptions
    ) -> None:
        super().__init__(space, seed, lag)
        self._defaults = defaults
        self._options = options
        self._unordered = np.array(space.categories) > 0
        self._cells = np.array(space.cells, int)
        self._cell = np.where(self._cells > 0, 1 / np.maximum(self._cells, 1), 0.0)  # its length
        self._sequence = SobolSequence(space.dimensions, generator(seed, 0, Purpose.PROPOSAL))
        self._surrogate = Surrogate(space.categories)
        self._best: list[_Result] = []
        self._recent: deque[_Result] = deque(maxlen=MEMORY)
        self._next_fit = DESIGN

    def stages(self, trials: int) -> list[str]:
        """How many trials come before the first offspring."""
        first = min(trials, DESIGN + self.lag - 1)
        return [f"{first} trials to begin with, then {trials - first} offspring"]

    def _needs(self, number: int) -> int:
        results = super()._needs(number)
        return results if results >= DESIGN else 0

    def _learn(self, config: Config, place: np.ndarray, score: float) -> None:
        active = tuple(name in config for name in self.space.parameters)
        result = _Result(score, self._learned, tuple(place.tolist()), active)
        insort(self._best, result)
        del self._best[MEMORY:]
        self._recent.append(result)
        # The number of results decides when, not who asks, so that a resumed run does the same.
        if self._learned + 1 == self._next_fit:
            self._fit()
            self._next_fit += max(1, int(self._next_fit * GROWTH))

    def _fit(self) -> None:
        """Make the guess and the population anew."""
        known = {result.order: result for result in (*self._best, *self._recent)}.values()
        self._surrogate.fit(np.array([r.place for r in known]), np.array([r.score for r in known]))
        elite, population = self._options.elite, self._options.population
        young = list(self._recent)[-(population - elite) :] if population > elite else []
        chosen = sorted({result.order: result for result in (*self._best[: min(elite, population)], *young)}.values())
        self._places = np.array([result.place for result in chosen])
        self._active = np.array([result.active for result in chosen])

    def _propose(self, number: int) -> Config:
        if number == 0:
            return self.space.nearest(self._defaults)
        rng = self._rng(number)
        points = self._offspring(rng) if self._needs(number) else self._start(number, rng)
        return self._first_new(number, (self.space.decode(point.tolist()) for point in points))

    def _start(self, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield self._sequence[number - 1]
        yield from rng.random((4 * ATTEMPTS, self.space.dimensions))

    def _offspring(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Places of new offspring, the most promising first."""
        for mutations in range(1, ATTEMPTS + 1):
            parents = self._parents(rng)
            children, active = self._places[parents], self._active[parents]
            if self._options.crossover > 0:
                others = self._parents(rng)
                swap = rng.random((len(children), 1)) < self._options.crossover
                swap = swap & (rng.random(children.shape) < 0.5)
                children = np.where(swap, self._places[others], children)
                active = np.where(swap, self._active[others], active)
            every = np.arange(len(children))
            self._mutate(
                children, active, np.concatenate([every] * mutations + [every[: int(TWICE * len(every))]]), rng
            )
            order = np.argsort(self._surrogate.guess(children), kind="stable")
            # What was inactive in the parent has no value to inherit, and may be active in the child.
            yield from np.where(active, children, rng.random(children.shape))[order]

    def _parents(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of the population, one for each child: the best of those that compete."""
        rivals = rng.integers(len(self._places), size=(self._options.offspring, self._options.selection))
        return rivals.min(axis=1)

    def _mutate(self, children: np.ndarray, active: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Change one active side of the child in each of the `rows` of children (n, sides), in place.

        On a scale by a normal step that reaches at least the next value; a category becomes another one.
        """
        sides = np.argmax(rng.random((len(rows), children.shape[1])) * active[rows], axis=1)
        old, cells, cell = children[rows, sides], self._cells[sides], self._cell[sides]
        steps = self._options.mutation * rng.standard_normal(len(rows))
        new = reflect(old + np.copysign(np.maximum(np.abs(steps), cell), steps))
        if self._unordered.any():
            others = (old + (1 + (rng.random(len(rows)) * (cells - 1)).astype(int)) * cell) % 1.0
            new = np.where(self._unordered[sides], others, new)
        middles = (np.minimum((new * cells).astype(int), cells - 1) + 0.5) * cell
        # A step over an end may be thrown back to where it began; then it goes the other way.
        still = (np.abs(middles - old) < 0.5 * cell) & (cells > 1)
        middles = np.where(still, old + np.copysign(cell, 0.5 - old), middles)
        children[rows, sides] = np.where(cells > 0, middles, new)
