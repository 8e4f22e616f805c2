"""What is particular to evolution: who is a parent, and what a child has of it."""

import itertools

import numpy as np
import pytest
from scipy import stats
from strategies.cases import LAG, SPACES, drive, make

from hpsearch.seeds import Purpose, generator
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.strategies.evolution import ATTEMPTS, DESIGN
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


def strategy_with(parents, space=CUBE, **options):
    """A strategy whose parents are those configurations, with a guess that was learned from somewhere."""
    strategy = make(space, "evolve", lag=1, **options)
    drive(strategy, DESIGN)
    strategy.ask(DESIGN)
    strategy._places = np.array([space.encode(config) for config in parents])
    strategy._active = np.array([[name in config for name in space.parameters] for config in parents])
    return strategy


def bred(strategy, wider=1.0, seed=0):
    """Places of the offspring for one trial."""
    return strategy._breed(1, wider, np.random.default_rng(seed))[0]


def mutated(space, place, copies=4000, parents=1, **options):
    """Places of so many mutated copies of a place, in a population of so many parents."""
    strategy = make(space, "evolve", defaults={}, **options)
    strategy._places = np.tile(np.array(place, float), (parents, 1))
    children = strategy._mutated(np.tile(strategy._places[0], (copies, 1)), 1.0, np.random.default_rng(0))
    return strategy._middles(children)


def test_it_begins_with_the_defaults_and_points_of_the_sobol_sequence():
    strategy = make(CUBE, "evolve", seed=3)
    sequence = SobolSequence(6, generator(3, 0, Purpose.PROPOSAL))
    assert strategy.ask(0) == CUBE.nearest({})
    for number in range(1, FIRST_CHILD):
        assert strategy.ask(number) == CUBE.decode(sequence[number - 1].tolist())
    assert not strategy.ready(FIRST_CHILD)


@pytest.mark.parametrize("earlier", [0, 4, DESIGN, 50])
def test_offspring_begins_as_soon_as_there_are_results_enough(earlier):
    strategy = make(CUBE, "evolve", lag=3)
    strategy.begin_with([(CUBE.decode([0.3 + 0.001 * i] * 6), i) for i in range(earlier)])
    first = DESIGN - earlier + 2 if earlier < DESIGN else 1
    sequence = SobolSequence(6, generator(0, 0, Purpose.PROPOSAL))
    from_the_sequence = 0
    for number in range(25):
        proposal = strategy.ask(number)
        from_the_sequence += number > 0 and proposal == CUBE.decode(sequence[earlier + number - 1].tolist())
        strategy.tell(number, proposal, bowl(number, proposal))
    assert from_the_sequence == first - 1
    assert strategy.stages(100) == [f"{first} of 100 trials to begin with, then offspring"]


def test_a_child_of_two_parents_has_every_side_from_one_of_them():
    parents = [CUBE.decode([0.2] * 6), CUBE.decode([0.8] * 6)]
    children = bred(strategy_with(parents, crossover=1.0, offspring=6000, mutation=1e-9))
    low, high = np.isclose(children, 0.2, atol=1e-6), np.isclose(children, 0.8, atol=1e-6)
    known = (low | high).all(axis=1)
    assert abs(known.mean() - 2 / 3) < 0.03  # the rest are strangers
    assert abs(high[known].mean() - 0.5) < 0.02
    # Half of the pairs are a parent with itself; a child of both has about three sides of each.
    assert 0.4 < (low[known].any(axis=1) & high[known].any(axis=1)).mean() < 0.55


def test_a_child_of_one_parent_is_near_it():
    parents = [CUBE.decode([0.2] * 6), CUBE.decode([0.8] * 6)]
    children = bred(strategy_with(parents, offspring=3000, mutation=1e-3))
    near = [(np.abs(children - place) < 0.01).all(axis=1) for place in (0.2, 0.8)]
    for share in (near[0].mean(), near[1].mean()):
        assert abs(share - 1 / 3) < 0.04


@pytest.mark.parametrize("results", [10, 35, 400])
def test_by_itself_the_best_tenth_are_parents(results):
    strategy = make(CUBE, "evolve", lag=1)
    chance = np.random.default_rng(0)
    told = [
        (CUBE.decode(place), score)
        for place, score in zip(chance.random((results, 6)).tolist(), chance.random(results), strict=True)
    ]
    strategy.begin_with(told)
    fitted = strategy._fitted
    best = sorted(told[:fitted], key=lambda pair: pair[1])[: min(25, max(2, -(-fitted // 10)))]
    assert strategy._places.tolist() == [CUBE.encode(config) for config, _ in best]
    assert 0.85 * results < fitted <= results


@pytest.mark.parametrize(
    ("population", "elite"), [(20, 10), (5, 0), (5, 100), (1, 1), (1, 0), (100, 0), (30, 29), (100, 100)]
)
@pytest.mark.parametrize("results", [10, 19])
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
    strategy = grown(CUBE, 19, selection=selection, elite=8)
    size = len(strategy._places)
    found = np.bincount(strategy._winners(10_000, np.random.default_rng(0)), minlength=size)
    beaten = np.arange(size, -1, -1) / size
    expected = 10_000 * (beaten[:-1] ** selection - beaten[1:] ** selection)
    seldom = expected < 5
    if seldom.any():
        found, expected = (np.append(counts[~seldom], counts[seldom].sum()) for counts in (found, expected))
    assert stats.chisquare(found, expected).pvalue > 0.001


def test_the_children_with_the_best_guess_come_first():
    strategy = grown(CUBE)
    guesses = strategy._surrogate.guess(bred(strategy))
    assert (np.diff(guesses) >= 0).all()
    assert guesses[0] < guesses[-1]


def test_what_is_cheap_comes_first_where_cost_counts():
    """All scores are the same; from one end of b to the other costs grow a thousandfold."""
    first = {}
    for thrift in (1e-9, 0.3, 3.0):
        strategy = make(CUBE, "evolve", lag=1, defaults={}, thrift=thrift)
        for number in range(40):
            config = strategy.ask(number)
            strategy.tell(number, config, 1.0, 1000 ** config["b"])
        strategy.ask(40)
        litters = strategy._breed(50, 1.0, np.random.default_rng(0))
        powers = strategy._costs.guess(np.eye(6))
        assert np.allclose(powers, [0, np.log(1000), 0, 0, 0, 0], atol=0.4)
        first[thrift] = litters[:, 0, 1].mean() - litters[:, :, 1].mean()
    assert first[3.0] < first[0.3] < -0.1
    assert abs(first[1e-9]) < 0.1


def test_the_points_to_begin_with_come_in_the_order_of_their_cost_where_that_counts():
    """The same points, and the default configuration before them."""

    def start(**options):
        strategy = make(MIXED, "evolve", **options)
        return [strategy.ask(number) for number in range(FIRST_CHILD)]

    def cost(config):
        return config["layers"] * config["units"] ** 2

    plain, ordered = start(), start(thrift=0.5, cost=cost)
    assert plain[0] == ordered[0]
    assert sorted(map(repr, plain)) == sorted(map(repr, ordered))
    costs = [cost(config) for config in ordered[1:]]
    assert costs == sorted(costs) != [cost(config) for config in plain[1:]]
    assert start(thrift=0.0, cost=cost) == plain == start(thrift=0.5)


def test_the_more_results_there_are_the_less_their_cost_counts():
    strategy = make(CUBE, "evolve", lag=5, thrift=3.0)
    places = np.random.default_rng(0).random((400, 6))
    strategy.begin_with([(CUBE.decode(place), place[0], 1000 ** place[1]) for place in places.tolist()])
    unseen = np.random.default_rng(1).random((300, 6))
    shares = {}
    for results in (10, 100, 10_000):
        strategy._fitted = results
        promise = strategy._promise(unseen) - strategy._surrogate.guess(unseen)
        shares[results] = np.polyfit(unseen[:, 1], promise, 1)[0] / np.log(1000)
    assert np.allclose([*shares.values()], [3 / 1.1, 3 / 2, 3 / 101], rtol=0.1)


def test_costs_of_an_earlier_search_count_from_the_start():
    places = np.random.default_rng(0).random((50, 6)).tolist()
    strategy = make(CUBE, "evolve", lag=5, thrift=0.6)
    strategy.begin_with([(CUBE.decode(place), 1.0, 1000 ** place[1]) for place in places])
    strategy.ask(1)
    assert np.isclose(strategy._costs.guess(np.eye(6))[1], np.log(1000), atol=0.4)


def test_a_good_score_is_worth_its_cost():
    """What is ten times as dear, and much better, is what such a search goes to."""
    strategy = make(CUBE, "evolve", lag=1, defaults={}, thrift=0.3)
    found = []
    for number in range(80):
        found.append(strategy.ask(number))
        strategy.tell(number, found[-1], (found[-1]["b"] - 0.9) ** 2, 10 ** found[-1]["b"])
    assert np.median([config["b"] for config in found[50:]]) > 0.75


def test_the_cost_of_what_was_pruned_is_not_known():
    """Those with a high value of b were stopped early, so they seem to cost little; nothing is concluded from that."""
    strategy = make(CUBE, "evolve", lag=1, defaults={}, thrift=0.3)
    for number in range(40):
        config = strategy.ask(number)
        strategy.tell(number, config, 1.0, None if config["b"] > 0.5 else 10 ** config["b"])
    strategy.ask(40)
    low, high = strategy._costs.guess(np.array([[0.5] * 6, [0.5, 1.0, *[0.5] * 4]]))
    assert np.isclose(high - low, 0.5 * np.log(10), atol=0.25)


def test_many_trials_have_offspring_at_once_and_each_its_own():
    strategy = grown(CUBE)
    litters = strategy._breed(5, 1.0, np.random.default_rng(0))
    assert litters.shape == (5, 24, 6)
    assert len(np.unique(litters.reshape(-1, 6), axis=0)) == 120
    for litter in litters:
        assert (np.diff(strategy._surrogate.guess(litter)) >= 0).all()


def test_where_all_offspring_is_known_the_steps_become_wider():
    strategy = strategy_with([CUBE.decode([0.5] * 6)], mutation=0.01, offspring=400)
    spreads = [np.median(np.abs(bred(strategy, wider=w) - 0.5)) for w in (1.0, 2.0, 4.0)]
    assert 1.3 * spreads[0] < spreads[1] < spreads[2] / 1.3
    strategy._offspring_from = -1
    attempts = np.array(list(strategy._children(DESIGN))).reshape(ATTEMPTS, 400, 6)
    spreads = [np.median(np.abs(attempt - 0.5)) for attempt in attempts]
    assert all(1.2 * narrow < wide for narrow, wide in itertools.pairwise(spreads))


def test_some_offspring_comes_from_anywhere():
    for parents in (1, 4):
        strategy = strategy_with([CUBE.decode([0.5] * 6)] * parents, mutation=1e-6, offspring=6000)
        children = bred(strategy)
        strange = (np.abs(children - 0.5) > 1e-4).any(axis=1)
        assert abs(strange.mean() - 1 / (parents + 1)) < 0.03
        assert stats.kstest(children[strange][:, 2], "uniform").pvalue > 0.001


def test_what_was_inactive_in_the_parent_is_drawn_anew_when_it_becomes_active():
    adam = MIXED.decode([0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    assert "momentum" not in adam
    children = [MIXED.decode(p.tolist()) for p in bred(strategy_with([adam], MIXED, offspring=3000))]
    drawn = [config["momentum"] for config in children if "momentum" in config]
    assert len(drawn) > 150
    units = [MIXED.parameters["momentum"].to_unit(value) for value in drawn]
    assert stats.kstest(units, "uniform").pvalue > 0.001
    assert {config["nesterov"] for config in children if "nesterov" in config} == {False, True}


def test_of_two_parents_a_side_is_inherited_only_where_it_was_active():
    momentum = MIXED.decode([0.8, 0.5, 0.5, 0.5, 0.5, 0.3, 0.5])
    adam = MIXED.decode([0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    places = bred(strategy_with([momentum, adam], MIXED, offspring=4000, crossover=1.0, mutation=1e-9))
    found = places[(places[:, 4] > 1 / 3) & (places[:, 4] < 2 / 3), 0]
    inherited = np.isclose(found, MIXED.encode(momentum)[0], atol=1e-6)
    assert not np.isclose(found, 0.5, atol=1e-6).any()  # where an inactive side lies
    assert 0.3 < inherited.mean() < 0.7
    assert len(np.unique(found[~inherited])) == (~inherited).sum()


def test_every_side_takes_a_step_of_its_own():
    children = mutated(CUBE, [0.5] * 6, copies=6000)
    assert (children != 0.5).all()
    assert np.abs(np.corrcoef(children.T) - np.eye(6)).max() < 0.06


def test_the_more_parents_the_shorter_the_steps():
    spreads = [mutated(CUBE, [0.5] * 6, parents=n).std() for n in (1, 5, 25)]
    expected = [0.3 * (n + 1) ** (-1 / 10) for n in (1, 5, 25)]
    assert spreads == sorted(spreads, reverse=True)
    assert np.allclose(spreads, expected, rtol=0.12)  # the ends throw some back


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


def test_half_of_the_categories_are_drawn_anew():
    space = Space({"kind": Categorical(tuple("abcde")), "x": Float(0.0, 1.0)})
    for choice in "abcde":
        places = mutated(space, space.encode({"kind": choice, "x": 0.5}))
        found = [space.decode(place)["kind"] for place in places.tolist()]
        expected = [len(found) * (0.6 if kind == choice else 0.1) for kind in "abcde"]
        assert stats.chisquare([found.count(kind) for kind in "abcde"], expected).pvalue > 0.001


@pytest.mark.parametrize("value", [1, 2, 3, 5])
@pytest.mark.parametrize("mutation", [0.01, 0.2, 1.0])
def test_a_step_on_whole_numbers_often_reaches_the_next(value, mutation):
    space = Space({"n": Int(1, 5)})
    found = [
        space.decode([place])["n"] for place in mutated(space, space.encode({"n": value}), mutation=mutation)[:, 0]
    ]
    assert {value - 1, value + 1} & {*range(1, 6)} <= {*found}
    assert found.count(value) < 0.85 * len(found)  # at an end a step goes one way only


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
    assert strategy._fitted == 20
    assert CUBE.encode(proposals[1]) not in strategy._places.tolist()
    assert len(strategy._places) == 5


def test_without_a_guess_the_parents_are_the_latest_at_every_proposal():
    strategy = make(CUBE, "evolve", lag=1, population=20, elite=0, offspring=1, selection=5)
    told = []
    for number in range(300):
        config = strategy.ask(number)
        if number >= 20:
            assert sorted(strategy._places.tolist()) == sorted(told[-20:])
        strategy.tell(number, config, bowl(number, config))
        told.append(CUBE.encode(config))
