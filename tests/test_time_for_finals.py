"""How much of a time limit a search keeps for its finals."""

import pytest

from hpsearch.finals import HEADROOM, START_SECONDS, TimeForFinals
from hpsearch.run_directory.record import RunRecord
from hpsearch.trial import TrialResult, TrialState


def result(number, score, seconds, state=TrialState.COMPLETE, **facts):
    return TrialResult(number, {}, state, {"dev_log_loss": score}, seconds=seconds, **facts)


def record(*results):
    return RunRecord.of({"metric": "log_loss"}, {}, results)


def test_it_follows_from_what_the_best_trials_took():
    trials = record(*(result(n, score=n, seconds=2.0 if n < 5 else 100.0) for n in range(30)))
    needed = TimeForFinals(trials, None, 3, slots=2, preparing=4.0, timeout=1e9)
    assert needed() == START_SECONDS + HEADROOM * (4.0 + 8 * 2.0)  # 15 trainings by two


@pytest.mark.parametrize(("top", "trainings"), [(2, 6), (4, 12), (None, 6)])
def test_by_itself_a_short_search_has_two_finalists(top, trainings):
    trials = record(*(result(n, score=n, seconds=1.0) for n in range(9)))
    needed = TimeForFinals(trials, top, 3, slots=1, preparing=0.0, timeout=1e9)
    assert needed() == START_SECONDS + HEADROOM * trainings


@pytest.mark.parametrize(("top", "share"), [(None, 3), (5, 2)])
def test_there_are_as_many_finalists_as_there_is_time_for(top, share):
    """By itself in a third of the time, if asked for in half of it; two or none."""
    trials = record(*(result(n, score=n, seconds=1.0) for n in range(50)))
    for fitting, trainings in ((5, 15), (3, 9), (2, 6)):
        needed = START_SECONDS + HEADROOM * trainings
        found = TimeForFinals(trials, top, 3, slots=1, preparing=0.0, timeout=share * needed)
        assert (found(), found.finalists) == (needed, fitting)
    found = TimeForFinals(trials, top, 3, slots=1, preparing=0.0, timeout=share * needed - 0.1)
    assert (found(), found.finalists, found.needed) == (0.0, 0, needed)


def test_without_finals_nothing_is_kept():
    trials = record(*(result(n, score=n, seconds=50.0) for n in range(9)))
    assert TimeForFinals(trials, 0, 3, slots=1, preparing=1.0, timeout=9.0)() == 0.0
    pruned = record(result(0, 0.1, 5.0), *(result(n, 0.2, 5.0, TrialState.PRUNED) for n in range(1, 9)))
    assert TimeForFinals(pruned, 5, 3, slots=1, preparing=1.0, timeout=9.0)() == 0.0
    assert TimeForFinals(record(), 5, 3, slots=1, preparing=1.0, timeout=9.0)() == 0.0


def test_it_is_looked_at_anew_as_results_come_in():
    results = [result(0, 0.1, 1.0), result(1, 0.2, 3.0), result(2, 0.0, 5.0)]
    needed = TimeForFinals(record(results[0]), None, 3, slots=1, preparing=0.0, timeout=1e9)
    assert needed() == 0.0
    needed._record = record(*results[:2])
    assert needed() == START_SECONDS + HEADROOM * 6 * 2.0
    needed._record = record(*results)
    assert needed() == START_SECONDS + HEADROOM * 6 * 3.0


def test_what_comes_after_the_finals_has_its_time_too():
    """Two more rounds of trainings that are a third longer, and choosing; the finals have what is left."""
    trials = record(*(result(n, score=n, seconds=3.0) for n in range(50)))
    afterwards = 2.0 + HEADROOM * 3 * (4 / 3) * 3.0
    search = {"slots": 2, "preparing": 0.0, "choosing": 2.0, "refits": 6, "longer": 4 / 3}
    found = TimeForFinals(trials, None, 3, timeout=1e9, **search)
    assert found() == pytest.approx(afterwards + START_SECONDS + HEADROOM * 8 * 3.0)
    assert (found.finalists, found.afterwards) == (5, pytest.approx(afterwards))
    short = TimeForFinals(trials, None, 3, timeout=3 * (afterwards + 1), **search)
    assert (short(), short.finalists) == (pytest.approx(afterwards), 0)
    shorter = TimeForFinals(trials, None, 3, timeout=9.0, **search)
    assert (shorter(), shorter.finalists, shorter.afterwards) == (3.0, 0, 3.0)


def test_writing_the_views_has_its_time_whatever_else_there_is():
    trials = record(*(result(n, score=n, seconds=1.0) for n in range(9)))
    search = {"slots": 1, "preparing": 0.0, "writing": lambda: 2.5}
    assert TimeForFinals(trials, None, 3, timeout=1e9, **search)() == START_SECONDS + HEADROOM * (6 + 2.5)
    assert TimeForFinals(trials, 0, 3, timeout=9.0, **search)() == HEADROOM * 2.5
    assert TimeForFinals(record(), None, 3, timeout=9.0, **search)() == HEADROOM * 2.5


def test_a_single_result_is_enough_to_keep_time_for_its_refit():
    trials = record(result(0, 0.1, 4.0))
    found = TimeForFinals(trials, None, 3, slots=2, preparing=1.0, timeout=100.0, refits=1, longer=1.5)
    assert (found(), found.finalists, found.needed) == (HEADROOM * 1.5 * 4.0, 0, 0.0)


def test_a_refit_ends_with_the_epoch_that_was_the_best():
    trials = record(result(0, 0.1, 6.0, best_epoch=10, epochs=25), result(1, 0.2, 9.0, best_epoch=30, epochs=30))
    search = {"slots": 1, "preparing": 0.0, "timeout": 100.0, "refits": 1}
    found = TimeForFinals(trials, 2, 2, **search)
    assert found() == pytest.approx(START_SECONDS + HEADROOM * (4 * 7.5 + (6.0 * 10 / 25 + 9.0) / 2))
    assert found.afterwards == pytest.approx(HEADROOM * (2.4 + 9.0) / 2)
