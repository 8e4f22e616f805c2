"""Who wins the finals, and who cannot be told apart from the winner."""

import math

import numpy as np
import pytest
from scipy import stats

from hpsearch.diagnosis.finalists import noise, standings, student_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 12, 30, 100])
@pytest.mark.parametrize("share", [0.9, 0.975, 0.995])
def test_quantiles_of_students_t(freedom, share):
    close = 1e-9 if freedom < 3 else 0.02 if freedom < 4 else 0.01
    if share > 0.99 and freedom < 5:
        close *= 4
    assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=close)


def test_the_best_mean_is_first_and_of_equal_ones_the_lower_number():
    found = standings({7: [0.3, 0.5], 3: [0.4, 0.4], 5: [0.1, 0.2]})
    assert [standing.trial for standing in found] == [5, 3, 7]
    assert [standing.mean for standing in found] == pytest.approx([0.15, 0.4, 0.4])
    assert found[0].sd == pytest.approx(np.std([0.1, 0.2], ddof=1))
    assert not found[0].level


def test_equal_ones_are_level_also_where_nothing_varies():
    """As accuracies of 1 do not: the least significant difference is 0."""
    found = standings({1: [1.0] * 3, 2: [1.0] * 3, 3: [1.5] * 3})
    assert [standing.level for standing in found] == [False, True, False]


def test_a_finalist_that_failed_is_last_and_spoils_no_comparison():
    found = standings({1: [0.1, 0.11, 0.12], 2: [0.5, 0.51, 0.52], 3: [0.0, math.inf, 0.0]})
    assert [standing.trial for standing in found] == [1, 2, 3]
    assert found[2].mean == found[2].sd == math.inf
    assert [standing.level for standing in found] == [False, False, False]


def test_what_all_have_in_common_in_a_repeat_tells_nothing_of_a_difference():
    """A hard split for everybody: the differences are as sure as before."""
    easy = {1: [0.10, 0.11, 0.10], 2: [0.20, 0.21, 0.21]}
    hard = {
        trial: [score + shift for score, shift in zip(scores, (0, 5, 1), strict=True)] for trial, scores in easy.items()
    }
    assert [standing.level for standing in standings(easy)] == [False, False]
    assert [standing.level for standing in standings(hard)] == [False, False]


def test_the_least_significant_difference_is_that_of_two_finalists_in_a_paired_t_test():
    random = np.random.default_rng(0)
    seen = set()
    for shift in np.linspace(0, 0.3, 61):
        first, second = random.normal(0, 0.1, 6), random.normal(shift, 0.1, 6)
        found = standings({1: first.tolist(), 2: second.tolist()})
        level = stats.ttest_rel(first, second).pvalue > 0.05
        assert found[1].level == level
        seen.add(level)
    assert seen == {True, False}


def test_overlapping_splits_make_it_harder_to_tell_apart():
    scores = {1: [0.10, 0.12, 0.11], 2: [0.135, 0.14, 0.15]}
    assert not standings(scores)[1].level
    assert standings(scores, shared=20.0)[1].level


def test_chance_seldom_parts_what_is_equal():
    random = np.random.default_rng(1)
    parted = 0
    for _ in range(400):
        found = standings({1: random.normal(size=4).tolist(), 2: random.normal(size=4).tolist()})
        parted += not found[1].level
    assert 6 <= parted <= 36  # 5 % of them


def test_one_finalist_is_the_winner():
    assert [s.trial for s in standings({4: [0.1, 0.2]})] == [4]


def test_noise_is_what_trials_and_splits_do_not_explain():
    """Two trials on three splits, whose own levels are far apart: residuals of 0.1 to both sides."""
    scores = {0: [1.1, 4.9, 9.0], 1: [1.9, 6.1, 10.0]}
    residuals = np.array([[1.1, 4.9, 9.0], [1.9, 6.1, 10.0]])
    residuals = residuals - residuals.mean(0) - residuals.mean(1)[:, None] + residuals.mean()
    assert noise(scores) == pytest.approx(math.sqrt((residuals**2).sum() / 2))
    assert noise({0: [1.0, 3.0]}) == pytest.approx(math.sqrt(2))
    assert noise({0: [math.inf, 1.0]}) is None
