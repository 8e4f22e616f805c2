"""The Python face of the engine: checks and allocates arrays, trains in slices, resumes, predicts."""

from __future__ import annotations

import importlib
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from hpsearch.engine.cache import load_kernels
from hpsearch.engine.hyperparameters import complete
from hpsearch.engine.layout import (
    ACTIVATIONS,
    CURVES,
    EVALUATION_ROWS,
    INITS,
    METRICS,
    OPTIMIZERS,
    SETTINGS,
    STATE,
    STATUSES,
    TALLY,
    TASKS,
    aligned_zeros,
    parameter_count,
    update_flops,
    workspace_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

RUNNING = STATUSES.index("running")
SLICE_SECONDS = 0.05


class Rows(Protocol):
    """Rows for the engine: inputs (rows, features) float32; labels (rows,) int32 or targets (rows, 1) float32."""

    inputs: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


def start_engine(announce: Callable[[str], None] = lambda _: None) -> ModuleType:
    """Load (or compile) the kernels and hold BLAS to one thread, for results would depend on their number."""
    kernels = load_kernels(announce)
    importlib.import_module("scipy.linalg.cython_blas")  # np.dot's BLAS, else loaded at the first product, unlimited
    threadpool_limits(1, user_api="blas")
    return kernels


class Network:
    """One network for rows of `n_inputs` features: its hyperparameters as the kernels know them, and its size.

    `hyperparameters` may leave out what is to keep its default. `keys` are two uint64, for the streams of the first
    weights and of the shuffles. Raises ConfigError on an unknown or impossible hyperparameter.
    """

    def __init__(
        self,
        hyperparameters: Mapping[str, Any],
        *,
        n_inputs: int,
        n_outputs: int,
        task: str,
        metric: str,
        keys: tuple[int, int] = (0, 0),
    ) -> None:
        full = complete(hyperparameters)
        self.hyperparameters = full
        self.sizes = np.array([n_inputs, *full["hidden"], n_outputs], np.int64)
        self.settings = settings = np.zeros(1, SETTINGS)
        settings["task"] = TASKS.index(task)
        settings["metric"] = METRICS.index(metric)
        settings["activation"] = ACTIVATIONS.index(full["activation"])
        settings["init"] = INITS.index(full["init"])
        settings["optimizer"] = OPTIMIZERS.index(full["optimizer"])
        settings["batch_size"] = 2**62 if full["batch_size"] == "full" else full["batch_size"]
        for name in (
            "epochs", "patience", "min_delta", "learning_rate", "momentum", "beta1", "beta2", "epsilon", "l2",
        ):  # fmt: skip
            settings[name] = full[name]
        settings["init_key"], settings["shuffle_key"] = keys

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return parameter_count(self.sizes)

    def batch_rows(self, rows: int) -> int:
        """Rows of a whole batch when there are `rows` rows to train on."""
        return min(int(self.settings["batch_size"][0]), rows)

    def epoch_flops(self, rows: int) -> int:
        """Floating-point operations of the matrix products that one epoch of training on `rows` rows takes."""
        return update_flops(self.sizes, rows)

    def evaluate(self, weights: np.ndarray, rows: Rows) -> tuple[np.ndarray, dict[str, float]]:
        """Predictions (rows, n_outputs) float32 and, where the rows have labels or targets, every metric of the task.

        Predictions are probabilities, or values in units of the standardised target; so are rmse and mae.
        """
        kernels = start_engine()
        weights = _gate(weights)
        if weights.shape != (self.parameters,):
            raise ValueError(f"weights have shape {weights.shape}, the network has {self.parameters} parameters")
        inputs, labels, targets = _gate_rows(rows, self.sizes, labelled=False)
        n_outputs = int(self.sizes[-1])
        scores = np.zeros((len(inputs), n_outputs), np.float32)
        metrics = np.zeros(len(METRICS))
        workspace = aligned_zeros(workspace_size(self.sizes, min(EVALUATION_ROWS, len(inputs))))
        kernels.evaluate(
            weights, self.sizes, self.settings, inputs, labels, targets,
            workspace, _tally(n_outputs), scores, metrics,
        )  # fmt: skip
        found = {name: float(value) for name, value in zip(METRICS, metrics, strict=True) if not math.isnan(value)}
        return scores, found


class Training:
    """A network being trained on `train` and judged on `dev`: call `advance` until it returns False.

    Everything a run needs to go on is in arrays of this object, so it may stop after any slice.
    """

    def __init__(self, network: Network, train: Rows, dev: Rows) -> None:
        self.network = network
        self.train = train
        self.dev = dev
        kernels = start_engine()
        sizes, settings = network.sizes, network.settings
        n_outputs = int(sizes[-1])
        batch = network.batch_rows(len(train.inputs))
        wide = max(batch, min(EVALUATION_ROWS, len(dev.inputs)))
        ranks = METRICS[settings["metric"][0]] == "auc"  # the one metric that needs every prediction at once

        self.state = np.zeros(1, STATE)
        self.state["best_score"] = np.nan
        self.weights = aligned_zeros(network.parameters)
        self.best = aligned_zeros(network.parameters)
        self.curves = np.zeros((int(settings["epochs"][0]), len(CURVES)))
        optimizer = network.hyperparameters["optimizer"]
        self._arrays = (
            self.weights,
            aligned_zeros(network.parameters),  # gradient
            aligned_zeros(network.parameters if optimizer != "sgd" else 0),
            aligned_zeros(network.parameters if optimizer == "adam" else 0),
            self.best,
            sizes,
            settings,
            self.state,
            *_gate_rows(train, sizes),
            *_gate_rows(dev, sizes),
            np.zeros(len(train.inputs), np.int64),  # order
            np.zeros(batch, np.int32),
            np.zeros((batch, 1), np.float32),
            aligned_zeros(workspace_size(sizes, wide)),
            _tally(n_outputs),
            _tally(n_outputs),
            np.zeros((len(train.inputs) if ranks else 0, n_outputs), np.float32),
            np.zeros((len(dev.inputs) if ranks else 0, n_outputs), np.float32),
            self.curves,
        )
        kernels.initialise(self.weights, sizes, settings)
        # A first guess at the updates of a slice, from a slow machine's 1 GFLOP/s; then measured.
        self._slice = max(1, int(SLICE_SECONDS * 1e9 / max(update_flops(sizes, batch), 1e5)))

    def advance(self) -> bool:
        """Train for about 50 ms; return whether there is more to do. How it is cut into slices changes no result."""
        start = time.perf_counter()
        status = self.advance_by(self._slice)
        seconds = time.perf_counter() - start
        self._slice = max(1, int(self._slice * min(4.0, SLICE_SECONDS / max(seconds, 1e-6))))
        return status == RUNNING

    def advance_by(self, updates: int) -> int:
        """Train for at most `updates` updates; return the status code (see layout.STATUSES)."""
        return int(load_kernels().train(updates, *self._arrays))

    @property
    def status(self) -> str:
        """One of layout.STATUSES."""
        return STATUSES[self.state["status"][0]]

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return int(self.state["epoch"][0])

    @property
    def updates(self) -> int:
        """Updates made."""
        return int(self.state["update"][0])

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the best dev score, whose weights are in `best`; 0 before the first has ended."""
        return int(self.state["best_epoch"][0])

    def curve_rows(self, start: int = 0) -> np.ndarray:
        """Lines (epochs - start, len(layout.CURVES)) of the learning curve from epoch number `start` (from 0) on."""
        return self.curves[start : self.epochs]


def _tally(n_outputs: int) -> np.ndarray:
    return np.zeros(len(TALLY) + 2 * n_outputs)


def _gate(array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """The array as the one kind that the kernels were compiled for: this dtype, C order, writable, no subclass."""
    array = np.asarray(array)
    if array.dtype != dtype or not array.flags.c_contiguous or not array.flags.writeable:
        return np.array(array, dtype, order="C")
    return array


def _gate_rows(rows: Rows, sizes: np.ndarray, *, labelled: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, labels and targets as the kernels want them; ValueError for shapes or labels that would lead them astray.

    `labelled` says that labels or targets must be there; without it both may be empty.
    """
    inputs, labels, targets = _gate(rows.inputs), _gate(rows.labels, np.int32), _gate(rows.targets)
    if inputs.ndim != 2 or inputs.shape[1] != sizes[0] or len(inputs) == 0:
        raise ValueError(f"inputs have shape {inputs.shape}, not (1 or more rows, {sizes[0]} features)")
    if labels.ndim != 1 or targets.ndim != 2 or targets.shape[1] != 1:
        raise ValueError(f"labels have shape {labels.shape} and targets {targets.shape}, not (rows,) and (rows, 1)")
    known = len(labels) + len(targets)
    if known != len(inputs) and (labelled or known != 0):
        raise ValueError(f"{len(labels)} labels and {len(targets)} targets for {len(inputs)} rows")
    if len(labels) and not 0 <= labels.min() <= labels.max() < sizes[-1]:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for a network with {sizes[-1]} outputs")
    return inputs, labels, targets
