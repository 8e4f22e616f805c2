"""Searches find better points than draws at random do, and what is meant to help does."""

import math
import random
import zlib
from functools import cache

import numpy as np
import pytest
from strategies.cases import ADAPTIVE, count, drive, make

from hpsearch.space import Categorical, Float, Int, Space

SEEDS = 8
MORE_SEEDS = {"plain": 30, "random": 12, "grid": 12}
TRIALS = 100
NOISE = 0.15
NETWORK = Space(
    {
        "learning_rate": Float(1e-5, 1.0, log=True),
        "layers": Int(1, 6),
        "optimizer": Categorical(("sgd", "momentum", "adam")),
        "momentum": Float(0.5, 0.999, log="reversed"),
        "units": Int(16, 512, scale="pow2"),
        "activation": Categorical(("relu", "silu", "tanh", "selu")),
    },
    {},
    {"momentum": {"optimizer": ("momentum",)}},
)


def cube(sides):
    return Space({f"x{i}": Float(0.0, 1.0) for i in range(sides)})


def some_sphere(sides, seed):
    """The squared distance from a point that depends on the seed."""
    best = np.random.default_rng(seed).uniform(0.15, 0.85, sides)
    return lambda config: float(((np.array(list(config.values())) - best) ** 2).sum())


def some_network(seed):
    """A loss with a best learning rate, depth, width and activation that depend on the seed; momentum 0.9 is best."""
    chance = random.Random(seed)
    rate, depth, width = chance.uniform(-4, -1.5), chance.uniform(2, 5), chance.uniform(5, 8)
    activation = dict(zip(chance.sample(("relu", "silu", "tanh", "selu"), 4), (0.0, 0.2, 0.3, 0.5), strict=True))
    optimizer = {"sgd": 0.6, "momentum": 0.0, "adam": 0.3}

    def loss(config):
        found = (math.log10(config["learning_rate"]) - rate) ** 2 / 4 + (config["layers"] - depth) ** 2 / 10
        found += (math.log2(config["units"]) - width) ** 2 / 10
        found += activation[config["activation"]] + optimizer[config["optimizer"]]
        return found + 0.5 * (math.log10(1 - config.get("momentum", 0.9)) + 1) ** 2

    return loss


PROBLEMS = {
    "sphere, 3 sides": (cube(3), lambda seed: some_sphere(3, seed), 0.0),
    "sphere, 6 sides": (cube(6), lambda seed: some_sphere(6, seed), 0.0),
    "network with noise": (NETWORK, some_network, NOISE),
}


@cache
def outcomes(problem, name, **options):
    """For some seeds, the true value of the trial with the best score."""
    space, objective, noise = PROBLEMS[problem]
    found = []
    for seed in range(MORE_SEEDS.get(name, SEEDS)):
        truth, scores = objective(seed), []

        def score(number, config, seed=seed, truth=truth, scores=scores):
            chance = random.Random(zlib.crc32(repr((seed, number, config)).encode()))
            scores.append(truth(config) + noise * chance.gauss(0, 1))
            return scores[-1]

        strategy = make(space, name, seed=seed, defaults={}, lag=8, planned=TRIALS, **options)
        proposals = drive(strategy, count(strategy, TRIALS), score)
        found.append(truth(proposals[int(np.argmin(scores))]))
    return np.array(found)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", ADAPTIVE)
def test_finds_better_points_than_independent_draws(problem, name):
    draws = outcomes(problem, "plain")
    assert outcomes(problem, name).mean() < min(np.median(draws), draws.mean())


@pytest.mark.parametrize(
    ("problem", "factor"), [("sphere, 3 sides", 5), ("sphere, 6 sides", 2.5), ("network with noise", 1.3)]
)
def test_evolution_is_better_by_a_clear_factor(problem, factor):
    assert factor * outcomes(problem, "evolve").mean() < outcomes(problem, "plain").mean()


@pytest.mark.parametrize("problem", ["sphere, 6 sides"])
def test_the_guess_helps_evolution(problem):
    assert 2 * np.median(outcomes(problem, "evolve")) < np.median(outcomes(problem, "evolve", offspring=1))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_local_draws_help_random_search(problem):
    assert outcomes(problem, "densify").mean() < outcomes(problem, "random", densify=0.0).mean()
    if "noise" not in problem:
        assert outcomes(problem, "random").mean() < outcomes(problem, "random", densify=0.0).mean()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_rounds_help_grid_search(problem):
    assert outcomes(problem, "grid").mean() < 0.7 * outcomes(problem, "mesh").mean()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_longer_search_finds_more(name):
    values = []
    for seed in range(5):
        strategy, truth = make(cube(3), name, seed=seed, defaults={}, lag=8, planned=120), some_sphere(3, seed)
        values.append([truth(c) for c in drive(strategy, 120, lambda _, config, truth=truth: truth(config))])
    best = np.minimum.accumulate(values, axis=1).mean(axis=0)
    assert best[119] < best[39] < best[9]
