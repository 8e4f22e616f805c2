"""Mini-batches of every technique against the reference: the same shuffles, the same lines of the curve and weights.

Of 41 rows in batches of 8 the last has one row, which batch norm treats in its own way.
"""

import itertools

import numpy as np
import pytest
import reference
from engine.cases import (
    KEYS,
    METRIC,
    assert_near,
    flat,
    make_network,
    make_part,
    make_sparse_part,
    reference_of,
    rules_of,
    task_of,
    tensors,
)

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES
from hpsearch.engine.layout import CURVES
from hpsearch.engine.network import Training

ROWS, DEV_ROWS = 41, 23
NORMS = pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
SGD = {"optimizer": "sgd", "learning_rate": 0.1}
ADAM = {"optimizer": "adam", "learning_rate": 0.01, "epsilon": 1e-3}  # see test_torch on the epsilon


def assert_same_training(task, *, classes=3, make=make_part, **hyperparameters):
    """All epochs of both: curves to 1e-5 of each value, of counts exactly; weights and statistics."""
    train, dev = (make(task, rows, classes=classes, seed=rows) for rows in (ROWS, DEV_ROWS))
    settings = SGD | {"activation": "tanh", "epochs": 2} | hyperparameters
    network = make_network(task, classes=classes, features=train.inputs.shape[1], **settings)
    training = Training(network, train, dev)
    net, optimiser = reference_of(training)
    first = [values.copy() for values in net.parameters]
    full = network.hyperparameters
    expected = reference.train(
        net, optimiser, (train.inputs, train.y), (dev.inputs, dev.y),
        permutations=[reference.epoch_order(ROWS, KEYS[1], epoch) for epoch in range(full["epochs"])],
        batch_size=network.batch_rows(ROWS), metric=hyperparameters.get("metric", METRIC[task]),
        rules=rules_of(training),
    )  # fmt: skip
    training.advance_by(10**9)
    columns = [CURVES.index(name) for name in ("train_loss", "dev_loss", "train_metric", "dev_metric", "grad_norm")]
    np.testing.assert_allclose(training.curve_rows()[:, columns], expected, rtol=1e-5, atol=1e-7)
    *groups, means, variances = tensors(training.weights, network)
    assert_near(itertools.chain(*groups), net.parameters, first)
    for mean, variance, statistics in zip(means, variances, net.statistics, strict=True):
        np.testing.assert_allclose(mean, np.broadcast_to(statistics.mean, mean.shape), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(variance, np.broadcast_to(statistics.variance, variance.shape), rtol=3e-5)
    return training, net


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_batch_norm_of_every_activation(task, activation):
    """The kinks of relu and its kin are met by no row of these."""
    assert_same_training(task, activation=activation, batch_norm=True)


@pytest.mark.parametrize("hidden", [[], [7], [3, 9, 2, 5]], ids=str)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 40, 41, "full"])
def test_batch_norm_of_every_depth_and_batch_size(batch_size, hidden):
    """Rows one by one never have a spread: mean 0 and variance 1 remain. Pairs have one, and 41 leaves a single row."""
    training, _ = assert_same_training(
        "classification", hidden=hidden, batch_size=batch_size, batch_norm=True, learning_rate=0.02
    )
    if batch_size == 1:
        *_, means, variances = tensors(training.weights, training.network)
        assert not any(mean.any() for mean in means)
        assert all((variance == 1).all() for variance in variances)


@NORMS
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "momentum", "momentum_form": "sum", "learning_rate": 0.02},
        {"optimizer": "momentum", "momentum_correction": True, "learning_rate": 0.05},
        {"optimizer": "nesterov", "learning_rate": 0.05},
        {"optimizer": "nesterov", "momentum_form": "sum", "momentum_correction": True, "learning_rate": 0.005},
        {"optimizer": "adagrad", "learning_rate": 0.05, "epsilon": 1e-3},
        {"optimizer": "rmsprop", "learning_rate": 0.01, "epsilon": 1e-3},
        ADAM,
        ADAM | {"optimizer": "adamw", "weight_decay": 0.2},
    ],
    ids=str,
)
def test_every_optimiser(settings, batch_norm):
    assert_same_training("classification", batch_norm=batch_norm, **settings)


@NORMS
@pytest.mark.parametrize(
    "settings",
    [
        {"l1": 0.1, "l2": 0.2},
        {"weight_decay": 0.2, "schedule": "exponential", "decay": 0.5},
        {"clip_norm": 0.1},
        {"max_norm": 0.9},
        {"ema": 0.7},
        {"ema": "auto"},
        {"label_smoothing": 0.2},
        {"class_weight": "balanced"},
        {"class_weight": [0.3, 0.0, 2.0]},
        {"schedule": "cosine", "warmup": 0.5},
    ],
    ids=str,
)
def test_every_regulariser(settings, batch_norm):
    assert_same_training("classification", batch_norm=batch_norm, **ADAM | settings)


@NORMS
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_output(classes, metric, loss, batch_norm):
    """log_loss is of the shares whatever the loss."""
    assert_same_training(
        "classification", classes=classes, metric=metric, output="logistic", loss=loss, batch_norm=batch_norm
    )


@NORMS
@pytest.mark.parametrize("delta", [0.1, 0.5, 10.0])
def test_huber(delta, batch_norm):
    assert_same_training("regression", loss="huber", huber_delta=delta, batch_norm=batch_norm, metric="mae")


def test_the_best_epochs_average_is_kept():
    """A later epoch does not change it: the dev score turns while the network learns its rows by heart."""
    train, dev = make_part("classification", 24, seed=4), make_part("classification", 60, seed=5)
    network = make_network(
        "classification",
        hidden=[12],
        epochs=30,
        activation="tanh",
        ema=0.8,
        batch_norm=True,
        **ADAM | {"learning_rate": 0.05},
    )
    training = Training(network, train, dev)
    net, optimiser = reference_of(training)
    training.advance_by(10**9)
    assert training.best_epoch < 30
    reference.train(
        net, optimiser, (train.inputs, train.y), (dev.inputs, dev.y),
        permutations=[reference.epoch_order(24, KEYS[1], epoch) for epoch in range(training.best_epoch)],
        batch_size=8, metric="log_loss", rules=rules_of(training),
    )  # fmt: skip
    kept = net.judged()
    # 3 updates an epoch, up to 90 in all: errors have time to grow
    np.testing.assert_allclose(
        training.best[: network.trained], flat(kept.W, kept.b, kept.gamma), rtol=0, atol=1e-4 * np.abs(kept.W[0]).max()
    )
    found = network.evaluate(training.best, dev)[1]["log_loss"]
    assert found == training.curve_rows()[training.best_epoch - 1, CURVES.index("dev_metric")]
    assert found == pytest.approx(np.mean(kept.row_losses(kept.outputs(dev.inputs), dev.y)), rel=1e-4)


def test_places_of_the_parts_in_the_flat_vector():
    """Those of the table that the kernels read are those of the description."""
    network = make_network("classification", batch_norm=True)  # 5 -> 6 -> 4 -> 3
    columns = [network.layers[name].tolist() for name in ("weight", "bias", "gain", "mean", "variance")]
    assert columns == [[0, 42, 74], [30, 66, 86], [36, 70, -1], [89, 101, -1], [95, 105, -1]]
    assert network.trained == network.parameters == 89
    training = Training(network, make_part("classification", 9), make_part("classification", 9))
    assert len(training.weights) == 89 + 2 * (6 + 4)
    W, b, gamma, means, variances = tensors(training.weights, network)
    assert all((values == 0).all() for values in [*b, *means])
    assert all((values == 1).all() for values in [*gamma, *variances])
    assert task_of(network) == "classification"
    assert [w.shape for w in W] == [(5, 6), (6, 4), (4, 3)]


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {},
        {"batch_norm": True},
        {"hidden": []},
        {"hidden": [7]},
        {"hidden": [18, 5, 3], "batch_norm": True, "l2": 0.2, "l1": 0.01},
        {"batch_size": "full", "clip_norm": 0.1},
        {"batch_size": 1, "max_norm": 0.7},
        ADAM | {"ema": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_sparse_inputs(task, hyperparameters):
    """The terms in the place of bins and categories, in training as in judging."""
    training, _ = assert_same_training(task, make=make_sparse_part, **hyperparameters)
    assert training.settings["sparse"] == 6
