"""The guess at costs, beside scikit-learn's ridge regression."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hpsearch.strategies.cost_guess import FEWEST, RIDGE, CostGuess

CATEGORIES = [0, 3, 0, 2]


def random_places(n, seed=0):
    """Points as spaces encode them: categories in the middle of their cells."""
    places = np.random.default_rng(seed).random((n, 4))
    for side, count in ((1, 3), (3, 2)):
        places[:, side] = ((places[:, side] * count).astype(int) + 0.5) / count
    return places


def one_hot(places):
    first, second = (places[:, 1] * 3).astype(int), (places[:, 3] * 2).astype(int)
    return np.column_stack([places[:, [0, 2]], np.eye(3)[first], np.eye(2)[second]])


@pytest.mark.parametrize("n", [FEWEST, 10, 200])
def test_it_is_ridge_regression_of_the_logarithms(n):
    places, unseen = random_places(n), random_places(30, 1)
    costs = np.exp(np.random.default_rng(2).normal(size=n))
    guess = CostGuess(CATEGORIES)
    guess.fit(places, costs)
    oracle = Ridge(alpha=RIDGE).fit(one_hot(places), np.log(costs))
    expected = oracle.predict(one_hot(unseen))
    found = guess.guess(unseen)
    assert np.allclose(found - found[0], expected - expected[0], rtol=1e-9, atol=1e-9)


def test_the_powers_of_a_cost_are_found():
    """Width by width, by epochs that a category decides; the ridge takes a little of that."""
    places, unseen = random_places(80), random_places(30, 1)
    cost = lambda p: 64 ** (2 * p[:, 0]) * np.array([1.0, 4.0, 2.0])[(p[:, 1] * 3).astype(int)]  # noqa: E731
    guess = CostGuess(CATEGORIES)
    guess.fit(places, 1e-6 * cost(places))
    found, expected = guess.guess(unseen), np.log(cost(unseen))
    assert np.abs((found - found.mean()) - (expected - expected.mean())).max() < 0.2


def test_few_results_say_nothing():
    guess = CostGuess(CATEGORIES)
    for n in range(FEWEST):
        guess.fit(random_places(n), np.arange(1.0, n + 1))
        assert (guess.guess(random_places(5)) == 0).all()
