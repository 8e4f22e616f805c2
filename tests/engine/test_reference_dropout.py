"""Dropout against the reference: with the masks read off the engine's own gradients, and how often it drops.

In a batch of one row the gradient of W has a row of zeros for each input of its layer that is left out, and nowhere
else, as tanh and the inputs are never 0 here.
"""

import itertools
import math

import numpy as np
import pytest
import reference
from engine.cases import KEYS, assert_near, make_network, make_part, reference_of, tensors
from scipy import stats

from hpsearch.engine.network import Training

ROWS = 12
FOUR_KEYS = (*KEYS, 33, 44)


def start(task="regression", keys=FOUR_KEYS, rows=ROWS, **hyperparameters):
    train, dev = make_part(task, rows), make_part(task, 9, seed=1)
    settings = {"hidden": [8, 6], "activation": "tanh", "optimizer": "sgd", "learning_rate": 0.02, "batch_size": 1}
    return Training(make_network(task, keys=keys, **settings | hyperparameters), train, dev)


def kept(training, before):
    """What the last update let through, 0 or 1 for each input of each layer."""
    W, *_ = tensors(training.weights, training.network)
    return [(new != old).any(axis=1).astype(float) for new, old in zip(W, before, strict=True)]


def shares(training):
    full = training.network.hyperparameters
    return [full["input_dropout"], *full["dropout"]]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.4},
        {"dropout": [0.0, 0.5]},
        {"dropout": [0.3, 0.6], "input_dropout": 0.2},
        {"input_dropout": 0.5},
        {"dropout": 0.3, "input_dropout": 0.3, "batch_norm": True},
    ],
    ids=str,
)
def test_updates_with_the_masks_that_were_drawn(settings, task):
    """Two epochs; what is kept is divided by 1 - p on the way there and back."""
    training = start(task, **settings)
    net, optimiser = reference_of(training)
    first = [values.copy() for values in net.parameters]
    seen = [[] for _ in net.W]
    for t in range(2 * ROWS):
        before, *_ = tensors(training.weights, training.network)
        training.advance_by(1)
        keep = kept(training, before)
        row = reference.epoch_order(ROWS, KEYS[1], t // ROWS)[t % ROWS : t % ROWS + 1]
        masks = [reference.dropout_factors(mask, p)[None] for mask, p in zip(keep, shares(training), strict=True)]
        reference.update(net, optimiser, training.train.inputs[row], training.train.y[row], masks=masks)
        for of_layer, mask in zip(seen, keep, strict=True):
            of_layer.append(mask)
    *groups, _, _ = tensors(training.weights, training.network)
    assert_near(itertools.chain(*groups), net.parameters, first)
    for of_layer, p in zip(seen, shares(training), strict=True):
        if p == 0:
            assert np.all(of_layer)
        else:
            assert len(np.unique(of_layer, axis=0)) > 5  # fresh for every row


def test_units_are_left_out_as_often_as_is_said_and_on_their_own():
    """Of 8 units in 2,000 updates: the share within 4 standard errors, and no pair of units or updates in step."""
    p = 0.3
    training = start(hidden=[8], dropout=p, rows=200, epochs=10)
    masks = []
    for _ in range(2000):
        before, *_ = tensors(training.weights, training.network)
        training.advance_by(1)
        masks.append(kept(training, before)[1])
    masks = np.array(masks)
    assert masks.mean() == pytest.approx(1 - p, abs=4 * math.sqrt(p * (1 - p) / masks.size))
    correlations = np.corrcoef(masks.T)[np.triu_indices(8, 1)]
    assert np.abs(correlations).max() < 4 / math.sqrt(2000)
    for lag in (1, 2, 200):  # 200: the same place of the next epoch
        a, b = masks[:-lag].ravel(), masks[lag:].ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(len(a))
    counts = np.bincount(masks.sum(axis=1).astype(int), minlength=9)
    expected = 2000 * stats.binom.pmf(range(9), 8, 1 - p)
    grouped = [np.concatenate([[values[:3].sum()], values[3:]]) for values in (counts, expected)]  # few below 3
    assert stats.chisquare(*grouped).pvalue > 0.01


def test_layers_and_inputs_are_left_out_on_their_own():
    training = start(hidden=[5, 5], dropout=0.5, input_dropout=0.5, rows=200, epochs=5)  # 5 inputs too
    masks = []
    for _ in range(1000):
        before, *_ = tensors(training.weights, training.network)
        training.advance_by(1)
        masks.append(np.concatenate(kept(training, before)))
    correlations = np.corrcoef(np.array(masks).T)[np.triu_indices(15, 1)]
    assert np.abs(correlations).max() < 4.2 / math.sqrt(1000)  # of 105 pairs


@pytest.mark.parametrize("batch_size", [1, 7, "full"])
def test_evaluations_leave_nothing_out(batch_size):
    training = start("classification", dropout=0.5, input_dropout=0.3, batch_size=batch_size)
    training.advance_by(10**9)
    scores, _ = training.network.evaluate(training.weights, training.dev)
    W, b, *_ = tensors(training.weights, training.network)
    net = reference.Net(W, b, "tanh", "classification")
    expected = reference.softmax(net.outputs(training.dev.inputs))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(
        training.curve_rows()[-1, 1],
        np.mean(net.row_losses(net.outputs(training.dev.inputs), training.dev.y)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("settings", [{"dropout": 0.5}, {"input_dropout": 0.5}], ids=str)
def test_the_dropout_key_decides_and_no_other(settings):
    def weights(keys):
        training = start(keys=keys, batch_size=4, **settings)
        training.advance_by(10**9)
        return training.weights

    assert np.array_equal(weights((1, 2, 3, 4)), weights((1, 2, 3, 5)))
    assert not np.array_equal(weights((1, 2, 3, 4)), weights((1, 2, 6, 4)))


def test_no_dropout_is_no_dropout():
    """A share of 0 draws nothing: the bits are those of a network that never heard of it."""
    plain, zero = start(batch_size=5), start(batch_size=5, dropout=[0.0, 0.0], input_dropout=0.0, keys=(*KEYS, 9, 9))
    for training in (plain, zero):
        training.advance_by(10**9)
    assert np.array_equal(plain.weights, zero.weights)
