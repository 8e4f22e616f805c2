"""Random streams: every random number depends on root seed, trial, purpose and repeat, on nothing else."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of every result, so they never change."""

    PROPOSAL = 0
    INIT = 1
    SHUFFLE = 2
    DROPOUT = 3
    AUGMENT = 4
    FREE_POINT = 5


def stream_key(seed: int, trial: int, purpose: Purpose, repeat: int = 0) -> int:
    """A uint64 key for the counter-based generators of the engine; `repeat` numbers the trainings of one trial."""
    return int(_sequence(seed, trial, purpose, repeat).generate_state(1, np.uint64)[0])


def generator(seed: int, trial: int, purpose: Purpose) -> np.random.Generator:
    """A NumPy generator on its own stream."""
    return np.random.Generator(np.random.Philox(_sequence(seed, trial, purpose)))


def _sequence(seed: int, trial: int, purpose: Purpose, repeat: int = 0) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(trial, int(purpose), *([repeat] if repeat else [])))
