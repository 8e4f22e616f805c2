"""Files that people have: what is read, and the one line that says what to mend."""

import gzip
import hashlib
import re
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpsearch.data.describing import describe
from hpsearch.data.reading import BUNDLED, bundled_path, read_table, sha256
from hpsearch.errors import DataError

REUSED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(folder, content, name="x.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file)


def refused(folder, content, name="x.csv"):
    with pytest.raises(DataError) as caught:
        read(folder, content, name)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_numbers_booleans_text_and_dates_are_told_apart(tmp_path):
    frame = read(
        tmp_path,
        "i,f,b,t,d,m\n1,1.5,true,x,2020-01-31,2020-01-31 10:00:00\n2,2,False,y,2021-12-01,2021-12-01 11:30:00\n",
    )
    assert frame.row(0) == (1, 1.5, True, "x", date(2020, 1, 31), datetime(2020, 1, 31, 10))  # noqa: DTZ001
    assert frame.dtypes[:4] == [pl.Int64, pl.Float64, pl.Boolean, pl.String]


@pytest.mark.parametrize("word", ["", "NA", "N/A", "nan", "NaN", "null", "NULL", "None", "?", '""', "-nan"])
def test_words_for_missing(tmp_path, word):
    assert read(tmp_path, f"a,b\n{word},1\n2.5,2\n")["a"].to_list() == [None, 2.5]


def test_spaces_after_commas(tmp_path):
    frame = read(tmp_path, "age, job, sex\n 39, ?, Male\n 50, clerk, Female\n")
    assert frame.columns == ["age", "job", "sex"]
    assert frame.rows() == [(39, None, "Male"), (50, "clerk", "Female")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "X.CSV", "x.csv.gz"])
def test_separators_and_suffixes(tmp_path, separator, name):
    content = separator.join("ab") + "\n" + separator.join("12") + "\n"
    data = gzip.compress(content.encode()) if name.endswith("gz") else content
    assert read(tmp_path, data, name).rows() == [(1, 2)]


def test_decimal_commas_with_semicolons(tmp_path):
    frame = read(tmp_path, "a;b;c\n1,5;x;1,5,2\n-2;y;3,1\n")
    assert frame["a"].to_list() == [1.5, -2.0]
    assert frame["c"].to_list() == ["1,5,2", "3,1"]


def test_decimal_commas_that_come_late(tmp_path):
    frame = read(tmp_path, "a;b\n" + "0;x\n" * 300 + "2,5;y\n" + "1;z\n")
    assert frame["a"].to_list()[298:] == [0.0, 0.0, 2.5, 1.0]


@pytest.mark.parametrize("name", ["sales[1].csv", "a*b.csv", "what?.csv", "sales[1].parquet", "a*b.parquet"])
def test_a_name_with_signs_of_a_pattern_is_a_name(tmp_path, name):
    """Polars would take it for all files that fit it."""
    for other, value in ((name.replace("[1]", "1").replace("*", "x").replace("?", "x"), 1), (name, 2)):
        frame = pl.DataFrame({"a": [value, value], "b": [3, 4]})
        (frame.write_csv if name.endswith("csv") else frame.write_parquet)(tmp_path / other)
    assert read_table(tmp_path / name)["a"].to_list() == [2, 2]


def test_a_type_that_changes_late_in_a_long_file(tmp_path):
    lines = ["1,true,"] * 12_000 + ["1.5,maybe,True"] + ["2,false,False"]
    frame = read(tmp_path, "a,b,c\n" + "\n".join(lines) + "\n")
    assert frame.dtypes == [pl.Float64, pl.String, pl.Boolean]
    assert frame.row(12_000) == (1.5, "maybe", True)


def test_bom_crlf_quotes_blank_lines_and_infinity(tmp_path):
    frame = read(tmp_path, '\ufeffa,"b\nc",d\r\n1,"x, ""y""",inf\r\n\r\n2,"two\nlines",Infinity\r\n3,z,\r\n\r\n')
    assert frame.columns == ["a", "b\nc", "d"]
    assert frame.rows() == [(1, 'x, "y"', float("inf")), (2, "two\nlines", float("inf")), (3, "z", None)]


def test_the_index_column_of_pandas_gets_a_name(tmp_path):
    assert read(tmp_path, ",a\n0,5\n1,6\n").columns == ["unnamed_1", "a"]


def test_numbers_beyond_64_bits(tmp_path):
    assert read(tmp_path, "a,b\n99999999999999999999999,1e400\n1,2\n").rows() == [
        (1e23, float("inf")),
        (1.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"a,b\n", "no row of data"),
        (b"a,b", "no row of data"),
        (b"a\n1\n2\n", "only one column"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, the header has 2"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 cell, the header has 2"),
        (b'a,b\n"x\ny",2\n3\n', "line 4 has 1 cell"),
        (b"a,b\n1,2\n3\x00,4\n", "line 3 has a NUL byte"),
        (
            "a,b\n1,2\n1,caf\xe9\n".encode("latin-1"),
            "line 3 is not UTF-8 (byte 0xe9); if it is Latin-1, convert it: iconv",
        ),
        ("a,b\n1,2\n".encode("utf-16"), "the text is UTF-16, UTF-8 is needed; convert it: iconv -f UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is it UTF-16?"),
        ("a,b\n1,2\n".encode("utf-32"), "the text is UTF-32"),
        (b"a,b\r1,2\r", "CR alone"),
        (b"a,b,a\n1,2,3\n", "more than one is 'a'"),
        (b"a,b, a\n1,2,3\n", "more than one is 'a'"),
        (b'a,b\n1,"x\n2,3\n', "quote"),
        (b"5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n", "put a header line first"),
    ],
)
def test_unusable_csv_is_refused_in_one_line(tmp_path, content, words):
    message = refused(tmp_path, content)
    assert words in message
    assert "x.csv" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv.gz", b"no gzip", "not a whole gzip file"),
        ("x.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "not a whole gzip file"),
        ("x.parquet", b"PAR1 is not enough PAR1", "not a readable Parquet file"),
        ("x.parquet", b"", "not a readable Parquet file"),
        ("x.npz", b"", "not an .npz file"),
        ("x.npz", b"PK\x03\x04 damaged", "not a readable .npz file"),
        ("x.xlsx", b"PK", "save it as CSV"),
        ("x.pkl", b"", "pickles are never read"),
        ("x.npy", b"", "np.savez"),
        ("x.txt", b"", "allowed: .csv"),
        ("x", b"", "a file without an extension"),
    ],
)
def test_other_unusable_files(tmp_path, name, content, words):
    assert words in refused(tmp_path, content, name)


def test_files_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("churn.csv").write_text("a,b\n1,2\n")
    for source, words in {
        "chrun.csv": "no such file; did you mean 'churn.csv'?",
        "digit": "no such file, and no bundled data set; did you mean 'digits'?",
        "zzz": "allowed: breast_cancer, digits, wine",
        ".": "is a directory",
        "/dev/null": "not a regular file",
        "a\0.csv": "not the name of a file",
        "a\nb.csv": "not the name of a file",
        "": "not the name of a file",
        "x" * 999: "no such file",
    }.items():
        with pytest.raises(DataError, match=re.escape(words)):
            read_table(source)
        with pytest.raises(DataError):
            sha256(source)


def test_unreadable_file(tmp_path, monkeypatch):
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1,2\n")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    for use in (read_table, sha256):
        with pytest.raises(DataError, match=r"x\.csv: cannot be read: Permission denied"):
            use(file)


def test_a_bundled_name_wins_over_a_file_without_an_extension(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wine").write_text("a,b\n1,2\n")
    Path("wine.csv").write_text("a,b\n1,2\n")
    assert read_table("wine").shape == (178, 14)
    assert read_table("wine.csv").shape == (1, 2)
    with pytest.raises(DataError, match="did you mean 'wine'"):
        bundled_path("win")


def test_bundled_sets_are_those_of_scikit_learn():
    from sklearn.datasets import load_breast_cancer, load_digits, load_wine

    loaders = {"digits": load_digits, "wine": load_wine, "breast_cancer": load_breast_cancer}
    assert set(loaders) == set(BUNDLED)
    for name, loader in loaders.items():
        theirs, ours = loader(), read_table(name)
        np.testing.assert_array_equal(ours[:, :-1].to_numpy().astype(float), theirs.data)
        labels = theirs.target_names[theirs.target].astype(str)
        assert [str(value) for value in ours[:, -1]] == [label.removeprefix("class_") for label in labels]
    assert [read_table(name).columns[-1] for name in ("digits", "wine", "breast_cancer")] == [
        "digit",
        "cultivar",
        "diagnosis",
    ]


def test_bundled_bytes_can_be_made_again():
    import runpy

    script = Path(__file__).parents[2] / "scripts" / "make_bundled.py"
    make = runpy.run_path(str(script))["make"]
    for name in BUNDLED:
        assert gzip.decompress(make(name)) == gzip.decompress(bundled_path(name).read_bytes())
        assert bundled_path(name).read_bytes()[4:8] == bytes(4)


def test_sha256_is_of_the_bytes(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"a,b\n1,2\n")
    assert sha256(file) == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_parquet_types_become_plain(tmp_path):
    frame = pl.DataFrame({
        "nan": [1.0, float("nan")],
        "decimal": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 2)),
        "huge": pl.Series([1, 2], dtype=pl.UInt64),
        "category": pl.Series(["a", "b"], dtype=pl.Categorical),
        "duration": pl.Series([1_500_000, 0], dtype=pl.Duration("us")),
        "list": [[1], [2]],
        "y": [1, 2],
    })  # fmt: skip
    frame.write_parquet(tmp_path / "x.parquet")
    ours = read_table(tmp_path / "x.parquet")
    assert ours.row(0) == (1.0, 1.5, 1.0, "a", 1.5, [1], 1)
    assert ours["nan"].to_list() == [1.0, None]
    assert ours.schema["category"] == pl.String


def test_npz(tmp_path):
    X, y = np.arange(6.0).reshape(3, 2), np.array(["a", "b", "a"])
    for arrays in (
        {"X": X, "y": y},
        {"data": X, "target": y},
        {"first": X, "words": y, "other": np.zeros(5)},
    ):
        np.savez(tmp_path / "x.npz", **arrays)
        frame = read_table(tmp_path / "x.npz")
        assert frame.columns == ["x0", "x1", list(arrays)[1]]
        assert frame.row(1) == (2.0, 3.0, "b")
    np.savez(tmp_path / "x.npz", X=X.astype(">f4").T.copy().T, y=np.array([0, 1, 2], ">i2"))
    assert read_table(tmp_path / "x.npz").dtypes == [pl.Float32, pl.Float32, pl.Int16]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": np.array([[1, {}]], dtype=object), "y": np.zeros(1)}, "pickled objects"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(4)}, "found 'X' float64(3, 2), 'y' float64(4,)"),
        ({"X": np.zeros((3, 2))}, "are needed"),
        ({"X": np.zeros((0, 2)), "y": np.zeros(0)}, "is empty"),
        ({"X": np.zeros((3, 2, 0)), "y": np.zeros(3)}, "array 'X' is empty, its shape is (3, 2, 0)"),
        ({"X": np.zeros((3, 2), complex), "y": np.zeros(3)}, "are needed"),
        ({}, "found nothing"),
    ],
)
def test_npz_without_a_table(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=re.escape(words)):
        read_table(tmp_path / "x.npz")


def survive(folder, content, name):
    """Read and describe: it works, or a DataError says why in one line."""
    file = folder / name
    file.write_bytes(content)
    try:
        frame = read_table(file)
        describe(frame)
    except DataError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        assert "\r" not in message
        return None
    return frame


@REUSED_FOLDER
@given(
    content=st.binary(max_size=200),
    name=st.sampled_from(["x.csv", "x.tsv", "x.csv.gz", "x.parquet", "x.npz"]),
)
def test_any_bytes(tmp_path, content, name):
    survive(tmp_path, content, name)


CELLS = st.text(alphabet='ab1.5-,;"\n\r\t| \0é?\ufeff', max_size=6)


@settings(REUSED_FOLDER, max_examples=200)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=14),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
def test_ragged_quoted_and_foreign_csv(tmp_path, rows, encoding):
    survive(tmp_path, "\n".join(rows).encode(encoding, "replace"), "x.csv")


@REUSED_FOLDER
@given(
    rows=st.lists(
        st.tuples(st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_written_is_read_again_to_the_bit(tmp_path, rows):
    file = tmp_path / "x.csv"
    file.write_text("f,i,b\n" + "".join(f"{f!r},{i},{str(b).lower()}\n" for f, i, b in rows))
    frame = read_table(file)
    assert frame["f"].cast(pl.Float64).to_list() == [f for f, _, _ in rows]
    assert frame["i"].to_list() == [i for _, i, _ in rows]
    assert frame["b"].to_list() == [b for _, _, b in rows]


# Where the file of `_whole` says how many rows in a row have a value. Polars 2.1 asks for as much memory as a damaged
# number there wants, and what cannot be had ends the process; nothing in it can be told to look first.
RUN_LENGTHS = (14, 260)


@REUSED_FOLDER
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_byte_in_a_binary_file(tmp_path, place, byte):
    for name in ("x.parquet", "x.npz", "x.csv.gz"):
        source = _whole(tmp_path, name)
        content = bytearray(source)
        if name != "x.parquet" or place % len(content) not in RUN_LENGTHS:
            content[place % len(content)] = byte
        survive(tmp_path, bytes(content), name)
        survive(tmp_path, source[: place % len(source)], name)


def _whole(folder, name):
    """The bytes of an undamaged little file of each kind."""
    file = folder / f"whole-{name}"
    if not file.exists():
        frame = pl.DataFrame({"a": np.arange(30) * 1.5, "y": ["u", "v"] * 15})
        if name.endswith("parquet"):
            frame.write_parquet(file)
        elif name.endswith("npz"):
            np.savez_compressed(file, X=np.ones((30, 3)), y=np.arange(30) % 2)
        else:
            file.write_bytes(gzip.compress(frame.write_csv().encode()))
    return file.read_bytes()
