"""One suite that every strategy passes, and what is particular to each."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from hpsearch.space import Categorical, Float, Int, Mesh, Space
from hpsearch.strategies import make_strategy

SPACE = Space(
    {
        "learning_rate": Float(1e-5, 1e-1, log=True),
        "layers": Int(1, 4),
        "units": Int(16, 256, scale="pow2"),
        "optimizer": Categorical(("sgd", "momentum", "adam")),
        "momentum": Float(0.5, 0.99, log="reversed"),
    },
    {"l2": 1e-4},
    {"momentum": {"optimizer": ("momentum",)}},
)
DEFAULTS = {"learning_rate": 1e-3, "layers": 3, "units": 256, "optimizer": "adam", "momentum": 0.9}
NAMES = ("random", "grid")


def make(name, space=SPACE, seed=0):
    return make_strategy(name, space, seed=seed, defaults=DEFAULTS, points=3)


def numbers(strategy, most=200):
    return range(most if strategy.limit is None else min(most, strategy.limit))


@pytest.mark.parametrize("name", NAMES)
class TestEveryStrategy:
    """Laws that hold whatever the strategy."""

    def test_proposals_are_inside_the_space_with_conditions_respected(self, name):
        strategy = make(name)
        for number in numbers(strategy):
            config = strategy.ask(number)
            assert 1e-5 <= config["learning_rate"] <= 1e-1
            assert config["layers"] in (1, 2, 3, 4)
            assert config["units"] in (16, 32, 64, 128, 256)
            assert ("momentum" in config) == (config["optimizer"] == "momentum")
            assert config["l2"] == 1e-4

    def test_values_are_python_scalars(self, name):
        strategy = make(name)
        for number in numbers(strategy):
            assert {type(value) for value in strategy.ask(number).values()} <= {int, float, str}

    def test_proposals_depend_on_the_number_alone(self, name):
        forward, backward = make(name), make(name)
        asked = {number: forward.ask(number) for number in numbers(forward)}
        for number in reversed(asked):
            backward.tell(number, asked[number], float("inf") if number % 3 else 0.5)
            assert backward.ask(number) == asked[number]

    def test_the_same_proposals_in_another_process(self, name):
        code = (
            "import json, sys; sys.path.insert(0, 'tests/strategies'); import test_strategies as t;"
            "s = t.make(sys.argv[1]); print(json.dumps([s.ask(i) for i in t.numbers(s, 50)]))"
        )
        strategy = make(name)
        out = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True).stdout
        assert json.loads(out) == [strategy.ask(number) for number in numbers(strategy, 50)]

    def test_a_space_without_parameters_has_one_trial(self, name):
        strategy = make(name, Space({}, {"l2": 0.5}))
        assert strategy.limit == 1
        assert strategy.ask(0) == {"l2": 0.5}

    def test_finds_a_better_point_of_a_sphere_than_its_first_trials(self, name):
        space = Space({"x": Float(-1, 1), "y": Float(-1, 1)})
        strategy = make_strategy(name, space, seed=1, defaults={}, points=15)
        scores = [(c["x"] - 0.3) ** 2 + (c["y"] + 0.2) ** 2 for c in map(strategy.ask, range(200))]
        assert min(scores) < 0.02 < min(scores[:3])


def test_random_starts_with_the_default_configuration():
    assert make("random").ask(0) == {"learning_rate": 1e-3, "layers": 3, "units": 256, "optimizer": "adam", "l2": 1e-4}


def test_random_draws_are_independent_and_uniform_on_their_scale():
    strategy = make("random")
    units = np.array([SPACE.encode(strategy.ask(number))[0] for number in range(1, 2000)])
    assert stats.kstest(units, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(units[1:], units[:-1])[0, 1]) < 0.06  # 2.7 standard errors


def test_random_seeds_differ():
    assert make("random", seed=0).ask(1) != make("random", seed=1).ask(1)


def test_grid_walks_the_whole_mesh_once_and_looks_everywhere_early():
    strategy, mesh = make("grid"), Mesh(SPACE, 3)
    assert strategy.limit == mesh.size
    walked = {repr(strategy.ask(number)) for number in range(strategy.limit)}
    assert walked == {repr(mesh[index]) for index in range(mesh.size)}
    early = [strategy.ask(number) for number in range(12)]
    assert {config["optimizer"] for config in early} == {"sgd", "momentum", "adam"}
    assert len({config["layers"] for config in early}) >= 3
