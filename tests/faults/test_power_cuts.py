"""Power cuts at every moment of a run: what was acknowledged is there, and the run goes on to the same files."""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from faults.power import Disk, Recorder
from study.driving import NEVER, QUIET

from hpsearch.errors import RunError
from hpsearch.executors.base import Executor
from hpsearch.files import make_folder, write_atomically
from hpsearch.run_directory import directory as run_directory
from hpsearch.run_directory.directory import open_run
from hpsearch.run_directory.record import RunRecord, trial_event
from hpsearch.space_text import space_from_spec
from hpsearch.strategies.random import PlainStrategy
from hpsearch.study import Study

TRIALS = 12
VIEWS = ("trials.csv", "curves.csv", "best.yaml")


class Instant(Executor):
    """Has made-up results at once, and tells when one was asked for that was acknowledged before."""

    slots = 2

    def __init__(self, make_result):
        self._make_result, self._held = make_result, []

    def submit(self, trial):
        score = (trial.number * 7 % TRIALS) / TRIALS + 0.1
        self._held.append(self._make_result(trial.number, score, config=trial.config))

    def wait(self, seconds):
        done, self._held = self._held, []
        return done


@pytest.fixture
def search(copy_study_facts, make_result):
    """A function that runs a study in a folder, as far as it is not there yet, and says what it acknowledged."""

    def run(folder, acknowledge=lambda result: None):
        study, data = copy_study_facts()
        with open_run(folder, study, data, {}) as directory:
            usual = directory.add

            def add(result):
                usual(result)
                acknowledge(result)

            directory.add = add
            strategy = PlainStrategy(space_from_spec(study["space"]), 0, 1, {})
            loop = Study(directory, strategy, range(TRIALS), NEVER)

            def keep(result):
                make_folder(folder / "model")
                write_atomically(folder / "model" / "weights", str(result.number).encode() * 1000)

            loop.run(Instant(make_result), QUIET, keep)

    return run


def test_what_was_acknowledged_survives_a_power_cut(tmp_path, search, often, seen, monkeypatch):
    states, chance = often(400, 10_000), random.Random(0)
    (tmp_path / "whole").mkdir()
    recorder, events = None, {}
    with monkeypatch.context() as patch:
        patch.setattr(run_directory, "VIEW_SECONDS", 0.0)  # so that the views are written all the time
        patch.setattr(run_directory, "VIEW_SHARE", 1e9)
        recorder = Recorder(tmp_path / "whole", patch)

        def acknowledge(result):
            events[result.number] = trial_event(result)
            recorder.changes.append(("acknowledged", result.number))

        search(tmp_path / "whole" / "runs" / "r", acknowledge)
    whole = {name: (tmp_path / "whole/runs/r" / name).read_bytes() for name in VIEWS}
    assert len(recorder.changes) > 300
    moments = sorted(chance.choices(range(1, len(recorder.changes) + 1), k=states))
    for call in ("fsync", "fdatasync"):  # what follows is not about power cuts
        monkeypatch.setattr(os, call, lambda descriptor: None)
    disk, known, done = Disk(), [], 0
    for moment in moments:
        for kind, *what in recorder.changes[done:moment]:
            if kind == "acknowledged":
                known.append(what[0])
            else:
                disk.change(kind, *what)
        done = moment
        left = Path(tempfile.mkdtemp(dir=tmp_path))
        disk.after_a_cut(left, chance)
        folder = left / "runs" / "r"
        if known:
            results = RunRecord.load(folder).results
            assert {n: trial_event(results[n]) for n in known} == {n: events[n] for n in known}
        search(folder)
        assert {name: (folder / name).read_bytes() for name in VIEWS} == whole
        shutil.rmtree(left)
    seen(
        "power cut: what was not synced lost, torn or zero",
        f"{states} states of {len(recorder.changes)} changes: all that was acknowledged there, the same files after",
    )


def test_the_model_of_the_disk_loses_what_was_not_synced(tmp_path, monkeypatch):
    """A file without any sync may be gone; one that is written atomically is as it was or as it will be."""
    (tmp_path / "here").mkdir()
    with monkeypatch.context() as patch:
        recorder = Recorder(tmp_path / "here", patch)
        (tmp_path / "here" / "careless").write_bytes(b"abc")
        write_atomically(tmp_path / "here" / "careful", b"old")
        write_atomically(tmp_path / "here" / "careful", b"new")
    found = {"careless": set(), "careful": set()}
    for luck in range(200):
        chance, disk, left = random.Random(luck), Disk(), tmp_path / str(luck)
        left.mkdir()
        for change in recorder.changes[: chance.randint(0, len(recorder.changes))]:
            disk.change(*change)
        disk.after_a_cut(left, chance)
        for name, contents in found.items():
            contents.add((left / name).read_bytes() if (left / name).exists() else None)
    assert found["careful"] == {None, b"old", b"new"}
    assert found["careless"] >= {None, b"", b"abc", b"ab", b"a\0\0"}


def test_a_run_that_is_lost_before_anything_was_acknowledged_is_none(tmp_path):
    with pytest.raises(RunError):
        RunRecord.load(tmp_path)
