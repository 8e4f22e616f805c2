"""Metrics from predictions, beside scikit-learn's and the engine's, and intervals that hold what they promise."""

import numpy as np
import pytest
from sklearn import metrics

from hpsearch.data.parts import Part, empty_labels, empty_targets
from hpsearch.diagnosis.scores import class_scorer, intervals, value_scorer
from hpsearch.engine.network import Network


def predictions(classes, rows=300, seed=0):
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.ones(classes), size=rows).astype(np.float32)
    shares[::7] = shares[0]  # ties
    labels = np.where(chance.random(rows) < 0.6, shares.argmax(1), chance.integers(classes, size=rows))
    return shares, labels.astype(np.int32), chance.integers(0, 4, size=rows).astype(float)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_as_scikit_learn_has_them(classes, weighted):
    shares, labels, weights = predictions(classes)
    weights = weights if weighted else np.ones(len(labels))
    found = class_scorer(shares, labels)(weights)
    accuracy = metrics.accuracy_score(labels, shares.argmax(1), sample_weight=weights)
    exact = shares / shares.sum(1, keepdims=True, dtype=float)
    wanted = {
        "log_loss": metrics.log_loss(labels, exact, sample_weight=weights),
        "accuracy": accuracy,
        "error": 1 - accuracy,
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, shares.argmax(1), sample_weight=weights),
        "auc": np.mean([metrics.roc_auc_score(labels == c, shares[:, c], sample_weight=weights)
                        for c in (range(classes) if classes > 2 else [1])]),
    }  # fmt: skip
    assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_values_as_scikit_learn_has_them(weighted):
    chance = np.random.default_rng(0)
    values = 50 + 9 * chance.normal(size=200)
    predicted, weights = values + chance.normal(size=200), chance.integers(0, 3, size=200).astype(float)
    weights = weights if weighted else np.ones(200)
    assert value_scorer(predicted, values)(weights) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(values, predicted, sample_weight=weights),
            "mae": metrics.mean_absolute_error(values, predicted, sample_weight=weights),
            "r2": metrics.r2_score(values, predicted, sample_weight=weights),
        }
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_they_are_those_of_the_engine(classes):
    chance = np.random.default_rng(1)
    rows = Part(
        chance.normal(size=(150, 3)).astype(np.float32),
        chance.integers(classes, size=150).astype(np.int32),
        empty_targets(),
    )
    network = Network({"layers": 0}, n_inputs=3, n_outputs=classes, task="classification", metric="log_loss")
    weights = chance.normal(size=network.vector_size).astype(np.float32)
    shares, wanted = network.evaluate(weights, rows)
    assert class_scorer(shares, rows.labels)(np.ones(150)) == pytest.approx(wanted, rel=1e-5)


def test_values_are_those_of_the_engine():
    chance = np.random.default_rng(1)
    rows = Part(
        chance.normal(size=(90, 3)).astype(np.float32), empty_labels(), chance.normal(size=(90, 1)).astype(np.float32)
    )
    network = Network({"layers": 0}, n_inputs=3, n_outputs=1, task="regression", metric="rmse")
    predicted, wanted = network.evaluate(chance.normal(size=network.vector_size).astype(np.float32), rows)
    assert value_scorer(predicted[:, 0].astype(float), rows.targets[:, 0].astype(float))(np.ones(90)) == pytest.approx(
        wanted, rel=1e-5
    )


def test_what_is_not_defined_is_left_out():
    shares = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    assert "auc" not in class_scorer(shares, np.array([0, 0]))(np.ones(2))
    assert "r2" not in value_scorer(np.array([1.0, 2.0]), np.array([3.0, 3.0]))(np.ones(2))


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(size=400)
    found = intervals(lambda weights: {"mean": float(weights @ values / weights.sum())}, 400)["mean"]
    error = values.std() / 20
    assert found.score == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.score - 1.96 * error, found.score + 1.96 * error), abs=0.25 * error
    )


def test_the_truth_lies_in_most_intervals():
    """Of the accuracy of a coin that is right seven times in ten."""
    inside = 0
    for seed in range(25):
        labels = (np.random.default_rng(seed).random(200) > 0.7).astype(np.int32)
        shares = np.tile(np.array([[0.7, 0.3]], np.float32), (200, 1))
        found = intervals(class_scorer(shares, labels), 200)["accuracy"]
        inside += found.low <= 0.7 <= found.high
    assert inside >= 20


def test_the_same_rows_have_the_same_interval():
    shares, labels, _ = predictions(3, 60)
    ends = [intervals(class_scorer(shares, labels), 60) for _ in range(2)]
    assert ends[0] == ends[1]
