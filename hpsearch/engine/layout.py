"""How a network lies in memory: names with their integer codes, the records, and the sizes of the flat arrays.

One network is one flat vector, layer after layer: its weight matrix (n_in, n_out) row by row, its bias (n_out) and,
where the layer has batch norm, the gain gamma (n_out); the bias then is the shift beta. Behind the layers stand the
running mean and variance of each norm, which no gradient trains. `layers` says where each part starts, so one
compilation serves every depth. Kernels know options by code: the place of the name in the tuples below. New names go
to the end of their tuple.
"""

from __future__ import annotations

import numpy as np

from hpsearch.engine.hyperparameters import (
    ACTIVATION_NAMES,
    INIT_NAMES,
    LOSS_NAMES,
    METRIC_NAMES,
    MOMENTUM_FORM_NAMES,
    OPTIMIZER_NAMES,
    OUTPUT_NAMES,
    SCHEDULE_NAMES,
)
from hpsearch.engine.places import layer, settings, state

TASKS = ("classification", "regression")
ACTIVATIONS = ACTIVATION_NAMES
INITS = INIT_NAMES
LOSSES = LOSS_NAMES
METRICS = METRIC_NAMES
MOMENTUM_FORMS = MOMENTUM_FORM_NAMES
OPTIMIZERS = OPTIMIZER_NAMES
OUTPUTS = OUTPUT_NAMES
SCHEDULES = SCHEDULE_NAMES
STATUSES = ("running", "finished", "stopped early", "diverged")

# The first places of a tally, the running sums from which every metric of a pass over rows is made;
# two more follow for each class: its rows, and those of them that were predicted right.
TALLY = ("rows", "loss", "log_loss", "absolute", "squared", "target", "target_squared")
# Train values are those of the batches while the weights changed, learning_rate is the last update's, grad_norm the
# first's, penalties included.
CURVES = ("train_loss", "dev_loss", "train_metric", "dev_metric", "learning_rate", "grad_norm")
# What is looked at now and then in each layer: norm of its gradient, |update of W| / |W|, and the share of its units
# whose slope stays near 0 on all rows: dead or saturated.
HEALTH = ("grad_norm", "update_ratio", "stuck")
HEALTH_POINTS = 32  # epochs of a training run at whose first update the layers are looked at, evenly spread

# Rows that an evaluation takes at a time, and at most a gradient; a batch of more adds up the gradients of its pieces.
EVALUATION_ROWS = 256
CHUNK_ROWS = 1024
PANEL_ROWS = 64  # rows of a weight matrix that are turned over at a time
STEP_BLOCK = 4096  # parameters that a step takes at a time: 16 kB of each vector

# The vectors of places/ as records, for Python.
SETTINGS = np.dtype([(name, np.float64) for name in settings.NAMES])
STATE = np.dtype([(name, np.float64) for name in state.NAMES])
LAYERS = np.dtype([(name, np.int64) for name in layer.NAMES])


def layer_table(sizes: np.ndarray, *, batch_norm: bool = False) -> np.ndarray:
    """The records (layers,) LAYERS of a network with these units, from input to output."""
    layers = np.zeros(len(sizes) - 1, LAYERS)
    layers["n_in"], layers["n_out"] = sizes[:-1], sizes[1:]
    layers["before"] = np.concatenate([[0], np.cumsum(sizes[:-2])])
    layers["gain"] = layers["mean"] = layers["variance"] = -1
    hidden = layers[:-1]
    place = 0
    for l, one in enumerate(layers):
        one["weight"] = place
        one["bias"] = place + one["n_in"] * one["n_out"]
        one["end"] = one["bias"] + one["n_out"]
        if batch_norm and l < len(hidden):
            one["gain"] = one["end"]
            one["end"] += one["n_out"]
        place = one["end"]
    for one in hidden if batch_norm else []:
        one["mean"] = place
        one["variance"] = place + one["n_out"]
        place += 2 * one["n_out"]
    return layers


def trained_count(layers: np.ndarray) -> int:
    """Weights, biases and gains."""
    return int(layers["end"][-1])


def vector_size(layers: np.ndarray) -> int:
    """Length of the flat vector: what is trained, and the running statistics."""
    return trained_count(layers) + int(2 * np.sum(layers["n_out"][layers["mean"] >= 0]))


def scratch_size(layers: np.ndarray, rows: int) -> int:
    """Floats for what is needed only within one step: turned-over weights, turned-over outputs, sums for each unit."""
    widest = int(np.max(layers["n_out"]))
    outputs = int(layers["n_out"][-1]) * rows + 2 * rows
    return max(PANEL_ROWS * widest, outputs, int(layers["n_in"][0]), STEP_BLOCK)


def update_flops(sizes: np.ndarray, rows: int) -> int:
    """Floating-point operations of the matrix products in one update over `rows` rows, were they all dense.

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
