"""The same code for processors with fewer abilities than this one may have.

There the compiler takes other ways: without fused multiplication it once cancelled the rounding that the exponential
is made of, and nothing on a newer processor showed it.
"""

import platform
from pathlib import Path

import pytest
from engine.cases import COMPILED, finish_script, start_script
from engine.test_elementary import PROMISE, SLOPES

from hpsearch.engine.layout import ACTIVATIONS, OPTIMIZERS

pytestmark = [
    pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1"),
    pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="these processors are of the x86 family"),
]

PROCESSORS = {  # name, features, lanes of its vectors
    "as of many virtual machines": ("x86-64", "+sse,+sse2", 4),
    "of 2011": ("sandybridge", "+sse,+sse2,+sse4.1,+avx", 8),
    "of 2013": ("haswell", "+sse,+sse2,+sse4.1,+avx,+avx2,+fma", 8),
}


def can_run(features):
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].replace("_", ".").split()
    except OSError:
        return False
    return set(features.replace("+", "").split(",")) <= set(flags)


@pytest.fixture(scope="module")
def started():
    """All at once, each compiling for some seconds."""
    processes = {
        processor: start_script("other_processor.py", NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
        for processor, (name, features, _) in PROCESSORS.items()
        if can_run(features)
    }
    yield processes
    for process in processes.values():
        process.kill()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_processor(started, processor):
    """Activations of up to 30, where a rounding is 30 times that of 1; steps in parts of themselves."""
    if processor not in started:
        pytest.skip("this processor has not all of its abilities")
    answer = finish_script(started[processor])
    assert answer["lanes"] == PROCESSORS[processor][2]
    assert set(answer["activations"]) == set(ACTIVATIONS)
    for activation, (of_value, of_slope) in answer["activations"].items():
        assert of_value < 30 * PROMISE, activation
        assert of_slope < SLOPES[activation], activation
    assert answer["products"] < 1
    assert set(answer["steps"]) == set(OPTIMIZERS)
    assert max(answer["steps"].values()) < 2e-6
