"""The last stage of a search, as its user sees it: in files, messages, and after interruptions."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

SEARCH = ("evolve", "wine", "-n", 12, "--epochs", 12, "-q")


def best(folder="r"):
    return yaml.safe_load(Path(folder, "best.yaml").read_text(encoding="utf-8"))


def events(folder, kind):
    lines = Path(folder, "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


@pytest.fixture
def finished(hpsearch):
    code, out, err = hpsearch(*SEARCH, "-o", "r", "--finalists", 3)
    assert code == 0, err
    return out


def test_the_winner_is_the_best_mean_of_the_finals(hpsearch, finished):
    found = best()
    finals = events("r", "final")
    assert len(finals) == 9
    assert {event["repeat"] for event in finals} == {1, 2, 3}
    means = {}
    for event in finals:
        means.setdefault(event["trial"], []).append(event["metrics"]["dev_log_loss"])
    winner = min(means, key=lambda trial: (np.mean(means[trial]), trial))
    assert found["trial"] == winner
    assert found["mean"] == pytest.approx(np.mean(means[winner]))
    assert found["sd"] == pytest.approx(np.std(means[winner], ddof=1))
    assert (found["repeats"], found["fresh_splits"]) == (3, True)
    assert {rival["trial"] for rival in found["runners_up"]} == set(means) - {winner}
    assert all(isinstance(rival["told_apart"], bool) for rival in found["runners_up"])
    assert yaml.safe_load(Path("r/model/model.yaml").read_text(encoding="utf-8"))["trial"] == winner
    assert "chosen by mean dev log_loss of 3 more trainings" in finished
    assert f"trial {winner}," in hpsearch("best", "r")[1]


def test_the_finalists_are_the_best_of_the_trials(hpsearch, finished):
    rows = json.loads(hpsearch("show", "r", "-f", "json")[1])
    complete = [row["trial"] for row in rows if row["state"] == "COMPLETE"]
    assert {event["trial"] for event in events("r", "final")} == set(complete[:3])


@pytest.mark.parametrize("how", [("--mode", "panda"), ("-j", 1), ("-j", 3)])
def test_the_bytes_do_not_depend_on_how_it_was_run(hpsearch, finished, how):
    assert hpsearch(*SEARCH, "-o", "other", "--finalists", 3, *how)[0] == 0
    for name in ("best.yaml", "trials.csv", "curves.csv"):
        assert Path("other", name).read_bytes() == Path("r", name).read_bytes()


def test_repeats_are_fresh_trainings_on_fresh_splits(finished):
    for trial in {event["trial"] for event in events("r", "final")}:
        scores = {event["metrics"]["dev_log_loss"] for event in events("r", "final") if event["trial"] == trial}
        assert len(scores) == 3


def test_the_same_command_again_trains_nothing(hpsearch, finished):
    before = Path("r/journal.jsonl").read_bytes()
    assert hpsearch(*SEARCH, "-o", "r", "--finalists", 3)[0] == 0
    assert Path("r/journal.jsonl").read_bytes() == before


def test_more_finalists_later_keep_what_is_there(hpsearch, finished):
    assert hpsearch(*SEARCH, "-o", "r", "--finalists", 4)[0] == 0
    assert len(events("r", "final")) == 12
    assert len(best()["runners_up"]) == 3
    assert hpsearch(*SEARCH, "-o", "once", "--finalists", 4)[0] == 0
    assert Path("once/best.yaml").read_bytes() == Path("r/best.yaml").read_bytes()


def test_a_search_that_goes_on_holds_its_finals_again(hpsearch, finished):
    assert hpsearch(*SEARCH[:3], 16, *SEARCH[4:], "-o", "r", "--finalists", 3)[0] == 0
    found = best()
    assert found["trials"] == 16
    assert found["repeats"] == 3


def test_no_finals(hpsearch):
    assert hpsearch(*SEARCH, "-o", "r", "--finalists", 0)[0] == 0
    assert events("r", "final") == []
    assert "mean" not in best()
    assert best()["score"] == min(
        e["metrics"]["dev_log_loss"] for e in events("r", "trial") if e["state"] == "COMPLETE"
    )


def test_by_itself_a_short_search_has_few_finalists(hpsearch):
    assert hpsearch(*SEARCH, "-o", "r")[0] == 0
    assert len(events("r", "final")) == 6


def test_finals_that_were_killed_are_gone_on_with(shell, hpsearch, finished, tmp_path):
    command = (*SEARCH, "-o", "cut", "--finalists", 3)
    search = shell(*command)
    journal = tmp_path / "cut" / "journal.jsonl"
    while search.poll() is None and not (journal.is_file() and b'"event":"final"' in journal.read_bytes()):
        time.sleep(0.002)
    search.send_signal(signal.SIGKILL)
    search.communicate(timeout=20)
    before = journal.read_bytes().count(b'"event":"final"')
    assert hpsearch(*command)[0] == 0
    assert before >= 1
    assert len(events("cut", "final")) == 9
    assert Path("cut/best.yaml").read_bytes() == Path("r/best.yaml").read_bytes()


def test_a_trial_of_a_run_is_repeated_from_its_journal(hpsearch, finished):
    words = best()["repeat"].split()
    assert words[0] == "hpsearch"
    assert hpsearch(*words[1:2], "r/study.yaml", *words[3:], "-o", "again", "-q")[0] == 0
    again = best("again")
    assert (again["trial"], again["score"]) == (best()["trial"], best()["score"])


def test_a_trial_that_follows_from_others_is_not_run_alone(hpsearch):
    code, _, err = hpsearch("evolve", "wine", "--only", 40, "-o", "r")
    assert code == 2
    assert "trial 40 follows from the results of others" in err or "follows from the results of others" in err


@pytest.mark.parametrize("how", [("--mode", "panda"), ("-j", 2)])
def test_a_time_limit_leaves_time_for_the_finals(hpsearch, how):
    began = time.monotonic()
    search = ("random", "wine", "-n", 100_000, "--epochs", 20, "--finalists", 4)
    code, out, err = hpsearch(*search, "--timeout", "9s", "-o", "r", *how)
    assert code == 0, err
    assert time.monotonic() - began < 18
    (end,) = events("r", "end")
    (finalists,) = events("r", "finalists")
    assert end["reason"] == "timeout"
    assert 2 <= len(finalists["trials"]) <= 4  # as many as this machine has time for
    assert len(events("r", "final")) == 3 * len(finalists["trials"])
    assert best()["repeats"] == 3
    assert "chosen by mean" in out


def test_there_are_no_more_finalists_than_there_is_time_for(hpsearch):
    code, _, err = hpsearch(
        "random", "digits", "-n", 1000, "-p", "epochs=20", "-p", "patience=0", "-p", "units=32", "--timeout", "10s",
        "--finalists", 1000, "-o", "r", "--mode", "panda",
    )  # fmt: skip
    assert code == 0, err
    (finalists,) = events("r", "finalists")
    assert 2 <= len(finalists["trials"]) < len(events("r", "trial"))
    assert best()["repeats"] == 3


def test_finals_that_nobody_asked_for_do_not_eat_a_time_limit(hpsearch):
    code, _, err = hpsearch("random", "digits", "-n", 1000, "-p", "epochs=60", "-p", "patience=0", "--timeout", "5s",
                            "-p", "units=256", "-o", "r")  # fmt: skip
    assert code == 0, err
    assert "no finals: those of two trials would take about" in err
    assert events("r", "final") == []
