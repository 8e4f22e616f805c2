"""What the kernels could not survive is refused before they see it, and undefined scores win nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine.cases import COMPILED, Part, make_network, make_part, train_to_end
from engine.test_known_answers import outputs_as_given

from hpsearch.engine.network import Network, Training
from hpsearch.errors import ConfigError


@pytest.mark.parametrize("extra", [-3, 3])
def test_weights_of_another_length(extra):
    network = make_network("classification")
    with pytest.raises(ValueError, match="weights have shape"):
        network.evaluate(np.zeros(network.parameters + extra, np.float32), make_part("classification", 10))


@pytest.mark.parametrize("labels", [[0, 1], [-1] * 10, [10**6] * 10])
def test_labels_that_do_not_fit(labels):
    network = make_network("classification")
    rows = Part(make_part("classification", 10).inputs, np.array(labels))
    with pytest.raises(ValueError, match="labels"):
        network.evaluate(np.zeros(network.parameters, np.float32), rows)


@pytest.mark.parametrize("shape", [(0, 5), (10, 4), (50,)])
def test_inputs_of_another_shape(shape):
    rows = Part(np.zeros(shape, np.float32), np.zeros(shape[0], np.int32))
    with pytest.raises(ValueError, match="inputs have shape"):
        train_to_end(make_network("classification"), rows, make_part("classification", 10))


def test_squares_are_float64():
    _, found = outputs_as_given("regression", [[3e19], [0]], [0, 1])
    assert found["rmse"] == pytest.approx(3e19 / 2**0.5)


def test_r2_of_a_constant_target_is_undefined():
    _, found = outputs_as_given("regression", [[3], [0]], [2, 2])
    assert "r2" not in found


def test_an_undefined_metric_is_not_the_best():
    dev = make_part("classification", 20, classes=2, seed=3)
    dev.labels[:] = 1  # the area under the curve needs both classes
    network = make_network("classification", classes=2, metric="auc", epochs=8, patience=3)
    training = train_to_end(network, make_part("classification", 40, classes=2), dev)
    assert (training.status, training.best_epoch) == ("finished", 8)


def test_updates_are_those_that_were_made():
    train = make_part("regression", 20)
    train.inputs[:] = np.nan
    training = train_to_end(make_network("regression"), train, train)
    assert (training.status, training.updates) == ("diverged", 0)


def python(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(("labels", "targets"), [((10, 1), (0, 1)), ((0,), (10,)), ((0,), (10, 2)), ((0,), (10, 0))])
def test_answers_of_another_shape(labels, targets):
    rows = Part(np.zeros((10, 5), np.float32), np.zeros(labels, np.int32), np.zeros(targets, np.float32))
    with pytest.raises(ValueError, match="labels have shape"):
        train_to_end(make_network("regression"), rows, rows)


@pytest.mark.parametrize("rows", [0, 9, 11])
def test_as_many_answers_as_rows(rows):
    """Training needs them all; an evaluation takes all or none."""
    part = make_part("classification", 10)
    part.labels = np.zeros(rows, np.int32)
    network = make_network("classification")
    with pytest.raises(ValueError, match="labels and 0 targets for 10 rows"):
        train_to_end(network, part, part)
    weights = np.zeros(network.vector_size, np.float32)
    if rows:
        with pytest.raises(ValueError, match="labels and 0 targets for 10 rows"):
            network.evaluate(weights, part)
    else:
        assert network.evaluate(weights, part)[1] == {}


@pytest.mark.parametrize(
    ("task", "labels", "targets"),
    [("classification", 0, 10), ("classification", 5, 5), ("regression", 10, 0), ("regression", 5, 5)],
)
def test_answers_of_the_other_task(task, labels, targets):
    """As many in all as there are rows, but not those that will be looked up."""
    part = Part(np.zeros((10, 5), np.float32), np.zeros(labels, np.int32), np.zeros((targets, 1), np.float32))
    network = make_network(task)
    with pytest.raises(ValueError, match="targets for 10 rows"):
        train_to_end(network, part, part)
    with pytest.raises(ValueError, match="targets for 10 rows"):
        network.evaluate(np.zeros(network.vector_size, np.float32), part)


@pytest.mark.parametrize("shape", [(2, 2), (1, 5, 2), (3, 2, 1), (0, 5), (100, 100, 3)])
def test_images_of_another_size_than_their_rows(shape):
    """Their pixels are looked up by place."""
    with pytest.raises(ValueError, match="image_shape"):
        Network({}, n_inputs=5, n_outputs=2, task="classification", metric="error", image_shape=shape)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0, 4.0], []])
def test_as_many_class_weights_as_classes(weights):
    rows = make_part("classification", 10)
    with pytest.raises(ConfigError, match="class_weight"):
        Training(make_network("classification", class_weight=weights), rows, rows)


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
@pytest.mark.parametrize("order", ["mylib.f(1); train(); mylib.f(1.5)", "train(); mylib.f(1); mylib.f(1.5)"])
def test_other_packages_may_use_numba_before_and_after(tmp_path, order):
    """Neither is the engine compiled again, nor does their cached code go anywhere else than where they want it."""
    module = "from numba import njit\n@njit(cache=True)\ndef f(x):\n    return x + 1\n"
    (tmp_path / "mylib.py").write_text(module, encoding="utf-8")
    code = f"""
import sys
from engine.cases import make_network, make_part, train_to_end
from hpsearch.engine.cache import load_kernels
def train():
    said = []
    load_kernels(said.append)
    rows = make_part("classification", 20)
    print(len(said), train_to_end(make_network("classification", epochs=1), rows, rows).status)
import mylib
{order}
"""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join(str(folder) for folder in (tmp_path, tests.parent, tests))
    assert python(code, PYTHONPATH=path) == "0 finished"
    assert len(list((tmp_path / "__pycache__").glob("mylib.f-*.nbc"))) == 2
