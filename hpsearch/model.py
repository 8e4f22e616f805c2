"""A trained network with all that it needs to judge new rows: preparation of columns, normalisation, classes.

On disk two files, neither of which can run code: weights.safetensors (for each layer `layers.<i>.weight` (n_in,
n_out) and `layers.<i>.bias` (n_out,), with batch norm `gain`, `mean` and `variance` (n_out,) too) and model.yaml
(everything else).
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
from hpsearch.diagnosis.confidence import trust_marks
from hpsearch.engine.network import Network
from hpsearch.errors import ConfigError, HpsearchError, RunError
from hpsearch.files import make_folder, storage_errors, write_atomically
from hpsearch.trial import SCALED_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from hpsearch.data.dataset import Dataset, Part
    from hpsearch.trial import TrialResult

FORMAT = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.yaml"
PARTS = {"weight": 2, "bias": 1, "gain": 1, "mean": 1, "variance": 1}  # of a layer, with their dimensions
KEYS = {"format", "trial", "metric", "layers", "hyperparameters", "weights_sha256", "preparation", "normalizer"}


@dataclass(frozen=True)
class Model:
    """A network in use. `weights` is the engine's flat vector; `trial` the number of the trial that trained it."""

    trial: int
    network: Network
    weights: np.ndarray
    metric: str
    preparation: Preparation
    normalizer: Normalizer

    @classmethod
    def of_trial(cls, result: TrialResult, data: Dataset, metric: str) -> Model:
        """The model of a trial that was trained on `data`."""
        network = _network(result.config, data.preparation, metric)
        normalizer = data.normalizers[network.hyperparameters["normalize"]]
        return cls(result.number, network, result.weights, metric, data.preparation, normalizer)

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self.preparation.target.task

    @property
    def classes(self) -> list[Any]:
        """The classes in the order of the outputs; empty for regression."""
        return self.preparation.target.classes

    def save(self, folder: Path) -> None:
        """Write both files, each in one step; the description, which names the weights by checksum, comes last."""
        make_folder(folder)
        weights = safetensors.numpy.save(self.tensors(), metadata={"format": "np"})
        description = self.describe() | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
        write_atomically(folder / WEIGHTS, weights)
        write_atomically(folder / DESCRIPTION, strict_yaml.dump(description).encode())

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data."""
        return {
            "format": FORMAT,
            "trial": self.trial,
            "metric": self.metric,
            "layers": self.network.sizes.tolist(),
            "hyperparameters": self.network.hyperparameters,
            "preparation": self.preparation.to_dict(),
            "normalizer": self.normalizer.to_dict(),
        }

    @classmethod
    def load(cls, folder: Path) -> Model:
        """The model in `folder`; RunError if it is missing, incomplete or not what was written."""
        path = folder / DESCRIPTION
        if not path.is_file() or not (folder / WEIGHTS).is_file():
            raise RunError(f"{folder}: no model there ({DESCRIPTION} and {WEIGHTS})")
        with storage_errors(folder):
            content = (folder / WEIGHTS).read_bytes()
        try:
            found = strict_yaml.read_plain(path)
        except ConfigError as error:
            raise RunError(str(error)) from None
        if not isinstance(found, dict) or found.get("format") != FORMAT or found.keys() != KEYS:
            raise RunError(f"{path}: not a model of this version of hpsearch")
        if hashlib.sha256(content).hexdigest() != found["weights_sha256"]:
            raise RunError(
                f"{folder / WEIGHTS}: not the weights that {DESCRIPTION} describes; one of the two was changed"
            )
        try:
            tensors = safetensors.numpy.load(content)
        except safetensors.SafetensorError as error:
            raise RunError(f"{folder / WEIGHTS}: {error}") from None
        try:
            return cls._from_description(found, tensors)
        except (HpsearchError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise RunError(f"{path}: not a whole model: {type(error).__name__} {error}") from None

    @classmethod
    def _from_description(cls, found: dict[str, Any], tensors: dict[str, np.ndarray]) -> Model:
        if type(found["trial"]) is not int or found["trial"] < 0:
            raise ValueError(f"trial: {found['trial']!r} is not a trial's number")
        preparation = Preparation.from_dict(found["preparation"])
        network = _network(found["hyperparameters"], preparation, found["metric"])
        if network.sizes.tolist() != found["layers"]:
            raise ValueError(f"layers: {found['layers']!r} instead of {network.sizes.tolist()}")
        normalizer = Normalizer.from_dict(found["normalizer"])
        return cls(found["trial"], network, _flat(tensors, network), found["metric"], preparation, normalizer)

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by the names that they have in the file."""
        return {
            name: self.weights[start : start + np.prod(shape)].reshape(shape)
            for name, start, shape in _places(self.network)
        }

    def inputs(self, frame: pl.DataFrame) -> np.ndarray:
        """Rows of a table as the network's inputs (rows, features) float32."""
        return self.normalizer.transform(self.preparation.transform(frame))

    def predict(self, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities (rows, classes) and how far to trust each row's winner (rows,), one of confidence.TRUST.

        Of a regression values (rows, 1) in units of the target, and None.
        """
        scores, supports = self.network.predict(self.weights, _Unlabelled(self.inputs(frame)))
        if self.task == "regression":
            return self.preparation.target.original(scores), None
        return scores, trust_marks(scores, supports)

    def judge(self, part: Part) -> dict[str, float]:
        """Every metric of the task on rows with known targets, in units of the target."""
        _, found = self.network.evaluate(self.weights, part)
        sd = self.preparation.target.sd
        return {name: value * (sd if name in SCALED_METRICS else 1.0) for name, value in found.items()}


def _network(hyperparameters: dict[str, Any], preparation: Preparation, metric: str) -> Network:
    target = preparation.target
    return Network(
        hyperparameters,
        n_inputs=len(preparation.feature_names),
        n_outputs=len(target.classes) or 1,
        task=target.task,
        metric=metric,
    )


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


def _places(network: Network) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Name, start in the engine's vector and shape of every tensor."""
    for l, layer in enumerate(network.layers):
        n_in, n_out = int(layer["n_in"]), int(layer["n_out"])
        for part, shape in PARTS.items():
            if layer[part] >= 0:
                yield f"layers.{l}.{part}", int(layer[part]), (n_in, n_out) if shape == 2 else (n_out,)


def _flat(tensors: dict[str, np.ndarray], network: Network) -> np.ndarray:
    """The engine's vector; ValueError if a tensor is missing or has another shape or type than the network wants."""
    weights = np.zeros(network.vector_size, np.float32)
    for name, start, shape in _places(network):
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.float32:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not float32 {shape}")
        weights[start : start + tensor.size] = tensor.ravel()
    return weights
