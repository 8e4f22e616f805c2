"""The arrays of a data set in a folder, where any number of processes map the same pages.

Imports no polars, so that workers start fast.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.parts import Arrays, Part, empty_labels, empty_targets
from hpsearch.errors import StorageError

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset

_META = "meta.json"


@dataclass(frozen=True)
class SharedDataset:
    """What a worker knows of a data set: its arrays, and the few numbers that turn outputs into scores."""

    task: str
    n_outputs: int
    target_mean: float
    target_sd: float
    arrays: Arrays
    image_shape: tuple[int, ...] | None = None

    def part(self, name: str, normalize: str) -> Part:
        """Return the `train` or `dev` part. Raises DataError when it was not prepared."""
        return self.arrays.part(name, normalize)


def save_shared(dataset: Dataset, folder: str | Path) -> None:
    """Write the arrays as `.npy` files and `meta.json`, the last; the folder is made. Raises StorageError."""
    folder = Path(folder)
    files = {}
    for part, by_kind in dataset.arrays.inputs.items():
        files |= {f"{part}-{kind}": inputs for kind, inputs in by_kind.items()}
        files |= {
            f"{part}-labels": dataset.arrays.labels[part],
            f"{part}-targets": dataset.arrays.targets[part],
        }
    meta = {
        "task": dataset.task,
        "n_outputs": dataset.n_outputs,
        "target_mean": dataset.target_mean,
        "target_sd": dataset.target_sd,
        "image_shape": dataset.image_shape,
        "inputs": {part: list(by_kind) for part, by_kind in dataset.arrays.inputs.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in files.items():
            if array.size:
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
        (folder / _META).write_text(json.dumps(meta), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: the shared data cannot be written: {error.strerror or error}") from None


def checksum(folder: Path) -> str | None:
    """SHA-256 over the names and contents of the files of `save_shared`; None where they cannot be read."""
    whole = hashlib.sha256()
    try:
        for file in sorted(folder.iterdir()):
            with file.open("rb") as content:
                whole.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    except OSError:
        return None
    return whole.hexdigest()


def repeat_folder(folder: Path, repeat: int) -> Path:
    """Where the data of one repeat are: in a folder of its number if it has a split of its own, else in that of 0."""
    own = folder / str(repeat)
    return own if own.is_dir() else folder / "0"


def load_shared(folder: str | Path) -> SharedDataset:
    """Map what `save_shared` wrote.

    The arrays are plain, writeable ndarrays over copy-on-write pages: a read-only array, or a memmap, would
    make the compiled engine compile once more. Raises StorageError when the folder is incomplete or damaged.
    """
    folder = Path(folder)
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        classes = meta["task"] == "classification"
        inputs, labels, targets = {}, {}, {}
        for part, kinds in meta["inputs"].items():
            inputs[part] = {kind: _map(folder / f"{part}-{kind}.npy") for kind in kinds}
            labels[part] = _map(folder / f"{part}-labels.npy") if classes else empty_labels()
            targets[part] = empty_targets() if classes else _map(folder / f"{part}-targets.npy")
        numbers = (meta["n_outputs"], meta["target_mean"], meta["target_sd"])
        image_shape = meta.get("image_shape") and tuple(meta["image_shape"])
        return SharedDataset(meta["task"], *numbers, Arrays(inputs, labels, targets), image_shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{folder}: the shared data cannot be read: {' '.join(str(error).split())}") from None


def _map(file: Path) -> np.ndarray:
    return np.asarray(np.load(file, mmap_mode="c", allow_pickle=False)).view(np.ndarray)
