"""One trial: a configuration in, a trained network's record out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from hpsearch.engine.network import Network

CURVE_DIGITS = 7
DEV_LOSS, DEV_METRIC = 1, 3  # their places in engine.layout.CURVES
SCALED_METRICS = ("rmse", "mae")  # in units of the target, while the engine works on the standardised one
Key = tuple[int, int, int]  # a training: the number of its trial, repeat, refit_epochs
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
    """A number, which with the root seed decides every random draw, and the hyperparameters to try.

    limits: (epoch, score) pairs in the order of epochs; a trial whose best score after that epoch is above the limit
    ends there. repeat: from 1 on it is trained again with fresh random numbers. refit_epochs: if not 0, it is trained
    on the rows of train and dev together, for so many epochs and to no other end.
    """

    number: int
    config: dict[str, Any]
    limits: tuple[tuple[int, float], ...] = ()
    repeat: int = 0
    refit_epochs: int = 0

    @property
    def key(self) -> Key:
        """What tells a training from the others of a run."""
        return self.number, self.repeat, self.refit_epochs


@dataclass(frozen=True)
class RungReport:
    """A trial that goes on has passed the rung with index `rung`; its best score so far."""

    number: int
    rung: int
    score: float


@dataclass
class TrialResult:
    """What is recorded of a trial. Everything but `seconds`, `started` and `worker` is the same on every repetition.

    metrics: `dev_<metric>` and `train_<metric>` at the best epoch, smaller names as in reported_metrics.
    curves: one list for each of engine.layout.CURVES. health: `epochs` in which the layers were looked at, and for each
    of engine.layout.HEALTH a list of one value per layer for each of them. weights: flat vector of the best epoch.
    reports: the best score so far at each rung of the study, infinity at those behind the epoch at which it was stopped
    or failed. survived: epochs at whose end it went on. epoch_updates, epoch_flop: of one epoch. These three are not
    kept in the journal once a result counts, the weights never. refit_epochs: as of its trial; its weights are then
    those of the last epoch, and its dev scores are of rows that it was trained on.
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
    reports: list[float] = field(default_factory=list)
    survived: int = 0
    epoch_updates: int = 0
    epoch_flop: float = 0.0
    repeat: int = 0
    refit_epochs: int = 0

    @property
    def key(self) -> Key:
        """What tells a training from the others of a run."""
        return self.number, self.repeat, self.refit_epochs

    @property
    def cost(self) -> float | None:
        """What the training took, in GFLOP, so the same on every machine; None if it did not come to its end.

        The logarithms of costs and seconds have correlations of .94 to .99 (six data sets, the default space).
        """
        return self.gflop if self.state is TrialState.COMPLETE else None

    def rungs_gone_past(self, rungs: Sequence[int]) -> int:
        """At how many of the rungs it could be stopped, because it went on there."""
        return sum(epoch <= self.survived for epoch in rungs)


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a study share: among it the most seconds and bytes that one may take (None: no limit).

    `rungs` are the epochs at which they are compared while they run.
    """

    seed: int
    metric: str
    trial_timeout: float | None = None
    trial_memory: int | None = None
    rungs: tuple[int, ...] = ()


class SearchData(Protocol):
    """The part of a data set that a trial needs (data.Dataset, or its shared form in a worker)."""

    task: str
    target_sd: float
    n_outputs: int
    image_shape: tuple[int, ...] | None

    def part(self, name: str, normalize: str) -> Any:
        """Rows of "train" or "dev" under one normalisation."""
        ...


class Watcher(Protocol):
    """Told by a running trial after each slice of training; may abandon it by raising."""

    def __call__(self, trial: Trial, training: Any) -> bool | None:
        """Look at the training under way; True, once an epoch is done: it is to end here, as if it had been pruned."""
        ...


def purpose(key: Key) -> str:
    """What a training is for that is not its trial's first, for people; empty for that."""
    _, repeat, refit_epochs = key
    if refit_epochs:
        return "training on train and dev together"
    return f"training {repeat} for the finals" if repeat else ""


def reported_metrics(task: str, metric: str) -> list[str]:
    """The metrics whose dev and train values are recorded: the optimised one first."""
    return [metric, *(name for name in TASK_METRICS[task] if name != metric)]


def _network(trial: Trial, data: SearchData, settings: TrialSettings, inputs: int) -> Network:
    from hpsearch.engine.network import Network  # noqa: PLC0415
    from hpsearch.seeds import Purpose, stream_key  # noqa: PLC0415

    streams = (Purpose.INIT, Purpose.SHUFFLE, Purpose.DROPOUT, Purpose.AUGMENT)
    own: dict[str, Any] = {"patience": 0} if trial.refit_epochs else {}
    if settings.metric in SCALED_METRICS and "min_delta" in trial.config:
        own["min_delta"] = trial.config["min_delta"] / data.target_sd
    return Network(
        trial.config | own,
        n_inputs=inputs,
        n_outputs=data.n_outputs,
        task=data.task,
        metric=settings.metric,
        keys=tuple(stream_key(settings.seed, trial.number, purpose, trial.repeat) for purpose in streams),
        image_shape=data.image_shape,
    )


def run_trial(trial: Trial, data: SearchData, settings: TrialSettings, watch: Watcher | None = None) -> TrialResult:
    """Train and judge one configuration; a network that fails makes a FAIL with its reason, never an exception.

    `watch` is called after every slice (about 50 ms); what it raises passes through.
    """
    # The engine takes a second to load, and commands that only read results need none.
    from hpsearch.engine.hyperparameters import normalization  # noqa: PLC0415
    from hpsearch.engine.network import Training, start_engine  # noqa: PLC0415
    from hpsearch.engine.sparse import sparse_inputs  # noqa: PLC0415
    from hpsearch.memory import memory_limit  # noqa: PLC0415

    start_engine()
    began = time.time()
    clock = time.perf_counter()
    normalize = normalization(trial.config)
    train, dev = data.part("train", normalize), data.part("dev", normalize)
    network = _network(trial, data, settings, train.inputs.shape[1])
    result = TrialResult(
        trial.number,
        trial.config,
        TrialState.FAIL,
        parameters=network.parameters,
        started=began,
        repeat=trial.repeat,
        refit_epochs=trial.refit_epochs,
    )
    skipped, watched = False, 0.0
    sparse_inputs(train.inputs, dev.inputs)  # so that the memory for terms is not the first trial's
    try:
        with memory_limit(settings.trial_memory):
            train = train.joined(dev) if trial.refit_epochs else train
            training = Training(network, train, dev)
            limits = iter(trial.limits)
            end = (trial.refit_epochs or None, math.inf)
            epoch, limit = next(limits, end)
            while training.advance(until=epoch):
                if settings.trial_timeout and time.perf_counter() - clock - watched > settings.trial_timeout:
                    result.error = f"timeout: longer than {settings.trial_timeout:g} s"
                    break
                before = time.perf_counter()
                skipped = bool(watch and watch(trial, training))
                watched += time.perf_counter() - before  # a person may have paused it
                if skipped:
                    result.state = TrialState.PRUNED
                    break
                if training.epochs == epoch:
                    if limit < best_scores(training, data.target_sd, settings.metric)[-1] < math.inf:
                        result.state = TrialState.PRUNED
                        break
                    if epoch == trial.refit_epochs:
                        break
                    epoch, limit = next(limits, end)
            if watch:
                watch(trial, training)
    except MemoryError:
        room = "" if settings.trial_memory is None else f" in {settings.trial_memory / 1e9:.3g} GB"
        result.error = f"memory: no room{room} for {network.parameters} parameters"
        result.reports = [math.inf] * len(settings.rungs)
        return result
    _record(result, training, train, dev, data, settings)
    result.seconds = time.perf_counter() - clock - watched
    if skipped:
        return replace(cut_short(result, 0, (training.epochs,), settings.metric), reports=result.reports)
    return result


def best_scores(training: Any, target_sd: float, metric: str) -> np.ndarray:
    """The best score (smaller is better) up to each finished epoch (epochs,)."""
    import numpy as np  # noqa: PLC0415 - commands that only read results need none

    from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS  # noqa: PLC0415

    sign = -1.0 if metric in MAXIMIZED_METRICS else 1.0
    scale = target_sd if metric in SCALED_METRICS else 1.0
    values = training.curve_rows()[:, DEV_METRIC] * (sign * scale)
    return np.fmin.accumulate(np.where(np.isnan(values), math.inf, values))


def _record(
    result: TrialResult, training: Any, train: Any, dev: Any, data: SearchData, settings: TrialSettings
) -> None:
    network = training.network
    result.epochs, result.updates = training.epochs, training.updates
    result.epoch_updates, result.epoch_flop = training.updates_per_epoch, network.epoch_flops(len(train.inputs))
    result.gflop = _digits(result.epoch_flop * training.epochs / 1e9)
    result.curves = curves_of(training, settings.metric, data.target_sd)
    result.health = health_of(training)
    if training.status == "diverged":
        result.error = f"diverged: {training.diverged_in} overflowed or exploded after update {training.updates}"
    ended = not result.error and result.state is not TrialState.PRUNED
    judged_bad = training.status == "diverged" and not math.isfinite(training.curve_rows()[-1:, DEV_LOSS].sum())
    result.survived = training.epochs - (ended or judged_bad)
    scores = best_scores(training, data.target_sd, settings.metric).tolist()
    last = scores[-1] if scores and ended else math.inf
    result.reports = [scores[rung - 1] if rung <= len(scores) else last for rung in settings.rungs]
    if not ended:
        return
    result.state = TrialState.COMPLETE
    result.best_epoch = result.refit_epochs or training.best_epoch
    weights = training.latest if result.refit_epochs else training.best
    for name, rows in (("dev", dev), ("train", train)):
        _, found = network.evaluate(weights, rows)
        for metric in reported_metrics(data.task, settings.metric):
            scale = data.target_sd if metric in SCALED_METRICS else 1.0
            value = found.get(metric, math.nan) * scale
            if math.isfinite(value):
                result.metrics[f"{name}_{metric}"] = value
    if f"dev_{settings.metric}" not in result.metrics:
        result.state = TrialState.FAIL
        result.error = f"undefined: {settings.metric} cannot be computed on the dev part"
        return
    if network.hyperparameters["schedule"] == "rising":
        result.state = TrialState.PRUNED  # a test of learning rates, which ends at the largest: no model to be chosen
        return
    result.weights = weights


def cut_short(result: TrialResult, rung: int, rungs: Sequence[int], metric: str) -> TrialResult:
    """The same trial, stopped at the rung of `rungs` with this index, however far it went on.

    What is told of it comes from its curves, so it is the same whether it stopped by itself or ran on. It has no
    weights.
    """
    from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS  # noqa: PLC0415

    epochs = rungs[rung]
    curves = {name: values[:epochs] for name, values in result.curves.items()}
    choose = max if metric in MAXIMIZED_METRICS else min
    finite = [value for value in curves["dev_metric"] if math.isfinite(value)]
    best = curves["dev_metric"].index(choose(finite)) if finite else 0
    metrics = {f"{part}_{metric}": curves[f"{part}_metric"][best] for part in ("dev", "train")}
    seen = sum(epoch <= epochs for epoch in result.health["epochs"])
    return replace(
        result,
        state=TrialState.PRUNED,
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
        best_epoch=best + 1,
        epochs=epochs,
        updates=epochs * result.epoch_updates,
        gflop=_digits(result.epoch_flop * epochs / 1e9),
        error="",
        curves=curves,
        health={name: values[:seen] for name, values in result.health.items()},
        reports=[score if i <= rung else math.inf for i, score in enumerate(result.reports)],
        survived=epochs,
        weights=None,
    )


def curves_of(training: Any, metric: str, target_sd: float) -> dict[str, list[float]]:
    """The curves of a training so far, as in TrialResult."""
    from hpsearch.engine.layout import CURVES  # noqa: PLC0415

    scale = target_sd if metric in SCALED_METRICS else 1.0
    columns = training.curve_rows().T
    scaled = {"train_metric": scale, "dev_metric": scale}
    return {
        name: [_digits(value * scaled.get(name, 1.0)) for value in column.tolist()]
        for name, column in zip(CURVES, columns, strict=True)
    }


def health_of(training: Any) -> dict[str, list[Any]]:
    """What was seen in the layers so far, as in TrialResult."""
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
    """The value to minimise, of a pruned trial the best that it came to; infinity for a trial without one."""
    return math.inf if result.state is TrialState.FAIL else score_of(result.metrics, metric, maximize)


def score_of(metrics: Mapping[str, float], metric: str, maximize: bool) -> float:  # noqa: FBT001
    """The value to minimise among these metrics of a trial that has not failed; infinity if it is not there."""
    value = metrics.get(f"dev_{metric}", math.nan)
    if math.isnan(value):
        return math.inf
    return -value if maximize else value


def best_of(results: Mapping[int, TrialResult], metric: str, maximize: bool) -> TrialResult | None:  # noqa: FBT001
    """The complete result with the best score, of equal ones the lowest number; None if no trial is complete."""
    complete = (result for result in results.values() if result.state is TrialState.COMPLETE)
    return min(complete, key=lambda r: (score(r, metric, maximize), r.number), default=None)
