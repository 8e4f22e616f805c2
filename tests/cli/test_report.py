"""`hpsearch report`: what a person reads, and that it works on whatever is left of a run."""

import json
import shlex
import shutil
from pathlib import Path

import yaml

SMALL = ("--epochs", 12, "-n", 14, "-q")


def test_a_report_names_the_limit_and_a_command_that_runs(hpsearch):
    assert hpsearch("random", "wine", *SMALL, "-o", "w")[0] == 0
    code, out, err = hpsearch("report", "w")
    assert code == 0, err
    for heading in ("What limits it", "What to try next", "Has the search had enough?", "Would more rows help?"):
        assert heading in out
    assert "linear" in out
    assert Path("w/report.html").stat().st_size > 1_000_000
    command = next(line for line in out.splitlines() if "hpsearch evolve" in line).partition(": ")[2]
    code, _, err = hpsearch(*shlex.split(command)[1:], "--print-config")
    assert code == 0, err
    code, _, err = hpsearch(*shlex.split(command)[1:], "-n", 3, "-q", "--finalists", 0)
    assert code == 0, err
    assert "14 of 14 trials of w lie in this space" in err or Path("w-next/best.yaml").exists()


def test_a_report_is_data_too(hpsearch, run_folder):
    shutil.copytree(run_folder, "w")
    code, out, _ = hpsearch("report", "w", "-f", "json", "--quick")
    found = json.loads(out)
    assert code == 0
    assert found["limit"]["word"]
    assert found["next"].startswith("hpsearch evolve w/study.yaml --from w")
    assert yaml.safe_load(hpsearch("report", "w", "-f", "yaml", "--quick")[1]) == found
    assert hpsearch("report", "w", "-f", "value", "--quick")[1].strip() == found["limit"]["word"]


def test_without_model_and_data_the_journal_is_enough(hpsearch, run_folder):
    Path("w").mkdir()
    shutil.copy(run_folder / "journal.jsonl", "w/journal.jsonl")
    code, out, err = hpsearch("report", "w")
    assert code == 0, err
    assert "once more, for its network" in err, "its weights are not there"
    assert "What limits it" in out
    assert Path("w/report.html").exists()


def test_without_the_data_the_journal_is_enough(hpsearch, line_file):
    mine = Path(shutil.copy(line_file, "mine.csv"))
    assert hpsearch("random", mine, "-n", 2, "--epochs", 3, "-q", "-o", "l", "--finalists", 0)[0] == 0
    mine.unlink()
    code, out, err = hpsearch("report", "l")
    assert code == 0, err
    assert f"without a look at the model and the data: {mine.absolute()}" in err
    assert "What limits it" in out


def test_a_run_that_was_cut_off_is_reported(hpsearch, run_folder):
    shutil.copytree(run_folder, "w")
    lines = Path("w/journal.jsonl").read_bytes().splitlines(keepends=True)
    kept = lines[: next(i for i, line in enumerate(lines) if b'"event":"end"' in line)]
    Path("w/journal.jsonl").write_bytes(b"".join(kept[:-2]))
    code, out, err = hpsearch("report", "w", "--quick")
    assert code == 0, err
    assert "the best is trial" in out


def test_a_human_error_changes_what_is_said(hpsearch, run_folder):
    shutil.copytree(run_folder, "w")
    assert "target 0.3" in hpsearch("report", "w", "--quick", "--human-error", "0.3")[1]
    code, _, err = hpsearch("report", "w", "--human-error", "-1")
    assert code == 2
    assert "human-error" in err


def test_the_human_error_of_a_study_decides_the_diagnoses(hpsearch):
    assert hpsearch("random", "wine", *SMALL, "--finalists", 0, "--human-error", 0.5, "-o", "w")[0] == 0
    study = yaml.safe_load(Path("w/study.yaml").read_text(encoding="utf-8"))
    assert study["human_error"] == 0.5
    assert "high_bias" not in Path("w/trials.csv").read_text(encoding="utf-8")
    code, _, err = hpsearch("random", "wine", *SMALL, "--finalists", 0, "--human-error", 0.1, "-o", "w")
    assert code == 2
    assert "human_error is 0.5 there and 0.1 here" in err


def test_a_folder_that_is_no_run_is_refused(hpsearch):
    Path("x").mkdir()
    code, out, err = hpsearch("report", "x")
    assert (code, out) == (2, "")
    assert "not a run directory" in err


def test_once_the_test_part_was_opened_it_is_compared_with_dev(hpsearch, run_folder):
    shutil.copytree(run_folder, "w")
    assert "test part" not in hpsearch("report", "w", "--quick")[1]
    assert hpsearch("evaluate", "w")[0] == 0
    out = hpsearch("report", "w", "--quick")[1]
    assert "on the test part: " in out
    assert "dev was not overfitted" in out or "worse than on dev" in out
    assert "test log_loss" in Path("w/report.html").read_text(encoding="utf-8")
