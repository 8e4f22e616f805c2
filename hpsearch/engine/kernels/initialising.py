"""The first weights."""

from __future__ import annotations

import math

import numpy as np
from numba import int64, uint64, void

from hpsearch.engine.kernels.compiling import NUMBERS, PLACES, SUMS, stage
from hpsearch.engine.kernels.random_numbers import random_normal, random_uniform
from hpsearch.engine.layout import INITS
from hpsearch.engine.places import layer as L
from hpsearch.engine.places import settings as S

GLOROT = INITS.index("glorot")
HE = INITS.index("he")
UNIFORM = INITS.index("xavier_uniform")  # this and the two after it repeat the first three with another distribution
CONSTANT = INITS.index("constant")
CONSTANT_WEIGHT = 0.1


@stage(void(NUMBERS, PLACES, int64, SUMS, uint64))
def fill(weights, layers, depth, s, key):
    """Fill `weights`: W ~ scale * N(0, 1) or scale * sqrt(3) * U(-1, 1), biases 0, gains and running variances 1.

    scale^2 is 1 / n_in (Xavier), 2 / (n_in + n_out) (Glorot and Bengio 2010) or 2 / n_in (He et al. 2015). Weight
    number i of the vector uses draw i of the stream `key`.
    """
    init = int(s[S.init])
    kind = init - UNIFORM if UNIFORM <= init < CONSTANT else init
    for l in range(depth):
        row = l * L.WIDTH
        n_in, n_out = layers[row + L.n_in], layers[row + L.n_out]
        if kind == HE:
            scale = math.sqrt(2.0 / n_in)
        elif kind == GLOROT:
            scale = math.sqrt(2.0 / (n_in + n_out))
        else:
            scale = math.sqrt(1.0 / n_in)
        for i in range(layers[row + L.weight], layers[row + L.bias]):
            if init == CONSTANT:
                weights[i] = CONSTANT_WEIGHT
            elif init >= UNIFORM:
                weights[i] = scale * math.sqrt(3.0) * (2.0 * random_uniform(key, np.uint64(i)) - 1.0)
            else:
                weights[i] = scale * random_normal(key, np.uint64(i))
        for j in range(n_out):
            weights[layers[row + L.bias] + j] = 0
            if layers[row + L.gain] >= 0:
                weights[layers[row + L.gain] + j] = 1
                weights[layers[row + L.mean] + j] = 0
                weights[layers[row + L.variance] + j] = 1
