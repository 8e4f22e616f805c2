"""Where training is cut into slices, and where its arrays lie, changes no bit; keys do."""

import itertools

import numpy as np
import pytest
from engine.cases import make_network, make_part, train_to_end

from hpsearch.engine.layout import STATUSES
from hpsearch.engine.network import Training

CASES = {
    "sgd": ("classification", {"optimizer": "sgd", "learning_rate": 0.1}),
    "momentum": ("regression", {"optimizer": "momentum", "learning_rate": 0.1, "l2": 0.1}),
    "adam with auc": ("classification", {"metric": "auc", "learning_rate": 0.02}),
    "on-line": ("regression", {"batch_size": 1, "learning_rate": 0.01}),
    "whole batch": ("classification", {"batch_size": "full", "learning_rate": 0.1}),
    "stops early": ("classification", {"patience": 2, "epochs": 60, "learning_rate": 0.05, "metric": "error"}),
    "diverges": ("regression", {"optimizer": "sgd", "learning_rate": 1000, "activation": "relu"}),
}
ROWS = 29


def bits(training):
    """Everything that training leaves behind."""
    return {
        "weights": training.weights.tobytes(),
        "best": training.best.tobytes(),
        "curves": training.curves.tobytes(),
        "state": {name: training.state[name].tobytes() for name in training.state.dtype.names},
    }


def start(case):
    task, hyperparameters = CASES[case]
    network = make_network(task, **{"epochs": 4} | hyperparameters)
    return Training(network, make_part(task, ROWS), make_part(task, 17, seed=1))


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
    assert bits(run_in_slices(start(case), itertools.cycle(sizes))) == bits(whole)


@pytest.mark.parametrize("case", CASES)
def test_slices_by_time_change_no_bit(case):
    whole = start(case)
    whole.advance_by(10**9)
    timed = start(case)
    while timed.advance():
        pass
    assert bits(timed) == bits(whole)


def test_the_cases_end_as_they_are_called():
    ends = {case: run_in_slices(start(case), itertools.repeat(10**9)).status for case in CASES}
    assert ends == dict.fromkeys(CASES, "finished") | {"stops early": "stopped early", "diverges": "diverged"}


@pytest.mark.parametrize("case", CASES)
def test_nothing_moves_without_updates_or_after_the_end(case):
    training = start(case)
    before = bits(training)
    assert STATUSES[training.advance_by(0)] == "running"
    assert bits(training) == before
    training.advance_by(10**9)
    after = bits(training)
    assert training.advance_by(10) == training.state["status"][0]
    assert not training.advance()
    assert bits(training) == after


def test_counts_while_it_runs():
    training = start("sgd")  # 29 rows by 8: four updates an epoch
    for number in range(1, 9):
        training.advance_by(1)
        assert (training.updates, training.epochs) == (number, number // 4)
        assert training.status == "running"
        assert len(training.curve_rows()) == number // 4
    assert len(training.curve_rows(1)) == 1
    assert np.array_equal(training.curve_rows(1), training.curves[1:2])


def test_keys():
    """Same keys, same bits; another key of either kind, another network."""
    parts = make_part("classification", ROWS), make_part("classification", 17, seed=1)
    first, again, other_init, other_shuffle, largest = (
        train_to_end(make_network("classification", keys=keys), *parts)
        for keys in [(1, 2), (1, 2), (3, 2), (1, 3), (2**64 - 1, 2**64 - 1)]
    )
    assert bits(first) == bits(again)
    for other in (other_init, other_shuffle, largest):
        assert not np.array_equal(first.weights, other.weights)


def test_place_in_memory_changes_no_bit():
    """Inputs may start at any address: vectorised code and BLAS may take another way there, but not to another end."""
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
