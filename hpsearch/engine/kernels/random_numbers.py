"""Random numbers as pure functions of (key, counter): SplitMix64 by index (Steele, Lea, Flood 2014)."""

from __future__ import annotations

import math

import numpy as np
from numba import int64, uint64, void

from hpsearch.engine.kernels.compiling import LABELS, helper, stage


@helper
def random_bits(key, counter):
    """The `counter`-th output (from 0) of the SplitMix64 generator seeded with `key`; both uint64."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@helper
def random_uniform(key, counter):
    """A float64 in (0, 1): 53 random bits and a half, so that neither end is reached."""
    return (float(random_bits(key, counter) >> np.uint64(11)) + 0.5) * 2.0**-53


@helper
def random_normal(key, counter):
    """~ N(0, 1), Box and Muller 1958: draw `counter` uses the uniforms 2 * counter and 2 * counter + 1."""
    first = np.uint64(2) * counter
    radius = math.sqrt(-2.0 * math.log(random_uniform(key, first)))
    return radius * math.cos(2.0 * math.pi * random_uniform(key, first + np.uint64(1)))


@stage(void(LABELS, int64, uint64))
def shuffle(order, n, key):
    """A random permutation of 0 .. n-1 written into `order`, by Fisher and Yates from the top down.

    The index below `size` is the high word of a product of two 32-bit numbers (Lemire 2019); its bias is below n /
    2^32.
    """
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        bits = random_bits(key, np.uint64(i)) >> np.uint64(32)
        j = int((bits * np.uint64(i + 1)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]
