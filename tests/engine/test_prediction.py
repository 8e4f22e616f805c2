"""A kept network predicts what it was judged by: the same bits in training, in an evaluation, in a prediction."""

import itertools

import numpy as np
import pytest
from engine.cases import COMPILED, METRIC, Part, make_network, make_part, train_to_end
from engine.stages import make_image_network

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES, AUGMENTATIONS
from hpsearch.engine.layout import CURVES, METRICS

DEV_ROWS = (1, 255, 256, 257, 700)
EVERYTHING = {
    "hidden": [9, 6], "batch_norm": True, "dropout": 0.3, "input_dropout": 0.2, "ema": 0.8, "max_norm": 1.0, "l2": 0.1,
    "augment": "noise+mixup", "optimizer": "nesterov", "learning_rate": 0.05, "schedule": "cosine", "epochs": 4,
}  # fmt: skip
CASES = {
    "plain": ("classification", {}),
    "no layers": ("classification", {"hidden": []}),
    "a regression": ("regression", {}),
    "batch norm": ("classification", {"batch_norm": True}),
    "batch norm of single rows": ("classification", {"batch_norm": True, "batch_size": 1}),
    "an average": ("regression", {"ema": 0.9}),
    "an average with batch norm": ("classification", {"ema": 0.9, "batch_norm": True}),
    "the whole batch": ("classification", {"batch_size": "full", "learning_rate": 0.1}),
    "logistic": ("classification", {"output": "logistic", "label_smoothing": 0.1, "class_weight": "balanced"}),
    "logistic shares": ("classification", {"output": "logistic", "loss": "cross_entropy"}),
    "huber": ("regression", {"loss": "huber", "huber_delta": 0.1}),
    "everything": ("classification", EVERYTHING | {"output": "logistic"}),
    "everything of a regression": ("regression", EVERYTHING),
}


def assert_judged_as_kept(network, task, train_rows, dev_rows, features=5):
    """The dev value of the best epoch is the metric of the best weights on the dev rows, that of the last likewise."""
    train, dev = make_part(task, train_rows, features=features), make_part(task, dev_rows, features=features, seed=1)
    training = train_to_end(network, train, dev)
    metric = METRICS[int(network.settings["metric"][0])]
    values = training.curve_rows()[:, CURVES.index("dev_metric")]
    scores, found = network.evaluate(training.best, dev)
    assert found[metric] == values[training.best_epoch - 1]
    assert np.array_equal(network.predict(training.best, Part(dev.inputs))[0], scores)
    if training.best_epoch == training.epochs and not network.hyperparameters["ema"]:
        assert np.array_equal(training.best, training.weights)
    return training, dev, scores


@pytest.mark.parametrize("dev_rows", DEV_ROWS)
@pytest.mark.parametrize("case", CASES)
def test_every_way_to_train(case, dev_rows):
    task, hyperparameters = CASES[case]
    network = make_network(task, keys=(1, 2, 3, 4), **{"learning_rate": 0.02, "epochs": 4} | hyperparameters)
    assert_judged_as_kept(network, task, 41, dev_rows)


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_every_activation(activation):
    network = make_network("classification", activation=activation, learning_rate=0.02, hidden=[17, 5])
    assert_judged_as_kept(network, "classification", 41, 299)


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric(metric, batch_norm):
    task = "regression" if metric in {"rmse", "mae", "r2"} else "classification"
    network = make_network(task, metric=metric, batch_norm=batch_norm, learning_rate=0.02, epochs=5)
    assert_judged_as_kept(network, task, 41, 300)


def test_images_that_are_changed_for_training():
    network = make_image_network((3, 4), augment="+".join(AUGMENTATIONS), batch_norm=True, learning_rate=0.02)
    assert_judged_as_kept(network, "classification", 41, 300, features=12)


@pytest.mark.parametrize("case", CASES)
def test_rows_do_not_depend_on_the_rows_beside_them(case):
    """One by one, in another order or in other pieces: at most the last digits may differ, by 1e-6 of 1."""
    task, hyperparameters = CASES[case]
    network = make_network(task, keys=(1, 2, 3, 4), **{"learning_rate": 0.02, "epochs": 2} | hyperparameters)
    training, dev, scores = assert_judged_as_kept(network, task, 41, 300)
    order = np.random.default_rng(0).permutation(300)
    shuffled, _ = network.predict(training.best, Part(dev.inputs[order]))
    np.testing.assert_allclose(shuffled, scores[order], atol=1e-6)
    for start, end in itertools.pairwise([0, 1, 3, 20, 300]):
        some, _ = network.predict(training.best, Part(dev.inputs[start:end]))
        np.testing.assert_allclose(some, scores[start:end], atol=1e-6)


@pytest.mark.skipif(not COMPILED, reason="uncompiled, NumPy's products depend on their size")
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_rows_of_plain_arithmetic_do_not_depend_on_the_rows_beside_them_by_a_bit(activation):
    """Products, biases and kinks leave the compiler no choice."""
    network = make_network("regression", activation=activation, hidden=[33, 17])
    training, dev, scores = assert_judged_as_kept(network, "regression", 41, 300)
    for start, end in itertools.pairwise([0, 1, 3, 20, 300]):
        some, _ = network.predict(training.best, Part(dev.inputs[start:end]))
        assert np.array_equal(some, scores[start:end])


@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_shares_and_supports(output):
    """Shares add up to 1; of the logistic output they are supports divided by their sum, of which each is below 1."""
    network = make_network("classification", output=output, learning_rate=0.05)
    training = train_to_end(network, make_part("classification", 41), make_part("classification", 20))
    shares, supports = network.predict(training.best, Part(make_part("classification", 300).inputs))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    if output == "softmax":
        assert supports is None
    else:
        assert supports.shape == shares.shape
        assert np.all((supports > 0) & (supports < 1))
        np.testing.assert_allclose(supports / supports.sum(axis=1, keepdims=True), shares, atol=1e-6)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_metrics_are_those_of_the_scores(task):
    """That each row is judged, by its own label: the worst rows in the last piece, of one row, count."""
    network = make_network(task, hidden=[])
    rows = make_part(task, 257)
    weights = np.random.default_rng(0).normal(size=network.vector_size).astype(np.float32)
    scores, found = network.evaluate(weights, rows)
    if task == "classification":
        assert found["log_loss"] == pytest.approx(-np.mean(np.log(scores[np.arange(257), rows.labels])), rel=1e-5)
    else:
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean((scores - rows.targets) ** 2)), rel=1e-5)
    assert METRIC[task] in found
