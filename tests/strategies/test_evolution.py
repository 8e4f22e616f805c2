"""What is particular to evolution: who is a parent, and what a child has of it."""

import itertools

import numpy as np
import pytest
from scipy import stats
from strategies.cases import LAG, SPACES, drive, make

from hpsearch.seeds import Purpose, generator
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.strategies.evolution import DESIGN
from hpsearch.strategies.sobol import SobolSequence

CUBE = Space({name: Float(0.0, 1.0) for name in "abcdef"})
MIXED = SPACES["mixed"]
FIRST_CHILD = DESIGN + LAG - 1


def bowl(_, config):
    return sum((value - 0.4) ** 2 for value in config.values())


def rows(configs):
    return np.array([list(config.values()) for config in configs])


def grown(space, results=40, score=bowl, **options):
    """A strategy of lag 1 that has learned so many results."""
    strategy = make(space, "evolve", lag=1, defaults={}, **options)
    drive(strategy, results, score)
    strategy.ask(results)
    return strategy


def mutated(space, place, *, active=None, seed=0, copies=4000, **options):
    """Places of so many mutated copies of a place."""
    strategy = make(space, "evolve", defaults={}, **options)
    children = np.tile(np.array(place, float), (copies, 1))
    chosen = np.tile(np.ones(len(place), bool) if active is None else np.array(active), (copies, 1))
    strategy._mutate(children, chosen, np.arange(copies), np.random.default_rng(seed))
    return children


def test_it_begins_with_the_defaults_and_points_of_the_sobol_sequence():
    strategy = make(CUBE, "evolve", seed=3)
    sequence = SobolSequence(6, generator(3, 0, Purpose.PROPOSAL))
    assert strategy.ask(0) == CUBE.nearest({})
    for number in range(1, FIRST_CHILD):
        assert strategy.ask(number) == CUBE.decode(sequence[number - 1].tolist())
    assert not strategy.ready(FIRST_CHILD)


@pytest.mark.parametrize(("offspring", "mutations"), [(1, {1}), (30, {1, 2})])
def test_a_child_differs_from_a_parent_in_one_or_two_sides(offspring, mutations):
    proposals = rows(drive(make(CUBE, "evolve", offspring=offspring), 90, bowl))
    differing = set()
    for number in range(FIRST_CHILD, 90):
        known = proposals[: number - LAG + 1]
        differing.add(int((known != proposals[number]).sum(axis=1).min()))
    assert differing == mutations


def test_with_conditions_a_child_differs_in_one_or_two_of_the_sides_it_shares_with_a_parent():
    proposals = drive(make(MIXED, "evolve"), 90)
    for number in range(FIRST_CHILD, 90):
        child = proposals[number]
        differing = [
            sum(child[name] != parent[name] for name in {*child} & {*parent})
            for parent in proposals[: number - LAG + 1]
        ]
        assert min(differing) <= 2


def test_a_child_of_two_parents_has_every_side_from_one_of_them_but_for_a_mutation():
    proposals = rows(drive(make(CUBE, "evolve", offspring=1, crossover=1.0), 60, bowl))
    mixed = 0
    for number in range(FIRST_CHILD, 60):
        same = proposals[: number - LAG + 1] == proposals[number]
        pairs = itertools.combinations_with_replacement(same, 2)
        assert max(int((one | other).sum()) for one, other in pairs) >= 5
        mixed += int(same.sum(axis=1).max()) < 5
    assert mixed > 10


def test_sides_come_from_either_parent_equally_often():
    strategy = grown(CUBE, score=lambda number, config: 0.5, crossover=1.0, offspring=2000, selection=1, population=2)
    strategy._places, strategy._active = np.array([[0.2] * 6, [0.8] * 6]), np.ones((2, 6), bool)
    children = list(itertools.islice(strategy._offspring(np.random.default_rng(0)), 2000))
    second = np.isclose(children, 0.8).sum(axis=1)
    whole = np.isclose(children, 0.2) | np.isclose(children, 0.8)
    assert abs(np.isclose(children, 0.8).sum() / whole.sum() - 0.5) < 0.02
    # Half of the pairs are a parent with itself; a child of both has about three sides of each.
    assert 0.4 < np.mean((second > 0) & (second < whole.sum(axis=1))) < 0.55


@pytest.mark.parametrize(
    ("population", "elite"), [(20, 10), (5, 0), (5, 100), (1, 1), (1, 0), (100, 0), (30, 29), (100, 100)]
)
@pytest.mark.parametrize("results", [8, 19])
def test_parents_are_the_best_of_all_and_the_most_recent(population, elite, results):
    scores = np.random.default_rng(0).random(results).tolist()
    strategy = make(CUBE, "evolve", lag=1, population=population, elite=elite)
    proposals = drive(strategy, results, lambda number, config: scores[number])
    strategy.ask(results)
    ranked = sorted(range(results), key=scores.__getitem__)
    chosen = {*ranked[: min(elite, population)]}
    if population > elite:
        chosen |= {*range(max(0, results - (population - elite)), results)}
    expected = [CUBE.encode(proposals[number]) for number in ranked if number in chosen]
    assert strategy._places.tolist() == expected
    assert len(expected) <= population


@pytest.mark.parametrize("selection", [1, 2, 5])
def test_the_best_of_those_who_compete_is_the_parent(selection):
    strategy = grown(CUBE, 19, selection=selection, offspring=10_000)
    size = len(strategy._places)
    found = np.bincount(strategy._parents(np.random.default_rng(0)), minlength=size)
    beaten = np.arange(size, -1, -1) / size
    expected = 10_000 * (beaten[:-1] ** selection - beaten[1:] ** selection)
    seldom = expected < 5
    if seldom.any():
        found, expected = (np.append(counts[~seldom], counts[seldom].sum()) for counts in (found, expected))
    assert stats.chisquare(found, expected).pvalue > 0.001


def test_more_competition_means_better_parents():
    means = [grown(CUBE, 19, selection=s, offspring=2000)._parents(np.random.default_rng(0)).mean() for s in (1, 2, 8)]
    assert means[0] > 1.3 * means[1] > 1.6 * means[2]


def test_the_children_with_the_best_guess_come_first():
    strategy = grown(CUBE)
    children = np.array(list(itertools.islice(strategy._offspring(np.random.default_rng(0)), 30)))
    guesses = strategy._surrogate.guess(children)
    assert (np.diff(guesses) >= 0).all()
    assert guesses[0] < guesses[-1]


def test_what_was_inactive_in_the_parent_is_drawn_anew_when_it_becomes_active():
    adam = MIXED.decode([0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    assert "momentum" not in adam
    strategy = make(MIXED, "evolve", lag=1, offspring=2000)
    for number in range(DESIGN):
        strategy.tell(number, adam, 0.5)
    strategy.ask(DESIGN)
    children = [MIXED.decode(p.tolist()) for p in itertools.islice(strategy._offspring(np.random.default_rng(0)), 2000)]
    drawn = [config["momentum"] for config in children if "momentum" in config]
    assert len(drawn) > 150
    units = [MIXED.parameters["momentum"].to_unit(value) for value in drawn]
    assert stats.kstest(units, "uniform").pvalue > 0.001
    assert {config["nesterov"] for config in children if "nesterov" in config} == {False, True}


def test_of_two_parents_a_side_is_inherited_only_where_it_was_active():
    strategy = make(MIXED, "evolve", lag=1, offspring=2000, crossover=1.0, selection=1)
    drive(strategy, DESIGN)
    strategy.ask(DESIGN)
    momentum = MIXED.decode([0.8, 0.5, 0.5, 0.5, 0.5, 0.3, 0.5])
    adam = MIXED.decode([0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    strategy._places = np.array([MIXED.encode(momentum), MIXED.encode(adam)])
    strategy._active = np.array([[name in config for name in MIXED.parameters] for config in (momentum, adam)])
    places = np.array(list(itertools.islice(strategy._offspring(np.random.default_rng(0)), 2000)))
    found = places[(places[:, 4] > 1 / 3) & (places[:, 4] < 2 / 3), 0]
    inherited = np.isclose(found, MIXED.encode(momentum)[0])
    assert not np.isclose(found, 0.5).any()  # where an inactive side lies
    assert 0.5 < inherited.mean() < 0.8
    assert len(np.unique(found[~inherited])) == (~inherited).sum()


def test_a_mutation_changes_one_side_each_equally_often():
    children = mutated(CUBE, [0.5] * 6, copies=6000)
    changed = children != 0.5
    assert (changed.sum(axis=1) == 1).all()
    assert stats.chisquare(changed.sum(axis=0)).pvalue > 0.001


def test_a_mutation_leaves_inactive_sides_alone():
    changed = mutated(CUBE, [0.5] * 6, active=[True, False, False, True, False, False]) != 0.5
    assert not changed[:, [1, 2, 4, 5]].any()
    assert (changed.sum(axis=1) == 1).all()


@pytest.mark.parametrize("mutation", [0.01, 0.1])
def test_a_step_on_a_continuous_side_is_normal(mutation):
    children = mutated(Space({"x": Float(0.0, 1.0)}), [0.5], mutation=mutation)
    assert stats.kstest(children[:, 0], "norm", args=(0.5, mutation)).pvalue > 0.001


@pytest.mark.parametrize("mutation", [0.2, 1.0])
@pytest.mark.parametrize("place", [0.0, 0.03, 1.0])
def test_a_step_over_the_end_is_thrown_back(place, mutation):
    children = mutated(Space({"x": Float(0.0, 1.0)}), [place], mutation=mutation)
    assert children.min() >= 0
    assert children.max() <= 1
    assert len(np.unique(children)) > 2000


def test_a_category_becomes_any_other_one():
    space = Space({"kind": Categorical(tuple("abcde"))})
    for choice in "abcde":
        found = [space.decode([place])["kind"] for place in mutated(space, space.encode({"kind": choice}))[:, 0]]
        counts = {other: found.count(other) for other in "abcde"}
        assert counts.pop(choice) == 0
        assert stats.chisquare(list(counts.values())).pvalue > 0.001


@pytest.mark.parametrize("value", [1, 2, 3, 5])
@pytest.mark.parametrize("mutation", [0.01, 0.2, 1.0])
def test_a_step_on_whole_numbers_reaches_at_least_the_next(value, mutation):
    space = Space({"n": Int(1, 5)})
    found = [
        space.decode([place])["n"] for place in mutated(space, space.encode({"n": value}), mutation=mutation)[:, 0]
    ]
    assert value not in found
    assert {value - 1, value + 1} & {*range(1, 6)} <= {*found}


@pytest.mark.parametrize("space", [Int(1, 5), Int(16, 256, scale="pow2"), Float(0.0, 0.5, step=0.125)])
def test_mutated_places_on_steps_are_middles_of_their_cells(space):
    one = Space({"n": space})
    for place in np.unique(mutated(one, [0.3])):
        assert np.isclose(one.encode(one.decode([place])), place).all()


def test_a_side_with_one_value_is_borne():
    space = Space({"n": Int(3, 3), "kind": Categorical(("a",)), "x": Float(0.0, 1.0)})
    proposals = drive(make(space, "evolve", defaults={}), 60, lambda number, config: config["x"])
    assert len({config["x"] for config in proposals}) == 60


def test_a_lucky_result_is_forgotten_where_nobody_is_elite():
    """With aging alone, parents are recent; the lucky first result is none of them."""
    strategy = make(CUBE, "evolve", lag=1, population=5, elite=0, offspring=1)
    proposals = drive(strategy, 20, lambda number, config: -100.0 if number == 1 else bowl(number, config))
    strategy.ask(20)
    assert CUBE.encode(proposals[1]) not in strategy._places.tolist()
    assert len(strategy._places) == 5
