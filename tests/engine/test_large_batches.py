"""Batches of more rows than are worked off at a time: the same gradient, in arrays that do not grow with them."""

import numpy as np
import pytest
import reference
from engine.cases import (
    COMPILED,
    KEYS,
    SPARSE_FEATURES,
    flat,
    make_network,
    make_part,
    make_sparse_part,
    reference_of,
    rules_of,
    tensors,
)
from engine.stages import bits_left

from hpsearch.engine import network as network_module
from hpsearch.engine.layout import CHUNK_ROWS, CURVES
from hpsearch.engine.network import Training

SEAMS = [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 300]
STEP = {"hidden": [6, 4], "optimizer": "sgd", "learning_rate": 1.0, "batch_size": "full", "epochs": 1}


def start(task, rows, **hyperparameters):
    network = make_network(task, keys=(*KEYS, 33, 44), **STEP | hyperparameters)
    make = make_sparse_part if network.sizes[0] == SPARSE_FEATURES else make_part
    return Training(network, make(task, rows), make(task, 20, seed=1))


def gradient_of(training):
    """What an update of plain descent at the rate 1 has taken off."""
    before = training.weights.astype(np.float64)
    training.advance_by(1)
    return before - training.weights


def assert_near(found, expected):
    """Sums of some thousand rows in float32, and the weights' own rounding: 3e-6 of the largest weight, about 1."""
    np.testing.assert_allclose(found, expected, atol=3e-6)
    assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classification", {}),
        ("regression", {"activation": "tanh"}),
        ("classification", {"output": "logistic", "label_smoothing": 0.1, "class_weight": "balanced"}),
        ("classification", {"l2": 30.0, "l1": 10.0}),
        ("regression", {"loss": "huber", "huber_delta": 0.2}),
        ("classification", {"batch_norm": True}),
        ("classification", {"features": SPARSE_FEATURES}),
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", SEAMS)
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(rows, task, settings):
    training = start(task, rows, **settings)
    net, _ = reference_of(training)
    rules = rules_of(training)
    groups = net.gradients(
        training.train.inputs, training.train.y, rules.l2, rules.l1,
        label_smoothing=rules.label_smoothing, class_weight=rules.class_weight,
    )  # fmt: skip
    assert_near(gradient_of(training)[: training.network.trained], flat(*groups))


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.05}, {"optimizer": "adam", "learning_rate": 0.01}], ids=str)
@pytest.mark.parametrize("piece", [64, 100, 999])
def test_pieces_of_other_sizes_give_the_same_training(monkeypatch, piece, settings):
    """To rounding, over five epochs; clipping sees the whole gradient, whose norm the curve has."""
    said = {"epochs": 5, "activation": "tanh", "learning_rate": 0.1} | settings
    whole = start("classification", 1000, **said)
    whole.advance_by(10**9)
    monkeypatch.setattr(network_module, "CHUNK_ROWS", piece)
    monkeypatch.setattr(network_module, "EVALUATION_ROWS", 20)  # the room of an evaluation may not help out
    pieces = start("classification", 1000, **said)
    pieces.advance_by(10**9)
    assert pieces._arrays[2] == piece
    assert_near(pieces.weights - whole.weights + 1, np.ones(whole.weights.size))
    np.testing.assert_allclose(pieces.curves, whole.curves, rtol=1e-5)
    np.testing.assert_allclose(pieces.health, whole.health, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("settings", [{"dropout": 0.5}, {"input_dropout": 0.5}], ids=str)
def test_pieces_are_dropped_from_each_in_its_own_way(settings):
    """Else the second 1,024 rows, here a copy of the first, would lose the same units: the same gradient twice."""
    part = make_part("regression", CHUNK_ROWS)
    gradients = []
    for copies in (1, 2):
        training = start("regression", copies * CHUNK_ROWS, activation="identity", **settings)
        order = reference.epoch_order(copies * CHUNK_ROWS, KEYS[1], 0)  # undone, so that pieces are the part itself
        training.train.inputs[order] = np.tile(part.inputs, (copies, 1))
        training.train.targets[order] = np.tile(part.targets, (copies, 1))
        gradients.append(gradient_of(Training(training.network, training.train, training.dev)))
    one, two = gradients
    assert np.abs(one - two).max() > 1e-3


def test_noise_and_shuffles_do_not_know_of_pieces(monkeypatch):
    """The row's number decides, not its piece."""
    said = {"augment": "noise", "learning_rate": 0.1, "activation": "tanh", "augment.noise": 0.5}
    whole = gradient_of(start("classification", 1000, **said))
    monkeypatch.setattr(network_module, "CHUNK_ROWS", 300)
    assert_near(gradient_of(start("classification", 1000, **said)), whole)


def room(training):
    """Bytes of all arrays but the rows themselves and their order."""
    arrays = [array for array in training._arrays if isinstance(array, np.ndarray)]
    of_rows = (training.train.inputs.size, len(training.train.inputs))
    return sum(array.nbytes for array in arrays if array.size not in of_rows)


@pytest.mark.parametrize("settings", [{}, {"augment": "mixup"}, {"dropout": 0.2, "optimizer": "adam"}], ids=str)
def test_room_does_not_grow_with_the_rows_of_a_whole_batch(settings):
    sizes = [room(start("classification", rows, **settings)) for rows in (1501, 3001, 30_001)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_room_of_batch_norm_is_that_of_the_batch():
    """Its statistics are of the whole batch, so it cannot be cut."""
    small, large = (room(start("classification", rows, batch_norm=True)) for rows in (2001, 4001))
    assert 1.8 * small < large < 2.2 * small


@pytest.mark.parametrize("dev_rows", [1, 255, 256, 257, 700])
def test_the_number_of_dev_rows_changes_no_bit_of_the_training(dev_rows):
    """Though the arrays may have more room."""
    network = make_network(
        "classification", batch_size=13, dropout=0.3, augment="noise+mixup", batch_norm=True, keys=(1, 2, 3, 4)
    )
    train = make_part("classification", 50)
    few = Training(network, train, make_part("classification", 40, seed=1))
    many = Training(network, train, make_part("classification", dev_rows, seed=1))
    for training in (few, many):
        training.advance_by(10**9)
    columns = [CURVES.index(name) for name in ("train_loss", "train_metric", "learning_rate", "grad_norm")]
    assert np.array_equal(few.weights, many.weights)
    assert np.array_equal(few.curves[:, columns], many.curves[:, columns])


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
def test_mini_batches_above_a_thousand_rows(batch_norm):
    """Three updates an epoch of 1,100, 1,100 and 300 rows; the last is one piece."""
    rows = 2500
    training = start("classification", rows, batch_size=1100, batch_norm=batch_norm, learning_rate=0.1)
    net, optimiser = reference_of(training)
    curve = reference.train(
        net, optimiser, (training.train.inputs, training.train.y), (training.dev.inputs, training.dev.y),
        permutations=[reference.epoch_order(rows, KEYS[1], 0)], batch_size=1100, metric="log_loss",
    )  # fmt: skip
    training.advance_by(10**9)
    assert training.updates == 3
    np.testing.assert_allclose(training.curves[0, :4], curve[0, :4], rtol=1e-5)
    W, b, gamma, *_ = tensors(training.weights, training.network)
    assert_near(flat(W, b, gamma), flat(net.W, net.b, net.gamma))


@pytest.mark.skipif(not COMPILED, reason="a hundred thousand rows take a minute uncompiled")
def test_a_hundred_thousand_rows_at_a_time():
    """Nothing overflows or loses its digits: the losses of both are means over them."""
    training = start("regression", 100_000, epochs=3, learning_rate=0.1)
    again = start("regression", 100_000, epochs=3, learning_rate=0.1)
    for one in (training, again):
        one.advance_by(10**9)
    net, optimiser = reference_of(start("regression", 100_000, learning_rate=0.1))
    order = np.arange(100_000)  # of the whole batch any order will do
    curve = reference.train(
        net, optimiser, (training.train.inputs, training.train.y), (training.dev.inputs, training.dev.y),
        permutations=[order] * 3, batch_size=100_000, metric="rmse",
    )  # fmt: skip
    np.testing.assert_allclose(training.curves[:, :4], curve[:, :4], rtol=1e-5)
    assert bits_left(training) == bits_left(again)
