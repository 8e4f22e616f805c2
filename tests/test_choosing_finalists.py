"""Who takes part in the finals: good scores, and of these rather those whose likes had good scores too."""

import random

import numpy as np
import pytest

from hpsearch.finals import FEWEST, MOST, choose
from hpsearch.run_directory.record import RunRecord
from hpsearch.space import Categorical, Float, Space
from hpsearch.trial import TrialResult, TrialState

SPACE = Space({"x": Float(0.0, 1.0), "kind": Categorical(("a", "b"))}, {"epochs": 3})


def record(trials, order=None, pruned=()):
    """A run of (x, score or None for a failure) pairs, whose results arrived in this order."""
    results = []
    for number in order or range(len(trials)):
        x, score = trials[number]
        config = {"x": x, "kind": "ab"[number % 2], "epochs": 3}
        state = TrialState.FAIL if score is None else TrialState.PRUNED if number in pruned else TrialState.COMPLETE
        results.append(TrialResult(number, config, state, {} if score is None else {"dev_log_loss": score}))
    return RunRecord.of({"metric": "log_loss"}, {}, results)


def valley(count, seed=0, noise=0.02):
    """Scores that are best at x = 0.3, with noise."""
    chance = np.random.default_rng(seed)
    places = chance.random(count)
    return list(
        zip(places.tolist(), ((places - 0.3) ** 2 + noise * chance.standard_normal(count)).tolist(), strict=True)
    )


def test_a_few_trials_are_ranked_by_their_scores():
    trials = valley(FEWEST - 1)
    by_score = sorted(range(len(trials)), key=lambda number: trials[number][1])
    assert choose(record(trials), SPACE, 4) == by_score[:4]


def test_a_score_that_stands_alone_is_no_finalist():
    trials = [*valley(40), (0.95, -1.0)]
    alone = len(trials) - 1
    assert min(trials, key=lambda trial: trial[1]) == trials[alone]
    assert alone not in choose(record(trials), SPACE, 5)
    assert alone in choose(record(trials), SPACE, 15)


def test_the_finalists_are_nearer_to_the_truth_than_the_best_scores():
    chosen, best = [], []
    for seed in range(30):
        trials = valley(60, seed, noise=0.05)
        chosen += [abs(trials[number][0] - 0.3) for number in choose(record(trials), SPACE, 5)]
        best += [abs(x - 0.3) for x, _ in sorted(trials, key=lambda trial: trial[1])[:5]]
    assert np.mean(chosen) < 0.95 * np.mean(best)


@pytest.mark.parametrize("count", [FEWEST, 40, 2 * MOST + 300])
def test_it_does_not_depend_on_the_order_of_arrival(count):
    trials = valley(count)
    order = list(range(count))
    random.Random(1).shuffle(order)
    assert choose(record(trials, order), SPACE, 5) == choose(record(trials), SPACE, 5)


def test_more_finalists_are_the_same_and_others():
    found = record(valley(40))
    ten = choose(found, SPACE, 10)
    assert len(set(ten)) == 10
    for top in range(2, 10):
        assert choose(found, SPACE, top) == ten[:top]


def test_failed_and_pruned_trials_are_never_finalists():
    trials = [(x, None if number % 3 else score) for number, (x, score) in enumerate(valley(30))]
    chosen = choose(record(trials, pruned=[0]), SPACE, 20)
    assert {*chosen} == set(range(3, 30, 3))


@pytest.mark.parametrize(("trials", "finalists"), [(1, 0), (2, 2), (9, 2), (12, 2), (20, 4), (25, 5), (200, 5)])
def test_by_itself_a_fifth_takes_part_but_two_to_five(trials, finalists):
    assert len(choose(record(valley(trials)), SPACE, None)) == finalists


@pytest.mark.parametrize("top", [0, 1])
def test_of_less_than_two_there_is_nothing_to_choose(top):
    assert choose(record(valley(20)), SPACE, top) == []


def test_a_space_without_parameters_is_borne():
    found = record(valley(20))
    assert len(choose(found, Space({}, {"epochs": 3}), 3)) == 3


@pytest.mark.parametrize("complete", [0, 1, 2])
def test_a_run_of_failures_has_no_finalists(complete):
    trials = [(x, score if number < complete else None) for number, (x, score) in enumerate(valley(30))]
    assert len(choose(record(trials), SPACE, 5)) == (2 if complete == 2 else 0)


def test_a_configuration_that_was_trained_again_and_again_is_one_finalist():
    trials = [(0.25, 0.1), (0.9, 0.5), (0.25, 0.2), (0.8, 0.4), (0.25, 0.3)]
    assert choose(record(trials), SPACE, 5) == [0, 3, 1]
