"""The exponentially weighted average, with the lecture's numbers (TECHNIQUES 15) and beside the reference's."""

import numpy as np
import pytest

from hpsearch.diagnosis.averaging import smoothed


def test_the_worked_numbers():
    first, second = smoothed([7.0, 3.0], 0.98)
    assert first == pytest.approx(7.0)
    assert second == pytest.approx((0.0196 * 7.0 + 0.02 * 3.0) / 0.0396)


def test_a_constant_stays_what_it_is():
    assert smoothed([4.0] * 10, 0.9) == pytest.approx([4.0] * 10)


def test_it_is_the_weighted_mean_of_all_before():
    values = np.random.default_rng(0).random(30)
    weights = 0.8 ** np.arange(30)[::-1]
    assert smoothed(values.tolist(), 0.8)[-1] == pytest.approx(float(weights @ values / weights.sum()))


def test_holes_are_passed_over():
    assert smoothed([2.0, None, float("nan"), 2.0], 0.5) == [2.0, None, None, 2.0]
    assert smoothed([], 0.5) == []
