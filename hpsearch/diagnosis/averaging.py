"""The exponentially weighted average of a curve (TECHNIQUES 15)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def smoothed(values: Sequence[float | None], beta: float) -> list[float | None]:
    """v_t = beta v_{t-1} + (1 - beta) theta_t, divided by 1 - beta^t, so that its beginning is not too small.

    What is no finite number is left out and has no average of its own.
    """
    found: list[float | None] = []
    average, left = 0.0, 1.0
    for value in values:
        if value is None or not math.isfinite(value):
            found.append(None)
            continue
        average, left = beta * average + (1 - beta) * value, left * beta
        found.append(average / (1 - left))
    return found
