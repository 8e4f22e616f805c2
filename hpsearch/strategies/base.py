"""The interface of every strategy: ask for trial i, tell how trial i went."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpsearch.seeds import Purpose, generator
from hpsearch.space import Mesh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.space import Config, Space


@dataclass(frozen=True)
class Course:
    """How a trial went: one word (diagnosis.trials), its curves (as in TrialResult), and whether it came to its end."""

    diagnosis: str
    curves: Mapping[str, Sequence[float | None]]
    whole: bool = True


class Told(NamedTuple):
    """Of a trial: its configuration, the place (dimensions,) of that in the unit cube, its score and its cost."""

    config: Config
    place: np.ndarray
    score: float
    cost: float | None = None


LAST_DRAWS = 64  # where a part of a continuum is a single point, most of them may be known
MOST_POINTS = 100_000  # of a side, where free points are looked for


class Strategy(ABC):
    """Proposes configurations by trial number: ask in order of the numbers, tell in any order.

    The proposal for trial i is a function of the space, the seed, the proposals before it and the results of at most
    the trials 0 .. i - lag. These are learned in order of their numbers, and what else was told by then waits. So
    neither the number of processes nor their speed decides what is tried, and a run that was killed goes on with the
    same proposals once its results are told again. Results of an earlier search, if any, are learned before all of
    these and have no part in the numbers, so no proposal waits for them.

    Attributes:
        lag: see above, at least 1.
        earlier: how many results of an earlier search are known.
        limit: how many different trials there are; None: no end.
        curious: whether it is to be shown how each trial went, and not only told its score.
        learns: whether a result can change what it proposes.
    """

    curious = False
    learns = True

    def __init__(self, space: Space, seed: int, lag: int) -> None:
        self.space = space
        self.lag = lag
        self.earlier = 0
        self.limit = space.size()
        self._seed = seed
        self._asked: dict[int, bytes] = {}
        self._told: dict[int, Told] = {}
        self._learned = 0
        self._first: dict[bytes, int] = {}
        self._keyed: tuple[Config, bytes] = {}, b""

    @property
    def usual_trials(self) -> int | None:
        """How many trials make a whole search when nobody says; None: as many as one likes."""
        return None

    def stages(self, trials: int) -> list[str]:  # noqa: ARG002 - for those that have some
        """What such a search of so many trials goes through, a line each; empty where there is nothing to say."""
        return []

    @property
    def _known(self) -> int:
        """How many results were learned, those of an earlier search among them; `_learned` are the others."""
        return self.earlier + self._learned

    def begin_with(self, results: Sequence[tuple[Config, float] | tuple[Config, float, float | None]]) -> None:
        """Tell the results of an earlier search: configurations of this space, scores and maybe costs, as in `tell`.

        Before anything is asked or told. What they tried may be tried again.
        """
        for config, *result in results:
            self._learn(Told(config, np.array(self.space.encode(config)), *result))
            self.earlier += 1

    def ready(self, number: int) -> bool:
        """Whether all results were told that the proposal for trial `number` uses."""
        return all(n in self._told for n in range(self._learned, self._needs(number)))

    def ask(self, number: int) -> Config:
        """The configuration of trial `number` (from 0, below `limit`), with Python scalars as values.

        Every earlier trial was asked for or told before. Raises ValueError when it is not `ready`.
        """
        if not self.ready(number):
            raise ValueError(f"trial {number} needs the results of trials 0 to {self._needs(number) - 1}")
        self.prepare(number)
        config = self._propose(number)
        self._asked[number] = self._note(number, config)
        return config

    def prepare(self, number: int) -> None:
        """Learn what the proposal for trial `number`, which is `ready`, uses; none before it is asked for any more."""
        for learned in range(self._learned, self._needs(number)):
            self._learn(self._told.pop(learned))
            self._learned += 1

    def tell(self, number: int, config: Config, score: float, cost: float | None = None) -> None:
        """Tell the score (smaller is better, infinity or NaN for a failure) of a trial, and what it cost.

        cost: of a training that came to its end, above 0, in a unit that no machine decides; None: not known.
        """
        key = self._asked.pop(number) if number in self._asked else self._note(number, config)
        score = math.inf if math.isnan(score) else score
        if self.learns:
            self._told[number] = Told(config, np.frombuffer(key), score, cost)

    def see(self, number: int, course: Course) -> None:  # noqa: B027 - for those that are curious
        """Show how a trial went, after its score was told."""

    @abstractmethod
    def _propose(self, number: int) -> Config:
        """The configuration of trial `number`."""

    def _needs(self, number: int) -> int:
        """How many results, from trial 0 on, the proposal for trial `number` uses: at most number - lag + 1."""
        return max(0, number - self.lag + 1)

    def _learn(self, told: Told) -> None:  # noqa: B027 - a choice, not an omission
        """Take in result `_known`; called in order of numbers."""

    def _rng(self, number: int) -> np.random.Generator:
        """The random numbers of the proposal for trial `number`; other ones than the earlier search used."""
        return generator(self._seed, self.earlier + number, Purpose.PROPOSAL)

    def _note(self, number: int, config: Config) -> bytes:
        key = self._key(config)
        self._first[key] = min(number, self._first.get(key, number))
        return key

    def _key(self, config: Config) -> bytes:
        if config is not self._keyed[0]:  # a proposal is looked up, then noted
            self._keyed = config, np.array(self.space.encode(config)).tobytes()
        return self._keyed[1]

    def _is_new(self, number: int, config: Config) -> bool:
        """Whether no trial before `number` has this configuration."""
        return self._first.get(self._key(config), number) >= number

    def _first_new(self, number: int, configs: Iterable[Config]) -> Config:
        """The first of `configs` that no earlier trial has; if all are known, any free point of the space."""
        for config in configs:
            if self._is_new(number, config):
                return config
        rng = generator(self._seed, self.earlier + number, Purpose.FREE_POINT)  # other draws than those before
        if self.limit is None:
            draws = [self.space.decode(rng.random(self.space.dimensions).tolist()) for _ in range(LAST_DRAWS)]
            return next((config for config in draws if self._is_new(number, config)), draws[-1])
        whole = Mesh(self.space, points=min(self.limit, MOST_POINTS))
        start = whole.size * int(rng.integers(2**32)) >> 32
        places = (whole[(start + i) % whole.size] for i in range(whole.size))
        return next((config for config in places if self._is_new(number, config)), whole[start])


class GivenStrategy(Strategy):
    """Configurations that are known beforehand, by trial number; `numbers` in the order in which they were given."""

    def __init__(self, space: Space, configs: Mapping[int, Config]) -> None:
        super().__init__(space, seed=0, lag=1)
        self.limit = None
        self.numbers = list(configs)
        self._configs = configs

    def prepare(self, number: int) -> None:
        """Learn nothing."""

    def ready(self, number: int) -> bool:
        """Whether there is a trial of this number."""
        return number in self._configs

    def ask(self, number: int) -> Config:
        """The configuration of trial `number`."""
        return self._propose(number)

    def tell(self, number: int, config: Config, score: float, cost: float | None = None) -> None:
        """Learn nothing."""

    def _propose(self, number: int) -> Config:
        return self._configs[number]
