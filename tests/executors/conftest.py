"""Executors of both kinds over the same data."""

import pytest
from executors.driving import SETTINGS, SHORT, by_number, gather

from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.executors.panda import PandaExecutor
from hpsearch.trial import TrialSettings


@pytest.fixture
def caviar(shared_wine):
    """A function that makes a caviar executor, closed at the end of the test."""
    made = []

    def make(jobs, *, seed=SETTINGS.seed, **limits):
        made.append(CaviarExecutor(shared_wine, TrialSettings(seed, SETTINGS.metric, **limits), jobs))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.fixture(scope="session")
def panda(wine):
    """A function that makes a panda executor."""

    def make(*, seed=SETTINGS.seed, watch=lambda *_: None, should_stop=lambda: False, **limits):
        return PandaExecutor(lambda _: wine, TrialSettings(seed, SETTINGS.metric, **limits), watch, should_stop)

    return make


@pytest.fixture(params=["panda", "caviar-1", "caviar-2", "caviar-3"])
def executor_kind(request, caviar, panda):
    """A function that makes an executor, once for each kind and number of jobs."""
    name, _, jobs = request.param.partition("-")
    return panda if name == "panda" else lambda **options: caviar(int(jobs), **options)


@pytest.fixture(scope="session")
def undisturbed(panda):
    """A function that runs trials one after the other: what every executor must find, by number."""
    return lambda trials: by_number(gather(panda(), trials))


@pytest.fixture(scope="session")
def expected(undisturbed):
    return undisturbed(SHORT)
