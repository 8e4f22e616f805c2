"""Exponential, logarithm and their kin for float32, written so that loops over them become vector code.

The standard library's take one number at a time, and are what a small network would spend a third of its time in.
Polynomials were fitted to the smallest largest error (Lawson 1961) on the interval named beside them; each function is
within 5e-7 of the true value, relative to it where nothing else is said (tests/engine/test_elementary.py). Uncompiled,
NumPy's functions in float64 stand in for them.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hpsearch.engine.kernels.compiling import COMPILED, helper

ONE = np.float32(1)
HALF = np.float32(0.5)


@intrinsic
def _split_exponent(_, x):  # noqa: ARG001 - Numba wants the names of the arguments
    """(r, 2^n) with x = n ln 2 + r and |r| <= ln 2 / 2, for |x| < 2^21.

    Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits of the sum. It is taken from there as
    an integer, for fast mathematics might cancel the addition; ln 2 comes in two parts (Cody and Waite 1980).
    """

    def codegen(_context, builder, _signature, arguments):
        (x,) = arguments
        real, whole = ir.FloatType(), ir.IntType(32)
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(real, [real] * 3), "llvm.fmuladd.f32")
        magic = ir.Constant(real, 12582912.0)
        rounded = builder.call(fma, [x, ir.Constant(real, float(np.float32(1 / math.log(2)))), magic])
        places = builder.sub(builder.bitcast(rounded, whole), ir.Constant(whole, 0x4B400000))  # the bits of magic
        n = builder.sitofp(places, real)
        high = np.float32(0.693359375)
        low = np.float32(math.log(2) - 0.693359375)
        r = builder.call(fma, [n, ir.Constant(real, -float(high)), x])
        r = builder.call(fma, [n, ir.Constant(real, -float(low)), r])
        shifted = builder.shl(places, ir.Constant(whole, 23))
        power = builder.bitcast(builder.add(shifted, ir.Constant(whole, 127 << 23)), real)
        return cgutils.pack_array(builder, [r, power])

    return types.UniTuple(types.float32, 2)(types.float32), codegen


@intrinsic
def _split_mantissa(_, x):  # noqa: ARG001
    """(m, e) with x = 2^e m and sqrt(1/2) <= m < sqrt(2), for normal x > 0."""

    def codegen(_context, builder, _signature, arguments):
        (x,) = arguments
        real, whole = ir.FloatType(), ir.IntType(32)
        bits = builder.bitcast(x, whole)
        offset = ir.Constant(whole, 0x3F3504F3)  # the bits of sqrt(1/2)
        moved = builder.sub(bits, offset)
        e = builder.ashr(moved, ir.Constant(whole, 23))
        m = builder.bitcast(builder.sub(bits, builder.shl(e, ir.Constant(whole, 23))), real)
        return cgutils.pack_array(builder, [m, builder.sitofp(e, real)])

    return types.UniTuple(types.float32, 2)(types.float32), codegen


def _exponential(x):
    """e^x for x from -87 to 88; beyond, the value at that end. NaN stays NaN."""
    low, high = np.float32(-87), np.float32(88)
    x = low if x < low else x  # noqa: FURB136 - these two keep a NaN, which `max` and `min` may not
    x = high if x > high else x  # noqa: FURB136
    r, power = _split_exponent(x)
    # on [-ln 2 / 2, ln 2 / 2]
    p = np.float32(0.0013836778)
    p = p * r + np.float32(0.008374857)
    p = p * r + np.float32(0.04166823)
    p = p * r + np.float32(0.1666642)
    p = p * r + np.float32(0.4999999)
    p = p * r + ONE
    p = p * r + ONE
    return p * power


def _logarithm(x):
    """Natural logarithm of a normal x > 0; absolute error 1e-7 near 1."""
    m, e = _split_mantissa(x)
    u = m - ONE
    # log(1 + u) / u on [sqrt(1/2) - 1, sqrt(2) - 1]
    p = np.float32(-0.076207206)
    p = p * u + np.float32(0.12904444)
    p = p * u + np.float32(-0.1324352)
    p = p * u + np.float32(0.14181875)
    p = p * u + np.float32(-0.1660901)
    p = p * u + np.float32(0.20001966)
    p = p * u + np.float32(-0.25001585)
    p = p * u + np.float32(0.33333325)
    p = p * u + np.float32(-0.49999988)
    p = p * u + ONE
    return p * u + e * np.float32(math.log(2))


def _log_one_plus(u):
    """log(1 + u) for u in [0, 1]."""
    # log(1 + u) / u on [0, 1]
    p = np.float32(-0.0032438536)
    p = p * u + np.float32(0.019850688)
    p = p * u + np.float32(-0.05695808)
    p = p * u + np.float32(0.106035076)
    p = p * u + np.float32(-0.15305506)
    p = p * u + np.float32(0.19675909)
    p = p * u + np.float32(-0.24954128)
    p = p * u + np.float32(0.3332996)
    p = p * u + np.float32(-0.49999902)
    p = p * u + ONE
    return p * u


def _hyperbolic_tangent(x):
    """Hyperbolic tangent of x: near 0 a polynomial, for there 1 - e^-2|x| would cancel."""
    q = x * x
    # tanh(x) / x in x^2 on [0, 0.625^2]
    p = np.float32(0.015083973)
    p = p * q + np.float32(-0.051847715)
    p = p * q + np.float32(0.13305159)
    p = p * q + np.float32(-0.33332005)
    p = p * q + np.float32(0.9999999)
    size = abs(x)
    e = exponential(-(size + size))
    far = (ONE - e) / (ONE + e)
    return x * p if size < np.float32(0.625) else math.copysign(far, x)


def _normal_tail(x, e):
    """1 - Phi(x), the upper tail of the normal distribution, for x >= 0; `e` is exp(-x^2 / 2)."""
    t = ONE / (ONE + np.float32(0.45 * math.sqrt(0.5)) * x)
    # erfc(y) e^(y^2) / t in t = 1 / (1 + 0.45 y) on (0, 1]
    p = np.float32(-0.04207204)
    p = p * t + np.float32(0.19364679)
    p = p * t + np.float32(-0.30596006)
    p = p * t + np.float32(0.14770655)
    p = p * t + np.float32(-0.025443863)
    p = p * t + np.float32(0.12102602)
    p = p * t + np.float32(0.1750338)
    p = p * t + np.float32(0.22829548)
    p = p * t + np.float32(0.253882)
    p = p * t + np.float32(0.25388533)
    return HALF * p * t * e


def _cosine_and_sine(u):
    """Cosine and sine of 2 pi u for u in [0, 1]; absolute error 2e-6."""
    v = u - HALF
    q = v * v
    # cos(2 pi v) and sin(2 pi v) / v in v^2 on [0, 1/4]
    c = np.float32(-1.4532368)
    c = c * q + np.float32(7.8002405)
    c = c * q + np.float32(-26.404705)
    c = c * q + np.float32(60.242138)
    c = c * q + np.float32(-85.45666)
    c = c * q + np.float32(64.93939)
    c = c * q + np.float32(-19.739208)
    c = c * q + ONE
    s = np.float32(-0.6208206)
    s = s * q + np.float32(3.7813554)
    s = s * q + np.float32(-15.086577)
    s = s * q + np.float32(42.057755)
    s = s * q + np.float32(-76.7058)
    s = s * q + np.float32(81.60525)
    s = s * q + np.float32(-41.3417)
    s = s * q + np.float32(6.2831855)
    return -c, -s * v


if COMPILED:
    exponential = helper(_exponential)
    logarithm = helper(_logarithm)
    log_one_plus = helper(_log_one_plus)
    hyperbolic_tangent = helper(_hyperbolic_tangent)
    normal_tail = helper(_normal_tail)
    cosine_and_sine = helper(_cosine_and_sine)
else:
    exponential = lambda x: np.exp(min(x, 700.0))  # noqa: E731 - NumPy warns where it overflows
    logarithm = np.log
    log_one_plus = np.log1p
    hyperbolic_tangent = np.tanh
    normal_tail = lambda x, _: np.float64(0.5 * math.erfc(x * math.sqrt(0.5)))  # noqa: E731
    cosine_and_sine = lambda u: (np.cos(2 * np.pi * u), np.sin(2 * np.pi * u))  # noqa: E731
