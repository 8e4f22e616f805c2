"""Activations: value and slope together, because the costly part (an exponential) is the same.

Each is a pass of its own over a flat array, so that it becomes vector code.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int64, void

from hpsearch.engine.kernels.compiling import NUMBERS, helper, stage
from hpsearch.engine.kernels.elementary import (
    HALF,
    ONE,
    exponential,
    hyperbolic_tangent,
    log_one_plus,
    normal_tail,
)
from hpsearch.engine.layout import ACTIVATIONS

ZERO = np.float32(0)
LEAK = np.float32(0.01)
SELU_SCALE = np.float32(1.0507009873554804934193349852946)  # Klambauer et al. 2017, arXiv 1706.02515, eq. (2)
SELU_CURVE = np.float32(1.0507009873554804934193349852946 * 1.6732632423543772848170429916717)
NORMAL_PEAK = np.float32(1 / np.sqrt(2 * np.pi))
MISH_END = np.float32(20)  # from here on mish(z) = z in float32

# The largest slope of each: what a stuck unit's slope is measured against.
_OTHER_THAN_ONE = {"sigmoid": 0.25, "selu": float(SELU_CURVE), "gelu": 1.1289, "silu": 1.0998, "mish": 1.0885}
STEEPEST = np.array([_OTHER_THAN_ONE.get(name, 1.0) for name in ACTIVATIONS])


@helper
def identity(z):
    """Nothing is done; the slope is 1, NaN where z is."""
    return z, z * ZERO + ONE


@helper
def sigmoid(z):
    """exp(-z) ends at e^88: the value then is 6e-39."""
    a = ONE / (ONE + exponential(-z))
    return a, a * (ONE - a)


@helper
def tanh(z):
    """Hyperbolic tangent."""
    a = hyperbolic_tangent(z)
    return a, ONE - a * a


@helper
def relu(z):
    """The larger of z and 0."""
    return (z if z > ZERO or math.isnan(z) else ZERO), (ONE if z > ZERO else ZERO)


@helper
def leaky_relu(z):
    """A hundredth of z below 0."""
    return (z if z > ZERO else LEAK * z), (ONE if z > ZERO else LEAK)


@helper
def elu(z):
    """Below 0 e^z - 1 (Clevert et al. 2016, arXiv 1511.07289)."""
    e = exponential(z if z < ZERO or math.isnan(z) else ZERO)
    return (z if z > ZERO else e - ONE), e


@helper
def selu(z):
    """An elu, scaled so that mean 0 and variance 1 reproduce themselves."""
    e = SELU_CURVE * exponential(z if z < ZERO or math.isnan(z) else ZERO)
    return (SELU_SCALE * z if z > ZERO else e - SELU_CURVE), (SELU_SCALE if z > ZERO else e)


@helper
def softplus(z):
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|) never overflows."""
    e = exponential(-abs(z))
    share = ONE / (ONE + e)
    return (z if z > ZERO else z * ZERO) + log_one_plus(e), (share if z > ZERO else e * share)


@helper
def gelu(z):
    """The product of z and Phi(z), not its approximation (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    e = exponential(-HALF * z * z)
    tail = normal_tail(abs(z), e)
    below = ONE - tail if z > ZERO else tail  # Phi(z)
    return z * below, below + z * NORMAL_PEAK * e


@helper
def silu(z):
    """The product of z and sigmoid(z)."""
    share = ONE / (ONE + exponential(-z))
    a = z * share
    return a, share + a * (ONE - share)


@helper
def mish(z):
    """The product of z and tanh(log(1 + e^z)); with s = e^z (e^z + 2) the latter is s / (s + 2)."""
    e = exponential(z if z < MISH_END or math.isnan(z) else MISH_END)
    s = e * (e + ONE + ONE)
    t = s / (s + ONE + ONE)
    return z * t, t + z * (ONE - t * t) * (e / (ONE + e))


def _pass(function):
    @helper
    def over(values, slopes, count):
        for i in range(count):
            values[i], slopes[i] = function(values[i])

    return over


_FUNCTIONS = (identity, sigmoid, tanh, relu, leaky_relu, elu, selu, softplus, gelu, silu, mish)
(
    _identity, _sigmoid, _tanh, _relu, _leaky_relu, _elu, _selu, _softplus, _gelu, _silu, _mish,
) = (_pass(function) for function in _FUNCTIONS)  # fmt: skip
IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, ELU, SELU, SOFTPLUS, GELU, SILU, _ = range(len(ACTIVATIONS))


@stage(void(int64, NUMBERS, NUMBERS, int64))
def activate(code, values, slopes, count):
    """Replace z by g(z) in `values`, in place; `slopes` receives dg/dz."""
    if code == IDENTITY:
        _identity(values, slopes, count)
    elif code == SIGMOID:
        _sigmoid(values, slopes, count)
    elif code == TANH:
        _tanh(values, slopes, count)
    elif code == RELU:
        _relu(values, slopes, count)
    elif code == LEAKY_RELU:
        _leaky_relu(values, slopes, count)
    elif code == ELU:
        _elu(values, slopes, count)
    elif code == SELU:
        _selu(values, slopes, count)
    elif code == SOFTPLUS:
        _softplus(values, slopes, count)
    elif code == GELU:
        _gelu(values, slopes, count)
    elif code == SILU:
        _silu(values, slopes, count)
    else:
        _mish(values, slopes, count)
