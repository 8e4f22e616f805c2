"""What is looked at in the layers, against what the weights say before and after the update that is watched.

test_reference_health.py has a second derivation of the same numbers; here they come from the engine's own weights.
"""

import numpy as np
import pytest
from engine.cases import make_network, make_part
from engine.stages import parts_of, settings_of, stage

from hpsearch.engine.layout import ACTIVATIONS, CURVES, HEALTH, HEALTH_POINTS, layer_table
from hpsearch.engine.network import Training

GRAD_NORM, UPDATE_RATIO, STUCK = range(len(HEALTH))


def start(task="classification", train_rows=24, dev_rows=9, **hyperparameters):
    network = make_network(task, **{"epochs": 3, "batch_size": 8} | hyperparameters)
    return Training(network, *parts_of(network, train_rows, dev_rows))


def blocks(training):
    """Of each layer its place in the flat vector: (W, everything that is trained)."""
    return [(slice(l["weight"], l["bias"]), slice(l["weight"], l["end"])) for l in training.network.layers]


def watch_update(training):
    """The weights before and after the next update, float64."""
    before = training.weights.astype(np.float64)
    training.advance_by(1)
    return before, training.weights.astype(np.float64)


NORMS = pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])


@NORMS
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "nesterov"},
        {"optimizer": "adagrad"},
        {"optimizer": "rmsprop"},
        {"optimizer": "adam", "l2": 0.3, "l1": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.4},
        {"optimizer": "adam", "clip_norm": 0.01},
        {"optimizer": "adam", "hidden": []},
        {"optimizer": "adam", "hidden": [150, 130]},  # whose W is stepped in two pieces of several blocks
    ],
    ids=str,
)
def test_the_ratio_is_how_far_the_weights_went(settings, batch_norm):
    """Of the first update of every epoch. float32 knows a change of 1 % of the weights to 1e-5."""
    training = start(batch_norm=batch_norm, learning_rate=0.02, **settings)
    ratios = []
    for _ in range(3):
        before, after = watch_update(training)
        ratios.append([np.linalg.norm(after[W] - before[W]) / np.linalg.norm(before[W]) for W, _ in blocks(training)])
        training.advance_by(2)
    assert training.status == "finished"
    np.testing.assert_allclose(training.health[:, :, UPDATE_RATIO], ratios, rtol=1e-4)


@NORMS
@pytest.mark.parametrize("rows", [24, 1500])
def test_the_gradient_s_norm_of_each_layer(batch_norm, rows):
    """Plain descent goes along the gradient: W, b and gamma together; all layers make up the curve's norm."""
    rate = 0.5
    training = start(
        batch_norm=batch_norm, optimizer="sgd", learning_rate=rate, batch_size="full", train_rows=rows, l2=0.5, l1=0.2
    )
    for epoch in range(3):
        before, after = watch_update(training)
        for l, (_, everything) in enumerate(blocks(training)):
            norm = np.linalg.norm((before[everything] - after[everything]) / rate)
            assert training.health[epoch, l, GRAD_NORM] == pytest.approx(norm, rel=1e-4)
        whole = np.sqrt(np.sum(training.health[epoch, :, GRAD_NORM].astype(np.float64) ** 2))
        assert training.curves[epoch, CURVES.index("grad_norm")] == pytest.approx(whole, rel=1e-6)


def test_a_norm_that_float32_cannot_square_is_seen():
    """Squares of 1e25 overflow in float32, where the sum is made in blocks."""
    count = 10_000
    gradient, weights = np.full(count, 1e25, np.float32), np.zeros(count, np.float32)
    found = stage("penalise")(weights, gradient, count, 0.0, 0.0)
    assert found == pytest.approx(count * 1e50, rel=1e-6)
    gradient[1234] = np.inf
    assert np.isinf(stage("penalise")(weights, gradient, count, 0.0, 0.0))
    gradient[1234] = np.nan
    assert np.isnan(stage("penalise")(weights, gradient, count, 0.0, 0.0))


def with_biases(training, values):
    """Biases of the first hidden layer, so strong that the inputs hardly count; the rate is next to nothing."""
    layer = training.network.layers[0]
    training.weights[layer["bias"] : layer["bias"] + layer["n_out"]] = values
    training.advance_by(10**9)
    return training.health[:, :, STUCK]


STILL = {"optimizer": "sgd", "learning_rate": 1e-12, "epochs": 1}


@pytest.mark.parametrize(
    ("activation", "values", "stuck"),
    [
        ("relu", [-1e3] * 7 + [0, 1e3, 1e3], 0.7),  # dead: never above 0
        ("leaky_relu", [-1e3] * 7 + [0, 1e3, 1e3], 0.7),  # a hundredth of the signal counts as none
        ("sigmoid", [-1e3, 1e3, 1e3, 0, 0, 0, 0, 0, 0, 0], 0.3),  # saturated on either side
        ("tanh", [-1e3, 1e3, 1e3, 1e3, 0, 0, 0, 0, 0, 0], 0.4),
        ("elu", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("selu", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("softplus", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("gelu", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("silu", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("mish", [-1e3] * 2 + [1e3] * 8, 0.2),
        ("identity", [-1e3, 1e3] * 5, 0.0),
    ],
)
def test_units_that_are_dead_or_saturated(activation, values, stuck):
    training = start(hidden=[10, 5], activation=activation, **STILL)
    found = with_biases(training, values)
    assert found[0, 0] == pytest.approx(stuck)
    assert found[0, -1] == 0  # the output has no slope


@pytest.mark.parametrize("dev_rows", [1, 5, 255, 256, 257, 600])
def test_one_living_row_among_the_first_256_is_enough(dev_rows):
    """A unit that only the last row wakes is stuck, unless that row is among those that are looked at."""
    network = make_network("classification", features=1, hidden=[4], activation="relu", **STILL)
    train = make_part("classification", 8, features=1)
    dev = make_part("classification", dev_rows, features=1)
    dev.inputs[:] = -1
    dev.inputs[-1] = 1
    training = Training(network, train, dev)
    training.weights[:8] = [1, 1, 1, 1, 0, 0, 0, 0]
    training.advance_by(10**9)
    assert training.health[0, 0, STUCK] == (0 if dev_rows <= 256 else 1)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "elu", "softplus"])
def test_the_bound_is_a_twentieth_of_the_steepest_slope(name):
    """Of the stage itself: units whose slope is a little above and below it, whatever their sign."""
    steepest = 0.25 if name == "sigmoid" else 1.0
    layers = layer_table(np.array([1, 6, 2]))
    slopes = np.zeros(2 * 9, np.float32)  # room for two rows of 1 + 6 + 2 units
    here = slopes[2 * 1 : 2 * 7].reshape(2, 6)
    bound = 0.05 * steepest
    here[0] = [0, bound * 0.99, bound * 1.01, 0, -bound * 1.01, steepest]
    here[1] = [0, 0, 0, bound * 1.01, 0, 0]
    health, scratch = np.zeros(6, np.float32), np.zeros(6, np.float32)
    s = settings_of(layers=2, activation=ACTIVATIONS.index(name))
    stage("note_stuck")(s, layers.view(np.int64), slopes, 2, 2, scratch, health)
    assert health.tolist() == [0, 0, np.float32(2 / 6), 0, 0, 0]


@pytest.mark.parametrize("epochs", [1, 2, 31, 32, 33, 63, 64, 65, 100, 1000])
def test_the_epochs_that_are_looked_at(epochs):
    """At most 32, evenly spread, the first among them; the lines of all of them are filled, and no other."""
    training = start(
        hidden=[2], epochs=epochs, batch_size="full", train_rows=4, dev_rows=3, optimizer="sgd", learning_rate=1e-3
    )
    assert training.health_epochs() == []
    training.advance_by(10**9)
    looks = training.health_epochs()
    assert looks[0] == 1
    assert len(looks) <= HEALTH_POINTS
    assert len(looks) == len(training.health)
    assert len(set(np.diff(looks))) <= 1
    assert looks[-1] + training.health_stride > epochs
    assert np.all(training.health[:, :, :2] > 0)


def test_epochs_of_a_training_that_ends_early():
    """Lines of epochs that never came are not counted."""
    training = start("regression", epochs=100, patience=5, min_delta=1e9, hidden=[2])
    training.advance_by(10**9)
    assert training.status == "stopped early"
    assert training.epochs == 6
    assert training.health_epochs() == [1, 5]
    assert np.all(training.health[:2, :, :2] > 0)
    assert not training.health[2:].any()
