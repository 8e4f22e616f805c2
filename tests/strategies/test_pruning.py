"""Pruning by a rule that looks at trials one after the other, whatever the order in which they report."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.strategies.pruning import BETTER, FAIR_EPOCH, FIRST_RUNG, LEAST, OF, WINDOW, Pruner, rungs_below

LONGEST = 40
RUNGS = (4, 8, 16, 32)
CONSTANT = 0.5
MANY = settings(deadline=None, max_examples=60)


@dataclass(frozen=True)
class Course:
    """What a trial would do if nothing stopped it: the best score so far after each epoch, and how it ends."""

    best: tuple[float, ...]
    fails: bool = False  # in the epoch after the last, which it was in when it failed

    def reports(self, rungs=RUNGS):
        behind = math.inf if self.fails or not self.best else self.best[-1]
        return [self.best[rung - 1] if rung <= len(self.best) else behind for rung in rungs]

    def judged(self, rungs=RUNGS):
        """The rungs at which it goes on."""
        return sum(rung < len(self.best) + self.fails for rung in rungs)


def stops_in_order(courses, lag, constant=CONSTANT, rungs=RUNGS):
    """The rung at which each trial is stopped, -1 if at none: the rule for trials that run one after the other."""
    stops, counted = [], []
    for number, course in enumerate(courses):
        reports = course.reports(rungs)
        past = [counted[n] for n in range(max(0, number - lag + 1 - WINDOW), max(0, number - lag + 1))]
        stop = -1
        for rung in range(course.judged(rungs)):
            better = [other[rung] for other in past if other[rung] < reports[rung]]
            below_most = len(past) >= LEAST and len(better) * OF > len(past) * BETTER
            unfair = number > 0 and rungs[rung] >= FAIR_EPOCH and reports[rung] > constant
            if (below_most or unfair) and reports[rung] < math.inf:
                stop = rung
                break
        stops.append(stop)
        counted.append(final(reports, stop))
    return stops


def final(reports, stop):
    return [math.inf if 0 <= stop < rung else score for rung, score in enumerate(reports)]


def some_courses(chance, count):
    """Many of them alike, so that scores are equal and medians are near; some without any score for a while."""
    courses = []
    for _ in range(count):
        score = chance.choice([0.2, 0.3, 0.4, 0.45, 0.6, 0.9, math.inf])
        fall = chance.choice([0.0, 0.05, 0.1, 0.2])
        best = []
        for _ in range(chance.choice([LONGEST, LONGEST, LONGEST, chance.randint(1, LONGEST)])):
            if chance.random() < 0.2:
                score = round((1.0 if score == math.inf else score) * (1 - fall), 2)
            best.append(score)
        fails = chance.random() < 0.1
        courses.append(Course(tuple(best if not fails else best[: chance.randint(0, len(best))]), fails))
    return courses


class Players:
    """Workers that run `courses` in any order and speed; each step of theirs is one word to the pruners.

    All pruners are told the same but for `forget`, of which the first alone hears.
    """

    def __init__(self, courses, lag, workers, chance, ahead=1, constant=CONSTANT):
        self.courses = courses
        self.wanted = stops_in_order(courses, lag, constant)
        self.pruners = [Pruner(RUNGS, lag, constant) for _ in range(2)]
        self.known = {}  # what stopped_at has said
        self.stopped_by_limits = 0
        self.ran_on = 0  # beyond the rung at which they should have been stopped
        self._workers, self._chance, self._ahead = workers, chance, ahead
        self._waiting = list(range(len(courses)))
        self._speed = [chance.choice([0.02, 1.0, 1.0, 1.0]) for _ in courses]
        self._running = {}  # the rungs gone past, and the limits
        self._ended = set()
        self._open = set(range(len(courses)))

    def play(self):
        while self._waiting or self._running or self._ended:
            acts = [self._begin] * (len(self._running) < self._workers and bool(self._waiting))
            acts += [self._go_on] * (3 * bool(self._running)) + [self._ask]
            self._chance.choice(acts)()
            if not self._waiting and not self._running:
                self._ask()
                still = {n for n in self._ended if n not in self.known}
                assert not still, "all have ended, so nothing is open"
        return self

    def both(self, method, *arguments):
        found = [getattr(pruner, method)(*arguments) for pruner in self.pruners]
        assert found[0] == found[1], "what was forgotten was of use"
        return found[0]

    def _begin(self):
        self.pruners[0].forget(min(self._open))
        number = self._waiting.pop(self._chance.randrange(min(self._ahead, len(self._waiting))))
        limits = self.both("limits", number)
        assert [epoch for epoch, _ in limits] == list(RUNGS)
        self._running[number] = (0, limits)

    def _go_on(self):
        number = self._chance.choices(list(self._running), [self._speed[n] for n in self._running])[0]
        rung, limits = self._running[number]
        course = self.courses[number]
        if rung == course.judged():
            self._end(number, course.reports(), rung)
            return
        score = course.reports()[rung]
        over = limits[rung][1] < score < math.inf
        if not over or self._chance.random() < 0.5:  # a worker may report what it then stops
            self.both("report", number, rung, score)
        if over:
            self.stopped_by_limits += 1
            assert 0 <= self.wanted[number] <= rung, "it was not to be stopped so early"
            self._end(number, final(course.reports(), rung), rung + 1)
        else:
            self._running[number] = (rung + 1, limits)

    def _end(self, number, reports, judged):
        del self._running[number]
        self._ended.add(number)
        self.ran_on += 0 <= self.wanted[number] < judged - 1
        self.both("end", number, reports, judged)

    def _ask(self):
        for number in sorted(self._ended):
            stop = self.both("stopped_at", number)
            assert stop in (None, self.wanted[number])
            assert number not in self.known or stop is not None, "once known it stays known"
            if stop is None:
                continue
            self.known[number] = stop
            if self._chance.random() < 0.5:
                self.both("tell", number, final(self.courses[number].reports(), stop))
                self._ended.remove(number)
                self._open.remove(number)


counts = st.integers(0, 40)
lags = st.integers(1, 12)
chances = st.integers(0, 10**6).map(random.Random)
constants = st.sampled_from([CONSTANT, math.inf])


@given(counts, lags, st.integers(1, 6), chances, st.integers(1, 9), constants)
@MANY
def test_what_is_stopped_depends_on_no_speed_and_no_order(count, lag, workers, chance, ahead, constant):
    players = Players(some_courses(chance, count), lag, workers, chance, ahead, constant).play()
    assert players.known == dict(enumerate(players.wanted))


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (8, 1), (3, 30), (8, 8)])
def test_what_left_the_window_is_of_no_more_use(workers, ahead):
    chance = random.Random(workers)
    players = Players(some_courses(chance, 3 * WINDOW), 8, workers, chance, ahead).play()
    assert players.known == dict(enumerate(players.wanted))
    assert players.stopped_by_limits > 10
    assert bool(players.ran_on) == (workers > 1)
    first, second = players.pruners
    kept = [len(known) for known in (first._final, first._verdicts)]
    assert all(few < len(known) for few, known in zip(kept, (second._final, second._verdicts), strict=True))


@given(st.integers(0, 90), lags, chances, constants)
@MANY
def test_limits_decide_everything_when_everything_earlier_is_known(count, lag, chance, constant):
    courses = some_courses(chance, count)
    wanted = stops_in_order(courses, lag, constant)
    pruner = Pruner(RUNGS, lag, constant)
    for number, (course, want) in enumerate(zip(courses, wanted, strict=True)):
        reports = course.reports()
        over = [limit < reports[rung] < math.inf for rung, (_, limit) in enumerate(pruner.limits(number))]
        over = over[: course.judged()]
        assert (over.index(True) if True in over else -1) == want
        if chance.random() < 0.5:
            pruner.tell(number, final(reports, want))
        else:
            pruner.end(number, reports, course.judged())
            assert pruner.stopped_at(number) == want


@given(counts, lags, chances, constants)
@MANY
def test_limits_never_stop_what_may_go_on(count, lag, chance, constant):
    """Whatever is known when it begins, and whatever comes of the others."""
    courses = some_courses(chance, count + 1)
    wanted = stops_in_order(courses, lag, constant)
    pruner = Pruner(RUNGS, lag, constant)
    for number, course in enumerate(courses[:-1]):
        reports, judged = course.reports(), course.judged()
        told = chance.choice(["nothing", "reports", "end", "all"])
        for rung in range(chance.randint(0, judged) if told == "reports" else 0):
            pruner.report(number, rung, reports[rung])
        if told == "end":
            pruner.end(number, reports, judged)
        if told == "all":
            pruner.tell(number, final(reports, wanted[number]))
    reports = courses[-1].reports()
    over = [rung for rung, (_, limit) in enumerate(pruner.limits(count)) if limit < reports[rung] < math.inf]
    early = [rung for rung in over if rung < courses[-1].judged()]
    assert not early or 0 <= wanted[-1] <= early[0]


@given(st.integers(0, 40), lags, chances)
@MANY
def test_what_is_known_is_so_whatever_comes_of_those_that_have_not_reported(count, lag, chance):
    courses = some_courses(chance, count + 1)
    unheard = {n for n in range(count) if chance.random() < 0.3}
    pruner = Pruner(RUNGS, lag, CONSTANT)
    for number, course in enumerate(courses):
        if number not in unheard:
            pruner.end(number, course.reports(), course.judged())
    stop = pruner.stopped_at(count)
    for _ in range(5):
        other = some_courses(chance, count)
        changed = [other[n] if n in unheard else course for n, course in enumerate(courses)]
        assert stop in (None, stops_in_order(changed, lag)[-1])


def flat(score, epochs=LONGEST):
    return Course((score,) * epochs)


def told(*scores, lag=1, constant=math.inf):
    pruner = Pruner(RUNGS, lag, constant)
    for number, score in enumerate(scores):
        pruner.tell(number, [score] * len(RUNGS))
    return pruner


def test_rungs():
    assert rungs_below(100) == (4, 8, 16, 32, 64)
    assert rungs_below(9) == (4, 8)
    assert rungs_below(8) == (4,), "after the last epoch there is nothing to save"
    assert rungs_below(4) == rungs_below(1) == ()
    assert rungs_below(1_000_000)[0] == FIRST_RUNG
    assert rungs_below(1_000_000)[-1] == 2**19


@pytest.mark.parametrize(
    ("scores", "limit"),
    [
        ([], math.inf),
        ([0.1, 0.2, 0.3, 0.4], math.inf),  # too few
        ([0.1, 0.2, 0.3, 0.4, 0.5], 0.4),  # three of five are not enough
        ([0.5, 0.1, 0.4, 0.2, 0.3, 0.6], 0.5),  # nor are four of six
        ([0.1, 0.2, 0.3, 0.4, math.inf], 0.4),
        ([0.1, 0.2, 0.3, math.inf, math.inf], math.inf),
        ([0.1] * WINDOW + [0.9] * WINDOW, 0.9),  # the latest alone
        ([0.1] * 48 + [0.9] * 16, 0.9),
        ([0.9] + [0.1] * 49 + [0.9] * 15, 0.1),
    ],
)
def test_the_limit_is_what_more_than_three_quarters_are_better_than(scores, limit):
    assert [found for _, found in told(*scores).limits(len(scores))] == [limit] * len(RUNGS)


def test_a_constant_is_a_limit_from_the_fair_epoch_on():
    assert told(constant=0.7).limits(1) == ((4, math.inf), (8, 0.7), (16, 0.7), (32, 0.7))
    assert told(constant=0.7).limits(0) == tuple((epoch, math.inf) for epoch in RUNGS), "somebody has to win"
    assert told(*[0.3] * 5, constant=0.7).limits(5) == ((4, 0.3), (8, 0.3), (16, 0.3), (32, 0.3))
    assert told(*[0.9] * 5, constant=0.7).limits(5) == ((4, 0.9), (8, 0.7), (16, 0.7), (32, 0.7))


def test_a_score_that_equals_the_limit_goes_on():
    assert stops_in_order([flat(0.3)] * 20 + [flat(CONSTANT)] * 3, 1)[:20] == [-1] * 20
    for score, stop in ((0.3, -1), (math.nextafter(0.3, 1), 0)):
        pruner = told(*[0.3] * 5, constant=0.3)
        pruner.end(5, [score] * 4, 4)
        assert pruner.stopped_at(5) == stop


def test_trials_within_the_lag_are_not_looked_at():
    pruner = told(*[0.1] * 9, lag=5)
    assert pruner.limits(8)[0][1] == math.inf, "trials 0 to 3 are four"
    assert pruner.limits(9)[0][1] == 0.1


def test_an_end_at_a_rung_is_no_stop():
    pruner = told(*[0.1] * 5)
    pruner.end(5, flat(0.9, 4).reports(), flat(0.9, 4).judged())
    pruner.end(6, flat(0.9, 5).reports(), flat(0.9, 5).judged())
    assert (pruner.stopped_at(5), pruner.stopped_at(6)) == (-1, 0)


def test_a_stopped_trial_does_not_raise_the_bar():
    """Bad ones stop at once; the trial after them is compared with infinity for each of them, at later rungs."""
    bad = [Course((0.9,) * 4 + (0.1,) * 36)] * 3  # would have become good
    courses = [*[flat(0.2)] * 8, *bad, Course((0.1,) * 4 + (0.3,) * 36)]
    wanted = [-1] * 8 + [0] * 3 + [-1]
    assert stops_in_order(courses, 1) == wanted
    pruner = Pruner(RUNGS, 1)
    for number, course in enumerate(courses):
        pruner.end(number, course.reports(), course.judged())
    assert [pruner.stopped_at(number) for number in range(12)] == wanted


def test_what_has_ended_by_itself_keeps_its_score_at_later_rungs():
    """It could not be stopped there any more, bad as it is beside the others."""
    good, late = Course((1.0,) * 4 + (0.2,) * 36), Course((1.0,) * 8 + (0.2,) * 32)
    courses = [late, *[good] * 6, flat(0.9, 5), flat(2.0), flat(2.0), flat(0.95)]
    wanted = [-1] * 8 + [0, 0, 2]
    assert stops_in_order(courses, 1, math.inf) == wanted
    pruner = Pruner(RUNGS, 1)
    for number, course in enumerate(courses):
        pruner.end(number, course.reports(), course.judged())
    assert [pruner.stopped_at(number) for number in range(11)] == wanted


def test_a_decision_waits_only_for_what_may_change_it():
    pruner = Pruner(RUNGS, 1)
    for number in range(4):
        pruner.report(number, 0, 0.2)
    pruner.end(5, [0.3] * 4, 4)
    pruner.end(6, [0.1] * 4, 1)
    assert pruner.stopped_at(5) == 0, "four of five are enough"
    assert pruner.stopped_at(6) == -1, "two of six are not, whatever they are"
    for last, stop in ((0.2, 0), (0.4, -1)):
        pruner = Pruner(RUNGS, 1)
        for number in range(3):
            pruner.report(number, 0, 0.2)
        pruner.end(5, [0.3] * 4, 1)
        assert pruner.stopped_at(5) is None
        pruner.report(4, 0, 0.3)
        assert pruner.stopped_at(5) is None
        pruner.report(3, 0, last)
        assert pruner.stopped_at(5) == stop
