"""The first layer, where only few inputs of a row have to be looked at: see ../sparse.py for the mathematics.

A row is up to `most` places with a value each, places (rows, most) and values (rows, most); place -1 ends it. They
are multiplied with sums T (n_in, n_out) of rows of the weight matrix: T[p] is W[p], plus T[p - 1] where input p goes on
from the one before it. So a gradient of T[p] is one of W[p] and of all that it goes on from.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, int64, void

from hpsearch.engine.kernels.compiling import LABELS, NUMBERS, PLACES, SUMS, after, copy, stage
from hpsearch.engine.places import layer as L
from hpsearch.engine.places import settings as S


@stage(void(PLACES, NUMBERS, LABELS, NUMBERS))
def sum_weights(layers, weights, goes_on, weight_sums):
    """Write T to weight_sums (n_in * n_out,)."""
    n_in, n = layers[L.n_in], layers[L.n_out]
    W = after(weights, layers[L.weight])
    copy(W, weight_sums, n_in * n)
    for p in range(1, n_in):
        if goes_on[p] != 0:
            here, before = after(weight_sums, p * n), after(weight_sums, (p - 1) * n)
            for j in range(n):
                here[j] += before[j]


@stage(void(SUMS, PLACES, NUMBERS, int64, int64, LABELS, NUMBERS, NUMBERS, NUMBERS))
def sparse_forward(s, layers, weights, rows, capacity, places, values, weight_sums, activations):
    """Write z of the first layer to its place in `activations`, with the bias unless batch norm adds it."""
    n_in, n, most = layers[L.n_in], layers[L.n_out], int(s[S.sparse])
    z, bias = after(activations, capacity * n_in), after(weights, layers[L.bias])
    for i in range(rows):
        row = after(z, i * n)
        if layers[L.gain] < 0:
            copy(bias, row, n)
        else:
            for j in range(n):
                row[j] = 0
        for t in range(i * most, (i + 1) * most):
            p = np.int64(places[t])
            if p < 0:
                break
            value, T = values[t], after(weight_sums, p * n)
            for j in range(n):
                row[j] += value * T[j]


@stage(void(SUMS, PLACES, int64, int64, LABELS, NUMBERS, NUMBERS, NUMBERS, boolean))
def sparse_backward(s, layers, rows, capacity, places, values, signals, gradient, add):
    """From d objective / d z of the first layer, as `backward` leaves it, to the gradient of T, in the place of W's."""
    n_in, n, most = layers[L.n_in], layers[L.n_out], int(s[S.sparse])
    delta = after(signals, capacity * int(s[S.widest]) * ((int(s[S.layers]) - 1) % 2))
    dT = after(gradient, layers[L.weight])
    if not add:
        for i in range(n_in * n):
            dT[i] = 0
    for i in range(rows):
        signal = after(delta, i * n)
        for t in range(i * most, (i + 1) * most):
            p = np.int64(places[t])
            if p < 0:
                break
            value, row = values[t], after(dT, p * n)
            for j in range(n):
                row[j] += value * signal[j]


@stage(void(PLACES, LABELS, NUMBERS))
def gradient_of_weights(layers, goes_on, gradient):
    """Make the gradient of T that of W, in place."""
    n_in, n = layers[L.n_in], layers[L.n_out]
    dW = after(gradient, layers[L.weight])
    for p in range(n_in - 1, 0, -1):
        if goes_on[p] != 0:
            here, before = after(dW, p * n), after(dW, (p - 1) * n)
            for j in range(n):
                before[j] += here[j]
