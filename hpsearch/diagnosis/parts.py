"""Can two parts of a data set be told apart? A classifier that tries, as a test of one distribution for both.

Lopez-Paz and Oquab 2017, Revisiting Classifier Two-Sample Tests (arXiv 1610.06545), with the area under the curve,
which by chance is 1/2, in place of the accuracy. It sees what differs only in several columns together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.parts import Part, empty_targets
from hpsearch.engine.network import Network, Training

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ROWS = 4000  # of each part
FEWEST_ROWS = 20
SURE = 3.0  # standard errors above chance
VISIBLE = 0.55  # a smaller area does not matter, however sure it is
SETTINGS = {
    "layers": 1, "units": 32, "learning_rate": 0.003, "batch_size": 32, "epochs": 12, "patience": 0, "l2": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """How well train and another part are told apart.

    Attributes:
        part: the other one.
        auc: area under the curve on rows that the classifier has not seen; 1/2 by chance.
        error: its standard error where there is no difference.
    """

    part: str
    auc: float
    error: float

    @property
    def real(self) -> bool:
        """Whether it is more than chance, and enough to matter."""
        return self.auc > max(VISIBLE, 0.5 + SURE * self.error)


def told_apart(inputs: Mapping[str, np.ndarray], seed: int = 0) -> list[Difference]:
    """Compare the training rows with those of each other part; inputs (rows, features) float32 by part."""
    chance = np.random.default_rng(seed)
    others = [name for name in inputs if name != "train" and len(inputs[name]) >= FEWEST_ROWS]
    return [_difference(inputs["train"], inputs[name], name, chance) for name in others]


def _difference(train: np.ndarray, other: np.ndarray, name: str, chance: np.random.Generator) -> Difference:
    rows = min(len(train), len(other), MOST_ROWS) // 2 * 2
    both = [part[chance.permutation(len(part))[:rows]] for part in (train, other)]
    halves = [_labelled([part[half::2] for part in both]) for half in (0, 1)]
    areas = [_area(*pair, keys=chance.integers(2**63, size=4)) for pair in (halves, halves[::-1])]
    half = rows // 2  # of each kind in a fold; Hanley and McNeil 1982 for no difference, over two folds
    return Difference(name, float(np.mean(areas)), math.sqrt((2 * half + 1) / (12 * half * half) / 2))


def _labelled(parts: list[np.ndarray]) -> Part:
    labels = np.repeat(np.arange(2, dtype=np.int32), [len(part) for part in parts])
    return Part(np.ascontiguousarray(np.concatenate(parts)), labels, empty_targets())


def _area(known: Part, unseen: Part, keys: np.ndarray) -> float:
    """The area on unseen rows of a network trained for a fixed time on known ones."""
    network = Network(
        SETTINGS,
        n_inputs=known.inputs.shape[1],
        n_outputs=2,
        task="classification",
        metric="log_loss",
        keys=keys.tolist(),
    )
    training = Training(network, known, known)
    while training.advance():
        pass
    _, scores = network.evaluate(training.weights, unseen)
    return scores.get("auc", 0.5)
