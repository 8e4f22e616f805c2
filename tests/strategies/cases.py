"""Spaces and strategies that the tests of this folder go through, and ways to drive a strategy."""

import itertools
import json
import math
import random
import zlib
from functools import cache

from hpsearch.config import StrategyConfig
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.strategies import make_strategy

LAG = 5
PLANNED = 24
TRIALS = 32  # more than are planned, as when a search is extended

SPACES = {
    "mixed": Space(
        {
            "momentum": Float(0.5, 0.99, log="reversed"),
            "learning_rate": Float(1e-5, 1e-1, log=True),
            "layers": Int(1, 4),
            "units": Int(16, 256, scale="pow2"),
            "optimizer": Categorical(("sgd", "momentum", "adam")),
            "nesterov": Categorical((False, True)),
            "warmup": Float(0.0, 0.5, step=0.125),
        },
        {"l2": 1e-4, "normalize": "standard", "epochs": 20, "shuffled": True, "beta2": 0.999},
        {
            "momentum": {"optimizer": ("momentum",)},
            "nesterov": {"optimizer": ("momentum", "sgd")},
            "warmup": {"nesterov": (True,), "layers": (2, 3, 4)},
            "beta2": {"optimizer": ("adam",)},
        },
    ),
    "continuous": Space({"x": Float(-1.0, 1.0), "y": Float(0.0, 5.0), "z": Float(1e-3, 1e3, log=True)}),
    "24 points": Space(
        {"layers": Int(1, 4), "activation": Categorical(("relu", "tanh", "silu")), "batch_norm": Int(0, 1)}
    ),
    "one parameter": Space({"learning_rate": Float(1e-4, 1.0, log=True)}, {"layers": 2}),
    "no parameter": Space({}, {"learning_rate": 0.5, "normalize": "robust_clip"}),
    "categories": Space(
        {
            "activation": Categorical(("relu", "tanh", "silu", "selu")),
            "clip": Categorical((0, 1.5, "auto")),
            "bias": Categorical((True, False)),
            "schedule": Categorical(("none", "cosine")),
        }
    ),
    "scales": Space(
        {
            "depth": Int(1, 1000, log=True),
            "units": Int(8, 128, scale="pow2"),
            "dropout": Float(0.0, 0.5, step=0.1),
            "decay": Float(0.9, 0.9999, log="reversed"),
            "patience": Int(5, 50, step=5),
        }
    ),
    "whole scales": Space(
        {"depth": Int(1, 6, log=True), "units": Int(8, 32, scale="pow2"), "dropout": Float(0.1, 0.4, step=0.1)}
    ),
    "finite with conditions": Space(
        {
            "dropout": Float(0.0, 0.5, step=0.1),
            "kind": Categorical(("plain", "dropout", "deep")),
            "layers": Int(3, 9),
            "units": Int(16, 64, scale="pow2"),
        },
        {"l2": 0.0},
        {"dropout": {"kind": ("dropout",)}, "layers": {"kind": ("deep",)}},
    ),
}
FINITE = {"24 points": 24, "no parameter": 1, "categories": 48, "whole scales": 72, "finite with conditions": 42}
DEFAULTS = {
    "learning_rate": 1e-3, "layers": 3, "units": 200, "optimizer": "adam", "momentum": 0.9, "warmup": 0.1,
    "activation": "silu", "batch_norm": 0, "clip": "auto", "schedule": "cosine", "bias": True, "dropout": 0.2,
    "depth": "auto", "x": 0.25, "y": 7,
}  # fmt: skip
STRATEGIES = {
    "random": {},
    "plain": {"plain": True},
    "densify": {"densify": 1.0},
    "grid": {"name": "grid"},
    "mesh": {"name": "grid", "rounds": 0},
    "evolve": {"name": "evolve"},
    "thrifty": {"name": "evolve", "thrift": 0.5, "cost": lambda config: zlib.crc32(json.dumps(config).encode())},
    "classical": {"name": "evolve", "offspring": 1, "crossover": 0.5, "elite": 10, "selection": 3, "mutation": 0.1},
}
ADAPTIVE = ("random", "densify", "grid", "evolve", "thrifty", "classical")


def make(space, strategy="random", *, seed=0, defaults=DEFAULTS, **options):
    """A strategy, for a space or the name of one, by the name it has here, with further options."""
    given = {"lag": LAG, "planned": PLANNED} | STRATEGIES[strategy] | options
    space = SPACES[space] if isinstance(space, str) else space
    return make_strategy(space, seed, defaults, **StrategyConfig().model_dump() | given)


def made_up_score(number, config):
    """Some order in every space, some noise, and every ninth a failure; the same in every process."""
    noise = random.Random(zlib.crc32(repr((number, config)).encode())).random()
    if noise < 1 / 9:
        return math.inf
    values = (value if isinstance(value, int | float) else len(value) for value in config.values())
    return sum(abs(math.log(abs(value) + 0.01)) for value in values) + noise


def made_up_cost(number, config):
    """Some cost, but of every fifth trial, which was pruned."""
    luck = zlib.crc32(repr((config, number)).encode())
    return None if luck % 5 == 0 else 1e-3 + luck % 1000


def tell(strategy, number, config, score=made_up_score):
    """The score of a trial (a function, or the number itself) and what it cost."""
    found = score(number, config) if callable(score) else score
    strategy.tell(number, config, found, made_up_cost(number, config))


def count(strategy, most=TRIALS):
    return most if strategy.limit is None else min(most, strategy.limit)


def drive(strategy, trials, score=made_up_score):
    """Proposals one after the other, each told before the next is asked for."""
    proposals = []
    for number in range(trials):
        proposals.append(strategy.ask(number))
        tell(strategy, number, proposals[-1], score)
    return proposals


def drive_objective(strategy, trials, objective):
    """The objective's values of the proposals, each the score of its trial."""
    values = []
    drive(strategy, trials, lambda _, config: values.append(objective(config)) or values[-1])
    return values


def drive_with_workers(strategy, trials, workers, chance):
    """Proposals when so many trials run at a time and end in random order."""
    proposals, running = [], []
    while len(proposals) < trials or running:
        while len(running) < workers and len(proposals) < trials and strategy.ready(len(proposals)):
            running.append(len(proposals))
            proposals.append(strategy.ask(len(proposals)))
        number = running.pop(chance.randrange(len(running)))
        tell(strategy, number, proposals[number])
    return proposals


@cache
def usual(space, strategy):
    """Proposals and scores of a plain drive, by names; do not change them."""
    made = make(space, strategy)
    proposals = drive(made, count(made))
    return proposals, [made_up_score(number, config) for number, config in enumerate(proposals)]


def begun_with(known, space, strategy):
    """The strategy, by names, after it was told these results of an earlier search."""
    made = make(space, strategy)
    made.begin_with(known)
    return made


@cache
def warm(space, strategy):
    """Proposals of a drive that begins with results of another search, and these; do not change them."""
    other = make(space, "plain", seed=1)
    configs = [other.ask(number) for number in range(count(other, 20))]
    known = [
        (config, made_up_score(100 + number, config), made_up_cost(100 + number, config))
        for number, config in enumerate(configs)
    ]
    made = begun_with(known, space, strategy)
    return drive(made, count(made)), known


def all_proposals():
    """As text, for every space and strategy, what is proposed."""
    found = {
        f"{space}, {strategy}": [repr(config) for config in usual(space, strategy)[0]]
        for space, strategy in itertools.product(SPACES, STRATEGIES)
    }
    return json.dumps(found)
