"""The engine of hpsearch. Its clock runs from the hyperparameters to the trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jobs import BETA1, BETA2, EPSILON, LEARNING_RATE

from hpsearch.engine.network import Network, Training, start_engine

if TYPE_CHECKING:
    from jobs import Job

NAME = "hpsearch"
start_engine()


@dataclass
class Rows:
    """What the engine takes for rows."""

    inputs: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        self.targets = np.zeros((0, 1), np.float32)


class Engine:
    """One training; the dev part is one row, as the peers judge nothing while they train."""

    def __init__(self, job: Job, seed: int) -> None:
        self.job, self.seed = job, seed
        self.rows, self.dev = Rows(job.inputs, job.labels), Rows(job.inputs[:1], job.labels[:1])

    def train(self) -> None:
        job = self.job
        hyperparameters = {
            "hidden": list(job.hidden), "activation": "relu", "batch_size": job.batch, "epochs": job.epochs,
            "patience": 0, "optimizer": "adam", "learning_rate": LEARNING_RATE, "beta1": BETA1, "beta2": BETA2,
            "epsilon": EPSILON,
        }  # fmt: skip
        self.network = Network(
            hyperparameters, n_inputs=job.sizes[0], n_outputs=job.classes, task="classification", metric="log_loss",
            keys=(self.seed, self.seed),
        )  # fmt: skip
        self.training = Training(self.network, self.rows, self.dev)
        while self.training.advance():
            pass

    @property
    def updates(self) -> int:
        return self.training.updates

    def probabilities(self) -> np.ndarray:
        return self.network.evaluate(self.training.weights, self.rows)[0]


VARIANTS = {"as a study runs it": Engine}
