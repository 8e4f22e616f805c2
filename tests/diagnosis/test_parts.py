"""A classifier tells parts apart where they differ, also only jointly, and does not where they do not."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hpsearch.data.comparing import compare_parts
from hpsearch.diagnosis.parts import told_apart


def normal(seed, rows=1200, columns=4):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def test_parts_of_one_distribution_are_not_told_apart():
    for seed in range(5):
        dev, test = told_apart({"train": normal(seed, 3000), "dev": normal(seed + 50), "test": normal(seed + 90)})
        assert (dev.part, test.part) == ("dev", "test")
        assert not dev.real
        assert not test.real


def test_the_error_is_that_of_chance():
    areas = [told_apart({"train": normal(s, 400), "dev": normal(s + 500, 400)})[0] for s in range(30)]
    spread = math.sqrt(np.mean([(one.auc - 0.5) ** 2 for one in areas]))
    assert spread == pytest.approx(areas[0].error, rel=0.35)


def test_a_shift_is_seen_about_as_well_as_by_logistic_regression():
    train, dev = normal(0), normal(1) + np.float32(0.5)
    found = told_apart({"train": train, "dev": dev})[0]
    rows, labels = np.concatenate([train, dev]), np.repeat([0, 1], 1200)
    known = np.arange(2400) % 2 == 0
    peer = LogisticRegression().fit(rows[known], labels[known])
    assert found.real
    assert found.auc == pytest.approx(roc_auc_score(labels[~known], peer.predict_proba(rows[~known])[:, 1]), abs=0.03)


def test_what_differs_only_in_two_columns_together_is_seen():
    import polars as pl

    train, dev = normal(0), normal(1)
    dev[:, 0] = np.abs(dev[:, 0]) * np.sign(dev[:, 1])  # each column by itself is as before
    frame = pl.DataFrame(np.concatenate([train, dev]))
    assert compare_parts(frame, {"train": np.arange(1200), "dev": np.arange(1200, 2400)}) == []
    assert told_apart({"train": train, "dev": dev})[0].real


def test_a_part_with_few_rows_is_not_judged():
    assert told_apart({"train": normal(0), "dev": normal(1, 19)}) == []


def test_the_same_parts_give_the_same_figure():
    parts = {"train": normal(0), "dev": normal(1)}
    assert told_apart(parts) == told_apart(parts)
