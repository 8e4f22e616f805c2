"""A trained network with all that it needs to judge new rows: preparation of columns, normalisation, classes.

On disk two files, neither of which can run code: weights.safetensors (for each layer `layers.<i>.weight` (n_in,
n_out) and `layers.<i>.bias` (n_out,)) and model.yaml (everything else).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from hpsearch import strict_yaml
from hpsearch.data.normalising import Normalizer
from hpsearch.data.preparing import Preparation
from hpsearch.engine.network import Network
from hpsearch.errors import HpsearchError, RunError
from hpsearch.files import storage_errors, write_atomically
from hpsearch.trial import SCALED_METRICS

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from hpsearch.data.dataset import Dataset, Part
    from hpsearch.trial import TrialResult

FORMAT = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.yaml"


@dataclass(frozen=True)
class Model:
    """A network in use. `weights` is the engine's flat vector; `trial` the number of the trial that trained it."""

    trial: int
    network: Network
    weights: np.ndarray
    task: str
    metric: str
    classes: list[Any]
    target_mean: float
    target_sd: float
    preparation: Preparation
    normalizer: Normalizer

    @classmethod
    def of_trial(cls, result: TrialResult, data: Dataset, metric: str) -> Model:
        """The model of a trial that was trained on `data`."""
        network = Network(
            result.config, n_inputs=data.n_inputs, n_outputs=data.n_outputs, task=data.task, metric=metric
        )
        normalizer = data.normalizers[network.hyperparameters["normalize"]]
        return cls(
            result.number, network, result.weights, data.task, metric, data.classes,
            data.target_mean, data.target_sd, data.preparation, normalizer,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write both files, each in one step; the description, which names the weights by checksum, comes last."""
        with storage_errors(folder):
            folder.mkdir(exist_ok=True)
        weights = safetensors.numpy.save(self._tensors(), metadata={"format": "np"})
        description = {
            "format": FORMAT,
            "trial": self.trial,
            "task": self.task,
            "metric": self.metric,
            "layers": self.network.sizes.tolist(),
            "hyperparameters": self.network.hyperparameters,
            "classes": self.classes,
            "target_mean": self.target_mean,
            "target_sd": self.target_sd,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "preparation": self.preparation.to_dict(),
            "normalizer": self.normalizer.to_dict(),
        }
        write_atomically(folder / WEIGHTS, weights)
        write_atomically(folder / DESCRIPTION, strict_yaml.dump(description).encode())

    @classmethod
    def load(cls, folder: Path) -> Model:
        """The model in `folder`; RunError if it is missing, incomplete or not what was written."""
        path = folder / DESCRIPTION
        if not path.is_file() or not (folder / WEIGHTS).is_file():
            raise RunError(f"{folder}: no model there ({DESCRIPTION} and {WEIGHTS})")
        found = strict_yaml.read_plain(path)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise RunError(f"{path}: not a model of this version of hpsearch")
        with storage_errors(folder):
            content = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(content).hexdigest() != found.get("weights_sha256"):
            raise RunError(
                f"{folder / WEIGHTS}: not the weights that {DESCRIPTION} describes; one of the two was changed"
            )
        try:
            layers = found["layers"]
            network = Network(
                found["hyperparameters"],
                n_inputs=layers[0],
                n_outputs=layers[-1],
                task=found["task"],
                metric=found["metric"],
            )
            return cls(
                found["trial"], network, _flat(safetensors.numpy.load(content), network),
                found["task"], found["metric"],
                found["classes"], found["target_mean"], found["target_sd"],
                Preparation.from_dict(found["preparation"]), Normalizer.from_dict(found["normalizer"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError, safetensors.SafetensorError) as error:
            raise RunError(f"{path}: not a whole model: {type(error).__name__} {error}") from None

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {}
        start = 0
        for layer, (n_in, n_out) in enumerate(zip(self.network.sizes[:-1], self.network.sizes[1:], strict=True)):
            tensors[f"layers.{layer}.weight"] = self.weights[start : start + n_in * n_out].reshape(n_in, n_out)
            start += n_in * n_out
            tensors[f"layers.{layer}.bias"] = self.weights[start : start + n_out]
            start += n_out
        return tensors

    def inputs(self, frame: pl.DataFrame) -> np.ndarray:
        """Rows of a table as the network's inputs (rows, features) float32."""
        return self.normalizer.transform(self.preparation.transform(frame))

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """Probabilities (rows, classes), or predicted values (rows, 1) in units of the target."""
        empty = _Unlabelled(self.inputs(frame))
        scores, _ = self.network.evaluate(self.weights, empty)
        if self.task == "classification":
            return scores
        return (scores.astype(np.float64) * self.target_sd + self.target_mean).astype(np.float64)

    def judge(self, part: Part) -> dict[str, float]:
        """Every metric of the task on rows with known targets, in units of the target."""
        _, found = self.network.evaluate(self.weights, part)
        return {name: value * (self.target_sd if name in SCALED_METRICS else 1.0) for name, value in found.items()}


def saved_trial(folder: Path) -> int | None:
    """The number of the trial whose whole model is in `folder`; None if there is none."""
    try:
        return Model.load(folder).trial
    except HpsearchError:
        return None


class _Unlabelled:
    """Rows whose target is not known."""

    labels = np.zeros(0, np.int32)
    targets = np.zeros((0, 1), np.float32)

    def __init__(self, inputs: np.ndarray) -> None:
        self.inputs = inputs


def _flat(tensors: dict[str, np.ndarray], network: Network) -> np.ndarray:
    """The engine's vector; ValueError if a tensor is missing or has another shape or type than the network wants."""
    parts = []
    for layer, (n_in, n_out) in enumerate(zip(network.sizes[:-1], network.sizes[1:], strict=True)):
        for name, shape in ((f"layers.{layer}.weight", (n_in, n_out)), (f"layers.{layer}.bias", (n_out,))):
            tensor = tensors[name]
            if tensor.shape != shape or tensor.dtype != np.float32:
                raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not float32 {shape}")
            parts.append(tensor.ravel())
    return np.concatenate(parts)
