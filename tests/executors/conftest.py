"""Executors of both kinds over the same data."""

from functools import partial

import pytest
from executors.dask_processes import Cluster
from executors.driving import SETTINGS, SHORT, by_number, gather

from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.executors.cluster import ClusterExecutor
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


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory):
    """A scheduler and two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.add_worker()
        cluster.add_worker(nanny=False)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def clustered(shared_wine, dask_cluster):
    """A function that makes an executor on the cluster, closed at the end of the test."""
    made = []

    def make(*, seed=SETTINGS.seed, folder=shared_wine, mixed=False, announce=lambda _: None, **limits):
        settings = TrialSettings(seed, SETTINGS.metric, **limits)
        made.append(ClusterExecutor(dask_cluster.address, folder, settings, mixed=mixed, announce=announce))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.fixture(params=["panda", "caviar-1", "caviar-2", "caviar-3", "cluster"])
def executor_kind(request, panda):
    """A function that makes an executor, once for each kind and number of jobs."""
    name, _, jobs = request.param.partition("-")
    if name == "panda":
        return panda
    make = request.getfixturevalue("clustered" if name == "cluster" else "caviar")
    return partial(make, int(jobs)) if jobs else make


@pytest.fixture(scope="session")
def undisturbed(panda):
    """A function that runs trials one after the other: what every executor must find, by number."""
    return lambda trials: by_number(gather(panda(), trials))


@pytest.fixture(scope="session")
def expected(undisturbed):
    return undisturbed(SHORT)
