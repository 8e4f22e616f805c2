"""The trust mark: by support where there is one, else by share."""

import numpy as np
import pytest

from hpsearch.diagnosis.confidence import TRUST, trust_marks


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
