"""Forward and backward through the layers.

Matrices stand row by row in arrays that have room for `capacity` rows of every layer: the input of a layer in
`activations` from capacity * before on, the slopes of the layer below it at the same place of `slopes`, what batch norm
keeps of it in `normalised`, whose last part, one number for each unit, is 1 / sd of the batch.
"""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, float64, int64, uint64, void

from hpsearch.engine.kernels.activations import activate
from hpsearch.engine.kernels.compiling import NUMBERS, PLACES, SUMS, after, stage
from hpsearch.engine.kernels.dropout import drop
from hpsearch.engine.kernels.norms import norm_backward, norm_batch, norm_running
from hpsearch.engine.kernels.optimisers import GRADIENT, follow, penalise, shorten_columns, squared_length, step
from hpsearch.engine.kernels.products import multiply_turned_right, product
from hpsearch.engine.kernels.random_numbers import random_bits
from hpsearch.engine.places import layer as L
from hpsearch.engine.places import settings as S


@stage(
    void(
        SUMS, PLACES, SUMS, NUMBERS, NUMBERS, int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS,
        boolean, float64, uint64,
    )
)  # fmt: skip
def forward(
    s, layers, dropout, weights, inputs, rows, capacity, activations, slopes, normalised, scratch,
    training, blend, dropout_key,
):  # fmt: skip
    """Run `rows` rows of inputs through the network; z of the output stays in `activations`.

    training: batch norm by the batch (unless it is one row; running statistics move by `blend`), and dropout. Where
    inputs are sparse, z of the first layer is there already.
    """
    last = int(s[S.layers]) - 1
    source = inputs
    for l in range(last + 1):
        layer = after(layers, l * L.WIDTH)
        n_in, n = layer[L.n_in], layer[L.n_out]
        here = layer[L.before] + n_in
        z = after(activations, capacity * here)
        bias = after(weights, layer[L.bias])
        has_norm = layer[L.gain] >= 0
        if l > 0 or s[S.sparse] == 0.0:
            product(rows, n, n_in, source, n_in, 1, after(weights, layer[L.weight]), z, n, bias, 0, not has_norm)
        if has_norm:
            gain = after(weights, layer[L.gain])
            mean, variance = after(weights, layer[L.mean]), after(weights, layer[L.variance])
            kept, spread = after(normalised, capacity * here), after(normalised, capacity * int(s[S.units]) + here)
            if training and rows > 1:
                norm_batch(rows, n, z, gain, bias, mean, variance, kept, spread, scratch, blend)
            else:
                norm_running(rows, n, z, gain, bias, mean, variance, kept, spread)
        if l < last:
            slope = after(slopes, capacity * here)
            activate(int(s[S.activation]), z, slope, rows * n)
            if training and dropout[l] > 0.0:
                drop(z, slope, rows * n, dropout[l], random_bits(dropout_key, np.uint64(l + 1)))
        source = z


@stage(
    void(
        SUMS, PLACES, NUMBERS, int64, int64, boolean, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, boolean,
    )
)  # fmt: skip
def backward(
    s, layers, weights, rows, capacity, constant, activations, slopes, normalised, signals, scratch, gradient, add
):  # fmt: skip
    """From d objective / d z of the output, in signals (rows, k), to the gradient of every parameter.

    Below the output dz[l-1] = (dz[l] W[l]^T) * slope[l-1]. `add` adds to the gradient that is there, of other pieces of
    the batch. `constant`: batch norm's statistics were not the batch's own. Where inputs are sparse, the gradient of
    the first weight matrix is left to sparse_backward.
    """
    delta, below = signals, after(signals, capacity * int(s[S.widest]))
    for l in range(int(s[S.layers]) - 1, -1, -1):
        layer = after(layers, l * L.WIDTH)
        n_in, n = layer[L.n_in], layer[L.n_out]
        bias_gradient = after(gradient, layer[L.bias])
        if layer[L.gain] >= 0:
            here = layer[L.before] + n_in
            kept, spread = after(normalised, capacity * here), after(normalised, capacity * int(s[S.units]) + here)
            gain, gain_gradient = after(weights, layer[L.gain]), after(gradient, layer[L.gain])
            norm_backward(rows, n, delta, gain, gain_gradient, bias_gradient, kept, spread, constant)
        else:
            scratch[0] = 1
            product(1, n, rows, scratch, 0, 0, delta, bias_gradient, n, bias_gradient, n, add)  # the sum of its rows
        if l > 0 or s[S.sparse] == 0.0:
            dW = after(gradient, layer[L.weight])
            a = after(activations, capacity * layer[L.before])
            product(n_in, n, rows, a, 1, n_in, delta, dW, n, dW, n, add)  # a^T dz
        if l > 0:
            multiply_turned_right(rows, n_in, n, delta, after(weights, layer[L.weight]), below, scratch)
            slope = after(slopes, capacity * layer[L.before])
            for i in range(rows * n_in):
                below[i] *= slope[i]
        delta, below = below, delta


@stage(float64(SUMS, PLACES, NUMBERS, NUMBERS, float64, float64, SUMS))
def complete_gradient(s, layers, weights, gradient, l2, l1, sums):
    """Add the penalties to the gradient and make it no longer than clip_norm; return its squared length before that.

    sums (layers, 3) receives the squared length for each layer.
    """
    squared = 0.0
    for l in range(int(s[S.layers])):
        layer = after(layers, l * L.WIDTH)
        place, bias = layer[L.weight], layer[L.bias]
        found = penalise(after(weights, place), after(gradient, place), bias - place, l2, l1)
        found += squared_length(after(gradient, bias), layer[L.end] - bias)
        sums[3 * l + GRADIENT] = found
        squared += found
    if 0.0 < s[S.clip_norm] < math.sqrt(squared):
        share = np.float32(s[S.clip_norm] / math.sqrt(squared))
        for i in range(int(s[S.trained])):
            gradient[i] *= share
    return squared


@stage(
    float64(
        SUMS, SUMS, PLACES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, int64, boolean, NUMBERS, NUMBERS, SUMS,
    )
)  # fmt: skip
def take_step(
    s, at, layers, weights, gradient, first, second, average, batch_rows, watched, before, scratch, sums
):  # fmt: skip
    """Step along the gradient of a batch, layer by layer; return its squared length, penalties included.

    sums (layers, 3) receives it for each layer, and if `watched` what `step` sums up.
    """
    l2, l1 = s[S.l2] / batch_rows, s[S.l1] / batch_rows
    beforehand = l1 > 0.0 or s[S.clip_norm] > 0.0
    squared = 0.0
    if beforehand:
        squared = complete_gradient(s, layers, weights, gradient, l2, l1, sums)
        if not math.isfinite(squared):
            return squared
        l2 = 0.0
    for l in range(int(s[S.layers])):
        layer = after(layers, l * L.WIDTH)
        place, bias = layer[L.weight], layer[L.bias]
        W, end, seen = after(weights, place), layer[L.end], after(sums, 3 * l)
        found = step(
            s, at, True, W, after(gradient, place), after(first, place), after(second, place), bias - place, l2,
            watched, before, seen,
        )  # fmt: skip
        found += step(
            s, at, False, after(weights, bias), after(gradient, bias), after(first, bias), after(second, bias),
            end - bias, 0.0, watched, before, seen,
        )  # fmt: skip
        if not beforehand:
            seen[GRADIENT] = found
            squared += found
        if s[S.max_norm] > 0.0:
            shorten_columns(layer[L.n_in], layer[L.n_out], W, s[S.max_norm], scratch)
        if s[S.ema] > 0.0:
            follow(s, at, W, after(average, place), end - place)
    return squared
