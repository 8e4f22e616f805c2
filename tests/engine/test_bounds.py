"""No stage reads or writes beside its arrays.

Compiled stages take pointers, so nothing checks their indices. Here products lie in cages, between margins of NaN that
must stay and must not be felt; test_fresh_processes.py runs whole trainings with every array at the edge of its page,
beyond which the processor itself stops the process.
"""

import itertools

import numpy as np
import pytest
from engine.stages import Cage, stage

SIDES = range(1, 41)  # every remainder of the vectors and tiles there are
DEPTHS = (1, 17)
STARTED = True


@pytest.fixture(scope="module")
def cage():
    return Cage(2**14)


@pytest.fixture(scope="module")
def numbers():
    return np.random.default_rng(0).normal(size=2**12).astype(np.float32)


def assert_kept_to_itself(cage, found, expected):
    """The margins are whole, and nothing of them, which are NaN, has come into the result."""
    assert cage.is_intact()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", SIDES)
def test_products_stay_in_their_arrays(cage, numbers, n):
    for m, k, started in itertools.product(SIDES, DEPTHS, (False, True)):
        a, b, d = numbers[: m * k].reshape(m, k), numbers[-k * n :].reshape(k, n), numbers[:n]
        cage.clear()
        room = [cage.put(values) for values in (a, b, np.zeros(m * n), d)]
        stage("product")(m, n, k, room[0], k, 1, room[1], room[2], n, room[3], 0, started)
        assert_kept_to_itself(cage, room[2], a @ b + d * started)


@pytest.mark.parametrize("n", SIDES)
def test_products_of_turned_matrices_stay_in_their_arrays(cage, numbers, n):
    for m, k in itertools.product(SIDES, DEPTHS):
        a, b, start = numbers[: m * k].reshape(k, m), numbers[-k * n :].reshape(k, n), numbers[: m * n].reshape(m, n)
        cage.clear()
        left, right, out = (cage.put(values) for values in (a, b, start))
        stage("product")(m, n, k, left, 1, m, right, out, n, out, n, STARTED)
        assert_kept_to_itself(cage, out, start + a.T @ b)


@pytest.mark.parametrize("n", SIDES)
def test_turned_right_matrices_stay_in_their_arrays(cage, numbers, n):
    for m, k in itertools.product((1, 2, 3, 4, 5, 9), SIDES):
        a, b = numbers[: m * k].reshape(m, k), numbers[-k * n :].reshape(n, k)
        cage.clear()
        room = [cage.put(values) for values in (a, b, np.zeros(m * n), np.zeros(n * k))]
        stage("multiply_turned_right")(m, n, k, *room)
        assert_kept_to_itself(cage, room[2], a @ b.T)


@pytest.mark.parametrize("n", SIDES)
def test_turning_over_stays_in_its_arrays(cage, numbers, n):
    for m in SIDES:
        source = numbers[: m * n].reshape(m, n)
        cage.clear()
        before, after = cage.put(source), cage.put(np.zeros(m * n))
        stage("turn_over")(before, m, n, after)
        assert_kept_to_itself(cage, after, source.T)
