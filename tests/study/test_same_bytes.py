"""One study, one seed: the same bytes in this process, in any number of others, and after any number of deaths."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL, RunRecord

FILES = ("trials.csv", "curves.csv", "best.yaml", "model/model.yaml", "model/weights.safetensors")
TRIALS = {"random": 12, "grid": 12, "evolve": 30}  # of evolve, enough for offspring
OPTIONS = {"evolve": ("--set", "strategy.thrift=0.6")}  # costs decide too
WAYS = {
    "panda": ["--mode", "panda"],
    "caviar-1": ["-j", "1"],
    "caviar-2": ["-j", "2"],
    "caviar-3": ["-j", "3"],
}
ELSEWHERE = {"PYTHONHASHSEED": "12345", "TZ": "Asia/Kolkata", "LC_ALL": "C", "COLUMNS": "40", "PYTHONUTF8": "0"}
KILLS = 3
GIVE_UP_SECONDS = 120


def command(strategy, folder, *flags):
    search = [sys.executable, "-m", "hpsearch", strategy, "wine", "-n", str(TRIALS[strategy]), "--epochs", "8"]
    return [*search, "-o", str(folder), "-q", *OPTIONS.get(strategy, ()), *flags]


def start(arguments, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    options = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(arguments, **options)


def finish(strategy, folder, *flags, **options):
    process = start(command(strategy, folder, *flags), **options)
    _, errors = process.communicate(timeout=GIVE_UP_SECONDS)
    assert process.returncode == 0, errors


def lines_in(journal):
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def run_with_deaths(strategy, folder):
    """Run with SIGKILL to the whole command at random moments, each time in another mode; the number of deaths."""
    chance = random.Random(strategy)
    deaths = 0
    modes = list(WAYS.values())
    for attempt in range(KILLS):
        before = lines_in(folder / JOURNAL)
        more = chance.randint(1, 12)
        process = start(command(strategy, folder, *modes[(attempt + 2) % len(modes)]))
        while process.poll() is None and lines_in(folder / JOURNAL) < before + more:
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=GIVE_UP_SECONDS)
        deaths += process.returncode == -signal.SIGKILL
    finish(strategy, folder)
    return deaths


@pytest.fixture(scope="module", params=["random", "grid", "evolve"])
def runs(request, tmp_path_factory):
    """The folders of one study run in every way, by name; how often the killed one died; the strategy."""
    base = tmp_path_factory.mktemp(request.param)
    with ThreadPoolExecutor(2) as pool:
        deaths = pool.submit(run_with_deaths, request.param, base / "killed")
        for done in [pool.submit(finish, request.param, base / name, *flags) for name, flags in WAYS.items()]:
            done.result()
        return base, deaths.result(), request.param


def test_the_bytes_do_not_depend_on_place_language_time_zone_or_hashes(runs, tmp_path):
    base, _, strategy = runs
    place = tmp_path / "Ünïcode ort"
    place.mkdir()
    finish(strategy, place / "run", cwd=place, env=os.environ | ELSEWHERE)
    for name in FILES:
        assert (place / "run" / name).read_bytes() == (base / "panda" / name).read_bytes(), name


@pytest.mark.parametrize("way", [*list(WAYS)[1:], "killed"])
def test_the_bytes_do_not_depend_on_how_it_was_run(runs, way):
    base, _, strategy = runs
    for name in FILES:
        assert (base / way / name).read_bytes() == (base / "panda" / name).read_bytes(), name
    assert len((base / way / "trials.csv").read_text().splitlines()) == TRIALS[strategy] + 1
    assert RunRecord.load(base / way).end["reason"] == "done"


def test_a_killed_run_loses_no_finished_trial_and_repeats_none(runs):
    base, deaths, strategy = runs
    assert deaths >= 2
    events = [line.event() for line in read(base / "killed" / JOURNAL)]
    finished = [event["trial"] for event in events if event["event"] == "trial"]
    assert sorted(finished) == list(range(TRIALS[strategy]))
    assert sum(event["event"] == "start" for event in events) > TRIALS[strategy], "it died while trials were running"
    assert [event["event"] for event in events].count("study") == 1


def test_a_finished_run_that_is_run_again_changes_nothing(runs):
    base, _, strategy = runs
    folder = base / "panda"
    names = ["timings.csv", JOURNAL, *FILES]
    before = {name: (folder / name).read_bytes() for name in names}
    finish(strategy, folder)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_no_process_or_array_is_left(runs):
    base, *_ = runs
    for way in WAYS:
        assert not (base / way / ".data").exists()
