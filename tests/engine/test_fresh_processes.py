"""What only a fresh Python can show: damaged caches are compiled anew, no array is left, the bits are the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine import all_shapes, fences
from engine.cases import COMPILED, HERE, ROOT, finish_script, run_script, start_script

from hpsearch.engine import cache
from hpsearch.engine.network import start_engine

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture(scope="module")
def here():
    """The last losses and the digest of the same networks in this process."""
    return all_shapes.run_all()


@pytest.fixture(scope="module")
def digest(here):
    return here[1]


@pytest.mark.parametrize("side", fences.SIDES)
def test_no_stage_leaves_its_arrays(digest, side):
    """Trainings of all shapes and options with every array at one edge of its page, beyond which nobody may read."""
    assert run_script("all_shapes.py", side)["digest"] == digest


def test_uncompiled_every_index_is_in_its_array(here, long_run):
    """Of every fifth network: NumPy checks. Losses are the same but for the order of sums, which grows to 8e-5."""
    answer = long_run("all_shapes_uncompiled")
    assert answer["numba"]
    assert answer["losses"] == pytest.approx(here[0][::5], rel=5e-4)


@pytest.mark.parametrize(("side", "allowed", "too_many"), [("end", 4, 5), ("start", 1, 2)])
def test_a_fence_stops_whoever_leaves(side, allowed, too_many):
    """Else the test before would say nothing: of one row more than there are, the process dies."""
    assert run_script("fences.py", side, str(allowed)) is None
    process = start_script("fences.py", side, str(too_many))
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGSEGV, -signal.SIGBUS}


def test_two_processes_give_the_same_bits(digest):
    """Weights, curves and predictions of all networks, whatever the order of sets and dictionaries."""
    start_engine()  # so that both load what was compiled
    both = [start_script("all_shapes.py", PYTHONHASHSEED=seed) for seed in ("1", "2")]
    answers = [finish_script(process) for process in both]
    assert [answer["announced"] for answer in answers] == [0, 0]
    assert [answer["digest"] for answer in answers] == [digest, digest]


def test_who_finds_the_code_compiled_needs_no_compiler():
    """Every option and shape is trained, evaluated and predicted without Numba, where it is not even installed."""
    path = str(HERE / "all_shapes.py")
    code = (
        f"import runpy, sys; sys.modules['numba'] = None; sys.path[:0] = {[str(ROOT), str(HERE.parent)]}; "
        f"sys.argv = [{path!r}]; runpy.run_path({path!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid):
    """Neither gone nor only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_compilation_ends_with_the_process_that_wants_it(tmp_path):
    """Killed outright, it leaves no compiler behind, no file, and no lock that keeps the next one waiting."""
    code = "from hpsearch.engine.network import start_engine; start_engine()"
    env = {name: value for name, value in os.environ.items() if name != cache.INHERITED}
    env |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    wait_until(lambda: children_of(process))
    (compiler,) = children_of(process)
    time.sleep(0.5)  # well within Numba
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(compiler))
    (folder,) = (tmp_path / "hpsearch").iterdir()
    assert cache._read(folder) is None
    with (folder / "lock").open("w") as lock:
        cache.fcntl.flock(lock, cache.fcntl.LOCK_EX | cache.fcntl.LOCK_NB)


def test_a_damaged_file_is_compiled_anew_and_once(long_run, digest):
    """One of two compiles, the other waits for it; both say so, and both have the bits of what was compiled before.

    Neither loads Numba itself.
    """
    home, answers = long_run("two_on_a_damaged_cache")
    for answer in answers:
        assert answer["announced"] == 1
        assert answer["digest"] == digest
        assert not answer["numba"]
    again = run_script("all_shapes.py", XDG_CACHE_HOME=str(home))
    assert again["announced"] == 0
    assert again["digest"] == digest
    (folder,) = (home / "hpsearch").iterdir()
    assert cache._read(folder) is not None
    assert folder.stat().st_mode & 0o777 == 0o700
