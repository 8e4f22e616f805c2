"""One trial: a configuration in, a trained network's record out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

CURVE_DIGITS = 7
SCALED_METRICS = ("rmse", "mae")  # in units of the target, while the engine works on the standardised one
TASK_METRICS = {"classification": ("log_loss", "accuracy"), "regression": ("rmse", "mae", "r2")}


class TrialState(StrEnum):
    """Where a trial stands."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Trial:
    """A number, which with the root seed decides every random draw, and the hyperparameters to try."""

    number: int
    config: dict[str, Any]


@dataclass
class TrialResult:
    """What is recorded of a trial. Everything but `seconds`, `started` and `worker` is the same on every repetition.

    metrics: `dev_<metric>` and `train_<metric>` at the best epoch, smaller names as in reported_metrics.
    curves: one list for each of engine.layout.CURVES. health: `epochs` in which the layers were looked at, and for each
    of engine.layout.HEALTH a list of one value per layer for each of them. weights: flat vector of the best epoch, not
    kept in the journal.
    """

    number: int
    config: dict[str, Any]
    state: TrialState
    metrics: dict[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    epochs: int = 0
    updates: int = 0
    parameters: int = 0
    gflop: float = 0.0
    error: str = ""
    curves: dict[str, list[float]] = field(default_factory=dict)
    health: dict[str, list[Any]] = field(default_factory=dict)
    started: float = 0.0
    seconds: float = 0.0
    worker: int = 0
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a study share."""

    seed: int
    metric: str
    trial_timeout: float | None = None


class SearchData(Protocol):
    """The part of a data set that a trial needs (data.Dataset, or its shared form in a worker)."""

    task: str
    target_sd: float
    n_inputs: int
    n_outputs: int
    image_shape: tuple[int, ...] | None

    def part(self, name: str, normalize: str) -> Any:
        """Rows of "train" or "dev" under one normalisation."""
        ...


class Watcher(Protocol):
    """Told by a running trial after each slice of training; may end it by raising."""

    def __call__(self, trial: Trial, training: Any) -> None:
        """Look at the training under way."""
        ...


def reported_metrics(task: str, metric: str) -> list[str]:
    """The metrics whose dev and train values are recorded: the optimised one first."""
    return [metric, *(name for name in TASK_METRICS[task] if name != metric)]


def run_trial(trial: Trial, data: SearchData, settings: TrialSettings, watch: Watcher | None = None) -> TrialResult:
    """Train and judge one configuration; a network that fails makes a FAIL with its reason, never an exception.

    `watch` is called after every slice (about 50 ms); what it raises passes through.
    """
    # The engine takes a second to load, and commands that only read results need none.
    from hpsearch.engine.network import Network, Training, start_engine  # noqa: PLC0415
    from hpsearch.seeds import Purpose, stream_key  # noqa: PLC0415

    start_engine()
    began = time.time()
    clock = time.perf_counter()
    streams = (Purpose.INIT, Purpose.SHUFFLE, Purpose.DROPOUT, Purpose.AUGMENT)
    keys = tuple(stream_key(settings.seed, trial.number, purpose) for purpose in streams)
    network = Network(
        trial.config,
        n_inputs=data.n_inputs,
        n_outputs=data.n_outputs,
        task=data.task,
        metric=settings.metric,
        keys=keys,
        image_shape=data.image_shape,
    )
    normalize = network.hyperparameters["normalize"]
    train, dev = data.part("train", normalize), data.part("dev", normalize)
    result = TrialResult(trial.number, trial.config, TrialState.FAIL, parameters=network.parameters, started=began)
    try:
        training = Training(network, train, dev)
        while training.advance():
            if settings.trial_timeout and time.perf_counter() - clock > settings.trial_timeout:
                result.error = f"timeout: longer than {settings.trial_timeout:g} s"
                break
            if watch:
                watch(trial, training)
        if watch:
            watch(trial, training)
    except MemoryError:
        result.error = f"memory: no room for {network.parameters} parameters"
        return result
    _record(result, training, train, dev, data, settings)
    result.seconds = time.perf_counter() - clock
    return result


def _record(
    result: TrialResult, training: Any, train: Any, dev: Any, data: SearchData, settings: TrialSettings
) -> None:
    network = training.network
    result.epochs, result.updates = training.epochs, training.updates
    result.gflop = _digits(network.epoch_flops(len(train.inputs)) * training.epochs / 1e9)
    result.curves = _curves(training, settings.metric, data.target_sd)
    result.health = _health(training)
    if training.status == "diverged":
        result.error = f"diverged: {training.diverged_in} overflowed or exploded after update {training.updates}"
    if result.error:
        return
    result.state = TrialState.COMPLETE
    result.best_epoch = training.best_epoch
    for name, rows in (("dev", dev), ("train", train)):
        _, found = network.evaluate(training.best, rows)
        for metric in reported_metrics(data.task, settings.metric):
            scale = data.target_sd if metric in SCALED_METRICS else 1.0
            value = found.get(metric, math.nan) * scale
            if math.isfinite(value):
                result.metrics[f"{name}_{metric}"] = value
    if f"dev_{settings.metric}" not in result.metrics:
        result.state = TrialState.FAIL
        result.error = f"undefined: {settings.metric} cannot be computed on the dev part"
        return
    result.weights = training.best


def _curves(training: Any, metric: str, target_sd: float) -> dict[str, list[float]]:
    from hpsearch.engine.layout import CURVES  # noqa: PLC0415

    scale = target_sd if metric in SCALED_METRICS else 1.0
    columns = training.curve_rows().T
    scaled = {"train_metric": scale, "dev_metric": scale}
    return {
        name: [_digits(value * scaled.get(name, 1.0)) for value in column.tolist()]
        for name, column in zip(CURVES, columns, strict=True)
    }


def _health(training: Any) -> dict[str, list[Any]]:
    from hpsearch.engine.layout import HEALTH  # noqa: PLC0415

    epochs = training.health_epochs()
    seen = training.health[: len(epochs)].tolist()
    columns = {
        name: [[_digits(layer[i]) if math.isfinite(layer[i]) else None for layer in point] for point in seen]
        for i, name in enumerate(HEALTH)
    }
    return {"epochs": epochs, **columns}


def _digits(value: float) -> float:
    return float(f"{value:.{CURVE_DIGITS}g}")


def score(result: TrialResult, metric: str, maximize: bool) -> float:  # noqa: FBT001
    """The value to minimise; infinity for a trial without one."""
    if result.state is not TrialState.COMPLETE:
        return math.inf
    value = result.metrics[f"dev_{metric}"]
    return -value if maximize else value


def best_of(results: Mapping[int, TrialResult], metric: str, maximize: bool) -> TrialResult | None:  # noqa: FBT001
    """The result with the best score, of equal ones the lowest number; None if no trial has one."""
    key: Callable[[TrialResult], tuple[float, int]] = lambda r: (score(r, metric, maximize), r.number)  # noqa: E731
    found = min(results.values(), key=key, default=None)
    return found if found is not None and found.state is TrialState.COMPLETE else None
