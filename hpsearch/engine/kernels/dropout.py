"""Inverted dropout (Srivastava et al. 2014): what is kept is divided by the probability of being kept."""

from __future__ import annotations

import numpy as np
from numba import float64, int64, uint64, void

from hpsearch.engine.kernels.compiling import NUMBERS, stage
from hpsearch.engine.kernels.random_numbers import random_bits

BITS = 16  # of random words that decide on one value; a share is rounded to a multiple of 2^-16


@stage(void(NUMBERS, NUMBERS, int64, float64, uint64))
def drop(values, slopes, count, share, key):
    """Set a `share` of the values to 0 and scale the rest, in place; their slopes likewise.

    Value i has the bits 16 * (i % 4) and on of word i // 4 of the stream `key`, and is kept if they are no less than
    the share.
    """
    limit = np.uint64(round(share * 2.0**BITS))
    scale = np.float32(1.0 / (1.0 - share))
    nothing = np.float32(0)
    low = np.uint64(2**BITS - 1)
    words = count // 4
    for word in range(words):
        bits = random_bits(key, np.uint64(word))
        for part in range(4):
            i = 4 * word + part
            kept = scale if ((bits >> np.uint64(BITS * part)) & low) >= limit else nothing
            values[i] *= kept
            slopes[i] *= kept
    bits = random_bits(key, np.uint64(words))
    for i in range(4 * words, count):
        kept = scale if ((bits >> np.uint64(BITS * (i % 4))) & low) >= limit else nothing
        values[i] *= kept
        slopes[i] *= kept
