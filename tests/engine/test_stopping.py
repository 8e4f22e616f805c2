"""When training ends, and what it keeps: early stopping against its rule in plain Python, and divergence."""

import numpy as np
import pytest
import reference
from engine.cases import make_network, make_part, train_to_end

from hpsearch.engine.layout import CURVES, METRICS
from hpsearch.engine.network import Training

EPOCHS = 40
TASK = {metric: "regression" if metric in {"rmse", "mae", "r2"} else "classification" for metric in METRICS}


def noisy(metric, **hyperparameters):
    """A network that soon learns its few noisy rows by heart, so that the dev score turns."""
    task = TASK[metric]
    network = make_network(
        task, metric=metric, hidden=[12], epochs=EPOCHS, learning_rate=0.05, activation="tanh", **hyperparameters
    )
    return network, train_to_end(network, make_part(task, 24, seed=4), make_part(task, 60, seed=5))


def rule(scores, metric, patience, min_delta=0.0):
    """(best epoch, last epoch), from 1: better is better by more than min_delta; patience epochs without one end it."""
    best_epoch, best_cost = 0, None
    for epoch, score in enumerate(scores, start=1):
        cost = -score if metric in reference.GREATER_IS_BETTER else score
        if best_epoch == 0 or cost < best_cost - min_delta:
            best_epoch, best_cost = epoch, cost
        elif patience and epoch - best_epoch >= patience:
            return best_epoch, epoch
    return best_epoch, len(scores)


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (5, 0.0), (5, 0.02), (10, 0.1)])
@pytest.mark.parametrize("metric", METRICS)
def test_patience(metric, patience, min_delta):
    """The run that never stops is the longer copy of the run that does."""
    _, endless = noisy(metric, patience=0)
    _, stopped = noisy(metric, patience=patience, min_delta=min_delta)
    best, last = rule(endless.curve_rows()[:, CURVES.index("dev_metric")], metric, patience, min_delta)
    assert (stopped.best_epoch, stopped.epochs) == (best, last)
    assert stopped.status == ("stopped early" if last < EPOCHS else "finished")
    assert np.array_equal(stopped.curve_rows(), endless.curve_rows()[:last])


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_epochs_weights_are_kept(metric):
    """An evaluation of them repeats the value of the curve bit for bit, of the last weights the last line's."""
    network, training = noisy(metric, patience=0)
    dev = make_part(TASK[metric], 60, seed=5)
    values = training.curve_rows()[:, CURVES.index("dev_metric")]
    assert training.best_epoch < training.epochs
    assert network.evaluate(training.best, dev)[1][metric] == values[training.best_epoch - 1]
    assert network.evaluate(training.weights, dev)[1][metric] == values[-1]
    best = values.max() if metric in reference.GREATER_IS_BETTER else values.min()
    assert values[training.best_epoch - 1] == best


@pytest.mark.parametrize("metric", METRICS)
def test_patience_zero_never_stops(metric):
    _, training = noisy(metric, patience=0, min_delta=1e9)  # only the first epoch counts as better
    assert (training.status, training.epochs, training.best_epoch) == ("finished", EPOCHS, 1)


def test_a_stop_in_the_last_epoch_is_the_end():
    """Both end there; "finished" says that no epoch was saved."""
    _, training = noisy("log_loss", patience=EPOCHS - 1, min_delta=1e9)
    assert (training.status, training.epochs) == ("finished", EPOCHS)


# --- Divergence: a status, never an exception or a warning ---

UNSCALED = 1000.0


# Without hidden layers, classes only swing: the slopes of a softmax are bounded.
@pytest.mark.parametrize(
    ("task", "hidden"),
    [("classification", [8]), ("classification", [8, 8, 8])] + [("regression", widths) for widths in ([], [8], [8, 8])],
    ids=str,
)
@pytest.mark.parametrize("activation", ["identity", "relu", "silu", "gelu", "mish"])
def test_a_huge_learning_rate_diverges(task, hidden, activation):
    network = make_network(
        task, hidden=hidden, activation=activation, optimizer="sgd", learning_rate=1000, epochs=50, l2=0.01
    )
    train = make_part(task, 40, scale=UNSCALED)
    training = train_to_end(network, train, make_part(task, 20, seed=1, scale=UNSCALED))
    assert training.status == "diverged"
    assert training.epochs < 50
    assert np.isfinite(training.curve_rows()[:-1]).all()
    assert np.isfinite(training.best).all()
    if training.best_epoch:
        assert np.isfinite(training.curve_rows()[training.best_epoch - 1]).all()
    scores, metrics = network.evaluate(training.weights, train)  # nobody should, but it must not fall over
    assert scores.shape == (40, network.sizes[-1])
    assert all(not np.isnan(value) for value in metrics.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["inputs", "targets", "dev inputs", "dev targets"])
def test_a_number_that_is_none_in_the_rows(where, bad):
    """It ends as divergence at once, or after the first epoch where only the dev rows have it."""
    train, dev = make_part("regression", 20), make_part("regression", 20, seed=1)
    part = dev if where.startswith("dev") else train
    (part.targets if where.endswith("targets") else part.inputs)[7, 0] = bad
    training = train_to_end(make_network("regression"), train, dev)
    assert training.status == "diverged"
    assert training.epochs == (1 if part is dev else 0)
    assert training.best_epoch == 0


def test_a_divergence_keeps_the_best_epoch_before_it():
    """A rate that is just too large doubles the miss now and again: some epochs are finished before it overflows."""
    train = make_part("regression", 20)
    network = make_network("regression", hidden=[], optimizer="sgd", learning_rate=1.2, batch_size="full", epochs=1000)
    training = train_to_end(network, train, train)
    assert training.status == "diverged"
    assert training.best_epoch >= 1
    value = training.curve_rows()[training.best_epoch - 1, CURVES.index("dev_metric")]
    assert network.evaluate(training.best, train)[1]["rmse"] == value


@pytest.mark.parametrize(
    ("hidden", "name"), [([], "the output layer"), ([5], "hidden layer 1"), ([5, 4], "hidden layer 1")]
)
@pytest.mark.parametrize("where", ["train", "dev"])
def test_a_number_that_is_none_is_named_by_the_first_layer_that_has_it(where, hidden, name):
    train, dev = make_part("regression", 20), make_part("regression", 20, seed=1)
    {"train": train, "dev": dev}[where].inputs[7, 0] = np.nan
    training = train_to_end(make_network("regression", hidden=hidden), train, dev)
    assert (training.status, training.diverged_in) == ("diverged", name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_target_is_in_all_gradients(bad):
    """Of which the first is named; every output before it is finite."""
    train = make_part("regression", 20)
    train.targets[7] = bad
    training = train_to_end(make_network("regression"), train, train)
    assert (training.status, training.diverged_in) == ("diverged", "hidden layer 1")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_weight_names_its_layer(place):
    """From its layer on all is NaN; no weight is changed by an update that is not made."""
    training = Training(make_network("classification"), *[make_part("classification", 20)] * 2)
    training.weights[training.network.layers[place]["weight"] + 1] = np.nan
    before = training.weights.copy()
    training.advance_by(10)
    assert (training.status, training.updates) == ("diverged", 0)
    assert training.diverged_in == ["hidden layer 1", "hidden layer 2", "the output layer"][place]
    assert np.array_equal(training.weights, before, equal_nan=True)


@pytest.mark.parametrize("settings", [{"clip_norm": 1.0}, {"l1": 0.1}], ids=str)
def test_a_gradient_that_is_none_is_not_stepped_along(settings):
    """Tanh hides an infinite weight from the loss; the gradient that is clipped or penalised first shows it."""
    rows = make_part("classification", 20)
    training = Training(make_network("classification", activation="tanh", hidden=[6, 4, 5], **settings), rows, rows)
    training.weights[training.network.layers[1]["weight"]] = np.inf
    before = training.weights.copy()
    training.advance_by(10)
    assert (training.status, training.updates) == ("diverged", 0)
    assert np.array_equal(training.weights, before)


@pytest.mark.parametrize(("miss", "status"), [(1.41e3, "finished"), (1.42e3, "diverged")])
@pytest.mark.parametrize("rows", [20, 1500])
def test_a_mean_loss_above_a_million_is_an_explosion(rows, miss, status):
    """miss^2 / 2 of every row; the weights are those of before."""
    rows = make_part("regression", rows)
    rows.targets[:] = miss
    network = make_network("regression", optimizer="sgd", learning_rate=1e-9, batch_size="full", epochs=1)
    training = Training(network, rows, rows)
    training.weights[-5:] = 0  # of the output
    before = training.weights.copy()
    training.advance_by(10)
    assert training.status == status
    assert np.array_equal(training.weights, before) == (status == "diverged")


def test_many_rows_are_no_explosion():
    """The bound is of the mean, not of the sum: a thousand rows with a loss of 2,000 each are no explosion."""
    rows = make_part("regression", 1000)
    rows.targets[:] = 63
    network = make_network("regression", optimizer="sgd", learning_rate=1e-9, batch_size="full", epochs=1)
    assert train_to_end(network, rows, rows).status == "finished"
