"""scikit-learn's MLPClassifier on float32 inputs. Its clock runs from fit to the fitted model, as it cannot be cut."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from jobs import BETA1, BETA2, EPSILON, LEARNING_RATE
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

if TYPE_CHECKING:
    import numpy as np
    from jobs import Job

NAME = "scikit-learn"
warnings.filterwarnings("ignore", category=ConvergenceWarning)


class Engine:
    """One training."""

    def __init__(self, job: Job, seed: int) -> None:
        self.job = job
        self.model = MLPClassifier(
            job.hidden, activation="relu", solver="adam", alpha=0.0, batch_size=job.batch, max_iter=job.epochs,
            learning_rate_init=LEARNING_RATE, beta_1=BETA1, beta_2=BETA2, epsilon=EPSILON, shuffle=True, tol=0.0,
            n_iter_no_change=10**9, random_state=seed,
        )  # fmt: skip

    def train(self) -> None:
        self.model.fit(self.job.inputs, self.job.labels)

    @property
    def updates(self) -> int:
        return self.model._optimizer.t  # noqa: SLF001 - counted nowhere else

    def probabilities(self) -> np.ndarray:
        return self.model.predict_proba(self.job.inputs)


VARIANTS = {"float32, alpha 0": Engine}
