"""First weights for the peers that let one choose them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def first_weights(sizes: tuple[int, ...], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """W (n_in, n_out) ~ sqrt(2 / n_in) * N(0, 1) and b = 0 of every layer, float32."""
    rng = np.random.default_rng(seed)
    return [
        ((rng.normal(size=(n_in, n_out)) * np.sqrt(2 / n_in)).astype(np.float32), np.zeros(n_out, np.float32))
        for n_in, n_out in pairwise(sizes)
    ]
