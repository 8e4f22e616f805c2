"""JAX as one writes it: jax.grad over a list of matrices, one compiled function that shuffles and scans an epoch.

Its clock starts with the first weights made. The last, short batch of an epoch is a step of its own behind the scan.
What a second look at every line can gain stands in jax_scan.py; the shuffle is the largest part of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jobs import BETA1, BETA2, EPSILON, LEARNING_RATE
from peers.first_weights import first_weights

if TYPE_CHECKING:
    from jobs import Job

NAME = "JAX plain"


def logits(layers: list, x: jax.Array) -> jax.Array:
    """Outputs before softmax; `layers` are pairs of W (n_in, n_out) and b."""
    for W, b in layers[:-1]:
        x = jax.nn.relu(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


def loss(layers: list, x: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross-entropy."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(layers, x)), labels[:, None], axis=1))


def update(carry: tuple, x: jax.Array, labels: jax.Array) -> tuple:
    """One step of Adam."""
    layers, first, second, t = carry
    t += 1
    g = jax.grad(loss)(layers, x, labels)
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, g)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, second, g)
    down1, down2 = 1 - BETA1**t, 1 - BETA2**t
    layers = jax.tree.map(
        lambda w, m, v: w - LEARNING_RATE * (m / down1) / (jnp.sqrt(v / down2) + EPSILON), layers, first, second
    )
    return layers, first, second, t


@partial(jax.jit, static_argnames="batch", donate_argnames="carry")
def epoch(carry: tuple, key: jax.Array, inputs: jax.Array, labels: jax.Array, *, batch: int) -> tuple:
    """One pass over the rows in a random order."""
    order = jax.random.permutation(key, len(labels))
    whole = len(order) // batch * batch

    def one(carry: tuple, chosen: jax.Array) -> tuple[tuple, None]:
        return update(carry, inputs[chosen], labels[chosen]), None

    carry, _ = lax.scan(one, carry, order[:whole].reshape(-1, batch))
    return carry if whole == len(order) else one(carry, order[whole:])[0]


class Engine:
    """One training."""

    def __init__(self, job: Job, seed: int) -> None:
        self.job = job
        self.key = jax.random.key(seed)
        self.inputs, self.labels = jnp.asarray(job.inputs), jnp.asarray(job.labels)
        layers = jax.tree.map(jnp.array, first_weights(job.sizes, seed))
        moments = [jax.tree.map(jnp.zeros_like, layers) for _ in range(2)]
        self.carry = (layers, *moments, jnp.float32(0))
        jax.block_until_ready((self.carry, self.inputs, self.labels))

    def train(self) -> None:
        for key in jax.random.split(self.key, self.job.epochs):
            self.carry = epoch(self.carry, key, self.inputs, self.labels, batch=self.job.batch)
        jax.block_until_ready(self.carry)

    @property
    def updates(self) -> int:
        return int(self.carry[-1])

    def probabilities(self) -> np.ndarray:
        return np.asarray(jax.nn.softmax(logits(self.carry[0], self.inputs)))


VARIANTS = {"one scan an epoch": Engine}
