"""One writer for a run directory, however the one before it ended."""

import os
import signal
import subprocess
import sys

import pytest

from hpsearch.errors import LockedError, StorageError
from hpsearch.run_directory.lock import RunLock

HOLD = """
import subprocess, sys
from pathlib import Path
from hpsearch.run_directory.lock import RunLock

lock = RunLock(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) if "child" in sys.argv else None
print(child.pid if child else 0, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / ".lock"


@pytest.fixture
def holder(path):
    """A function that starts another process which has the lock."""
    path.parent.mkdir()
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        process.child = int(process.stdout.readline())
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
        if process.child:
            os.kill(process.child, signal.SIGKILL)


def test_the_second_one_is_told_who_has_it(path, holder):
    process = holder()
    with pytest.raises(LockedError) as caught:
        RunLock(path)
    message = str(caught.value)
    assert message.startswith(f"{path.parent}: in use by process {process.pid} on ")
    assert "\n" not in message
    assert caught.value.exit_code == 5
    with pytest.raises(LockedError, match=f"process {process.pid} "):  # and asking changes nothing
        RunLock(path)


def test_the_lock_of_a_killed_holder_is_free(path, holder):
    process = holder()
    process.kill()
    process.wait()
    RunLock(path).release()


def test_a_child_of_a_killed_holder_does_not_keep_it(path, holder):
    process = holder("child")
    process.kill()
    process.wait()
    os.kill(process.child, 0)  # it is alive
    RunLock(path).release()


def test_two_holders_in_one_process_are_two(path):
    path.parent.mkdir()
    lock = RunLock(path)
    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        RunLock(path)
    lock.release()
    RunLock(path).release()


def test_the_file_stays_the_same_file(path):
    path.parent.mkdir()
    inodes = set()
    for _ in range(3):
        lock = RunLock(path)
        inodes.add(path.stat().st_ino)
        lock.release()
        inodes.add(path.stat().st_ino)
    assert len(inodes) == 1


@pytest.mark.parametrize("note", ["", "noise", "[]", '{"pid": 3}', "3", "\0" * 50, "\ud800"])
def test_a_note_that_cannot_be_read_still_locks(path, note):
    path.parent.mkdir()
    lock = RunLock(path)
    path.write_bytes(note.encode("utf-8", "surrogatepass"))
    with pytest.raises(LockedError, match="in use by another process"):
        RunLock(path)
    lock.release()


def test_a_folder_that_is_not_there_is_a_storage_error(path):
    with pytest.raises(StorageError, match="run"):
        RunLock(path)
