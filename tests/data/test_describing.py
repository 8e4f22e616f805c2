"""What is inferred of a table, and the warnings that it earns."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data.columns import Column
from hpsearch.data.describing import describe, usable_rows
from hpsearch.data.reading import read_table
from hpsearch.errors import DataError

RANDOM = np.random.default_rng(1)
ROWS = 300
NUMBERS = RANDOM.normal(size=ROWS)
LABELS = RANDOM.choice(["no", "yes"], ROWS)
START = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RANDOM.bit_generator.state = START


def table(y=LABELS, **columns):
    return pl.DataFrame({"number": NUMBERS[: len(y)], **columns, "y": y}, strict=False)


def kind_of(column, **keywords):
    found = {c.name: c for c in describe(table(c=column), **keywords).columns}
    return found["c"].kind, found["c"].reason


def told(description, words):
    return any(words in sentence for sentence in [*description.notes, *description.warnings])


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (["b", "a"] * 10, "classification", ["a", "b"]),
        ([True, False] * 10, "classification", [False, True]),
        ([10, 9, 2] * 10, "classification", [2, 9, 10]),
        ([1.0, 0.0] * 5, "classification", [0, 1]),
        ([0.5, 1.5] * 10, "regression", []),
        (list(range(10)), "regression", []),
        (list(range(4)) * 3, "regression", []),
        (list(range(4)) * 4, "classification", [0, 1, 2, 3]),
        (list(range(21)) * 100, "regression", []),
        ([1e300, -1e300] * 10, "classification", ["-1e+300", "1e+300"]),
    ],
)
def test_task_is_inferred(y, task, classes):
    frame = pl.DataFrame({"x": np.arange(len(y)) ** 0.5, "y": y})
    description = describe(frame)
    assert (description.task, description.classes) == (task, classes)
    assert [type(value) for value in description.classes] == [type(value) for value in classes]


def test_the_task_asked_for_wins():
    assert describe(table(y=[0, 1] * 50), task="regression").task == "regression"
    assert describe(table(y=[True, False] * 50), task="regression").task == "regression"
    assert describe(table(y=[0.5, 1.25] * 50), task="classification").classes == ["0.5", "1.25"]
    assert describe(table(y=list(range(30)) * 5), task="classification").classes == list(range(30))
    with pytest.raises(DataError, match=r"task: regression needs numbers, column 'y' holds text such as '(no|yes)'"):
        describe(table(), task="regression")
    with pytest.raises(DataError, match="did you mean 'regression'"):
        describe(table(), task="regresion")


@pytest.mark.parametrize(
    ("column", "kind", "reason"),
    [
        (NUMBERS, "numeric", ""),
        (RANDOM.integers(0, 5, ROWS), "numeric", ""),
        (RANDOM.random(ROWS) < 0.5, "boolean", ""),
        (RANDOM.choice(["red", "green"], ROWS), "category", ""),
        (pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 10, 26), eager=True), "date", ""),
        ([f"{1 + i % 28}.{1 + i % 12}.2020" for i in range(ROWS)], "date", ""),
        ([7.0] * ROWS, "dropped", "constant"),
        (["x"] * ROWS, "dropped", "constant"),
        ([None] * ROWS, "dropped", "constant"),
        ([float("inf")] * ROWS, "dropped", "constant"),
        ([f"customer {i}" for i in range(ROWS)], "dropped", "identifier"),
        ([f"note {i % 200}" for i in range(ROWS)], "dropped", "free text"),
        (np.arange(ROWS), "dropped", "identifier"),
        (RANDOM.permutation(ROWS) + 1, "dropped", "identifier"),
        (np.arange(ROWS) + 5000, "dropped", "identifier"),
        (np.arange(ROWS) * 3, "numeric", ""),
        ((LABELS == "yes").astype(int), "dropped", "leak"),
        (np.where(LABELS == "yes", "ja", "nein"), "dropped", "leak"),
        ([[1, 2]] * ROWS, "dropped", "holds List(Int64)"),
        ([b"x", b"y"] * (ROWS // 2), "dropped", "holds Binary"),
        ([{"a": 1}] * ROWS, "dropped", "holds Struct({'a': Int64})"),
        ([1, None] * (ROWS // 2), "numeric", ""),
    ],
)
def test_kinds_of_columns(column, kind, reason):
    assert kind_of(column) == (kind, reason)


@pytest.mark.parametrize(
    "name", ["id", "ID", "PassengerId", "customerID", "customer_id", "row", "uuid", "index", "unnamed_1"]
)
def test_names_of_identifiers(name):
    different = RANDOM.permutation(ROWS) * 7 + 13
    description = describe(table(**{name: different}))
    assert [c.reason for c in description.columns] == ["", "identifier"]
    assert told(description, f"only numbers or names the rows: '{name}'")


@pytest.mark.parametrize("name", ["humid", "paid", "valid", "video", "width", "idea"])
def test_names_that_only_look_like_identifiers(name):
    assert describe(table(**{name: RANDOM.permutation(ROWS) * 7 + 13})).columns[1].kind == "numeric"


def test_years_in_a_short_table_are_no_identifier():
    frame = pl.DataFrame({"year": range(1990, 2020), "y": RANDOM.normal(size=30)})
    assert describe(frame).columns[0].kind == "numeric"


def test_keep_drop_and_categorical_win():
    assert kind_of(np.arange(ROWS), keep=["c"]) == ("numeric", "as asked")
    assert kind_of([f"t{i}" for i in range(ROWS)], keep="c") == ("category", "as asked")
    assert kind_of((LABELS == "yes").astype(int), keep=["c"])[0] == "numeric"
    assert kind_of(NUMBERS, drop=["c"]) == ("dropped", "as asked")
    assert kind_of(RANDOM.integers(0, 5, ROWS), categorical=["c"]) == ("category", "as asked")
    assert kind_of(RANDOM.integers(0, 9, ROWS), group="c") == ("dropped", "the group column")
    assert kind_of(RANDOM.integers(0, 9, ROWS), group="c", keep=["c"])[0] == "numeric"
    with pytest.raises(DataError, match="keep: column 'c' holds List"):
        kind_of([[1]] * ROWS, keep=["c"])


@pytest.mark.parametrize("key", ["target", "group", "stratify_by", "drop", "keep", "categorical"])
def test_unknown_columns(key):
    value = "numbr" if key in ("target", "group", "stratify_by") else ["numbr"]
    with pytest.raises(DataError, match=rf"{key}: there is no column 'numbr'; did you mean 'number'\?"):
        describe(table(), **{key: value})


def test_contradictions():
    for key in ("group", "drop", "keep"):
        with pytest.raises(DataError, match=f"{key}: 'y' is the target"):
            describe(table(), **{key: "y"})
    with pytest.raises(DataError, match="both drop and keep"):
        describe(table(), drop=["number"], keep=["number"])
    with pytest.raises(DataError, match="missing: 'mean' is not known"):
        describe(table(), missing="mean")
    with pytest.raises(DataError, match="no column is left to learn from"):
        describe(table(), drop=["number"])


def test_a_leak_that_is_the_only_input_stays():
    description = describe(pl.DataFrame({"x": [0, 1] * 20, "y": [1, 0] * 20}))
    assert [c.kind for c in description.columns] == ["numeric"]
    assert told(description, "column 'x' says the same as the target (a leak?), but there is no other input")


def test_a_running_number_that_is_the_only_input_stays():
    line = pl.DataFrame({"x": range(100), "y": [3.0 * x + 1.5 for x in range(100)]})
    assert describe(line).columns == [Column("x", "numeric", "identifier")]
    assert told(describe(line), "column 'x' looks as if it only numbers the rows, but there is no other input")
    both = pl.DataFrame({"id": range(40), "x": [0, 1] * 20, "y": [1, 0] * 20})
    assert [column.kind for column in describe(both).columns] == ["dropped", "numeric"]


def test_a_column_called_count():
    frame = pl.DataFrame(
        {"count": ["u", "v", "v", "u"] * 5, "index": NUMBERS[:20], "class": ["a", "b"] * 9 + ["c"] * 2}
    )
    assert told(describe(frame), "'c' (2)")
    assert told(describe(frame, target="count", drop=["class"]), "target 'count': 2 classes")


def test_leaks_of_a_number():
    price = np.round(RANDOM.random(ROWS) * 50) + 0.5
    frame = pl.DataFrame({"x": NUMBERS, "same": price, "cents": price * 100, "other": NUMBERS[::-1], "y": price})
    assert [c.reason for c in describe(frame).columns] == ["", "leak", "leak", ""]


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a"] * 20, "every row says 'a', at least 2 classes"),
        ([3] * 20, "every row says 3"),
        (["a", "b"] * 4, "8 rows with a value, at least 10"),
        ([None] * 20, "0 rows with a value"),
        ([f"t{i}" for i in range(20)], "20 different values in 20 rows are too many classes"),
        ([f"t{i % 1001}" for i in range(5005)], "1,001 different values in 5,005 rows"),
        ([f"t{i}" for i in range(5000)], "5,000 different values"),
        ([1.5] * 15 + [float("inf")], "target 'y', row 16: inf is not finite"),
        ([[1]] * 20, "List(Int64) cannot be predicted"),
    ],
)
def test_targets_that_cannot_be_learned(y, words):
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        describe(pl.DataFrame({"x": np.arange(len(y)) ** 0.5, "y": y}))
    assert "\n" not in str(caught.value)


def test_warnings():
    frame = table(
        y=["rare"] * 3 + list(LABELS[3:]),
        constant=[1] * ROWS,
        gaps=[None, None, 1.5] * (ROWS // 3),
        far=[float("inf"), *NUMBERS[1:]],
        patient_id=[i % 60 + 100 for i in range(ROWS)],
        when=["03/04/2020"] * 150 + ["05/06/2020"] * 150,
    )
    description = describe(frame)
    for words in (
        "classes with fewer than 10 rows: 'rare' (3)",
        "left out, the same in every row: 'constant'",
        "column 'gaps': 67 % of the values are missing",
        "column 'far': 1 infinite value taken as missing",
        "group: 'patient_id' keeps them on one side",
        "dates like '03/04/2020' are read day before month",
    ):
        assert told(description, words), words
    assert not told(describe(frame, group="patient_id"), "keeps them on one side")


def test_rows_without_target_and_copies_are_counted():
    frame = table(y=[None, None, *LABELS[2:]])
    description = describe(pl.concat([frame, frame[-3:]]))
    assert told(description, "2 rows without a value of the target 'y'")
    assert told(description, "3 rows repeat an earlier row exactly")
    assert description.rows == ROWS + 1


def test_nothing_to_say_of_good_data():
    assert describe(read_table("wine")).warnings == []


def test_missing_drop():
    frame = table(gaps=[None, 1.5, float("inf")] * (ROWS // 3), empty=[None] * ROWS)
    assert usable_rows(frame, describe(frame)).height == ROWS
    kept = usable_rows(frame, describe(frame, missing="drop"))
    assert kept["gaps"].to_list() == [1.5] * (ROWS // 3)
    frame = table(a=[None, 1.5] * (ROWS // 2), b=[1.5, None] * (ROWS // 2))
    description = describe(frame, missing="drop")
    with pytest.raises(DataError, match="missing: drop leaves 0 rows of 300"):
        usable_rows(frame, description)


COLUMN = st.one_of(
    st.lists(st.one_of(st.none(), st.floats()), min_size=12, max_size=12),
    st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=12, max_size=12),
    st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=12, max_size=12),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=12, max_size=12),
    st.lists(st.lists(st.integers(0, 1), max_size=2), min_size=12, max_size=12),
)


@settings(deadline=None)
@given(a=COLUMN, b=COLUMN, y=COLUMN, task=st.sampled_from(["auto", "classification", "regression"]))
def test_any_table(a, b, y, task):
    try:
        description = describe(pl.DataFrame({"a": a, "b": b, "y": y}, strict=False), task=task)
    except DataError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert description.used
        assert all("\n" not in sentence for sentence in description.notes + description.warnings)
