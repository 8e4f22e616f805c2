"""scikit-learn's face of one network: `MLPClassifier` and `MLPRegressor`, for pipelines, grids and cross-validation.

They train one configuration, on inputs that are numbers. A search, mixed columns and everything kept on disk are
`hpsearch.search`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hpsearch.config import default_constants
from hpsearch.data.encoders import LARGEST, origin_of
from hpsearch.data.normalising import Normalizer
from hpsearch.data.parts import Part, empty_labels, empty_targets
from hpsearch.engine.network import STREAMS, Network, Training, start_engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

FEWEST_TO_SPLIT = 20  # with fewer rows the training rows judge their own network
NOT_OF_THE_NETWORK = ("random_state", "validation_fraction", "normalize")


ARGUMENTS = """
    Args:
        layers: hidden layers.
        units: units of each; auto: 64 to 256, by the number of rows.
        activation: of the hidden layers (hpsearch.engine.hyperparameters.ACTIVATION_NAMES).
        learning_rate: size of a step.
        optimizer: adam, sgd, momentum, nesterov, adagrad, rmsprop, adamw.
        schedule: how the learning rate changes (SCHEDULE_NAMES).
        batch_size: rows of an update; auto: 16 to 256, by the number of rows; full: all.
        epochs: at most so many passes over the training rows.
        patience: epochs without a better score on the rows that are set aside before the end; 0: never.
        l2: lambda of the penalty lambda / (2 m) * sum of squared weights, m rows in a batch.
        dropout: share of hidden units left out.
        batch_norm: normalise each hidden layer over the batch.
        ema: beta of the average of the weights that is kept; auto: over about the last two epochs; 0: none.
        normalize: scaling of the inputs (NORMALIZE_NAMES).
        validation_fraction: share of the rows that is set aside to find the best epoch; 0: none is.
        random_state: an int for the same network each time.
"""


class _Network(BaseEstimator):
    """What both have in common: their arguments (ARGUMENTS), training and the network's outputs."""

    def __init__(
        self,
        *,
        layers: int = 3,
        units: int | str = "auto",
        activation: str = "silu",
        learning_rate: float = 1e-3,
        optimizer: str = "adam",
        schedule: str = "constant",
        batch_size: int | str = "auto",
        epochs: int = 100,
        patience: int = 15,
        l2: float = 0.0,
        dropout: float = 0.0,
        batch_norm: bool = False,
        ema: float | str = "auto",
        normalize: str = "robust_clip",
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ) -> None:
        self.layers = layers
        self.units = units
        self.activation = activation
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.schedule = schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.l2 = l2
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.ema = ema
        self.normalize = normalize
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _fit(self, X: np.ndarray, labels: np.ndarray, targets: np.ndarray, outputs: int, task: str) -> Self:
        """Train on inputs (rows, features) and labels (rows,) or standardised targets (rows, 1)."""
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction: {self.validation_fraction!r} is not from 0 on and below 1")
        start_engine()
        chance = check_random_state(self.random_state)
        train, dev = _split(len(X), labels, self.validation_fraction, chance)
        self._origins = np.array([origin_of(column) for column in X[train].T])
        features = self._features(X)
        self._normalizer = Normalizer.fit(self.normalize, features[train], np.ones(X.shape[1], bool))
        inputs = self._normalizer.transform(features)

        def part(rows: np.ndarray) -> Part:
            return Part(
                np.ascontiguousarray(inputs[rows]),
                labels[rows] if len(labels) else labels,
                targets[rows] if len(targets) else targets,
            )

        self._network = Network(
            self._hyperparameters(len(train)),
            n_inputs=self._normalizer.width,
            n_outputs=outputs,
            task=task,
            metric="log_loss" if task == "classification" else "rmse",
            keys=chance.randint(2**31 - 1, size=len(STREAMS)).tolist(),
        )
        training = Training(self._network, part(train), part(dev))
        while training.advance():
            pass
        if training.best_epoch == 0:
            raise ValueError(f"the training diverged in {training.diverged_in}; a smaller learning_rate may help")
        self._weights = training.best.copy()
        self.n_iter_ = training.epochs
        self.best_epoch_ = training.best_epoch
        self.loss_curve_ = training.curve_rows()[:, 0].tolist()
        return self

    def _hyperparameters(self, rows: int) -> dict[str, Any]:
        usual = default_constants(rows)
        given = {name: _plain(value) for name, value in self.get_params().items() if name not in NOT_OF_THE_NETWORK}
        return {name: usual[name] if value == "auto" and name in usual else value for name, value in given.items()}

    def _features(self, X: np.ndarray) -> np.ndarray:
        return np.clip(X - self._origins, -LARGEST, LARGEST).astype(np.float32)

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs (rows, outputs) for rows as they were given to `fit`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        start_engine()
        inputs = self._normalizer.transform(self._features(X))
        return self._network.predict(self._weights, Part(inputs, empty_labels(), empty_targets()))[0]


class MLPClassifier(ClassifierMixin, _Network):
    """A classifier.

    Attributes:
        classes_: (classes,) in the order of the probabilities.
        n_iter_, best_epoch_: epochs trained, and the one whose weights were kept, from 1.
        loss_curve_: the training loss of each epoch.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows X (rows, features) of numbers and their classes y (rows,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has 1 class, {self.classes_[0]!r}; there is nothing to tell apart")
        return self._fit(X, labels.astype(np.int32), empty_targets(), len(self.classes_), "classification")

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (rows, classes)."""
        shares = self._outputs(X).astype(np.float64)
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row (rows,)."""
        winners = self._outputs(X).argmax(axis=1)
        return self.classes_[winners]


class MLPRegressor(RegressorMixin, _Network):
    """A regressor.

    Attributes:
        n_iter_, best_epoch_: epochs trained, and the one whose weights were kept, from 1.
        loss_curve_: the training loss of each epoch, of standardised values.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows X (rows, features) of numbers and values y (rows,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._mean, self._sd = float(y.mean()), float(y.std()) or 1.0
        targets = ((y - self._mean) / self._sd).astype(np.float32)[:, None]
        return self._fit(X, empty_labels(), targets, 1, "regression")

    def predict(self, X: Any) -> np.ndarray:
        """Values (rows,)."""
        return self._outputs(X)[:, 0].astype(np.float64) * self._sd + self._mean


def _plain(value: Any) -> Any:
    """A number or truth of NumPy, as grids of values have them, as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _split(rows: int, labels: np.ndarray, share: float, chance: Any) -> tuple[Sequence[int], Sequence[int]]:
    """Which rows are trained on and which are set aside, of each class about the same share; all twice where few."""
    order = chance.permutation(rows)
    place = np.arange(rows) / rows
    place[-1] = 1.0
    for label in np.unique(labels):
        own = np.flatnonzero(labels[order] == label)
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
        place[own[-1]] = 1.0  # so every class has a row to be trained on
    aside = (place < share) | (place == place.min())
    if rows < FEWEST_TO_SPLIT or share <= 0 or aside.all():
        return np.sort(order), np.sort(order)
    return np.sort(order[~aside]), np.sort(order[aside])


for _kind in (MLPClassifier, MLPRegressor):
    _kind.__doc__ += ARGUMENTS
