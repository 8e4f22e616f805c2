"""scikit-learn's RandomizedSearchCV over MLPClassifier or MLPRegressor; its workers import this file, and no hpsearch.

The usual ranges; as many epochs at most as hpsearch trains, and early stopping by a tenth of the training rows, as
scikit-learn does it. Columns are one-hot encoded as hpsearch does it, numbers and a regression's target standardised.

A search has no time limit: one after the other is begun with a new random_state, and at the end all is killed. What
was scored by then counts, also of the search that was under way, of which scikit-learn itself would tell nothing. No
training is repeated on train and dev rows together.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from engine_notes import note
from scipy.stats import loguniform
from sklearn.compose import make_column_transformer
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from pathlib import Path

    from engine_task import Task

CANDIDATES = 100  # of one RandomizedSearchCV
LAYERS, UNITS = (1, 2, 3), (32, 64, 128, 256)
SPACE = {
    "hidden_layer_sizes": [(units,) * layers for layers in LAYERS for units in UNITS],
    "activation": ["relu", "tanh"],
    "alpha": loguniform(1e-7, 1e-1),
    "learning_rate_init": loguniform(1e-4, 3e-2),
    "batch_size": [32, 64, 128, 256],
}


def search(task: Task, seed: int, jobs: int, deadline: float, file: Path) -> None:
    """Search until somebody kills this process, or for one search more than there is time for."""
    parts = [task.data.part("train", "none"), task.data.part("dev", "none"), task.test_part("none")]
    classes = len(task.data.classes)
    outputs = [part.labels if classes else part.targets.ravel() for part in parts]
    X, y = np.concatenate([part.inputs for part in parts[:2]]), np.concatenate(outputs[:2])
    fold = np.repeat([-1, 0], [len(part.inputs) for part in parts[:2]])  # -1: never judged on
    test_rows = file.with_suffix(".npz")
    np.savez(test_rows, X=parts[2].inputs, y=outputs[2])
    scale = make_column_transformer((StandardScaler(), task.data.preparation.numeric_mask), remainder="passthrough")
    network = MLPClassifier if classes else MLPRegressor
    network = network(early_stopping=True, max_iter=task.study.longest_trial(), random_state=seed)
    step = type(network).__name__.lower()
    for place in itertools.count():
        if time.time() > deadline:
            return
        RandomizedSearchCV(
            make_pipeline(scale, network),
            {f"{step}__{name}": values for name, values in SPACE.items()},
            n_iter=CANDIDATES,
            scoring=Noting(str(file), str(test_rows), classes, task.data.target_sd),
            cv=PredefinedSplit(fold),
            refit=False,
            n_jobs=jobs,
            random_state=1000 * seed + place,
        ).fit(X, y)


@dataclass(frozen=True)
class Noting:
    """A scorer that also notes the score on the test part, which takes milliseconds.

    classes: how many; 0 for a regression, whose scores are in units of the target by `target_sd`.
    """

    file: str
    test_rows: str
    classes: int
    target_sd: float

    def __call__(self, model: Any, X: np.ndarray, y: np.ndarray) -> float:
        dev = self.loss(model, X, y)
        at = time.time()
        network = model[-1].get_params()
        note(self.file, at, dev, self.loss(model, *rows(self.test_rows)), {name: network[name] for name in SPACE})
        return -dev

    def loss(self, model: Any, X: np.ndarray, y: np.ndarray) -> float:
        """Log loss, which scikit-learn clips at the precision of the probabilities; or RMSE."""
        if self.classes:
            return float(log_loss(y, model.predict_proba(X), labels=range(self.classes)))
        return float(np.sqrt(np.mean((model.predict(X) - y) ** 2))) * self.target_sd


@cache
def rows(file: str) -> tuple[np.ndarray, np.ndarray]:
    """The test part, read once by each process."""
    with np.load(file) as arrays:
        return arrays["X"], arrays["y"]
