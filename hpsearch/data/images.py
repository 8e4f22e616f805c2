"""Rows that are images: h x w or h x w x c pixels, one column each, in C order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpsearch.data.plain import show
from hpsearch.data.values import missing_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from hpsearch.data.describing import Description


def why_no_images(frame: pl.DataFrame, description: Description, shape: Sequence[int]) -> str:
    """Say why the used columns are not the pixels of images of this shape; "" if they are."""
    for column in description.used:
        if column.kind != "numeric":
            return f"column {show(column.name)} is a {column.kind}, a pixel is a number; data.drop leaves it out"
        if description.missing != "drop" and missing_mask(frame[column.name]).any():
            return f"column {show(column.name)} has missing values; data.missing: drop leaves such rows out"
    pixels, inputs = math.prod(shape), len(description.used)
    return "" if pixels == inputs else f"{in_words(shape)} are {pixels:,} pixels, the rows have {inputs:,} inputs"


def channels(shape: Sequence[int]) -> int:
    """Number of colours of a pixel."""
    return shape[2] if len(shape) == 3 else 1


def in_words(shape: Sequence[int]) -> str:
    """`8 x 8` or `8 x 8 x 3`."""
    return " x ".join(map(str, shape))
