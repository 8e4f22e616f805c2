"""Laws that hold for every strategy in every space."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases
from strategies.cases import ADAPTIVE, FINITE, LAG, SPACES, STRATEGIES, drive, made_up_score, make, tell, usual

from hpsearch.space import Categorical, Float, Int, Mesh, Space

every_space = pytest.mark.parametrize("space", SPACES)
small = st.integers(0, 12)
every_strategy = pytest.mark.parametrize("name", STRATEGIES)
WHATEVER = {
    "all fail": lambda number, config: math.inf,
    "every second fails": lambda number, config: math.inf if number % 2 else -float(number),
    "every third is no number": lambda number, config: math.nan if number % 3 == 0 else -float(number),
    "the first twenty fail": lambda number, config: math.inf if number < 20 else 0.5,
    "all the same": lambda number, config: 0.25,
    "huge": lambda number, config: 1e308 * (-1) ** number,
    "ever worse": lambda number, config: float(number),
}


def allowed(parameter, value):
    """Whether a parameter has this very value, by its definition."""
    if isinstance(parameter, Categorical):
        return any(value == choice and type(value) is type(choice) for choice in parameter.choices)
    if not parameter.low <= value <= parameter.high:
        return False
    if isinstance(parameter, Float):
        steps = 0 if parameter.step is None else (value - parameter.low) / parameter.step
        return type(value) is float and abs(steps - round(steps)) < 1e-9
    if parameter.scale:
        return type(value) is int and value % parameter.low == 0 and (value // parameter.low).bit_count() == 1
    return type(value) is int and (value - parameter.low) % (parameter.step or 1) == 0


def check_inside(space, config):
    for name in (*space.parameters, *space.constants):
        parents = space.conditions.get(name, {})
        active = all(parent in config and config[parent] in values for parent, values in parents.items())
        assert (name in config) == active, name
        if active and name in space.constants:
            assert config[name] == space.constants[name]
        elif active:
            assert allowed(space.parameters[name], config[name]), (name, config[name])
    assert set(config) <= {*space.parameters, *space.constants}
    assert {type(value) for value in config.values()} <= {int, float, str, bool}


def texts(configs):
    return [repr(sorted(config.items())) for config in configs]


@every_space
@every_strategy
class TestInAnySpace:
    def test_proposals_are_inside_the_space_with_conditions_respected(self, space, name):
        for config in usual(space, name)[0]:
            check_inside(SPACES[space], config)

    def test_a_worker_pool_of_any_size_and_luck_gets_the_same_proposals(self, space, name):
        expected, _ = usual(space, name)
        for workers in (3, LAG):
            chance = random.Random(f"{space} {name} {workers}")
            assert cases.drive_with_workers(make(space, name), len(expected), workers, chance) == expected

    def test_results_told_as_late_as_possible_give_the_same_proposals(self, space, name):
        expected, scores = usual(space, name)
        strategy = make(space, name)
        for number, config in enumerate(expected):
            if number >= LAG:
                tell(strategy, number - LAG, expected[number - LAG], scores[number - LAG])
            assert strategy.ready(number)
            assert strategy.ask(number) == config

    def test_is_not_ready_exactly_while_a_needed_result_is_missing(self, space, name):
        expected, scores = usual(space, name)
        chance = random.Random(f"{space} {name}")
        for number in chance.sample(range(len(expected)), min(8, len(expected))):
            missing = chance.randrange(number + 1)
            strategy = make(space, name)
            for other in range(number):
                if other != missing:
                    tell(strategy, other, expected[other], scores[other])
            if missing < number:
                assert strategy.ask(missing) == expected[missing]
            needed = missing < strategy._needs(number)
            assert not (needed and missing > number - LAG)
            assert strategy.ready(number) != needed
            if needed:
                with pytest.raises(ValueError, match=f"trial {number} needs the results of trials 0 to"):
                    strategy.ask(number)
                tell(strategy, missing, expected[missing], scores[missing])
                assert strategy.ready(number)
            assert strategy.ask(number) == expected[number]

    def test_the_last_results_before_a_proposal_do_not_influence_it(self, space, name):
        expected, scores = usual(space, name)
        chance = random.Random(f"{space} {name}")
        for number in chance.sample(range(len(expected)), min(8, len(expected))):
            strategy = make(space, name)
            for other in chance.sample(range(number), number):
                if other > number - LAG:
                    strategy.tell(
                        other, expected[other], chance.choice((-1e9, 1e9, math.inf)), 10 ** chance.uniform(-9, 9)
                    )
                else:
                    tell(strategy, other, expected[other], scores[other])
            assert strategy.ask(number) == expected[number]

    def test_a_killed_search_goes_on_with_the_same_proposals(self, space, name):
        expected, scores = usual(space, name)
        for luck in range(3):
            chance = random.Random(f"{space} {name} {luck}")
            begun = chance.randrange(len(expected) + 1)
            finished = chance.sample(range(begun), chance.randrange(begun + 1))
            strategy = make(space, name)
            if luck:  # as a study does it, which lets the strategy learn up to the first gap
                finished.sort()
            gapless = 0
            for number in finished:  # else in random order; as a journal keeps them
                tell(strategy, number, json.loads(json.dumps(expected[number])), scores[number])
                if luck and number == gapless:
                    gapless += 1
                    strategy.prepare(gapless)
            for number in range(len(expected)):
                if number not in finished:
                    assert strategy.ready(number)
                    assert strategy.ask(number) == expected[number]
                    tell(strategy, number, expected[number], scores[number])

    def test_a_killed_search_goes_on_the_same_on_several_workers(self, space, name):
        """As the study does: all results are told, then the missing numbers are asked for in order when ready."""
        expected, scores = usual(space, name)
        chance = random.Random(f"{space} {name}")
        finished = chance.sample(range(len(expected)), len(expected) // 2)
        strategy = make(space, name)
        for number in finished:
            tell(strategy, number, expected[number], scores[number])
        missing = [number for number in range(len(expected)) if number not in finished]
        running = []
        while missing or running:
            while missing and len(running) < 3 and strategy.ready(missing[0]):
                assert strategy.ask(missing[0]) == expected[missing[0]]
                running.append(missing.pop(0))
            number = running.pop(chance.randrange(len(running)))
            tell(strategy, number, expected[number], scores[number])

    def test_any_scores_are_borne(self, space, name):
        for score in WHATEVER.values():
            strategy = make(space, name)
            proposals = drive(strategy, cases.count(strategy, 24), score)
            for config in proposals[::5]:
                check_inside(SPACES[space], config)
            assert name == "plain" or len(set(texts(proposals))) == len(proposals)

    def test_no_number_is_a_failure(self, space, name):
        found = []
        for bad in (math.nan, math.inf):
            strategy = make(space, name)
            score = lambda n, config, bad=bad: bad if n % 3 else made_up_score(n, config)  # noqa: E731
            found.append(texts(drive(strategy, cases.count(strategy, 40), score)))
        assert found[0] == found[1]

    def test_what_was_known_before_is_known_to_every_proposal_and_holds_up_none(self, space, name):
        expected, known = cases.warm(space, name)
        for config in expected:
            check_inside(SPACES[space], config)
        for workers in (3, LAG):
            chance = random.Random(f"{space} {name} {workers}")
            again = cases.drive_with_workers(cases.begun_with(known, space, name), len(expected), workers, chance)
            assert again == expected
        strategy = cases.begun_with(known, space, name)
        assert strategy.earlier == len(known)
        for number, config in enumerate(expected):
            if number >= LAG:
                tell(strategy, number - LAG, expected[number - LAG])
            assert strategy.ready(number)
            assert strategy.ask(number) == config

    def test_a_killed_search_that_knew_results_before_goes_on_with_the_same_proposals(self, space, name):
        expected, known = cases.warm(space, name)
        chance = random.Random(f"{space} {name}")
        finished = chance.sample(range(len(expected)), len(expected) // 2)
        strategy = cases.begun_with(json.loads(json.dumps(known)), space, name)
        for number in finished:
            tell(strategy, number, expected[number])
        for number in range(len(expected)):
            if number not in finished:
                assert strategy.ask(number) == expected[number]
                tell(strategy, number, expected[number])

    def test_a_search_is_the_beginning_of_a_longer_one(self, space, name):
        expected, _ = usual(space, name)
        for trials in (1, LAG, 23):
            strategy = make(space, name)
            assert drive(strategy, cases.count(strategy, trials)) == expected[:trials]

    def test_a_search_without_a_plan_is_the_beginning_of_a_longer_one(self, space, name):
        short, long = (make(space, name, planned=None) for _ in range(2))
        trials = cases.count(short, 12)
        assert drive(short, trials) == drive(long, cases.count(long, 28))[:trials]


@pytest.fixture(scope="module")
def elsewhere():
    """What another process with another order of its sets proposes."""
    tests = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONHASHSEED": "4321", "PYTHONPATH": tests}
    code = "from strategies import cases; print(cases.all_proposals())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@every_space
@every_strategy
def test_another_process_makes_the_same_proposals(space, name, elsewhere):
    assert elsewhere[f"{space}, {name}"] == [repr(config) for config in usual(space, name)[0]]


@pytest.mark.parametrize("space", [space for space in SPACES if space not in FINITE])
@every_strategy
def test_another_seed_makes_other_proposals(space, name):
    expected, _ = usual(space, name)
    proposals = drive(make(space, name, seed=1), len(expected))
    if name in {"grid", "mesh"}:  # a mesh is what it is
        coarse = make(space, name).coarse
        assert proposals[:coarse] == expected[:coarse]
    else:
        assert proposals[0] == expected[0]
        assert proposals[1] != expected[1]
        assert len(set(texts(proposals)) & set(texts(expected))) < 10


@pytest.mark.parametrize("lag", [1, 8])
@pytest.mark.parametrize("space", ["mixed", "continuous"])
@every_strategy
def test_a_result_influences_proposals_from_lag_trials_later_on(space, name, lag):
    """And in strategies that adapt, some result does."""
    trials = cases.count(make(space, name), 45)
    expected = drive(make(space, name, lag=lag), trials)
    differ = False
    for changed in (0, 11):
        strategy = make(space, name, lag=lag)
        proposals = drive(
            strategy, trials, lambda n, config, changed=changed: -1e3 if n == changed else made_up_score(n, config)
        )
        assert proposals[: changed + lag] == expected[: changed + lag]
        differ = differ or proposals != expected
    assert differ == (name in ADAPTIVE)


@pytest.mark.parametrize("space", [space for space in SPACES if space != "no parameter"])
@every_strategy
def test_what_was_known_before_may_be_tried_again(space, name):
    expected, known = cases.warm(space, name)
    assert make(space, name).limit == cases.begun_with(known, space, name).limit
    assert name == "plain" or len(set(texts(expected))) == len(expected)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_earlier_results_decide_before_there_are_any_of_ones_own(name):
    """Around the best of them is searched; with as many failures it is not."""
    space, lag = SPACES["continuous"], 100
    rng = random.Random(name)
    places = [{"x": rng.uniform(-1, 1), "y": rng.uniform(0, 5), "z": 10 ** rng.uniform(-3, 3)} for _ in range(60)]
    good = [(config, abs(config["x"] - 0.9) + abs(config["y"] - 4.5)) for config in places]
    bad = [(config, math.inf) for config in places]
    proposals = []
    for known in (good, bad):
        strategy = make(space, name, lag=lag)
        strategy.begin_with(known)
        proposals.append([strategy.ask(number) for number in range(60)])
    assert proposals[0] != proposals[1]
    near = [sum(config["x"] > 0.4 and config["y"] > 3 for config in found) for found in proposals]
    assert near[0] > near[1] + 2


@pytest.mark.parametrize("name", ["random", "plain"])
def test_proposals_are_other_ones_than_an_earlier_search_of_the_same_seed_made(name):
    expected, scores = usual("continuous", name)
    strategy = make("continuous", name)
    strategy.begin_with(list(zip(expected, scores, strict=True)))
    proposals = drive(strategy, 20)
    assert not set(texts(proposals[1:])) & set(texts(expected))


@pytest.mark.parametrize("lag", [1, 4])
@pytest.mark.parametrize("name", ["densify", "evolve", "classical"])
def test_a_result_is_used_as_soon_as_the_lag_allows(name, lag):
    for changed in range(7, 20):
        expected = drive(make("continuous", name, lag=lag), 25)
        for score in (-1e3, 1e3):
            proposals = drive(
                make("continuous", name, lag=lag),
                25,
                lambda n, config, changed=changed, score=score: score if n == changed else made_up_score(n, config),
            )
            if proposals[changed + lag] != expected[changed + lag]:
                return
    pytest.fail("no result was used when it could have been")


@pytest.mark.parametrize("space", FINITE)
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "plain"])
def test_a_finite_space_is_gone_through_without_repetition_to_its_end(space, name):
    strategy = make(space, name)
    mesh = Mesh(SPACES[space], 3).size
    assert strategy.limit == (mesh if name == "mesh" else FINITE[space])
    proposals = drive(strategy, strategy.limit)
    for config in proposals:
        check_inside(SPACES[space], config)
    assert len(set(texts(proposals))) == strategy.limit


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "mesh"])
def test_there_is_no_end_where_there_is_a_continuum(name):
    assert make("mixed", name).limit is None


def test_independent_draws_end_only_where_there_is_nothing_to_draw():
    assert make("24 points", "plain").limit is None
    assert make("no parameter", "plain").limit == 1


@pytest.mark.parametrize("order", [(3, 9, 12), (9, 3, 12), (12, 9, 3)])
def test_a_configuration_is_known_from_the_first_trial_on_that_had_it(order):
    """In whatever order one learns of its trials; a resumed search knows of later ones first."""
    strategy, config = make("24 points", "evolve"), {"layers": 2, "activation": "tanh", "batch_norm": 1}
    for number in order:
        strategy.tell(number, config, 0.5)
    assert [strategy._is_new(number, config) for number in (0, 3, 4, 9, 10, 40)] == [True, True, *[False] * 4]


@every_strategy
def test_a_space_without_parameters_has_one_trial(name):
    strategy = make("no parameter", name)
    assert strategy.limit == 1
    assert strategy.ask(0) == SPACES["no parameter"].constants


@every_space
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in {"grid", "mesh"}])
def test_the_first_trial_is_the_point_nearest_to_the_defaults(space, name):
    assert make(space, name, seed=7).ask(0) == SPACES[space].nearest(cases.DEFAULTS)


@every_strategy
def test_long_searches_repeat_nothing_and_forget_nothing(name):
    """Past the sizes of all memories: a resumed search that learns everything at once goes on the same."""
    expected = drive(make("mixed", name), 240)
    assert name == "plain" or len(set(texts(expected))) == len(expected)
    resumed = make("mixed", name)
    for number, config in reversed([*enumerate(expected[:-20])]):
        tell(resumed, number, config)
    for number in range(len(expected) - 20, len(expected)):
        assert resumed.ask(number) == expected[number]
        tell(resumed, number, expected[number])


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in {"plain", "mesh"}])
def test_whole_numbers_on_a_log_scale_are_gone_through_without_repetition(name):
    strategy = make(Space({"units": Int(1, 100, log=True)}), name, planned=100)
    assert strategy.limit == 100
    assert {config["units"] for config in drive(strategy, 100)} == set(range(1, 101))


def test_whole_numbers_on_a_log_scale_may_be_parents():
    space = Space({"units": Int(1, 100, log=True), "more": Int(1, 3)}, {}, {"more": {"units": (97,)}})
    assert make(space, "evolve").limit == 99 + 3


@every_strategy
def test_a_large_finite_space_is_never_listed(name):
    import tracemalloc

    strategy = make(Space({"units": Int(1, 10**9)}), name, planned=8)
    tracemalloc.start()
    try:
        drive(strategy, cases.count(strategy, 4))
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


@every_strategy
def test_a_space_of_more_points_than_a_machine_word_counts_is_searched(name):
    space = Space({f"side {i}": Categorical(tuple(range(10))) for i in range(20)})
    strategy = make(space, name, defaults={})
    proposals = drive(strategy, 50, lambda number, config: math.inf if number != 3 else 1.0)
    assert len(set(texts(proposals))) == 50


def test_a_grid_is_tightened_long_after_its_plan():
    space = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    strategy = make(space, "grid", planned=2)
    for number in range(1100):
        strategy.tell(number, {"x": number / 1100, "y": 0.5}, float(number))
    check_inside(space, strategy.ask(1100))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_nothing_is_repeated_where_a_part_of_the_space_is_one_point(name):
    space = Space(
        {"optimizer": Categorical(("adam", "momentum")), "momentum": Float(0.0, 1.0)},
        {},
        {"momentum": {"optimizer": ("momentum",)}},
    )
    for seed in range(4):
        proposals = drive(make(space, name, seed=seed), 60)
        assert len(set(texts(proposals))) == 60


NUMBERS = (
    st.builds(Float, st.floats(-9, 0), st.floats(0, 9)),
    st.builds(Float, st.floats(1e-6, 1e-2), st.floats(1e-2, 1e3), log=st.just(value=True)),
    st.builds(Float, st.floats(0, 0.5), st.floats(0.5, 0.9999), st.just("reversed")),
    st.builds(lambda low, count: Float(low, low + 0.25 * count, step=0.25), st.integers(-2, 3).map(float), small),
    st.builds(lambda low, count: Int(low, low + count), st.integers(-3, 9), small),
    st.builds(lambda low, ratio: Int(low, low * ratio, scale="pow2"), st.integers(1, 9), st.integers(1, 40)),
    st.builds(lambda low, count, step: Int(low, low + count, step=step), st.integers(-3, 9), small, st.integers(1, 5)),
    st.builds(lambda low: Int(low, 30 * low, log=True), st.integers(1, 9)),
)
CHOICES = st.lists(st.sampled_from(["a", "b", "c", 0, 1, 2.5]), min_size=1, unique=True)


@st.composite
def spaces(draw):
    """Up to five parameters of any kind, some of them under conditions, also of conditional ones."""
    kinds = st.one_of(*NUMBERS, CHOICES.map(lambda choices: Categorical(tuple(choices))))
    parameters = {f"p{i}": draw(kinds) for i in range(draw(st.integers(1, 5)))}
    conditions = {}
    for i in range(1, len(parameters)):
        if draw(st.booleans()):
            parent = f"p{draw(st.integers(0, i - 1))}"
            values = parameters[parent].mesh(4)
            conditions[f"p{i}"] = {parent: tuple(draw(st.sets(st.sampled_from(values), min_size=1)))}
    return Space(parameters, {"constant": 1}, conditions)


@every_strategy
@given(space=spaces(), seed=st.integers(0, 2**63 - 1), planned=st.sampled_from([None, 3, 30]))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_made_up_spaces_are_searched(name, space, seed, planned):
    strategy = make(space, name, seed=seed, planned=planned, defaults={"p0": 3, "p1": "b", "p3": 0.5})
    proposals = drive(strategy, cases.count(strategy, 30))
    for config in proposals:
        check_inside(space, config)
    if strategy.limit is not None and name != "plain":
        assert len(set(texts(proposals))) == len(proposals)
