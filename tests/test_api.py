"""Searches out of Python: the same study as the command's, and the run as tables and a model."""

import ast
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import threadpoolctl

import hpsearch
from hpsearch import api
from hpsearch.errors import ConfigError, DataError, LockedError, RunError
from hpsearch.run_directory.lock import RunLock

SMALL = {"n_trials": 4, "n_jobs": 1, "budget__epochs": 6, "progress": "none", "finalists__top": 0}


@pytest.fixture(scope="module")
def rows():
    chance = np.random.default_rng(0)
    X = chance.normal(size=(200, 3))
    return X, np.where(X[:, 0] * X[:, 1] > 0, "yes", "no")


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    return hpsearch.search(*rows, **SMALL, out=tmp_path_factory.mktemp("api") / "run")


def test_it_is_the_study_of_the_command(run, tmp_path):
    source = run.folder.with_name("run.parquet")
    words = ["random", source, "-y", "target", "-n", 4, "--epochs", 6, "--finalists", 0, "-o", tmp_path / "same", "-q"]
    subprocess.run([sys.executable, "-m", "hpsearch", *map(str, words)], check=True, capture_output=True)
    for name in ("trials.csv", "curves.csv", "best.yaml"):
        assert (tmp_path / "same" / name).read_bytes() == (run.folder / name).read_bytes()


def test_a_run_is_tables_and_a_model(run, rows):
    X, y = rows
    assert run.trials["trial"].to_list() == [0, 1, 2, 3]
    assert run.best["score"] == run.trials["dev_log_loss"].min()
    assert run.verdict["winner"] == run.best["trial"]
    shares = run.predict_proba(X)
    assert shares.shape == (200, 2)
    assert (run.predict(X) == np.array(["no", "yes"])[shares.argmax(1)]).all()
    assert np.mean(run.predict(X) == y) > 0.5
    assert repr(run).endswith("4 trials, dev log_loss " + f"{run.best['score']:.4g}>")


def test_it_is_loaded_again(run):
    again = hpsearch.load(str(run.folder))
    assert again.trials.equals(run.trials)
    assert again.best == run.best
    with pytest.raises(RunError, match="not a run directory"):
        hpsearch.load(run.folder.parent)


def test_the_same_call_goes_on(rows, tmp_path):
    hpsearch.search(*rows, **SMALL | {"n_trials": 2}, out=tmp_path / "run")
    whole = hpsearch.search(*rows, **SMALL, out=tmp_path / "run")
    assert whole.trials.height == 4


def test_other_data_leave_a_run_and_its_table_alone(rows, tmp_path):
    X, y = rows
    first = hpsearch.search(X, y, **SMALL, out=tmp_path / "run")
    before = (tmp_path / "run.parquet").read_bytes()
    with pytest.raises(RunError, match="holds another study: its data are not these"):
        hpsearch.search(X[:150], y[:150], **SMALL, out=tmp_path / "run")
    assert (tmp_path / "run.parquet").read_bytes() == before
    lock = RunLock(first.folder / ".lock")
    with pytest.raises(LockedError):
        hpsearch.search(X[:150], y[:150], **SMALL, out=tmp_path / "run", overwrite=True)
    lock.release()
    assert (tmp_path / "run.parquet").read_bytes() == before
    second = hpsearch.search(X[:150], y[:150], **SMALL, out=tmp_path / "run", overwrite=True)
    assert sum(second.record.data["rows"].values()) == 150


def test_a_table_of_somebody_else_is_not_written_over(rows, tmp_path):
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "mine.parquet")
    before = (tmp_path / "mine.parquet").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"mine\.parquet is there and belongs to no run in .*mine"):
            hpsearch.search(*rows, **SMALL, out=tmp_path / "mine", overwrite=overwrite)
    assert (tmp_path / "mine.parquet").read_bytes() == before


class LikePandas:
    """What is asked of a DataFrame of pandas."""

    columns = ("size", "town")

    def __getitem__(self, name):
        if name == "size":
            return np.arange(80.0)
        return np.array(["Paris", "Rome", None, "Oslo"] * 20, object)


def test_any_kind_of_table_and_target(tmp_path):
    words = {"space": {"units": 4, "layers": 1}, **SMALL, "n_trials": 1}
    y = pl.Series("price", np.arange(80) ** 1.1)
    frame = hpsearch.search(LikePandas(), y, out=tmp_path / "a", **words)
    assert frame.record.study["data"]["target"] == "price"
    assert frame.predict(LikePandas()).shape == (80,)
    with pytest.raises(ConfigError, match="a regression has no probabilities"):
        frame.predict_proba(LikePandas())
    same = hpsearch.search({n: LikePandas()[n] for n in LikePandas.columns}, y, out=tmp_path / "b", **words)
    assert same.best["score"] == frame.best["score"]
    table = pl.DataFrame({n: LikePandas()[n].tolist() for n in LikePandas.columns})
    assert hpsearch.search(table, y, out=tmp_path / "c", **words).best["score"] == frame.best["score"]
    assert "units" not in frame.record.study["space"] or frame.record.study["space"]["units"] == 4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": ["a", "b"]}, ConfigError, "y has 2 values, X has 200 rows"),
        ({"X": np.zeros(3)}, ConfigError, "it has 1 dimensions"),
        ({"strategy": "magic"}, ConfigError, "strategy: 'magic' is not known"),
        ({"n_jobs": 0}, ConfigError, "n_jobs: 0"),
        ({"n_jobs": "auto"}, ConfigError, "n_jobs: 'auto' is not a number of processes"),
        ({"progress": "fancy"}, ConfigError, "progress: 'fancy' is not known; auto, bar, plain, none"),
        ({"X": {"a": [[1, 2]] * 200}}, ConfigError, "a column or y has 2 dimensions"),
        ({"X": np.array([[{}]] * 200)}, ConfigError, "a column or y holds dict; numbers, text"),
        ({"X": np.full((200, 2), 1j)}, ConfigError, "a column or y holds complex; numbers, text"),
        ({"X": pd.DataFrame({"a": pd.period_range("2020", periods=200)})}, ConfigError, "a column or y holds Period"),
        ({"metric": "rmse"}, ConfigError, "'rmse' does not fit classification"),
        ({"budget__epoch": 3}, ConfigError, "budget.epoch: there is no such key; did you mean"),
        ({"space": {"units": {"low": 9, "high": 1}}}, ConfigError, "units"),
        ({"X": np.full((200, 2), 7.0)}, DataError, "no column is left to learn from"),
    ],
)
def test_what_cannot_be_is_one_line(rows, tmp_path, change, error, message):
    given = {"X": rows[0], "y": rows[1], "out": tmp_path / "run", **SMALL} | change
    with pytest.raises(error, match=message) as caught:
        hpsearch.search(**given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_script_without_a_guard_does_not_start_itself_over(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, hpsearch\nprint('once')\nX = np.random.default_rng(0).normal(size=(90, 2))\n"
        "run = hpsearch.search(X, X[:, 0], n_trials=3, n_jobs=2, budget__epochs=3, progress='none', finalists__top=0)\n"
        "print(run)\n"
    )
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "once"
    assert done.stdout.count("once") == 1
    assert Path(tmp_path, "runs/python-random/journal.jsonl").exists()


def test_a_notebook_shows_a_table_without_anybody_elses_markup(run):
    text = run._repr_html_()
    assert text.count("<tr>") == 5
    assert "<p>&lt;hpsearch run " in text


@pytest.mark.parametrize("strategy", ["random", "panda"])
def test_a_notebook_shows_a_bar_and_no_picture_of_a_terminal(rows, tmp_path, monkeypatch, strategy):
    cell = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", cell)
    hpsearch.search(*rows, **SMALL | {"progress": "auto"}, strategy=strategy, out=tmp_path / "run")
    said = cell.getvalue()
    assert "| 4/4 [" in said
    assert "\x1b[" not in said.replace("\x1b[A", "")
    if strategy == "panda":
        assert "\rtrial 0: where it starts\n" in re.sub(r"\r +\r", "\r", said), "on a line of its own"


def test_only_what_is_public_is_there():
    assert set(hpsearch.__all__) == {"MLPClassifier", "MLPRegressor", "Run", "load", "search"}
    with pytest.raises(AttributeError, match="has no attribute 'Trial'"):
        hpsearch.Trial  # noqa: B018


def test_dates_in_texts_are_dates_as_in_a_file(tmp_path):
    day = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(80)]
    table = pl.DataFrame({"day": day, "n": range(80), "y": ["a", "b"] * 40})
    table.write_csv(tmp_path / "t.csv")
    run = hpsearch.search(table.drop("y"), table["y"], out=tmp_path / "run", **SMALL)
    words = ["random", tmp_path / "t.csv", "-n", 4, "--epochs", 6, "--finalists", 0, "-o", tmp_path / "same", "-q"]
    subprocess.run([sys.executable, "-m", "hpsearch", *map(str, words)], check=True, capture_output=True)
    assert (tmp_path / "same/trials.csv").read_bytes() == (run.folder / "trials.csv").read_bytes()
    assert len(run.predict(table.drop("y"))) == 80


def test_whatever_pandas_calls_a_gap_is_missing():
    """Columns of every kind that it has, with the same values as its CSV file would have."""
    frame = pd.DataFrame(
        {
            "text": ["a", np.nan, " b "],
            "object": ["x", pd.NA, None],
            "flag": pd.array([True, pd.NA, False], dtype="boolean"),
            "string": pd.array(["q", pd.NA, "NA"], dtype="string"),
            "mixed": [1, "a", 2.5],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "level": pd.Categorical(["u", "v", None]),
            "day": pd.to_datetime(["2020-01-01", None, "2021-05-05"]),
            "number": pd.Series([1.5, 2, np.nan], dtype=object),
        }
    )
    found = api._frame(frame)
    assert found.select("text", "object", "flag", "string", "mixed", "level", "number").to_dict(as_series=False) == {
        "text": ["a", None, "b"],
        "object": ["x", None, None],
        "flag": [True, None, False],
        "string": ["q", None, None],
        "mixed": ["1", "a", "2.5"],
        "level": ["u", "v", None],
        "number": [1.5, 2, None],
    }
    np.testing.assert_array_equal(found["count"].to_numpy(), [1, np.nan, 3])
    assert [day and day.isoformat()[:10] for day in found["day"]] == ["2020-01-01", None, "2021-05-05"]
    numbers = api._frame(np.array([[1, 2.5], [3, 4]], object))
    assert numbers.to_dict(as_series=False) == {"x0": [1, 3], "x1": [2.5, 4]}


def test_a_word_for_missing_is_one_in_every_column():
    for others in (["a", "b"], ["a ", "b"]):
        assert api._frame({"c": ["", "NA", *others]})["c"].to_list() == [None, None, "a", "b"]


def test_the_libraries_have_one_thread_while_it_searches_and_as_many_as_before_then(rows, tmp_path, monkeypatch):
    def threads():
        return [library["num_threads"] for library in threadpoolctl.threadpool_info()]

    seen, run = [], api.SearchRun.run
    monkeypatch.setattr(api.SearchRun, "run", lambda self, *words: (seen.extend(threads()), run(self, *words)))
    with threadpoolctl.threadpool_limits(2):
        before = threads()
        hpsearch.search(*rows, **SMALL, out=tmp_path / "run")
        assert threads() == before
    assert max(before) == 2
    assert set(seen) == {1}


def test_a_search_in_a_thread_and_one_in_a_daemonic_process(rows, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(hpsearch.search, *rows, **SMALL, out=tmp_path / "run").result()
    assert found.trials.height == 4
    with get_context("spawn").Pool(1) as pool, pytest.raises(ConfigError, match="a daemonic process"):
        pool.apply(hpsearch.search, rows, SMALL | {"out": tmp_path / "other"})


def test_values_of_numpy_and_tuples_are_settings_too(rows, tmp_path):
    plain = {"units": [4, 8], "learning_rate": {"low": 0.001, "high": 0.5, "log": True}}
    other = {
        "units": np.array([4, 8]),
        "learning_rate": {"low": np.float64(0.001), "high": np.float32(0.5), "log": True},
    }
    runs = [
        hpsearch.search(*rows, **SMALL | {"n_trials": np.int64(2)}, space=space, out=tmp_path / name)
        for name, space in (("plain", plain), ("other", other))
    ]
    assert runs[0].trials.equals(runs[1].trials)


def test_no_rows_have_no_predictions(run, rows):
    X, _ = rows
    assert run.predict(X[:0]).shape == (0,)
    assert run.predict_proba(X[:0]).shape == (0, 2)


def test_tools_find_the_public_names():
    assert set(hpsearch.__all__) < set(dir(hpsearch))
    tree = ast.parse(Path(hpsearch.__file__).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(hpsearch.__all__) < named, "for checkers of types, which never see what __getattr__ finds"


def test_a_search_that_cannot_begin_leaves_no_table(rows, tmp_path):
    """Beside which the next one, of other rows, would be refused."""
    with pytest.raises(ConfigError, match="points"):
        hpsearch.search(*rows, strategy="grid", space={"units": [*range(1, 1500)]}, out=tmp_path / "g", progress="none")
    with pytest.raises(ConfigError, match="jobs"):
        hpsearch.search(*rows, **SMALL | {"n_jobs": 5000}, out=tmp_path / "g")
    assert not list(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(RunError, match="is not a run directory"):
        hpsearch.search(*rows, **SMALL, out=tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
