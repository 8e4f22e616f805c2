"""Metrics of an evaluation against scikit-learn, on the same outputs.

The oracle gets the float32 outputs as they are, probabilities computed from them in float64. Compiled code rounds each
row's loss and miss to float32 before it sums them in float64 (Numba's float() of a float32 stays one): one half unit
is 6e-8, an r2 has two of them. Counts and areas are exact, up to the order of the sums.
"""

import numpy as np
import pytest
import reference
from engine.cases import METRIC
from engine.test_known_answers import outputs_as_given
from scipy.special import softmax
from sklearn import metrics as oracle


def some_outputs(rows, classes, *, ties, seed):
    """z (rows, classes) float32 and labels in which every class occurs; with ties few different rows of z."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    labels[:classes] = np.arange(classes)
    z = random.normal(size=(rows, classes)) + np.eye(classes)[labels]
    if ties:
        z = np.clip(np.round(z), -1, 1)
    return z.astype(np.float32), labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rows", [10, 300])
def test_class_metrics(rows, classes, ties):
    z, labels = some_outputs(rows, classes, ties=ties, seed=rows + classes)
    scores, found = outputs_as_given("classification", z, labels)
    predicted = z.argmax(axis=1)
    p = softmax(z.astype(np.float64), axis=1)
    # Areas come from the engine's own float32 scores: rounding may make or break a tie.
    if classes == 2:
        area = oracle.roc_auc_score(labels, scores[:, 1])
    else:
        area = oracle.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert found == pytest.approx(
        {
            "log_loss": oracle.log_loss(labels, p),
            "error": oracle.zero_one_loss(labels, predicted),
            "accuracy": oracle.accuracy_score(labels, predicted),
            "balanced_accuracy": oracle.balanced_accuracy_score(labels, predicted),
            "auc": area,
        },
        rel=2e-7,
    )
    assert found["accuracy"] == oracle.accuracy_score(labels, predicted)
    assert found["auc"] == pytest.approx(area, rel=1e-12)
    for name in found.keys() - ({"auc"} if ties else set()):  # for the same reason
        assert found[name] == pytest.approx(reference.METRICS[name](z.astype(np.float64), labels))


@pytest.mark.parametrize("rows", [5, 300])
def test_value_metrics(rows):
    random = np.random.default_rng(rows)
    y = random.normal(0.3, 1, (rows, 1)).astype(np.float32)
    z = (y + random.normal(0, 0.5, (rows, 1))).astype(np.float32)
    _, found = outputs_as_given("regression", z, y)
    y, z = y.astype(np.float64), z.astype(np.float64)
    assert found == pytest.approx(
        {
            "rmse": oracle.root_mean_squared_error(y, z),
            "mae": oracle.mean_absolute_error(y, z),
            "r2": oracle.r2_score(y, z),
        },
        rel=1e-9,
    )
    assert found == pytest.approx({name: reference.METRICS[name](z, y) for name in found})


def test_class_that_does_not_occur():
    """It counts neither for the balanced accuracy nor for the area; scikit-learn warns or refuses here."""
    z, labels = some_outputs(40, 4, ties=False, seed=1)
    labels[labels == 2] = 0
    _, found = outputs_as_given("classification", z, labels)
    for name in ("balanced_accuracy", "auc", "accuracy", "log_loss"):
        assert found[name] == pytest.approx(reference.METRICS[name](z.astype(np.float64), labels))


def test_area_is_undefined_for_a_single_class():
    z, labels = some_outputs(10, 2, ties=False, seed=1)
    _, found = outputs_as_given("classification", z, np.ones_like(labels))
    assert "auc" not in found
    assert found["balanced_accuracy"] == found["accuracy"]


def test_area_of_equal_scores_is_a_half():
    _, found = outputs_as_given("classification", np.zeros((6, 2)), [0, 1, 0, 1, 1, 1])
    assert found["auc"] == 0.5


def test_metrics_of_each_task_only():
    assert METRIC["classification"] in outputs_as_given("classification", [[0, 1]], [1])[1]
    assert set(outputs_as_given("regression", [[0], [1]], [1, 2])[1]) == {"rmse", "mae", "r2"}


@pytest.mark.parametrize("value", [0.0, -0.7123, 3.0e4, 1e-20])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_r2_of_equal_values_is_none(value, rows):
    """However their sums are rounded."""
    found = outputs_as_given("regression", np.linspace(-1, 1, rows)[:, None], np.full(rows, value))[1]
    assert "r2" not in found
