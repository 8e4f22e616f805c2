"""What only a fresh Python can show: damaged caches are compiled anew, no array is left, the bits are the same.

One compilation of about 12 s: two processes start on one damaged cache while others train between fences.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine import all_shapes, fences
from engine.cases import COMPILED, HERE, ROOT, copy_cache, finish_script, run_script, start_script, truncate

from hpsearch.engine import cache
from hpsearch.engine.network import start_engine

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An XDG_CACHE_HOME whose cache is damaged."""
    home = tmp_path_factory.mktemp("home")
    truncate(copy_cache(home) / cache.OBJECT)
    return home


@pytest.fixture(scope="module")
def here():
    """The last losses and the digest of the same networks in this process."""
    return all_shapes.run_all()


@pytest.fixture(scope="module")
def digest(here):
    return here[1]


@pytest.fixture(scope="module")
def answers(home, digest):
    """What the two processes say: one that waited, one that compiled. All other tests of this file come meanwhile."""
    processes = [start_script("all_shapes.py", XDG_CACHE_HOME=str(home)) for _ in range(2)]
    yield lambda: sorted((finish_script(process) for process in processes), key=lambda answer: answer["announced"])
    for process in processes:
        process.kill()


@pytest.fixture(scope="module", autouse=True)
def early(answers):
    """They start before the first test."""


@pytest.mark.parametrize("side", fences.SIDES)
def test_no_stage_leaves_its_arrays(digest, side):
    """Trainings of all shapes and options with every array at one edge of its page, beyond which nobody may read."""
    assert run_script("all_shapes.py", side)["digest"] == digest


def test_uncompiled_every_index_is_in_its_array(here):
    """Of every fifth network: NumPy checks. The losses are the same but for the order of sums, which grows to 8e-5 at most."""
    answer = run_script("all_shapes.py", NUMBA_DISABLE_JIT="1", PYTHONWARNINGS=None)
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


# Last, for by now the compilation is done.


def test_a_damaged_file_is_compiled_anew_and_once(home, answers, digest):
    """One of two compiles, the other waits for it; both say so, and both have the bits of what was compiled before.

    Neither loads Numba itself.
    """
    waited, compiled = answers()
    assert (waited["announced"], compiled["announced"]) == (1, 1)
    assert waited["digest"] == compiled["digest"] == digest
    assert not waited["numba"]
    assert not compiled["numba"]
    again = run_script("all_shapes.py", XDG_CACHE_HOME=str(home))
    assert again["announced"] == 0
    assert again["digest"] == digest
    (folder,) = (home / "hpsearch").iterdir()
    assert cache._read(folder) is not None
    assert folder.stat().st_mode & 0o777 == 0o700
