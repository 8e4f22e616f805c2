"""`--from`: a search that knows an earlier run's results from the start, and one that runs the rows of a table."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import yaml

from hpsearch.run_directory.record import RunRecord

SMALL = ("wine", "-n", 6, "--epochs", 5, "--finalists", 0, "-q")
VIEWS = ("trials.csv", "curves.csv", "best.yaml")


def rows(folder):
    """The rows of trials.csv, by trial."""
    text = Path(folder, "trials.csv").read_text(encoding="utf-8")
    return {int(row["trial"]): row for row in csv.DictReader(io.StringIO(text))}


def configs(folder):
    return {number: result.config for number, result in sorted(RunRecord.load(Path(folder)).results.items())}


def study(folder):
    return yaml.safe_load(Path(folder, "study.yaml").read_text(encoding="utf-8"))


def earlier_events(folder):
    lines = Path(folder, "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "earlier"]


def same_views(one, other):
    for name in VIEWS:
        assert Path(one, name).read_bytes() == Path(other, name).read_bytes(), name


def error(answer):
    code, out, err = answer
    assert (code, out) == (2, ""), err
    lines = [line for line in err.splitlines() if line.startswith("hpsearch: error: ")]
    assert len(lines) == 1, err
    return lines[0].removeprefix("hpsearch: error: ")


@pytest.fixture
def old(hpsearch, run_folder):
    """The results of a run of five small trials in the working directory, which a test may destroy."""
    shutil.copytree(run_folder, "old")
    return list(RunRecord.load(Path("old")).counted().values())


@pytest.fixture
def best_config(old):
    return min(old, key=lambda result: result.metrics["dev_log_loss"]).config


class TestEarlierResults:
    @pytest.mark.parametrize("strategy", ["random", "evolve"])
    def test_the_best_configuration_of_the_earlier_run_comes_first(self, hpsearch, old, best_config, strategy):
        code, _, err = hpsearch(strategy, *SMALL[:-1], "--from", "old", "-o", "new")
        assert code == 0, err
        assert "5 of 5 trials of old lie in this space and are known beforehand" in err
        assert configs("new")[0] == best_config
        assert str(Path.cwd()) not in Path("new/best.yaml").read_text(encoding="utf-8")
        assert study("new")["from"] == str(Path("old").resolve())

    def test_what_it_begins_with_is_not_deleted(self, hpsearch, old):
        before = Path("old/journal.jsonl").read_bytes()
        for source in ("old", "@old/trials.csv"):
            code, _, err = hpsearch("random", *SMALL, "--from", source, "--overwrite", "-o", "old")
            assert code == 2
            assert "--overwrite would delete old" in err
        assert Path("old/journal.jsonl").read_bytes() == before

    def test_pruned_trials_do_not_hinder_another_metric(self, hpsearch):
        search = ("random", "wine", "-n", 30, "--epochs", 12, "-q", "--finalists", 0)
        assert hpsearch(*search, "-o", "old")[0] == 0
        assert "PRUNED" in Path("old/trials.csv").read_text(encoding="utf-8")
        code, _, err = hpsearch("random", *SMALL, "--metric", "accuracy", "--from", "old", "-o", "new")
        assert code == 0, err
        scores = [event["score"] for event in earlier_events("new")]
        assert len(scores) == 30
        assert None in scores
        assert min(score for score in scores if score is not None) < -0.9

    def test_proposals_go_on_where_the_earlier_run_ended(self, hpsearch, old):
        assert hpsearch("random", *SMALL, "--from", "old", "-o", "new")[0] == 0
        known = [result.config for result in old]
        assert not any(config in known for number, config in configs("new").items() if number)

    def test_what_was_known_stands_behind_the_study_in_the_journal(self, hpsearch, old):
        assert hpsearch("random", *SMALL, "--from", "old", "-o", "new")[0] == 0
        lines = Path("new/journal.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["event"] for line in lines[:7]] == ["study", *["earlier"] * 5, "start"]
        for event, result in zip(earlier_events("new"), old, strict=True):
            assert (event["run"], event["trial"], event["config"]) == ("old", result.number, result.config)
            assert event["score"] == result.metrics["dev_log_loss"]
            assert event["cost"] == result.gflop > 0

    @pytest.mark.parametrize("strategy", ["random", "grid", "evolve"])
    def test_the_bytes_do_not_depend_on_how_it_was_run(self, hpsearch, old, strategy):
        search = (strategy, "wine", "-n", 14, "--epochs", 3, "-q", "--from", "old")
        for folder, how in {"panda": ("--mode", "panda"), "one": ("-j", 1), "two": ("-j", 2)}.items():
            assert hpsearch(*search, *how, "-o", folder)[0] == 0
            same_views(folder, "panda")

    @pytest.mark.parametrize("again", [(), ("--from", "old")])
    @pytest.mark.parametrize("strategy", ["random", "grid", "evolve"])
    def test_a_run_that_goes_on_needs_the_earlier_one_no_more(self, hpsearch, old, strategy, again):
        thrift = ("--set", "strategy.thrift=0.6") if strategy == "evolve" else ()  # costs decide too
        plan = ("--set", "strategy.planned=14", "--lag", 2, *thrift)
        assert hpsearch(strategy, "wine", "-n", 14, *SMALL[3:], *plan, "--from", "old", "-o", "once")[0] == 0
        assert hpsearch(strategy, *SMALL, *plan, "--from", "old", "-o", "twice")[0] == 0
        shutil.rmtree("old")
        assert hpsearch(strategy, "wine", "-n", 14, *SMALL[3:], *again, "-o", "twice")[0] == 0
        same_views("once", "twice")

    def test_another_earlier_run_makes_another_study(self, hpsearch, old):
        assert hpsearch("random", *SMALL, "--from", "old", "-o", "new")[0] == 0
        shutil.copytree("old", "other")
        before = Path("new/journal.jsonl").read_bytes()
        message = error(hpsearch("random", *SMALL, "--from", "other", "-o", "new"))
        assert "holds another study: from is " in message
        assert "/old there" in message
        assert "/other here" in message
        assert Path("new/journal.jsonl").read_bytes() == before

    def test_results_outside_the_new_ranges_are_left_out(self, hpsearch, old):
        rates = sorted(result.config["learning_rate"] for result in old)
        code, _, err = hpsearch("random", *SMALL[:-1], "--from", "old", "-o", "new", "-p", f"lr={rates[2]}:0.5:log")
        assert code == 0, err
        assert "3 of 5 trials of old" in err
        assert sorted(event["config"]["learning_rate"] for event in earlier_events("new")) == rates[2:]

    def test_none_inside_is_refused_with_the_reason(self, hpsearch, old):
        message = error(hpsearch("random", *SMALL, "--from", "old", "-p", "lr=0.5:0.9"))
        assert "none of its 5 trials lies in this space; trial 0: learning_rate has 0.001, here 0.5 to 0.9" in message
        assert not Path("runs").exists()

    def test_what_an_earlier_run_did_not_say_was_at_its_default(self, hpsearch, old):
        search = ("random", *SMALL[:-1], "--from", "old", "-o", "new")
        code, _, err = hpsearch(*search, "-p", "dropout=0:0.5", "-p", "schedule=constant,cosine")
        assert code == 0, err
        assert "5 of 5 trials" in err
        assert "warning" not in err
        assert {event["config"]["dropout"] for event in earlier_events("new")} == {0.0}
        assert "has none, here" in error(hpsearch(*search[:-1], "x", "-p", "augment=noise,mixup"))

    def test_other_constants_and_data_are_named(self, hpsearch, old):
        search = ("random", "wine", "-n", 3, "--finalists", 0, "--from", "old")
        _, _, err = hpsearch(*search, "--epochs", 3, "-p", "l2=0.5", "-o", "a")
        (warning,) = [line for line in err.splitlines() if line.startswith("warning: ")]
        assert warning.startswith("warning: old had l2 1e-05, ")
        assert ", ... (here 0.5), epochs 5 (here 3); its scores are taken as they are" in warning
        assert {event["config"]["epochs"] for event in earlier_events("a")} == {3}
        table = Path("other.csv")
        table.write_text("a,b,c\n" + "\n".join(f"{i},{i * i % 7},{i % 3}" for i in range(90)), encoding="utf-8")
        _, _, err = hpsearch("random", table, *search[2:], "--epochs", 5, "-o", "b")
        assert "warning: old had other data; its scores are taken as they are" in err

    def test_another_metric_is_taken_from_the_results_where_all_have_it(self, hpsearch, old):
        assert hpsearch("random", *SMALL, "--from", "old", "-o", "new", "--metric", "accuracy")[0] == 0
        scores = [event["score"] for event in earlier_events("new")]
        assert scores == [-result.metrics["dev_accuracy"] for result in old]
        message = error(hpsearch("random", *SMALL, "--from", "old", "--metric", "auc"))
        assert message == "--from old: its trials have log_loss but not all have auc"

    def test_another_task_is_refused(self, hpsearch, old):
        message = error(hpsearch("random", *SMALL, "--from", "old", "--set", "data.task=regression"))
        assert message == "--from old: a search for classification tells nothing of regression"

    def test_failures_are_known_too_and_what_was_known_is_not_passed_on(self, hpsearch):
        mixed = ("-p", "optimizer=sgd", "-p", "activation=identity", "-p", "normalize=none", "-p", "l2=0")
        failing = ("grid", *SMALL, *mixed, "-p", "lr=1e-7,1000", "-o", "first")
        assert hpsearch(*failing)[0] == 0
        assert {row["state"] for row in rows("first").values()} == {"COMPLETE", "FAIL"}
        assert hpsearch("random", "wine", "-n", 1, *SMALL[3:], *mixed, "-p", "lr=1e-7,1000", "--from", "first",
                        "-o", "second")[0] == 0  # fmt: skip
        assert sorted(event["score"] is None for event in earlier_events("second")) == [False, True]
        assert configs("second")[0]["learning_rate"] == 1e-7
        assert hpsearch("random", *SMALL, *mixed, "-p", "lr=1e-7,1000", "--from", "second", "-o", "third")[0] == 0
        assert [event["run"] for event in earlier_events("third")] == ["second"]

    def test_a_crash_while_it_is_noted_loses_nothing(self, hpsearch, old):
        search = ("random", *SMALL, "--from", "old", "-o", "new")
        assert hpsearch(*search)[0] == 0
        shutil.copytree("new", "whole")
        content = Path("new/journal.jsonl").read_bytes()
        ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")][:6]
        for cut in (ends[0] - 50, ends[0], ends[1], ends[3] + 99, ends[5] - 1):
            shutil.rmtree("new")
            Path("new").mkdir()
            Path("new/journal.jsonl").write_bytes(content[:cut])
            if cut >= ends[0]:
                assert "had no time to begin" in error(hpsearch("show", "new"))
            assert hpsearch(*search)[0] == 0
            same_views("new", "whole")
            assert len(earlier_events("new")) == 5
            study_lines = Path("new/journal.jsonl").read_bytes().count(b'"event":"study"')
            assert study_lines == 1
        Path("new/journal.jsonl").write_bytes(content[: ends[5]])
        shutil.rmtree("old")
        assert hpsearch(*search)[0] == 0
        same_views("new", "whole")

    def test_the_study_of_such_a_run_runs_again(self, hpsearch, old):
        assert hpsearch("evolve", *SMALL, "--from", "old", "-o", "new")[0] == 0
        Path("copy.yaml").write_bytes(Path("new/study.yaml").read_bytes())
        assert hpsearch("evolve", "copy.yaml", "-q", "-o", "again")[0] == 0
        same_views("again", "new")
        shutil.rmtree("old")
        assert f"{Path('old')}: not a run directory" in error(hpsearch("evolve", "copy.yaml", "-o", "x"))
        assert hpsearch("evolve", "new/study.yaml", "-q", "-o", "beside")[0] == 0  # its own journal has them
        same_views("beside", "new")

    def test_one_trial_of_such_a_run_alone(self, hpsearch, old):
        assert hpsearch("evolve", *SMALL, "--from", "old", "-o", "new")[0] == 0
        shutil.rmtree("old")
        assert hpsearch("evolve", "new/study.yaml", "--only", 4, "-q", "-o", "one")[0] == 0
        assert rows("one") == {4: rows("new")[4]}
        assert hpsearch("evolve", "new/study.yaml", "-q", "-o", "one")[0] == 0
        same_views("one", "new")

    def test_a_trial_is_repeated_as_it_was_or_not_at_all(self, hpsearch, old):
        for flags in (("--epochs", 9), ("-p", "units=8")):
            alone = ("--only", 3, *flags, "-o", "one")
            message = error(hpsearch("random", "old/study.yaml", *alone))
            assert message.startswith("--only: repeats trials of old as they were, but -p, --epochs or --set say")
            assert hpsearch("random", "wine", "-q", "--from", "@old/trials.csv", *alone)[0] == 0
            shutil.rmtree("one")

    def test_what_was_repeated_alone_is_compared_with_when_the_rest_follows(self, hpsearch):
        search = ("-n", 24, "--epochs", 6, "--finalists", 0, "--no-refit", "--no-ensemble", "-q")
        assert hpsearch("random", "wine", *search, "-o", "whole")[0] == 0
        kept = next(number for number, row in rows("whole").items() if number < 9 and row["state"] == "COMPLETE")
        assert hpsearch("random", "whole/study.yaml", "--only", kept, "-q", "-o", "one")[0] == 0
        assert hpsearch("random", "whole/study.yaml", "-q", "-o", "one")[0] == 0
        same_views("one", "whole")

    def test_a_study_names_it_beside_itself(self, hpsearch, old):
        Path("studies").mkdir()
        shutil.move("old", "studies/old")
        text = "data: {source: wine}\nbudget: {trials: 6, epochs: 5}\nfrom: old\nfinalists: {top: 0}\n"
        Path("studies/s.yaml").write_text(text, encoding="utf-8")
        assert hpsearch("random", "studies/s.yaml", "-q", "-o", "new")[0] == 0
        assert study("new")["from"] == str(Path("studies/old").resolve())

    def test_dry_run_print_config_and_environment(self, hpsearch, old, best_config, monkeypatch):
        monkeypatch.setenv("HPSEARCH_FROM", "old")
        _, out, err = hpsearch("random", *SMALL[:-1], "--dry-run", "-f", "json")
        assert "5 of 5 trials of old" in err
        first = json.loads(out)[0]
        assert {name: first[name] for name in best_config} == best_config
        assert yaml.safe_load(hpsearch("random", *SMALL, "--print-config")[1])["from"] == str(Path("old").resolve())
        assert not Path("runs").exists()

    @pytest.mark.parametrize(
        ("place", "words"),
        [
            ("nowhere", "nowhere: not a run directory (it has no journal.jsonl)"),
            ("old/trials.csv", "--from old/trials.csv: is a file, not a run directory; --from @old/trials.csv runs"),
            ("", "from: '': it must be a run directory, @ and a CSV file, or a list of trials"),
            ("@", "from: '@': it must be a run directory"),
        ],
    )
    def test_what_is_no_run_is_refused(self, hpsearch, old, place, words):
        assert words in error(hpsearch("random", *SMALL, "--from", place))
        assert not Path("runs").exists()


def table(text, name="my.csv"):
    Path(name).write_text(text, encoding="utf-8")
    return f"@{name}"


SPACE = (
    "-p", "optimizer=adam,momentum", "-p", "momentum=0.5:0.9", "-p", "dropout=0,0.2", "-p", "lr=1e-3:1e-2:log",
    "-p", "batch_norm=true,false", "-p", "hidden=[[16], [8, 8]]",
)  # fmt: skip


class TestTables:
    def test_a_table_in_the_folder_of_its_run_changes_nothing_when_it_goes_on(self, hpsearch):
        search = ("random", "wine", "-q", "--epochs", 3, "-o", "r", "--from")
        assert hpsearch(*search, table("lr,units\n0.01,16\n0.02,16\n"), "-n", 1)[0] == 0
        code, _, err = hpsearch(*search, "@r/trials.csv")
        assert code == 0, err
        assert [config["learning_rate"] for config in configs("r").values()] == [0.01, 0.02]

    def test_the_trials_of_a_run_give_the_same_once_more(self, hpsearch):
        search = ("random", *SMALL, *SPACE, "--seed", 3)
        assert hpsearch(*search, "-o", "first")[0] == 0
        study_only = ("random", "wine", "--seed", 3, "--epochs", 5, "-q")
        assert hpsearch(*study_only, "--from", "@first/trials.csv", "-o", "again")[0] == 0
        assert rows("again") == rows("first")
        assert {"", "adam"} < {row[name] for row in rows("first").values() for name in ("momentum", "optimizer")}
        assert hpsearch("random", "again/study.yaml", "-q", "-o", "third")[0] == 0
        same_views("third", "again")
        assert hpsearch("grid", "wine", "--seed", 3, "-q", "--from", "@again/trials.csv", "-o", "fourth")[0] == 0
        assert rows("fourth") == rows("first")

    def test_the_best_few_as_show_prints_them_in_their_order(self, hpsearch, old):
        Path("top.csv").write_text(hpsearch("show", "old", "-f", "csv")[1], encoding="utf-8")
        ranked = sorted(old, key=lambda result: result.metrics["dev_log_loss"])
        assert hpsearch("random", "wine", "-n", 3, "-q", "--from", "@top.csv", "-o", "new")[0] == 0
        assert set(rows("new")) == {result.number for result in ranked[:3]}
        assert all(rows("new")[number] == rows("old")[number] for number in rows("new"))
        code, _, err = hpsearch("random", "wine", "-n", 9, "--from", "@top.csv", "-o", "new")
        assert code == 0, err
        assert "going on after 3 of 5 trials" in err
        assert "there are no more trials than the 5 that are given" in err
        assert rows("new") == rows("old")

    def test_a_table_of_ones_own(self, hpsearch):
        given = table("trial,lr,bs,dropout,normalize\n7,0.01,16,,standard\n3,1e-3,full,0.5,none\n")
        code, out, err = hpsearch("random", "wine", "--epochs", 3, "--from", given, "-o", "new", "-f", "json")
        assert code == 0, err
        common = {"layers": 3, "units": 64, "ema": "auto", "epochs": 3}
        assert configs("new") == {
            7: {"learning_rate": 0.01, "batch_size": 16, "normalize": "standard"} | common,
            3: {"learning_rate": 0.001, "batch_size": "full", "normalize": "none", "dropout": 0.5} | common,
        }
        assert [int(number) for number in rows("new")] == [3, 7]
        assert json.loads(out)["trial"] in (3, 7)
        assert "mean" not in json.loads(out)
        assert study("new")["space"]["batch_size"] == [16, "full"]
        assert len(hpsearch("show", "new")[1].splitlines()) == 3
        assert hpsearch("predict", "new", "wine", "-o", "p.csv")[0] == 0
        assert hpsearch("evaluate", "new")[0] == 0

    def test_what_the_table_leaves_open_the_study_decides(self, hpsearch):
        Path("s.yaml").write_text(
            "data: {source: wine}\nbudget: {epochs: 2}\nspace:\n"
            "  units: [8, 16]\n  l2: 0.01\n  optimizer: [adam, momentum, sgd]\n"
            "  momentum: {low: 0.5, high: 0.8, when: {optimizer: momentum}}\n"
            "  dropout: {value: 0.25, when: {optimizer: [adam, sgd]}}\n",
            encoding="utf-8",
        )
        given = table("optimizer,lr,momentum\nadam,0.01,\nmomentum,0.02,\nmomentum,0.03,0.7\n,0.04,\n")
        assert hpsearch("random", "s.yaml", "-q", "--from", given, "-o", "new")[0] == 0
        found = configs("new")
        assert [found[i]["optimizer"] for i in range(4)] == ["adam", "momentum", "momentum", "adam"]
        assert [found[i].get("momentum") for i in range(4)] == [None, 0.8, 0.7, None]
        assert [found[i].get("dropout") for i in range(4)] == [0.25, None, None, 0.25]
        assert {config["l2"] for config in found.values()} == {0.01}
        assert {config["units"] for config in found.values()} == {8}
        assert hpsearch("random", "new/study.yaml", "-q", "-o", "again")[0] == 0
        same_views("again", "new")

    def test_epochs_are_a_result_beside_results_and_else_a_hyperparameter(self, hpsearch):
        search = ("random", "wine", "-q", "--from")
        assert hpsearch(*search, table("epochs,lr\n2,0.01\n3,0.01\n"), "-o", "a")[0] == 0
        assert [config["epochs"] for config in configs("a").values()] == [2, 3]
        assert study("a")["budget"]["epochs"] is None
        assert hpsearch(*search, table("state,epochs,lr\nCOMPLETE,2,0.01\n"), "--epochs", 4, "-o", "b")[0] == 0
        assert configs("b")[0]["epochs"] == 4
        assert hpsearch(*search, table("epochs,max_epochs,lr\n2,3,0.01\n"), "-o", "c")[0] == 0
        assert configs("c")[0]["epochs"] == 3

    def test_a_flag_goes_over_the_table(self, hpsearch, old):
        search = ("random", "wine", "-q", "--from", "@old/trials.csv", "-p", "units=8", "--epochs", 2, "-o", "new")
        assert hpsearch(*search)[0] == 0
        assert {(config["units"], config["epochs"]) for config in configs("new").values()} == {(8, 2)}
        shutil.rmtree("old")
        assert hpsearch(*search)[0] == 0
        message = error(hpsearch(*search, "-p", "lr=0.1:0.2"))
        assert message == "-p learning_rate: the trials are given, so nothing is searched; it takes one value"

    @pytest.mark.parametrize("again", [(), ("--from", "@old/trials.csv")])
    def test_a_run_that_goes_on_needs_the_table_no_more(self, hpsearch, old, again):
        assert hpsearch("random", "wine", "-n", 2, "-q", "--from", "@old/trials.csv", "-o", "new")[0] == 0
        shutil.move("old", "moved")
        assert hpsearch("random", "wine", "-n", 5, "-q", *again, "-o", "new")[0] == 0
        assert rows("new") == rows("moved")

    def test_another_table_makes_another_study(self, hpsearch):
        search = ("random", "wine", "--epochs", 2, "-q", "-o", "new", "--from")
        assert hpsearch(*search, table("lr,units\n0.1,8\n0.2,16\n"))[0] == 0
        message = error(hpsearch(*search, table("lr,units\n0.1,16\n0.2,8\n")))
        assert (
            "holds another study: from.0.units is 8 there and 16 here; from.1.units is 16 there and 8 here" in message
        )
        assert "from is None here" not in message

    def test_trials_written_in_a_study(self, hpsearch):
        text = "data: {source: wine}\nbudget: {epochs: 2}\nfrom: [{lr: 1e-2, units: 8}, {lr: 1e-3, trial: 5}]\n"
        Path("s.yaml").write_text(text, encoding="utf-8")
        assert hpsearch("random", "s.yaml", "-q", "-o", "new")[0] == 0
        assert {n: (c["learning_rate"], c["units"]) for n, c in configs("new").items()} == {
            0: (0.01, 8),
            5: (0.001, 64),
        }
        Path("s.yaml").write_text(text.replace("units", "unit"), encoding="utf-8")
        assert "s.yaml: from.0: 'unit' is not a hyperparameter; did you mean 'units'?" in error(
            hpsearch("random", "s.yaml")
        )

    def test_some_rows_only(self, hpsearch, old):
        search = ("random", "wine", "-q", "--from", "@old/trials.csv", "-o", "new", "--only")
        assert hpsearch(*search, "3,1")[0] == 0
        assert rows("new") == {number: rows("old")[number] for number in (1, 3)}
        assert "there is no trial 5 among the 5" in error(hpsearch(*search, "5"))
        assert hpsearch("random", "new/study.yaml", "-q", "--only", 4, "-o", "one")[0] == 0
        assert rows("one") == {4: rows("old")[4]}

    def test_finals_are_held_when_they_are_asked_for(self, hpsearch, old):
        search = ("random", "wine", "-q", "--from", "@old/trials.csv", "-o", "new")
        assert hpsearch(*search)[0] == 0
        assert "mean" not in Path("new/best.yaml").read_text(encoding="utf-8")
        assert hpsearch(*search, "--finalists", 2)[0] == 0
        assert "mean" in Path("new/best.yaml").read_text(encoding="utf-8")

    def test_a_dry_run_shows_the_rows(self, hpsearch, old):
        _, out, _ = hpsearch("random", "wine", "--from", "@old/trials.csv", "--dry-run", "-f", "json")
        assert [row["trial"] for row in json.loads(out)] == [0, 1, 2, 3, 4]
        assert [row["units"] for row in json.loads(out)] == [result.config["units"] for result in old]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("lrr,units\n0.01,32\n", "my.csv: column 'lrr' is neither a hyperparameter nor one of trials.csv; did you"),
            (
                "lr,units\n0.01,32\n-1,32\n",
                "my.csv line 3: learning_rate: -1.0 is outside its bounds; allowed: a number",
            ),
            ("lr;units\n0.01;3,2\n", "my.csv line 2: units: '3,2' is not a whole number from 1 to 16384"),
            ("activation\nrelo\n", "my.csv line 2: activation: 'relo' is not one of its values; did you mean 'relu'?"),
            ("trial,lr\n0,1\n0,2\n", "my.csv line 3: trial: 0 stands twice"),
            ("trial,lr\n-1,1\n", "my.csv line 2: trial: '-1' is not a whole number from 0 to 999,999,999"),
            ("trial,lr\n1.5,1\n", "my.csv line 2: trial: '1.5' is not a whole number"),
            ("lr,learning_rate\n1,1\n", "my.csv line 2: learning_rate: learning_rate stands twice"),
            ("lr\n", "my.csv: there is a header line but no trial"),
            ("trial,state\n1,FAIL\n", "my.csv: no column is a hyperparameter"),
            ("lr,units\n1,2,3\n", "my.csv: line 2 has 3 cells, the header has 2"),
            ("", "my.csv: the file is empty"),
            ('hidden,layers\n"[3, 4]",2\n', "from.hidden: it takes the place of layers and units; leave these out"),
            ('dropout,layers\n0.1,3\n"[0.1, 0.2]",3\n', "from: trial 1: dropout: [0.1, 0.2]: number of values 2"),
            ("loss,lr\nhuber,1\n", "from: trial 0: loss: 'huber' does not fit classification"),
        ],
    )
    def test_bad_tables(self, hpsearch, text, words):
        assert words in error(hpsearch("random", "wine", "--from", table(text)))
        assert not Path("runs").exists()

    @pytest.mark.parametrize("place", ["@nowhere.csv", "@."])
    def test_no_table(self, hpsearch, place):
        assert f"--from {place}: " in error(hpsearch("random", "wine", "--from", place))
