"""Whole epochs of the engine against the reference: the learning curve, with the same shuffles.

Losses and metrics are means of float32 outputs over some 40 rows, after up to 82 updates: 2e-6 relative was enough for
all of them here, 1e-5 leaves room for another processor's order of sums. Classes come out the same, so counts agree.
"""

import numpy as np
import pytest
import reference
from engine.cases import KEYS, make_network, make_part, reference_of, train_to_end

from hpsearch.engine.layout import CURVES
from hpsearch.engine.network import Training

ROWS, DEV_ROWS = 41, 23
CLASS_METRICS = ("log_loss", "error", "accuracy", "balanced_accuracy", "auc")
VALUE_METRICS = ("rmse", "mae", "r2")


def assert_curve_equal(training, train, dev, *, batch_size, metric, l2=0.0):
    """Train to the end, and the reference likewise from the same first weights; compare every line of the curve."""
    net, optimiser = reference_of(training)
    epochs = len(training.curves)
    expected = reference.train(
        net,
        optimiser,
        (train.inputs, train.y),
        (dev.inputs, dev.y),
        permutations=[reference.epoch_order(len(train.inputs), KEYS[1], epoch) for epoch in range(epochs)],
        batch_size=batch_size,
        metric=metric,
        l2=l2,
    )
    training.advance_by(10**9)
    assert training.epochs == epochs
    curve = training.curve_rows()
    names = ["train_loss", "dev_loss", "train_metric", "dev_metric", "grad_norm"]
    columns = [CURVES.index(name) for name in names]
    np.testing.assert_allclose(curve[:, columns], expected, rtol=1e-5, atol=1e-7)
    assert np.all(curve[:, CURVES.index("learning_rate")] == training.network.hyperparameters["learning_rate"])


@pytest.mark.parametrize(
    ("task", "metric", "classes"),
    [("classification", metric, classes) for metric in CLASS_METRICS for classes in (2, 3)]
    + [("regression", metric, 1) for metric in VALUE_METRICS],
)
def test_curve_of_every_metric(task, metric, classes):
    train = make_part(task, ROWS, classes=classes)
    dev = make_part(task, DEV_ROWS, classes=classes, seed=1)
    network = make_network(
        task, classes=classes, metric=metric, epochs=5, activation="silu", learning_rate=0.02, epsilon=1e-3
    )
    assert_curve_equal(Training(network, train, dev), train, dev, batch_size=8, metric=metric)


@pytest.mark.parametrize("hidden", [[], [7], [3, 9, 2, 5, 4, 6]], ids=str)
@pytest.mark.parametrize("batch_size", [1, 7, 40, 41, 1000, "full"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_curve_of_every_depth_and_batch_size(task, batch_size, hidden):
    """On-line, mini-batch and batch descent; 40 leaves a last batch of one row, 1000 is more than there are."""
    train, dev = make_part(task, ROWS), make_part(task, DEV_ROWS, seed=1)
    metric = {"classification": "accuracy", "regression": "mae"}[task]
    network = make_network(
        task, metric=metric, hidden=hidden, batch_size=batch_size, optimizer="sgd", learning_rate=0.02, l2=0.1,
        activation="tanh",
    )  # fmt: skip
    size = ROWS if batch_size == "full" else batch_size
    assert_curve_equal(Training(network, train, dev), train, dev, batch_size=size, metric=metric, l2=0.1)


@pytest.mark.parametrize("dev_rows", [1, 255, 256, 257, 600])
def test_dev_rows_are_all_judged(dev_rows):
    """Evaluation goes 256 rows at a time: none is lost at the seams."""
    train, dev = make_part("regression", 12), make_part("regression", dev_rows, seed=1)
    network = make_network("regression", epochs=1, optimizer="sgd", learning_rate=0.05)
    assert_curve_equal(Training(network, train, dev), train, dev, batch_size=8, metric="rmse")


def test_every_epoch_has_its_own_shuffle():
    """Another shuffle key gives another curve from the same first weights; batches of all rows do not depend on it."""
    train, dev = make_part("classification", ROWS), make_part("classification", DEV_ROWS, seed=1)
    mini = [train_to_end(make_network("classification", keys=(1, key)), train, dev).weights for key in (2, 3)]
    assert not np.array_equal(*mini)
    whole = [
        train_to_end(make_network("classification", keys=(1, key), batch_size="full"), train, dev).weights
        for key in (2, 3)
    ]
    np.testing.assert_allclose(*whole, rtol=0, atol=1e-6)


def test_it_learns():
    """Two moons of a kind: an xor of signs, which no linear network can, is learnt to the last row."""
    random = np.random.default_rng(3)
    train = make_part("classification", 200, features=2, classes=2)
    train.inputs[:] = random.uniform(-1, 1, (200, 2))
    train.inputs += 0.2 * np.sign(train.inputs)
    train.labels[:] = (train.inputs[:, 0] > 0) ^ (train.inputs[:, 1] > 0)
    for hidden, at_least, at_most in ([[], 0.0, 0.7], [[16], 1.0, 1.0]):
        network = make_network(
            "classification", features=2, classes=2, metric="accuracy", hidden=hidden, batch_size=16, epochs=60,
            learning_rate=0.02, activation="tanh",
        )  # fmt: skip
        score = train_to_end(network, train, train).curve_rows()[-1, CURVES.index("dev_metric")]
        assert at_least <= score <= at_most
