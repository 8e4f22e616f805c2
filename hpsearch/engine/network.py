"""The Python face of the engine: checks and allocates arrays, trains in slices, resumes, predicts."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpsearch.engine.cache import load_kernels
from hpsearch.engine.hyperparameters import AUGMENTATIONS, IMAGE_AUGMENTATIONS, complete
from hpsearch.engine.layout import (
    ACTIVATIONS,
    CHUNK_ROWS,
    CURVES,
    EVALUATION_ROWS,
    HEALTH,
    HEALTH_POINTS,
    INITS,
    LOSSES,
    METRICS,
    MOMENTUM_FORMS,
    OPTIMIZERS,
    OUTPUTS,
    SCHEDULES,
    SETTINGS,
    STATE,
    STATUSES,
    STEP_BLOCK,
    TALLY,
    TASKS,
    aligned_zeros,
    layer_table,
    scratch_size,
    trained_count,
    update_flops,
    vector_size,
)
from hpsearch.engine.sparse import DENSE, sparse_inputs
from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.engine.sparse import SparseInputs

RUNNING = STATUSES.index("running")
SLICE_SECONDS = 0.05
STREAMS = ("init", "shuffle", "dropout", "augment")
CODES = {
    "activation": ACTIVATIONS, "init": INITS, "output": OUTPUTS, "loss": LOSSES, "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES, "momentum_form": MOMENTUM_FORMS,
}  # fmt: skip
NUMBERS = (
    "huber_delta", "epochs", "patience", "min_delta", "learning_rate", "decay", "decay_power", "decay_factor",
    "decay_epochs", "restart_growth", "warmup", "momentum", "momentum_correction", "beta1", "beta2", "epsilon", "l2",
    "l1", "weight_decay", "input_dropout", "label_smoothing", "clip_norm", "max_norm",
)  # fmt: skip
AVERAGED_EPOCHS = 2  # of `ema: auto`; one to four are as good (experiments/defaults)
WITH_FIRST = ("momentum", "nesterov", "adam", "adamw")  # optimisers that remember an average of gradients
WITH_SECOND = ("adagrad", "rmsprop", "adam", "adamw")  # and those of squared gradients


class Rows(Protocol):
    """Rows for the engine: inputs (rows, features) float32; labels (rows,) int32 or targets (rows, 1) float32."""

    inputs: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


def start_engine(announce: Callable[[str], None] = lambda _: None) -> Any:
    """Load (or compile) the kernels."""
    return load_kernels(announce)


class Network:
    """One network for rows of `n_inputs` features: its hyperparameters as the kernels know them, and its size.

    `hyperparameters` may leave out what is to keep its default. `keys` are uint64, for the streams STREAMS; those left
    out are 0. `image_shape` is (height, width) or (height, width, channels) of rows that are images. Raises ConfigError
    on an unknown or impossible hyperparameter.

    `layers` says where the parts of each layer stand in the flat vector of weights, whose first `trained` numbers are
    trained; the rest, up to `vector_size`, are running statistics.
    """

    def __init__(
        self,
        hyperparameters: Mapping[str, Any],
        *,
        n_inputs: int,
        n_outputs: int,
        task: str,
        metric: str,
        keys: Sequence[int] = (),
        image_shape: Sequence[int] | None = None,
    ) -> None:
        full = complete(hyperparameters)
        full["loss"] = _loss_for(task, full["output"], full["loss"])
        self.hyperparameters = full
        self.sizes = np.array([n_inputs, *full["hidden"], n_outputs], np.int64)
        self.layers = layer_table(self.sizes, batch_norm=full["batch_norm"])
        self.trained = trained_count(self.layers)
        self.vector_size = vector_size(self.layers)
        self.settings = settings = np.zeros(1, SETTINGS)
        settings["task"] = TASKS.index(task)
        settings["metric"] = METRICS.index(metric)
        for name, codes in CODES.items():
            settings[name] = codes.index(full[name])
        settings["batch_size"] = np.inf if full["batch_size"] == "full" else full["batch_size"]
        for name in NUMBERS:
            settings[name] = full[name]
        for name in AUGMENTATIONS:
            settings[name] = full[f"augment.{name}"]
        settings["augmented"] = any(full[f"augment.{name}"] > 0 for name in AUGMENTATIONS)
        if image_shape is not None:
            settings["height"], settings["width"], settings["channels"] = (*image_shape, 1)[:3]
            if math.prod(settings[name][0] for name in ("height", "width", "channels")) != n_inputs:
                raise ValueError(f"image_shape {tuple(image_shape)} for rows of {n_inputs} features")
        settings["weighted"] = full["class_weight"] != "none"
        settings["features"], settings["outputs"], settings["layers"] = n_inputs, n_outputs, len(self.layers)
        settings["trained"], settings["parameters"] = self.trained, self.vector_size
        settings["units"], settings["widest"] = np.sum(self.sizes), np.max(self.sizes)
        self.dropout = np.array([*full["dropout"], 0.0])
        self.keys = np.zeros(len(STREAMS), np.uint64)
        self.keys[: len(keys)] = keys

    @property
    def parameters(self) -> int:
        """Weights, biases and gains."""
        return self.trained

    def batch_rows(self, rows: int) -> int:
        """Rows of a whole batch when there are `rows` rows to train on."""
        return int(min(self.settings["batch_size"][0], rows))

    def epoch_flops(self, rows: int) -> int:
        """Floating-point operations of one epoch of training on `rows` rows, with dense matrix products."""
        return update_flops(self.sizes, rows)

    def evaluate(self, weights: np.ndarray, rows: Rows) -> tuple[np.ndarray, dict[str, float]]:
        """Predictions (rows, n_outputs) float32 and, where the rows have labels or targets, every metric of the task.

        Predictions are probabilities, or values in units of the standardised target; so are rmse and mae.
        """
        scores, _, found = self._judge(weights, rows)
        return scores, found

    def predict(self, weights: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray | None]:
        """Predictions (rows, n_outputs) float32 and, of the logistic output, the support of each class, likewise."""
        scores, supports, _ = self._judge(weights, rows)
        return scores, supports if self.hyperparameters["output"] == "logistic" else None

    def _judge(self, weights: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        kernels = start_engine()
        weights = _gate(weights)
        if weights.shape != (self.vector_size,):
            raise ValueError(f"weights have shape {weights.shape}, the network has {self.vector_size} parameters")
        inputs, labels, targets = _gate_rows(rows, self, labelled=False)
        n_rows, n_outputs = len(rows.inputs), int(self.sizes[-1])
        supported = self.hyperparameters["output"] == "logistic"
        scores = np.zeros(n_rows * n_outputs, np.float32)
        supports = np.zeros(n_rows * n_outputs if supported else 0, np.float32)
        metrics = np.zeros(len(METRICS))
        capacity = min(EVALUATION_ROWS, n_rows)
        workspace = _workspace(self.layers, self.sizes, capacity)
        judged = len(labels) + len(targets) > 0
        kernels.evaluate(
            weights, self.layers.view(np.int64), self.settings.view(np.float64), self.dropout, n_rows, capacity, judged,
            supported, inputs, labels, targets, *workspace, _ranking(len(labels)), _tally(n_outputs),
            scores, supports, metrics,
        )  # fmt: skip
        found = {name: float(value) for name, value in zip(METRICS, metrics, strict=True) if not math.isnan(value)}
        return scores.reshape(n_rows, n_outputs), supports.reshape(-1, n_outputs), found


class Training:
    """A network being trained on `train` and judged on `dev`: call `advance` until it returns False.

    Everything a run needs to go on is in arrays of this object, so it may stop after any slice. Where inputs are sparse
    (see sparse.py), curves are those of their terms: Network.evaluate, which is dense, rounds its sums differently.
    """

    def __init__(self, network: Network, train: Rows, dev: Rows) -> None:
        self.network = network
        self.train = train
        self.dev = dev
        kernels = start_engine()
        sizes, layers, full = network.sizes, network.layers, network.hyperparameters
        for name in IMAGE_AUGMENTATIONS:
            if full[f"augment.{name}"] > 0 and network.settings["height"] == 0:
                raise ConfigError(f"augment.{name}: it is for images; say their shape in data.image_shape")
        self.settings = settings = network.settings.copy()
        settings["ema"] = self.ema
        n_outputs = int(sizes[-1])
        batch = network.batch_rows(len(train.inputs))
        piece = batch if full["batch_norm"] else min(batch, CHUNK_ROWS)  # the norm's statistics are the whole batch's
        capacity = max(piece, min(EVALUATION_ROWS, len(dev.inputs)))
        ranks = METRICS[int(settings["metric"][0])] == "auc"  # the one metric that needs every prediction at once
        train_arrays, dev_arrays = _gate_rows(train, network), _gate_rows(dev, network)
        sparse = self._sparse_inputs()
        settings["sparse"] = sparse.most
        if full["augment.brightness"] or full["augment.invert"]:
            settings["darkest"], settings["brightest"] = train_arrays[0].min(), train_arrays[0].max()

        self.state = np.zeros(1, STATE)
        self.state["best_score"] = np.nan
        for name in ("momentum_left", "beta1_left", "beta2_left", "ema_left"):
            self.state[name] = 1.0
        self.weights = aligned_zeros(network.vector_size)
        self._average = aligned_zeros(network.vector_size if self.ema > 0 else 0)
        self.best = aligned_zeros(network.vector_size)
        epochs = int(settings["epochs"][0])
        self.curves = np.zeros((epochs, len(CURVES)))
        self.health_stride = -(-epochs // HEALTH_POINTS)
        self.health = np.zeros((-(-epochs // self.health_stride), len(layers), len(HEALTH)), np.float32)
        activations, slopes, normalised, scratch = _workspace(layers, sizes, capacity)
        optimizer = full["optimizer"]
        trained = network.trained
        self._arrays = (
            len(train.inputs),
            len(dev.inputs),
            capacity,
            self.weights,
            aligned_zeros(trained),  # gradient
            aligned_zeros(trained if optimizer in WITH_FIRST else 0),
            aligned_zeros(trained if optimizer in WITH_SECOND else 0),
            self._average,
            self.best,
            layers.view(np.int64),
            settings.view(np.float64),
            network.dropout,
            self.state.view(np.float64),
            network.keys,
            _class_weights(full["class_weight"], train_arrays[1], n_outputs),
            *train_arrays,
            *sparse.train,
            *dev_arrays,
            *sparse.dev,
            sparse.goes_on,
            aligned_zeros(int(layers["bias"][0]) if sparse.most else 0),  # sums of the first weights
            np.zeros(len(train.inputs), np.int32),  # order
            np.zeros(capacity * sparse.most, np.int32),  # terms of the batch, places and values
            np.zeros(capacity * sparse.most, np.float32),
            np.zeros(2 * capacity, np.int32),  # labels of the batch, own and partner's
            np.zeros(2 * capacity, np.float32),  # targets
            np.zeros(capacity if full["augment.mixup"] > 0 else 0, np.float32),  # portions of mixed rows
            activations,
            slopes,
            aligned_zeros(2 * capacity * int(np.max(sizes))),  # signals
            normalised,
            scratch,
            aligned_zeros(STEP_BLOCK),  # weights before a step that is looked at
            np.zeros(3 * len(layers)),  # squared lengths of a layer's gradient, change and weights
            _ranking(max(len(train.inputs), len(dev.inputs)) if ranks else 0),
            _tally(n_outputs),
            _tally(n_outputs),
            np.zeros(len(train.inputs) * n_outputs if ranks else 0, np.float32),
            np.zeros(len(dev.inputs) * n_outputs if ranks else 0, np.float32),
            self.curves.reshape(-1),
            self.health.reshape(-1),
        )
        kernels.initialise(self.weights, layers.view(np.int64), settings.view(np.float64), network.keys)
        # A first guess at the updates of a slice, from a slow machine's 1 GFLOP/s; then measured.
        self._slice = max(1, int(SLICE_SECONDS * 1e9 / max(update_flops(sizes, batch), 1e5)))

    def _sparse_inputs(self) -> SparseInputs:
        settings = self.network.settings
        changed = settings["augmented"][0] > 0 or settings["input_dropout"][0] > 0  # on their way into a batch
        return DENSE if changed else sparse_inputs(_gate(self.train.inputs), _gate(self.dev.inputs))

    def advance(self, until: int | None = None) -> bool:
        """Train for about 50 ms, but not beyond epoch `until`; return whether there is more to do.

        How it is cut into slices changes no result.
        """
        updates = self._slice
        if until is not None:
            updates = min(updates, until * self.updates_per_epoch - self.updates)
        start = time.perf_counter()
        status = self.advance_by(updates)
        seconds = time.perf_counter() - start
        if updates == self._slice:
            self._slice = max(1, int(self._slice * min(4.0, SLICE_SECONDS / max(seconds, 1e-6))))
        return status == RUNNING

    def advance_by(self, updates: int) -> int:
        """Train for at most `updates` updates; return the status code (see layout.STATUSES)."""
        return int(load_kernels().train(updates, *self._arrays))

    @property
    def latest(self) -> np.ndarray:
        """The weights that were judged at the end of the last epoch: their average, where there is one."""
        return self._average if self.ema > 0 else self.weights

    @property
    def status(self) -> str:
        """One of layout.STATUSES."""
        return STATUSES[int(self.state["status"][0])]

    @property
    def updates_per_epoch(self) -> int:
        """The last one of an epoch may have fewer rows."""
        rows = len(self.train.inputs)
        return -(-rows // self.network.batch_rows(rows))

    @property
    def ema(self) -> float:
        """The beta of the weights' average; a mean of the last n updates for one of exp(-1 / n)."""
        said = self.network.hyperparameters["ema"]
        return math.exp(-1 / (AVERAGED_EPOCHS * self.updates_per_epoch)) if said == "auto" else said

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

    @property
    def diverged_in(self) -> str:
        """The layer where a diverged run went wrong, in words."""
        layer = int(self.state["layer"][0])
        return "the output layer" if layer == len(self.network.layers) - 1 else f"hidden layer {layer + 1}"

    def health_epochs(self) -> list[int]:
        """The finished epochs (from 1) at whose first update the layers were looked at."""
        return list(range(1, self.epochs + 1, self.health_stride))

    def curve_rows(self, start: int = 0) -> np.ndarray:
        """Lines (epochs - start, len(layout.CURVES)) of the learning curve from epoch number `start` (from 0) on."""
        return self.curves[start : self.epochs]


def _ranking(rows: int) -> np.ndarray:
    """Room for the sorting that the AUC needs."""
    return np.zeros(2 * rows + 2**11 if rows else 0, np.uint64)


def _tally(n_outputs: int) -> np.ndarray:
    return np.zeros(len(TALLY) + 2 * n_outputs)


def _gate(array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """The array as the one kind that the kernels were compiled for: this dtype, C order, writable, no subclass."""
    array = np.asarray(array)
    if array.dtype != dtype or not array.flags.c_contiguous or not array.flags.writeable:
        return np.array(array, dtype, order="C")
    return array


def _loss_for(task: str, output: str, loss: str) -> str:
    """The loss that is meant; ConfigError for one that does not fit."""
    if task == "regression":
        fitting = ("squared", "huber")
    else:
        fitting = ("binary_cross_entropy", "cross_entropy") if output == "logistic" else ("cross_entropy",)
    if loss not in ("auto", *fitting):
        raise ConfigError(f"loss: {loss!r} does not fit {task} with output {output}; allowed: {', '.join(fitting)}")
    return fitting[0] if loss == "auto" else loss


def _workspace(layers: np.ndarray, sizes: np.ndarray, capacity: int) -> tuple[np.ndarray, ...]:
    """Activations, slopes, what batch norm keeps, and scratch, for `capacity` rows."""
    units = int(np.sum(sizes))
    norms = bool(np.any(layers["gain"] >= 0))
    return (
        aligned_zeros(capacity * units),
        aligned_zeros(capacity * units),
        aligned_zeros((capacity + 1) * units if norms else 0),
        aligned_zeros(scratch_size(layers, capacity)),
    )


def _class_weights(said: str | list[float], labels: np.ndarray, classes: int) -> np.ndarray:
    """One weight for each class; empty for none."""
    if said == "none":
        return np.zeros(0, np.float32)
    if said == "balanced":
        counts = np.bincount(labels, minlength=classes)
        return (len(labels) / (classes * np.maximum(counts, 1)) * (counts > 0)).astype(np.float32)
    if len(said) != classes:
        raise ConfigError(f"class_weight: {said!r} has {len(said)} numbers for {classes} classes")
    return np.array(said, np.float32)


def _gate_rows(rows: Rows, network: Network, *, labelled: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, labels and targets as the kernels want them; ValueError for shapes or labels that would lead them astray.

    `labelled` says that labels or targets must be there; without it both may be empty.
    """
    sizes = network.sizes
    inputs, labels, targets = _gate(rows.inputs), _gate(rows.labels, np.int32), _gate(rows.targets)
    if inputs.ndim != 2 or inputs.shape[1] != sizes[0] or len(inputs) == 0:
        raise ValueError(f"inputs have shape {inputs.shape}, not (1 or more rows, {sizes[0]} features)")
    if labels.ndim != 1 or targets.ndim != 2 or targets.shape[1] != 1:
        raise ValueError(f"labels have shape {labels.shape} and targets {targets.shape}, not (rows,) and (rows, 1)")
    known, none = (targets, labels) if network.settings["task"][0] == TASKS.index("regression") else (labels, targets)
    if len(none) or (len(known) != len(inputs) and (labelled or len(known))):
        raise ValueError(f"{len(labels)} labels and {len(targets)} targets for {len(inputs)} rows")
    if len(labels) and not 0 <= labels.min() <= labels.max() < sizes[-1]:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for a network with {sizes[-1]} outputs")
    return inputs.reshape(-1), labels, targets.reshape(-1)
