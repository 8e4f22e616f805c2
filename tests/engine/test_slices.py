"""Where training is cut into slices, and where its arrays lie, changes no bit; keys do."""

import itertools

import numpy as np
import pytest
from engine.cases import SPARSE_FEATURES, make_network, make_part, make_sparse_part, train_to_end
from engine.stages import FOUR_KEYS, bits_left

from hpsearch.engine.layout import OPTIMIZERS, STATUSES
from hpsearch.engine.network import Training

SGD = {"optimizer": "sgd", "learning_rate": 0.1}
EVERYTHING = {
    "batch_norm": True, "dropout": 0.3, "input_dropout": 0.2, "ema": 0.8, "max_norm": 1.0, "clip_norm": 0.5, "l1": 0.1,
    "augment": "noise+mixup", "optimizer": "nesterov", "momentum_correction": True, "learning_rate": 0.05,
    "schedule": "cosine_restarts", "decay_epochs": 1, "warmup": 0.7, "label_smoothing": 0.1, "class_weight": "balanced",
}  # fmt: skip
CASES = {
    "momentum": ("regression", {"optimizer": "momentum", "learning_rate": 0.1, "l2": 0.1}),
    "sum of momentum": ("regression", {"optimizer": "momentum", "momentum_form": "sum", "momentum_correction": True}),
    "adam with auc": ("classification", {"metric": "auc", "learning_rate": 0.02}),
    "on-line": ("regression", {"batch_size": 1, "learning_rate": 0.01}),
    "whole batch": ("classification", {"batch_size": "full", "learning_rate": 0.1}),
    "whole batch in pieces": ("classification", {"batch_size": "full", "rows": 1100, "dropout": 0.2}),
    "batch norm": ("classification", {"batch_norm": True}),
    "batch norm of single rows": ("regression", {"batch_norm": True, "batch_size": 7}),
    "dropout": ("classification", {"dropout": 0.4, "input_dropout": 0.3}),
    "an average": ("regression", {"ema": 0.9}),
    "an average with batch norm": ("classification", {"ema": 0.9, "batch_norm": True}),
    "sparse inputs": ("classification", {"features": SPARSE_FEATURES, "dropout": 0.2}),
    "sparse inputs in pieces": ("regression", {"features": SPARSE_FEATURES, "batch_size": "full", "rows": 1100}),
    "noise": ("regression", {"augment": "noise"}),
    "mixup": ("classification", {"augment": "mixup"}),
    "clipped": ("classification", {"clip_norm": 0.1}),
    "short columns": ("classification", {"max_norm": 0.5}),
    "cosine": ("regression", {"schedule": "cosine", "warmup": 1.5}),
    "staircase": ("regression", {"schedule": "staircase", "decay_epochs": 1}),
    "logistic": ("classification", {"output": "logistic"}),
    "huber": ("regression", {"loss": "huber", "huber_delta": 0.2}),
    "everything": ("classification", EVERYTHING),
    "many epochs, of which few are looked at": ("classification", {"epochs": 70}),
    "stops early": ("classification", {"patience": 2, "epochs": 60, "learning_rate": 0.05, "metric": "error"}),
    "diverges": ("regression", SGD | {"learning_rate": 1000, "activation": "relu"}),
} | {name: ("classification", {"optimizer": name, "learning_rate": 0.05}) for name in OPTIMIZERS}
ROWS = 29


def start(case):
    task, hyperparameters = CASES[case]
    hyperparameters = {"epochs": 4} | hyperparameters
    rows = hyperparameters.pop("rows", ROWS)
    network = make_network(task, keys=FOUR_KEYS, **hyperparameters)
    make = make_sparse_part if "sparse" in case else make_part
    training = Training(network, make(task, rows), make(task, 17, seed=1))
    assert (training.settings["sparse"] > 0) == ("sparse" in case)
    return training


def run_in_slices(training, sizes):
    for updates in sizes:
        if training.advance_by(updates) != 0:
            return training
    raise AssertionError("the sizes ran out")


@pytest.mark.parametrize(
    "sizes", [[1], [3, 7, 1, 11], [5, 2**40]], ids=["one by one", "odd numbers", "a few, then all"]
)
@pytest.mark.parametrize("case", CASES)
def test_slices_change_no_bit(case, sizes):
    whole = start(case)
    whole.advance_by(10**9)
    assert bits_left(run_in_slices(start(case), itertools.cycle(sizes))) == bits_left(whole)


@pytest.mark.parametrize("case", CASES)
def test_slices_by_time_change_no_bit(case):
    whole = start(case)
    whole.advance_by(10**9)
    timed = start(case)
    while timed.advance():
        pass
    assert bits_left(timed) == bits_left(whole)


def test_the_cases_end_as_they_are_called():
    ends = {case: run_in_slices(start(case), itertools.repeat(10**9)).status for case in CASES}
    assert ends == dict.fromkeys(CASES, "finished") | {"stops early": "stopped early", "diverges": "diverged"}


@pytest.mark.parametrize("case", CASES)
def test_nothing_moves_without_updates_or_after_the_end(case):
    training = start(case)
    before = bits_left(training)
    assert STATUSES[training.advance_by(0)] == "running"
    assert bits_left(training) == before
    training.advance_by(10**9)
    after = bits_left(training)
    assert training.advance_by(10) == training.state["status"][0]
    assert not training.advance()
    assert bits_left(training) == after


def test_counts_while_it_runs():
    training = start("adam")  # 29 rows by 8: four updates an epoch
    for number in range(1, 9):
        training.advance_by(1)
        assert (training.updates, training.epochs) == (number, number // 4)
        assert training.status == "running"
        assert len(training.curve_rows()) == number // 4
    assert len(training.curve_rows(1)) == 1
    assert np.array_equal(training.curve_rows(1), training.curves[1:2])


def test_keys():
    """Same keys, same bits; another key of any kind, another network. Keys that are left out are 0."""
    parts = make_part("classification", ROWS), make_part("classification", 17, seed=1)

    def run(*keys, **hyperparameters):
        return train_to_end(make_network("classification", keys=keys, **hyperparameters), *parts)

    random = {"dropout": 0.3, "augment": "noise"}
    first = run(1, 2, 3, 4, **random)
    assert bits_left(first) == bits_left(run(1, 2, 3, 4, **random))
    for keys in [(9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9), (2**64 - 1,) * 4]:
        assert not np.array_equal(first.weights, run(*keys, **random).weights)
    assert bits_left(run(1, 2, **random)) == bits_left(run(1, 2, 0, 0, **random))
    assert bits_left(run(1, 2, 3, 4)) == bits_left(run(1, 2, 5, 6))  # of what is not drawn


def test_place_in_memory_changes_no_bit():
    """Inputs may start at any address, at the edge of a cache line or not."""
    network = make_network("classification", features=17, hidden=[16, 5])
    rows = make_part("classification", 300, features=17)
    weights = train_to_end(network, rows, rows).best
    expected, _ = network.evaluate(weights, rows)
    for shift in range(0, 64, 4):
        room = np.zeros(rows.inputs.size + 32, np.float32)
        start = (-room.ctypes.data % 64 + shift) // 4
        moved = room[start : start + rows.inputs.size].reshape(rows.inputs.shape)
        moved[:] = rows.inputs
        rows.inputs = moved
        found, _ = network.evaluate(weights, rows)
        assert np.array_equal(found, expected)
