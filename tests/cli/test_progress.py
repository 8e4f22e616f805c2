"""Plain lines of progress: when something ended, and when nothing did for long."""

import pytest

from hpsearch.cli import progress
from hpsearch.cli.progress import Progress, ProgressStyle


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_for_a_tenth_and_one_after_ten_seconds(clock, capsys, make_result):
    view = Progress(ProgressStyle.PLAIN, 40, 0, "log_loss")
    best = make_result(0, 0.25)
    for number in range(4):
        view.finished(make_result(number, 0.25), best)
    assert capsys.readouterr().err == "4 of 40 trials, best log_loss 0.25 (trial 0)\n"
    for second in range(1, 25):
        clock[0] = float(second)
        view.tick()
    assert capsys.readouterr().err == 2 * "4 of 40 trials, best log_loss 0.25 (trial 0)\n"


def test_a_first_trial_that_takes_long_is_no_silence(clock, capsys):
    view = Progress(ProgressStyle.PLAIN, None, 0, "log_loss")
    view.tick()
    assert capsys.readouterr().err == ""
    clock[0] = 10.5
    view.tick()
    assert capsys.readouterr().err == "0 trials, none with a score yet\n"


def test_who_wants_no_lines_gets_none(clock, capsys):
    view = Progress(ProgressStyle.NONE, 40, 0, "log_loss")
    clock[0] = 100.0
    view.tick()
    assert capsys.readouterr().err == ""
