"""Values of the target beyond all that training has seen."""

import numpy as np
import polars as pl

from hpsearch.data.target import Target


def test_a_value_far_beyond_those_of_training_is_held_at_the_limit():
    target = Target("y", "regression", [], mean=0.0, sd=4e-150)
    found = target.standardise(pl.Series("y", [8e158, -8e158, 0.0]))
    assert np.isfinite(found).all()
    assert found[0] == -found[1] > 1e38
