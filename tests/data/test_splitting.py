"""Rows are dealt evenly, exactly, the same every time, and groups are never torn."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data.comparing import compare_parts
from hpsearch.data.splitting import PARTS, duplicates_across, split_rows
from hpsearch.errors import DataError

RANDOM = np.random.default_rng(2)
START = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RANDOM.bit_generator.state = START


def tally(y, parts):
    """Rows by class and part, (classes, 3)."""
    return np.stack([np.bincount(y[parts[name]], minlength=y.max() + 1) for name in PARTS], axis=1)


def check_whole(parts, rows):
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts.values())
    assert sorted(np.concatenate([*parts.values()]).tolist()) == list(range(rows))


def test_known_sizes():
    parts = split_rows(np.repeat([0, 1], [70, 30]), task="classification", seed=0)
    assert tally(np.repeat([0, 1], [70, 30]), parts).tolist() == [[42, 14, 14], [18, 6, 6]]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    fractions=st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.2, 0), (0.1, 0.45, 0.45), (0.98, 0.01, 0.01)]),
    seed=st.integers(0, 99),
)
def test_classes_are_spread_exactly(sizes, fractions, seed):
    sizes = np.array([*sizes, 3])
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = split_rows(y, task="classification", fractions=fractions, seed=seed)
    check_whole(parts, len(y))
    counts, ideal = tally(y, parts), sizes[:, None] * np.array(fractions)
    assert (counts[:, 0] >= 1).all()
    assert (counts[sizes >= 2, 1] >= 1).all()
    assert (counts[sizes >= 3, 2] >= (fractions[2] > 0)).all()
    assert (counts[:, 2] == 0).all() or fractions[2] > 0
    assert np.abs(counts - ideal).max() <= 2
    if (np.floor(ideal) >= np.array(fractions) ** 0 * (np.array(fractions) > 0)).all():
        assert np.abs(counts.sum(axis=0) - ideal.sum(axis=0)).max() <= 1


def test_as_well_stratified_as_scikit_learn():
    from sklearn.model_selection import StratifiedShuffleSplit

    y = RANDOM.choice(7, 1003, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02])
    share = np.bincount(y) / len(y)
    theirs = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(y, y))[1]
    ours = split_rows(y, task="classification", seed=0)
    for name in PARTS:
        worst = np.abs(np.bincount(y[ours[name]]) / len(ours[name]) - share).max()
        assert worst <= np.abs(np.bincount(y[theirs]) / len(theirs) - share).max() + 1 / len(theirs)


def test_every_row_is_as_likely_everywhere():
    y = np.repeat([0, 1], [30, 20])
    chosen = np.zeros(50)
    for seed in range(1500):
        chosen[split_rows(y, task="classification", seed=seed)["test"]] += 1
    assert np.abs(chosen / 1500 - 0.2).max() < 0.05


def test_quantiles_of_a_number_are_spread():
    y = RANDOM.lognormal(size=2000)
    parts = split_rows(y, task="regression", seed=3)
    check_whole(parts, len(y))
    assert [len(part) for part in parts.values()] == [1200, 400, 400]
    for quantile in (0.1, 0.5, 0.9):
        edge = np.quantile(y, quantile)
        for part in parts.values():
            assert abs((y[part] <= edge).mean() - quantile) < 0.01


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_stratify_spreads_a_source(task):
    y = RANDOM.integers(0, 3, 900) if task == "classification" else RANDOM.normal(size=900)
    camera = RANDOM.choice(5, 900, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    parts = split_rows(y, task=task, seed=1, stratify=camera)
    share = np.bincount(camera) / 900
    for part in parts.values():
        assert np.abs(np.bincount(camera[part]) / len(part) - share).max() < 0.02
    if task == "classification":
        assert np.abs(tally(y, parts) - np.bincount(y)[:, None] * [0.6, 0.2, 0.2]).max() < 1


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("stratified", [False, True])
def test_groups_are_never_torn(task, stratified):
    y = RANDOM.integers(0, 3, 3000) if task == "classification" else RANDOM.normal(size=3000)
    groups = RANDOM.zipf(1.3, 3000) % 400
    stratify = groups % 4 if stratified else None
    parts = split_rows(y, task=task, seed=5, groups=groups, stratify=stratify)
    check_whole(parts, 3000)
    sides = [set(groups[part]) for part in parts.values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_groups_are_balanced():
    groups = np.repeat(np.arange(200), RANDOM.integers(1, 30, 200))
    y = (groups % 10 == 0).astype(int)
    parts = split_rows(y, task="classification", seed=0, groups=groups)
    for (name, part), share in zip(parts.items(), (0.6, 0.2, 0.2), strict=True):
        assert abs(len(part) / len(groups) - share) < 0.01, name
        assert abs(y[part].mean() - y.mean()) < 0.02, name


def test_train_sees_the_class_of_a_single_group():
    groups = np.repeat(np.arange(10), 10)
    for seed in range(20):
        for rare in range(10):
            y = (groups == rare).astype(int)
            parts = split_rows(y, task="classification", seed=seed, groups=groups)
            assert y[parts["train"]].sum() == 10
            assert min(len(part) for part in parts.values()) >= 10


def test_a_small_train_part_sees_every_class_too():
    groups = np.repeat(np.arange(30), 10)
    y = np.where(groups == 4, 1, np.where(groups == 5, 2, 0))
    for seed in range(10):
        parts = split_rows(y, task="classification", fractions=(0.1, 0.5, 0.4), seed=seed, groups=groups)
        assert set(y[parts["train"]]) == {0, 1, 2}


def test_one_giant_group_leaves_something_for_all():
    groups = np.array([0] * 90 + [1] * 5 + [2] * 5)
    parts = split_rows(np.tile([0, 1], 50), task="classification", seed=0, groups=groups)
    assert sorted(len(part) for part in parts.values()) == [5, 5, 90]
    assert len(parts["train"]) == 90


def test_too_few_groups():
    with pytest.raises(DataError, match="group: 2 groups cannot fill 3 parts"):
        split_rows(np.arange(20) % 2, task="classification", seed=0, groups=np.arange(20) % 2)
    parts = split_rows(
        np.arange(20) // 2 % 2, task="classification", fractions=(0.8, 0.2, 0), seed=0, groups=np.arange(20) % 2
    )
    assert [len(part) for part in parts.values()] == [10, 10, 0]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_seed_decides_and_nothing_else(task, grouped):
    y = RANDOM.integers(0, 3, 500)
    groups = RANDOM.integers(0, 90, 500) if grouped else None
    first, again, other = (split_rows(y, task=task, seed=seed, groups=groups) for seed in (7, 7, 8))
    assert all((first[name] == again[name]).all() for name in PARTS)
    assert not np.array_equal(first["train"], other["train"])


def test_the_split_stays_as_it_was_published():
    parts = split_rows(np.arange(12) % 2, task="classification", seed=0)
    assert {name: part.tolist() for name, part in parts.items()} == {
        "train": [0, 3, 4, 5, 6, 9, 10, 11],
        "dev": [1, 2],
        "test": [7, 8],
    }


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        ((0.5, 0.5), "three fractions are needed"),
        ((0.6, 0.2, 0.3), "add up to 1"),
        ((0.8, 0.3, -0.1), "0 or more"),
        ((0, 0.5, 0.5), "train and dev must be above 0"),
        ((0.8, 0, 0.2), "train and dev must be above 0"),
        ((float("nan"), 0.5, 0.5), "add up to 1"),
        (("a", 0.5, 0.5), "three numbers are needed"),
        (None, "three numbers are needed"),
    ],
)
def test_fractions_that_make_no_sense(fractions, words):
    with pytest.raises(DataError, match=words):
        split_rows(np.arange(20) % 2, task="classification", fractions=fractions, seed=0)


def test_other_nonsense():
    for seed in (-1, 1.5, "x", True):
        with pytest.raises(DataError, match="split seed"):
            split_rows(np.arange(20) % 2, task="classification", seed=seed)
    with pytest.raises(DataError, match="2 rows cannot fill 3 parts"):
        split_rows(np.arange(2), task="regression", seed=0)
    with pytest.raises(DataError, match="no row is left for dev"):
        split_rows(np.arange(20), task="classification", seed=0)


def test_duplicates_across():
    frame = pl.DataFrame({"x": [1, 1, 2, 1, 3, None, None], "y": list("aaabbcc")})
    parts = {"train": np.array([0, 2, 5]), "dev": np.array([1, 3]), "test": np.array([4, 6])}
    assert duplicates_across(frame, parts) == {"dev": 1, "test": 1}


def test_parts_of_one_distribution_are_not_called_different():
    calls = 0
    for seed in range(40):
        y = RANDOM.integers(0, 2, 400)
        frame = pl.DataFrame({"a": RANDOM.normal(size=400), "b": RANDOM.choice(list("uvw"), 400), "y": y})
        calls += len(compare_parts(frame, split_rows(y, task="classification", seed=seed)))
    assert calls == 0


def test_parts_of_different_distributions_are_named():
    rows = 900
    frame = pl.DataFrame({
        "same": RANDOM.normal(size=rows),
        "moved": np.where(np.arange(rows) < 600, 0.0, 1.0) + RANDOM.normal(size=rows),
        "camera": np.where(np.arange(rows) < 600, "left", "right"),
        "gaps": np.where(np.arange(rows) < 600, np.nan, 0.0),
    })  # fmt: skip
    parts = {"train": np.arange(600), "dev": np.arange(600, 900), "test": np.arange(0)}
    sentences = compare_parts(frame, parts)
    assert [sentence.split("'")[1] for sentence in sentences] == ["moved", "camera", "gaps"]
    assert sentences[1] == "column 'camera' is distributed otherwise in dev than in train (largest difference 100 %)"
