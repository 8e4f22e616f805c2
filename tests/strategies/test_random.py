"""What is particular to random search: even cover, local draws where evidence is, and plain draws as a baseline."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies.cases import LAG, SPACES, drive, make

from hpsearch.seeds import Purpose, generator
from hpsearch.space import Categorical, Float, Space
from hpsearch.strategies.random import HALF_WAY, OTHER_CHOICE, WIDTH, reflect
from hpsearch.strategies.sobol import SobolSequence

CUBE = Space({name: Float(0.0, 1.0) for name in "abcd"})


def places(space, configs):
    return np.array([space.encode(config) for config in configs])


def after(results, **options):
    """A strategy that was told a score for each point (n, 4) of the cube; and the number of its next trial."""
    strategy = make(CUBE, "densify", defaults={}, lag=1, **options)
    for number, (place, score) in enumerate(results):
        strategy.tell(number, dict(zip("abcd", place, strict=True)), score)
    return strategy, len(results)


def test_without_local_draws_trials_are_points_of_the_sobol_sequence():
    strategy = make("continuous", densify=0.0, seed=5)
    sequence = SobolSequence(3, generator(5, 0, Purpose.PROPOSAL))
    for number in range(1, 50):
        assert strategy.ask(number) == SPACES["continuous"].decode(sequence[number - 1].tolist())


@pytest.mark.parametrize("size", [16, 64])
def test_so_many_trials_look_at_as_many_values_of_every_parameter(size):
    strategy = make(CUBE, densify=0.0)
    strategy.ask(0)
    cells = (places(CUBE, [strategy.ask(number) for number in range(1, size + 1)]) * size).astype(int)
    assert all(len(set(side)) == size for side in cells.T.tolist())


@pytest.mark.parametrize("densify", [0.0, 0.3, 1.0])
def test_the_share_of_local_draws_grows_with_the_results(densify):
    strategies = [make(CUBE, densify=densify, seed=seed) for seed in range(400)]
    for number in (LAG - 1, LAG + 9, LAG + 99, LAG + 899):
        results = number - LAG + 1
        local = [strategy._is_local(number) for strategy in strategies]
        expected = densify * results / (results + HALF_WAY)
        assert abs(np.mean(local) - expected) < 4 * math.sqrt(expected * (1 - expected) / 400) + 1e-9


def test_trials_that_are_not_local_never_wait():
    strategy = make(CUBE, densify=0.5, lag=2)
    waiting = [not strategy.ready(number) for number in range(1000)]
    assert not any(waiting[:2])
    assert 0.35 < np.mean(waiting) < 0.5


@pytest.mark.parametrize("options", [{"plain": True}, {"densify": 0.0}])
def test_without_local_draws_no_result_is_ever_needed(options):
    strategy = make("mixed", lag=1, **options)
    assert all(strategy.ready(number) for number in (0, 1, 7, 1000, 10**6))
    assert len([strategy.ask(number) for number in range(100)]) == 100


def test_local_draws_are_around_the_best_results_about_the_root_of_their_number():
    random = np.random.default_rng(0)
    found = random.random((100, 4))
    known = [(place.tolist(), float(rank)) for rank, place in enumerate(found)]
    nearest = []
    for seed in range(150):
        strategy, number = after([known[i] for i in np.random.default_rng(seed).permutation(100)], seed=seed)
        if strategy._is_local(number):
            place = places(CUBE, [strategy.ask(number)])[0]
            steps = [np.abs(place - reflect(center)).max() for center in found[:11]]
            nearest.append(min(steps) / WIDTH)
    assert len(nearest) > 80
    assert np.median(nearest) < 1.5  # of draws anywhere it is about 2.3


def test_a_local_draw_is_normal_around_its_center():
    center = [0.5, 0.5, 0.5, 0.5]
    steps = []
    for seed in range(300):
        strategy, number = after([(center, 1.0)] + [([0.9, 0.9, 0.9, 0.9], math.inf)] * 120, seed=seed)
        if strategy._is_local(number):
            steps.append(places(CUBE, [strategy.ask(number)])[0] - 0.5)
    assert len(steps) > 180
    steps = np.concatenate(steps)
    assert stats.kstest(steps[np.abs(steps) < 0.499], "norm", args=(0, WIDTH)).pvalue > 0.001


def test_failures_are_no_centers():
    strategy, number = after([([0.1, 0.1, 0.1, 0.1], math.inf)] * 500)
    while not strategy._is_local(number):
        strategy.ask(number)
        strategy.tell(number, dict.fromkeys("abcd", 0.1), math.inf)
        number += 1
    sequence = SobolSequence(4, generator(0, 0, Purpose.PROPOSAL))
    assert strategy.ask(number) == CUBE.decode(sequence[number - 1].tolist())


def test_local_draws_seldom_change_a_category():
    space = Space({"x": Float(0.0, 1.0), "kind": Categorical(("a", "b", "c", "d"))})
    others = local = 0
    for seed in range(400):
        strategy = make(space, "densify", defaults={}, lag=1, seed=seed)
        for number in range(90):
            strategy.tell(number, {"x": 0.5, "kind": "b"}, 1.0)
        if strategy._is_local(90):
            local += 1
            others += strategy.ask(90)["kind"] != "b"
    expected = OTHER_CHOICE * 3 / 4
    assert abs(others / local - expected) < 4 * math.sqrt(expected * (1 - expected) / local)


def test_plain_draws_are_uniform_and_independent():
    strategy = make(CUBE, "plain")
    found = places(CUBE, [strategy.ask(number) for number in range(1, 2001)])
    for side in found.T:
        assert stats.kstest(side, "uniform").pvalue > 0.001
        assert abs(np.corrcoef(side[1:], side[:-1])[0, 1]) < 0.08  # 3.6 standard errors
    assert np.abs(np.corrcoef(found.T) - np.eye(4)).max() < 0.08


def test_plain_draws_depend_on_the_number_alone():
    forward = drive(make("mixed", "plain"), 40)
    strategy = make("mixed", "plain")
    for number in reversed(range(40)):
        assert strategy.ask(number) == forward[number]


def test_plain_draws_repeat_themselves_in_small_spaces():
    strategy = make("24 points", "plain")
    assert len({repr(strategy.ask(number)) for number in range(24)}) < 24


@given(st.floats(-0.99, 1.99))
def test_places_outside_are_thrown_back_at_the_ends(place):
    inside = place if 0 <= place <= 1 else -place if place < 0 else 2 - place
    assert reflect(np.array([place]))[0] == inside


@given(st.floats(-1e6, 1e6))
def test_places_far_outside_come_to_lie_inside(place):
    assert 0 <= reflect(np.array([place]))[0] <= 1


def test_local_draws_are_spread_evenly_among_the_others():
    """Of any twenty trials in a row about as many are local, so no run of chance leaves out one or the other."""
    strategy = make(CUBE, densify=0.5, lag=1)
    local = np.array([strategy._is_local(number) for number in range(10_000, 10_400)])
    windows = np.lib.stride_tricks.sliding_window_view(local, 20).sum(axis=1)
    assert 8 <= windows.min() <= windows.max() <= 12
