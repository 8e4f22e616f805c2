"""The score of a constant prediction, beside scikit-learn's and the engine's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from hpsearch.data.parts import Part, empty_labels, empty_targets
from hpsearch.diagnosis.baseline import constant_score
from hpsearch.engine.hyperparameters import METRIC_NAMES
from hpsearch.engine.network import Network

CLASSIFICATION, REGRESSION = METRIC_NAMES[:5], METRIC_NAMES[5:]
TINY = float(np.finfo(np.float32).tiny)
MANY = settings(deadline=None, max_examples=25)

labels = st.lists(st.integers(0, 4), min_size=1, max_size=40)
values = hn.arrays(np.float32, st.integers(2, 40), elements=st.floats(-100, 100, width=32))


def classes(found):
    return Part(np.zeros((len(found), 1), np.float32), np.array(found, np.int32), empty_targets())


def numbers(found):
    targets = np.array(found, np.float32).reshape(-1, 1)
    return Part(np.zeros((len(targets), 1), np.float32), empty_labels(), targets)


def dummy_scores(train, dev):
    """Every metric of a constant classifier, by scikit-learn, for dev with labels of train alone."""
    nothing = np.zeros((len(train), 1))
    prior = DummyClassifier(strategy="prior").fit(nothing, train)
    rows = np.zeros((len(dev), 1))
    predicted, shares = prior.predict(rows), prior.predict_proba(rows)
    known = list(prior.classes_)
    accuracy = metrics.accuracy_score(dev, predicted)
    scores = {
        "log_loss": metrics.log_loss(dev, shares, labels=known) if len(known) > 1 else 0.0,
        "accuracy": accuracy,
        "error": metrics.zero_one_loss(dev, predicted),
    }
    if predicted[0] in dev:
        scores["balanced_accuracy"] = metrics.recall_score(dev, predicted, labels=sorted(set(dev)), average="macro")
    areas = [metrics.roc_auc_score(np.equal(dev, one), np.full(len(dev), 0.3)) for one in set(dev) if len(set(dev)) > 1]
    return scores | ({"auc": np.mean(areas)} if areas else {})


def engine_scores(train, dev, outputs):
    """Every metric of a network whose outputs look at no input."""
    network = Network({"layers": 0}, n_inputs=1, n_outputs=outputs, task="classification", metric="log_loss")
    shares = np.bincount(train, minlength=outputs) / len(train)
    weights = np.zeros(network.vector_size, np.float32)
    weights[int(network.layers["bias"][0]) :] = np.log(np.maximum(shares, 1e-300))
    return network.evaluate(weights, classes(dev))[1]


@given(labels, st.data())
@MANY
def test_classes_as_scikit_learn_has_them(train, data):
    dev = data.draw(st.lists(st.sampled_from(train), min_size=1, max_size=40))
    for name, wanted in dummy_scores(train, dev).items():
        assert constant_score(classes(train), classes(dev), name) == pytest.approx(wanted, rel=1e-9), name


@given(labels, labels)
@MANY
def test_classes_as_the_engine_has_them_whatever_is_missing(train, dev):
    """Labels that one of the parts lacks; the engine gives no number where none is defined."""
    outputs = max(*train, *dev, 1) + 1
    found = engine_scores(train, dev, outputs)
    assert set(found) >= {"log_loss", "accuracy", "error", "balanced_accuracy"}
    for name, wanted in found.items():
        if name == "log_loss" and set(dev) - set(train):
            continue  # each has a floor of its own
        assert constant_score(classes(train), classes(dev), name) == pytest.approx(wanted, rel=1e-6, abs=1e-7), name


def test_the_commonest_class_may_be_missing_in_dev():
    train, dev = [0, 0, 0, 1, 2], [1, 2, 2]
    with pytest.warns(UserWarning, match="classes not in y_true"):
        wanted = metrics.balanced_accuracy_score(dev, [0, 0, 0])
    assert wanted == engine_scores(train, dev, 3)["balanced_accuracy"] == 0
    assert constant_score(classes(train), classes(dev), "balanced_accuracy") == wanted


def test_a_label_that_training_lacks_has_a_large_loss_and_no_infinite_one():
    train, dev = classes([0, 0, 1]), classes([0, 2])
    wanted = (-math.log(2 / 3) - math.log(TINY)) / 2
    assert constant_score(train, dev, "log_loss") == pytest.approx(wanted)
    assert constant_score(train, dev, "accuracy") == 0.5
    assert constant_score(train, classes([0, 0, 4]), "error") == pytest.approx(1 / 3)


def test_of_equally_common_classes_the_first_is_predicted():
    train, dev = [1, 1, 2, 2, 0], [2, 2, 1]
    assert constant_score(classes(train), classes(dev), "accuracy") == pytest.approx(1 / 3)
    assert dummy_scores(train, dev)["accuracy"] == pytest.approx(1 / 3)


@given(values, values, st.sampled_from([1.0, 0.01, 40.0]))
@MANY
def test_numbers_as_scikit_learn_has_them_in_units_of_the_target(train, dev, sd):
    """Standardised or not: in units of the target the scores are those of the values themselves."""
    mean = DummyRegressor(strategy="mean").fit(np.zeros((len(train), 1)), train.astype(float))
    predicted = np.full(len(dev), float(np.ravel(mean.constant_)[0]))
    true = dev.astype(float)
    near = {"rel": 1e-5, "abs": 1e-4 * sd}
    wanted = {
        "rmse": metrics.root_mean_squared_error(true * sd, predicted * sd),
        "mae": metrics.mean_absolute_error(true * sd, predicted * sd),
    }
    for name, score in wanted.items():
        assert constant_score(numbers(train), numbers(dev), name, sd) == pytest.approx(score, **near), name
    if np.var(true) > 1e-3:
        score = metrics.r2_score(true, predicted)
        assert constant_score(numbers(train), numbers(dev), "r2", sd) == pytest.approx(score, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_real_regression(line_data, metric):
    """About 40 in units of the target, which training standardised."""
    train, dev = line_data.part("train", "robust_clip"), line_data.part("dev", "robust_clip")
    found = constant_score(train, dev, metric, line_data.target_sd)
    y = {name: line_data.target_mean + line_data.target_sd * part.targets.astype(float)[:, 0]
         for name, part in (("train", train), ("dev", dev))}  # fmt: skip
    predicted = np.full(len(y["dev"]), y["train"].mean())
    function = {
        "rmse": metrics.root_mean_squared_error, "mae": metrics.mean_absolute_error, "r2": metrics.r2_score,
    }[metric]  # fmt: skip
    assert found == pytest.approx(function(y["dev"], predicted), rel=1e-5, abs=1e-6)
    if metric != "r2":
        assert 20 < found < 60
    else:
        assert -0.5 < found <= 0


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_network_that_gives_the_mean_scores_as_much(line_data, metric):
    train, dev = line_data.part("train", "robust_clip"), line_data.part("dev", "robust_clip")
    network = Network({"layers": 0}, n_inputs=line_data.n_inputs, n_outputs=1, task="regression", metric=metric)
    found = network.evaluate(np.zeros(network.vector_size, np.float32), dev)[1][metric]
    assert constant_score(train, dev, metric) == pytest.approx(found, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_a_real_classification(wine, metric):
    train, dev = wine.part("train", "standard"), wine.part("dev", "standard")
    found = constant_score(train, dev, metric)
    assert found == pytest.approx(dummy_scores(train.labels.tolist(), dev.labels.tolist())[metric])
    assert found == pytest.approx(engine_scores(train.labels, dev.labels, 3)[metric], rel=1e-6)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_every_metric_has_a_constant(wine, line_data, metric):
    data = wine if metric in CLASSIFICATION else line_data
    found = constant_score(data.part("train", "robust_clip"), data.part("dev", "robust_clip"), metric)
    assert type(found) is float
    assert math.isfinite(found)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_one_row_is_enough(metric):
    part = classes([1]) if metric in CLASSIFICATION else numbers([0.5])
    assert math.isfinite(constant_score(part, part, metric))


def test_who_predicts_the_commonest_class_is_not_worse_than_that_prediction():
    """1 - 180 / 200 is less than 20 / 200, and what is worse than a constant is stopped."""
    for wrong in range(1, 100):
        dev = [0] * (200 - wrong) + [1] * wrong
        for name in ("error", "accuracy"):
            assert constant_score(classes([0, 0, 1]), classes(dev), name) == engine_scores([0, 0, 1], dev, 2)[name]
