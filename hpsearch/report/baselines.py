"""What simple models make of the same rows: the best constant prediction, and a linear model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.config import default_constants
from hpsearch.data.parts import Part
from hpsearch.diagnosis.scores import class_scorer, value_scorer
from hpsearch.model import Member
from hpsearch.trial import Trial, run_trial

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.target import Target
    from hpsearch.trial import TrialResult, TrialSettings

# Logistic regression, or the least squares of a linear one: a network without hidden layers.
LINEAR = {
    "layers": 0, "learning_rate": 0.01, "l2": 1e-3, "epochs": 200, "patience": 20, "normalize": "standard",
}  # fmt: skip
NORMALIZATION = LINEAR["normalize"]  # that the data must be prepared for


def train_linear(data: Dataset, settings: TrialSettings, number: int = 0) -> TrialResult:
    """A linear model of the train rows, ended by the dev rows."""
    usual = {"batch_size": default_constants(data.rows["train"])["batch_size"]}
    return run_trial(Trial(number, LINEAR | usual), data, settings)


def simple_scores(data: Dataset, settings: TrialSettings, part: Part) -> dict[str, dict[str, float]]:
    """The metrics, on a part whose features are not scaled, of both models, which know the train rows of `data`."""
    target, train = data.target, data.part("train", NORMALIZATION)
    if target.task == "classification":
        shares = np.bincount(train.labels, minlength=len(target.classes)) / len(train.labels)
    else:
        shares = train.targets.mean(axis=0)
    found = {"constant": _scores(target, part, np.tile(shares, (len(part.inputs), 1)))}
    result = train_linear(data, settings)
    if result.weights is not None:
        linear = Member.of(result, data, settings.metric)
        scaled = data.normalizers[NORMALIZATION].transform(part.inputs)
        predicted, _ = linear.network.predict(linear.weights, Part(scaled, part.labels, part.targets))
        found["linear"] = _scores(target, part, predicted)
    return found


def _scores(target: Target, part: Part, predicted: np.ndarray) -> dict[str, float]:
    once = np.ones(len(part.inputs))
    if target.task == "classification":
        return class_scorer(predicted, part.labels)(once)
    values, guesses = (target.original(known)[:, 0] for known in (part.targets, predicted))
    return value_scorer(guesses, values)(once)
