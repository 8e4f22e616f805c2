"""JAX tuned: the whole job is one compiled function, a scan over epochs of a scan over batches.

Its clock starts with the first weights made and runs until the last ones are there. The last, short batch of an epoch
is a step of its own behind the inner scan: padding would be slower. What was found to be fastest here is written down:

* the gradient by hand and the weights in one flat vector (Adam is then three loops instead of three for each matrix;
  jax.grad through the slices of a flat vector is twice as slow);
* the first matrix (n_in, n_out), the others (n_out, n_in): a few per cent faster than all alike;
* shuffled indices from NumPy: jax.random.permutation sorts, and takes a third to a half of a digits job;
* Adam's step sizes come with the data, one for each update, instead of powers within the loop;
* taking the rows of an epoch at once or batch by batch, and a tree of matrices or a flat vector, win on different jobs:
  the run tries them and keeps the best. Unrolling the scan and XLA's flags (vector width, fast-math, oneDNN, XNNPACK,
  schedulers, fusions) change nothing beyond noise.
"""

from __future__ import annotations

import functools
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jobs import BETA1, BETA2, EPSILON, LEARNING_RATE
from peers.first_weights import first_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs import Job

NAME = "JAX tuned"


def product(x: jax.Array, W: jax.Array, *, transposed: bool) -> jax.Array:
    """X W, or x W^T."""
    return lax.dot_general(x, W, (((1,), (1 if transposed else 0,)), ((), ())))


def forward(matrices: list[jax.Array], x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """What goes into each layer, and the logits; `matrices` are W, b, W, b ..., each W but the first transposed."""
    activations = [x]
    for layer in range(len(matrices) // 2):
        z = product(activations[-1], matrices[2 * layer], transposed=layer > 0) + matrices[2 * layer + 1]
        activations.append(jnp.maximum(z, 0))
    return activations[:-1], z


def gradient(matrices: list[jax.Array], x: jax.Array, labels: jax.Array) -> list[jax.Array]:
    """Of the mean cross-entropy, in the order of `matrices`."""
    activations, z = forward(matrices, x)
    signal = (jax.nn.softmax(z) - jax.nn.one_hot(labels, z.shape[1], dtype=z.dtype)) * (1 / len(x))
    found: list[jax.Array] = []
    for layer in reversed(range(len(activations))):
        a = activations[layer]
        both = (signal, a) if layer else (a, signal)
        found[:0] = [lax.dot_general(*both, (((0,), (0,)), ((), ()))), signal.sum(0)]
        if layer:
            signal = (signal @ matrices[2 * layer]) * (a > 0)
    return found


def shapes_of(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Of W, b, W, b ..."""
    shapes: list[tuple[int, ...]] = []
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        shapes += [(n_out, n_in) if layer else (n_in, n_out), (n_out,)]
    return shapes


def split(vector: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
    """The matrices in a flat vector."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    return [vector[end - np.prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]


@functools.cache
def trainer(sizes: tuple[int, ...], batch: int, *, flat: bool, rows_first: bool) -> Callable[..., Any]:
    """The compiled job: (weights and moments; an order, step sizes and epsilons for each epoch; rows) -> the first."""
    shapes = shapes_of(sizes)

    def update(carry: tuple, x: jax.Array, labels: jax.Array, step: jax.Array, epsilon: jax.Array) -> tuple:
        weights, first, second = carry
        if flat:
            g = jnp.concatenate([part.ravel() for part in gradient(split(weights, shapes), x, labels)])
        else:
            g = gradient(weights, x, labels)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, g)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, g)
        weights = jax.tree.map(lambda w, m, v: w - step * m / (jnp.sqrt(v) + epsilon), weights, first, second)
        return weights, first, second

    def epoch(carry: tuple, per_epoch: tuple, inputs: jax.Array, labels: jax.Array) -> tuple:
        order, steps, epsilons = per_epoch
        whole = len(order) // batch

        def rows(order: jax.Array) -> tuple[jax.Array, jax.Array]:
            take = partial(jnp.take, indices=order, axis=0, mode="clip", unique_indices=True)
            return take(inputs), take(labels)

        def one(carry: tuple, given: tuple) -> tuple[tuple, None]:
            data, step, epsilon = given
            return update(carry, *(data if rows_first else rows(data)), step, epsilon), None

        batches: Any = order[: whole * batch]
        if rows_first:
            batches = rows(batches)
        batches = jax.tree.map(lambda a: a.reshape(whole, batch, *a.shape[1:]), batches)
        carry, _ = lax.scan(one, carry, (batches, steps[:whole], epsilons[:whole]))
        if len(order) > whole * batch:
            carry = update(carry, *rows(order[whole * batch :]), steps[-1], epsilons[-1])
        return carry

    @partial(jax.jit, donate_argnums=0)
    def train(carry: tuple, per_epoch: tuple, inputs: jax.Array, labels: jax.Array) -> tuple:
        return lax.scan(lambda carry, given: (epoch(carry, given, inputs, labels), None), carry, per_epoch)[0]

    return train


class Engine:
    """One training."""

    def __init__(self, job: Job, seed: int, *, flat: bool, rows_first: bool) -> None:
        self.job, self.flat = job, flat
        self.rng = np.random.default_rng(seed)
        self.inputs, self.labels = jnp.asarray(job.inputs), jnp.asarray(job.labels)
        matrices: list[np.ndarray] = []
        for layer, (W, b) in enumerate(first_weights(job.sizes, seed)):
            matrices += [W.T if layer else W, b]
        weights = np.concatenate([part.ravel() for part in matrices]) if flat else matrices
        weights = jax.tree.map(jnp.array, weights)
        self.carry = (weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights))
        jax.block_until_ready((self.carry, self.inputs, self.labels))
        self.compiled = trainer(job.sizes, job.batch, flat=flat, rows_first=rows_first)
        self.updates = 0

    def train(self) -> None:
        epochs, rows = self.job.epochs, len(self.job.labels)
        t = np.arange(1, self.job.updates + 1).reshape(epochs, -1)
        correction = np.sqrt(1 - BETA2**t)
        steps = (LEARNING_RATE * correction / (1 - BETA1**t)).astype(np.float32)
        epsilons = (EPSILON * correction).astype(np.float32)
        orders = np.stack([self.rng.permutation(rows) for _ in range(epochs)]).astype(np.int32)
        self.carry = self.compiled(self.carry, (orders, steps, epsilons), self.inputs, self.labels)
        jax.block_until_ready(self.carry)
        self.updates += steps.size

    def probabilities(self) -> np.ndarray:
        weights = self.carry[0]
        matrices = split(weights, shapes_of(self.job.sizes)) if self.flat else weights
        return np.asarray(jax.nn.softmax(forward(matrices, self.inputs)[1]))


VARIANTS = {
    "flat vector, rows batch by batch": partial(Engine, flat=True, rows_first=False),
    "flat vector, rows of an epoch at once": partial(Engine, flat=True, rows_first=True),
    "tree, rows batch by batch": partial(Engine, flat=False, rows_first=False),
}
