"""When a training diverges and which layer is named, against the reference's rule."""

import itertools

import numpy as np
import pytest
import reference
from engine.cases import KEYS, make_network, make_part, reference_of, rules_of, tensors

from hpsearch.engine.network import Training

NORMS = pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])


def start(task="regression", rows=20, *, target=0.0, **hyperparameters):
    train = make_part(task, rows)
    train.targets[:] += np.float32(target)
    settings = {"hidden": [6, 4, 5], "batch_size": "full", "optimizer": "sgd", "learning_rate": 0.01}
    return Training(make_network(task, **settings | {"activation": "tanh"} | hyperparameters), train, train)


def expected_layer(training):
    """That of the reference in its first update; None where it does not diverge."""
    net, optimiser = reference_of(training)
    try:
        reference.update(net, optimiser, training.train.inputs, training.train.y, rules=rules_of(training))
    except reference.DivergedError as error:
        return error.args[0]
    return None


@NORMS
@pytest.mark.parametrize("rows", [20, 2500])
@pytest.mark.parametrize("scale", [0.01, 1, 100])
def test_the_layer_with_the_largest_gradient_is_named(scale, rows, batch_norm):
    """A mean loss of 5e7; a narrow or wide output layer moves the largest gradient elsewhere. No weight is changed."""
    training = start(rows=rows, target=1e4, batch_norm=batch_norm)
    output = training.network.layers[-1]
    training.weights[output["weight"] : output["bias"]] *= np.float32(scale)
    before = training.weights.copy()
    expected = expected_layer(training)
    training.advance_by(10)
    assert training.status == "diverged"
    assert training.state["layer"][0] == expected
    trained = training.network.trained  # the running statistics behind it may have moved
    assert np.array_equal(training.weights[:trained], before[:trained])


def test_the_scales_lead_to_different_layers():
    """Else the test before would say little."""
    layers = set()
    for scale in (0.01, 100):
        training = start(target=1e4)
        output = training.network.layers[-1]
        training.weights[output["weight"] : output["bias"]] *= np.float32(scale)
        layers.add(expected_layer(training))
    assert len(layers) == 2


@pytest.mark.parametrize(("target", "status"), [(1.40e3, "running"), (1.43e3, "diverged")])
def test_a_mean_loss_of_a_million_is_the_bound(target, status):
    """1.4142e3^2 / 2 = 1e6, where targets and outputs of about 1 are little."""
    training = start(target=target)
    assert (expected_layer(training) is None) == (status == "running")
    training.advance_by(1)
    assert training.status == status


@NORMS
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_the_first_layer_with_a_broken_preactivation_is_named(layer, batch_norm):
    """By a weight, so that the preactivation is broken before batch norm and behind it."""
    training = start("classification", batch_norm=batch_norm)
    training.weights[training.network.layers[layer]["weight"]] = np.nan
    before = training.weights.copy()
    assert expected_layer(training) == layer
    training.advance_by(10)
    assert training.status == "diverged"
    assert training.state["layer"][0] == layer
    trained = training.network.trained
    assert np.array_equal(training.weights[:trained], before[:trained], equal_nan=True)


@pytest.mark.parametrize("layer", [1, 2])
def test_a_gradient_that_is_none_ends_it_too(layer):
    """Tanh takes an infinite preactivation to 1, so the loss is finite; on the way back 0 times infinity is met.

    Every layer below then has no gradient; the first of them is named.
    """
    training = start("classification")
    training.weights[training.network.layers[layer]["weight"]] = np.inf
    training.advance_by(10)
    assert training.status == "diverged"
    assert training.updates == 0
    assert training.state["layer"][0] == 0
    assert not training.best.any()


def test_it_ends_at_the_update_where_the_reference_does():
    """A rate that is too large: misses grow from batch to batch, and pass the bound by far."""
    train = make_part("regression", 41)
    network = make_network(
        "regression", hidden=[4], activation="identity", optimizer="sgd", learning_rate=0.9, batch_size=8, epochs=200
    )
    training = Training(network, train, train)
    net, optimiser = reference_of(training)
    for t in itertools.count():
        order = reference.epoch_order(41, KEYS[1], t // 6)
        rows = order[t % 6 * 8 :][:8]
        try:
            reference.update(net, optimiser, train.inputs[rows], train.y[rows])
        except reference.DivergedError as error:
            layer = error.args[0]
            break
    training.advance_by(10**9)
    assert training.status == "diverged"
    assert t > 3
    assert training.updates == t  # made before it
    assert training.state["layer"][0] == layer
    W, *_ = tensors(training.weights, network)
    # Every update blows up what the one before was rounded off.
    assert np.linalg.norm(W[0] - net.W[0]) < 1e-2 * np.linalg.norm(net.W[0])
