"""What the kernels could not survive is refused before they see it, and undefined scores win nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest
from engine.cases import COMPILED, Part, make_network, make_part, train_to_end
from engine.test_known_answers import outputs_as_given


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


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_other_packages_may_use_numba_before_and_after(tmp_path):
    """Neither do they find their code in our folder, nor we ours in theirs."""
    module = "from numba import njit\n@njit(cache=True)\ndef f(x):\n    return x + 1\n"
    (tmp_path / "mylib.py").write_text(module, encoding="utf-8")
    code = (
        "import mylib; mylib.f(1); from hpsearch.engine.cache import cache_folder, load_kernels; said = [];"
        "k = load_kernels(said.append); mylib.f(1.5);"
        "folders = {e.stats.cache_path.startswith(str(cache_folder())) for e in (k.initialise, k.evaluate, k.train)};"
        "misses = sum(sum(e.stats.cache_misses.values()) for e in (k.initialise, k.evaluate, k.train));"
        "print(len(said), folders, misses)"
    )
    for _ in range(2):
        assert python(code, PYTHONPATH=str(tmp_path)) == "0 {True} 0"
    assert list((tmp_path / "__pycache__").glob("mylib.f-*.nbi"))


@pytest.mark.parametrize("name", ["NUMBA_BOUNDSCHECK", "NUMBA_OPT", "NUMBA_LOOP_VECTORIZE", "NUMBA_DISABLE_INTEL_SVML"])
def test_the_cache_s_key_follows_what_changes_the_code(monkeypatch, name):
    from hpsearch.engine import cache

    key = cache._key()
    monkeypatch.setenv(name, "1")
    assert cache._key() != key
