"""Each exit code of the README, and that every error is one line that says what to do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpsearch.cli import search as search_module
from hpsearch.cli.running import SearchRun
from hpsearch.run_directory.record import RunRecord


def one_line(err):
    """The error's line; notes and warnings may stand before it."""
    errors = [line for line in err.splitlines() if line.startswith("hpsearch: ")]
    assert len(errors) == 1, err
    assert "Traceback" not in err
    return errors[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rondom"], "Did you mean 'random'"),
        (["random", "--trails", "3"], "--trials"),
        (["random", "-n", "0"], "budget.trials: '0': it must be greater than or equal to 1"),
        (["random", "-n", "many"], "budget.trials: 'many': it must be a valid integer"),
        (["random", "--only", "3-1"], "'3-1' runs backwards"),
        (["random", "--require-goal"], "needs --goal"),
        (["grid"], "say how many"),
        (["predict", "r", "x.csv", "-o", "x.csv"], "is the table to predict"),
        (["predict", "r", "x.csv", "-o", "x.parquet"], "not as .parquet"),
        (["random", "--mode", "koala"], "caviar"),
        (["random", "-j", "0"], "--jobs 0"),
        (["random", "--mode", "panda", "-j", "0"], "--jobs 0"),
        (["random", "--cluster", "tcp://a:1", "-j", "2"], "--cluster tcp://a:1 and --jobs 2"),
        (["random", "--cluster", "tcp://a:1", "--mode", "panda"], "--cluster tcp://a:1 and --mode panda"),
        (["random", "--allow-mixed-cpus"], "--allow-mixed-cpus: needs --cluster"),
        (["random", "nothing.csv"], "nothing.csv"),
        (["random", "digit"], "did you mean 'digits'"),
        (["random", "missing.yaml"], "missing.yaml: No such file"),
        (["random", "digits", "-y", "digti"], "did you mean 'digit'"),
        (["random", "-p", "lrr=1"], "did you mean 'lr'"),
        (["random", "-p", "lr=1:0"], "low 1.0 is greater than high 0.0"),
        (["random", "--set", "data.splt.test=0"], "did you mean 'split'"),
        (["random", "--set", "novalue"], "KEY=VALUE"),
        (["random", "--metric", "rmse"], "'rmse' does not fit classification"),
        (["random", "--timeout", "soon"], "45s, 30m or 1.5h"),
        (["random", "--only", "x"], "10-19"),
        (["grid", "-p", "lr=1e-3,1e-2", "--only", "1-2"], "trials 0 to 1"),
        (["grid", "-p", "lr=1e-5:1", "-p", "l2=0:1", "-p", "bs=1:999", "--set", "strategy.points=99"], "how many"),
        (["show", "nowhere"], "not a run directory"),
        (["best", "."], "not a run directory"),
        (["predict", ".", "x.csv"], "no model"),
    ],
)  # fmt: skip
def test_2_usage_study_and_data(hpsearch, arguments, words):
    code, out, err = hpsearch(*arguments)
    assert (code, out) == (2, "")
    assert words in one_line(err)
    assert not Path("runs").exists()


def test_0_help_and_version(hpsearch):
    assert hpsearch("--help")[0] == 0
    assert hpsearch("random", "--help")[0] == 0
    code, out, _ = hpsearch("--version")
    assert code == 0
    assert out.count(".") == 2


def test_0_a_timeout_with_results(hpsearch):
    code, out, err = hpsearch("random", "wine", "-n", 100_000, "--epochs", 2, "--timeout", "3s", "-o", "r")
    assert code == 0, err
    assert "the time is over" in err
    assert out.startswith("Best of")


def test_1_a_defect(hpsearch, monkeypatch):
    monkeypatch.setattr(search_module, "trial_numbers", lambda *_: 1 / 0)
    code, _, err = hpsearch("random", "wine")
    assert code == 1
    assert "internal error: ZeroDivisionError" in one_line(err)


def test_3_no_trial_has_a_score(hpsearch):
    # each step multiplies the weights by about -1e6
    diverging = [
        "-p",
        "optimizer=sgd",
        "-p",
        "lr=1000",
        "-p",
        "l2=1000",
        "-p",
        "activation=identity",
        "-p",
        "normalize=none",
    ]
    code, out, err = hpsearch("random", "wine", *diverging, "-o", "r")
    assert (code, out) == (3, "")
    assert "diverged" in one_line(err)
    assert "FAIL" in Path("r/trials.csv").read_text(encoding="utf-8")
    assert hpsearch("best", "r")[0] == 3


def test_3_more_failures_than_allowed(hpsearch):
    mixed = [
        "-p",
        "optimizer=sgd",
        "-p",
        "activation=identity",
        "-p",
        "normalize=none",
        "-p",
        "lr=1e-7,1000",
        "--epochs",
        2,
    ]
    code, out, err = hpsearch("grid", "wine", *mixed, "-o", "r", "--max-failures", "0.2")
    assert code == 3
    assert out.startswith("Best of 2 trials")
    assert "1 of 2 trials failed; --max-failures allows 0.2" in one_line(err)
    assert hpsearch("grid", "wine", *mixed, "-o", "r", "--max-failures", "1")[0] == 0


def test_4_the_goal_is_required_and_missed(hpsearch, run_folder):
    again = ["random", "wine", "-n", "5", "--epochs", "5", "-o", run_folder, "-q"]
    code, out, err = hpsearch(*again, "--goal", "1e-9", "--require-goal")
    assert code == 4
    assert out
    assert "1e-09 was not reached" in one_line(err)
    assert hpsearch(*again, "--goal", "9", "--require-goal")[0] == 0
    assert hpsearch(*again)[0] == 0  # the run directory is as it was


def test_5_in_use(shell, hpsearch, tmp_path):
    holder = shell("random", "wine", "-n", 100_000, "-o", tmp_path / "r", "-q")
    try:
        while not (tmp_path / "r" / "journal.jsonl").exists():
            assert holder.poll() is None, holder.stderr.read()
        code, _, err = hpsearch("random", "wine", "-n", 100_000, "-o", "r")
        assert code == 5
        assert f"in use by process {holder.pid}" in one_line(err)
    finally:
        holder.kill()
        holder.communicate()
    assert hpsearch("random", "wine", "-n", 1, "-o", "r", "-q")[0] == 0  # the lock died with its holder


def test_5_a_damaged_journal(hpsearch):
    hpsearch("random", "wine", "-n", 3, "--epochs", 2, "-o", "r", "-q")
    journal = Path("r/journal.jsonl")
    lines = journal.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"trial", b"trail")
    journal.write_bytes(b"\n".join(lines))
    before = journal.read_bytes()
    for command in (["best", "r"], ["random", "wine", "-n", 3, "--epochs", 2, "-o", "r"]):
        code, _, err = hpsearch(*command)
        assert code == 5
        assert "journal.jsonl line 3: damaged" in one_line(err)
        assert one_line(err).endswith("hpsearch repair r")
    assert journal.read_bytes() == before
    code, out, _ = hpsearch("repair", "r")
    assert code == 0
    assert out.startswith("r: ")
    assert "left out: line 3 of the journal, which is kept as r/journal.jsonl.damaged-1" in out
    assert hpsearch("random", "wine", "-n", 3, "--epochs", 2, "-o", "r", "-q")[0] == 0
    hpsearch("random", "wine", "-n", 3, "--epochs", 2, "-o", "whole", "-q")
    for name in ("trials.csv", "best.yaml"):
        assert Path("r", name).read_bytes() == Path("whole", name).read_bytes()
    assert hpsearch("repair", "r")[1].startswith("r: the journal is whole, 3 trials")


def test_6_the_disk_refuses(hpsearch):
    code, _, err = hpsearch("random", "wine", "-n", 2, "-o", "/proc/nowhere/r")
    assert code == 6
    assert "/proc/nowhere" in one_line(err)


@pytest.mark.parametrize("mode", ["caviar", "panda"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_process_by_itself_with_results_kept(shell, hpsearch, tmp_path, number, mode):
    command = ["random", "wine", "-n", 100_000, "-o", "r", "-q", "--mode", mode]
    search = shell(*command, "--overwrite")
    journal = tmp_path / "r" / "journal.jsonl"
    while search.poll() is None and not (journal.is_file() and b'"event":"trial","trial":0,' in journal.read_bytes()):
        time.sleep(0.01)
    search.send_signal(number)
    out, err = search.communicate(timeout=20)
    assert search.returncode == -number  # a shell shows 128 + number
    assert out == ""
    assert "To go on: hpsearch random wine" in err
    assert "--overwrite" not in err, "that would not go on"
    assert "Traceback" not in err
    results = Path("r/trials.csv").read_text(encoding="utf-8").count("COMPLETE")
    assert results >= 1
    code, out, err = hpsearch(*command[:3], results + 1, *command[4:])
    assert code == 0, err
    assert out.startswith(f"Best of {results + 1} trials")


def test_another_study_in_the_directory_is_refused_with_the_difference(hpsearch):
    assert hpsearch("random", "wine", "-n", 2, "--epochs", 2, "-o", "r", "-q")[0] == 0
    before = {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file() and path.name != ".lock"}
    code, _, err = hpsearch("random", "wine", "-n", 2, "--epochs", 3, "--seed", 1, "-o", "r")
    assert code == 2
    assert "seed is 0 there and 1 here" in one_line(err)
    assert {path: path.read_bytes() for path in before} == before
    assert hpsearch("random", "wine", "-n", 2, "--epochs", 3, "--seed", 1, "-o", "r", "-q", "--overwrite")[0] == 0


def test_flags_win_over_the_environment_and_that_over_the_study(hpsearch, monkeypatch):
    Path("s.yaml").write_text("data: {source: wine}\nseed: 1\nbudget: {trials: 9}\n", encoding="utf-8")
    monkeypatch.setenv("HPSEARCH_SEED", "2")
    monkeypatch.setenv("HPSEARCH_TRIALS", "7")
    out = hpsearch("random", "s.yaml", "--print-config", "-n", 5)[1]
    assert "seed: 2\n" in out
    assert "trials: 5," in out
    out = hpsearch("random", "s.yaml", "--print-config", "--set", "seed=3", "--set", "budget={trials: 6}")[1]
    assert "seed: 3\n" in out
    assert "trials: 6," in out


@pytest.mark.parametrize("progress", ["bar", "plain"])
@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_a_stderr_that_takes_nothing_stops_no_search(tmp_path, stderr, progress):
    command = f"{sys.executable} -m hpsearch random wine -n 3 --epochs 2 -o r -f value --progress {progress} {stderr}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert float(done.stdout) > 0  # the result and nothing else
    assert done.stderr == ""


def test_6_a_full_stdout(tmp_path):
    command = f"{sys.executable} -m hpsearch random wine -n 3 --epochs 2 -o r -q > /dev/full"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "No space left" in one_line(done.stderr)
    assert (tmp_path / "r" / "best.yaml").exists()


def test_a_reader_that_has_gone_is_no_defect(tmp_path, run_folder):
    command = f"set -o pipefail; {sys.executable} -m hpsearch show {run_folder} -f csv | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141)  # 141: by SIGPIPE, as cat and grep end
    assert done.stderr == ""


def test_no_words_at_all_show_the_help(hpsearch):
    code, out, err = hpsearch()
    assert code == 2
    assert out.startswith("Usage: hpsearch")
    assert err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_is_one_to_the_search(shell, tmp_path, number):
    search = shell("random", "wine", "-n", 100_000, "-o", "r", "-q", start_new_session=True)
    journal = tmp_path / "r" / "journal.jsonl"
    while search.poll() is None and not (journal.is_file() and b'"event":"start"' in journal.read_bytes()):
        time.sleep(0.01)
    os.killpg(search.pid, number)
    _, err = search.communicate(timeout=20)
    assert search.returncode == -number
    assert "To go on: hpsearch random wine" in err


def test_a_time_limit_alone_has_no_other_end(hpsearch):
    """More than the usual fifty trials, if there is time for them; the same trials as with a number."""
    code, _, err = hpsearch("random", "wine", "-p", "units=8", "--epochs", 2, "--timeout", "4s", "-o", "r")
    assert code == 0, err
    assert "r: trials for 4 s in" in err
    rows = Path("r/trials.csv").read_text().splitlines()
    assert len(rows) > 60
    assert f"the time is over after {len(rows) - 1} trials" in err
    code, _, err = hpsearch("random", "wine", "-p", "units=8", "--epochs", 2, "-n", 20, "--lag", 8, "-o", "n", "-q")
    assert Path("n/trials.csv").read_text().splitlines() == rows[:21]
    dry = hpsearch("random", "wine", "--plain", "--timeout", "4s", "--dry-run", "-f", "csv")[1]
    assert len(dry.splitlines()) == 51


@pytest.mark.parametrize(
    ("ended", "reason", "says"),
    [
        ([0, 2, 3], "timeout", "; 2 more count once the search goes on and trial 1 has ended"),
        ([0, 1], "timeout", ""),
        ([0, 2], "goal", ""),
    ],
)
def test_what_ended_behind_a_trial_that_did_not_is_named(study_facts, make_result, ended, reason, says):
    record = RunRecord.of(*study_facts, [make_result(number) for number in ended])
    record.end = {"reason": reason, "counted": 2 if 1 in ended else 1}
    assert SearchRun._behind(SimpleNamespace(_record=record, _reason=reason, _numbers=range(9))) == says
