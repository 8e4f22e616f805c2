"""What goes wrong in which layer."""

from __future__ import annotations

import math

import numpy as np
from numba import int64, void

from hpsearch.engine.kernels.activations import STEEPEST
from hpsearch.engine.kernels.compiling import NUMBERS, PLACES, SUMS, after, helper, stage
from hpsearch.engine.kernels.optimisers import BEFORE, CHANGE, GRADIENT
from hpsearch.engine.layout import HEALTH
from hpsearch.engine.places import layer as L
from hpsearch.engine.places import settings as S

FLAT = 0.05  # share of the steepest slope below which a unit passes hardly any signal back
GRAD_NORM, UPDATE_RATIO, STUCK = range(len(HEALTH))


@stage(void(SUMS, PLACES, NUMBERS, int64, int64, NUMBERS, NUMBERS))
def note_stuck(s, layers, slopes, rows, capacity, scratch, health):
    """Note for each hidden layer the share of its units whose slope stays near 0 on all rows: dead or saturated.

    health (layers, len(HEALTH)) is one point in time.
    """
    limit = np.float32(FLAT * STEEPEST[int(s[S.activation])])
    for l in range(int(s[S.layers]) - 1):
        layer = after(layers, l * L.WIDTH)
        units = layer[L.n_out]
        out = after(slopes, capacity * (layer[L.before] + layer[L.n_in]))
        for j in range(units):
            scratch[j] = 0
        for i in range(rows):
            row = after(out, i * units)
            for j in range(units):
                scratch[j] = max(scratch[j], abs(row[j]))
        stuck = 0
        for j in range(units):
            stuck += scratch[j] < limit
        health[l * len(HEALTH) + STUCK] = stuck / units


@helper
def note_step(depth, sums, health):
    """Note what a watched step has summed up: the gradient's length, and how far W went, as a share of its length."""
    for l in range(depth):
        seen, point = after(sums, l * 3), after(health, l * len(HEALTH))
        point[GRAD_NORM] = math.sqrt(seen[GRADIENT])
        point[UPDATE_RATIO] = math.sqrt(seen[CHANGE] / seen[BEFORE]) if seen[BEFORE] > 0.0 else 0.0


@stage(int64(int64, PLACES, NUMBERS, int64, int64))
def first_bad_layer(depth, layers, activations, rows, capacity):
    """The first layer with an output that is not finite; -1 if there is none."""
    for l in range(depth):
        layer = after(layers, l * L.WIDTH)
        out = after(activations, capacity * (layer[L.before] + layer[L.n_in]))
        for i in range(rows * layer[L.n_out]):
            if not math.isfinite(out[i]):
                return l
    return -1


@helper
def steepest_layer(depth, sums):
    """The layer with the longest gradient; the first that is not finite, if one is not."""
    found = 0
    for l in range(depth):
        if not math.isfinite(sums[l * 3 + GRADIENT]):
            return l
        if sums[l * 3 + GRADIENT] > sums[found * 3 + GRADIENT]:
            found = l
    return found
