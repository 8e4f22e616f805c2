"""A trained network, or several that vote, with all that is needed to judge new rows: columns, scaling, classes.

On disk two files, neither of which can run code: weights.safetensors (of network n, for each layer i,
`networks.<n>.layers.<i>.weight` (n_in, n_out) and `.bias` (n_out,), with batch norm `.gain`, `.mean` and `.variance`
(n_out,) too) and model.yaml (everything else). model.yaml has the checksum of the weights and, last, its own: a class
or a bound that was changed by hand would give other predictions without a word.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from hpsearch import strict_yaml
from hpsearch.data.normalising import Normalizer
from hpsearch.data.preparing import Preparation
from hpsearch.diagnosis.confidence import trust_marks
from hpsearch.engine.hyperparameters import normalization
from hpsearch.engine.layout import EVALUATION_ROWS
from hpsearch.engine.network import Network
from hpsearch.errors import ConfigError, HpsearchError, RunError
from hpsearch.files import make_folder, storage_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from hpsearch.data.dataset import Dataset
    from hpsearch.trial import TrialResult

FORMAT = 3
WEIGHTS = "weights.safetensors"
LOOKS, PAUSE_SECONDS = 3, 0.05  # at files that do not fit together, for a search may be between the two
DESCRIPTION = "model.yaml"
BLOCK_ROWS = 8 * EVALUATION_ROWS  # that are scaled and predicted at a time: bins of more leave the processor's cache
PARTS = {"weight": 2, "bias": 1, "gain": 1, "mean": 1, "variance": 1}  # of a layer, with their dimensions
KEYS = {"format", "trial", "metric", "networks", "weights_sha256", "preparation", "normalizers", "sha256"}
NETWORK_KEYS = {"trial", "repeat", "votes", "refit_epochs", "layers", "hyperparameters"}


@dataclass(frozen=True)
class Member:
    """One network of a model and its votes.

    Attributes:
        trial, repeat: the training that it comes from.
        network: its hyperparameters and sizes.
        weights: the engine's flat vector.
        votes: how much it counts, at least 1.
        refit_epochs: for so many it was trained on train and dev rows together; 0: on the train rows alone.
    """

    trial: int
    repeat: int
    network: Network
    weights: np.ndarray
    votes: int = 1
    refit_epochs: int = 0

    @classmethod
    def of(cls, result: TrialResult, data: Dataset, metric: str, votes: int = 1) -> Member:
        """The network of a training on `data` that is complete, with its weights."""
        network = _network(result.config, data.preparation, data.normalizers, metric)
        return cls(result.number, result.repeat, network, result.weights, votes, result.refit_epochs)

    @property
    def identity(self) -> tuple[int, int, int, int]:
        """What tells it apart: trial, repeat, votes, refit_epochs."""
        return self.trial, self.repeat, self.votes, self.refit_epochs

    @property
    def normalize(self) -> str:
        """The scaling of the inputs that it was trained on."""
        return self.network.hyperparameters["normalize"]

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by layer and part."""
        return {
            name: self.weights[start : start + np.prod(shape)].reshape(shape)
            for name, start, shape in _places(self.network)
        }

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data."""
        return {
            "trial": self.trial,
            "repeat": self.repeat,
            "votes": self.votes,
            "refit_epochs": self.refit_epochs,
            "layers": self.network.sizes.tolist(),
            "hyperparameters": self.network.hyperparameters,
        }


@dataclass(frozen=True)
class Model:
    """What a run is for. Several members predict the mean of their predictions, each as often as it has votes.

    `trial` is the winner's number; `normalizers` are by kind, as many as the members need.
    """

    trial: int
    metric: str
    members: tuple[Member, ...]
    preparation: Preparation
    normalizers: Mapping[str, Normalizer]

    @classmethod
    def of(cls, trial: int, members: Sequence[Member], data: Dataset, metric: str) -> Model:
        """The model of networks that were trained on `data`."""
        kinds = sorted({member.normalize for member in members})
        normalizers = {kind: data.normalizers[kind] for kind in kinds}
        return cls(trial, metric, tuple(members), data.preparation, normalizers)

    @classmethod
    def of_trial(cls, result: TrialResult, data: Dataset, metric: str) -> Model:
        """The model of a single training."""
        return cls.of(result.number, [Member.of(result, data, metric)], data, metric)

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self.preparation.target.task

    @property
    def classes(self) -> list[Any]:
        """The classes in the order of the outputs; empty for regression."""
        return self.preparation.target.classes

    @property
    def identity(self) -> tuple[int, tuple[tuple[int, int, int, int], ...]]:
        """What tells models of one run apart: the winner, and the identities of the members."""
        return self.trial, tuple(member.identity for member in self.members)

    def save(self, folder: Path) -> None:
        """Write both files, each in one step; the description, which names the weights by checksum, comes last."""
        make_folder(folder)
        weights = safetensors.numpy.save(self.tensors(), metadata={"format": "np"})
        description = self.describe() | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
        write_atomically(folder / WEIGHTS, weights)
        write_atomically(folder / DESCRIPTION, sealed(strict_yaml.dump(description).encode()))

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data."""
        return {
            "format": FORMAT,
            "trial": self.trial,
            "metric": self.metric,
            "networks": [member.describe() for member in self.members],
            "preparation": self.preparation.to_dict(),
            "normalizers": {kind: normalizer.to_dict() for kind, normalizer in self.normalizers.items()},
        }

    @classmethod
    def load(cls, folder: Path) -> Model:
        """The model in `folder`; RunError if it is missing, incomplete or not what was written."""
        path = folder / DESCRIPTION
        if not path.is_file() or not (folder / WEIGHTS).is_file():
            raise RunError(f"{folder}: no model there ({DESCRIPTION} and {WEIGHTS})")
        content, described = _read_both(folder)
        try:
            found = strict_yaml.parse_plain(described, str(path))
        except ConfigError as error:
            raise RunError(str(error)) from None
        if not isinstance(found, dict) or found.get("format") != FORMAT or found.keys() != KEYS:
            raise RunError(
                f"{path}: not a model of this version of hpsearch; its search, started again, writes it anew"
            )
        if not _is_sealed(described):
            raise RunError(f"{path}: it was changed after it had been written; its checksum is another one")
        if hashlib.sha256(content).hexdigest() != found["weights_sha256"]:
            raise RunError(
                f"{folder / WEIGHTS}: not the weights that {DESCRIPTION} describes; one of the two was changed, or a "
                "crash came between them: its search, started again, writes both anew"
            )
        try:
            tensors = safetensors.numpy.load(content)
        except safetensors.SafetensorError as error:
            raise RunError(f"{folder / WEIGHTS}: {error}") from None
        try:
            return cls._from_description(found, tensors)
        except (HpsearchError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise RunError(f"{path}: not a whole model: {type(error).__name__} {str(error)[:200]}") from None

    @classmethod
    def _from_description(cls, found: dict[str, Any], tensors: dict[str, np.ndarray]) -> Model:
        trial, metric = _number(found, "trial"), found["metric"]
        preparation = Preparation.from_dict(found["preparation"])
        normalizers = {kind: Normalizer.from_dict(known) for kind, known in found["normalizers"].items()}
        if any(kind != normalizer.kind for kind, normalizer in normalizers.items()):
            raise ValueError(f"normalizers: not of the kinds {', '.join(normalizers)}")
        make = partial(_network, preparation=preparation, normalizers=normalizers, metric=metric)
        members = tuple(
            _member(described, tensors, f"networks.{n}.", make) for n, described in enumerate(found["networks"])
        )
        if not members:
            raise ValueError("networks: there is none")
        return cls(trial, metric, members, preparation, normalizers)

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by the names that they have in the file."""
        return {
            f"networks.{n}.{name}": tensor
            for n, member in enumerate(self.members)
            for name, tensor in member.tensors().items()
        }

    def features(self, frame: pl.DataFrame) -> np.ndarray:
        """Rows of a table as numbers (rows, features) float32, before they are scaled for a network."""
        return self.preparation.transform(frame)

    def outputs(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What the networks say together of features (rows, features).

        Probabilities (rows, classes) float32, or values (rows, 1) in units of the standardised target; and the support
        of each class, if all networks have the logistic output.
        """
        if not len(features):
            shares = np.zeros((0, len(self.classes) or 1), np.float32)
            logistic = all(member.network.hyperparameters["output"] == "logistic" for member in self.members)
            return shares, shares if logistic else None
        starts = range(0, len(features), BLOCK_ROWS)
        blocks = [self._outputs(features[start : start + BLOCK_ROWS]) for start in starts]
        scores, supports = zip(*blocks, strict=True)
        return np.concatenate(scores), None if supports[0] is None else np.concatenate(supports)

    def _outputs(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        inputs = {kind: normalizer.transform(features) for kind, normalizer in self.normalizers.items()}
        found = [
            member.network.predict(member.weights, _Unlabelled(inputs[member.normalize])) for member in self.members
        ]
        votes = [member.votes for member in self.members]
        supports = [support for _, support in found]
        together = None if any(support is None for support in supports) else mean_of(supports, votes)
        return mean_of([scores for scores, _ in found], votes), together

    def predict(self, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities (rows, classes) and how far to trust each row's winner (rows,), one of confidence.TRUST.

        Of a regression values (rows, 1) in units of the target, and None.
        """
        scores, supports = self.outputs(self.features(frame))
        if self.task == "regression":
            return self.preparation.target.original(scores), None
        return scores, trust_marks(scores, supports)


def sealed(text: bytes) -> bytes:
    """The text of a description with its checksum as a last line."""
    return text + f"sha256: {hashlib.sha256(text).hexdigest()}\n".encode()


def mean_of(arrays: Sequence[np.ndarray], votes: Sequence[int]) -> np.ndarray:
    """The mean of arrays of one shape, each counting as often as it has votes; float32, of a single one itself."""
    if len(arrays) == 1:
        return arrays[0]
    whole = sum(array.astype(np.float64) * count for array, count in zip(arrays, votes, strict=True))
    return (whole / sum(votes)).astype(np.float32)


def _is_sealed(described: bytes) -> bool:
    return sealed(described.rpartition(b"sha256: ")[0]) == described


def _read_both(folder: Path) -> tuple[bytes, bytes]:
    """The weights and the description, which names them by checksum. Raises StorageError."""
    for look in range(LOOKS):
        time.sleep(PAUSE_SECONDS if look else 0)
        with storage_errors(folder):
            content, described = (folder / WEIGHTS).read_bytes(), (folder / DESCRIPTION).read_bytes()
        if hashlib.sha256(content).hexdigest().encode() in described or not _is_sealed(described):
            break
    return content, described


def _network(
    hyperparameters: dict[str, Any], preparation: Preparation, normalizers: Mapping[str, Normalizer], metric: str
) -> Network:
    target = preparation.target
    return Network(
        hyperparameters,
        n_inputs=normalizers[normalization(hyperparameters)].width,
        n_outputs=len(target.classes) or 1,
        task=target.task,
        metric=metric,
    )


def _member(
    found: dict[str, Any], tensors: dict[str, np.ndarray], prefix: str, make: Callable[[dict[str, Any]], Network]
) -> Member:
    if found.keys() != NETWORK_KEYS:
        raise ValueError(f"{prefix[:-1]}: it must have {', '.join(sorted(NETWORK_KEYS))}")
    network = make(found["hyperparameters"])
    if network.sizes.tolist() != found["layers"]:
        raise ValueError(f"layers: {found['layers']!r} instead of {network.sizes.tolist()}")
    trial, repeat, epochs = (_number(found, name) for name in ("trial", "repeat", "refit_epochs"))
    votes = _number(found, "votes", least=1)
    return Member(trial, repeat, network, _flat(tensors, prefix, network), votes, epochs)


def _number(found: dict[str, Any], name: str, least: int = 0) -> int:
    value = found[name]
    if type(value) is not int or not least <= value <= 10**9:
        raise ValueError(f"{name}: {value!r} is not a number from {least} on")
    return value


def saved_identity(folder: Path) -> tuple[int, tuple[tuple[int, int, int, int], ...]] | None:
    """The identity of the whole model in `folder`; None if there is none."""
    try:
        return Model.load(folder).identity
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


def _flat(tensors: dict[str, np.ndarray], prefix: str, network: Network) -> np.ndarray:
    """The engine's vector; ValueError for a tensor that is missing, not finite, or not what the network wants."""
    weights = np.zeros(network.vector_size, np.float32)
    for name, start, shape in _places(network):
        tensor = tensors[prefix + name]
        if tensor.shape != shape or tensor.dtype != np.float32:
            raise ValueError(f"{prefix}{name} is {tensor.dtype} {tensor.shape}, not float32 {shape}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{prefix}{name} has numbers that are not finite")
        weights[start : start + tensor.size] = tensor.ravel()
    return weights
