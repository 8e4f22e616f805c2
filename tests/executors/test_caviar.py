"""What processes may do to each other: workers that are killed, stopped or orphaned."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from executors.driving import (
    ENDLESS,
    LONG,
    SHORT,
    by_number,
    gather,
    is_alive,
    is_of_session,
    processor_ticks,
    status,
    until,
)

from hpsearch.trial import Trial, TrialState

LONG_TRIALS = [Trial(number, LONG) for number in range(4)]
GONE_SECONDS = 2.0  # after the death of their parent

ORPHANS = """
import sys
from pathlib import Path
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.trial import Trial, TrialSettings

executor = CaviarExecutor(Path(sys.argv[1]), TrialSettings(0, "log_loss"), 3)
for number in range(2):  # the third worker has nothing to do
    executor.submit(Trial(number, {"epochs": 1_000_000, "patience": 0}))
print(*(worker.process.pid for worker in executor._workers), flush=True)
while True:
    executor.wait(1.0)
"""

UNGUARDED = """
import sys
from pathlib import Path
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.trial import Trial, TrialSettings

print("started", flush=True)
with CaviarExecutor(Path(sys.argv[1]), TrialSettings(0, "log_loss"), 1) as executor:
    executor.submit(Trial(0, {"epochs": 2}))
    while not (results := executor.wait(1.0)):
        pass
print(results[0].number, results[0].state)
"""


@pytest.fixture(scope="module")
def long_expected(undisturbed):
    return undisturbed(LONG_TRIALS)


def holder(executor, number):
    """The process that works on a trial; None while no process has begun it."""
    at_work = ((w.process.pid, w.trials[0].number) for w in executor._workers if w.ready and w.trials)
    return next((pid for pid, head in at_work if head == number), None)


class Killer:
    """Kills every worker that has begun a trial; `victims` are those, and `behind` the trials that waited with them."""

    def __init__(self, executor, number):
        self.victims, self.behind = set(), set()
        self._executor, self._number = executor, number

    def __call__(self):
        pid = holder(self._executor, self._number)
        if pid is not None and pid not in self.victims:
            self.victims.add(pid)
            (worker,) = (worker for worker in self._executor._workers if worker.process.pid == pid)
            self.behind.update(trial.number for trial in [*worker.trials][1:])
            os.kill(pid, signal.SIGKILL)


def pids(executor):
    return [worker.process.pid for worker in executor._workers]


def at_work(pid):
    """Wait until a new worker has spent more processor time than it needs to start."""
    until(lambda: processor_ticks(pid) >= 8)


def test_a_worker_killed_in_the_middle_costs_one_attempt(caviar, long_expected):
    executor = caviar(2)
    for trial in LONG_TRIALS[:2]:
        executor.submit(trial)
    until(lambda: executor.wait(0.01) == [] and holder(executor, 0))
    victim = holder(executor, 0)
    at_work(victim)
    os.kill(victim, signal.SIGKILL)
    results = []
    until(lambda: results.extend(executor.wait(0.02)) or len(results) == 2)
    results += gather(executor, LONG_TRIALS[2:])
    assert by_number(results) == long_expected
    assert victim not in pids(executor)


def test_workers_killed_at_any_moment_lose_and_double_nothing(caviar, expected):
    chance = random.Random(7)
    executor = caviar(3)
    copies = [Trial(trial.number + 10 * copy, trial.config) for copy in range(4) for trial in SHORT]
    killed = set()

    def kill_somebody():
        """One at a time, and none while a third death of the same trial is possible."""
        worker = chance.choice(executor._workers)
        trials = [*executor._waiting, *(trial for w in executor._workers for trial in w.trials)]
        risky = any(executor._deaths[trial.key] == 2 for trial in trials)
        if worker.trials and not risky and not killed & set(pids(executor)):
            killed.add(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)

    results = gather(executor, copies, kill_somebody)
    assert len(killed) > 3
    assert sorted(result.number for result in results) == sorted(trial.number for trial in copies)
    found = by_number(results)
    assert {number: found[number] for number in expected} == expected
    assert {result.error for result in results} == {result[3] for result in expected.values()}


def test_a_trial_that_kills_three_workers_fails_and_the_others_go_on(caviar, expected):
    executor = caviar(2)
    crash = Killer(executor, 50)
    results = gather(executor, [SHORT[0], Trial(50, ENDLESS), *SHORT[1:]], crash)
    (crashed,) = (result for result in results if result.number == 50)
    assert len(crash.victims) == 3
    assert crashed.state is TrialState.FAIL
    assert crashed.error == "crashed: 3 worker processes died of it, the last one by signal SIGKILL"
    assert crashed.config == ENDLESS
    assert by_number(result for result in results if result.number != 50) == expected


def test_a_training_of_a_final_that_crashes_fails_as_that(caviar):
    executor = caviar(1)
    (crashed,) = gather(executor, [Trial(4, ENDLESS, repeat=2)], Killer(executor, 4))
    assert (crashed.number, crashed.repeat, crashed.state) == (4, 2, TrialState.FAIL)


def test_where_trials_are_short_a_worker_has_the_next_one_waiting(caviar, expected):
    executor = caviar(2)
    assert executor.capacity == 2
    first = gather(executor, SHORT[:2])
    assert executor.capacity == 4
    for trial in SHORT[2:6]:
        executor.submit(trial)
    assert [len(worker.trials) for worker in executor._workers] == [2, 2]
    results = []
    until(lambda: results.extend(executor.wait(0.02)) or len(results) == 4)
    assert by_number([*first, *results, *gather(executor, SHORT[6:])]) == expected


def test_only_the_trial_that_a_dead_worker_ran_is_blamed(caviar, expected):
    executor = caviar(1)
    results = gather(executor, SHORT[:2])
    assert executor.capacity == 2
    crash = Killer(executor, 50)
    results += gather(executor, [Trial(50, ENDLESS), SHORT[2]], crash)
    assert crash.behind == {2}
    assert executor._deaths == {(50, 0, 0): 3}
    crashed = results.pop(next(place for place, result in enumerate(results) if result.number == 50))
    assert crashed.error.startswith("crashed: 3 worker processes died of it")
    assert by_number(results) == {number: expected[number] for number in range(3)}


def test_long_trials_wait_for_an_idle_worker(caviar):
    executor = caviar(2)
    gather(executor, SHORT[:2])
    assert executor.capacity == 4
    executor._pace.note(10.0)
    assert executor.capacity == 2


def test_deaths_are_counted_for_each_trial(caviar, long_expected):
    """Two deaths of one trial and two of another are no crash of either."""
    executor = caviar(1)
    victims = []

    def crash():
        for number in (0, 1):
            pid = holder(executor, number)
            if pid is not None and pid not in victims and victims.count(number) < 2:
                victims.extend([number, pid])
                os.kill(pid, signal.SIGKILL)

    results = gather(executor, LONG_TRIALS[:2], crash)
    assert victims[::2] == [0, 0, 1, 1]
    assert by_number(results) == {number: long_expected[number] for number in (0, 1)}


def test_an_idle_worker_that_dies_is_replaced(caviar, expected):
    executor = caviar(2)
    gather(executor, SHORT[:2])
    before = pids(executor)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not is_alive(pid))
    assert by_number(gather(executor, SHORT)) == expected
    until(lambda: executor.wait(0.02) == [] and not set(before) & set(pids(executor)))
    assert all(map(is_alive, pids(executor)))


def test_a_server_that_dies_is_replaced_with_its_workers(caviar, long_expected):
    executor = caviar(2)
    for trial in LONG_TRIALS[:2]:
        executor.submit(trial)
    workers = pids(executor)
    at_work(workers[0])
    (server,) = {int(status(pid)[1]) for pid in workers}
    assert server != os.getpid()
    os.kill(server, signal.SIGKILL)
    until(lambda: not is_alive(server))
    os.kill(workers[0], signal.SIGKILL)
    results = []
    until(lambda: results.extend(executor.wait(0.02)) or len(results) == 2)
    results += gather(executor, LONG_TRIALS[2:])
    assert by_number(results) == long_expected


def test_a_stopped_worker_is_over_its_time(caviar, expected):
    executor = caviar(2, trial_timeout=1.0)
    until(lambda: executor.wait(0.02) == [] and all(worker.ready for worker in executor._workers))
    victim = pids(executor)[0]
    os.kill(victim, signal.SIGSTOP)
    results = gather(executor, SHORT[:3])
    (stopped,) = (result for result in results if result.state is TrialState.FAIL)
    assert stopped.error == "timeout: longer than 1 s"
    assert not is_alive(victim)
    rest = [trial for trial in SHORT if trial.number != stopped.number]
    results = [result for result in results if result is not stopped] + gather(executor, rest[2:])
    assert by_number(results) == {trial.number: expected[trial.number] for trial in rest}


def test_ctrl_c_at_the_terminal_leaves_workers_at_work(caviar, long_expected):
    executor = caviar(2)
    before = pids(executor)

    def interrupt():
        for pid in before:
            os.kill(pid, signal.SIGINT)

    results = gather(executor, LONG_TRIALS, interrupt)
    assert by_number(results) == long_expected
    assert {result.worker for result in results} == {0, 1}
    assert pids(executor) == before


def test_starting_workers_changes_nothing_here(caviar):
    def state():
        main = sys.modules["__main__"]
        return signal.getsignal(signal.SIGINT), main.__spec__, getattr(main, "__file__", None)

    before = state()
    caviar(1)
    assert state() == before


def test_a_script_without_a_guard_is_not_run_again(shared_wine, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script), str(shared_wine)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "started\n0 COMPLETE\n"


@pytest.mark.parametrize("way", ["close", "with", "error"])
def test_no_worker_is_left_behind(caviar, way):
    executor = caviar(3)
    workers = pids(executor)
    executor.submit(Trial(0, ENDLESS))
    at_work(workers[0])
    os.kill(workers[1], signal.SIGSTOP)
    os.kill(workers[2], signal.SIGKILL)
    if way == "close":
        executor.close()
    elif way == "with":
        with executor:
            pass
    else:
        with pytest.raises(ZeroDivisionError), executor:
            raise ZeroDivisionError
    assert not any(map(is_alive, workers))
    assert multiprocessing.active_children() == []


def test_workers_do_not_outlive_a_parent_that_was_killed(shared_wine):
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS, str(shared_wine)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 3
        at_work(workers[0])
        family = [pid for pid in session(parent.pid) if pid != parent.pid]
        assert set(workers) < set(family), "and the server that they were forked from"
        parent.kill()
        killed = time.monotonic()
        until(lambda: not session(parent.pid) or time.monotonic() > killed + GONE_SECONDS)
        assert session(parent.pid) == []
    finally:
        for pid in session(parent.pid):
            os.kill(pid, signal.SIGKILL)
        parent.communicate()


def session(leader):
    """The living processes of a session."""
    pids = (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal())
    return [pid for pid in pids if is_of_session(pid, leader)]
