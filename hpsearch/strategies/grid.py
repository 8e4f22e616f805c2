"""Grid search: a mesh over the space by index, then denser meshes around the best of it, round after round."""

from __future__ import annotations

import itertools
import math
from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.seeds import Purpose, generator
from hpsearch.space import Mesh
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.sobol import SobolSequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpsearch.space import Config, Space
    from hpsearch.strategies.base import Told

AREAS = 3
CANDIDATES = 200  # the best results are looked through for them
ATTEMPTS = 40
STRIDE = 7919  # in the Sobol sequence from one attempt to the next
ENOUGH = 0.75  # of the mesh's results are known before the first round
MOST_HALVINGS = 40  # far below what anybody could tell apart


@dataclass(frozen=True)
class _Round:
    """Where a round looks: areas (n, sides), the new steps (sides,), and how many below and above each (n, sides)."""

    number: int
    areas: np.ndarray = field(default_factory=lambda: np.empty(0))
    step: np.ndarray = field(default_factory=lambda: np.empty(0))
    below: np.ndarray = field(default_factory=lambda: np.empty(0))
    above: np.ndarray = field(default_factory=lambda: np.empty(0))


class GridStrategy(Strategy):
    """Each parameter takes at most `points` values, spread on its scale; then `rounds` rounds of tightening.

    The points of the mesh come in the order of a Sobol sequence, each once, so that a search that ends early has looked
    everywhere a little, instead of at one corner. Of `planned` trials the mesh gets what it needs, but where it is
    larger than that, half of them; without a plan, the rounds together have as many as the mesh. A round knows the
    results of all but the last trials before it, by the lag; until that is ENOUGH of the mesh, more of its points come,
    or those of one twice as dense, as in small searches.

    Each round halves the distance of the mesh's points, around the best results that are at least one step of the mesh
    apart (AREAS). Its points are those with each value at the centre or a few new steps beside it, in the order of a
    Sobol sequence: one step, for that makes 3^sides of them, but more where a round has more trials. A category is one
    of those that the areas have.
    """

    def __init__(self, space: Space, seed: int, lag: int, *, points: int, planned: int | None, rounds: int) -> None:
        super().__init__(space, seed, lag)
        self.mesh = Mesh(space, points)
        size = self.mesh.size
        coarse = size if not rounds or planned is None or planned >= size else -(-planned // 2)
        enough = max(coarse, math.ceil(ENOUGH * coarse) + lag - 1)
        wanted = planned or enough + size
        self.first_round = max(coarse, min(wanted, enough))
        self.coarse = min(size, self.first_round)
        self.round_size = max(1, -(-(wanted - self.first_round) // max(rounds, 1)))
        self._between = Mesh(space, 2 * points - 1) if self.first_round > self.coarse else self.mesh
        if not rounds:
            self.limit, self.learns = size, False
        self._unordered = np.array(space.categories) > 0
        self._steps = 1 / (np.array([max(len(values), 2) for values in self.mesh.values.values()]) - 1.0)
        cells = np.array(space.cells)
        self._least = np.where(cells > 0, 1 / np.maximum(cells, 1), 0.0)
        self._sequence = SobolSequence(space.dimensions, generator(0, 0, Purpose.PROPOSAL))  # the mesh has no seed
        self._results: list[tuple[float, int, list[float]]] = []
        self._round = _Round(0)
        self._left = self._left_for = 0  # no point of the mesh before this is free for this trial or a later one

    @property
    def usual_trials(self) -> int:
        """The points of the mesh."""
        return self.mesh.size

    def stages(self, trials: int) -> list[str]:
        """The mesh and the rounds with their sizes."""
        coarse = min(trials, self.coarse)
        whole = "all" if coarse == self.mesh.size else f"{coarse:,}"
        lines = [f"mesh: {whole} of {self.mesh.size:,} points"]
        if between := min(trials, self.first_round) - coarse:
            lines.append(f"between: {between} points of a mesh twice as dense, until enough results are known")
        for start in range(self.first_round, trials, self.round_size):
            this, size = self.round_of(start), min(self.round_size, trials - start)
            lines.append(f"round {this}: {size} points around the best, 1/{2**this} of the mesh's steps apart")
        return lines

    def round_of(self, number: int) -> int:
        """The round of trial `number`: 0 is the mesh over the whole space, and what comes between its points."""
        return 0 if number < self.first_round else 1 + (number - self.first_round) // self.round_size

    def _needs(self, number: int) -> int:
        """A round begins with what was known lag trials before its first."""
        this = self.round_of(number)
        return super()._needs(self.first_round + (this - 1) * self.round_size) if this else 0

    def _learn(self, told: Told) -> None:
        if told.score < math.inf:
            insort(self._results, (told.score, self._known, told.place.tolist()))
            del self._results[CANDIDATES:]

    def _propose(self, number: int) -> Config:
        this = self.round_of(number)
        around = self._around(number, this) if this and self._results else ()
        return self._first_new(number, itertools.chain(around, self._everywhere(number)))

    def _everywhere(self, number: int) -> Iterator[Config]:
        """Points of the whole mesh, or of the denser one, then those of the mesh that are left."""
        mesh = self.mesh if number < self.coarse else self._between
        yield from (mesh.at(self._sequence[number + attempt * STRIDE]) for attempt in range(ATTEMPTS))
        if number < self._left_for:  # asked for once more
            self._left = 0
        self._left_for = number
        while self._left < self.mesh.size and not self._is_new(number, self.mesh[self._left]):
            self._left += 1
        if self._left < self.mesh.size:
            yield self.mesh[self._left]

    def _around(self, number: int, this: int) -> Iterator[Config]:
        """Points of the denser meshes, from that of the area whose turn it is."""
        if self._round.number != this:
            self._round = self._begun(this)
        areas, step = self._round.areas, self._round.step
        area = number % len(areas)
        below, above = self._round.below[area], self._round.above[area]
        for attempt in range(ATTEMPTS):
            point = self._sequence[number // len(areas) + attempt * STRIDE]
            beside = np.floor(point * (below + above + 1)) - below
            choices = areas[(point * len(areas)).astype(int), np.arange(len(point))]
            place = np.where(self._unordered, choices, np.clip(areas[area] + beside * step, 0, 1))
            yield self.space.decode(place.tolist())

    def _begun(self, this: int) -> _Round:
        """The round with this number, from what is known now: as few steps as make a few more points than it needs."""
        finer = 0.5 ** min(this, MOST_HALVINGS)
        areas = self._areas(2 * finer * self._steps)
        step = np.maximum(finer * self._steps, self._least)
        room = np.where(self._unordered, 0.0, np.ceil(np.stack([areas, 1 - areas]) / step - 1e-6))
        for steps in itertools.count(1):
            below, above = np.minimum(room, steps)
            if (below + above + 1).prod(axis=1).sum() >= 1.25 * self.round_size or steps >= room.max():
                return _Round(this, areas, step, below, above)
        raise AssertionError

    def _areas(self, step: np.ndarray) -> np.ndarray:
        """The best results (at most AREAS, sides) that differ in a category or by more than a step on some side."""
        found: list[np.ndarray] = []
        for _, _, place in self._results:
            here = np.array(place)
            apart = np.where(self._unordered, 1e-9, step * 1.001)
            if all((np.abs(here - other) > apart).any() for other in found):
                found.append(here)
            if len(found) == AREAS:
                break
        return np.array(found)
