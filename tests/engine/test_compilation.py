"""Everything is compiled beforehand, for one kind of array each: no option compiles again, the gate makes arrays right.

That a process that trains every option needs no compiler is seen in test_fresh_processes.py.
"""

import math

import numpy as np
import pytest
from engine import all_shapes
from engine.cases import COMPILED, Part, make_network, make_part, train_to_end

from hpsearch.engine.hyperparameters import AUGMENTATIONS
from hpsearch.engine.network import CODES, start_engine


def test_all_shapes_draw_every_option():
    """Else bits, bounds and compilation of it would go untested: every name, and every switch on and off."""
    drawn = {}
    for network, _ in all_shapes.all_networks():
        for name, value in network.hyperparameters.items():
            drawn.setdefault(name, set()).add(str(value))
    for name, words in CODES.items():
        assert drawn[name] == set(words), name
    assert drawn["class_weight"] == {"none", "balanced"}
    assert {"1", "full"} < drawn["batch_size"]
    switches = {
        "hidden", "batch_norm", "momentum_correction", "dropout", "weight_decay", "warmup", "l2", "l1", "input_dropout",
        "label_smoothing", "clip_norm", "max_norm", "ema", "huber_delta",
    }  # fmt: skip
    switches |= {f"augment.{name}" for name in AUGMENTATIONS}
    for name in switches:
        assert len(drawn[name]) > 1, name


def test_all_shapes_come_to_an_end():
    """In the same way each time; uncompiled some of them, where NumPy raises an IndexError beyond an array's end."""
    losses, digest = all_shapes.run_all()
    assert len(losses) == (234 if COMPILED else 47)
    assert all(math.isfinite(loss) for loss in losses)
    assert all_shapes.run_all()[1] == digest


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_stages_refuse_other_numbers_of_arguments_and_other_kinds():
    order, shuffle = np.zeros(5, np.int32), start_engine().shuffle
    with pytest.raises(TypeError):
        shuffle(order, 5)
    with pytest.raises(Exception, match="wrong type"):
        shuffle(order, 5.0, 1)
    shuffle(order, 5, 1)


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
