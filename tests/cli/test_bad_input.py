"""Bad input by the hundred: one line and exit 2, or a description; never a traceback, nothing written over."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpsearch.cli.app import main

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def answered_well(code, err):
    """Success, or one line and exit 2."""
    errors = [line for line in err.splitlines() if line.startswith("hpsearch: ")]
    assert code in (0, 2), err
    assert len(errors) == (code == 2), err
    assert "Traceback" not in err


def rows(header, line, count=40):
    return "\n".join([header, *(line(i) for i in range(count))]) + "\n"


BAD_TABLES = {
    "empty": b"",
    "header only": b"a,b,c\n",
    "one column": rows("a", str).encode(),
    "ragged": rows("a,b", lambda i: f"{i},1,2" if i == 7 else f"{i},{i % 2}").encode(),
    "one class": rows("a,b", lambda i: f"{i % 9},yes").encode(),
    "all missing": rows("a,b", lambda i: f",{i % 2}").encode(),
    "missing target": rows("a,b", lambda i: f"{i % 9},").encode(),
    "infinite target": rows("a,b", lambda i: f"{i % 9},{'inf' if i == 3 else i + 0.5}").encode(),
    "5,000 levels": rows("a,b", lambda i: f"{i % 9},level {i}", 5000).encode(),
    "NUL": rows("a,b", lambda i: f"{i}\x00,{i % 2}").encode(),
    "UTF-16": rows("a,b", lambda i: f"{i},{i % 2}").encode("utf-16"),
    "Latin-1": rows("größe,b", lambda i: f"{i},{i % 2}").encode("latin-1"),
    "twice the same name": rows("a,a", lambda i: f"{i},{i % 2}").encode(),
    "few rows": b"a,b\n1,2\n3,4\n",
    "binary": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_known_bad_tables(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_bytes(BAD_TABLES[name])
    code, out, err = run("random", "bad.csv")
    assert (code, out) == (2, ""), err
    answered_well(code, err)
    assert "bad.csv" in err or "column" in err or "target" in err
    assert {path.name for path in tmp_path.iterdir()} == {"bad.csv"}
    assert Path("bad.csv").read_bytes() == BAD_TABLES[name]


def test_not_a_number_and_infinity_among_the_inputs_are_gaps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gaps.csv").write_text(
        rows("a,b,c", lambda i: f"{['nan', 'inf', '-inf', i][i % 4]},{i % 7},{i % 2}"), encoding="utf-8"
    )
    code, _, err = run("random", "gaps.csv", "-n", 2, "--epochs", 2)
    assert code == 0, err
    assert "20 infinite values" in err


@pytest.mark.parametrize("content", [b"PK\x03\x04junk", b"", b"PAR1junkPAR1"])
@pytest.mark.parametrize("suffix", ["npz", "parquet", "csv.gz"])
def test_broken_containers(content, suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    code, _, err = run("random", path, "--print-config")
    assert code == 2
    answered_well(code, err)


def test_an_npz_with_objects_is_not_unpickled(tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    np.savez(tmp_path / "x.npz", X=np.array([[Canary()] * 2] * 20, object), y=np.arange(20))
    code, _, err = run("random", tmp_path / "x.npz", "--print-config")
    assert code == 2, err
    assert not (tmp_path / "executed").exists()


cells = st.one_of(
    st.integers(-5, 5).map(str),
    st.floats().map(str),
    st.sampled_from(["", "NA", "x", "yes", "2020-01-31", '"', "a\nb", "=1"]),
)
slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=30), st.sampled_from(",;\t"))
def test_any_table_is_described_or_refused(tmp_path, table, separator):
    path = tmp_path / "any.csv"
    path.write_text("\n".join(separator.join(line) for line in table), encoding="utf-8")
    code, _, err = run("random", path, "--print-config")
    answered_well(code, err)


@slow
@given(st.binary(max_size=300))
def test_any_bytes_are_described_or_refused(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    code, _, err = run("data", path)
    answered_well(code, err)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
words = st.sampled_from(
    [
        "data",
        "space",
        "budget",
        "trials",
        "seed",
        "lr",
        "low",
        "high",
        "log",
        "when",
        "values",
        "1e-4",
        "null",
        "[",
        "{",
        "digits",
    ]
)


@slow
@given(
    st.one_of(
        st.text(max_size=80), st.lists(st.tuples(words, words), max_size=6).map(lambda p: "\n".join(map(": ".join, p)))
    )
)
@example(BOMB)
@example("space: {lr: {low: 1, high: 0}}")
@example("data: {source: wine}\nspace: {lr: 1e-4}")
@example("[" * 5000)
@example("sed: 1")
@example("data: 3")
@example("space: 3")
@example("strategy: {points: 1e99}")
@example("budget: {trials: 99999999999999999999}")
@example("data: {source: [wine]}")
@example("data: {split: {train: nan}}")
@example("seed: 1\nseed: 2")
def test_any_study_is_resolved_or_refused(tmp_path, text):
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    code, _, err = run("random", path, "--print-config")
    answered_well(code, err)


@slow
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_any_word_after_p_is_answered(text):
    code, _, err = run("random", "wine", "-p", text, "--print-config", "-q")
    answered_well(code, err)
