"""`hpsearch evaluate`: the sealed part and other rows, intervals, classes, and what is noted."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from hpsearch.config import StudyConfig
from hpsearch.data import reading
from hpsearch.data.dataset import load_dataset, load_test_part
from hpsearch.data.reading import read_table
from hpsearch.run_directory.record import RunRecord


@pytest.fixture
def run(hpsearch, run_folder):
    shutil.copytree(run_folder, "w")
    return Path("w")


def evaluations(run):
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "evaluation"]


def test_scores_have_intervals_and_classes_their_shares(hpsearch, run):
    code, out, err = hpsearch("evaluate", run, "-f", "json")
    assert code == 0, err
    found = json.loads(out)
    assert found["rows"] == sum(one["rows"] for one in found["classes"]) == 36
    for metric, score in found["scores"].items():
        low, high = found["intervals"][metric]
        assert low <= score <= high
    right = sum(found["confusion"][k][k] for k in range(3))
    assert found["scores"]["accuracy"] == pytest.approx(right / 36)
    assert sum(found["trust"].values()) == 36


def test_simple_models_are_judged_on_the_same_rows(hpsearch, run):
    """The shares of the classes in training, and scikit-learn's logistic regression, on the sealed part."""
    code, out, err = hpsearch("evaluate", run, "-f", "json")
    assert code == 0
    assert "training a linear model to compare with (--quick: without)" in err
    found = json.loads(out)["baselines"]
    study = StudyConfig.model_validate(RunRecord.load(run).study)
    data = load_dataset(**study.data.loading(), normalize=("standard",))
    test = load_test_part(**study.data.loading(), preparation=data.preparation, normalizer=data.normalizers["standard"])
    train = data.part("train", "standard")
    shares = np.bincount(train.labels) / len(train.labels)
    assert found["constant"]["log_loss"] == pytest.approx(log_loss(test.labels, np.tile(shares, (36, 1))))
    assert found["constant"]["auc"] == 0.5
    peer = LogisticRegression().fit(train.inputs, train.labels)
    assert found["linear"]["log_loss"] == pytest.approx(
        log_loss(test.labels, peer.predict_proba(test.inputs)), abs=0.05
    )
    assert found["linear"]["accuracy"] == pytest.approx(peer.score(test.inputs, test.labels), abs=0.03)
    table = hpsearch("evaluate", run)[1]
    assert table.splitlines()[2].split() == ["score", "test", "95", "%", "dev", "constant", "linear"]


@pytest.mark.parametrize("data", [(), ("new.csv",)])
def test_simple_models_are_left_out_where_the_data_are_gone(hpsearch, run, data, monkeypatch):
    read_table("wine").write_csv("new.csv")
    code, out, _ = hpsearch("evaluate", run, *data, "--quick", "-f", "json")
    assert (code, json.loads(out)["baselines"]) == (0, {})
    if data:
        monkeypatch.setattr(reading, "BUNDLED", ())
        code, out, err = hpsearch("evaluate", run, *data, "-f", "json")
        assert (code, json.loads(out)["baselines"]) == (0, {})
        assert "nothing to compare with: wine: no such file" in err


def test_the_dev_score_is_the_one_that_the_winner_was_chosen_by(hpsearch, line_file):
    words = ("random", line_file, "-n", 4, "--epochs", 5, "-q", "--no-ensemble", "--metric", "r2", "-o", "l")
    assert hpsearch(*words, "--finalists", "2")[0] == 0
    best = json.loads(hpsearch("best", "l", "-f", "json")[1])
    cells = {line.split()[0]: line.split() for line in hpsearch("evaluate", "l")[1].splitlines() if line[:3] == "  r"}
    assert float(cells["r2"][5]) == pytest.approx(best["mean"], rel=1e-3)
    assert best["mean"] != best["score"]
    assert len(cells["rmse"]) == 7, "the finals note no other metric"


def test_every_opening_of_the_sealed_part_is_counted_and_dated(hpsearch, run):
    for times in (1, 2):
        code, out, _ = hpsearch("evaluate", run)
        assert code == 0
        assert f"of the sealed test part (opening {times})" in out
    noted = evaluations(run)
    assert [sorted(event) for event in noted] == [
        ["at", "crc", "event", "intervals", "networks", "rows", "scores", "seq", "trial"]
    ] * 2


def test_other_rows_are_judged_and_are_no_opening(hpsearch, run):
    table = read_table("wine")
    table.write_csv("new.csv")
    code, out, err = hpsearch("evaluate", run, "new.csv")
    assert code == 0, err
    assert f"on {table.height} rows of new.csv" in out
    assert evaluations(run)[0]["data"].endswith("new.csv")
    assert json.loads(hpsearch("evaluate", run, "-f", "json")[1])["opened"] == 1
    assert hpsearch("evaluate", run, "new.csv", "-f", "value")[0] == 0


def test_rows_without_a_target_are_counted(hpsearch, run):
    table = read_table("wine").with_row_index("i")
    target = pl.when(pl.col("i") >= 3).then(pl.col("cultivar"))
    table.with_columns(target.alias("cultivar")).drop("i").write_csv("new.csv")
    code, out, err = hpsearch("evaluate", run, "new.csv", "--quick")
    assert code == 0
    assert "on 175 rows of new.csv" in out
    assert "new.csv: 3 rows without a value of the target 'cultivar' left out" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop("cultivar"), "new.csv: the target column 'cultivar' is missing"),
        (lambda table: table.with_columns(cultivar=pl.lit(7)), "7 is none of the classes"),
        (lambda table: table.drop("alcohol"), "alcohol"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused(hpsearch, run, change, message):
    change(read_table("wine")).write_csv("new.csv")
    code, out, err = hpsearch("evaluate", run, "new.csv")
    assert (code, out) == (2, "")
    assert message in err
    assert not evaluations(run)


def test_values_have_intervals_too(hpsearch, line_file):
    assert hpsearch("random", line_file, "-n", 2, "--epochs", 5, "-q", "-o", "l", "--finalists", 0)[0] == 0
    code, out, err = hpsearch("evaluate", "l")
    assert code == 0, err
    assert "nine errors in ten lie between" in out
    found = json.loads(hpsearch("evaluate", "l", "-f", "json")[1])
    assert len(found["residual_quantiles"]) == 5
    assert found["intervals"]["rmse"][0] < found["scores"]["rmse"] < found["intervals"]["rmse"][1]


def test_a_metric_that_the_test_part_does_not_allow_is_left_out(hpsearch, run, monkeypatch):
    """As the AUC where one class is missing there."""
    from hpsearch.report import judging

    whole = judging.intervals
    monkeypatch.setattr(judging, "intervals", lambda *a: {k: v for k, v in whole(*a).items() if k != "log_loss"})
    code, out, err = hpsearch("evaluate", run)
    assert code == 0, err
    assert "accuracy" in out
    code, out, err = hpsearch("report", run, "--quick")
    assert code == 0, err
    assert "log_loss cannot be computed on the test part" in out
