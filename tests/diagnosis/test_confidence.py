"""The trust mark: by support where there is one, else by share."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from hpsearch.diagnosis.confidence import TRUST, calibration, trust_marks


def test_the_lectures_two_winners():
    """Both rows name class 1 (TECHNIQUES 8), or 1 and 3: the first has two classes with a high support."""
    supports = np.array([[0.06, 0.98, 0.04, 0.92], [0.14, 0.88, 0.12, 0.06]])
    shares = supports / supports.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, [[0.03, 0.49, 0.02, 0.46], [0.12, 0.73, 0.10, 0.05]], atol=5e-3)
    assert trust_marks(shares, supports).tolist() == ["ambiguous", "ok"]


@pytest.mark.parametrize(
    ("supports", "word"),
    [([0.1, 0.2], "low"), ([0.5, 0.2], "ok"), ([0.5, 0.5], "ambiguous"), ([1.0, 0.49], "ok"), ([0, 0], "low")],
)
def test_each_word(supports, word):
    marks = trust_marks(np.array([[0.5, 0.5]]), np.array([supports]))
    assert marks.tolist() == [word]
    assert word in TRUST


def test_without_supports_the_shares_speak():
    assert trust_marks(np.array([[0.6, 0.4], [0.4, 0.35]]), None).tolist() == ["ok", "low"]


def test_calibration_is_that_of_scikit_learn_and_of_a_count_by_hand():
    chance = np.random.default_rng(0)
    shares = chance.dirichlet([0.6, 0.6, 0.6], size=500).astype(np.float32)
    labels = chance.integers(3, size=500)
    found = calibration(shares, labels)
    sure, right = shares.max(1), shares.argmax(1) == labels
    wanted_right, wanted_sure = calibration_curve(right, sure, n_bins=10)
    np.testing.assert_allclose([bin_[0] for bin_ in found.bins], wanted_sure, rtol=1e-6)
    np.testing.assert_allclose([bin_[1] for bin_ in found.bins], wanted_right, rtol=1e-6)
    assert sum(rows for *_, rows in found.bins) == 500
    by_hand = sum(
        abs(sure[inside].mean() - right[inside].mean()) * inside.sum() / 500
        for k in range(10)
        if (inside := (sure >= k / 10) & (sure < (k + 1) / 10 + (k == 9))).any()
    )
    assert found.ece == pytest.approx(by_hand, rel=1e-5)


def test_who_is_always_sure_and_right_is_calibrated():
    found = calibration(np.eye(3, dtype=np.float32), np.arange(3))
    assert (found.bins, found.ece) == ([(1.0, 1.0, 3)], 0.0)
