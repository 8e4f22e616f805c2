"""What kills, full disks, foreign files and second thoughts leave behind in a run directory."""

import csv
import errno
import fcntl
import io
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpsearch.errors import JournalError, RunError, StorageError
from hpsearch.run_directory import journal as journal_module
from hpsearch.run_directory.directory import open_run
from hpsearch.run_directory.journal import TAIL, Journal, encode, read
from hpsearch.run_directory.lock import RunLock
from hpsearch.run_directory.record import JOURNAL
from hpsearch.run_directory.results import csv_text
from hpsearch.study import StopRules, Study


def fail(*_):
    raise OSError(errno.EIO, "Input/output error")


def open_files():
    return sorted(Path("/proc/self/fd").iterdir())


@pytest.fixture
def open_here(tmp_path, study_facts):
    """Open the run directory `r` of a small study; keywords change the study."""
    study, data = study_facts

    def open_it(*, overwrite=False, **changes):
        return open_run(tmp_path / "r", study | changes, data, {}, overwrite=overwrite)

    return open_it


@pytest.mark.parametrize("size", range(1, 9))
def test_a_journal_torn_in_its_first_bytes_begins_anew(tmp_path, size):
    path = tmp_path / JOURNAL
    path.write_bytes(encode(0, {"event": "study", "format": 1})[:size])
    assert list(read(path)) == []
    found = []
    Journal(path, found.append).close()
    assert found == []


def test_after_a_write_that_cannot_be_undone_nothing_more_is_written(tmp_path, monkeypatch):
    path = tmp_path / JOURNAL
    journal = Journal(path)
    journal.append([{"event": "study", "format": 1}])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", lambda file, content: write(file, content[:10]))
        patch.setattr(journal_module.os, "ftruncate", fail)
        with pytest.raises(StorageError):
            journal.append([{"event": "a"}])
    with pytest.raises(StorageError, match="could not be undone"):
        journal.append([{"event": "b"}])
    assert [line.kind for line in read(path)] == ["study"]
    journal.close()


def test_what_is_refused_is_closed(tmp_path, open_here):
    (tmp_path / JOURNAL).write_text("foreign\n", encoding="utf-8")
    before = open_files()
    with pytest.raises(JournalError):
        Journal(tmp_path / JOURNAL)
    assert open_files() == before
    open_here().close()
    with pytest.raises(RunError):
        open_here(seed=1)
    assert open_files() == before


def test_a_disk_that_fails_at_the_end_frees_the_lock(open_here, monkeypatch):
    directory = open_here()
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", fail)
        with pytest.raises(StorageError):
            directory.close()
    open_here().close()


def test_another_study_does_not_cut_a_damaged_tail(tmp_path, open_here, make_result):
    with open_here() as directory:
        directory.add(make_result(0))
    path = tmp_path / "r" / JOURNAL
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    with pytest.raises(RunError):
        open_here(seed=1)
    assert path.read_bytes() == torn
    open_here().close()
    assert (tmp_path / "r" / TAIL).exists()
    open_here(overwrite=True).close()
    assert not (tmp_path / "r" / TAIL).exists()


def test_a_folder_with_somebody_s_data_is_not_ours(tmp_path, open_here):
    (tmp_path / "r" / ".shared-data").mkdir(parents=True)
    with pytest.raises(RunError, match="not a run directory"):
        open_here()


@pytest.mark.parametrize("command", ["show", "best"])
def test_a_run_that_has_not_begun(tmp_path, command):
    (tmp_path / JOURNAL).touch()
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "had no time to begin" in done.stderr


def test_epochs_are_those_that_were_trained_and_columns_differ(tmp_path, open_here, make_result):
    with open_here(space={"learning_rate": [0.1, 0.2], "epochs": 60}) as directory:
        directory.add(make_result(0, config={"learning_rate": 0.1, "epochs": 60}))
        directory.finish("done", 1)
    header, row = csv.reader(io.StringIO((tmp_path / "r/trials.csv").read_text(encoding="utf-8")))
    assert (row[header.index("epochs")], row[header.index("max_epochs")]) == ("3", "60")
    assert len(set(header)) == len(header)


def test_a_best_that_does_not_count_is_gone(tmp_path, open_here, make_result):
    with open_here() as directory:
        directory.add(make_result(1))
        directory.write_views()
        assert (tmp_path / "r/best.yaml").exists()
        directory.finish("timeout", 0)
    assert len((tmp_path / "r/trials.csv").read_text(encoding="utf-8").splitlines()) == 1
    assert not (tmp_path / "r/best.yaml").exists()


@pytest.mark.parametrize("text", ["a\rb", "\r=1+1", "\n=1+1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20A1"])
def test_cells_that_would_leave_their_cell(text):
    _, (cell, number) = csv.reader(io.StringIO(csv_text(["a", "b"], [{"a": text, "b": 1}]), newline=""))
    assert cell == (text if text.startswith("a") else "'" + text)
    assert number == "1"


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import hpsearch.files
from hpsearch.run_directory.directory import reopen
directory = reopen(Path(sys.argv[1]))
hpsearch.files.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
directory.write_views()
"""


def test_drafts_of_a_killed_run_are_cleared(tmp_path, open_here, make_result):
    with open_here() as directory:
        directory.add(make_result(0))
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "r")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list((tmp_path / "r").glob(".*.tmp"))
    open_here().close()
    assert not list((tmp_path / "r").glob(".*.tmp"))


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StorageError, match="cannot be locked"):
        RunLock(tmp_path / ".lock")


class Nothing:
    """A strategy or executor of which nothing is asked."""

    slots = capacity = 1

    curious = False

    def prepare(self, _):
        """Listen."""

    def tell(self, *_):
        """Listen."""

    def ready(self, _):
        """Need no results."""
        return True


def test_a_run_that_has_all_its_trials_is_done_whatever_the_clock_says(open_here, make_result):
    with open_here() as directory:
        directory.add(make_result(0))
        study = Study(directory, Nothing(), range(1), StopRules(deadline=0.0))
        assert study.run(Nothing(), SimpleNamespace(), None) == "done"


@pytest.mark.parametrize("again", [[1], range(2)])
def test_a_shorter_look_takes_no_trial_away(tmp_path, open_here, make_result, again):
    with open_here() as directory:
        for number in range(3):
            directory.add(make_result(number))
        directory.finish("done", 3)
        before = (tmp_path / "r/trials.csv").read_bytes()
        with suppress(KeyError):
            Study(directory, Nothing(), again, StopRules()).run(Nothing(), SimpleNamespace(), None)
        assert (tmp_path / "r/trials.csv").read_bytes() == before


def test_the_costliest_of_the_last_trials_begin_first_and_nothing_else_changes(open_here, make_result):
    begun = []

    class Executor(Nothing):
        slots = capacity = 2

        def submit(self, trial):
            begun.append(trial.number)
            self.held = [*getattr(self, "held", []), trial.number]

        def wait(self, _):
            return [make_result(self.held.pop(0))]

    class Strategy(Nothing):
        def ask(self, number):
            return {"learning_rate": 0.001 * number}

    with open_here() as directory:
        observer = SimpleNamespace(finished=lambda *_: None, tick=lambda: None)
        study = Study(directory, Strategy(), range(20), StopRules(), cost=lambda trial: trial.config["learning_rate"])
        assert study.run(Executor(), observer, lambda _: None) == "done"
        assert list(directory.record.counted()) == list(range(20))
    assert begun == [*range(12), *range(19, 11, -1)]
