"""Random search (Bergstra and Bengio 2012), each parameter on its own scale, denser where results are good."""

from __future__ import annotations

import math
from bisect import insort
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.seeds import Purpose, generator
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.sobol import SobolSequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hpsearch.space import Config, Space
    from hpsearch.strategies.base import Told

ATTEMPTS = 20
AREAS = 50  # at most so many good results are kept as centres
HALF_WAY = 30  # results after which a draw is local with half of the final share
WIDTH = 0.15  # sd of a local draw, of a side
GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, are spread most evenly
OTHER_CHOICE = 0.15  # share of local draws that change a category


class PlainStrategy(Strategy):
    """Independent draws and nothing else, a baseline; only trial 0 is the point nearest to the defaults."""

    def __init__(self, space: Space, seed: int, lag: int, defaults: Mapping[str, Any]) -> None:
        super().__init__(space, seed, lag)
        self.limit = None if space.parameters else 1
        self._defaults = defaults

    def ask(self, number: int) -> Config:
        """The configuration of trial `number`."""
        return self._propose(number)

    def tell(self, number: int, config: Config, score: float, cost: float | None = None) -> None:
        """Learn nothing."""

    def _needs(self, number: int) -> int:  # noqa: ARG002 - whatever the number
        return 0

    def _propose(self, number: int) -> Config:
        if number == 0:
            return self.space.nearest(self._defaults)
        return self.space.decode(self._rng(number).random(self.space.dimensions).tolist())


class RandomStrategy(Strategy):
    """Points of a scrambled Sobol sequence, none twice, and a growing share of draws around good results.

    Trial 0 is the point of the space nearest to the defaults, so that a search shows what tuning was worth. `densify`
    is the share of local draws that is approached as results come in; their centres are the best results, about the
    square root of their number. Trial i is trial i of a longer search too.
    """

    def __init__(self, space: Space, seed: int, lag: int, defaults: Mapping[str, Any], densify: float) -> None:
        super().__init__(space, seed, lag)
        self._defaults = defaults
        self._densify, self.learns = densify, densify > 0
        self._unordered = np.array(space.categories) > 0
        rng = generator(seed, 0, Purpose.PROPOSAL)
        self._sequence = SobolSequence(space.dimensions, rng)
        self._turn = rng.random()
        self._best: list[tuple[float, int, list[float]]] = []

    def _needs(self, number: int) -> int:
        return super()._needs(number) if self._is_local(number) else 0

    def _is_local(self, number: int) -> bool:
        """Whether its turn has come, in a sequence that spreads the local draws evenly among the others."""
        results = self.earlier + super()._needs(number)
        turn = (self._turn + (self.earlier + number) * GOLDEN) % 1.0
        return turn < self._densify * results / (results + HALF_WAY)

    def _learn(self, told: Told) -> None:
        if told.score < math.inf:
            insort(self._best, (told.score, self._known, told.place.tolist()))
            del self._best[AREAS:]

    def _propose(self, number: int) -> Config:
        if number == 0:
            return self.space.nearest(self._defaults)
        rng = self._rng(number)
        points = self._near(rng) if self._is_local(number) and self._best else self._far(number, rng)
        return self._first_new(number, (self.space.decode(point.tolist()) for point in points))

    def _far(self, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield self._sequence[self.earlier + number - 1]
        for _ in range(ATTEMPTS):
            yield rng.random(self.space.dimensions)

    def _near(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        areas = self._best[: math.isqrt(self._known) + 1]
        for _ in range(ATTEMPTS):
            center = np.array(areas[rng.integers(len(areas))][2])
            ordered = reflect(center + WIDTH * rng.standard_normal(len(center)))
            anything = rng.random((2, len(center)))
            other = np.where(anything[0] < OTHER_CHOICE, anything[1], center)
            yield np.where(self._unordered, other, ordered)


def reflect(places: np.ndarray) -> np.ndarray:
    """Places that left [0, 1] by less than its length, thrown back at its ends."""
    inside = np.abs(places)
    return np.clip(np.where(inside > 1, 2 - inside, inside), 0, 1)
