"""What is looked at in each layer now and then, against the reference."""

import numpy as np
import pytest
import reference
from engine.cases import make_network, make_part, reference_of, rules_of, tensors

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES
from hpsearch.engine.layout import HEALTH
from hpsearch.engine.network import Training


def looked_at(epochs, *, rows=24, task="classification", **hyperparameters):
    """A training that is over, and what the reference says of every epoch: lines of layers x HEALTH."""
    train, dev = make_part(task, rows), make_part(task, 300, seed=1)
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "activation": "tanh", "batch_size": "full", "epochs": epochs}
    training = Training(make_network(task, **settings | hyperparameters), train, dev)
    net, optimiser = reference_of(training)
    rules, lines = rules_of(training), []
    for _ in range(epochs):
        before = [W.copy() for W in net.W]
        groups = net.gradients(
            train.inputs, train.y, rules.l2, rules.l1,
            label_smoothing=rules.label_smoothing, class_weight=rules.class_weight,
        )  # fmt: skip
        reference.update(net, optimiser, train.inputs, train.y, rules=rules)
        lines.append(
            np.transpose(
                [
                    reference.layer_norms(groups),
                    reference.update_ratios(before, net.W),
                    reference.stuck_shares(net.judged(), dev.inputs[:256]),
                ]
            )
        )
    training.advance_by(10**9)
    assert training.status == "finished"
    assert HEALTH == ("grad_norm", "update_ratio", "stuck")
    return training, np.array(lines)


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"l2": 1.0, "l1": 0.2}, {"clip_norm": 0.05}, {"weight_decay": 0.5}, {"optimizer": "adam", "epsilon": 1e-3}],
    ids=str,
)
def test_gradients_and_updates_of_each_layer(settings, batch_norm):
    """The gradient as it is before it is clipped; the update with the decay."""
    training, expected = looked_at(3, batch_norm=batch_norm, **settings)
    np.testing.assert_allclose(training.health[:, :, :2], expected[:, :, :2], rtol=2e-5)


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_stuck_units(activation):
    """First weights that are ten times too large: units of the saturating ones hardly leave their flat sides."""
    train, dev = make_part("classification", 24), make_part("classification", 300, seed=1)
    network = make_network(
        "classification", hidden=[40, 30], activation=activation, optimizer="sgd", learning_rate=1e-6, epochs=1
    )
    training = Training(network, train, dev)
    for layer in network.layers[:-1]:
        training.weights[layer["bias"] : layer["bias"] + layer["n_out"]] = np.linspace(-40, 40, layer["n_out"])
    net, _ = reference_of(training)
    training.advance_by(10**9)
    expected = reference.stuck_shares(net, dev.inputs[:256])
    np.testing.assert_allclose(training.health[0, :, 2], expected, rtol=1e-6)
    if activation in {"sigmoid", "tanh", "relu"}:
        assert 0.2 < expected[0] < 1


@pytest.mark.parametrize("epochs", [1, 31, 32, 33, 100])
def test_at_most_32_epochs_are_looked_at(epochs):
    training, expected = looked_at(epochs, learning_rate=0.02)
    looks = training.health_epochs()
    assert looks[0] == 1
    assert len(looks) <= 32
    assert len(set(np.diff(looks))) <= 1
    assert len(looks) >= min(epochs, 16)
    # up to 100 updates: errors have time to grow
    found = training.health[: len(looks), :, :2]
    np.testing.assert_allclose(found, expected[np.array(looks) - 1, :, :2], rtol=1e-3)
    *_, means, _ = tensors(training.weights, training.network)
    assert not means
