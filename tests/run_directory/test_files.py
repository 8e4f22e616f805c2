"""A file is replaced as a whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch import files
from hpsearch.errors import StorageError
from hpsearch.files import storage_errors, write_atomically

OLD, NEW = b"old content", b"new content" * 1000


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "view.csv"
    file.write_bytes(OLD)
    return file


def refused(path):
    with pytest.raises(StorageError) as caught:
        write_atomically(path, NEW)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    return str(caught.value)


def test_new_content_takes_the_place_of_the_old(path):
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW
    write_atomically(path, b"")
    assert path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_old_content_stays_when_the_disk_fails(path, monkeypatch, call, error):
    def fail(*arguments):
        raise OSError(error, os.strerror(error))

    owner = files.os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, fail)
    assert os.strerror(error) in refused(path)
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


def test_the_old_content_stays_when_the_disk_is_full(path):
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.symlink_to("/dev/full")  # what is written goes where every write says "no space left"
    assert "No space left" in refused(path)
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", ["nowhere/view.csv", "view.csv/inside.csv"])
def test_a_folder_that_is_none_is_named(path, place):
    refused(path.parent / place)
    assert path.read_bytes() == OLD


def test_a_folder_that_takes_no_files_is_named():
    refused(Path("/proc/hpsearch-view.csv"))  # nobody may write there, not even root


@pytest.mark.skipif(os.getuid() == 0, reason="root may write into a read-only folder")
def test_the_old_content_stays_in_a_read_only_folder(path):
    path.parent.chmod(0o555)
    refused(path)
    path.parent.chmod(0o755)
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_kill_in_the_middle_leaves_the_old_content(path, call):
    script = (
        "import os, pathlib, signal, sys\nfrom hpsearch import files\n"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{'files.os.fsync' if call == 'fsync' else 'pathlib.Path.replace'} = die\n"
        "files.write_atomically(pathlib.Path(sys.argv[1]), b'new')"
    )
    process = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == OLD


def test_an_error_names_the_file_that_it_came_from(tmp_path):
    with pytest.raises(StorageError, match="inner"), storage_errors(tmp_path):
        (tmp_path / "inner").read_bytes()
    with pytest.raises(StorageError, match="outer: Input/output error"), storage_errors(Path("outer")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
