"""The guess at scores: its ranks, its kernel, and what it sees in a few results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.kernel_ridge import KernelRidge

from hpsearch.surrogate import CURIOSITY, MISMATCH, NOISE, REACH, Surrogate, normal_scores


def fitted(categories, places, scores):
    surrogate = Surrogate(categories)
    surrogate.fit(places, scores)
    return surrogate


def means(surrogate, places):
    """Guesses without the bonus for what is unknown."""
    kernel = surrogate._kernel(surrogate._scaled(places))
    return surrogate.guess(places) + CURIOSITY / np.sqrt(1 + kernel.sum(1))


def random_places(n, categories, seed=0):
    """Points as spaces encode them: categories in the middle of their cells."""
    random = np.random.default_rng(seed)
    counts = np.array(categories)
    places = random.random((n, len(counts)))
    cells = np.maximum(counts, 1)
    return np.where(counts > 0, ((places * cells).astype(int) + 0.5) / cells, places)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from([0.0, 1.0, np.inf])), min_size=1, max_size=40))
def test_normal_scores_are_normal_quantiles_of_mean_ranks(scores):
    expected = stats.norm.ppf((stats.rankdata(scores) - 0.5) / len(scores))
    assert np.allclose(normal_scores(np.array(scores)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_smooth_function_is_found_from_few_points(seed):
    places, unseen = random_places(60, [0, 0, 0], seed), random_places(500, [0, 0, 0], seed + 100)
    smooth = lambda p: np.sin(3 * p[:, 0]) + 2 * (p[:, 1] - 0.4) ** 2  # noqa: E731 - and the third side has no effect
    surrogate = fitted([0, 0, 0], places, smooth(places))
    assert stats.spearmanr(means(surrogate, unseen), smooth(unseen)).statistic > 0.9
    assert np.corrcoef(means(surrogate, unseen), smooth(unseen))[0, 1] > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_an_effect_of_categories_is_found_through_noise(seed):
    categories = [4, 0, 3]
    places, unseen = random_places(80, categories, seed), random_places(300, categories, seed + 100)
    effect = np.array([0.0, 2.0, -1.0, 1.0])
    truth = lambda p: effect[(p[:, 0] * 4).astype(int)] + p[:, 1]  # noqa: E731
    surrogate = fitted(categories, places, truth(places) + 0.5 * np.random.default_rng(seed).normal(size=80))
    assert np.corrcoef(means(surrogate, unseen), truth(unseen))[0, 1] > 0.9


def test_sides_with_an_effect_weigh_more_than_those_without():
    places = random_places(80, [0, 0, 3, 0])
    surrogate = Surrogate([0, 0, 3, 0])
    weights = surrogate._weights(places, normal_scores((places[:, 1] - 0.3) ** 2))
    assert np.isclose(weights.mean(), 1)
    assert weights[1] > 3
    assert max(weights[[0, 2, 3]]) < 0.4


def test_sides_weigh_the_same_where_scores_say_nothing():
    places = random_places(30, [0, 0, 3])
    assert np.allclose(Surrogate([0, 0, 3])._weights(places, np.zeros(30)), 1)


@pytest.mark.parametrize("categories", [[0], [0, 0, 0], [5, 2], [3, 0, 0, 2]])
def test_guesses_are_those_of_kernel_ridge_regression(categories):
    places, unseen = random_places(40, categories), random_places(25, categories, 1)
    scores = np.random.default_rng(2).normal(size=40)
    surrogate = fitted(categories, places, scores)
    kernel = surrogate._kernel(surrogate._scaled(places))
    oracle = KernelRidge(alpha=NOISE, kernel="precomputed").fit(kernel, normal_scores(scores))
    expected = oracle.predict(surrogate._kernel(surrogate._scaled(unseen)))
    assert np.allclose(means(surrogate, unseen), expected, atol=1e-9)


def test_the_kernel_is_the_rational_quadratic_of_weighted_distances():
    categories = [3, 0, 0]
    places = random_places(30, categories)
    scores = np.random.default_rng(3).normal(size=30)
    surrogate = fitted(categories, places, scores)
    weights = surrogate._weights(places, normal_scores(scores))
    distances = (places[:, None] - places) ** 2
    distances[:, :, 0] = MISMATCH * (places[:, None, 0] != places[:, 0])
    expected = (1 + (distances * weights).sum(2) / REACH**2) ** -2.0
    assert np.allclose(surrogate._kernel(surrogate._scaled(places)), expected, rtol=1e-9)
    assert np.linalg.eigvalsh(expected).min() > -1e-9


def test_any_two_categories_are_equally_far_apart():
    places = random_places(40, [6])
    surrogate = fitted([6], places, np.random.default_rng(0).normal(size=40))
    each = (np.arange(6)[:, None] + 0.5) / 6
    features = surrogate._scaled(each)
    distances = ((features[:, None] - features) ** 2).sum(2)
    assert np.allclose(distances[~np.eye(6, dtype=bool)], distances[0, 1])
    assert distances[0, 1] > 0
    assert not np.diag(distances).any()


@pytest.mark.parametrize("bad", [10.0, 1e6, 1e308, np.inf])
def test_how_bad_a_failure_is_does_not_matter(bad):
    places, unseen = random_places(30, [0, 3]), random_places(20, [0, 3], 1)
    scores = np.random.default_rng(0).random(30)
    failed = np.arange(30) % 4 == 0
    expected = fitted([0, 3], places, np.where(failed, 5.0, scores)).guess(unseen)
    assert np.array_equal(fitted([0, 3], places, np.where(failed, bad, scores)).guess(unseen), expected)


@given(st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_guesses_depend_on_the_order_of_scores_alone(seed):
    places, unseen = random_places(20, [0, 0], seed), random_places(20, [0, 0], seed + 1)
    scores = np.random.default_rng(seed).random(20)
    expected = fitted([0, 0], places, scores).guess(unseen)
    assert np.array_equal(fitted([0, 0], places, np.exp(20 * scores) - 7).guess(unseen), expected)


def test_little_known_parts_are_guessed_better_where_nothing_else_is_known():
    random = np.random.default_rng(0)
    places = np.column_stack([0.3 * random.random(40), random.random(40)])
    surrogate = fitted([0, 0], places, np.full(40, 0.5))
    near, far = surrogate.guess(np.array([[0.15, 0.5], [0.95, 0.5]]))
    assert far < near
    assert np.allclose(means(surrogate, np.array([[0.15, 0.5], [0.95, 0.5]])), 0)


def test_worse_scores_are_guessed_worse():
    places = np.linspace(0, 1, 30)[:, None]
    surrogate = fitted([0], places, places[:, 0])
    assert (np.diff(means(surrogate, np.linspace(0.1, 0.9, 9)[:, None])) > 0).all()


def test_repeated_points_are_borne():
    surrogate = fitted([0, 2], np.tile([[0.5, 0.25]], (20, 1)), np.random.default_rng(0).random(20))
    assert np.isfinite(surrogate.guess(random_places(5, [0, 2]))).all()


@pytest.mark.parametrize("scores", [np.full(9, np.inf), np.full(9, 1e308), np.full(9, -1e308), np.arange(9) * 1e307])
def test_guesses_are_finite_whatever_the_scores(scores):
    surrogate = fitted([0, 2, 0], random_places(9, [0, 2, 0]), scores)
    assert np.isfinite(surrogate.guess(random_places(30, [0, 2, 0], 1))).all()


def test_the_ends_of_the_cube_are_places_too():
    corners = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]] * 3)
    surrogate = fitted([0, 0], corners, corners[:, 0])
    guesses = means(surrogate, corners)
    assert guesses[corners[:, 0] == 0].max() < guesses[corners[:, 0] == 1].min()
