"""Has a search had enough, and how lucky was its winner."""

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from hpsearch.diagnosis.search import expected_best, had_enough, optimism, pareto


@pytest.mark.parametrize("k", range(1, 8))
def test_the_expected_best_is_that_of_all_draws(k):
    scores = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    assert expected_best(scores, k) == pytest.approx(fmean(min(draw) for draw in combinations(scores, k)))


def test_more_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="from 1 to the number of scores, 3"):
        expected_best([1.0, 2.0, 3.0], 4)


def test_a_search_whose_second_half_brought_less_than_noise_had_enough():
    scores = np.random.default_rng(0).random(400).tolist()
    found = had_enough(scores, noise=0.01)
    assert found.best == min(scores)
    assert found.gain == pytest.approx(found.half - found.best)
    assert found.enough
    assert not had_enough(scores[:12], noise=0.01).enough
    assert had_enough(scores, None).enough is None
    assert had_enough(scores[:9], 0.01) is None


def test_optimism_is_what_the_finals_took_back():
    found = optimism({3: 0.10, 5: 0.12, 8: 0.13}, {3: 0.16, 5: 0.12}, winner=3)
    assert (found.winner, found.mean) == pytest.approx((0.06, 0.03))
    assert found.sd == pytest.approx(0.0424, abs=1e-4)
    assert optimism({3: 0.1}, {}, winner=3) is None
    assert optimism({3: 0.1}, {3: float("inf")}, winner=3) is None


def test_only_who_is_beaten_by_nobody_is_left():
    costs = {1: (0.10, 900), 2: (0.11, 100), 3: (0.12, 100), 4: (0.10, 900), 5: (0.30, 50), 6: (0.30, 60)}
    assert pareto(costs) == [1, 4, 2, 5]


def test_a_score_that_cannot_be_better_was_enough():
    assert had_enough([0.0] * 40, 0.0).enough
