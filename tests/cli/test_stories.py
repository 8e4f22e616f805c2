"""What a newcomer does: a table, a study, results in every format, the model in use."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

SMALL = ("-n", 4, "--epochs", 4)


def test_a_table_of_ones_own_needs_no_configuration(hpsearch, churn_csv):
    code, out, err = hpsearch("random", churn_csv, "-y", "churned", *SMALL)
    assert code == 0, err
    assert out.startswith("Best of 4 trials")
    for words in (
        "target 'churned'",
        "2 classes",
        "rows: ",
        "warning: left out, the same in every row: 'shop'",
        "warning: left out, only numbers or names the rows: 'customer_id'",
        "warning: left out, says the same as the target (a leak): 'left_us'",
        "20 rows repeat an earlier row exactly",
    ):
        assert words in err
    assert {path.name for path in Path("runs/my-random").iterdir()} == {
        ".lock", "study.yaml", "journal.jsonl", "trials.csv", "curves.csv", "timings.csv", "best.yaml", "model",
        "weights",
    }  # fmt: skip

    code, out, err = hpsearch("predict", "runs/my-random", churn_csv, "-o", "p.csv")
    assert (code, out) == (0, "")
    predictions = pl.read_csv("p.csv")
    assert predictions.columns == ["prediction", "p_no", "p_yes", "trust"]
    assert predictions.height == 420
    assert set(predictions["prediction"]) <= {"yes", "no"}
    assert (predictions["p_no"] + predictions["p_yes"] - 1).abs().max() < 1e-6

    code, out, err = hpsearch("evaluate", "runs/my-random", "-f", "json")
    assert code == 0, err
    first = json.loads(out)
    assert first["opened"] == 1
    assert 0.5 < first["scores"]["accuracy"] <= 1
    assert json.loads(hpsearch("evaluate", "runs/my-random", "-f", "json")[1])["opened"] == 2


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("evolve", "-n", 30, "-j", 3, "--lag", 2), True),
        (("evolve", "-n", 30, "-j", 2, "--lag", 2), False),
        (("evolve", "-n", 3, "-j", 4, "--lag", 2), False),  # all of them belong to the design
        (("random", "-n", 30, "-j", 3, "--lag", 2, "--plain"), False),
    ],
)
def test_processes_that_the_lag_makes_wait_are_named(hpsearch, words, warned):
    name, *flags = words
    _, _, err = hpsearch(name, "wine", *flags, "--epochs", 1, "--finalists", 0, "--no-refit", "--no-ensemble")
    said = "warning: only 2 of 3 processes train at a time, by the lag; --lag 3 in a new run"
    assert (said in err) == warned
    assert err.count("by the lag") == warned


def test_a_space_of_one_point_is_exhausted_by_one_trial(hpsearch):
    study = "data: {source: wine}\nspace: {epochs: 1, units: 4, layers: 1}\n"
    Path("one.yaml").write_text(study, encoding="utf-8")
    code, out, err = hpsearch("random", "one.yaml", "-n", 14, "--finalists", 0, "--no-refit")
    assert code == 0
    assert out.startswith("Best of 1 trial")
    assert "space exhausted, 1 of 1" in err
    assert "exhausted" not in hpsearch("random", "one.yaml", "--overwrite", "--finalists", 0, "--no-refit")[2]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("grid", "-p", "layers=1:8", "-p", "units=2,3"), ""),  # the mesh has 6 of 16 points
        (("grid", "-p", "layers=1:2", "-p", "units=2,3"), "space exhausted, 4 of 4"),
        (("random", "-p", "layers=1:60", "--only", "1,2"), ""),
        (("random", "-p", "layers=1:2", "-n", 3), "space exhausted, 2 of 2"),
        (("random", "-p", "layers=1:2", "-n", 2), ""),
    ],
)
def test_a_space_is_called_exhausted_where_all_of_it_was_tried(hpsearch, command, said):
    name, *flags = command
    Path("few.yaml").write_text("data: {source: wine}\nspace: {epochs: 1}\n", encoding="utf-8")
    code, _, err = hpsearch(name, "few.yaml", *flags, "--finalists", 0, "--no-refit", "--no-ensemble")
    assert code == 0, err
    assert said in err
    assert ("exhausted" in err) == bool(said)


def test_the_command_says_which_strategy_it_is(hpsearch):
    out = hpsearch("random", "wine", "--set", "strategy.name=evolve", "--print-config")[1]
    assert "name: random" in out


def test_no_number_of_trials_stands_for_endless_ones(hpsearch):
    code, _, err = hpsearch("random", "wine", "-n", 10**9)
    assert code == 2
    assert "budget.trials: '1000000000': it must be less than 1000000000" in err


def test_a_grid_says_where_its_winner_stands_at_an_end(hpsearch):
    """Also where its first point has the winner's value: no default configuration was there before."""
    space = ("-p", "lr=1e-4:1e-2:log", "-p", "layers=1", "-p", "units=8", "-p", "l2=0", "-p", "batch_size=32")
    fixed = ("-p", "activation=relu", "-p", "normalize=standard", "--epochs", 4, "--finalists", 0, "--no-refit")
    code, out, err = hpsearch("grid", "wine", *space, *fixed, "--set", "strategy.rounds=0", "-f", "json")
    assert code == 0
    assert json.loads(out)["hyperparameters"]["learning_rate"] == 0.01
    assert "the winner's learning_rate 0.01 is at an end of its range; wider: -p learning_rate=0.0001:0.1:log" in err


def test_a_regression(hpsearch):
    rows = "\n".join(f"{i / 10},{(i * 7) % 13},{3 * i / 10 + 100}" for i in range(200))
    Path("line.csv").write_text(f"a,b,price\n{rows}\n", encoding="utf-8")
    code, out, err = hpsearch("random", "line.csv", "-n", 5, "--epochs", 40, "-f", "json")
    assert code == 0, err
    found = json.loads(out)
    assert found["metric"] == "rmse"
    assert found["score"] < 5  # the target's standard deviation is 17
    assert found["scores"]["dev"]["r2"] > 0.9


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "data: {source: wine}\nseed: 3\nbudget: {trials: 6, epochs: 3}\n"
        "space: {lr: {low: 1e-4, high: 1e-1, log: true}, units: [8, 16], l2: 1e-4}\n",
        encoding="utf-8",
    )
    return path


def test_a_study_and_what_goes_over_it(hpsearch, study):
    code, out, err = hpsearch("random", study, "--set", "seed=5", "-p", "units=32", "--print-config")
    assert code == 0, err
    resolved = yaml.safe_load(out)
    assert resolved["seed"] == 5
    assert resolved["space"]["units"] == 32
    assert resolved["space"]["learning_rate"] == {"low": 1e-4, "high": 0.1, "log": True}
    assert resolved["data"]["target"] == "cultivar"
    assert not Path("runs").exists()


def test_the_printed_study_runs_as_the_study_it_came_from(hpsearch, study):
    Path("again.yaml").write_text(hpsearch("random", study, "--print-config")[1], encoding="utf-8")
    assert hpsearch("random", study, "-o", "a", "-q")[0] == 0
    assert hpsearch("random", "again.yaml", "-o", "b", "-q")[0] == 0
    for name in ("trials.csv", "curves.csv", "best.yaml"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    # and so does the run directory's own study
    assert hpsearch("random", "a/study.yaml", "-o", "c", "-q")[0] == 0
    assert Path("a/trials.csv").read_bytes() == Path("c/trials.csv").read_bytes()


def test_init_writes_a_study_that_runs(hpsearch, churn_csv):
    code, out, err = hpsearch("init", churn_csv, "-y", "churned")
    assert code == 0, err
    Path("study.yaml").write_text(out, encoding="utf-8")
    assert hpsearch("random", "study.yaml", *SMALL, "-q")[0] == 0


def test_dry_run_shows_trials_and_cost_and_runs_nothing(hpsearch, study):
    code, out, err = hpsearch("random", study, "--dry-run", "-f", "json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["trial"] for row in rows] == list(range(6))
    by_units = {row["units"]: row for row in rows}
    assert by_units[8]["parameters"] == 13 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 3 + 3
    assert all(row["seconds"] > 0 for row in rows)
    assert "6 trials" in err
    assert not Path("runs").exists()


def test_a_dry_run_s_trials_are_those_that_run(hpsearch, study):
    planned = json.loads(hpsearch("random", study, "--dry-run", "-f", "json")[1])
    hpsearch("random", study, "-o", "r", "-q")
    done = sorted(json.loads(hpsearch("show", "r", "-f", "json")[1]), key=lambda row: row["trial"])
    for plan, row in zip(planned, done, strict=True):
        assert (plan["learning_rate"], plan["units"]) == (row["learning_rate"], row["units"])
        assert plan["parameters"] == row["parameters"]
        assert plan["gflop"] == pytest.approx(row["gflop"])  # no trial of 3 epochs stops early


def test_only_repeats_a_trial_to_the_last_digit(hpsearch, study):
    hpsearch("random", study, "-o", "whole", "-q")
    assert hpsearch("random", study, "-o", "one", "-q", "--only", "4")[0] == 0
    whole = Path("whole/trials.csv").read_text(encoding="utf-8").splitlines()
    assert Path("one/trials.csv").read_text(encoding="utf-8").splitlines() == [whole[0], whole[5]]
    repeat = yaml.safe_load(Path("whole/best.yaml").read_text(encoding="utf-8"))["repeat"]
    assert repeat.startswith("hpsearch random study.yaml --only ")


def test_grid_runs_the_whole_mesh(hpsearch):
    code, _, err = hpsearch("grid", "wine", "-p", "lr=1e-3,1e-2", "-p", "layers=1:2", "--epochs", 2, "-o", "g")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(Path("g/trials.csv").read_text(encoding="utf-8"))))
    assert {(row["learning_rate"], row["layers"]) for row in rows} == {
        ("0.001", "1"), ("0.001", "2"), ("0.01", "1"), ("0.01", "2"),
    }  # fmt: skip
    assert len(rows) == 4


def test_every_format_of_show(hpsearch, run_folder):
    rows = json.loads(hpsearch("show", run_folder, "-f", "json")[1])
    scores = [row["dev_log_loss"] for row in rows]
    assert scores == sorted(scores)
    assert len(rows) == 5
    assert [json.loads(line) for line in hpsearch("show", run_folder, "-f", "jsonl")[1].splitlines()] == rows
    assert yaml.safe_load(hpsearch("show", run_folder, "-f", "yaml")[1]) == rows
    table = list(csv.DictReader(io.StringIO(hpsearch("show", run_folder, "-f", "csv")[1])))
    assert [float(row["dev_log_loss"]) for row in table] == scores
    assert [float(line) for line in hpsearch("show", run_folder, "-f", "value")[1].split()] == scores
    shown = hpsearch("show", run_folder, "--top", 2)[1].splitlines()
    assert len(shown) == 3
    assert shown[0].split()[:3] == ["trial", "dev_log_loss", "train_log_loss"]


def test_every_format_of_best(hpsearch, run_folder):
    found = json.loads(hpsearch("best", run_folder, "-f", "json")[1])
    assert found == yaml.safe_load((run_folder / "best.yaml").read_text(encoding="utf-8"))
    assert json.loads(hpsearch("best", run_folder, "-f", "jsonl")[1]) == found
    assert yaml.safe_load(hpsearch("best", run_folder, "-f", "yaml")[1]) == found
    (row,) = csv.DictReader(io.StringIO(hpsearch("best", run_folder, "-f", "csv")[1]))
    assert float(row["score"]) == found["score"]
    assert float(hpsearch("best", run_folder, "-f", "value")[1]) == found["score"]
    assert f"trial {found['trial']}" in hpsearch("best", run_folder)[1]


def test_data_says_what_it_takes_columns_for(hpsearch, churn_csv):
    code, out, _ = hpsearch("data", churn_csv, "-y", "churned", "-f", "json")
    assert code == 0
    kinds = {row["column"]: row["kind"] for row in json.loads(out)}
    assert kinds["age"] == "numeric"
    assert kinds["plan"] == "category"
    assert kinds["active"] == "boolean"
    assert kinds["signup"] == "date"
    assert kinds["customer_id"] == kinds["shop"] == kinds["left_us"] == "dropped"
    assert kinds["churned"] == "target"


def test_data_of_a_study_and_of_the_environment(hpsearch, churn_csv, monkeypatch):
    Path("s.yaml").write_text(f"data: {{source: {churn_csv}, target: churned, drop: [age]}}\n", encoding="utf-8")
    for words in (("s.yaml",), (churn_csv,)):
        code, out, err = hpsearch("data", *words, "-f", "json")
        assert code == 0, err
        kinds = {row["column"]: row["kind"] for row in json.loads(out)}
        assert kinds["churned"] == "target"
        assert kinds["age"] == ("dropped" if words == ("s.yaml",) else "numeric")
        assert "classes in train: " in err
        assert "warning: " in err
        monkeypatch.setenv("HPSEARCH_TARGET", "churned")
    assert hpsearch("data", "s.yaml")[0] == 0


def test_a_goal_of_the_study_is_required_too(hpsearch):
    Path("s.yaml").write_text("data: {source: wine}\ngoal: 1e-9\nbudget: {trials: 1, epochs: 2}\n", encoding="utf-8")
    code, _, err = hpsearch("random", "s.yaml", "--require-goal", "-q")
    assert code == 4, err


@pytest.mark.parametrize("words", [("show",), ("random", "wine", "-n", 1, "-o")])
def test_a_name_that_no_file_system_takes_is_an_error_of_the_disk(hpsearch, words):
    code, _, err = hpsearch(*words, "x" * 300)
    assert code == 6
    assert "File name too long" in err
    assert "internal" not in err


def test_data_that_change_before_the_finals_are_not_taken_for_the_same(tmp_path, monkeypatch, churn_csv):
    from hpsearch.cli.planning import make_plan
    from hpsearch.errors import DataError

    monkeypatch.chdir(tmp_path)
    text = Path(churn_csv).read_text(encoding="utf-8")
    Path("my.csv").write_text(text, encoding="utf-8")
    plan = make_plan("my.csv", {"data.target": "churned"}, [], None, overwrite=False, quiet=True, verbose=False)
    assert plan.data_of(1).rows == plan.data.rows
    Path("my.csv").write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"my\.csv: not the file that the search used"):
        plan.data_of(1)


def test_a_fresh_split_that_nothing_can_be_learned_from_is_none(tmp_path, monkeypatch):
    from hpsearch.cli.planning import make_plan
    from hpsearch.data.dataset import load_dataset
    from hpsearch.errors import DataError

    monkeypatch.chdir(tmp_path)
    lines = [f"g{i // 5},{i * i % 61},{i / 8 if i // 5 == 0 else 0.0}" for i in range(60)]
    Path("rare.csv").write_text("g,b,y\n" + "\n".join(lines) + "\n", encoding="utf-8")
    said = {"data.task": "regression", "data.group": "g"}
    plan = make_plan("rare.csv", said, [], None, overwrite=False, quiet=True, verbose=False)
    fresh = []
    for repeat in range(1, 30):
        data = plan.data_of(repeat)
        fresh.append(data is not plan.data)
        if not fresh[-1]:
            with pytest.raises(DataError, match="there is nothing to learn"):
                load_dataset("rare.csv", task="regression", group="g", repeat=repeat)
    assert set(fresh) == {True, False}


def test_check_knows_the_machine(hpsearch):
    code, out, _ = hpsearch("check", "-f", "json")
    found = json.loads(out)
    assert code == 0
    assert found["processors"] >= 1
    assert found["versions"]["numba"]


def test_best_can_be_piped_while_the_search_runs(shell, tmp_path):
    search = shell("random", "digits", "-n", 500, "-o", "r", "-q")
    try:
        journal = tmp_path / "r" / "journal.jsonl"
        while search.poll() is None and not (journal.is_file() and b'"event":"trial"' in journal.read_bytes()):
            pass
        assert search.poll() is None, search.stderr.read()
        pipe = f"{sys.executable} -m hpsearch best r -f json | {sys.executable} -m json.tool"
        done = subprocess.run(pipe, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["metric"] == "log_loss"
        states = {row["state"] for row in json.loads(shell("show", "r", "-f", "json").communicate()[0])}
        assert states == {"COMPLETE", "RUNNING"}
    finally:
        search.terminate()
        search.communicate()


def test_predictions_go_through_pipes_and_links(hpsearch, run_folder):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert hpsearch("predict", run_folder, "wine", "-o", "pipe")[0] == 0
    assert Path("pipe").is_fifo()
    assert os.read(reader, 10) == b"prediction"
    os.close(reader)
    Path("real").write_text("old", encoding="utf-8")
    Path("link").symlink_to("real")
    assert hpsearch("predict", run_folder, "wine", "-o", "link")[0] == 0
    assert Path("link").is_symlink()
    assert Path("real").read_text(encoding="utf-8").startswith("prediction,p_0,p_1,p_2,trust\n")


def test_a_plain_random_search_draws_independently(hpsearch):
    search = ("random", "wine", "-n", 6, "--epochs", 2, "-q", "--finalists", 0)
    assert hpsearch(*search, "--plain", "-o", "flag")[0] == 0
    assert hpsearch(*search, "--set", "strategy.plain=true", "-o", "key")[0] == 0
    assert hpsearch(*search, "-o", "sobol")[0] == 0
    assert Path("flag/trials.csv").read_bytes() == Path("key/trials.csv").read_bytes()
    assert Path("flag/trials.csv").read_bytes() != Path("sobol/trials.csv").read_bytes()
    code, _, err = hpsearch("evolve", "wine", "--plain")
    assert code == 2
    assert "--plain" in err


@pytest.mark.parametrize("strategy", ["random", "grid", "evolve"])
def test_a_search_that_began_without_a_number_of_trials_goes_on_to_one(hpsearch, strategy):
    small = (
        strategy,
        "wine",
        "-q",
        "--finalists",
        0,
        "-p",
        "epochs=1",
        "-p",
        "units=8,16",
        "-p",
        "layers=1:4",
        "-o",
        "r",
    )
    assert hpsearch(*small)[0] == 0
    begun = Path("r/trials.csv").read_text(encoding="utf-8").splitlines()
    code, _, err = hpsearch(*small, "-n", len(begun) + 4, "-p", "lr=0.01")
    assert code == 2, "that is another study"
    code, _, err = hpsearch(*small, "-n", len(begun) + 4)
    assert code == 0, err
    assert Path("r/trials.csv").read_text(encoding="utf-8").splitlines()[: len(begun)] == begun


def test_names_that_are_not_of_the_locales_encoding(shell, tmp_path):
    """A run directory whose name is Latin-1 bytes: searched, gone on with, repeated, reported."""
    table, folder = "table.csv", os.fsdecode(b"caf\xe9")
    rows = "\n".join(f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(60))
    (tmp_path / table).write_text(f"u,v,w\n{rows}\n")
    for trials in (2, 3):
        process = shell(
            "random",
            table,
            "-n",
            trials,
            "--epochs",
            2,
            "-q",
            "-o",
            folder,
            "--finalists",
            0,
            "--debug",
            errors="replace",
        )
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    for words in (
        ["random", f"{folder}/study.yaml", "--only", 1, "-o", "again"],
        ["report", folder],
        ["evaluate", folder],
    ):
        process = shell(*words, errors="replace")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err


def test_evolution_is_thrifty_where_only_the_time_is_limited_and_stays_so(hpsearch):
    """A time limit beside a number of trials changes nothing of what is tried."""
    search = ("evolve", "wine", "--epochs", 2, "--finalists", 0, "--no-refit", "--no-ensemble", "--no-prune", "-q")

    def thrift(folder):
        return yaml.safe_load(Path(folder, "study.yaml").read_text(encoding="utf-8"))["strategy"]["thrift"]

    assert hpsearch(*search, "--timeout", "2s", "-o", "timed")[0] == 0
    assert thrift("timed") == 0.6
    more = max(pl.read_csv("timed/trials.csv").height, 60) + 5
    assert hpsearch(*search, "-n", more, "-o", "timed")[0] == 0
    assert thrift("timed") == 0.6
    assert hpsearch(*search, "-n", more, "--set", "strategy.thrift=0.6", "--lag", 8, "-o", "said")[0] == 0
    assert Path("said/trials.csv").read_bytes() == Path("timed/trials.csv").read_bytes()
    assert hpsearch(*search, "-n", more, "--timeout", "10m", "--lag", 8, "-o", "counted")[0] == 0
    assert thrift("counted") == 0
    timed, counted = (pl.read_csv(f"{folder}/trials.csv")["gflop"] for folder in ("timed", "counted"))
    assert timed[17:60].sum() < 0.7 * counted[17:60].sum(), "of the first offspring"
    assert timed[1:9].sum() < 0.7 * counted[1:9].sum(), "and of the points to begin with"


def test_a_grid_that_only_time_ends_goes_on_after_its_mesh(hpsearch):
    search = (
        "grid",
        "wine",
        "--epochs",
        1,
        "-p",
        "units=4:16:x2",
        "-p",
        "lr=1e-3:1e-1:log",
        "--finalists",
        0,
        "--no-refit",
    )
    assert hpsearch(*search, "--no-ensemble", "-q", "--timeout", "3s", "-o", "timed")[0] == 0
    trials = pl.read_csv("timed/trials.csv")
    assert trials.height > 9
    assert trials["learning_rate"][:9].n_unique() == 3
    assert trials["learning_rate"].n_unique() > 3
    assert set(trials["units"]) == {4, 8, 16}
    _, out, err = hpsearch("grid", "wine", "--timeout", "3s", "-o", "large", "--dry-run", "-f", "value")
    assert len(out.splitlines()) == 50, "its mesh has more than a thousand points, and there is an end"
    assert "mesh: " in err


def test_a_search_that_cannot_learn_ends_with_a_model(hpsearch):
    """Steps so small that all trials stay worse than a constant prediction: all but the first are stopped."""
    code, _, err = hpsearch("random", "wine", "-n", 6, "--epochs", 30, "-p", "lr=1e-8", "-o", "r", "-q")
    assert code == 0, err
    states = pl.read_csv("r/trials.csv")["state"].to_list()
    assert states == ["COMPLETE", *["PRUNED"] * 5]
    assert Path("r/model/weights.safetensors").exists()


def test_tests_of_learning_rates_leave_nobody_to_choose(hpsearch):
    code, _, err = hpsearch("random", "wine", "-n", 2, "--epochs", 6, "-p", "schedule=rising", "-o", "r", "-q")
    assert code == 3
    assert "schedule: rising is a test of learning rates" in err


def test_what_counts_as_better_is_in_the_unit_of_the_target(hpsearch):
    table = "\n".join(["x,y", *(f"{i % 17},{1000 + 12 * (i % 17)}" for i in range(200))])
    Path("t.csv").write_text(table, encoding="utf-8")
    small = ("random", "t.csv", "-n", 1, "--epochs", 20, "-p", "patience=4", "-p", "layers=0", "-q", "--finalists", 0)
    for delta, folder in ((0, "a"), (0.05, "b"), (500, "c")):
        assert hpsearch(*small, "-p", f"min_delta={delta}", "-p", "lr=0.05", "-o", folder)[0] == 0
    rows = {name: pl.read_csv(f"{name}/trials.csv").row(0, named=True) for name in "abc"}
    assert (rows["c"]["best_epoch"], rows["c"]["epochs"]) == (1, 5), (
        "a step of 500 is none of a target with an sd of 59"
    )
    assert rows["b"]["best_epoch"] > 5
    assert rows["b"]["epochs"] <= rows["a"]["epochs"]
