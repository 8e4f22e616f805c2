"""A search on a cluster whose workers, scheduler and client are killed: the same files as in one process."""

import random
import shutil
import signal
import time

import pytest
from executors.dask_processes import Cluster, wait_until
from faults.processes import finish, finished_in, kill, repeatedly, start, tiny_search, views

from hpsearch.run_directory.record import JOURNAL

KILL_SECONDS = 0.5


@pytest.fixture(scope="module")
def searches(tmp_path_factory, often):
    """A folder with a study, its command, a cluster, and the run in one process."""
    base = tmp_path_factory.mktemp("cluster")
    trials = often(150, 4000)
    search = tiny_search(base, trials)
    cluster = Cluster(base)
    try:
        cluster.add_worker()
        cluster.add_worker()

        finish(search("panda", "--mode", "panda"))
        yield base, search, cluster, trials
    finally:
        cluster.close()


def test_workers_of_a_cluster_that_are_killed_change_nothing(searches, seen):
    base, search, cluster, trials = searches
    process = start(search("workers", "--cluster", cluster.address))
    chance, killed = random.Random(0), set()

    def disturb():
        """Kill a worker, whose nanny starts another one."""
        if found := cluster.training_workers():
            killed.update(filter(kill, [chance.choice(found)]))

    with repeatedly(KILL_SECONDS, disturb):
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert sorted(finished_in(base / "workers" / JOURNAL)) == [*range(trials)], "each once"
    assert views(base / "workers") == views(base / "panda")
    assert killed
    seen(
        f"a Dask worker SIGKILL every {KILL_SECONDS:g} s",
        f"{len(killed)} deaths, none lost or twice, files as in panda",
    )


def test_a_search_that_is_killed_leaves_nothing_running_in_the_cluster(searches, seen):
    base, search, cluster, trials = searches
    journal = base / "client" / JOURNAL
    process = start(search("client", "--cluster", cluster.file))
    wait_until(lambda: len(finished_in(journal)) > 20 and cluster.trainers())
    kill(process.pid)
    process.communicate()
    ended = time.monotonic()
    wait_until(lambda: not cluster.trainers(), 10)
    seconds = time.monotonic() - ended
    shutil.copytree(base / "client", base / "stopped")
    finish(search("client", "--cluster", cluster.file))
    assert sorted(finished_in(journal)) == [*range(trials)], "each once"
    assert views(base / "client") == views(base / "panda")
    seen("the command SIGKILL, on a cluster", f"nothing trains after {seconds:.1f} s; files as in panda after going on")


def test_a_signal_ends_a_search_on_a_cluster_at_once(searches):
    base, search, cluster, _ = searches
    process = start(search("stopped", "--cluster", cluster.address))
    before = len(finished_in(base / "stopped" / JOURNAL))
    wait_until(lambda: len(finished_in(base / "stopped" / JOURNAL)) > before)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert process.returncode == -signal.SIGTERM
    assert errors.startswith("interrupted; ")
    assert f"--cluster {cluster.address}" in errors


def test_a_lost_scheduler_ends_the_search_which_goes_on_anywhere(searches, seen):
    base, search, cluster, trials = searches
    journal = base / "scheduler" / JOURNAL
    process = start(search("scheduler", "--cluster", cluster.address))
    wait_until(lambda: len(finished_in(journal)) > 20)
    cluster.end(cluster.scheduler)
    began = time.monotonic()
    _, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    assert process.returncode == 6
    known, error = errors.splitlines()
    assert known.startswith(f"no cluster; {len(finished_in(journal))} results are kept. To go on: hpsearch evolve ")
    assert error == f"hpsearch: error: {cluster.address}: the connection to the scheduler is lost"
    finish(search("scheduler", "-j", 2))
    assert sorted(finished_in(journal)) == [*range(trials)], "each once"
    assert views(base / "scheduler") == views(base / "panda")
    wait_until(lambda: not cluster.trainers(), 10)
    seen("the scheduler SIGKILL", f"exit 6 with the command to go on after {seconds:.1f} s; files as in panda after it")
