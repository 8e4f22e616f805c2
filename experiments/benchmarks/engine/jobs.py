"""What is trained: four jobs from tiny to medium, with the shares and ratios that issue 3 asks for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits

LEARNING_RATE = 1e-3  # of Adam, with beta1 0.9, beta2 0.999 and epsilon 1e-8, as every peer has them by default
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Goal:
    """Share of the sgemm peak, and how many times faster than JAX and than scikit-learn."""

    share: float
    jax: float
    sklearn: float


@dataclass(frozen=True, eq=False)
class Job:
    """Rows, a ReLU network that ends in softmax, and how long to train it; `inputs` float32, `labels` int32."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    goal: Goal

    @property
    def classes(self) -> int:
        """Units of the last layer."""
        return int(self.labels.max()) + 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer."""
        return (self.inputs.shape[1], *self.hidden, self.classes)

    @property
    def updates(self) -> int:
        """Updates of the whole job: the last, short batch of an epoch is one too."""
        return self.epochs * -(-len(self.inputs) // self.batch)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of the whole job: 2 for each weight and row.

        That is once forward and twice backward, less the error signal of the inputs, which nobody needs.
        """
        weights = [n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        return self.epochs * len(self.inputs) * (6 * sum(weights) - 2 * weights[0])


def images_like_mnist(rows: int = 5000, pixels: int = 784, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for MNIST, which would have to be downloaded: its shape, values in [0, 1], four pixels in five are 0."""
    rng = np.random.default_rng(0)
    strokes = rng.normal(size=(classes, pixels))
    labels = rng.integers(0, classes, rows)
    inputs = np.clip(0.15 * strokes[labels] + rng.normal(size=(rows, pixels)) - 0.85, 0, 1)
    return inputs.astype(np.float32), labels.astype(np.int32)


def wide_table(rows: int = 50_000, columns: int = 50, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Normal columns; the class is the largest of three noisy sums of a few bent columns."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(rows, columns))
    sums = np.tanh(2 * inputs[:, :10]) @ rng.normal(size=(10, classes)) + 0.3 * rng.normal(size=(rows, classes))
    return inputs.astype(np.float32), np.argmax(sums, axis=1).astype(np.int32)


def all_jobs() -> list[Job]:
    """The jobs of issue 3's table."""
    pixels, digits = load_digits(return_X_y=True)
    digits_data = (pixels / 16).astype(np.float32), digits.astype(np.int32)
    return [
        Job("digits 64-64-32-10", *digits_data, (64, 32), 32, 20, Goal(0.55, 2.8, 16)),
        Job("digits 64-16-10", *digits_data, (16,), 16, 20, Goal(0.30, 8, 50)),
        Job("like MNIST-5k 784-256-128-10", *images_like_mnist(), (256, 128), 128, 5, Goal(0.85, 1.4, 2.2)),
        Job("50,000 x 50, 50-128-128-3", *wide_table(), (128, 128), 256, 3, Goal(0.80, 1.7, 2.7)),
    ]
