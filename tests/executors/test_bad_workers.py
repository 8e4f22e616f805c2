"""Workers that die or stop at the worst of moments: before they begin, and in the middle of a message."""

import shutil
import time

import pytest
from executors import bad_workers
from executors.driving import SETTINGS, SHORT, by_number, gather

from hpsearch.executors.caviar import CaviarExecutor, WorkersDieError
from hpsearch.trial import TrialSettings, TrialState


@pytest.fixture
def served_by(shared_wine):
    """A function that makes a caviar executor whose workers are served by something else."""
    made = []

    def make(entry, jobs=1, folder=shared_wine, **limits):
        kind = type("Served", (CaviarExecutor,), {"entry": staticmethod(entry)})
        made.append(kind(folder, TrialSettings(SETTINGS.seed, SETTINGS.metric, **limits), jobs))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.mark.parametrize(
    ("entry", "cause"), [(bad_workers.dies_while_sending, "signal SIGKILL"), (bad_workers.exits, "exit code 7")]
)
def test_a_death_with_a_trial_in_hand_is_an_attempt_of_it(served_by, entry, cause):
    executor = served_by(entry, 2)
    results = gather(executor, SHORT[:3])
    assert sorted(result.number for result in results) == [0, 1, 2]
    errors = {result.error for result in results}
    assert errors == {f"crashed: 3 worker processes died of it, the last one by {cause}"}


def test_a_worker_that_stops_while_it_sends_is_over_its_time(served_by):
    executor = served_by(bad_workers.stops_while_sending, trial_timeout=0.5)
    began = time.monotonic()
    (result,) = gather(executor, SHORT[:1])
    assert time.monotonic() - began < 10
    assert (result.state, result.error) == (TrialState.FAIL, "timeout: longer than 0.5 s")


def test_a_worker_that_stops_while_it_sends_holds_nobody_up(served_by):
    executor = served_by(bad_workers.stops_while_sending)
    executor.submit(SHORT[0])
    began = time.monotonic()
    for _ in range(20):
        assert executor.wait(0.1) == []
    assert time.monotonic() - began < 10


def test_workers_that_die_before_they_begin_end_the_run(served_by):
    executor = served_by(bad_workers.dies_at_start, 2)
    with pytest.raises(WorkersDieError, match="20 worker processes died before they began, the last by signal SIGSEGV"):
        gather(executor, SHORT[:1])


def test_a_few_deaths_at_the_start_cost_no_trial_an_attempt(served_by, shared_wine, tmp_path, expected):
    folder = shutil.copytree(shared_wine, tmp_path / "shared")
    executor = served_by(bad_workers.dies_at_first, 2, folder)
    assert by_number(gather(executor, SHORT)) == expected
    assert (folder / "starts").stat().st_size >= 7
    assert not executor._deaths
