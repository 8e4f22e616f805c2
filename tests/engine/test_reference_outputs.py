"""Outputs of the logistic kind: the lecture's numbers, and where sigmoids run out of float32."""

import numpy as np
import pytest
import reference
from engine.cases import Part, make_network


def outputs_as_given(z, labels=None, **hyperparameters):
    """Shares, supports and metrics of a network that hands its inputs on to the output."""
    z = np.array(z, np.float32)
    k = z.shape[1]
    network = make_network("classification", features=k, classes=k, hidden=[], output="logistic", **hyperparameters)
    weights = np.concatenate([np.eye(k, dtype=np.float32).ravel(), np.zeros(k, np.float32)])
    shares, supports = network.predict(weights, Part(z))
    part = Part(z) if labels is None else Part(z, labels=np.array(labels, np.int32))
    return shares, supports, network.evaluate(weights, part)[1]


@pytest.mark.parametrize(
    ("support", "shares"),
    [([0.06, 0.98, 0.04, 0.92], [0.03, 0.49, 0.02, 0.46]), ([0.14, 0.88, 0.12, 0.06], [0.12, 0.73, 0.10, 0.05])],
)
def test_logistic_output_of_the_lecture(support, shares):
    s = np.array(support)
    found_shares, found_supports, _ = outputs_as_given([np.log(s / (1 - s))])
    np.testing.assert_allclose(found_supports[0], s, rtol=1e-6)
    np.testing.assert_allclose(found_shares[0], shares, atol=5.1e-3)  # two digits, of which .48 came out as .49
    np.testing.assert_allclose(found_shares[0], s / s.sum(), rtol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize(
    ("z", "label"),
    [([-200, -300], 0), ([-200, -200], 1), ([-90, -95], 1), ([200, 100], 1), ([200, -300], 1), ([-3e4, 3e4], 0)],
    ids=str,
)
def test_saturated_outputs(z, label, loss):
    """Where every s is 0 in float32 the shares are still those of their ratios, and the log loss is finite."""
    shares, supports, metrics = outputs_as_given([z], [label], loss=loss)
    z = np.array([z], np.float64)
    np.testing.assert_allclose(shares, reference.logistic_shares(z), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(supports, reference.support(z), rtol=1e-5, atol=1e-30)
    expected = reference.METRICS["log_loss"](reference.log_support(z), np.array([label]))
    assert metrics["log_loss"] == pytest.approx(expected, rel=1e-6)


def test_softmax_has_no_supports():
    network = make_network("classification", features=2, classes=2, hidden=[])
    shares, supports = network.predict(np.array([1, 0, 0, 1, 0, 0], np.float32), Part(np.array([[1, 2]], np.float32)))
    assert supports is None
    assert shares.sum() == pytest.approx(1)
