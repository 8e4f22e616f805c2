"""What is particular to grid search: the order of the mesh, and the rounds that tighten it."""

import itertools
import math

import numpy as np
import pytest
from strategies.cases import SPACES, count, drive, make

from hpsearch.space import Categorical, Float, Int, Mesh, Space

CUBE = Space({name: Float(0.0, 1.0) for name in "abcd"})
VALLEYS = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0], [0.5, 0.0, 1.0, 1.0]])


def bowl(_, config):
    return sum((value - 0.4) ** 2 for value in config.values())


def valleys(_, config):
    place = np.array(list(config.values()))
    return float(min(((place - valley) ** 2).sum() + 0.001 * i for i, valley in enumerate(VALLEYS)))


def categories_of(counts):
    return Space({f"p{i}": Categorical(tuple(range(size))) for i, size in enumerate(counts)})


@pytest.mark.parametrize("space", SPACES)
def test_without_rounds_the_mesh_is_walked_once(space):
    strategy, mesh = make(space, "mesh"), Mesh(SPACES[space], 3)
    assert strategy.limit == strategy.usual_trials == mesh.size
    walked = [strategy.ask(number) for number in range(mesh.size)]
    assert sorted(map(repr, walked)) == sorted(repr(mesh[index]) for index in range(mesh.size))


@pytest.mark.parametrize("space", SPACES)
def test_the_rounds_begin_after_the_same_mesh(space):
    rounds, mesh = make(space, "grid", planned=None), make(space, "mesh")
    for number in range(min(count(mesh), 300)):
        assert rounds.round_of(number) == 0
        assert rounds.ready(number)
        assert rounds.ask(number) == mesh.ask(number)


@pytest.mark.parametrize("points", [3, 4])
def test_who_asks_twice_gets_the_same_points(points):
    """A shard asks for all trials before its last one, then for its own."""
    once, twice = (make(CUBE, "mesh", points=points) for _ in range(2))
    walked = [once.ask(number) for number in range(points**4)]
    assert [twice.ask(number) for number in range(points**4 - 1)] == walked[:-1]
    assert [twice.ask(number) for number in range(1, points**4, 2)] == walked[1::2]


@pytest.mark.parametrize(("sizes", "lag"), [((2,), 8), ((5,), 8), ((3, 3, 3), 64), ((3, 3, 3, 3), 64)])
def test_without_a_plan_a_small_mesh_is_known_when_its_rounds_begin(sizes, lag):
    strategy = make(categories_of(sizes), "grid", planned=None, lag=lag, defaults={})
    mesh = strategy.usual_trials
    first = next(number for number in itertools.count() if strategy.round_of(number))
    assert first - lag + 1 >= 0.75 * mesh
    assert strategy.round_size == -(-mesh // 3)


def test_without_a_plan_three_rounds_have_as_many_points_as_the_mesh():
    strategy = make(CUBE, "grid", planned=None)
    assert [strategy.round_of(number) for number in (80, 81, 107, 108, 134, 135, 161, 162)] == [0, 1, 1, 2, 2, 3, 3, 4]
    proposals = drive(strategy, 170, bowl)
    best = [min(bowl(0, config) for config in proposals[:trials]) for trials in (81, 108, 135, 162)]
    assert best == sorted(best, reverse=True)
    assert best[-1] < 0.5 * best[0]


@pytest.mark.parametrize(
    "counts",
    [
        (3,) * 4, (3,) * 6, (3,) * 8, (5,) * 3, (5,) * 5, (4,) * 4, (7,) * 3, (8,) * 3, (10,) * 4, (12,) * 3,
        (12,) * 4,
        (13,) * 3, (2,) * 8, (4, 5, 4, 6, 3), (3, 7, 4, 4),
    ],
)  # fmt: skip
def test_each_value_of_the_mesh_comes_early(counts):
    strategy = make(categories_of(counts), "mesh", defaults={})
    early = [tuple(strategy.ask(number).values()) for number in range(5 * max(counts))]
    assert [len(set(values)) for values in zip(*early, strict=True)] == [*counts]


def test_values_follow_the_number_of_points():
    strategy = make(CUBE, "mesh", points=5)
    assert strategy.limit == 5**4
    assert {value for number in range(100) for value in strategy.ask(number).values()} == {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize(
    ("planned", "rounds", "sizes"),
    [
        (100, 3, [81, 7, 7, 5]),  # the mesh has 81 points
        (81, 3, [81]),
        (80, 3, [40, 14, 14, 12]),
        (61, 2, [31, 15, 15]),
        (7, 3, [7]),  # no round would know three quarters of four results
        (20, 3, [12, 3, 3, 2]),
        (2, 3, [2]),
        (1, 3, [1]),
        (None, 3, [81]),
        (200, 1, [81, 119]),
    ],
)
def test_the_rounds_share_what_the_mesh_leaves_of_the_plan(planned, rounds, sizes):
    strategy = make(CUBE, "grid", planned=planned, rounds=rounds)
    rounds_of = [strategy.round_of(number) for number in range(planned or 81)]
    assert [len(list(group)) for _, group in itertools.groupby(rounds_of)] == sizes
    assert sorted(set(rounds_of)) == list(range(len(sizes)))


@pytest.mark.parametrize(("points", "planned", "lag"), [(2, 40, 8), (3, 20, 8), (3, 100, 64), (2, 17, 3)])
def test_the_first_round_knows_most_of_the_mesh(points, planned, lag):
    """Whatever the lag; until then come more points of the mesh, or of one twice as dense, all different."""
    strategy = make(CUBE, "grid", planned=planned, points=points, lag=lag)
    proposals = drive(strategy, planned, bowl)
    first = next((number for number in range(planned) if strategy.round_of(number)), planned)
    assert first == planned or strategy._needs(first) >= 0.75 * min(points**4, -(-planned // 2))
    values = np.array([list(config.values()) for config in proposals[:first]])
    on_mesh = np.isclose(values * (points - 1) % 1, 0).all(1)
    assert on_mesh[: points**4].all()
    assert not on_mesh[points**4 :].any()
    assert np.allclose(values * 2 * (points - 1) % 1, 0)
    assert len(np.unique(values, axis=0)) == first


def test_all_proposals_of_a_round_use_the_same_results():
    strategy = make(CUBE, "grid", planned=100, lag=6)
    assert [strategy._needs(number) for number in range(81)] == [0] * 81
    assert [strategy._needs(number) for number in range(81, 95)] == [81 - 5] * 7 + [88 - 5] * 7


@pytest.mark.parametrize(("points", "planned"), [(2, 40), (3, 120), (4, 120)])
def test_every_round_halves_the_step_of_the_mesh(points, planned):
    strategy = make(CUBE, "grid", planned=planned, points=points, lag=1)
    finest = {}
    for number, config in enumerate(drive(strategy, planned, bowl)):
        units = np.array(list(config.values())) * (points - 1)
        halvings = strategy.round_of(number)
        on_mesh = units * 2**halvings
        assert np.allclose(on_mesh, np.round(on_mesh), atol=1e-4)
        between = not np.allclose(on_mesh / 2, np.round(on_mesh / 2), atol=1e-4)
        finest[halvings] = finest.get(halvings, False) or between
    assert finest == {0: True, 1: True, 2: True, 3: True}


def test_points_of_a_round_are_at_most_one_new_step_from_a_good_result():
    strategy = make(CUBE, "grid", planned=160, lag=1)
    proposals = np.array([list(config.values()) for config in drive(strategy, 160, bowl)])
    scores = ((proposals - 0.4) ** 2).sum(1)
    for number in range(strategy.coarse, 160):
        this = strategy.round_of(number)
        known = strategy._needs(number)
        best = proposals[np.argsort(scores[:known], kind="stable")[:30]]
        assert np.abs(best - proposals[number]).max(axis=1).min() <= 0.5 / 2**this + 1e-6


def test_a_round_works_on_several_areas():
    strategy = make(CUBE, "grid", planned=141, lag=1)
    proposals = np.array([list(config.values()) for config in drive(strategy, 141, valleys)])
    first = proposals[strategy.coarse : strategy.coarse + strategy.round_size]
    nearest = np.abs(first[:, None] - VALLEYS).max(axis=2)
    assert (nearest.min(axis=1) <= 0.25).all()
    shares = np.bincount(nearest.argmin(axis=1), minlength=3)
    assert shares.min() >= len(first) // 3 - 1


def test_areas_are_at_least_a_step_of_the_mesh_apart():
    strategy = make(CUBE, "grid", planned=200, lag=1)
    drive(strategy, 200, bowl)
    for this in (1, 2, 3):
        areas = strategy._areas(strategy._steps / 2 ** (this - 1))
        assert 1 <= len(areas) <= 3
        for one, other in itertools.combinations(areas, 2):
            assert np.abs(one - other).max() > 0.5 / 2 ** (this - 1)


def test_a_round_takes_categories_from_its_areas_alone():
    space = Space({"kind": Categorical(tuple("abcdefgh")), "x": Float(0.0, 1.0), "y": Float(0.0, 1.0), "n": Int(1, 50)})
    strategy = make(space, "grid", planned=270, defaults={}, lag=1)
    bad = dict.fromkeys("abdefh", 10.0)
    proposals = drive(strategy, 270, lambda _, c: bad.get(c["kind"], 0) + (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2)
    later = proposals[strategy.coarse :]
    assert {config["kind"] for config in later} == {"c", "g"}


@pytest.mark.parametrize(("high", "near"), [(50, 1), (1000, 60)])
def test_whole_numbers_come_closer_until_they_are_next_to_each_other(high, near):
    space = Space({"n": Int(1, high), "m": Int(1, high), "k": Int(1, high)})
    strategy = make(space, "grid", planned=200, rounds=9, defaults={}, lag=1)
    target = np.array([0.31, 0.62, 0.17]) * high
    configs = drive(strategy, 200, lambda _, c: float(((np.array(list(c.values())) - target) ** 2).sum()))
    off = [np.abs(np.array(list(config.values())) - target).max() for config in configs]
    assert min(off) <= near < 0.1 * high < min(off[: strategy.coarse])


def test_the_neighbours_of_a_whole_number_are_tried_however_small_the_step():
    space = Space({"n": Int(1, 5), "x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    strategy = make(space, "grid", planned=105, rounds=3, defaults={}, lag=1)
    proposals = drive(strategy, 105, lambda _, c: abs(c["n"] - 3) + abs(c["x"] - 0.4) + abs(c["y"] - 0.7))
    last = [config for number, config in enumerate(proposals) if strategy.round_of(number) == 3]
    assert {config["n"] for config in last} == {2, 3, 4}


def test_where_everything_failed_the_mesh_goes_on():
    strategy = make(CUBE, "grid", planned=40)
    proposals = drive(strategy, 81, lambda number, config: math.inf)
    mesh = Mesh(CUBE, 3)
    assert sorted(map(repr, proposals)) == sorted(repr(mesh[index]) for index in range(81))


def test_a_parameter_with_one_point_is_tightened_around_its_middle():
    strategy = make(CUBE, "grid", points=1, planned=30, lag=1)
    proposals = drive(strategy, 30, bowl)
    assert set(proposals[0].values()) == {0.5}
    assert {value for config in proposals[1:10] for value in config.values()} == {0.0, 0.5, 1.0}
