"""Inputs as terms: which inputs go on from the one before, how many terms are left, and that they say the same."""

import gc

import numpy as np
import pytest
from engine.cases import SPARSE_FEATURES, make_network, make_part, make_sparse_part

from hpsearch.engine import sparse
from hpsearch.engine.network import Training
from hpsearch.engine.sparse import DENSE, WORTH_IT, sparse_inputs


def inputs_of(rows, seed=0):
    return make_sparse_part("classification", rows, seed=seed).inputs


def dense(part, found):
    """The rows that the terms stand for: each term is in its place and in all that its place goes on from."""
    rows = len(part.places) // found.most
    x = np.zeros((rows, len(found.goes_on)))
    for place, value, row in zip(part.places, part.values, np.repeat(np.arange(rows), found.most), strict=True):
        p = int(place)
        while p >= 0 and value != 0:
            x[row, p] += value
            p = p - 1 if found.goes_on[p] else -1
    return x


def test_terms_say_what_the_inputs_say():
    train, dev = inputs_of(300), inputs_of(90, seed=1)
    found = sparse_inputs(train, dev)
    bins = [0] + [1] * 24
    assert found.goes_on.tolist() == [*bins, *bins, *[0] * 13, 0]
    assert found.most == 2 + 2 + 1 + 1
    np.testing.assert_allclose(dense(found.train, found), train, atol=1e-6)
    np.testing.assert_allclose(dense(found.dev, found), dev, atol=1e-6)
    places = found.train.places.reshape(300, -1)
    assert ((np.diff(places) > 0) | (places[:, 1:] == -1)).all(), "in order, and nothing behind the last"


def test_dev_rows_may_break_what_the_train_rows_keep():
    """It costs terms, not truth."""
    train, dev = inputs_of(300), inputs_of(90, seed=1)
    dev[7, :25] = 0
    dev[7, 3:5] = 0.5, 0.25
    found = sparse_inputs(train, dev)
    assert found.goes_on[4] == 1
    np.testing.assert_allclose(dense(found.dev, found), dev, atol=1e-6)


def test_blocks_of_rows_change_nothing(monkeypatch):
    train, dev = inputs_of(300), inputs_of(90, seed=1)
    whole = sparse_inputs(train, dev)
    monkeypatch.setattr(sparse, "_BLOCK_CELLS", 7 * SPARSE_FEATURES)
    parts = sparse_inputs(train.copy(), dev.copy())
    assert parts.most == whole.most
    for found, expected in zip([*parts.train, *parts.dev], [*whole.train, *whole.dev], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rows", [40, 20_000])
def test_dense_inputs_stay_dense(rows):
    random = np.random.default_rng(3)
    inputs = random.normal(size=(rows, 64)).astype(np.float32)
    assert sparse_inputs(inputs, inputs) is DENSE
    most = 64 // WORTH_IT
    few = inputs.copy()
    few[:, most:] = 0
    assert sparse_inputs(few, inputs[:9]).most == 64, "of a dev row, which has no say"
    one = few.copy()
    one[-1, most] = 1
    assert sparse_inputs(one, few) is DENSE, "one row has too many terms"
    assert sparse_inputs(few.copy(), few).most == most
    zeros = np.zeros((rows, 64), np.float32)
    assert sparse_inputs(zeros, zeros) is DENSE


def test_terms_are_found_once_and_kept_as_long_as_the_inputs():
    train, dev = inputs_of(300), inputs_of(90, seed=1)
    assert sparse_inputs(train, dev) is sparse_inputs(train, dev)
    key = id(train), id(dev)
    assert key in sparse._known
    del dev
    gc.collect()
    assert key not in sparse._known


@pytest.mark.parametrize(
    ("said", "wanted"),
    [({}, 6), ({"dropout": 0.5}, 6), ({"input_dropout": 0.1}, 0), ({"augment": "noise"}, 0), ({"augment": "mixup"}, 0)],
)
def test_inputs_that_are_changed_on_their_way_are_dense(said, wanted):
    network = make_network("classification", features=SPARSE_FEATURES, **said)
    parts = make_sparse_part("classification", 50), make_sparse_part("classification", 20, seed=1)
    assert Training(network, *parts).settings["sparse"] == wanted


def test_few_features_are_dense():
    network = make_network("regression", features=1)
    parts = make_part("regression", 9, features=1), make_part("regression", 5, features=1)
    assert Training(network, *parts).settings["sparse"] == 0
