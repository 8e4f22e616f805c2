"""Batch norm (Ioffe and Szegedy 2015, arXiv 1502.03167), and the exponentially weighted average it shares with others.

Matrices z (rows, n) stand row by row. For each unit there are gain gamma, shift beta, running mean and variance.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, float64, int64, void

from hpsearch.engine.kernels.compiling import NUMBERS, after, helper, stage

NORM_BETA = 0.9  # of the running statistics
NORM_EPSILON = np.float32(1e-5)
ONE = np.float32(1)


@helper
def blend_of(beta, left):
    """Share of the newest value in the bias-corrected average v_t / (1 - beta^t), v_t = beta v_{t-1} + (1 - beta) x_t.

    `left` is beta^t. With it r_t = r_{t-1} + share * (x_t - r_{t-1}), and no uncorrected average need be kept.
    """
    return (1.0 - beta) / (1.0 - left)


@helper
def scale_rows(rows, n, z, mean, spread, gain, shift, normalised):
    """Let zn = (z - mean) * spread go to `normalised`, and gamma * zn + beta take the place of z."""
    for i in range(rows):
        row, kept = after(z, i * n), after(normalised, i * n)
        for j in range(n):
            kept[j] = (row[j] - mean[j]) * spread[j]
            row[j] = gain[j] * kept[j] + shift[j]


@stage(void(int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, float64))
def norm_batch(rows, n, z, gain, shift, mean, variance, normalised, spread, scratch, blend):
    """Let z become gamma * zn + beta, zn = (z - mu) / sqrt(s2 + eps) over the batch; for two rows or more.

    normalised (rows, n) receives zn, spread (n,) 1 / sqrt(s2 + eps). The running statistics move by the share `blend`
    to the batch's mean and unbiased variance.
    """
    share, unbiased, part = np.float32(1.0 / rows), np.float32(1.0 / (rows - 1)), np.float32(blend)
    mu, squares = scratch, after(scratch, n)
    for j in range(n):
        mu[j] = 0
        squares[j] = 0
    for i in range(rows):
        row = after(z, i * n)
        for j in range(n):
            mu[j] += row[j]
    for j in range(n):
        mu[j] *= share
    for i in range(rows):
        row = after(z, i * n)
        for j in range(n):
            miss = row[j] - mu[j]
            squares[j] += miss * miss
    for j in range(n):
        mean[j] = (ONE - part) * mean[j] + part * mu[j]
        variance[j] = (ONE - part) * variance[j] + part * (squares[j] * unbiased)
        spread[j] = ONE / np.sqrt(squares[j] * share + NORM_EPSILON)
    scale_rows(rows, n, z, mu, spread, gain, shift, normalised)


@stage(void(int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def norm_running(rows, n, z, gain, shift, mean, variance, normalised, spread):
    """The same with the running statistics: at prediction, and for a batch of one row."""
    for j in range(n):
        spread[j] = ONE / np.sqrt(variance[j] + NORM_EPSILON)
    scale_rows(rows, n, z, mean, spread, gain, shift, normalised)


@stage(void(int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, boolean))
def norm_backward(rows, n, delta, gain, gain_gradient, shift_gradient, normalised, spread, constant):
    """Turn delta, d loss / d (gamma zn + beta), into d loss / d z; fill the gradients of gamma and beta.

    dz = gamma / sqrt(s2 + eps) * (delta - mean(delta) - zn * mean(delta * zn)), without the two means where the
    statistics were `constant`, not the batch's own.
    """
    for j in range(n):
        shift_gradient[j] = 0
        gain_gradient[j] = 0
    for i in range(rows):
        row, kept = after(delta, i * n), after(normalised, i * n)
        for j in range(n):
            shift_gradient[j] += row[j]
            gain_gradient[j] += row[j] * kept[j]
    share = np.float32(0.0 if constant else 1.0 / rows)
    for i in range(rows):
        row, kept = after(delta, i * n), after(normalised, i * n)
        for j in range(n):
            rest = row[j] - share * (shift_gradient[j] + kept[j] * gain_gradient[j])
            row[j] = rest * gain[j] * spread[j]
