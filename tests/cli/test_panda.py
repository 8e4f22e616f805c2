"""`hpsearch panda`: its ledger, going on, replaying; keys and answers of a person at a terminal."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

SMALL = ("wine", "--epochs", 10, "-q", "--finalists", 0)
GIVE_UP_SECONDS = 60
ON_THE_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def events(folder, kind):
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_every_step_is_a_line_in_the_ledger(hpsearch):
    code, out, err = hpsearch("panda", *SMALL, "-n", 8, "-o", "p")
    assert code == 0, err
    assert out.startswith("Best of 8 trials")
    ledger = yaml.safe_load(Path("p/ledger.yaml").read_text(encoding="utf-8"))
    assert [step["trial"] for step in ledger["steps"]] == [*range(8)]
    assert [step["kind"] for step in ledger["steps"][:3]] == ["start", "again", "range"]
    assert all(
        {"saw", "changed", "why", "score", "outcome", "hyperparameters"} <= step.keys() for step in ledger["steps"]
    )
    assert len(ledger["data_sha256"]) == 64


def test_a_run_that_goes_on_ends_in_the_same_files(hpsearch):
    assert hpsearch("panda", *SMALL, "-n", 9, "-o", "whole")[0] == 0
    for trials in (1, 4, 9):
        assert hpsearch("panda", *SMALL, "-n", trials, "-o", "parts")[0] == 0
    for name in ("trials.csv", "curves.csv", "best.yaml"):
        assert Path("whole", name).read_bytes() == Path("parts", name).read_bytes(), name
    steps = [yaml.safe_load(Path(run, "ledger.yaml").read_text())["steps"] for run in ("whole", "parts")]
    assert steps[0] == steps[1]


def test_a_ledger_is_replayed_exactly(hpsearch):
    assert hpsearch("panda", *SMALL, "-n", 8, "-o", "p")[0] == 0
    code, _, err = hpsearch("panda", "--replay", "p/ledger.yaml", "-o", "again", "-q", "--finalists", 0)
    assert code == 0, err
    assert Path("again/curves.csv").read_bytes() == Path("p/curves.csv").read_bytes()
    scores = [[(t["trial"], t["metrics"]) for t in events(Path(run), "trial")] for run in ("p", "again")]
    assert scores[0] == scores[1]


def test_a_ledger_of_several_sessions_is_replayed_whole(hpsearch):
    for trials in (3, 7):
        assert hpsearch("panda", *SMALL, "-n", trials, "-o", "p")[0] == 0
    assert hpsearch("panda", "--replay", "p/ledger.yaml", "-o", "again", "-q", "--finalists", 0)[0] == 0
    assert Path("again/curves.csv").read_bytes() == Path("p/curves.csv").read_bytes()


def test_a_ledger_is_not_replayed_on_other_data(hpsearch, line_file):
    shutil.copy(line_file, "line.csv")
    assert hpsearch("panda", "line.csv", *SMALL[1:], "-n", 3, "-o", "p")[0] == 0
    with Path("line.csv").open("a") as file:
        file.write("1.0,501.0\n")
    code, _, err = hpsearch("panda", "--replay", "p/ledger.yaml", "-o", "again", "-q")
    assert code == 2
    assert "is not the file that it was written for" in err
    assert not Path("again").exists()


def test_a_ledger_that_was_lost_is_written_again(hpsearch):
    assert hpsearch("panda", *SMALL, "-n", 4, "-o", "p")[0] == 0
    ledger = Path("p/ledger.yaml").read_bytes()
    Path("p/ledger.yaml").unlink()
    assert hpsearch("panda", *SMALL, "-n", 4, "-o", "p")[0] == 0
    assert Path("p/ledger.yaml").read_bytes() == ledger


def test_the_range_test_is_no_winner(hpsearch):
    assert hpsearch("panda", *SMALL, "-n", 3, "-o", "p")[0] == 0
    states = [event["state"] for event in events(Path("p"), "trial")]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED"]


def test_values_have_no_labels_to_smooth(hpsearch, line_file):
    code, out, _ = hpsearch("panda", line_file, "--print-config")
    assert code == 0
    assert "label_smoothing" not in out


def test_plain_lines_say_what_is_done_and_why(hpsearch):
    _, _, err = hpsearch("panda", "wine", "--epochs", 3, "-n", 4, "-o", "p", "--finalists", 0)
    lines = err.splitlines()
    assert "trial 0: where it starts" in lines
    assert any(line.startswith("trial 2: learning_rate 0.001 -> 0.3, schedule constant -> rising") for line in lines)
    assert any(line.startswith("trial 3  epoch 1/3  loss train ") for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("random", "wine", "--interactive"), "--interactive: it is for panda, not for random"),
        (("evolve", "--replay", "x.yaml"), "--replay: it is for panda, not for evolve"),
        (("panda", "wine", "--cluster", "tcp://x:1"), "panda trains in this process"),
        (("panda", "--replay", "nowhere.yaml"), "nowhere.yaml"),
        (("panda", "wine", "--replay", "x.yaml"), "it names its data itself; leave out wine"),
        (("panda", "wine", "-j", "8"), "--jobs 8: a panda trains one model at a time, in this process"),
        (("panda", "wine", "--mode", "caviar"), "--mode caviar: a panda trains one model at a time"),
        (("panda", "wine", "--lag", "16"), "--lag 16: a panda trains one model at a time"),
        (("panda", "wine", "--shard", "1/2"), "panda learns from all results"),
        (("panda", "wine", "--human-error", "5"), "for log_loss it is a share from 0 to 1, such as 0.05"),
    ],
)
def test_what_does_not_fit_is_refused(hpsearch, words, message):
    code, out, err = hpsearch(*words)
    assert (code, out) == (2, "")
    assert message in err


def test_what_a_panda_does_anyway_may_be_said(hpsearch):
    assert hpsearch("panda", *SMALL, "-n", 1, "-j", "auto", "--lag", "1", "--mode", "panda", "-o", "p")[0] == 0
    assert hpsearch("panda", *SMALL, "-n", 1, "-j", "1", "-o", "q")[0] == 0


def test_questions_need_somebody_to_answer_them(shell):
    process = shell("panda", "wine", "--interactive", stdin=subprocess.DEVNULL)
    _, err = process.communicate(timeout=GIVE_UP_SECONDS)
    assert process.returncode == 2
    assert "standard input is no terminal" in err


@pytest.fixture
def terminal(tmp_path):
    """A function that runs a command on a terminal of its own, and answers: `talk(words, answers)`.

    When the text of an answer is seen its keys are pressed, or any after a pause if it names none; returns what was on
    the screen, and the exit code.
    """

    def talk(words, answers=(), pause=0.0):
        master, slave = pty.openpty()
        command = [sys.executable, "-c", ON_THE_TERMINAL, "-m", "hpsearch", *map(str, words)]
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path, env=environment)
        os.close(slave)
        seen, since, left = b"", 0, list(answers)
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:
                    break
            if left and left[0][0] in seen[since:]:
                since = len(seen)
                keys = left.pop(0)[1]
                time.sleep(0 if keys else pause)
                os.write(master, keys or b" ")
        os.close(master)
        return seen.decode("utf-8", "replace"), process.wait(timeout=GIVE_UP_SECONDS)

    return talk


LONG = ("panda", "wine", "--epochs", 4000, "-p", "patience=0", "-n", 5, "-o", "p", "--finalists", 0)


def test_keys_skip_and_end_and_are_noted(terminal, tmp_path):
    screen, code = terminal(LONG, [(b"skip", b"s"), (b"skip", b"p"), (b"paused", b"p"), (b"skip", b"e")])
    assert code == 0, screen
    keys = [(event["action"], event["number"]) for event in events(tmp_path / "p", "key")]
    assert [action for action, _ in keys] == ["skip", "pause", "go on", "end"]
    results = events(tmp_path / "p", "trial")
    assert [result["state"] for result in results] == ["PRUNED", "COMPLETE"], "it ended with the one that ran"
    assert 0 < results[0]["epochs"] < results[1]["epochs"] == 4000


def test_keys_work_in_the_finals_too(terminal, tmp_path):
    words = ("panda", "wine", "--epochs", 1500, "-p", "patience=0", "-n", 5, "-o", "p", "--finalists", 2)
    screen, code = terminal(words, [(b"for the finals", b"p"), (b"paused", b"x"), (b"for the finals", b"s")])
    assert code == 0, screen
    keys = [(event["action"], event["repeat"]) for event in events(tmp_path / "p", "key")]
    assert [action for action, _ in keys] == ["pause", "go on"], "a finalist is not skipped"
    assert all(repeat for _, repeat in keys)


def test_a_pause_is_no_time_of_the_trial(terminal, tmp_path):
    words = ("panda", "wine", "--epochs", 1500, "-p", "patience=0", "-n", 1, "-o", "p", "--trial-timeout", "4s")
    screen, code = terminal(words, [(b"skip", b"p"), (b"paused", b"")], pause=4.5)
    assert code == 0, screen
    assert [event["state"] for event in events(tmp_path / "p", "trial")] == ["COMPLETE"]


def test_without_a_key_the_view_changes_nothing(terminal, hpsearch, tmp_path):
    _, code = terminal(("panda", *SMALL, "-n", 5, "-o", "seen", "--progress", "bar"))
    assert code == 0
    assert hpsearch("panda", *SMALL, "-n", 5, "-o", "unseen")[0] == 0
    for name in ("trials.csv", "curves.csv", "best.yaml"):
        assert Path("seen", name).read_bytes() == Path("unseen", name).read_bytes()


def test_a_person_is_asked_before_each_change(terminal, tmp_path):
    words = ("panda", *SMALL, "-n", 5, "-o", "p", "--interactive")
    screen, code = terminal(words, [(b"try it? [Y/n]", answer) for answer in (b"n\n", b"y\n", b"y\n", b"y\n")])
    assert code == 0, screen
    refused = events(tmp_path / "p", "refusal")
    assert len(refused) == 1
    tried = [event["config"] for event in events(tmp_path / "p", "trial")]
    assert refused[0]["config"] not in tried
    steps = yaml.safe_load((tmp_path / "p/ledger.yaml").read_text())["steps"]
    assert len(steps) == 5


@pytest.mark.parametrize("answer", [b"\x03", b"\x04"])
def test_a_question_can_be_answered_by_the_end_of_the_search(terminal, hpsearch, tmp_path, answer):
    """Ctrl-C and Ctrl-D: what is there is kept, the change is not refused, and one is told how to go on."""
    words = ("panda", *SMALL, "-n", 5, "-o", "p", "--interactive")
    screen, code = terminal(words, [(b"try it? [Y/n]", answer)])
    assert code == -signal.SIGINT, screen
    assert "To go on: hpsearch panda" in screen
    assert events(tmp_path / "p", "end")[-1]["reason"] == "interrupted"
    assert not events(tmp_path / "p", "refusal")
    assert hpsearch("panda", *SMALL, "-n", 5, "-o", "p")[0] == 0
    assert hpsearch("panda", *SMALL, "-n", 5, "-o", "whole")[0] == 0
    assert Path("p/trials.csv").read_bytes() == Path("whole/trials.csv").read_bytes()


def test_scores_in_the_ledger_are_those_of_the_metric(hpsearch):
    assert hpsearch("panda", *SMALL, "--metric", "accuracy", "-n", 3, "-o", "p")[0] == 0
    steps = yaml.safe_load(Path("p/ledger.yaml").read_text(encoding="utf-8"))["steps"]
    scores = [event["metrics"]["dev_accuracy"] for event in events(Path("p"), "trial")[:2]]
    assert [step["score"] for step in steps[:2]] == scores


def test_patience_from_a_list_does_not_break_the_end(hpsearch):
    code, _, err = hpsearch("panda", "wine", "--epochs", 10, "-q", "-p", "patience=5,15", "-n", 12, "-o", "p")
    assert code == 0, err
    assert hpsearch("report", "p", "-f", "json")[0] == 0
