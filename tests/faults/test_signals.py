"""Signals at any moment, to the command or to its whole group: it ends by them, and goes on as if nothing was."""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

import pytest
from faults.processes import finish, finished_in, session, start, tiny_search, views

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FIRST_SECONDS = 0.1  # before that Python is not yet with us
END_SECONDS = 2.0
GONE_SECONDS = 2.0


@pytest.fixture
def short_folder():
    """One with a path so short that a socket can lie in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def interrupt(words, after, number, *, group, **options):
    """Start a command and send it a signal after so many seconds; its exit code and how long it took to end."""
    process = start(words, **options)
    time.sleep(after)
    sent = time.monotonic()
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=20)
    took = time.monotonic() - sent
    if "Traceback" in errors and "hpsearch" not in errors:
        return process.returncode  # Python itself had not come far enough to run us
    assert process.returncode in (0, -number), f"{number.name} after {after:.2f} s: {process.returncode}\n{errors}"
    assert "Traceback" not in errors, f"{number.name} after {after:.2f} s:\n{errors}"
    if process.returncode:
        assert took < END_SECONDS, f"{number.name} after {after:.2f} s: {took:.1f} s"
    ended = time.monotonic()
    while left := session(process.pid):
        assert time.monotonic() < ended + GONE_SECONDS, f"left behind: {left}"
        time.sleep(0.01)
    return process.returncode


def test_signals_at_any_moment(tmp_path, often, seen):
    """From the first steps of the command over trials, finals and the last choice to its last one."""
    search = tiny_search(tmp_path, 120)
    whole = finish(search("whole"))
    chance, ends = random.Random(1), 0
    times = often(14, 200)
    for attempt in range(times):
        after = FIRST_SECONDS + whole * (attempt % 14 + chance.random()) / 14
        folder = f"run{attempt // 14}" if attempt % 3 else f"alone{attempt}"  # some go on, some begin
        ends += interrupt(search(folder), after, chance.choice(SIGNALS), group=chance.random() < 0.5) != 0
    for folder in tmp_path.glob("run*"):
        finish(search(folder.name))
        assert views(folder) == views(tmp_path / "whole")
    assert ends > times // 3
    seen("SIGINT, SIGTERM, SIGHUP at any moment", f"{times} sent, {ends} ends by them, none left, files as undisturbed")


def test_what_was_temporary_is_gone_after_an_end_by_a_signal(tmp_path, short_folder):
    """The folder of the processes' socket."""
    environment = os.environ | {"TMPDIR": str(short_folder)}
    process = start(tiny_search(tmp_path, 100_000)("run", "-j", 2), env=environment)
    deadline = time.monotonic() + 120
    while len(finished_in(tmp_path / "run" / "journal.jsonl")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(list(short_folder.iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert list(short_folder.iterdir()) == []


def test_a_folder_for_temporary_files_may_have_a_long_path(tmp_path):
    """Longer than the path of a socket can be, and it is left empty."""
    long = tmp_path / ("long" * 30)
    long.mkdir()
    finish(tiny_search(tmp_path, 3)("run", "-j", 2), env=os.environ | {"TMPDIR": str(long)})
    assert list(long.iterdir()) == []


def test_a_signal_while_the_engine_is_compiled(tmp_path, often, seen):
    """A cache that begins empty; the next start compiles, and finds the same."""
    search = tiny_search(tmp_path, 5)
    usual = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    cold = usual | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    codes = [
        interrupt(search("run"), after, number, group=group, env=cold)
        for after, number, group in [
            (1.5, signal.SIGINT, True),
            (2.5, signal.SIGTERM, False),
            (4.0, signal.SIGHUP, True),
        ][: often(2, 3)]
    ]
    assert all(codes)
    finish(search("run"))
    finish(search("whole"))
    assert views(tmp_path / "run") == views(tmp_path / "whole")
    seen("the same while the engine is compiled", f"{len(codes)} ends by them within {END_SECONDS:g} s")


def test_under_nohup_a_search_outlives_its_terminal_and_timeout_ends_it(tmp_path):
    search = tiny_search(tmp_path, 120)
    process = start(["nohup", *search("alone")])
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    for limit in ("0.8", "1.6", "3.2"):  # a busy machine may not have begun by then
        limited = start(["timeout", limit, *search("limited")])
        _, errors = limited.communicate(timeout=20)
        assert limited.returncode == 124, "what timeout ends, it says by 124"
        if "To go on: hpsearch evolve" in errors:
            break
    assert "To go on: hpsearch evolve" in errors
    finish(search("limited"))
    assert views(tmp_path / "limited") == views(tmp_path / "alone")
