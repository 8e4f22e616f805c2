"""What only a cluster can meet: workers that cannot see the data, that are others than we think, that come and go."""

import gc
import threading
from dataclasses import replace

import pytest
from executors.dask_processes import Cluster
from executors.driving import ENDLESS, LONG, SETTINGS, SHORT, by_number, gather, until
from faults.processes import kill

from hpsearch.errors import ClusterError, ConfigError
from hpsearch.executors import cluster as module
from hpsearch.executors.cluster import ClusterExecutor
from hpsearch.trial import Trial, TrialState


@pytest.fixture
def own_cluster(tmp_path):
    """A cluster that a test may break."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


@pytest.fixture
def executor_on(shared_wine):
    """A function that makes an executor on a cluster, closed at the end of the test."""
    made = []

    def make(cluster, *, folder=shared_wine, mixed=False, announce=lambda _: None):
        made.append(ClusterExecutor(cluster.address, folder, SETTINGS, mixed=mixed, announce=announce))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def test_trials_that_are_short_go_out_many_at_a_time(clustered, undisturbed):
    trials = [Trial(number, SHORT[number % 3].config) for number in range(120)]
    with clustered() as executor:
        found = by_number(gather(executor, trials))
        assert found == undisturbed(trials)
        assert executor._batches < 60


def test_what_a_worker_did_not_come_to_before_it_was_sent_away_is_run_elsewhere(clustered, undisturbed):
    """It ends in good order, with the results that it has."""
    trials = [Trial(number, SHORT[number % 3].config) for number in range(120)]
    with clustered() as executor:
        take, cut = executor._take, []

        def take_a_part(number, batch, outcome):
            if len(batch) > 1 and len(cut) < 3:
                cut.append(number)
                outcome = replace(outcome, results=outcome.results[:1])
            return take(number, batch, outcome)

        executor._take = take_a_part
        assert by_number(gather(executor, trials)) == undisturbed(trials)
        assert len(cut) == 3


def test_a_scheduler_is_found_by_its_file(dask_cluster, shared_wine, expected):
    with ClusterExecutor(
        str(dask_cluster.file), shared_wine, SETTINGS, mixed=False, announce=lambda _: None
    ) as executor:
        assert executor.slots == 2
        assert by_number(gather(executor, SHORT[:2])) == {number: expected[number] for number in range(2)}


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("nowhere.json", ConfigError, "it must be tcp://HOST:PORT, or a file written by dask scheduler"),
        ("tcp://127.0.0.1:1", ClusterError, "no scheduler there"),
        ("pigeon://127.0.0.1:1", ClusterError, "no scheduler there"),
    ],
)
def test_an_address_where_no_scheduler_is(monkeypatch, shared_wine, address, error, says):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    with pytest.raises(error, match=says) as caught:
        ClusterExecutor(address, shared_wine, SETTINGS, mixed=False, announce=lambda _: None)
    assert str(caught.value).startswith(f"--cluster {address}: ")
    del caught
    gc.collect()  # a client without a scheduler blocks the thread in which it is collected


def test_a_trial_waits_for_the_first_worker(own_cluster, executor_on, expected):
    said = []
    executor = executor_on(own_cluster, announce=said.append)
    executor.submit(SHORT[0])
    assert executor.wait(0.5) == []
    assert said == [f"{own_cluster.address}: there is no worker; waiting for one"]
    own_cluster.add_worker()
    results = []
    until(lambda: results.extend(executor.wait(0.1)) or results)
    assert by_number(results) == {0: expected[0]}


def test_workers_that_do_not_see_the_data_are_sent_them_once(own_cluster, executor_on, expected, shared_wine):
    hiding = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"']
    own_cluster.add_worker(before=[*hiding, shared_wine])
    own_cluster.add_worker()
    said = []
    with executor_on(own_cluster, announce=said.append) as executor:
        assert by_number(gather(executor, SHORT)) == expected
        assert by_number(gather(executor, SHORT)) == expected
    assert len(said) == 1
    assert said[0].endswith(f"does not see {shared_wine}; sending the data")


def test_data_that_are_others_under_the_same_name_are_not_used(own_cluster, executor_on, expected, shared_wine):
    changing = 'mount -t tmpfs tmpfs "$0" && mkdir "$0/0" && echo {} > "$0/0/meta.json" && exec "$@"'
    own_cluster.add_worker(
        before=["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", changing, shared_wine]
    )
    with executor_on(own_cluster) as executor:
        assert by_number(gather(executor, SHORT[:2])) == {number: expected[number] for number in range(2)}


def test_workers_of_other_processors_are_refused_unless_allowed(own_cluster, executor_on, tmp_path):
    pretence = tmp_path / "pretence.py"
    pretence.write_text("from hpsearch.executors import cluster_worker\ncluster_worker.processor = lambda: 'Abacus'")
    own_cluster.add_worker()
    own_cluster.add_worker("--preload", pretence)
    trials = [Trial(number, LONG) for number in range(6)]
    with executor_on(own_cluster) as executor, pytest.raises(ConfigError, match="has another processor than tcp:"):
        gather(executor, trials)
    with executor_on(own_cluster, mixed=True) as executor:
        assert len({result.worker for result in gather(executor, trials)}) == 2


def test_a_worker_of_another_version_is_refused(own_cluster, executor_on, monkeypatch):
    own_cluster.add_worker()
    here = module.cluster_worker.software()
    monkeypatch.setattr(module.cluster_worker, "software", lambda: here | {"numpy": "1.2.3"})
    with executor_on(own_cluster) as executor, pytest.raises(ConfigError, match=r"numpy \S+ there, 1\.2\.3 here"):
        gather(executor, SHORT[:1])


def test_a_worker_without_hpsearch_is_named(own_cluster, executor_on, tmp_path):
    broken = tmp_path / "broken" / "hpsearch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('none of it here')")
    own_cluster.add_worker(environment={"PYTHONPATH": str(broken.parent)})
    with (
        executor_on(own_cluster) as executor,
        pytest.raises(ConfigError, match=r"cannot load hpsearch \(none of it here"),
    ):
        gather(executor, SHORT[:1])


def test_workers_die_and_join_while_trials_run(own_cluster, executor_on, undisturbed):
    first, second = own_cluster.add_worker(), own_cluster.add_worker()
    trials = [Trial(number, LONG) for number in range(16)]
    timers = [
        threading.Timer(1.0, own_cluster.end, [first]),
        threading.Timer(1.5, own_cluster.add_worker),
        threading.Timer(3.0, own_cluster.end, [second]),
    ]
    for timer in timers:
        timer.start()
    with executor_on(own_cluster) as executor:
        results = gather(executor, trials)
    for timer in timers:
        timer.join()
    assert by_number(results) == undisturbed(trials)
    assert {result.worker for result in results} >= {0, 1}


def test_a_trial_whose_dask_workers_always_die_fails_and_the_others_do_not(tmp_path, executor_on, expected):
    cluster = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        cluster.add_worker()
        executor, killed = executor_on(cluster), set()

        def kill_what_trains():
            """A worker whose nanny starts another one; it may be seen once more while it dies."""
            killed.update(filter(kill, cluster.training_workers()))

        results = gather(executor, [Trial(100, ENDLESS)], kill_what_trains)
        assert results[0].state is TrialState.FAIL
        assert results[0].error == "crashed: Dask workers died of it again and again"
        assert len(killed) == module.MAX_DEATHS_ALONE
        assert by_number(gather(executor, SHORT)) == expected
    finally:
        cluster.close()


def test_a_lost_scheduler_is_an_error_and_nothing_goes_on(own_cluster, executor_on):
    own_cluster.add_worker()
    with executor_on(own_cluster) as executor:
        executor.submit(Trial(0, ENDLESS))
        until(lambda: executor.wait(0.1) == [] and own_cluster.trainers())
        own_cluster.end(own_cluster.scheduler)
        with pytest.raises(ClusterError, match="the connection to the scheduler is lost"):
            until(lambda: executor.wait(0.1))
    until(lambda: not own_cluster.trainers())


def test_what_is_abandoned_ends_in_the_cluster_too(clustered, dask_cluster):
    with clustered() as executor:
        for number in range(2):
            executor.submit(Trial(number, ENDLESS))
        until(lambda: executor.wait(0.05) == [] and len(dask_cluster.trainers()) == 2)
    until(lambda: not dask_cluster.trainers())
