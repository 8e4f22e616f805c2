"""The cache of compiled code is whole and private, or it is not used.

These tests ask the functions that decide; test_fresh_processes.py compiles.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from engine.cases import COMPILED, copy_cache, file_of, garble, truncate

from hpsearch.engine import cache

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture
def folder(tmp_path):
    """A copy of the folder that this process has its kernels from."""
    return copy_cache(tmp_path)


DAMAGES = {
    "truncated index": lambda folder: truncate(file_of(folder, "*train*.nbi")),
    "truncated code": lambda folder: truncate(file_of(folder, "*train*.nbc")),
    "empty code": lambda folder: file_of(folder, "*evaluate*.nbc").write_bytes(b""),
    "one bit of the index": lambda folder: garble(file_of(folder, "*evaluate*.nbi")),
    "one bit of the code": lambda folder: garble(file_of(folder, "*initialise*.nbc")),
    "swapped codes": lambda folder: shutil.copy(file_of(folder, "*train*.nbc"), file_of(folder, "*evaluate*.nbc")),
    "missing code": lambda folder: file_of(folder, "*train*.nbc").unlink(),
    "no manifest (a killed compilation)": lambda folder: (folder / "manifest.json").unlink(),
    "truncated manifest": lambda folder: truncate(folder / "manifest.json"),
    "empty manifest": lambda folder: (folder / "manifest.json").write_text("{}"),
    "another manifest": lambda folder: (folder / "manifest.json").write_text(json.dumps(["x"])),
    "binary manifest": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_passes_as_whole(folder, damage):
    assert cache._is_whole(folder)
    DAMAGES[damage](folder)
    assert not cache._is_whole(folder)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As in a process that has no parent: XDG_CACHE_HOME decides; the environment is restored at the end."""
    monkeypatch.setenv(cache.INHERITED, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_made_private_whatever_the_umask(fresh):
    before = os.umask(0)
    try:
        folder = cache.cache_folder()
    finally:
        os.umask(before)
    assert folder.parent.parent == fresh
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache.cache_folder() == folder


def assert_not_used(folder, home):
    used = cache.cache_folder()
    assert used != folder
    assert home not in used.parents
    assert used.stat().st_mode & 0o777 == 0o700
    assert not list(used.iterdir())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_not_used(fresh, monkeypatch, mode):
    folder = cache.cache_folder()
    folder.chmod(mode)
    assert_not_used(folder, fresh)  # said by the parent's variable
    monkeypatch.setenv(cache.INHERITED, "")
    assert_not_used(folder, fresh)  # found under XDG_CACHE_HOME


def test_a_link_is_not_used(fresh, monkeypatch, tmp_path_factory):
    folder = cache.cache_folder()
    elsewhere = tmp_path_factory.mktemp("elsewhere", numbered=True)
    elsewhere.chmod(0o700)
    shutil.rmtree(folder)
    folder.symlink_to(elsewhere)
    monkeypatch.setenv(cache.INHERITED, "")
    assert_not_used(folder, fresh)


def test_where_no_folder_can_be_made(fresh, monkeypatch):
    """Then a temporary one serves this process and its children."""
    (fresh / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    used = cache.cache_folder()
    assert used.is_dir()
    assert fresh not in used.parents
    assert Path(os.environ[cache.INHERITED]) == used
    assert cache.cache_folder() == used


def test_the_key_follows_what_the_code_depends_on(monkeypatch):
    key = cache._key()
    assert cache._key() == key
    monkeypatch.setattr(cache, "_processor", lambda: "another")
    assert cache._key() != key
    monkeypatch.undo()
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert cache._key() != key
    monkeypatch.undo()
    monkeypatch.setattr(cache.importlib.metadata, "version", lambda name: "0" if name == "numba" else "1")
    assert cache._key() != key
