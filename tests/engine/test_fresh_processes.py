"""What only a fresh Python can show: damaged caches are compiled anew, every index is checked, the bits are the same.

Two compilations of about 12 s, side by side: two processes start on one damaged cache, a third checks every index.
"""

import pytest
from engine import all_shapes
from engine.cases import COMPILED, copy_cache, file_of, finish_script, garble, run_script, start_script, truncate

from hpsearch.engine import cache
from hpsearch.engine.network import start_engine

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An XDG_CACHE_HOME whose cache has two damaged files."""
    home = tmp_path_factory.mktemp("home")
    folder = copy_cache(home)
    truncate(file_of(folder, "*evaluate*.nbi"))
    garble(file_of(folder, "*train*.nbc"))
    return home


@pytest.fixture(scope="module")
def answers(home, tmp_path_factory):
    """What the three processes say: one that waited, one that compiled, one that checks indices."""
    own_home = tmp_path_factory.mktemp("checked")
    processes = [start_script("all_shapes.py", XDG_CACHE_HOME=str(home)) for _ in range(2)]
    processes.append(start_script("all_shapes.py", XDG_CACHE_HOME=str(own_home), NUMBA_BOUNDSCHECK="1"))
    *two, checked = [finish_script(process) for process in processes]
    return *sorted(two, key=lambda answer: answer["announced"]), checked


@pytest.fixture(scope="module")
def losses():
    """The same networks in this process."""
    return all_shapes.run_all()[0]


def test_damaged_files_are_compiled_anew_and_once(answers, losses):
    """One of two compiles, the other waits for it; both say so, and both have the same bits."""
    waited, compiled, _ = answers
    assert (waited["announced"], compiled["announced"]) == (1, 1)
    assert waited["digest"] == compiled["digest"]
    for answer in (waited, compiled):
        assert answer["losses"] == pytest.approx(losses, rel=1e-6)


def test_the_next_start_finds_all_whole(home, answers):
    again = run_script("all_shapes.py", XDG_CACHE_HOME=str(home))
    assert again["announced"] == 0
    assert again["digest"] == answers[0]["digest"]
    (folder,) = (home / "hpsearch").iterdir()
    assert cache._is_whole(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_index_leaves_its_array(answers, losses):
    """192 networks of all shapes with every index checked."""
    *_, checked = answers
    assert checked["bounds checked"]
    assert checked["losses"] == pytest.approx(losses, rel=1e-6)
    assert len(losses) == 192


def test_two_processes_give_the_same_bits():
    """Weights, curves and predictions of 192 networks, whatever the order of sets and dictionaries."""
    start_engine()  # so that both load what was compiled
    both = [start_script("all_shapes.py", PYTHONHASHSEED=seed) for seed in ("1", "2")]
    answers = [finish_script(process) for process in both]
    assert [answer["announced"] for answer in answers] == [0, 0]
    assert answers[0]["digest"] == answers[1]["digest"]
