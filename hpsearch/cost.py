"""What trials will cost, before they run: operations of dense products, and seconds from a short calibration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.engine.hyperparameters import normalization
from hpsearch.engine.network import Network, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.trial import SearchData, Trial

CALIBRATION_SECONDS = 0.15


@dataclass(frozen=True)
class Cost:
    """Of one trial trained for all its epochs; early stopping only makes it cheaper."""

    parameters: int
    updates: int
    gflop: float
    seconds: float


def predict_costs(trials: Sequence[Trial], data: SearchData, metric: str) -> list[Cost]:
    """The cost of each trial: seconds = updates * a + operations * b, fitted to the smallest and the largest."""
    networks = [_network(trial, data, metric) for trial in trials]
    if not networks:
        return []
    rows = len(data.part("train", networks[0].hyperparameters["normalize"]).inputs)
    by_update = sorted(networks, key=lambda network: _update_flops(network, rows))
    small, large = by_update[0], by_update[-1]
    flops = _update_flops(small, rows), _update_flops(large, rows)
    seconds = _time_update(small, data), _time_update(large, data)
    per_flop = (seconds[1] - seconds[0]) / (flops[1] - flops[0]) if flops[1] > flops[0] else seconds[0] / flops[0]
    per_flop = max(per_flop, 0.0)
    per_update = max(seconds[0] - per_flop * flops[0], 0.0)
    return [_cost(network, rows, per_update, per_flop) for network in networks]


def most_flop(trial: Trial, data: SearchData, metric: str, rows: int) -> float:
    """Operations of a trial that is trained on `rows` rows for all its epochs."""
    network = _network(trial, data, metric)
    return float(network.hyperparameters["epochs"]) * network.epoch_flops(rows)


def _network(trial: Trial, data: SearchData, metric: str) -> Network:
    return Network(
        trial.config,
        n_inputs=data.part("train", normalization(trial.config)).inputs.shape[1],
        n_outputs=data.n_outputs,
        task=data.task,
        metric=metric,
        image_shape=data.image_shape,
    )


def _updates_per_epoch(network: Network, rows: int) -> int:
    return -(-rows // network.batch_rows(rows))


def _update_flops(network: Network, rows: int) -> float:
    return network.epoch_flops(rows) / _updates_per_epoch(network, rows)


def _time_update(network: Network, data: SearchData) -> float:
    """Seconds of one update, its share of the dev evaluation included."""
    normalize = network.hyperparameters["normalize"]
    training = Training(network, data.part("train", normalize), data.part("dev", normalize))
    training.advance_by(1)
    before = training.updates
    start = time.perf_counter()
    while training.advance() and time.perf_counter() - start < CALIBRATION_SECONDS:
        pass
    return (time.perf_counter() - start) / max(training.updates - before, 1)


def _cost(network: Network, rows: int, per_update: float, per_flop: float) -> Cost:
    epochs = network.hyperparameters["epochs"]
    updates = epochs * _updates_per_epoch(network, rows)
    flop = float(epochs * network.epoch_flops(rows))
    return Cost(network.parameters, updates, flop / 1e9, updates * per_update + flop * per_flop)
