"""The loop with executors that do as they like: what is told, counted and run again must not depend on them."""

import math
import random
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study.driving import NEVER, QUIET, After

from hpsearch.executors.base import Executor
from hpsearch.run_directory.directory import open_run
from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.strategies.base import Strategy
from hpsearch.study import StopRules, Study

SCORES = st.lists(st.none() | st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=9)
pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
MANY = settings(deadline=None, max_examples=50)


class Whimsical(Executor):
    """Gives back any of the trials that it has, in any order, or none of them."""

    def __init__(self, slots, make_result, scores, whim):
        self.slots = slots
        self.ran = []
        self._make_result, self._scores, self._whim = make_result, scores, whim
        self._at_work = []

    def submit(self, trial):
        assert len(self._at_work) < self.slots
        assert trial.config == proposal(trial.number)
        self.ran.append(trial.number)
        self._at_work.append(trial)

    def wait(self, seconds):
        self._whim.shuffle(self._at_work)
        done = [self._at_work.pop() for _ in range(self._whim.randint(0, len(self._at_work)))]
        return [self._make_result(trial.number, self._scores[trial.number], config=trial.config) for trial in done]


class Attentive(Strategy):
    """Remembers what it was asked and told."""

    limit = None

    def __init__(self):
        self.asked = []
        self.told = []
        self.costs = {}

    def ready(self, number):
        return True

    def prepare(self, number):
        assert {told for told, _ in self.told} >= {*range(number)}

    def _propose(self, number):
        raise AssertionError("ask is our own")

    def ask(self, number):
        self.asked.append(number)
        return proposal(number)

    def tell(self, number, config, score, cost=None):
        assert config == proposal(number)
        self.told.append((number, score))
        self.costs[number] = cost


def proposal(number):
    return {"learning_rate": 1.0 / (1 + number), "optimizer": "adam"}


def told_of(scores):
    return [(number, math.inf if score is None else score) for number, score in enumerate(scores)]


@pytest.fixture(scope="session")
def go(make_result, copy_study_facts):
    """A function that runs (or goes on with) a study and returns what came of it."""

    def run(
        folder, scores, *, slots=1, whim=None, stop=NEVER, numbers=None, metric="log_loss", keep=None, observer=QUIET,
        strategy=None,
    ):  # fmt: skip
        study, data = copy_study_facts()
        study["metric"] = metric
        numbers = range(len(scores)) if numbers is None else numbers
        strategy = strategy or Attentive()
        executor = Whimsical(slots, make_result, scores, whim or InOrder())
        with open_run(folder, study, data, {}) as directory:
            loop = Study(directory, strategy, numbers, stop)
            reason = loop.run(executor, observer, keep or (lambda result: None))
        return SimpleNamespace(
            reason=reason, strategy=strategy, ran=executor.ran, record=RunRecord.load(folder), folder=folder, loop=loop
        )

    return run


class InOrder:
    """No whim at all: everything comes back at once, in order."""

    def shuffle(self, items):
        items.reverse()

    def randint(self, low, high):
        return high


def views(folder):
    return {name: (folder / name).read_bytes() for name in ("trials.csv", "curves.csv")}


slots = st.integers(1, 5)
whims = st.integers(0, 1000).map(random.Random)


@given(SCORES, slots, whims)
@MANY
def test_every_result_is_told_once_whoever_is_faster(folders, go, scores, slots, whim):
    found = go(folders(), scores, slots=slots, whim=whim)
    assert found.reason == "done"
    assert sorted(found.strategy.told) == told_of(scores)
    assert found.strategy.asked == found.ran == list(range(len(scores)))
    assert list(found.record.counted()) == list(range(len(scores)))
    assert found.record.end["counted"] == len(scores)
    assert views(found.folder) == views(go(folders(), scores).folder)


@given(SCORES, slots, whims, st.integers(1, 4))
@MANY
def test_a_trial_begins_only_when_its_proposal_may_be_asked_for(folders, go, scores, slots, whim, lag):
    class Waiting(Attentive):
        def ready(self, number):
            return set(range(number - lag + 1)) <= {told for told, _ in self.told}

        def ask(self, number):
            assert self.ready(number)
            return super().ask(number)

    found = go(folders(), scores, slots=slots, whim=whim, strategy=Waiting())
    assert found.reason == "done"
    assert found.ran == list(range(len(scores)))


@given(SCORES, slots, whims, st.sampled_from([0.05, 0.2, 0.3]))
@MANY
def test_the_goal_cuts_at_the_first_trial_by_number(folders, go, scores, slots, whim, goal):
    found = go(folders(), scores, slots=slots, whim=whim, stop=StopRules(goal=goal))
    first = next((i for i, score in enumerate(scores) if score is not None and score <= goal), None)
    count = len(scores) if first is None else first + 1
    assert found.reason == ("done" if first is None else "goal")
    assert found.record.end["counted"] == count
    assert list(found.record.counted()) == list(range(count))
    assert set(told_of(scores)[:count]) <= set(found.strategy.told)
    if first is not None:
        assert found.record.best().number == first
    again = go(found.folder, scores, stop=StopRules(goal=goal))
    assert again.ran == []
    assert (again.reason, again.record.end["counted"]) == (found.reason, count)


def test_a_goal_of_a_metric_that_grows_is_reached_from_below(folders, go):
    # made-up results all have a dev accuracy of 0.9
    assert go(folders(), [0.5, 0.5], metric="accuracy", stop=StopRules(goal=0.9)).record.end["counted"] == 1
    assert go(folders(), [0.5, 0.5], metric="accuracy", stop=StopRules(goal=0.91)).reason == "done"


@given(SCORES, slots, whims, st.integers(0, 8), st.sampled_from(["timeout", "interrupted"]))
@MANY
def test_an_early_end_counts_what_has_no_gap_before_it(folders, go, scores, slots, whim, times, reason):
    found = go(folders(), scores, slots=slots, whim=whim, stop=After(times, reason))
    if found.reason == "done":
        assert len(found.record.results) == len(scores)
        return
    assert found.reason == reason
    prefix = next((n for n in range(len(scores)) if n not in found.record.results), len(scores))
    assert found.record.end["counted"] == prefix
    assert list(found.record.counted()) == list(range(prefix))
    assert sorted(found.strategy.told) == [told_of(scores)[number] for number in sorted(found.record.results)]


@given(SCORES, st.lists(st.tuples(slots, st.integers(0, 4)), max_size=4), whims)
@MANY
def test_a_run_that_was_ended_often_is_the_run_that_was_not(folders, go, scores, ends, whim):
    folder = folders()
    ran = []
    for slots, times in ends:
        before = set(RunRecord.load(folder).results) if folder.exists() else set()
        found = go(folder, scores, slots=slots, whim=whim, stop=After(times, "timeout"))
        assert not before & set(found.ran), "what is there is not run again"
        ran += [number for number in found.ran if number in found.record.results]
    found = go(folder, scores, slots=3, whim=whim)
    ran += found.ran
    assert sorted(ran) == list(range(len(scores)))
    assert sorted(found.strategy.told) == told_of(scores)
    assert found.reason == "done"
    alone = go(folders(), scores)
    assert views(folder) == views(alone.folder)
    finished = [line.trial for line in read(folder / JOURNAL) if line.kind == "trial"]
    assert sorted(finished) == list(range(len(scores)))


@given(SCORES, slots, whims)
@MANY
def test_more_trials_later_are_the_trials_of_a_longer_run(folders, go, scores, slots, whim):
    folder = folders()
    go(folder, scores, slots=slots, whim=whim, numbers=range(len(scores) // 2))
    found = go(folder, scores, slots=slots, whim=whim)
    assert found.ran == list(range(len(scores) // 2, len(scores)))
    assert views(folder) == views(go(folders(), scores).folder)


@given(SCORES, slots, whims)
@MANY
def test_what_is_kept_last_is_the_winner(folders, go, scores, slots, whim):
    kept = []

    def keep(result):
        assert result.curves, "it is given before weights and curves are dropped"
        kept.append((result.number, result.metrics["dev_log_loss"]))

    found = go(folders(), scores, slots=slots, whim=whim, keep=keep)
    best = found.record.best()
    assert found.loop.best == best
    if best is None:
        assert kept == []
        return
    assert kept[-1] == (best.number, best.metrics["dev_log_loss"])
    ranks = [(score, number) for number, score in kept]
    assert ranks == sorted(ranks, reverse=True), "each is better than the one before"


def test_what_was_best_before_is_kept_only_when_it_is_beaten(folders, go):
    folder = folders()
    go(folder, [0.3, 0.2, 0.4], numbers=range(2))
    kept = []
    go(folder, [0.3, 0.2, 0.4, 0.2, 0.1], keep=lambda result: kept.append(result.number))
    assert kept == [4], "0.4 and a later 0.2 do not beat the 0.2 that is there"


def test_failures_are_told_as_infinity_and_end_nothing(folders, go):
    found = go(folders(), [None, None, 0.5, None], slots=2)
    assert sorted(found.strategy.told) == [(0, math.inf), (1, math.inf), (2, 0.5), (3, math.inf)]
    assert found.reason == "done"
    assert found.record.best().number == 2
    nothing = go(folders(), [None, None])
    assert nothing.reason == "done"
    assert nothing.record.best() is None


def test_what_a_trial_cost_is_told_unless_it_failed_also_when_the_run_goes_on(folders, go):
    folder, cost = folders(), 0.01
    assert go(folder, [0.3, None, 0.5], numbers=range(3)).strategy.costs == {0: cost, 1: None, 2: cost}
    assert go(folder, [0.3, None, 0.5, 0.1]).strategy.costs == {0: cost, 1: None, 2: cost, 3: cost}


def test_only_the_trials_that_were_named_are_run_and_counted(folders, go):
    folder = folders()
    found = go(folder, [0.5] * 9, numbers=[2, 5, 7], slots=2)
    assert found.ran == [2, 5, 7]
    assert found.record.end["counted"] == [2, 5, 7]
    assert list(found.record.counted()) == [2, 5, 7]
    assert go(folder, [0.5] * 9, numbers=[2, 5]).ran == []


def test_the_observer_sees_each_result_with_the_best_so_far(folders, go):
    seen = []
    ticks = []
    observer = SimpleNamespace(
        finished=lambda result, best: seen.append((result.number, best.number if best else None)),
        tick=lambda: ticks.append(1),
    )
    go(folders(), [None, 0.5, 0.7, 0.2], observer=observer)
    assert seen == [(0, None), (1, 1), (2, 1), (3, 3)]
    assert ticks == []


def test_every_trial_that_begins_is_noted_with_its_configuration(folders, go):
    found = go(folders(), [0.5, None, 0.25], slots=3)
    events = [line.event() for line in read(found.folder / JOURNAL)]
    starts = [(event["trial"], event["config"]) for event in events if event["event"] == "start"]
    assert starts == [(number, proposal(number)) for number in range(3)]
    assert events[-1]["event"] == "end"


@pytest.mark.parametrize("what", ["deadline", "interrupted"])
def test_stop_rules(what):
    assert StopRules().reason() is None
    assert StopRules(deadline=math.inf).reason() is None
    if what == "deadline":
        assert StopRules(deadline=0.0).reason() == "timeout"
    else:
        assert StopRules(deadline=0.0, interrupted=lambda: True).reason() == "interrupted"


def test_time_is_reserved_for_what_comes_after():
    now = time.monotonic()
    assert StopRules(deadline=now + 100, reserved=lambda: 50.0).reason() is None
    assert StopRules(deadline=now + 100, reserved=lambda: 101.0).reason() == "timeout"
    assert StopRules(reserved=lambda: 101.0).reason() is None
