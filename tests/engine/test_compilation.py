"""Each entry is compiled once, for one signature: no shape or option compiles again, the gate makes arrays right."""

import numpy as np
import pytest
from engine import all_shapes
from engine.cases import COMPILED, Part, make_network, make_part, train_to_end

from hpsearch.engine.network import start_engine

compiled_only = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@compiled_only
def test_no_shape_compiles_again():
    """0 to 6 hidden layers, batches of 1, 7 and all, both tasks, every metric, activation, optimiser and scheme."""
    kernels = start_engine()
    from numba.core import event  # not above: the cache folder is said to Numba before it is first imported

    with event.install_recorder("numba:compile") as compilations:
        losses, _ = all_shapes.run_all()
    assert len(losses) == 192
    assert not compilations.buffer
    for entry in (kernels.train, kernels.evaluate, kernels.initialise):
        assert len(entry.signatures) == 1
        assert len(entry.nopython_signatures) == 1


@compiled_only
def test_the_entries_refuse_what_they_were_not_compiled_for():
    network = make_network("classification")
    with pytest.raises(TypeError, match="No matching definition"):
        start_engine().initialise(np.zeros(network.parameters), network.sizes, network.settings)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def every_second(array):
    wide = np.zeros((len(array) * 2, *array.shape[1:]), array.dtype)
    wide[::2] = array
    return wide[::2]


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned or array.size == 0
    return moved


KINDS = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "float64 and int64": lambda array: array.astype(np.int64 if array.dtype.kind == "i" else np.float64),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "every second row": every_second,
    "backwards": lambda array: np.flip(array).copy()[tuple([slice(None, None, -1)] * array.ndim)],
    "unaligned": unaligned,
    "lists": lambda array: array.tolist() if array.size else array,
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_gate_makes_every_kind_of_array_right(task, kind):
    """The same bits as from plain arrays, and what was handed in is left alone."""
    make = KINDS[kind]
    plain = make_part(task, 30), make_part(task, 20, seed=1)
    others = [Part(make(part.inputs), make(part.labels), make(part.targets)) for part in plain]
    network = make_network(task)
    expected, found = train_to_end(network, *plain), train_to_end(network, *others)
    assert np.array_equal(found.weights, expected.weights)
    assert np.array_equal(found.curves, expected.curves)
    expected_scores, expected_metrics = network.evaluate(expected.best, plain[1])
    weights = make(expected.best)
    scores, metrics = network.evaluate(weights, others[1])
    assert np.array_equal(scores, expected_scores)
    assert metrics == expected_metrics
    assert type(scores) is np.ndarray
    assert np.array_equal(weights, expected.best)
    for part, other in zip(plain, others, strict=True):
        assert np.array_equal(part.inputs, other.inputs)
        assert np.array_equal(part.labels, other.labels)
        assert np.array_equal(part.targets, other.targets)
