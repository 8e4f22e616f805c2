"""Searches on the grids of tables.py: hpsearch's own, those of other people, and plain ones.

tpe, cma and gp need optuna 5, cma also cmaes, and gp also torch and scipy. Their constants are the defaults.

What a search sees of a configuration is the loss of one training with a seed drawn at random, and drawn alike in all
searches: the n-th trial of run r has the same seed everywhere, and the first configurations of random, aging and ga are
the same. The tables hold no lower fidelities, so nothing here stops trainings early.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from tables import Table

    Config = dict[str, int]
    Run = tuple[np.ndarray, np.ndarray]
    Search = Callable[[Table, int, int], Run]

STEP = 0.2  # standard deviation of a mutation, as a share of the range
AGING_POPULATION, AGING_SAMPLE = 20, 5
GA_POPULATION, GA_TOURNAMENT = 10, 3


class Trials:
    """Queries a table and keeps the record."""

    def __init__(self, table: Table, seed: int) -> None:
        self.table = table
        self.noise = np.random.default_rng((seed, 1))
        self.rows: list[int] = []
        self.observed: list[float] = []

    def __len__(self) -> int:
        return len(self.rows)

    def run(self, config: Config) -> float:
        """The loss seen of one training."""
        self.rows.append(self.table.index(config))
        self.observed.append(self.table.query(self.rows[-1], self.noise))
        return self.observed[-1]

    def arrays(self) -> Run:
        """Rows and losses, in order."""
        return np.array(self.rows), np.array(self.observed)


def search_rng(seed: int) -> np.random.Generator:
    """What the plain searches draw configurations from: another stream than the noise."""
    return np.random.default_rng((seed, 0))


def anywhere(table: Table, rng: np.random.Generator) -> Config:
    """A configuration uniformly from the grid."""
    return {name: int(rng.integers(size)) for name, size in zip(table.names, table.sizes, strict=True)}


def mutated(table: Table, config: Config, name: str, rng: np.random.Generator) -> Config:
    """`config` with another value of one parameter.

    Of an ordered one by a normal step, rounded, and drawn anew until it leads to another value of the grid.
    """
    place = table.names.index(name)
    size, old = table.sizes[place], config[name]
    if not table.ordered[place]:
        return config | {name: (old + int(rng.integers(1, size))) % size}
    new = old
    while new == old or not 0 <= new < size:
        new = old + round(rng.normal(0, STEP * (size - 1)))
    return config | {name: new}


def random(table: Table, trials: int, seed: int) -> Run:
    """Uniformly from the grid, with repeats."""
    record, rng = Trials(table, seed), search_rng(seed)
    for _ in range(trials):
        record.run(anywhere(table, rng))
    return record.arrays()


def aging(table: Table, trials: int, seed: int) -> Run:
    """Aging evolution (Real et al., 2019): the best of a sample has a child with one mutation, and the oldest dies."""
    record, rng = Trials(table, seed), search_rng(seed)
    population: deque[tuple[float, Config]] = deque()
    while len(record) < trials:
        if len(population) < AGING_POPULATION:
            child = anywhere(table, rng)
        else:
            sample = [population[i] for i in rng.integers(len(population), size=AGING_SAMPLE)]
            parent = min(sample, key=lambda member: member[0])[1]
            child = mutated(table, parent, table.names[rng.integers(len(table.names))], rng)
            population.popleft()
        population.append((record.run(child), child))
    return record.arrays()


def ga(table: Table, trials: int, seed: int) -> Run:
    """A genetic algorithm by generations: the best one stays as it is, the others are replaced.

    Both parents win a tournament, each parameter comes from either, and each mutates with probability 1 / parameters,
    at least one of them.
    """
    record, rng = Trials(table, seed), search_rng(seed)
    population: list[tuple[float, Config]] = []
    while len(record) < trials:
        parents = sorted(population, key=lambda member: member[0])
        population = parents[:1]
        while len(population) < GA_POPULATION and len(record) < trials:
            child = anywhere(table, rng)
            if parents:
                # In order of loss, the winner of a tournament is the lowest place.
                mother, father = (parents[rng.integers(len(parents), size=GA_TOURNAMENT).min()][1] for _ in range(2))
                child = {name: (mother if rng.random() < 0.5 else father)[name] for name in table.names}
                chosen = rng.random(len(table.names)) < 1 / len(table.names)
                chosen[rng.integers(len(table.names))] |= not chosen.any()
                for name in np.array(table.names)[chosen]:
                    child = mutated(table, child, str(name), rng)
            population.append((record.run(child), child))
    return record.arrays()


def by_optuna(table: Table, trials: int, seed: int, *, sampler: str, lag: int = 1, **options: Any) -> Run:
    """A sampler of Optuna, which sees an ordered parameter as a whole number and another one as a category.

    With a lag trial i is asked for when trials 0 to i - lag were told: so many run at a time.
    """
    import optuna  # noqa: PLC0415 - only these searches need it

    if sampler == "GPSampler":
        import torch  # noqa: PLC0415 - only this search needs it

        torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed, **options))
    record = Trials(table, seed)
    running: deque[tuple[Any, float]] = deque()
    for _ in range(trials):
        trial = study.ask()
        config = {
            name: trial.suggest_int(name, 0, size - 1)
            if ordered
            else trial.suggest_categorical(name, tuple(range(size)))
            for name, size, ordered in zip(table.names, table.sizes, table.ordered, strict=True)
        }
        running.append((trial, record.run(config)))
        if len(running) == lag:
            study.tell(*running.popleft())
    return record.arrays()


def by_hpsearch(table: Table, trials: int, seed: int, *, name: str, lag: int = 10, **options: Any) -> Run:
    """A strategy of hpsearch, which begins in the middle of the grid; its lag is that of a search of 100 trials."""
    from hpsearch.config import StrategyConfig  # noqa: PLC0415 - the other searches do without
    from hpsearch.strategies import make_strategy  # noqa: PLC0415

    chosen = StrategyConfig(name=name, lag=lag, planned=trials, **options)
    strategy = make_strategy(table.space(), seed, {}, **chosen.model_dump())
    record = Trials(table, seed)
    for number in range(trials):
        config = strategy.ask(number)
        strategy.tell(number, config, record.run(config))
    return record.arrays()


OWN: dict[str, Search] = {
    "plain": partial(by_hpsearch, name="random", plain=True),
    "random": partial(by_hpsearch, name="random"),
    "grid": partial(by_hpsearch, name="grid"),
    "evolve": partial(by_hpsearch, name="evolve"),
    "evolve_lag1": partial(by_hpsearch, name="evolve", lag=1),
    "evolve_lag16": partial(by_hpsearch, name="evolve", lag=16),
    "evolve_lag32": partial(by_hpsearch, name="evolve", lag=32),
    "evolve_classical": partial(
        by_hpsearch, name="evolve", offspring=1, crossover=0.5, elite=10, selection=3, mutation=0.1
    ),
    "evolve_aging": partial(by_hpsearch, name="evolve", offspring=1, elite=0, population=20, selection=5, mutation=0.1),
}
PEERS: dict[str, Search] = {
    "uniform": random,
    "aging": aging,
    "ga": ga,
    "tpe": partial(by_optuna, sampler="TPESampler"),  # multivariate, since Optuna 5, for one objective
    "tpe_lag10": partial(by_optuna, sampler="TPESampler", lag=10),
    "tpe_univariate": partial(by_optuna, sampler="TPESampler", multivariate=False),
    "cma": partial(by_optuna, sampler="CmaEsSampler", warn_independent_sampling=False),
    "gp": partial(by_optuna, sampler="GPSampler"),
}
