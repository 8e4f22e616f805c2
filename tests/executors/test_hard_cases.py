"""Errors inside workers, trials that crash one after the other, time that is not the trial's."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hpsearch.errors import DataError, StorageError
from hpsearch.executors.base import available_cpus
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.executors.panda import PandaExecutor
from hpsearch.trial import Trial, TrialSettings, TrialState

SETTINGS = TrialSettings(0, "log_loss")


def wait_long(executor):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := executor.wait(0.05):
            return found
    raise TimeoutError


def test_an_idle_panda_has_no_results():
    assert PandaExecutor(None, SETTINGS, lambda *_: None, lambda: False).wait(0) == []


def test_what_a_worker_raises_is_raised_here(shared_wine):
    with CaviarExecutor(shared_wine, SETTINGS, 1) as executor:
        executor.submit(Trial(0, {"normalize": "minmax", "epochs": 1}))
        with pytest.raises(DataError, match="minmax"):
            wait_long(executor)


def test_data_that_are_gone(tmp_path):
    with CaviarExecutor(tmp_path, SETTINGS, 1) as executor:
        executor.submit(Trial(0, {"epochs": 1}))
        with pytest.raises(StorageError):
            wait_long(executor)


def test_trials_that_crash_one_after_the_other_do_not_end_the_run(shared_wine):
    with CaviarExecutor(shared_wine, SETTINGS, 1) as executor:
        found = []
        for number in range(8):
            executor.submit(Trial(number, {"epochs": 1_000_000, "patience": 0}))
            end = time.monotonic() + 60
            while len(found) == number and time.monotonic() < end:
                worker = executor._workers[0]
                if worker.ready and worker.trials:
                    os.kill(worker.process.pid, signal.SIGKILL)
                found += executor.wait(0.02)
        executor.submit(Trial(8, {"epochs": 1}))
        found += wait_long(executor)
    assert [result.state for result in found] == [TrialState.FAIL] * 8 + [TrialState.COMPLETE]
    assert all("crashed: 3 worker processes died" in result.error for result in found[:8])


def test_loading_the_engine_is_not_part_of_a_trial_s_time():
    code = (
        "import time; from hpsearch.data.dataset import load_dataset; from hpsearch.trial import *;"
        "data = load_dataset('wine'); start = time.perf_counter();"
        "result = run_trial(Trial(0, {'epochs': 1, 'units': 8}), data, TrialSettings(0, 'log_loss'));"
        "print(result.seconds < 0.5 * (time.perf_counter() - start))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "abc 100000"},
        {"cpu.max": "100000 0"},
        {"cpu/cpu.cfs_quota_us": "x", "cpu/cpu.cfs_period_us": "1"},
        {"cpu/cpu.cfs_quota_us": "5", "cpu/cpu.cfs_period_us": "0"},
    ],
)
def test_nonsense_in_the_control_group_is_no_limit(tmp_path, files):
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="ascii")
    assert available_cpus(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))


def test_the_quota_of_a_group_above_ours_counts(tmp_path):
    (tmp_path / "slice" / "unit").mkdir(parents=True)
    (tmp_path / "slice" / "cpu.max").write_text("50000 100000", encoding="ascii")
    (tmp_path / "slice" / "unit" / "cpu.max").write_text("max 100000", encoding="ascii")
    own = tmp_path / "own"
    own.write_text("0::/slice/unit\n", encoding="ascii")
    assert available_cpus(tmp_path, own) == 1
