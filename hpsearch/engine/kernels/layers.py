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
from hpsearch.engine.kernels.compiling import NUMBERS, PLACES, SUMS, after, helper, stage
from hpsearch.engine.kernels.dropout import drop
from hpsearch.engine.kernels.norms import norm_backward, norm_batch, norm_running
from hpsearch.engine.kernels.optimisers import GRADIENT, follow, prepare, shorten_columns, step
from hpsearch.engine.kernels.products import multiply_turned_right, product
from hpsearch.engine.kernels.random_numbers import random_bits
from hpsearch.engine.layout import STEP_BLOCK
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

    training: batch norm by the batch (unless it is one row; running statistics move by `blend`), and dropout.
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
        product(rows, n, n_in, source, n_in, 1, after(weights, layer[L.weight]), z, bias, 0, not has_norm)
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


@helper
def sum_rows(rows, n, delta, total, add):
    """Let total (n,) become the sum of the rows of delta (rows, n), or grow by it."""
    if not add:
        for j in range(n):
            total[j] = 0
    for i in range(rows):
        row = after(delta, i * n)
        for j in range(n):
            total[j] += row[j]


@helper
def step_piece(s, at, matrix, place, count, batch_rows, weights, gradient, first, second, watched, before, sums):
    """Complete a piece of the gradient and step along it."""
    W, dW = after(weights, place), after(gradient, place)
    sums[GRADIENT] += prepare(s, matrix, W, dW, count, batch_rows)
    step(s, at, matrix, W, dW, after(first, place), after(second, place), count, watched, before, sums)


@helper
def finish_layer(s, at, layer, weights, gradient, first, second, average, watched, before, scratch, sums):
    """Step along the gradient of bias and gain; then what takes the layer's new weights as a whole."""
    place, bias = layer[L.weight], layer[L.bias]
    count = layer[L.end] - bias
    step(
        s, at, False, after(weights, bias), after(gradient, bias), after(first, bias), after(second, bias), count,
        watched, before, sums,
    )  # fmt: skip
    if s[S.max_norm] > 0.0:
        shorten_columns(layer[L.n_in], layer[L.n_out], after(weights, place), s[S.max_norm], scratch)
    if s[S.ema] > 0.0:
        follow(s, at, after(weights, place), after(average, place), layer[L.end] - place)


@stage(
    void(
        SUMS, SUMS, PLACES, NUMBERS, int64, int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS,
        NUMBERS, NUMBERS, NUMBERS, NUMBERS, boolean, boolean, boolean, NUMBERS, SUMS,
    )
)  # fmt: skip
def backward(
    s, at, layers, weights, rows, batch_rows, capacity, activations, slopes, normalised, signals, scratch,
    gradient, first, second, average, add, step_now, watched, before, sums,
):  # fmt: skip
    """From d objective / d z of the output, in signals (rows, k), to the gradient of every parameter.

    Below the output dz[l-1] = (dz[l] W[l]^T) * slope[l-1]. `add` adds to the gradient that is there, of other pieces of
    a batch of `batch_rows` rows. `step_now` steps along each piece of the gradient while it is in the cache; sums
    (layers, 3) are those of `step`, for each layer.
    """
    delta, below = signals, after(signals, capacity * int(s[S.widest]))
    for l in range(int(s[S.layers]) - 1, -1, -1):
        layer = after(layers, l * L.WIDTH)
        n_in, n = layer[L.n_in], layer[L.n_out]
        a = after(activations, capacity * layer[L.before])
        W, dW = after(weights, layer[L.weight]), after(gradient, layer[L.weight])
        bias_gradient = after(gradient, layer[L.bias])
        if layer[L.gain] >= 0:
            here = layer[L.before] + n_in
            kept, spread = after(normalised, capacity * here), after(normalised, capacity * int(s[S.units]) + here)
            gain, gain_gradient = after(weights, layer[L.gain]), after(gradient, layer[L.gain])
            norm_backward(rows, n, delta, gain, gain_gradient, bias_gradient, kept, spread, batch_rows == 1)
        else:
            sum_rows(rows, n, delta, bias_gradient, add)
        if l > 0:
            multiply_turned_right(rows, n_in, n, delta, W, below, scratch)
            slope = after(slopes, capacity * layer[L.before])
            for i in range(rows * n_in):
                below[i] *= slope[i]
        piece = max(1, 4 * STEP_BLOCK // n) if step_now else n_in
        for start in range(0, n_in, piece):
            count = min(piece, n_in - start)
            place = start * n
            # rows start and on of dW = a^T delta
            product(count, n, rows, after(a, start), 1, n_in, delta, after(dW, place), after(dW, place), n, add)
            if step_now:
                place += layer[L.weight]
                step_piece(
                    s, at, True, place, count * n, batch_rows, weights, gradient, first, second, watched, before,
                    after(sums, 3 * l),
                )  # fmt: skip
        if step_now:
            place = layer[L.bias]
            after(sums, 3 * l)[GRADIENT] += prepare(
                s, False, after(weights, place), after(gradient, place), layer[L.end] - place, batch_rows
            )
            finish_layer(
                s, at, layer, weights, gradient, first, second, average, watched, before, scratch, after(sums, 3 * l)
            )
        delta, below = below, delta


@stage(
    void(
        SUMS, SUMS, PLACES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, int64, boolean, NUMBERS, NUMBERS, SUMS,
    )
)  # fmt: skip
def step_together(
    s, at, layers, weights, gradient, first, second, average, batch_rows, watched, before, scratch, sums
):  # fmt: skip
    """Step along a gradient that is complete: no longer than clip_norm, and only if it is finite."""
    squared = 0.0
    depth = int(s[S.layers])
    for l in range(depth):
        layer = after(layers, l * L.WIDTH)
        place, bias = layer[L.weight], layer[L.bias]
        found = prepare(s, True, after(weights, place), after(gradient, place), bias - place, batch_rows)
        found += prepare(s, False, after(weights, bias), after(gradient, bias), layer[L.end] - bias, batch_rows)
        sums[3 * l + GRADIENT] = found
        squared += found
    if not math.isfinite(squared):
        return
    if 0.0 < s[S.clip_norm] < math.sqrt(squared):
        share = np.float32(s[S.clip_norm] / math.sqrt(squared))
        for i in range(int(s[S.trained])):
            gradient[i] *= share
    for l in range(depth):
        layer = after(layers, l * L.WIDTH)
        place = layer[L.weight]
        step(
            s, at, True, after(weights, place), after(gradient, place), after(first, place), after(second, place),
            layer[L.bias] - place, watched, before, after(sums, 3 * l),
        )  # fmt: skip
        finish_layer(
            s, at, layer, weights, gradient, first, second, average, watched, before, scratch, after(sums, 3 * l)
        )
