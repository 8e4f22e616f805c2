"""Searches by other people, and plain ones, on the grids of tables.py: prints their regrets.

    python peers.py --trials 100 --runs 20 --peers random,aging,tpe

Needs numpy and hpsearch; tpe, tpe_multivariate, cma and gp need optuna 5 too, cma also cmaes, and gp also torch and
scipy. Their constants are the defaults.

What a search sees of a configuration is the loss of one training with a seed drawn at random, and drawn alike in all
searches: the n-th trial of run r has the same seed everywhere, and the first configurations of random, aging and ga are
the same. A run is the beginning of a longer one. Trials that were run before are read from ../data/peers/<peer>.npz,
where "<table>.<run>.rows" are the configurations in order and "<table>.<run>.observed" their losses.

The tables hold no lower fidelities, so nothing here stops trainings early.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tables import FIVE, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Config = dict[str, int]
    Run = tuple[np.ndarray, np.ndarray]
    Search = Callable[[Table, int, int], Run]

FOLDER = Path(__file__).resolve().parents[1] / "data" / "peers"
MARKS = (30, 50, 100, 200, 500, 1000)
TOP = 5
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


def by_optuna(table: Table, trials: int, seed: int, *, sampler: str, **options: Any) -> Run:
    """A sampler of Optuna, which sees an ordered parameter as a whole number and another one as a category."""
    import optuna  # noqa: PLC0415 - only these searches need it

    if sampler == "GPSampler":
        import torch  # noqa: PLC0415 - only this search needs it

        torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed, **options))
    record = Trials(table, seed)
    for _ in range(trials):
        trial = study.ask()
        config = {
            name: trial.suggest_int(name, 0, size - 1)
            if ordered
            else trial.suggest_categorical(name, tuple(range(size)))
            for name, size, ordered in zip(table.names, table.sizes, table.ordered, strict=True)
        }
        study.tell(trial, record.run(config))
    return record.arrays()


PEERS: dict[str, Search] = {
    "random": random,
    "aging": aging,
    "ga": ga,
    "tpe_multivariate": partial(by_optuna, sampler="TPESampler", multivariate=True),
    "tpe": partial(by_optuna, sampler="TPESampler"),  # the same since Optuna 5, for one objective
    "tpe_univariate": partial(by_optuna, sampler="TPESampler", multivariate=False),
    "cma": partial(by_optuna, sampler="CmaEsSampler", warn_independent_sampling=False),
    "gp": partial(by_optuna, sampler="GPSampler"),
}


def best(table: Table, rows: np.ndarray, observed: np.ndarray) -> float:
    """Regret of the row with the lowest loss observed: what a search that believes it hands over."""
    return float(table.regret(rows[np.argmin(observed)]))


def top5(table: Table, rows: np.ndarray, observed: np.ndarray) -> float:
    """Lowest regret among the TOP different rows with the lowest losses observed: what a perfect final test finds."""
    by_loss = rows[np.argsort(observed, kind="stable")]
    _, first = np.unique(by_loss, return_index=True)
    return float(table.regret(by_loss[np.sort(first)[:TOP]]).min())


load = cache(Table.load)


def timed(peer: str, name: str, trials: int, run: int) -> tuple[str, int, Run, float]:
    """One run in a process of the pool, with its seconds."""
    start = time.perf_counter()
    arrays = PEERS[peer](load(name), trials, run)
    return name, run, arrays, time.perf_counter() - start


class Store:
    """The runs of one peer, on disk: longer ones serve for shorter ones."""

    def __init__(self, peer: str) -> None:
        self.peer, self.path = peer, FOLDER / f"{peer}.npz"
        self.arrays: dict[str, np.ndarray] = {}
        if self.path.exists():
            with np.load(self.path, allow_pickle=False) as stored:
                self.arrays = dict(stored)

    def get(self, name: str, run: int, trials: int) -> Run | None:
        """The first `trials` of a run, if there are so many."""
        rows, observed = (self.arrays.get(f"{name}.{run}.{what}") for what in ("rows", "observed"))
        if rows is None or observed is None or len(rows) < trials:
            return None
        return rows[:trials], observed[:trials]

    def complete(self, names: Iterable[str], runs: int, trials: int, *, jobs: int, minutes: float) -> None:
        """Run what is lacking, all tables of a run before the next run; after `minutes` no more is begun."""
        todo = [(name, run) for run in range(runs) for name in names if self.get(name, run, trials) is None]
        if not todo:
            return
        start, seconds = time.perf_counter(), []
        # A fresh process each, so that the limits on threads hold from its first import on.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            while todo and time.perf_counter() - start < 60 * minutes:
                now, todo = todo[:jobs], todo[jobs:]
                # A round at a time, so that a limit of time is kept to.
                for name, run, (rows, observed), took in pool.map(
                    timed, [self.peer] * len(now), *zip(*((n, trials, r) for n, r in now), strict=True)
                ):
                    self.arrays[f"{name}.{run}.rows"] = rows.astype(np.int32)
                    self.arrays[f"{name}.{run}.observed"] = observed
                    seconds.append(took)
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self.path, **self.arrays)
        print(f"{self.peer}: {len(seconds)} runs of {trials} trials, {np.mean(seconds):.2f} s each", flush=True)

    def regrets(self, names: Iterable[str], runs: int, trials: int, choose: Callable) -> dict[str, list[float]]:
        """By table, those of its runs."""
        found = {name: [self.get(name, run, trials) for run in range(runs)] for name in names}
        return {
            name: [choose(load(name), *arrays) for arrays in of_table if arrays is not None]
            for name, of_table in found.items()
        }


def report(stores: list[Store], names: list[str], runs: int, trials: int) -> str:
    """Median / mean over the runs, by table, and the mean of both over the tables."""
    marks = sorted({*(mark for mark in MARKS if mark <= trials), trials})
    lines = []
    for choose in (best, top5):
        lines += [
            f"Regret of {choose.__name__}: median / mean over runs",
            "",
            f"| peer | trials | runs | all | {' | '.join(names)} |",
            f"| --- | --: | --: | --: |{' --: |' * len(names)}",
        ]
        for mark in marks:
            for store in stores:
                regrets = store.regrets(names, runs, mark, choose)
                if not all(regrets.values()):
                    continue
                pairs = np.array([(np.median(values), np.mean(values)) for values in regrets.values()])
                cells = " | ".join(f"{median:.4f} / {mean:.4f}" for median, mean in [pairs.mean(axis=0), *pairs])
                lines.append(f"| {store.peer} | {mark} | {min(map(len, regrets.values()))} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and is not there yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas")
    parser.add_argument("--tables", default=",".join(FIVE), help="separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for each peer; what is begun is finished")
    options = parser.parse_args()
    names, peers = options.tables.split(","), options.peers.split(",")
    if unknown := set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    stores = [Store(peer) for peer in peers]
    for store in stores:
        store.complete(names, options.runs, options.trials, jobs=options.jobs, minutes=options.minutes)
    print(report(stores, names, options.runs, options.trials))


if __name__ == "__main__":
    main()
