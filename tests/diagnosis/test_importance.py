"""Shares of variance, beside functions whose shares are known."""

import numpy as np
import pytest

from hpsearch.diagnosis.importance import FEWEST, _Tree, importance
from hpsearch.space import Space
from hpsearch.space_text import space_from_spec

SPEC = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "l2": {"low": 1e-6, "high": 1.0, "log": True},
    "dropout": {"low": 0.0, "high": 0.5},
    "activation": ["relu", "tanh", "silu"],
}


def trials(function, count=200, spec=SPEC, seed=0):
    """A space, random configurations of it, and the function's values at their places in the unit cube."""
    space, chance = space_from_spec(spec), np.random.default_rng(seed)
    configs = [space.decode(place) for place in chance.random((count, space.dimensions)).tolist()]
    places = np.array([space.encode(config) for config in configs])
    return space, configs, function(places, chance).tolist()


def shares(found):
    return {share.names: share.share for share in (*found.single, *found.pairs)}


def test_additive_effects_have_their_shares():
    """x and y of weights 3 and 1 explain 9 and 1 parts of the variance."""
    found = importance(*trials(lambda x, _: 3 * x[:, 0] + x[:, 1]))
    got = shares(found)
    assert got["learning_rate",] == pytest.approx(0.9, abs=0.06)
    assert got["l2",] == pytest.approx(0.1, abs=0.05)
    assert max(got["dropout",], got["activation",]) < 0.02
    assert max(share.share for share in found.pairs) < 0.05
    assert [share.names[0] for share in found.single[:2]] == ["learning_rate", "l2"]
    assert found.foretold > 0.8


def test_an_effect_of_two_together_is_nobodys_own():
    found = importance(*trials(lambda x, _: np.sign(x[:, 0] - 0.5) * np.sign(x[:, 2] - 0.5) + 0.01 * x[:, 1], 400))
    got = shares(found)
    first = found.pairs[0]
    assert first.names == ("learning_rate", "dropout")
    assert first.share > 0.5
    assert max(got[name,] for name in SPEC) < 0.15


def test_categories_count_without_an_order():
    found = importance(*trials(lambda x, _: np.array([0.0, 1.0, 0.0])[(x[:, 3] * 3).astype(int)] + 0.1 * x[:, 0]))
    assert found.single[0].names == ("activation",)
    assert found.single[0].share > 0.8


def test_noise_explains_nothing_and_is_foretold_by_nothing():
    found = importance(*trials(lambda x, chance: chance.random(len(x))))
    assert found.foretold < 0.1
    assert found.single[0].sd > 0.05, "what stands there is uncertain"


def test_more_trials_are_more_certain():
    few, many = (
        importance(*trials(lambda x, chance: 2 * x[:, 0] + x[:, 1] + chance.normal(size=len(x)) / 4, count))
        for count in (20, 400)
    )
    assert many.single[0].sd < few.single[0].sd


def test_failures_count_as_bad():
    found = importance(*trials(lambda x, _: np.where(x[:, 0] > 0.7, np.inf, x[:, 1])))
    got = shares(found)
    assert got["learning_rate",] > 0.3
    assert got["l2",] > 0.1


def test_what_is_not_active_does_not_count():
    spec = {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "optimizer": ["adam", "momentum"],
        "momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": "momentum"}},
    }
    found = importance(*trials(lambda x, _: x[:, 0] + (x[:, 1] > 0.5), spec=spec))
    got = shares(found)
    assert got["optimizer",] > got["learning_rate",] > 0.1
    assert got["momentum",] < 0.02


def test_the_same_trials_give_the_same_numbers():
    given = trials(lambda x, chance: x[:, 0] + chance.random(len(x)))
    assert importance(*given) == importance(*given)


def test_nothing_is_said_from_little():
    space, configs, scores = trials(lambda x, _: x[:, 0], FEWEST - 1)
    assert importance(space, configs, scores) is None
    assert importance(space, configs * 2, [1.0] * (2 * (FEWEST - 1))) is None
    assert importance(Space({}, {"layers": 1}, {}), configs * 2, [*scores] * 2) is None


def test_a_tree_explains_what_its_guesses_on_a_fine_mesh_say():
    """Means over boxes against plain means over points; three sides, one of them without order."""
    spec = {name: SPEC[name] for name in ("l2", "dropout", "activation")}
    space, configs, scores = trials(lambda x, chance: x[:, 0] * x[:, 1] + x[:, 2] + chance.random(len(x)), 40, spec)
    tree = _Tree(np.array([space.encode(c) for c in configs]), np.array(scores), space, np.random.default_rng(3))
    fine = (np.arange(120) + 0.5) / 120
    mesh = np.stack(np.meshgrid(fine, fine, [1 / 6, 1 / 2, 5 / 6], indexing="ij"), -1)
    guesses = tree.guess(mesh.reshape(-1, 3)).reshape(mesh.shape[:-1])
    for sides in ((0,), (1,), (2,), (0, 1), (0, 2)):
        others = tuple(axis for axis in range(3) if axis not in sides)
        wanted = guesses.mean(others).var() / guesses.var()
        assert tree.explained(sides) == pytest.approx(wanted, abs=0.01), sides
