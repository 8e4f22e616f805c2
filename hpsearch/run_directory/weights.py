"""The weights of the best trainings of a run, a file each, so that nothing need be trained again for its network.

They are a cache: what is missing or damaged here is trained once more and has the same bits.
"""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy

from hpsearch.files import make_folder, storage_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hpsearch.trial import Key

VECTOR = "weights"
NAME = re.compile(r"(\d+)(?:-again(\d+))?(?:-refit(\d+))?\.safetensors")


class KeptWeights:
    """Weights by training, in memory until `flush` and in `folder` from then on.

    `most` is how many of the trainings that are offered are kept, those with the best scores. What is `put` is kept
    whatever its score, and with 0 nothing that is there is judged. `held` are trainings that may be offered later.
    """

    def __init__(self, folder: Path, most: int = 0) -> None:
        self.folder = folder
        self.most = most
        self._fresh: dict[Key, np.ndarray] = {}
        self._wanted: set[Key] = set()
        self._ranked: list[tuple[float, Key]] = []
        self.held: set[Key] = set()

    def hold(self, key: Key, score: float, weights: np.ndarray) -> None:
        """Write the weights of a training at once, if it would be kept as things stand. Raises StorageError."""
        if len(self._ranked) < self.most or (self.most and score < self._ranked[-1][0]):
            self.held.add(key)
            self._write(key, weights)

    def offer(self, key: Key, score: float, weights: np.ndarray | None) -> None:
        """Keep the weights of a training if its score (smaller is better) is among the best."""
        insort(self._ranked, (score, key))
        if weights is not None:
            self._fresh[key] = weights
        for _, beaten in self._ranked[self.most :]:
            if beaten not in self._wanted:
                self._fresh.pop(beaten, None)
        del self._ranked[self.most :]

    def put(self, key: Key, weights: np.ndarray) -> None:
        """Keep the weights of a training."""
        self._fresh[key] = weights
        self._wanted.add(key)

    def get(self, key: Key) -> np.ndarray | None:
        """The flat vector of a training; None if it is not here, or not as it was written."""
        return self._fresh[key] if key in self._fresh else _read(self.folder / _name(key))

    def flush(self) -> None:
        """Write what is new, and delete first trainings that are no longer among the best. Raises StorageError."""
        best = {key for _, key in self._ranked} | self._wanted | self.held
        for key, weights in self._fresh.items():
            self._write(key, weights)
        self._fresh.clear()
        if self.most:
            self.discard(lambda key: key[1:] == (0, 0) and key not in best)

    def _write(self, key: Key, weights: np.ndarray) -> None:
        make_folder(self.folder)
        write_atomically(self.folder / _name(key), _content(weights))

    def discard(self, unwanted: Callable[[Key], bool]) -> None:
        """Delete those that are not wanted. Raises StorageError."""
        self._fresh = {key: weights for key, weights in self._fresh.items() if not unwanted(key)}
        with storage_errors(self.folder):
            for path, key in list(self._files()):
                if unwanted(key):
                    path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, Key]]:
        for path in self.folder.glob("*.safetensors") if self.folder.is_dir() else ():
            if match := NAME.fullmatch(path.name):
                trial, repeat, refit_epochs = (int(part or 0) for part in match.groups())
                yield path, (trial, repeat, refit_epochs)


def _name(key: Key) -> str:
    trial, repeat, refit_epochs = key
    again = f"-again{repeat}" if repeat else ""
    return f"{trial}{again}{f'-refit{refit_epochs}' if refit_epochs else ''}.safetensors"


def _content(weights: np.ndarray) -> bytes:
    return safetensors.numpy.save({VECTOR: weights}, metadata={"sha256": hashlib.sha256(weights.tobytes()).hexdigest()})


def _read(path: Path) -> np.ndarray | None:
    try:
        with safetensors.safe_open(path, "np") as file:
            weights, sha256 = file.get_tensor(VECTOR), (file.metadata() or {}).get("sha256")
    except (OSError, safetensors.SafetensorError):
        return None
    whole = weights.dtype == np.float32 and hashlib.sha256(weights.tobytes()).hexdigest() == sha256
    return weights if whole else None
