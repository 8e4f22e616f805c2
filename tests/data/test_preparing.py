"""Tables become features: known answers, what new rows may look like, and nothing learned from dev or test."""

import json
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data.describing import describe
from hpsearch.data.encoders import Category, Date, Flag, Number
from hpsearch.data.preparing import Preparation
from hpsearch.data.target import Target
from hpsearch.data.values import as_text, positions
from hpsearch.errors import DataError

ALL = np.arange(40)


def table(**columns):
    """40 rows whose target is not in the way."""
    y = ["a", "b", "a", "c"] * 10
    return pl.DataFrame({**{name: (values * 40)[:40] for name, values in columns.items()}, "y": y}, strict=False)


def fitted(frame, rows=ALL, **keywords):
    return Preparation.fit(frame, describe(frame, **keywords), rows)


def features(preparation, **columns):
    return preparation.transform(pl.DataFrame(columns, strict=False)).tolist()


def test_numbers_take_the_training_median_and_mark_the_gaps():
    preparation = fitted(table(n=[1.0, 2.0, None, 9.0, float("inf")]))
    assert preparation.feature_names == ["n", "n=missing"]
    assert preparation.numeric_mask.tolist() == [True, False]
    assert features(preparation, n=[5.0, None, float("-inf"), float("nan")]) == [[5, 0], [2, 1], [2, 1], [2, 1]]
    whole = fitted(table(n=[1.0, 2.0, 9.0]))
    assert whole.feature_names == ["n"]
    assert features(whole, n=[None, 4]) == [[2], [4]]


def test_numbers_far_from_0_keep_their_differences():
    """In single precision, where 1.6e9 and 1.6e9 + 60 are one number, their median is subtracted first."""
    minutes = [1.6e9 + 60 * i for i in range(9)]
    encoder = Number.fit(pl.Series("t", [*minutes, None]))
    assert (encoder.origin, encoder.fill) == (minutes[4], minutes[4])
    out = np.empty((3, 2), np.float32)
    encoder.encode(pl.Series("t", [minutes[0], None, minutes[5]]), out)
    assert out.tolist() == [[-240, 0], [0, 1], [60, 0]]
    assert Number.from_dict(encoder.to_dict()) == encoder
    near = Number.fit(pl.Series("year", [1990, 1995, 2000, 2005]))
    assert near.origin == 0
    assert "origin" not in near.to_dict()


def test_numbers_may_be_written_otherwise_in_new_rows():
    preparation = fitted(table(n=[1, 2, 5]))
    assert features(preparation, n=[1.5]) == [[1.5]]
    assert features(preparation, n=[" 7 ", "8.5"]) == [[7], [8.5]]
    assert features(preparation, n=[True, False]) == [[1], [0]]
    assert features(preparation, n=[None]) == [[2]]
    assert features(preparation, n=[1e300, -1e300]) == [[np.float32(1e30)], [np.float32(-1e30)]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1", "2", "abc"], "column 'n', row 3: 'abc' is not allowed; the column holds numbers"),
        ([date(2020, 1, 1)], "column 'n': numbers are needed, it holds Date"),
        ([[1]], "column 'n': numbers are needed"),
    ],
)
def test_new_rows_that_hold_no_numbers(values, words):
    with pytest.raises(DataError, match=words):
        features(fitted(table(n=[1, 2, 5])), n=values)


def test_booleans():
    preparation = fitted(table(b=[True, True, False, None]))
    assert preparation.feature_names == ["b", "b=missing"]
    assert preparation.numeric_mask.tolist() == [False, False]
    expected = [[1, 0], [0, 0], [1, 1]]
    for values in (
        [True, False, None],
        [1, 0, None],
        [1.0, 0.0, float("nan")],
        ["True", "false", None],
        ["Yes", " no", None],
    ):
        assert features(preparation, b=values) == expected
    for wrong in ([2], ["maybe"], [0.5]):
        with pytest.raises(DataError, match=r"column 'b', row 1: .* the column holds true and false"):
            features(preparation, b=wrong)


def test_categories_one_hot_with_rare_and_missing():
    colours = ["red"] * 20 + ["blue"] * 14 + ["green", "grey"] + [None] * 4
    preparation = fitted(table(c=colours))
    assert preparation.feature_names == ["c=red", "c=blue", "c=(other)", "c=missing"]
    assert features(preparation, c=["red", "blue", "green", "pink", None]) == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    ]
    plain = fitted(table(c=["red", "blue"]))
    assert plain.feature_names == ["c=blue", "c=red"]
    assert features(plain, c=["red", "pink", None]) == [[0, 1], [0, 0], [0, 0]]


def test_at_most_fifty_levels_the_commonest_first_then_by_text():
    values = [f"{level:03}" for level in range(80) for _ in range(3)] + ["often"] * 9
    encoder = Category.fit(pl.Series("c", values))
    assert encoder.levels == ["often", *(f"{level:03}" for level in range(49))]
    assert encoder.other


def test_a_rare_level_in_a_large_table_is_other():
    values = ["a"] * 5000 + ["b"] * 4990 + ["c"] * 10 + ["d"] * 9
    assert Category.fit(pl.Series("c", values)).levels == ["a", "b"]


def test_levels_may_be_read_as_another_type_later():
    codes = fitted(table(c=["007", "A8", "1.50", "12"]), keep=["c"])
    assert [row.index(1) if 1 in row else None for row in features(codes, c=[7, 1.5, 12, 8])] == [0, 1, 2, None]
    assert codes.feature_names == ["c=007", "c=1.50", "c=12", "c=A8"]
    numbers = fitted(table(c=[1, 2, 3]), categorical=["c"])
    for values in ([2, 9], [2.0, 9.5], ["2", "x"]):
        assert features(numbers, c=values) == [[0, 1, 0], [0, 0, 0]]
    words = fitted(table(c=["True", "False", "Maybe"]))
    assert features(words, c=[True, False]) == features(words, c=["True", "False"])


def test_ambiguous_levels_are_not_guessed():
    assert positions(pl.Series([1, 2]), ["1.0", "1.00", "02"]).tolist() == [-1, 2]


def test_one_text_for_one_value():
    assert as_text(pl.Series([3.0, 0.5, None, 1e20, -0.0])).to_list() == ["3", "0.5", None, "1e+20", "0"]
    assert as_text(pl.Series([True, None])).to_list() == ["true", None]


def test_dates():
    days = [date(1970, 1, 2), date(1970, 3, 1), None, date(1970, 1, 2)]
    preparation = fitted(table(d=days))
    assert preparation.feature_names == ["d=days", "d=month", "d=weekday", "d=missing"]
    assert preparation.numeric_mask.tolist() == [True, True, True, False]
    rows = features(preparation, d=[date(1970, 1, 2), date(1970, 3, 1), None])
    assert rows == [[1, 1, 5, 0], [59, 3, 7, 0], [1, 1, 5, 1]]
    assert features(preparation, d=["1970-01-02", "1970-03-01", None]) == rows
    assert features(preparation, d=[None]) == [[1, 1, 5, 1]]


def test_hours_only_when_there_are_times():
    moments = [datetime(2020, 1, 6, 6), datetime(2020, 1, 6, 18, 30)]  # noqa: DTZ001  files hold local times
    preparation = fitted(table(d=moments))
    assert preparation.feature_names == ["d=days", "d=hour"]
    assert features(preparation, d=moments) == [[18267.25, 6], [np.float32(18267 + 18.5 / 24), 18.5]]
    zoned = pl.DataFrame({"d": pl.Series(moments).dt.replace_time_zone("UTC")})
    assert preparation.transform(zoned).tolist() == features(preparation, d=moments)


def test_new_dates_are_read_as_the_training_file_wrote_them():
    american = fitted(table(d=["12/31/2020", "01/02/2021", "03/04/2021"]))
    european = fitted(table(d=["31/12/2020", "02/01/2021", "04/03/2021"]))
    assert features(american, d=["03/04/2021"])[0][1] == 3
    assert features(european, d=["03/04/2021"])[0][1] == 4
    assert features(european, d=["2021-04-03"]) == features(european, d=["03/04/2021"])
    with pytest.raises(DataError, match="column 'd', row 2: '31/12/2020' is not allowed; the column holds dates like"):
        features(american, d=["12/31/2020", "31/12/2020"])
    with pytest.raises(DataError, match="dates are needed, it holds Int64"):
        features(american, d=[20201231])


def test_columns_are_found_by_name():
    frame = table(a=[1, 2, 5], b=[7.5, 3.0])
    preparation = fitted(frame)
    mixed = frame.select("b", pl.lit("x").alias("new"), "a")
    np.testing.assert_array_equal(preparation.transform(mixed), preparation.transform(frame))
    with pytest.raises(DataError, match="column 'a' is missing, the model needs it; did you mean 'aa'"):
        preparation.transform(frame.rename({"a": "aa"}))


def test_the_result_is_what_the_engine_takes():
    frame = table(n=[1.5, None], c=["u", "v", "w"], b=[True, False])
    X = fitted(frame).transform(frame)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    assert X.flags.writeable
    assert np.isfinite(X).all()
    rows = np.array([5, 3, 3])
    np.testing.assert_array_equal(fitted(frame).transform(frame, rows), X[rows])


def test_missing_error_refuses_now_and_later():
    with pytest.raises(DataError, match="column 'n', row 2: 20 values missing or infinite"):
        fitted(table(n=[1.5, None]), missing="error")
    preparation = fitted(table(n=[1.5, 2]), missing="error")
    with pytest.raises(DataError, match="column 'n', row 1: 1 value missing"):
        features(preparation, n=[float("inf")])


def test_nothing_left():
    frame = table(c=[f"t{i}" for i in range(40)])
    with pytest.raises(DataError, match="no feature is left"):
        fitted(frame, keep=["c"])


def test_dev_and_test_rows_teach_nothing():
    frame = table(
        n=[1.0, 2.0, None, 4.0, 5.0],
        c=["u", "v", "u", "w"],
        b=[True, False, None],
        d=[date(2020, 1, 1), date(2021, 2, 3)],
    )
    description, train = describe(frame), np.arange(0, 40, 2)
    changed = frame.with_row_index("row").with_columns(
        n=pl.when(pl.col("row") % 2 == 1).then(1e6).otherwise("n"),
        c=pl.when(pl.col("row") % 2 == 1).then(pl.lit("new")).otherwise("c"),
        b=pl.when(pl.col("row") % 2 == 1).then(None).otherwise("b"),
        d=pl.when(pl.col("row") % 2 == 1).then(date(1800, 7, 9)).otherwise("d"),
    )
    assert Preparation.fit(changed, description, train) == Preparation.fit(frame, description, train)


def test_class_labels_and_back():
    target = fitted(table(n=[1, 2, 5])).target
    assert target.classes == ["a", "b", "c"]
    labels = target.labels(pl.Series(["c", "a", "b"]))
    assert labels.dtype == np.int32
    assert labels.tolist() == [2, 0, 1]
    assert target.names(labels) == ["c", "a", "b"]
    with pytest.raises(DataError, match="target 'y', row 2: 'd' is none of the classes"):
        target.labels(pl.Series(["a", "d"]))
    with pytest.raises(DataError, match="row 1: None is none of the classes"):
        target.labels(pl.Series([None], dtype=pl.String))


@pytest.mark.parametrize(
    ("classes", "values", "labels"),
    [
        ([3, 7], [7.0, 3.0], [1, 0]),
        ([3, 7], ["7", "3"], [1, 0]),
        ([False, True], [1, 0], [1, 0]),
        ([False, True], ["True", "false"], [1, 0]),
        (["0.5", "1"], [1.0, 0.5], [1, 0]),
        (["no", "yes"], pl.Series(["yes", "no"], dtype=pl.Categorical), [1, 0]),
    ],
)
def test_labels_of_another_type(classes, values, labels):
    assert Target("y", "classification", classes).labels(pl.Series(values)).tolist() == labels


def test_standardised_targets_and_back():
    y = pl.Series("y", [1.0, 2.0, 6.0] * 10)
    frame = pl.DataFrame({"x": np.arange(30) ** 0.5, "y": y})
    target = fitted(frame, np.arange(30), task="regression").target
    assert (target.mean, target.sd) == (3.0, pytest.approx(np.std([1, 2, 6]), rel=1e-15))
    z = target.standardise(y)
    assert (z.shape, z.dtype) == ((30, 1), np.float32)
    np.testing.assert_allclose(target.original(z)[:, 0], y, rtol=1e-6)
    for wrong in (["x"], [None], [float("inf")], [date(2020, 1, 1)]):
        with pytest.raises(DataError, match="target 'y'"):
            target.standardise(pl.Series(wrong))


def test_numbers_that_cannot_be_standardised():
    for y, words in (([2.5] * 19 + [3.5], "every training row says 2.5"), ([1e31, 2.5] * 10, "too large")):
        frame = pl.DataFrame({"x": np.arange(20) ** 0.5, "y": y})
        with pytest.raises(DataError, match=words):
            fitted(frame, np.arange(19), task="regression")


TEXT = st.text(max_size=5)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ENCODERS = st.one_of(
    st.builds(Number, TEXT, FINITE, st.booleans()),
    st.builds(Flag, TEXT, st.sampled_from([0.0, 1.0]), st.booleans()),
    st.builds(Category, TEXT, st.lists(TEXT, unique=True, min_size=1), st.booleans(), st.booleans()),
    st.builds(
        Date,
        TEXT,
        st.sampled_from(["", "%d/%m/%Y"]),
        st.just(["days", "month"]),
        st.lists(FINITE, min_size=2, max_size=2),
        st.booleans(),
    ),
)
TARGETS = st.one_of(
    st.builds(Target, TEXT, st.just("classification"), st.lists(TEXT, unique=True, min_size=2)),
    st.builds(Target, TEXT, st.just("classification"), st.lists(st.integers(), unique=True, min_size=2)),
    st.builds(Target, TEXT, st.just("classification"), st.just([False, True])),
    st.builds(Target, TEXT, st.just("regression"), st.just([]), FINITE, st.floats(1e-300, 1e300)),
)


@settings(deadline=None)
@given(encoders=st.lists(ENCODERS, min_size=1, max_size=4, unique_by=lambda encoder: encoder.name), target=TARGETS)
def test_yaml_and_json_keep_every_bit(encoders, target):
    preparation = Preparation(tuple(encoders), target, "auto")
    data = preparation.to_dict()
    for there_and_back in (
        yaml.safe_load(yaml.safe_dump(data)),
        yaml.safe_load(yaml.safe_dump(data, sort_keys=False)),
        json.loads(json.dumps(data)),
    ):
        assert Preparation.from_dict(there_and_back) == preparation
        assert repr(there_and_back) == repr(data) or there_and_back == data


WRONG = (None, 1.5, "x", [], {}, float("nan"), True, -1, ["x", "x"], [1, "x"])


def test_damaged_plain_data_is_refused():
    frame = table(n=[1.5, None], c=["u", "v", "w"], b=[True, False], d=[date(2020, 1, 1), date(2021, 2, 3)])
    whole = fitted(frame).to_dict()
    for path in _paths(whole):
        for wrong in WRONG:
            data = json.loads(json.dumps(whole))
            *parents, last = path
            place = data
            for key in parents:
                place = place[key]
            if wrong == place[last] or (isinstance(wrong, str) and isinstance(place[last], str)):
                continue
            place[last] = wrong
            try:
                Preparation.from_dict(data)
            except DataError as error:
                message = str(error)
                assert "\n" not in message
    for wrong in WRONG:
        with pytest.raises(DataError):
            Preparation.from_dict(wrong)


def _paths(data, start=()):
    """Every way to a value of nested dicts and lists."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*start, key)
        if isinstance(value, (dict, list)):
            yield from _paths(value, (*start, key))


CELL = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=3),
    st.booleans(),
    st.dates(),
    st.lists(st.none()),
)


@settings(deadline=None)
@given(
    values=st.one_of(
        *(st.lists(st.one_of(st.none(), kind), min_size=1, max_size=5) for kind in CELL.element_strategies)
    )
)
def test_any_new_rows_are_features_or_a_message(values):
    frame = table(n=[1.5, None], c=["u", "v", "w"], b=[True, False], d=[date(2020, 1, 1), date(2021, 2, 3)])
    preparation = fitted(frame)
    for name in "ncbd":
        new = frame.head(len(values)).with_columns(pl.Series(name, values, strict=False))
        try:
            X = preparation.transform(new)
        except DataError as error:
            message = str(error)
            assert "\n" not in message
        else:
            assert np.isfinite(X).all()
