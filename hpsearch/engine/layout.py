"""How a network lies in memory: names with their integer codes, the two records, and the sizes of the flat arrays.

One network is one flat vector, layer after layer, each layer its weight matrix (n_in, n_out) row by row and then its
bias (n_out). `sizes` holds the units of every layer, input and output included, so one compilation serves every depth.
Kernels know options by code: the place of the name in the tuples below. New names go to the end of their tuple.
"""

from __future__ import annotations

import numpy as np

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES, INIT_NAMES, METRIC_NAMES, OPTIMIZER_NAMES

TASKS = ("classification", "regression")
ACTIVATIONS = ACTIVATION_NAMES
INITS = INIT_NAMES
OPTIMIZERS = OPTIMIZER_NAMES
METRICS = METRIC_NAMES
STATUSES = ("running", "finished", "stopped early", "diverged")

# The first places of a tally, the running sums from which every metric of a pass over rows is made;
# two more follow for each class: its rows, and those of them that were predicted right.
TALLY = ("rows", "loss", "absolute", "squared", "target", "target_squared")
# Train values are those of the batches while the weights changed; grad_norm is the first batch's, L2 included.
CURVES = ("train_loss", "dev_loss", "train_metric", "dev_metric", "learning_rate", "grad_norm")

# Rows that an evaluation takes at a time: fixed, so that a prediction repeats the arithmetic of training's dev
# evaluation.
EVALUATION_ROWS = 256

# What a training run is told, never changed by it.
SETTINGS = np.dtype(
    [
        ("task", np.int64),
        ("metric", np.int64),
        ("activation", np.int64),
        ("init", np.int64),
        ("optimizer", np.int64),
        ("epochs", np.int64),
        ("batch_size", np.int64),
        ("patience", np.int64),  # epochs without improvement before the end; 0: never
        ("min_delta", np.float64),
        ("learning_rate", np.float64),
        ("momentum", np.float64),
        ("beta1", np.float64),
        ("beta2", np.float64),
        ("epsilon", np.float64),
        ("l2", np.float64),
        ("init_key", np.uint64),  # keys of the counter-based random streams
        ("shuffle_key", np.uint64),
    ],
    align=True,
)

# Where a training run stands: with the arrays of the network, all that is needed to go on.
STATE = np.dtype(
    [
        ("status", np.int64),
        ("epoch", np.int64),  # epochs that are finished
        ("row", np.int64),  # rows of the epoch under way that are used
        ("update", np.int64),
        ("best_epoch", np.int64),  # 1 = after the first epoch; 0: none yet
        ("best_score", np.float64),  # smaller is better whatever the metric; NaN: none yet
        ("grad_norm", np.float64),
    ],
    align=True,
)


def parameter_count(sizes: np.ndarray) -> int:
    """Weights and biases of a network with these layer sizes."""
    return int(np.sum(sizes[:-1] * sizes[1:]) + np.sum(sizes[1:]))


def workspace_size(sizes: np.ndarray, rows: int) -> int:
    """Floats that a forward and backward pass over `rows` rows needs: activations, slopes, two error signals."""
    return int(rows * (2 * np.sum(sizes) + 2 * np.max(sizes)))


def update_flops(sizes: np.ndarray, rows: int) -> int:
    """Floating-point operations of the matrix products in one update over `rows` rows.

    Forward and the two products of backward take 2 per weight and row each; the error signal of the input is not
    needed.
    """
    weights = sizes[:-1] * sizes[1:]
    return int(rows * (6 * np.sum(weights) - 2 * weights[0]))


def aligned_zeros(size: int, dtype: np.dtype | type = np.float32) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes, so that no result can depend on where the allocator put them."""
    dtype = np.dtype(dtype)
    raw = np.zeros(size * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * dtype.itemsize].view(dtype)
