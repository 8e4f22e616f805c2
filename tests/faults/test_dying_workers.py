"""Workers that are killed again and again through a long search: the same files as in one process."""

import random
import signal
import time

import pytest
from faults.processes import finish, finished_in, kill, repeatedly, start, tiny_search, views, workers

from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL

KILL_SECONDS = 0.25


@pytest.fixture(scope="module")
def searches(tmp_path_factory, often):
    """A folder with a study, its command, and the run of it in one process."""
    base = tmp_path_factory.mktemp("workers")
    trials = often(300, 2000)
    search = tiny_search(base, trials, "--finalists", 0)
    finish(search("panda", "--mode", "panda"))
    return base, search, trials


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_workers_that_are_killed_change_nothing(searches, seen, number):
    base, search, trials = searches
    name, deaths = number.name, 0
    undisturbed = finish(search(f"quiet-{name}", "-j", 2))
    process = start(search(name, "-j", 2))
    chance = random.Random(name)

    def disturb():
        nonlocal deaths
        if found := workers(process.pid):
            deaths += kill(chance.choice(found), number)

    began = time.monotonic()
    with repeatedly(KILL_SECONDS, disturb):
        _, errors = process.communicate(timeout=300)
        seconds = time.monotonic() - began
    assert process.returncode == 0, errors
    assert deaths >= 2
    assert sorted(finished_in(base / name / JOURNAL)) == [*range(trials)], "each once"
    assert views(base / name) == views(base / "panda")
    seen(
        f"a worker {name} every {KILL_SECONDS} s",
        f"{deaths} deaths, {trials} of {trials} trials, files as in one process; {seconds:.1f} s, "
        f"{undisturbed:.1f} s undisturbed ({seconds / undisturbed:.2f} x)",
    )


def test_a_stopped_worker_costs_its_trial_and_no_more(searches, seen):
    base, search, _ = searches
    process = start(search("stopped", "-j", 2, "--trial-timeout", "1s", "-n", 200))
    while not (found := workers(process.pid)) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    kill(found[0], signal.SIGSTOP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    events = [line.event() for line in read(base / "stopped" / JOURNAL) if line.kind == "trial"]
    assert sorted(event["trial"] for event in events) == [*range(200)]
    failed = [event["error"] for event in events if event["state"] == "FAIL"]
    assert failed == ["timeout: longer than 1 s"]
    seen("a worker SIGSTOP, --trial-timeout 1s", "1 trial FAIL (timeout), 199 others there")
