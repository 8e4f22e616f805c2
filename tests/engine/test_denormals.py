"""Numbers too small for a full float cost a processor a hundred times as much, so training has none."""

import os

import numpy as np
import pytest
from engine.cases import make_network, make_part

from hpsearch.engine.network import Training

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="uncompiled, the processor's mode is Python's"
)
TINY = np.float32(1e-40)  # below 2^-126, the smallest full one


def denormals(array):
    return np.count_nonzero((np.abs(array) < np.finfo(np.float32).tiny) & (array != 0))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "momentum", "nesterov", "rmsprop"])
def test_the_memory_of_a_dead_unit_becomes_zero(optimizer):
    network = make_network("classification", hidden=[8], optimizer=optimizer, activation="relu", ema=0.9, epochs=40)
    training = Training(network, make_part("classification", 40), make_part("classification", 20, seed=1))
    weights = int(network.layers[0]["n_in"]) * 8
    training.weights[weights : weights + 8] = -100.0  # biases: no unit is ever active
    memories = [a for a in training._arrays if getattr(a, "size", 0) >= network.trained and a.dtype == np.float32]
    memories = [a for a in memories[1:4] if a is not training.best]
    for memory in memories:
        memory[:weights] = 1e-36
    while training.advance():
        pass
    assert training.updates > 50
    assert [denormals(memory) for memory in (training.weights, *memories)] == [0] * (1 + len(memories))


def test_the_mode_of_the_processor_is_given_back():
    network = make_network("classification")
    training = Training(network, make_part("classification", 20), make_part("classification", 20, seed=1))
    training.advance_by(1)
    network.evaluate(training.weights, make_part("classification", 20))
    assert TINY * np.float32(0.5) > 0
    assert float(np.array([TINY, TINY]).sum()) > 0
