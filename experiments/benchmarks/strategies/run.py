"""How good the strategies are at equal trials: regrets on the grids of tables.py, against other people's searches.

    python run.py --trials 100 --runs 20 --searches random,grid,evolve,uniform,tpe

Searches are named in peers.py. A run is the beginning of a longer one. What other people's searches did is kept in
../data/peers/<search>.npz, where "<table>.<run>.rows" are the configurations in order and "<table>.<run>.observed"
their losses; hpsearch's own are run anew each time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers import OWN, PEERS
from tables import FIVE, Table

from hpsearch.finals import choose
from hpsearch.run_directory.record import RunRecord
from hpsearch.trial import TrialResult, TrialState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peers import Run

FOLDER = Path(__file__).resolve().parents[1] / "data" / "peers"
MARKS = (30, 50, 100, 200, 500, 1000)
TOP = 5
REPEATS = 3


def best(table: Table, rows: np.ndarray, observed: np.ndarray) -> float:
    """Regret of the row with the lowest loss observed: what a search that believes it hands over."""
    return float(table.regret(rows[np.argmin(observed)]))


def finalists(table: Table, rows: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The TOP different rows that hpsearch would choose, whoever proposed them."""
    results = [
        TrialResult(number, table.config(row), TrialState.COMPLETE, {"dev_log_loss": loss})
        for number, (row, loss) in enumerate(zip(rows.tolist(), observed.tolist(), strict=True))
    ]
    chosen = rows[choose(RunRecord.of({"metric": "log_loss"}, {}, results), table.space(), len(rows))]
    _, first = np.unique(chosen, return_index=True)
    return chosen[np.sort(first)[:TOP]]


def finals(table: Table, rows: np.ndarray, observed: np.ndarray) -> float:
    """Regret of that of the finalists with the lowest mean loss over REPEATS seeds, the same for all."""
    rng = np.random.default_rng((len(rows), int(rows.sum())))
    seeds = rng.choice(table.losses.shape[1], REPEATS, replace=False)
    chosen = finalists(table, rows, observed)
    return float(table.regret(chosen[np.argmin(table.losses[chosen][:, seeds].mean(axis=1))]))


def top5(table: Table, rows: np.ndarray, observed: np.ndarray) -> float:
    """Lowest regret among the finalists: what a perfect final test finds."""
    return float(table.regret(finalists(table, rows, observed)).min())


load = cache(Table.load)


def timed(peer: str, name: str, trials: int, run: int) -> tuple[str, int, Run, float]:
    """One run in a process of the pool, with its seconds."""
    start = time.perf_counter()
    arrays = (OWN | PEERS)[peer](load(name), trials, run)
    return name, run, arrays, time.perf_counter() - start


class Store:
    """The runs of one peer, on disk: longer ones serve for shorter ones."""

    def __init__(self, peer: str) -> None:
        self.peer, self.path = peer, FOLDER / f"{peer}.npz"
        self.arrays: dict[str, np.ndarray] = {}
        if peer in PEERS and self.path.exists():
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
        if self.peer in PEERS:
            FOLDER.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(self.path, **self.arrays)
        print(f"{self.peer}: {len(seconds)} runs of {trials} trials, {np.mean(seconds):.2f} s each", flush=True)

    def regrets(self, names: Iterable[str], runs: int, trials: int, measure: Callable) -> dict[str, list[float]]:
        """By table, those of its runs."""
        found = {name: [self.get(name, run, trials) for run in range(runs)] for name in names}
        return {
            name: [measure(load(name), *arrays) for arrays in of_table if arrays is not None]
            for name, of_table in found.items()
        }


def report(stores: list[Store], names: list[str], runs: int, trials: int) -> str:
    """Median / mean over the runs, by table, and the mean of both over the tables."""
    marks = sorted({*(mark for mark in MARKS if mark <= trials), trials})
    lines = []
    for measure in (best, finals, top5):
        lines += [
            f"Regret of {measure.__name__}: median / mean over runs",
            "",
            f"| search | trials | runs | all | {' | '.join(names)} |",
            f"| --- | --: | --: | --: |{' --: |' * len(names)}",
        ]
        for mark in marks:
            for store in stores:
                regrets = store.regrets(names, runs, mark, measure)
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
    parser.add_argument(
        "--searches", default="plain,random,grid,evolve,uniform,aging,ga,tpe", help="separated by commas"
    )
    parser.add_argument("--tables", default=",".join(FIVE), help="separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for each peer; what is begun is finished")
    options = parser.parse_args()
    names, peers = options.tables.split(","), options.searches.split(",")
    if unknown := set(peers) - set(PEERS) - set(OWN):
        parser.error(f"no such search: {', '.join(sorted(unknown))}; there are {', '.join([*OWN, *PEERS])}")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    stores = [Store(peer) for peer in peers]
    for store in stores:
        store.complete(names, options.runs, options.trials, jobs=options.jobs, minutes=options.minutes)
    print(report(stores, names, options.runs, options.trials))


if __name__ == "__main__":
    main()
