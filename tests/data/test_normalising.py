"""Scales against scikit-learn and known answers; extremes stay finite."""

import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpsearch.data.normalising import IN_BINS, NORMALIZATIONS, Normalizer
from hpsearch.errors import DataError

RANDOM = np.random.default_rng(3)
X = (RANDOM.normal(size=(500, 6)) * [1, 10, 0.01, 1e6, 3, 1] + [0, 5, 1, -1e6, 0, 2]).astype(np.float32)
NUMERIC = np.ones(6, bool)


def fit(kind, rows=X, numeric=None):
    return Normalizer.fit(kind, rows, np.ones(rows.shape[1], bool) if numeric is None else numeric)


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust"])
def test_like_scikit_learn(kind):
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    theirs = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}[kind]().fit(
        X[:300].astype(float)
    )
    ours = fit(kind, X[:300]).transform(X)
    np.testing.assert_allclose(ours, theirs.transform(X.astype(float)), rtol=1e-6, atol=1e-6)


def test_robust_clip_is_the_formula():
    robust = fit("robust").transform(X).astype(float)
    np.testing.assert_allclose(fit("robust_clip").transform(X), robust / np.sqrt(1 + (robust / 3) ** 2), rtol=1e-6)
    column = np.array([[0], [1], [2], [3], [4]], np.float32)
    assert fit("robust_clip", column).transform(column)[:, 0].tolist() == pytest.approx(
        [-0.9486833, -0.4931970, 0, 0.4931970, 0.9486833], abs=1e-6
    )


@pytest.mark.parametrize(
    ("column", "shift", "scale"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], 0, 5),
        ([4, 4, 4], 4, 1),
        ([1, 2, 3, 4, 5], 3, 2),
    ],
)
def test_robust_spread_when_quartiles_tie(column, shift, scale):
    rows = np.array(column, np.float32)[:, None]
    for kind in ("robust", "robust_clip"):
        normalizer = fit(kind, rows)
        assert (normalizer.shift[0], normalizer.scale[0]) == (shift, scale)


def twin(columns, x):
    """Piecewise linear encoding of one value by the ends of a column's bins, as the paper has it."""
    found = []
    for t in range(1, len(columns)):
        a, b = columns[t - 1], columns[t]
        if x < a and t > 1:
            found.append(0.0)
        elif x >= b and t < len(columns) - 1:
            found.append(1.0)
        else:
            found.append(max(-1.0, min(2.0, (x - a) / (b - a))))
    return found


def test_bins_are_those_of_the_paper():
    """Many values in a column of 1,000 rows, most of which say 0: half of the bins' ends are among the few others."""
    few = np.concatenate([np.zeros(900), np.arange(1, 101)]).astype(np.float32)
    other = RANDOM.normal(size=1000).astype(np.float32)
    rows = np.stack([few, other, few % 2], axis=1)
    normalizer = Normalizer.fit("piecewise_linear", rows, np.array([True, True, False]))
    shares = np.linspace(0, 1, 33)
    ends = []
    for column in (few, other):
        values = np.sort(np.unique(column)).astype(float)
        by_rows = np.sort(column.astype(float))[np.round(shares * 999).astype(int)]
        by_values = values[np.round(shares * (len(values) - 1)).astype(int)]
        ends.append(sorted({*by_rows.tolist(), *by_values.tolist()}))
    assert len(ends[0]) > 30, "bins where the rare values are"
    assert normalizer.width == len(ends[0]) - 1 + len(ends[1]) - 1 + 1
    some = np.concatenate([rows[::37], [[-5, -9, 0], [300, 9, 1], [0.25, 0.125, 1]]]).astype(np.float32)
    wanted = [[*twin(ends[0], a), *twin(ends[1], b), c] for a, b, c in some.astype(float).tolist()]
    np.testing.assert_allclose(normalizer.transform(some), wanted, rtol=1e-6, atol=1e-6)


def test_beside_its_bins_a_column_has_as_much_say_as_they_have_together():
    """The robust z of each column, no further out than 3, times the root of the number of its bins."""
    rows = np.stack([RANDOM.normal(size=300), RANDOM.integers(0, 5, 300), np.ones(300)], axis=1).astype(np.float32)
    rows[0, 0] = 1e6
    numeric = np.array([True, True, False])
    found, bins = (
        Normalizer.fit(kind, rows, numeric).transform(rows) for kind in ("piecewise_and_linear", "piecewise_linear")
    )
    few = 4  # bins of the second column, which has five values
    many = bins.shape[1] - few - 1
    low, middle, high = np.quantile(rows[:, :2].astype(float), (0.25, 0.5, 0.75), axis=0)
    z = np.clip((rows[:, :2] - middle) / (high - low), -3, 3)
    wanted = [bins[:, :many], z[:, :1] * many**0.5, bins[:, many:-1], z[:, 1:] * few**0.5, bins[:, -1:]]
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "different", "columns", "ends"),
    [
        (20_000, 128, 1, "each"),
        (20_000, 129, 1, "quantiles"),
        (1_600, 40, 1, "each"),
        (1_599, 40, 1, "quantiles"),
        (20_000, 102, 10, "each"),
        (20_000, 103, 10, "quantiles"),
    ],
)
def test_each_value_of_a_column_with_few_ends_a_bin(rows, different, columns, ends):
    """As many as the root of the rows, 128 and the room of all columns allow; the others end some of 64."""
    column = np.zeros(rows, np.float32)
    column[: 2 * different] = np.tile(np.arange(different), 2)
    found = fit("piecewise_linear", np.tile(column[:, None], columns))
    lows = found.shift[found.source == 0]
    if ends == "each":
        assert lows.tolist() == list(range(different - 1))
    else:
        assert 32 <= len(lows) < different - 1, "most rows say 0, so that quantiles of the values are the ends"


def test_a_network_sees_any_curve_of_a_column_as_a_sum_of_its_bins():
    """With one weight for each bin, the difference of a function at its ends, it is linear between them."""
    column = np.sort(RANDOM.normal(size=400)).astype(np.float32)[:, None]
    encoded = fit("piecewise_linear", column).transform(column)
    ends = np.unique(np.quantile(column, np.linspace(0, 1, 33), method="nearest"))
    curve = np.sin(3 * ends)
    assert encoded.shape[1] == len(ends) - 1, "different values: both kinds of quantiles are the same"
    found = curve[0] + encoded @ np.diff(curve)
    np.testing.assert_allclose(found, np.interp(column[:, 0], ends, curve), atol=1e-5)


def test_many_columns_have_fewer_bins():
    wide = RANDOM.normal(size=(300, 200)).astype(np.float32)
    assert 200 <= fit("piecewise_linear", wide).width <= 1024


@pytest.mark.parametrize("kind", IN_BINS)
def test_a_constant_column_in_bins_says_nothing_of_other_values_either(kind):
    rows = np.stack([np.full(9, 1.6e9), np.arange(9)], axis=1).astype(np.float32)
    normalizer = fit(kind, rows)
    far = np.array([[1e30, 0], [0, 0]], np.float32)
    assert normalizer.transform(np.concatenate([rows, far]))[:, 0].tolist() == [0.0] * 11


@pytest.mark.parametrize("kind", [kind for kind in NORMALIZATIONS if kind not in IN_BINS])
def test_only_numbers_are_touched(kind):
    rows = np.concatenate([X[:, :2], RANDOM.integers(0, 2, (500, 2)).astype(np.float32)], axis=1)
    numeric = np.array([True, False, False, True])
    out = fit(kind, rows, numeric).transform(rows)
    np.testing.assert_array_equal(out[:, 1:3], rows[:, 1:3])
    assert (kind == "none") == bool((out[:, 0] == rows[:, 0]).all())


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_in_place_and_in_blocks_give_the_same_bits(kind):
    rows = np.tile(X, (200, 1))
    numeric = np.array([True, True, False, True, True, True])
    normalizer = fit(kind, X, numeric)
    out = normalizer.transform(rows)
    assert (out.dtype, out.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(out[:500], normalizer.transform(X))
    again = rows.copy()
    same_width = kind not in IN_BINS
    assert (normalizer.transform(again, out=again) is again) == same_width
    np.testing.assert_array_equal(again, out if same_width else rows)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_later_rows_teach_nothing(kind):
    changed = X.copy()
    changed[300:] = 1e9
    assert fit(kind, changed[:300]).to_dict() == fit(kind, X[:300]).to_dict()


FLOATS = st.floats(-float(np.float32(1e30)), float(np.float32(1e30)), width=32)


@settings(deadline=None)
@given(
    rows=arrays.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=FLOATS),
    kind=st.sampled_from(NORMALIZATIONS),
)
def test_always_finite_and_kept_to_the_bit(rows, kind):
    normalizer = fit(kind, rows)
    far = np.full((1, rows.shape[1]), 1e30, np.float32)
    for values in (rows, far, -far):
        out = normalizer.transform(values)
        assert np.isfinite(out).all()
        if kind == "robust_clip":
            assert np.abs(out).max() <= 3
    data = normalizer.to_dict()
    for there_and_back in (yaml.safe_load(yaml.safe_dump(data)), json.loads(json.dumps(data))):
        again = Normalizer.from_dict(there_and_back)
        assert again.to_dict() == data
        assert again.transform(rows).tobytes() == normalizer.transform(rows).tobytes()


@settings(deadline=None)
@given(column=arrays.arrays(np.float32, st.integers(2, 40), elements=FLOATS, unique=True))
def test_a_bin_is_only_begun_where_the_one_before_is_exactly_1(column):
    """On this the sparse first layer rests, whatever single precision makes of (x - a) / (b - a)."""
    column = np.sort(column)[:, None]
    normalizer = fit("piecewise_linear", column)
    with np.errstate(over="ignore"):
        between = np.nextafter(column, np.float32(np.inf)).clip(max=np.float32(1e30))
    for values in (column, between):
        found = normalizer.transform(values)
        assert ((found[:, 1:] == 0) | (found[:, :-1] == 1)).all()


def test_columns_of_one_bin_each_are_scaled_in_place():
    rows = RANDOM.integers(0, 2, (400, 3)).astype(np.float32) * 5 + 2
    normalizer = fit("piecewise_linear", rows)
    again = rows.copy()
    assert normalizer.transform(again, out=again) is again
    np.testing.assert_array_equal(again, (rows - 2) / 5)


def test_nonsense_is_refused():
    with pytest.raises(DataError, match="normalize: 'standrad' is not known; did you mean 'standard'"):
        fit("standrad")
    with pytest.raises(DataError, match="6 features are needed, the rows have 5"):
        fit("standard").transform(X[:, :5])
    whole = fit("standard").to_dict()
    for key, wrong in (
        ("kind", "x"),
        ("kind", None),
        ("shift", []),
        ("shift", ["x"] * 6),
        ("scale", [0.0] * 6),
        ("scale", [float("nan")] * 6),
        ("numeric", [1] * 6),
        ("numeric", None),
    ):
        with pytest.raises(DataError):
            Normalizer.from_dict({**whole, key: wrong})
    bins = fit("piecewise_linear").to_dict()
    for key, wrong in (
        ("source", [0] * len(bins["source"])),
        ("source", [6, *bins["source"][1:]]),
        ("source", bins["source"][1:]),
        ("source", None),
        ("low", []),
        ("high", ["x"] * len(bins["high"])),
        ("kind", "standard"),
    ):
        with pytest.raises(DataError):
            Normalizer.from_dict({**bins, key: wrong})
    for wrong in (None, [], {}, "x", {"kind": "none", "numeric": [], "shift": [], "scale": []}):
        with pytest.raises(DataError):
            Normalizer.from_dict(wrong)
