"""Any sequence of searches, deaths, torn files, full disks and intruders ends in the files of an undisturbed run."""

import contextlib
import errno
import math
import os
import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from strategies.cases import SPACES, made_up_score
from strategies.cases import make as make_strategy
from study.driving import NEVER, QUIET, After

from hpsearch.errors import LockedError, RunError, StorageError
from hpsearch.executors.base import Executor
from hpsearch.files import make_folder, write_atomically
from hpsearch.run_directory.directory import open_run, reopen
from hpsearch.run_directory.record import JOURNAL, RunRecord, trial_event
from hpsearch.run_directory.repair import repair
from hpsearch.space_text import spec_from_space
from hpsearch.study import Study

VIEWS = ("trials.csv", "curves.csv", "best.yaml")
MOST_TRIALS = 30
STEPS = 10
CHANCE = st.integers(0, 2**20)


class KilledError(Exception):
    """Nothing more is done after this."""


class Scattered(Executor):
    """Has made-up results, in any order; `kill` counts down the results until all ends."""

    def __init__(self, make_result, luck, kill=None, meanwhile=lambda: None):
        self._chance = random.Random(luck)
        self.slots = self._chance.randint(1, 4)
        self._make_result, self._kill, self._meanwhile = make_result, kill, meanwhile
        self._held = []

    def submit(self, trial):
        score = made_up_score(trial.number, trial.config)
        self._held.append(self._make_result(trial.number, score if score < math.inf else None, config=trial.config))

    def wait(self, seconds):
        self._meanwhile()
        self._chance.shuffle(self._held)
        count = self._chance.randint(1, len(self._held))
        done, self._held = self._held[:count], self._held[count:]
        if self._kill is not None:
            self._kill -= len(done)
            if self._kill < 0:
                raise KilledError
        return done


class Histories(RuleBasedStateMachine):
    """What may happen to one run directory. The model: what was acknowledged, and how many trials were asked for."""

    facts = make_result = strategy = reference = base = None  # set by the test

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.base)) / "run"
        self.acknowledged = {}
        self.asked = 0

    def teardown(self):
        self.search(self.asked, luck=0)
        shutil.rmtree(self.folder.parent)

    def run(self, trials, executor, stop=NEVER):
        """A search with as many trials as were ever asked for."""
        self.asked = max(trials, self.asked)
        study, data = self.facts()
        with open_run(self.folder, study, data, {}) as directory:
            usual = directory.add

            def add(result):
                usual(result)
                self.acknowledged[result.number] = trial_event(result)

            directory.add = add

            def keep(result):
                make_folder(self.folder / "model")
                write_atomically(self.folder / "model" / "weights", b"w" * 1000)

            return Study(directory, self.strategy(), range(self.asked), stop).run(executor, QUIET, keep)

    def views(self):
        """What is in the views; None where there is none, as that of the best of trials that all failed."""
        return {name: place.read_bytes() if (place := self.folder / name).exists() else None for name in VIEWS}

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE)
    def search(self, trials, luck):
        assert self.run(trials, Scattered(self.make_result, luck)) == "done"
        assert self.views() == self.reference(self.asked)

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE, results=st.integers(0, MOST_TRIALS))
    def killed_search(self, trials, luck, results):
        with contextlib.suppress(KilledError):
            self.run(trials, Scattered(self.make_result, luck, results))

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE, times=st.integers(0, 10))
    def stopped_search(self, trials, luck, times):
        executor = Scattered(self.make_result, luck)
        assert self.run(trials, executor, After(times, "timeout")) in {"timeout", "done"}

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE, room=st.integers(0, 40_000))
    def search_on_a_full_disk(self, trials, luck, room):
        usual = os.write

        def write(descriptor, content):
            nonlocal room
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken = usual(descriptor, content[:room])
            room -= taken
            return taken

        with mock.patch.object(os, "write", write), contextlib.suppress(StorageError):
            self.run(trials, Scattered(self.make_result, luck))

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE)
    def search_with_an_intruder(self, trials, luck):
        def intrude():
            study, data = self.facts()
            with pytest.raises(LockedError):
                open_run(self.folder, study, data, {}, overwrite=True)

        self.run(trials, Scattered(self.make_result, luck, meanwhile=intrude))

    @precondition(lambda self: self.acknowledged)
    @rule()
    def another_study_is_refused(self):
        study, data = self.facts()
        study["space"] = {"layers": 2}
        before = (self.folder / JOURNAL).read_bytes()
        with pytest.raises(RunError, match="holds another study"):
            open_run(self.folder, study, data, {})
        assert (self.folder / JOURNAL).read_bytes() == before

    @rule(trials=st.integers(1, MOST_TRIALS), luck=CHANCE)
    def overwritten(self, trials, luck):
        study, data = self.facts()
        open_run(self.folder, study, data, {}, overwrite=True).close()
        self.acknowledged, self.asked = {}, 0
        self.killed_search(trials, luck, trials // 2)

    @precondition(lambda self: self.acknowledged)
    @rule(kept=st.floats(0, 1, exclude_max=True), zeros=st.booleans())
    def a_line_was_being_written(self, kept, zeros):
        """As a power cut leaves what was not acknowledged: the beginning of a line, and perhaps zeros."""
        content = (self.folder / JOURNAL).read_bytes()
        line = content.splitlines()[-1]
        half = line[: int(kept * len(line))]
        (self.folder / JOURNAL).write_bytes(content + (half.ljust(len(line), b"\0") if zeros else half))
        (self.folder / f".trials.csv.{len(half)}.tmp").write_bytes(half)

    @precondition(lambda self: self.acknowledged)
    @rule(name=st.sampled_from(VIEWS))
    def a_view_is_lost(self, name):
        (self.folder / name).unlink(missing_ok=True)

    @precondition(lambda self: self.acknowledged)
    @rule()
    def repaired(self):
        repair(self.folder)
        with reopen(self.folder) as directory:
            directory.write_views()

    @invariant()
    def what_was_acknowledged_is_there(self):
        if self.acknowledged:
            results = RunRecord.load(self.folder).results
            assert {number: trial_event(results[number]) for number in self.acknowledged} == self.acknowledged


def test_any_history_ends_in_the_same_files(tmp_path, copy_study_facts, make_result, often, seen, monkeypatch):
    histories, references = often(200, 2_000), {}
    for call in ("fsync", "fdatasync"):  # this is not about power cuts
        monkeypatch.setattr(os, call, lambda descriptor: None)

    def facts():
        study, data = copy_study_facts()
        return study | {"space": spec_from_space(SPACES["mixed"])}, data

    def reference(trials):
        if trials not in references:
            machine = Histories()
            machine.run(trials, Scattered(make_result, 0))
            references[trials] = machine.views()
        return references[trials]

    Histories.facts, Histories.make_result = staticmethod(facts), staticmethod(make_result)
    Histories.strategy = staticmethod(lambda: make_strategy("mixed", "classical"))
    Histories.reference, Histories.base = staticmethod(reference), tmp_path
    limits = settings(
        max_examples=histories, stateful_step_count=STEPS, deadline=None, suppress_health_check=[*HealthCheck]
    )
    run_state_machine_as_test(Histories, settings=limits)
    seen(
        "searches, deaths, torn tails, full disks, intruders in any order",
        f"{histories} histories of up to {STEPS} steps: what was acknowledged is there, the files as undisturbed",
    )
