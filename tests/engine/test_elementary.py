"""Exponential and its kin through the activations, against SciPy in float64, over dense grids of float32.

float32 rounds by 6e-8 of a value. Each value is promised to within 5e-7 of itself; where a formula takes the difference
of two numbers near 1, the promise is of 1.
"""

import numpy as np
import pytest
import reference
from engine.stages import FLOAT, stage
from scipy import special

from hpsearch.engine.layout import ACTIVATIONS

PROMISE = 5e-7


def activate(activation, z):
    """Values and slopes at z, which float32 holds exactly."""
    values = np.array(z, FLOAT)
    slopes = np.full_like(values, np.nan)
    stage("activate")(ACTIVATIONS.index(activation), values, slopes, values.size)
    return values.astype(np.float64), slopes.astype(np.float64)


def grid(low, high, count=300_001):
    """Numbers of float32, dense everywhere: evenly spread, and down to 1e-30 on both sides of 0."""
    near = np.geomspace(1e-30, max(-low, high), count // 10)
    points = np.concatenate([np.linspace(low, high, count), near, -near]).astype(np.float32)
    return np.unique(points[(points >= low) & (points <= high)]).astype(np.float64)


def assert_within(found, expected, allowed):
    """The worst place is named; NaN counts as far away."""
    worst = np.argmax(np.where(np.isnan(found), np.inf, np.abs(found - expected) / allowed))
    assert np.abs(found - expected)[worst] <= np.broadcast_to(allowed, found.shape)[worst], (worst, found[worst])


def test_exponential():
    """The slope of elu left of 0 is e^z, down to e^-87."""
    z = grid(-87, 0)
    assert_within(activate("elu", z)[1], np.exp(z), PROMISE * np.exp(z))


def test_exponential_of_positive_numbers():
    """Of sigmoid's e^-z, up to e^87, where the sigmoid is all but its inverse."""
    z = grid(-87, 80)
    expected = special.expit(z)
    assert_within(activate("sigmoid", z)[0], expected, PROMISE * expected)


def test_hyperbolic_tangent():
    """At the seam of its two formulas, near 0 and far out."""
    for z in (grid(-10, 10), grid(-1e5, 1e5), grid(0.62, 0.63)):
        assert_within(activate("tanh", z)[0], np.tanh(z), PROMISE * np.abs(np.tanh(z)) + 1e-300)


def test_logarithm_of_one_and_more():
    """Softplus is max(z, 0) + log(1 + e^-|z|), of itself on both sides."""
    for z in (grid(-87, 87), grid(0, 1e5)):
        expected = np.logaddexp(0, z)
        assert_within(activate("softplus", z)[0], expected, PROMISE * expected)


def test_tail_of_the_normal_distribution():
    """In e^(-z^2 / 2) the rounding of the exponent counts: 6e-8 of z^2 / 2 on top of the promise, to 13 deviations."""
    z = grid(-13, 13)
    expected = z * special.ndtr(z)
    assert_within(activate("gelu", z)[0], expected, (PROMISE + z**2 / 2 * 6e-8) * np.abs(expected) + 1e-300)


# Slopes in parts of 1: 1 - a^2 and share + a (1 - share) cancel, and z multiplies what is left.
SLOPES = dict.fromkeys(ACTIVATIONS, 5e-7) | {"silu": 2e-6, "mish": 2e-6}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation):
    """Values to the promise, where e^z - 1 is taken of 1; slopes of 1. What is below 1e-4 or so may be off by 1e-10."""
    g, slope = reference.ACTIVATIONS[activation]
    for z in (grid(-30, 30), grid(-1e5, 1e5)):
        values, slopes = activate(activation, z)
        allowed = PROMISE * np.abs(g(z)) + (PROMISE if activation in {"elu", "selu"} else 1e-10)
        assert_within(values, g(z), allowed)
        with np.errstate(over="ignore"):  # 1 / cosh
            assert_within(slopes, slope(z), SLOPES[activation])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_nan_stays_where_it_is(activation):
    """At every place of a vector, a tile of vectors and what is left over; and it spoils no neighbour."""
    z = np.linspace(-3, 3, 71)
    values, slopes = activate(activation, z)
    for place in range(z.size):
        broken = z.copy()
        broken[place] = np.nan
        found, found_slopes = activate(activation, broken)
        assert np.isnan(found[place])
        others = np.arange(z.size) != place
        assert np.array_equal(found[others], values[others])
        assert np.array_equal(found_slopes[others], slopes[others])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_infinity_becomes_the_limit_or_is_seen(activation):
    """A saturated unit may hide it, as it should: its value is the limit. Else it stays infinite, or NaN tells."""
    g, _ = reference.ACTIVATIONS[activation]
    found, _ = activate(activation, [np.inf, -np.inf])
    with np.errstate(invalid="ignore"):
        limits = g(np.array([1e30, -1e30]))
    for value, limit in zip(found, limits, strict=True):
        assert not np.isfinite(value) or value == pytest.approx(limit, abs=PROMISE * 2)
    if activation not in {"sigmoid", "tanh"}:
        assert not np.isfinite(found[0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_place_matters_at_most_to_the_last_digit(activation):
    """Alone or among others: the compiler may order what it does for eight at a time in another way."""
    z = np.random.default_rng(0).normal(0, 4, 100).astype(np.float32)
    values, slopes = activate(activation, z)
    alone = [activate(activation, [one]) for one in z]
    np.testing.assert_allclose(values, [value[0] for value, _ in alone], rtol=2.5e-7)
    np.testing.assert_allclose(slopes, [slope[0] for _, slope in alone], rtol=2.5e-7, atol=2.5e-7)
