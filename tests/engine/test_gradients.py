"""Gradients against central differences: of the kernels, run uncompiled in float64, and of the reference itself.

With a step of 1e-5 the differences are off by about 1e-10 (h^2) and 1e-11 (rounding, 1e-16 / h), more behind a batch
norm of small spread; constants of float32, such as gelu's, by 1e-8. 2e-8 of the largest gradient is above all and far
below what a wrong term would do. No preactivation is within a step of relu's kink, no error of huber's corner.
"""

import itertools

import numpy as np
import pytest
import reference
from engine.gradients_uncompiled import all_cases

from hpsearch.engine.layout import ACTIVATIONS, TASKS

CASES = [name for name, *_ in all_cases()]


@pytest.fixture(scope="module")
def errors(long_run):
    return long_run("gradients")


@pytest.mark.parametrize("case", CASES)
def test_kernels(errors, case):
    assert errors[case] < 2e-8


def test_no_case_is_missed(errors):
    assert set(errors) == set(CASES)
    assert len(CASES) == 278


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", TASKS)
def test_reference(task, activation):
    random = np.random.default_rng(6)
    sizes = [4, 3, 5, 3 if task == "classification" else 1]
    W = [random.normal(0, 0.8, shape) for shape in itertools.pairwise(sizes)]
    b = [random.normal(0, 0.3, n) for n in sizes[1:]]
    net = reference.Net(W, b, activation, task)
    X = random.normal(size=(6, 4))
    y = random.integers(0, 3, 6) if task == "classification" else random.normal(size=(6, 1))
    dW, db = net.gradients(X, y, l2=0.4)
    for values, gradient in zip([*W, *b], [*dW, *db], strict=True):
        for place in np.ndindex(values.shape):
            middle = values[place]
            values[place] = middle + 1e-5
            above = net.objective(X, y, l2=0.4)
            values[place] = middle - 1e-5
            below = net.objective(X, y, l2=0.4)
            values[place] = middle
            assert gradient[place] == pytest.approx((above - below) / 2e-5, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_of_the_reference(activation):
    """Far from 0 too, where a carelessly written formula overflows or loses its digits."""
    g, slope = reference.ACTIVATIONS[activation]
    z = np.array([-30.0, -8.0, -2.5, -0.3, 0.2, 1.7, 9.0, 30.0])
    np.testing.assert_allclose(slope(z), (g(z + 1e-5) - g(z - 1e-5)) / 2e-5, rtol=1e-6, atol=1e-9)
