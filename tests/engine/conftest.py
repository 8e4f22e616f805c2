"""What takes long in other processes goes on beside the tests of this one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from engine.cases import COMPILED, HERE, copy_cache, finish_script, run_script, start_script, truncate
from engine.other_processor import PROCESSORS, can_run

from hpsearch.engine import cache


def two_on_a_damaged_cache(tmp_path_factory):
    """(home, answers) of two processes that start on it at once, of which one must compile."""
    home = tmp_path_factory.mktemp("home")
    truncate(copy_cache(home) / cache.OBJECT)
    processes = [start_script("all_shapes.py", XDG_CACHE_HOME=str(home)) for _ in range(2)]
    return home, [finish_script(process) for process in processes]


def gradients(_):
    return run_script("gradients_uncompiled.py", NUMBA_DISABLE_JIT="1", PYTHONWARNINGS=None)


def all_shapes_uncompiled(_):
    return run_script("all_shapes.py", NUMBA_DISABLE_JIT="1", PYTHONWARNINGS=None)


def on_other_processors(_):
    """Answers by processor, for those whose code this one can run."""
    return {
        processor: run_script("other_processor.py", NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
        for processor, (name, features, _) in PROCESSORS.items()
        if can_run(features)
    }


# In the order in which they are asked for.
LONG_RUNS = {
    "test_fresh_processes.py": [two_on_a_damaged_cache, all_shapes_uncompiled],
    "test_gradients.py": [gradients],
    "test_processors.py": [on_other_processors],
}


@pytest.fixture(scope="session")
def long_run(request, tmp_path_factory):
    """A function that waits for what one of LONG_RUNS returns; those begin whose tests will come."""
    files = {item.path.name for item in request.session.items}
    wanted = [run for file, runs in LONG_RUNS.items() if file in files for run in runs if COMPILED or run is gradients]
    with ThreadPoolExecutor(1) as pool:
        found = {run.__name__: pool.submit(run, tmp_path_factory) for run in wanted}
        yield lambda name: found[name].result()
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session", autouse=True)
def _begin(request):
    """At once, before the first test; asked for in such a way that it does not count as a use."""
    request.getfixturevalue("long_run")


def pytest_collection_modifyitems(items):
    """Who waits for a long run comes last."""
    items.sort(key=lambda item: "long_run" in item.fixturenames and item.path.parent == HERE)
