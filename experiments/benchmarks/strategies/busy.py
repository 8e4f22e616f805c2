"""How busy does the lag keep the workers, and how busy would generations? A simulation with the real strategy.

    python busy.py

Trials last from 5 ms to 10 s, uniformly on a logarithmic scale, whatever is tried. `lag L`: evolve
with that lag, whose trial i waits for the results of trials 0 to i - L. `generations of N`: N trials begin when the N
before have ended. Busy is the share of the workers' time, from the first trial to the end of the last, that they train.
"""

from __future__ import annotations

import heapq
import math
import random
from statistics import median

from hpsearch.config import StrategyConfig
from hpsearch.space import Float, Space
from hpsearch.strategies import make_strategy

TRIALS, REPEATS = 1000, 10
SHORTEST, LONGEST = 0.005, 10.0
WORKERS, LAGS, GENERATIONS = (2, 4, 8), (8, 16, 32, 64), (8, 32, 64)
SPACE = Space({name: Float(0.0, 1.0) for name in "abcd"})


def main() -> None:
    """Print a row for each number of workers: medians over the repeats."""
    heads = [*(f"lag {lag}" for lag in LAGS), *(f"generations of {size}" for size in GENERATIONS)]
    print(f"| workers | {' | '.join(heads)} |\n| --: |{' --: |' * len(heads)}")
    for workers in WORKERS:
        cells = [busy(workers, lag=lag) for lag in LAGS] + [busy(workers, size=size) for size in GENERATIONS]
        print(f"| {workers} | {' | '.join(f'{share:.1%}' for share in cells)} |", flush=True)


def busy(workers: int, *, lag: int = 0, size: int = 0) -> float:
    """The median share for a lag, or for generations of this size."""
    shares = []
    for seed in range(REPEATS):
        chance = random.Random(seed)
        seconds = [math.exp(chance.uniform(math.log(SHORTEST), math.log(LONGEST))) for _ in range(TRIALS)]
        end = with_lag(seconds, workers, lag, seed) if lag else with_generations(seconds, workers, size)
        shares.append(sum(seconds) / (workers * end))
    return median(shares)


def with_lag(seconds: list[float], workers: int, lag: int, seed: int) -> float:
    """When the last trial ends."""
    options = StrategyConfig(name="evolve", lag=lag).model_dump()
    strategy = make_strategy(SPACE, seed, {}, **options)
    running: list[tuple[float, int]] = []
    configs, now = [], 0.0
    while len(configs) < len(seconds) or running:
        while len(running) < workers and len(configs) < len(seconds) and strategy.ready(len(configs)):
            heapq.heappush(running, (now + seconds[len(configs)], len(configs)))
            configs.append(strategy.ask(len(configs)))
        now, number = heapq.heappop(running)
        strategy.tell(number, configs[number], sum((value - 0.4) ** 2 for value in configs[number].values()))
    return now


def with_generations(seconds: list[float], workers: int, size: int) -> float:
    """When the last trial ends."""
    now = 0.0
    for first in range(0, len(seconds), size):
        free = [now] * workers
        for one in seconds[first : first + size]:
            heapq.heapreplace(free, free[0] + one)
        now = max(free)
    return now


if __name__ == "__main__":
    main()
