"""The cache of compiled code is whole and private, or it is not used.

These tests ask the functions that decide, with something else for a compiler; test_fresh_processes.py compiles.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine.cases import COMPILED, ROOT, copy_cache

from hpsearch.engine import cache

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


def leave_parent(monkeypatch, home):
    """As in a process that has no parent: XDG_CACHE_HOME decides; the environment is restored at the end."""
    monkeypatch.setenv(cache.INHERITED, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A home without any cache."""
    leave_parent(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A copy of the folder that this process has its kernels from, in a home of its own."""
    copied = copy_cache(tmp_path)
    leave_parent(monkeypatch, tmp_path)
    return copied


# --- Damage ---


def change_bit(path, place):
    """The length stays, and no reader need notice."""
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def repeat_line(path):
    """What is behind the checksum stays as long as it was and has another order."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:32] + content[middle:] + content[32:middle])


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "one byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "half a checksum": lambda path: path.write_bytes(path.read_bytes()[:16]),
    "nothing behind the checksum": lambda path: path.write_bytes(hashlib.sha256(b"").digest()),
    "a bit of the checksum": lambda path: change_bit(path, 0),
    "a bit of the functions' names": lambda path: change_bit(path, 0.001),
    "a bit of the code": lambda path: change_bit(path, 0.5),
    "the last bit": lambda path: change_bit(path, 1),
    "another order": repeat_line,
    "no checksum": lambda path: path.write_bytes(path.read_bytes()[32:]),
    "missing": lambda path: path.unlink(),
    "a folder in its place": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_passes_as_whole(folder, damage):
    assert cache.is_compiled()
    DAMAGES[damage](folder / cache.OBJECT)
    assert cache._read(folder) is None
    assert not cache.is_compiled()


class Compiler:
    """Stands for the child process that compiles: takes its time, hands over what is known, and counts."""

    def __init__(self, content, seconds=0.0):
        self.content, self.seconds, self.calls = content, seconds, 0

    def __call__(self):
        self.calls += 1
        time.sleep(self.seconds)
        return self.content


@pytest.fixture
def compiler(monkeypatch, folder):
    made = Compiler((folder / cache.OBJECT).read_bytes()[32:])
    monkeypatch.setattr(cache, "_compile", made)
    return made


def test_what_is_whole_is_not_compiled_again(folder, compiler):
    said = []
    kinds, code = cache._object_code(said.append)
    assert (compiler.calls, said) == (0, [])
    assert "hpsearch_train" in kinds
    assert code[:4] == b"\x7fELF" or sys.platform != "linux"


@pytest.mark.parametrize("damage", list(DAMAGES)[:-1])
def test_what_is_damaged_is_compiled_anew_and_said(folder, compiler, damage):
    whole = (folder / cache.OBJECT).read_bytes()
    DAMAGES[damage](folder / cache.OBJECT)
    said = []
    cache._object_code(said.append)
    assert compiler.calls == 1
    assert len(said) == 1
    assert (folder / cache.OBJECT).read_bytes() == whole
    cache._object_code(said.append)
    assert compiler.calls == 1
    assert len(said) == 1


def test_of_many_that_begin_at_once_one_compiles(folder, compiler):
    (folder / cache.OBJECT).unlink()
    compiler.seconds = 0.2
    found, begin = [], threading.Barrier(6)

    def start():
        begin.wait()
        found.append(cache._object_code(lambda _: None))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiler.calls == 1
    assert len(found) == 6
    assert all(one == found[0] for one in found)


def test_ensuring_that_it_is_compiled_loads_nothing(folder, compiler, monkeypatch):
    monkeypatch.setattr(cache, "_loaded", {})
    (folder / cache.OBJECT).unlink()
    cache.ensure_compiled(lambda _: None)
    assert cache.is_compiled()
    assert not cache._loaded


def test_a_compiler_that_fails_says_why_and_leaves_nothing(folder, monkeypatch):
    (folder / cache.OBJECT).unlink()
    monkeypatch.setattr(cache, "KERNELS", "hpsearch.engine.no_such_kernels")
    with pytest.raises(RuntimeError, match=r"(?s)cannot be compiled.*no_such_kernels"):
        cache._object_code(lambda _: None)
    assert not (folder / cache.OBJECT).exists()


def test_a_compiler_that_says_more_than_a_pipe_holds(folder, monkeypatch):
    """A verbose Python fills any pipe that nobody reads; here before it fails."""
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    monkeypatch.setattr(cache, "KERNELS", "hpsearch.engine.no_such_kernels")
    errors = []

    def fail():
        with pytest.raises(RuntimeError) as error:
            cache._compile()
        errors.append(error)

    thread = threading.Thread(target=fail, daemon=True)
    thread.start()
    thread.join(60)
    assert errors


def test_older_versions_are_removed_but_a_few(folder, compiler):
    for age in range(12):
        other = folder.parent / f"version{age}"
        other.mkdir()
        (other / "lock").touch()
        os.utime(other, (age, age))
    (folder / cache.OBJECT).unlink()
    cache._object_code(lambda _: None)
    left = {path.name for path in folder.parent.iterdir()}
    assert left == {folder.name, *(f"version{age}" for age in range(12 - cache.KEPT_VERSIONS + 1, 12))}


# --- Whose folder it is ---


def test_the_folder_is_made_private_whatever_the_umask(fresh):
    before = os.umask(0)
    try:
        folder = cache.cache_folder()
    finally:
        os.umask(before)
    assert folder.parent == fresh / "hpsearch"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache.cache_folder() == folder  # now said by the parent's variable


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


def test_a_folder_of_another_user_is_not_used(folder, monkeypatch):
    """Nor the code that is in it, though it is whole."""
    home = folder.parents[1]
    assert cache.cache_folder() == folder
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert not cache._is_private(folder)
    assert_not_used(folder, home)
    monkeypatch.setenv(cache.INHERITED, "")
    assert_not_used(folder, home)
    assert not cache.is_compiled()


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


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is unwritable for root")
def test_where_nothing_can_be_written(fresh, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh))
    fresh.chmod(0o500)
    used = cache.cache_folder()
    fresh.chmod(0o700)
    assert fresh not in used.parents


def test_a_temporary_folder_goes_with_its_process(fresh):
    (fresh / "file").touch()
    code = "from hpsearch.engine import cache; print(cache.cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(fresh / "file"), "TMPDIR": str(fresh)},
    )  # fmt: skip
    used = Path(done.stdout.strip())
    assert used.parent.parent == fresh
    assert not used.parent.exists()


def test_a_parent_s_folder_of_another_version_is_not_used(fresh, monkeypatch):
    other = fresh / "hpsearch" / "another"
    other.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv(cache.INHERITED, str(other))
    assert cache.cache_folder().name == cache._key()


# --- The key ---


@pytest.fixture
def sources(monkeypatch, tmp_path):
    """A copy of the engine's sources, which the key is made from."""
    engine = Path(shutil.copytree(Path(cache.__file__).parent, tmp_path / "engine"))
    monkeypatch.setattr(cache, "__file__", str(engine / "cache.py"))
    return engine


def test_the_key_follows_every_source_of_the_code(sources):
    """Also a new one; not what only calls it."""
    keys = [cache._key()]
    parts = [*(sources / "kernels").glob("*.py"), *(sources / "places").glob("*.py")]
    parts += [sources / "layout.py", sources / "hyperparameters.py"]
    assert len(parts) > 15
    for part in parts:
        part.write_text(part.read_text() + "# changed\n")
        keys.append(cache._key())
    (sources / "kernels" / "another.py").touch()
    keys.append(cache._key())
    assert len(set(keys)) == len(parts) + 2
    for name in ("network.py", "sparse.py", "__init__.py"):
        before = cache.software()
        (sources / name).write_text("# changed\n")
        assert cache._key() == keys[-1]
        assert (cache.software() != before) == (name != "__init__.py"), "the bits of a result may be others"


def test_every_module_that_kernels_import_is_in_the_key(sources):
    """Else a change of it would leave old code in use."""
    code = (
        "import sys; before = set(sys.modules); import hpsearch.engine.kernels.training;"
        "print([sys.modules[name].__file__ for name in sorted(set(sys.modules) - before) if 'hpsearch' in name])"
    )
    env = {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    files = [Path(name).relative_to(ROOT / "hpsearch") for name in json.loads(done.stdout.replace("'", '"'))]
    named = {file for file in files if file.parts[0] == "engine" and file.name != "__init__.py"}
    known = {
        file.relative_to(sources.parent)
        for file in [*(sources / "kernels").glob("*.py"), *(sources / "places").glob("*.py")]
    } | {Path("engine/layout.py"), Path("engine/hyperparameters.py")}
    assert named <= known
    assert len(named) > 15


def test_the_key_follows_processor_versions_and_switches(monkeypatch):
    key = cache._key()
    assert cache._key() == key
    monkeypatch.setattr(cache, "processor", lambda: "another")
    assert cache._key() != key
    monkeypatch.undo()
    for changed in ("numba", "llvmlite", "numpy"):
        version = cache.importlib.metadata.version
        monkeypatch.setattr(
            cache.importlib.metadata, "version", lambda name, c=changed, v=version: "0" if name == c else v(name)
        )
        assert cache._key() != key
        monkeypatch.undo()
    monkeypatch.setattr(sys, "version", "3.99")
    assert cache._key() != key


@pytest.mark.parametrize(
    "name", ["NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT", "NUMBA_LOOP_VECTORIZE", "NUMBA_DISABLE_INTEL_SVML"]
)
def test_the_key_follows_what_changes_the_code(monkeypatch, name):
    key = cache._key()
    monkeypatch.setenv(name, "1")
    assert cache._key() != key


@pytest.mark.parametrize("name", cache.WITHOUT_EFFECT)
def test_the_key_does_not_follow_what_changes_nothing(monkeypatch, name):
    key = cache._key()
    monkeypatch.setenv(name, "1")
    assert cache._key() == key


def test_threads_that_start_the_engine_at_once_get_the_same_machine(monkeypatch):
    """A second one would take the place of the first, and free its code under whoever runs it."""
    made = []

    def slow_machine(*_):
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    monkeypatch.setattr(cache, "_loaded", {})
    monkeypatch.setattr(cache, "Machine", slow_machine)
    monkeypatch.setattr(cache, "_is_uncompiled", lambda: False)
    monkeypatch.setattr(cache, "_object_code", lambda _: ({}, b""))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.load_kernels(), range(8)))
    assert len(made) == 1
    assert found == made * 8
