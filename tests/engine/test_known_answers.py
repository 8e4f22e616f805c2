"""Answers that can be worked out by hand or with SciPy: softmax, losses, activations far out, NaN that must be seen."""

import math

import numpy as np
import pytest
import reference
from engine.cases import Part, make_network, make_part

from hpsearch.engine.layout import ACTIVATIONS, TASKS
from hpsearch.engine.network import Network


def outputs_as_given(task, z, y=None):
    """Evaluate a network without hidden layers that hands its inputs on: predictions and metrics of the z given."""
    z = np.array(z, np.float32)
    k = z.shape[1]
    network = make_network(task, features=k, classes=k, hidden=[])
    weights = np.concatenate([np.eye(k, dtype=np.float32).ravel(), np.zeros(k, np.float32)])
    part = Part(z)
    if y is not None and task == "classification":
        part.labels = np.array(y, np.int32)
    elif y is not None:
        part.targets = np.array(y, np.float32).reshape(-1, 1)
    return network.evaluate(weights, part)


def test_softmax_of_the_lecture():
    scores, metrics = outputs_as_given("classification", [[2, 5, -1, 3]])
    np.testing.assert_allclose(scores[0], [0.042, 0.842, 0.002, 0.114], atol=5e-4)
    assert metrics == {}


def test_softmax_does_not_overflow():
    scores, metrics = outputs_as_given("classification", [[1e30, -1e30], [3e4, 3e4], [-3e38, -3e38]], [0, 0, 1])
    np.testing.assert_allclose(scores, [[1, 0], [0.5, 0.5], [0.5, 0.5]], atol=1e-37)  # the exponential ends at e^-87
    assert metrics["log_loss"] == pytest.approx(2 / 3 * math.log(2))


def test_loss_of_a_sure_mistake():
    """-log softmax = the distance of the two z, where a softmax in float32 would be 0 and its log infinite."""
    _, metrics = outputs_as_given("classification", [[500, 0]], [1])
    assert metrics["log_loss"] == pytest.approx(500)
    assert metrics["error"] == 1


def test_the_first_of_equal_classes_wins():
    _, metrics = outputs_as_given("classification", [[1, 1, 0], [0, 2, 2]], [0, 1])
    assert metrics["accuracy"] == 1


def test_regression_by_hand():
    """Misses 1, -1 and 2 of the targets 1, 2, 3."""
    scores, metrics = outputs_as_given("regression", [[2], [1], [5]], [1, 2, 3])
    assert scores[:, 0].tolist() == [2, 1, 5]
    assert metrics == pytest.approx({"rmse": math.sqrt(2), "mae": 4 / 3, "r2": 1 - 6 / 2})


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_values(activation):
    """A hidden layer of one unit with weights 1 shows g itself, from far left to far right.

    float32: 1e-6 relative, and 3e-7 where e^z - 1 is taken near 0.
    """
    far = [50, 100, 200, 1e4]
    z = np.concatenate([np.negative(far), np.linspace(-20, 20, 401), far]).astype(np.float32)
    network = make_network("regression", features=1, hidden=[1], activation=activation)
    scores, _ = network.evaluate(np.array([1, 0, 1, 0], np.float32), Part(z[:, None]))
    g, _ = reference.ACTIVATIONS[activation]
    np.testing.assert_allclose(scores[:, 0], g(z.astype(np.float64)), rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_broken_weight_is_seen(activation, bad):
    """One NaN weight of one hidden unit spoils every prediction; none of the shortcuts for speed may swallow it.

    An infinite one need not (tanh takes it to 1), but where it makes a NaN, the loss tells.
    """
    network = make_network("classification", hidden=[5], activation=activation)
    rows = make_part("classification", 20)
    weights = np.random.default_rng(0).normal(size=network.parameters).astype(np.float32)
    weights[3] = bad
    scores, metrics = network.evaluate(weights, rows)
    if math.isnan(bad):
        assert np.isnan(scores).all()
    assert ("log_loss" in metrics) == bool(np.isfinite(scores).all())


@pytest.mark.parametrize("task", TASKS)
def test_predictions_without_answers(task):
    network = make_network(task)
    rows = make_part(task, 300)
    weights = np.random.default_rng(0).normal(size=network.parameters).astype(np.float32)
    scores, metrics = network.evaluate(weights, rows)
    alone, none = network.evaluate(weights, Part(rows.inputs))
    assert np.array_equal(scores, alone)
    assert metrics
    assert none == {}
    assert all(type(value) is float for value in metrics.values())


def test_sizes_by_hand():
    """5 inputs, 6 and 4 hidden units, 3 classes: 30 + 24 + 12 weights, 13 biases.

    A row costs 2 operations per weight in each of three products, but for the error signal of the input.
    """
    network = make_network("classification", batch_size=8)
    assert network.sizes.tolist() == [5, 6, 4, 3]
    assert network.parameters == 66 + 13
    assert network.epoch_flops(10) == 10 * (6 * 66 - 2 * 30)
    assert (network.batch_rows(100), network.batch_rows(5)) == (8, 5)
    assert make_network("classification", batch_size="full").batch_rows(100) == 100
    for layers, sizes in ((2, [5, 7, 7, 1]), (0, [5, 1])):
        network = Network({"layers": layers, "units": 7}, n_inputs=5, n_outputs=1, task="regression", metric="rmse")
        assert network.sizes.tolist() == sizes
