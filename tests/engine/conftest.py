"""The one compilation of these tests, which takes as long as many of them, goes on beside them."""

import pytest
from engine.cases import COMPILED, copy_cache, start_script, truncate

from hpsearch.engine import cache


@pytest.fixture(scope="session")
def damaged_home(tmp_path_factory):
    """An XDG_CACHE_HOME whose cache is damaged."""
    home = tmp_path_factory.mktemp("home")
    truncate(copy_cache(home) / cache.OBJECT)
    return home


@pytest.fixture(scope="session")
def two_on_one_home(damaged_home):
    """Two processes that start there at once."""
    processes = [start_script("all_shapes.py", XDG_CACHE_HOME=str(damaged_home)) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture(scope="session", autouse=True)
def compile_beside_the_other_tests(request):
    """Begin at once if it will be asked for."""
    if COMPILED and any("two_on_one_home" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("two_on_one_home")
