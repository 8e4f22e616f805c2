"""The same code for processors with fewer abilities than this one may have.

There the compiler takes other ways: without fused multiplication it once cancelled the rounding that the exponential
is made of, and nothing on a newer processor showed it.
"""

import pytest
from engine.cases import COMPILED
from engine.other_processor import PROCESSORS
from engine.test_elementary import PROMISE, SLOPES

from hpsearch.engine.layout import ACTIVATIONS, OPTIMIZERS

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_processor(long_run, processor):
    """Activations of up to 30, where a rounding is 30 times that of 1; steps in parts of themselves."""
    answers = long_run("on_other_processors")
    if processor not in answers:
        pytest.skip("this processor has not all of its abilities")
    answer = answers[processor]
    assert answer["lanes"] == PROCESSORS[processor][2]
    assert set(answer["activations"]) == set(ACTIVATIONS)
    for activation, (of_value, of_slope) in answer["activations"].items():
        assert of_value < 30 * PROMISE, activation
        assert of_slope < SLOPES[activation], activation
    assert answer["products"] < 1
    assert set(answer["steps"]) == set(OPTIMIZERS)
    assert max(answer["steps"].values()) < 2e-6
