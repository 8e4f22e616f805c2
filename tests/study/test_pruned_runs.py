"""Studies whose bad trials are stopped on their way: the same bytes for any number of processes of any speed."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies.test_pruning import Course, final, stops_in_order
from study.driving import NEVER, QUIET, After

from hpsearch import strict_yaml
from hpsearch.config import StrategyConfig
from hpsearch.engine.layout import CURVES
from hpsearch.executors.base import Executor
from hpsearch.run_directory.directory import open_run
from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.space import Categorical, Int, Space
from hpsearch.strategies import make_strategy
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.pruning import BETTER, OF, Pruner, rungs_below
from hpsearch.study import MOST_HELD, Study
from hpsearch.trial import RungReport, TrialResult, TrialState

LONGEST = 20
RUNGS = rungs_below(LONGEST)
CONSTANT = 0.7
UPDATES, FLOP = 7, 3.0e6  # of an epoch
LAG = 4
VIEWS = ("trials.csv", "curves.csv", "best.yaml")
SEEDS = st.integers(0, 10**6)
pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
MANY = settings(deadline=None, max_examples=12)


class Learning(Strategy):
    """Proposals near the best of what it knows, so that a wrong word about one trial changes all later ones."""

    limit = None

    def __init__(self, lag=LAG):
        self.lag = lag
        self.told = {}
        self.costs = {}

    def ready(self, number):
        return all(n in self.told for n in range(number - self.lag + 1))

    def prepare(self, number):
        assert self.ready(number)

    def _propose(self, number):
        raise AssertionError("ask is our own")

    def ask(self, number):
        past = [(self.told[n], n) for n in range(number - self.lag + 1)]
        best = min(past, default=(0.0, 0))[1]
        return {
            "learning_rate": 1.0 / (1 + number) + best,
            "optimizer": "adam",
            "hidden": [sum(s < 0.4 for s, _ in past)],
        }

    def tell(self, number, config, score, cost=None):
        assert number not in self.told
        self.told[number] = score
        self.costs[number] = cost


class Ready(Learning):
    """Waits for nobody."""

    def ready(self, number):
        return True

    def ask(self, number):
        return {"learning_rate": 1.0 / (1 + number), "optimizer": "adam"}


def course_of(number, config):
    """(dev scores, whether it fails behind them) of an imagined trial that nothing stops."""
    chance = random.Random(repr((number, config)))
    floor, fall = chance.choice([0.1, 0.2, 0.3, 0.3, 0.5, 0.9]), chance.choice([0.5, 0.8, 0.95])
    wall = chance.choice([LONGEST, LONGEST, 8, 2])  # from this epoch on it learns nothing
    epochs = chance.choice([LONGEST, LONGEST, LONGEST, chance.randint(1, LONGEST)])
    scores = [round(floor + fall ** min(epoch, wall) + chance.choice([0.0, 0.05]), 6) for epoch in range(1, epochs + 1)]
    if epochs > 1 and chance.random() < 0.2:
        scores[0] = math.nan
    fails = chance.random() < 0.12
    return scores[: chance.randint(0, epochs - 1)] if fails else scores, fails


def best_so_far(scores):
    best, low = [], math.inf
    for score in scores:
        low = min(low, math.inf if math.isnan(score) else score)
        best.append(low)
    return best


def result_of(trial, seen, fails, state):
    """What run_trial would make of a trial with these dev scores."""
    best = best_so_far(seen)
    ended = state is TrialState.COMPLETE
    behind = best[-1] if best and ended else math.inf
    metrics = {}
    if ended:
        for metric, at in (("log_loss", min(best)), ("accuracy", 0.5)):
            metrics |= {f"dev_{metric}": at, f"train_{metric}": at / 2}
    return TrialResult(
        trial.number,
        trial.config,
        state,
        metrics=metrics,
        best_epoch=seen.index(min(best)) + 1 if ended else None,
        epochs=len(seen),
        updates=len(seen) * UPDATES + 2 * fails,
        parameters=11,
        gflop=float(f"{FLOP * len(seen) / 1e9:.7g}"),
        error="diverged: somewhere" if fails else "",
        curves={name: [score / (1 + i) if i != 3 else score for score in seen] for i, name in enumerate(CURVES)},
        health={"epochs": list(range(1, len(seen) + 1, 3)), "grad_norm": [[e] for e in range(0, len(seen), 3)]},
        started=time.time(),
        seconds=random.random(),
        weights=object() if ended else None,
        survived=len(seen) - ended,
        reports=[best[rung - 1] if rung <= len(best) else behind for rung in RUNGS],
        epoch_updates=UPDATES,
        epoch_flop=FLOP,
    )


def close_course(number, config):
    """So near the limit that every one that has not reported leaves it open."""
    below = number % OF >= OF - BETTER
    return [0.5 + (-1) ** below * 0.3 / (1 + number)] * LONGEST, False


class Slots(Executor):
    """Trials of random speed, an epoch at a time; ends are given back in any order, some of them late."""

    def __init__(self, slots, chance, slow, course, speeds):
        self.slots = slots
        self.ran = []
        self.epochs = 0
        self.most_held = 0
        self.loop = None
        self._chance, self._slow, self._course, self._speeds = chance, slow, course, speeds
        self._at_work = {}  # number -> what a trial does, step by step
        self._speed = {}
        self._done = []
        self._idle = 0

    def submit(self, trial):
        assert len(self._at_work) + len(self._done) < self.slots
        self.ran.append(trial.number)
        self._at_work[trial.number] = self._train(trial)
        self._speed[trial.number] = 0.0 if trial.number in self._slow else self._chance.choice(self._speeds)

    def wait(self, seconds):
        self.most_held = max(self.most_held, len(self.loop._held))
        self._idle = 0 if self._at_work or self._done else self._idle + 1
        assert self._idle < 9, "nothing is at work, nothing begins, and the study does not end"
        if not self._done and not any(self._speed[number] for number in self._at_work):
            self._speed |= dict.fromkeys(self._at_work, 1.0)
        said = []
        for number in list(self._at_work):
            while self._chance.random() < self._speed[number]:
                item = next(self._at_work[number])
                if isinstance(item, TrialResult):
                    del self._at_work[number]
                    self._done.append(item)
                    break
                if item is not None:
                    said.append(item)
        self._chance.shuffle(self._done)
        give = self._chance.randint(0, len(self._done))
        given, self._done = self._done[:give], self._done[give:]
        places = sorted(self._chance.randint(0, len(said)) for _ in given)
        for place, item in reversed(list(zip(places, given, strict=True))):
            earlier = {report.number for report in said[place:]}
            said.insert(len(said) if item.number in earlier else place, item)
        return said

    def _train(self, trial):
        scores, fails = self._course(trial.number, trial.config)
        best = best_so_far(scores)
        limits = dict(trial.limits)
        for epoch in range(1, len(scores) + 1):
            self.epochs += 1
            goes_on = epoch < len(scores) or fails
            if goes_on and epoch in RUNGS:
                if limits.get(epoch, math.inf) < best[epoch - 1] < math.inf:
                    yield result_of(trial, scores[:epoch], fails=False, state=TrialState.PRUNED)
                    return
                yield RungReport(trial.number, RUNGS.index(epoch), best[epoch - 1])
            yield None
        yield result_of(trial, scores, fails, TrialState.FAIL if fails else TrialState.COMPLETE)


@pytest.fixture(scope="session")
def go(copy_study_facts, folders):
    """A function that runs (or goes on with) a study and returns what came of it."""

    def run(
        trials, *, folder=None, slots=1, seed=0, stop=None, strategy=None, prune=True, slow=(), cost=lambda trial: 0.0,
        keep=lambda result: None, observer=QUIET, lag=LAG, course=course_of, speeds=(0.1, 0.5, 0.9, 1.0),
    ):  # fmt: skip
        folder = folder or folders()
        study, data = copy_study_facts()
        study["metric"] = "log_loss"
        executor = Slots(slots, random.Random(seed), slow, course, speeds)
        strategy = strategy or Learning(lag)
        pruner = Pruner(RUNGS, lag, CONSTANT) if prune else None
        numbers = range(trials) if isinstance(trials, int) else trials
        with open_run(folder, study, data, {}) as directory:
            loop = executor.loop = Study(directory, strategy, numbers, stop or NEVER, cost, pruner)
            reason = loop.run(executor, observer, keep)
        return SimpleNamespace(
            reason=reason, ran=executor.ran, record=RunRecord.load(folder), folder=folder, executor=executor, loop=loop,
            strategy=strategy,
        )  # fmt: skip

    return run


def views(folder):
    return {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in VIEWS}


def events_of(folder, kind):
    return [line.event() for line in read(folder / JOURNAL) if line.kind == kind]


TRIALS = 40


@pytest.mark.parametrize("slots", [1, 4])
def test_only_what_came_to_its_end_tells_of_costs(go, slots):
    """Also where a trial ran on, and is cut short afterwards."""
    found = go(TRIALS, slots=slots)
    results = found.record.results
    expected = {n: result.cost for n, result in results.items()}
    assert found.strategy.costs == expected
    assert {n for n, cost in expected.items() if cost} == {
        n for n in results if results[n].state is TrialState.COMPLETE
    }
    assert {result.state for result in results.values()} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}


@pytest.fixture(scope="module")
def alone(go):
    """The study in one slot, where everything earlier is known when a trial begins."""
    return go(TRIALS)


def test_one_slot_does_what_the_rule_says(alone):
    courses = [course_of(number, alone.record.results[number].config) for number in range(TRIALS)]
    wanted = stops_in_order([Course(tuple(best_so_far(s)), fails) for s, fails in courses], LAG, CONSTANT, RUNGS)
    assert set(wanted) >= {-1, 0, 1}
    assert 8 < wanted.count(-1) < TRIALS - 8
    for number, (stop, (scores, fails)) in enumerate(zip(wanted, courses, strict=True)):
        result = alone.record.results[number]
        if stop < 0:
            assert result.state is (TrialState.FAIL if fails else TrialState.COMPLETE)
            assert result.epochs == len(scores)
        else:
            assert (result.state, result.epochs) == (TrialState.PRUNED, RUNGS[stop])
            assert result.metrics["dev_log_loss"] == best_so_far(scores)[result.epochs - 1]
    assert alone.executor.epochs == sum(result.epochs for result in alone.record.results.values())
    assert alone.executor.epochs < sum(len(scores) for scores, _ in courses)
    assert alone.executor.most_held == 0


@given(st.integers(1, 5), SEEDS)
@MANY
def test_the_bytes_do_not_depend_on_slots_or_speeds(go, alone, slots, seed):
    found = go(TRIALS, slots=slots, seed=seed)
    assert found.reason == "done"
    assert views(found.folder) == views(alone.folder)
    assert sorted(found.ran) == list(range(TRIALS))
    assert found.strategy.told == alone.strategy.told
    assert events_of_trials(found.folder) == events_of_trials(alone.folder)


def events_of_trials(folder):
    """What the journal tells of trials, but for what may differ."""
    places = ("started", "seconds", "worker", "seq", "crc")
    events = events_of(folder, "trial") + events_of(folder, "curve")
    plain = [{name: value for name, value in event.items() if name not in places} for event in events]
    return sorted(plain, key=lambda event: (event["trial"], event["event"]))


@given(st.integers(2, 5), SEEDS)
@MANY
def test_a_strategy_that_waits_for_nobody_gets_the_same_bytes(go, slots, seed):
    trials = 30
    alone = go(trials, strategy=Ready())
    found = go(trials, strategy=Ready(), slots=slots, seed=seed)
    assert views(found.folder) == views(alone.folder)
    assert found.ran == sorted(found.ran)


def ended(folder):
    """The trials that have come to an end, whether it is known or not if that is the end that counts."""
    record = RunRecord.load(folder) if folder.exists() else None
    return {*record.results, *record.held} if record else set()


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), max_size=4), SEEDS)
@MANY
def test_a_run_that_was_cut_often_is_the_run_that_was_not(go, folders, alone, cuts, seed):
    folder = folders()
    for place, (slots, times) in enumerate(cuts):
        before = ended(folder)
        found = go(TRIALS, folder=folder, slots=slots, seed=seed + place, stop=After(times))
        assert not before & set(found.ran), "what is there is not run again"
    before = ended(folder)
    found = go(TRIALS, folder=folder, slots=3, seed=seed)
    assert sorted([*before, *found.ran]) == list(range(TRIALS))
    assert found.reason == "done"
    assert views(folder) == views(alone.folder)
    assert sorted(event["trial"] for event in events_of(folder, "trial")) == list(range(TRIALS))
    assert found.strategy.told == alone.strategy.told
    assert events_of_trials(folder) == events_of_trials(alone.folder)


@given(st.integers(1, 5), SEEDS, st.floats(0, 1))
@MANY
def test_a_journal_that_was_cut_anywhere_goes_on_to_the_same_bytes(go, folders, alone, slots, seed, share):
    whole = (go(TRIALS, slots=slots, seed=seed).folder / JOURNAL).read_bytes()
    first = whole.index(b"\n") + 1
    folder = folders()
    folder.mkdir(parents=True)
    (folder / JOURNAL).write_bytes(whole[: first + round(share * (len(whole) - first))])
    before = ended(folder)
    found = go(TRIALS, folder=folder, slots=slots, seed=seed + 1)
    assert sorted([*found.ran, *before]) == list(range(TRIALS))
    assert views(folder) == views(alone.folder)


@given(st.integers(1, 5), SEEDS, st.integers(0, TRIALS))
@MANY
def test_more_trials_later_are_the_trials_of_a_longer_run(go, alone, slots, seed, first):
    found = go(first, slots=slots, seed=seed)
    found = go(TRIALS, folder=found.folder, slots=slots, seed=seed)
    assert sorted(found.ran) == list(range(first, TRIALS))
    assert views(found.folder) == views(alone.folder)


def test_the_journal_holds_the_reports(alone):
    events = {event["trial"]: event for event in events_of(alone.folder, "trial")}
    assert sorted(events) == list(range(TRIALS))
    for number, event in events.items():
        scores, fails = course_of(number, event["config"])
        whole = Course(tuple(best_so_far(scores)), fails).reports(RUNGS)
        stop = RUNGS.index(event["epochs"]) if event["state"] == "PRUNED" else -1
        assert event["reports"] == [score if score < math.inf else None for score in final(whole, stop)]
        assert alone.record.results[number].reports == final(whole, stop)


@given(st.integers(1, 5), SEEDS)
@MANY
def test_the_winner_is_complete_and_is_kept_last(go, alone, slots, seed):
    kept, seen = [], []

    def keep(result):
        assert result.state is TrialState.COMPLETE
        assert result.weights is not None
        assert result.curves
        kept.append(result.number)

    observer = SimpleNamespace(finished=lambda result, best: seen.append(result), tick=lambda: None)
    found = go(TRIALS, slots=slots, seed=seed, keep=keep, observer=observer)
    assert kept[-1] == alone.record.best().number
    assert found.loop.best.number == kept[-1]
    assert sorted(result.number for result in seen) == list(range(TRIALS))
    assert all(result.weights is None for result in seen)


def test_without_a_pruner_everything_runs_to_its_end(go):
    found = go(TRIALS, slots=3, prune=False)
    results = found.record.results.values()
    assert TrialState.PRUNED not in {result.state for result in results}
    assert found.executor.epochs == sum(result.epochs for result in results)
    assert found.executor.most_held == 0


def close_run(go, trials, **changes):
    return go(trials, strategy=Ready(), course=close_course, **changes)


@pytest.mark.parametrize("slots", [2, 5])
def test_results_that_wait_are_no_more_than_allowed(go, slots):
    """The first trial ends last, when nothing else can go on."""
    found = close_run(go, 100, slots=slots, slow={0}, speeds=[0.5], seed=11)
    assert MOST_HELD - slots <= found.executor.most_held <= MOST_HELD
    assert views(found.folder) == views(close_run(go, 100).folder)


def test_results_that_wait_when_a_run_is_cut_are_not_found_again(go):
    """The first trial is so slow that all others have ended when the run is cut short."""
    found = close_run(go, 60, slots=5, slow={0}, speeds=[1.0], stop=After(20))
    held = set(found.record.held)
    assert len(held) > 20
    assert not held & set(found.record.results)
    again = close_run(go, 60, folder=found.folder, slots=5)
    assert not held & set(again.ran)
    assert not again.record.held
    assert views(found.folder) == views(close_run(go, 60).folder)


@pytest.mark.parametrize("slots", [2, 5])
@pytest.mark.parametrize("order", [1, -1])
def test_the_costliest_first_and_still_every_decision_falls(go, slots, order):
    """The last trials begin in the order of their cost; none may be forgotten that they are compared with."""
    alone = close_run(go, 100)
    for seed in range(3):
        found = close_run(go, 100, slots=slots, seed=seed, cost=lambda trial: order * trial.number)
        assert found.reason == "done"
        assert views(found.folder) == views(alone.folder)


@pytest.mark.parametrize("slots", [24, 40])
def test_results_that_wait_for_one_that_has_not_begun_do_not_keep_it_from_beginning(go, slots):
    trials = 8 * slots + 1
    found = close_run(go, trials, slots=slots, cost=lambda trial: trial.number, speeds=[1.0])
    assert found.ran.index(trials - 1) < trials - 1, "the costliest of the last began first"
    assert views(found.folder) == views(close_run(go, trials).folder)


def test_trials_whose_predecessors_are_not_run_come_to_an_end(go):
    found = go([17, 20, 30], strategy=Ready(), slots=2)
    assert found.reason == "done"
    assert found.record.end["counted"] == [17, 20, 30]
    assert TrialState.PRUNED not in {result.state for result in found.record.results.values()}


FILES = (*VIEWS, "model/model.yaml", "model/weights.safetensors")
WAYS = {
    "panda": ["--mode", "panda"],
    "caviar-1": ["-j", "1"],
    "caviar-2": ["-j", "2"],
    "caviar-5": ["-j", "5"],
}
SEARCHES = {
    "wine": ["random", "wine", "-n", "30", "--epochs", "12", "--finalists", "0"],
    "digits": ["random", "digits", "-n", "30", "--epochs", "10", "-p", "units=8:32:x2", "--finalists", "0"],
}
GIVE_UP_SECONDS = 120


def start(search, folder, *flags):
    command = [sys.executable, "-m", "hpsearch", *SEARCHES[search], "-o", str(folder), "-q", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(search, folder, *flags):
    process = start(search, folder, *flags)
    _, errors = process.communicate(timeout=GIVE_UP_SECONDS)
    assert process.returncode == 0, errors


def finished_in(folder):
    journal = folder / JOURNAL
    return journal.read_bytes().count(b'"event":"trial"') if journal.exists() else 0


def run_with_deaths(folder, deaths=(8, 16)):
    """Run with SIGKILL to the whole command when so many trials are done, each time in another mode."""
    for count, flags in zip(deaths, (WAYS["caviar-5"], WAYS["panda"]), strict=True):
        process = start("wine", folder, *flags)
        while process.poll() is None and finished_in(folder) < count:
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=GIVE_UP_SECONDS)
        assert process.returncode == -signal.SIGKILL
        assert count <= finished_in(folder) < 30
    finish("wine", folder, *WAYS["caviar-2"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of two studies run in every way."""
    base = tmp_path_factory.mktemp("real")
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(run_with_deaths, base / "wine killed")]
        work += [pool.submit(finish, "wine", base / f"wine {way}", *flags) for way, flags in WAYS.items()]
        work += [pool.submit(finish, "digits", base / f"digits {way}", *WAYS[way]) for way in ("panda", "caviar-5")]
        work.append(pool.submit(finish, "wine", base / "wine whole", "-j", "2", "--no-prune"))
        for done in work:
            done.result()
    return base


@pytest.mark.parametrize("search", SEARCHES)
def test_real_trials_are_stopped_and_the_winner_is_complete(runs, search):
    record = RunRecord.load(runs / f"{search} panda")
    pruned = [result for result in record.results.values() if result.state is TrialState.PRUNED]
    rungs = rungs_below(9)
    assert len(pruned) > 2
    assert {result.epochs for result in pruned} <= set(rungs)
    assert all(len(result.reports) == len(rungs) for result in record.results.values())
    assert record.best().state is TrialState.COMPLETE
    winner = strict_yaml.parse((runs / f"{search} panda" / "best.yaml").read_text(), "best.yaml")
    assert int(winner["trial"]) == record.best().number


@pytest.mark.parametrize(
    ("search", "way"), [*(("wine", way) for way in [*list(WAYS)[1:], "killed"]), ("digits", "caviar-5")]
)
def test_the_bytes_of_a_real_run_do_not_depend_on_how_it_was_run(runs, search, way):
    for name in FILES:
        assert (runs / f"{search} {way}" / name).read_bytes() == (runs / f"{search} panda" / name).read_bytes(), name
    assert events_of_trials(runs / f"{search} {way}") == events_of_trials(runs / f"{search} panda")


def test_a_killed_run_repeats_no_trial_that_it_had_finished(runs):
    assert sorted(event["trial"] for event in events_of(runs / "wine killed", "trial")) == list(range(30))
    assert [line.kind for line in read(runs / "wine killed" / JOURNAL)].count("study") == 1


def test_no_prune_lets_all_trials_run_to_their_end(runs):
    whole, pruned = (RunRecord.load(runs / name).results for name in ("wine whole", "wine panda"))
    assert TrialState.PRUNED not in {result.state for result in whole.values()}
    assert all(result.reports == [] for result in whole.values())
    first = range(8)  # those that no proposal could learn from
    assert [whole[number].config for number in first] == [pruned[number].config for number in first]
    assert sum(result.epochs for result in whole.values()) > sum(result.epochs for result in pruned.values())


FEW = Space({"layers": Int(1, 4), "activation": Categorical(("relu", "tanh", "silu", "gelu")), "units": Int(1, 4)})


@pytest.mark.parametrize("name", ["random", "grid", "evolve"])
@given(slots=st.integers(2, 5), seed=SEEDS, times=st.integers(5, 60))
@settings(deadline=None, max_examples=5)
def test_what_waited_when_a_run_was_cut_is_not_proposed_again(go, name, slots, seed, times):
    """In a small space a strategy must know what those trials try, though nobody has told how they went."""

    def strategy():
        options = StrategyConfig(name=name).model_dump() | {"lag": LAG, "planned": TRIALS}
        return make_strategy(FEW, 0, {}, **options)

    alone = go(TRIALS, strategy=strategy())
    found = go(TRIALS, slots=slots, seed=seed, slow={0, 9}, strategy=strategy(), stop=After(times))
    again = go(TRIALS, folder=found.folder, slots=slots, seed=seed + 1, strategy=strategy())
    assert again.reason == "done"
    assert views(again.folder) == views(alone.folder)
    assert not ended_then(found) & set(again.ran)


def ended_then(found):
    return {*found.record.results, *found.record.held}


def test_what_waits_and_was_not_asked_for_goes_on_waiting(go):
    found = close_run(go, 60, slots=5, slow={0}, speeds=[1.0], stop=After(20))
    beyond = {number for number in found.record.held if number >= 20}
    assert beyond
    fewer = close_run(go, 20, folder=found.folder, slots=2)
    assert fewer.record.end["counted"] == 20
    assert set(fewer.record.held) == beyond
    assert fewer.loop.best.number < 20
    whole = close_run(go, 60, folder=found.folder, slots=2)
    assert not beyond & set(whole.ran)
    assert views(whole.folder) == views(close_run(go, 60).folder)
