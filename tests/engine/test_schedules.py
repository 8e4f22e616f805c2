"""The learning rate of an update: closed forms, warm-up, restarts, asked of the stage for any update at all.

test_reference_schedules.py follows whole trainings against a second derivation in exact fractions.
"""

import math

import numpy as np
import pytest
from engine.stages import settings_of, stage

from hpsearch.engine.layout import SCHEDULES

STEPS = 10  # updates of an epoch
RATE = 0.02
TIGHT = 1e-12  # float64 throughout


def rate(update, schedule, steps=STEPS, **values):
    s = settings_of(learning_rate=RATE, schedule=SCHEDULES.index(schedule), **{"epochs": 12} | values)
    return float(stage("learning_rate_at")(s, update, steps)) / RATE


def rates(schedule, updates, **values):
    return np.array([rate(update, schedule, **values) for update in updates])


EPOCHS = np.arange(12)
STEPWISE = {  # factor at each epoch
    "constant": ({}, np.ones(12)),
    "inverse": ({"decay": 0.3}, 1 / (1 + 0.3 * EPOCHS)),
    "exponential": ({"decay": 0.3}, np.exp(-0.3 * EPOCHS)),
    "power": ({"decay_power": 0.7}, (EPOCHS + 1.0) ** -0.7),
    "staircase": ({"decay_factor": 0.5, "decay_epochs": 5}, np.array([1] * 5 + [0.5] * 5 + [0.25] * 2)),
}


@pytest.mark.parametrize("schedule", STEPWISE)
def test_most_change_from_epoch_to_epoch(schedule):
    """And stand still within one."""
    values, factors = STEPWISE[schedule]
    found = rates(schedule, range(1, 12 * STEPS + 1), **values).reshape(12, STEPS)
    np.testing.assert_allclose(found, np.repeat(factors[:, None], STEPS, axis=1), rtol=TIGHT)


def test_every_schedule_is_tested():
    assert {*STEPWISE, "cosine", "cosine_restarts", "rising"} == set(SCHEDULES)


def test_a_cosine_falls_from_update_to_update_over_all_epochs():
    updates = np.arange(1, 121)
    expected = (1 + np.cos(np.pi * (updates - 1) / 120)) / 2
    np.testing.assert_allclose(rates("cosine", updates), expected, rtol=TIGHT)
    assert rate(1, "cosine") == 1
    assert 0 < rate(120, "cosine") < 2e-4  # the last update is one step short of 0


def test_rising_goes_through_four_decades_evenly():
    found = rates("rising", range(1, 121))
    np.testing.assert_allclose(np.diff(np.log10(found)), 4 / 120, rtol=1e-9)
    assert found[0] == pytest.approx(1e-4, rel=1e-9)
    assert 0.9 < found[-1] < 1, "the last update is one step short of the whole rate"


@pytest.mark.parametrize("warmup", [1.0, 3.0, 0.3, 2.55])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_is_a_line_and_the_schedule_begins_behind_it(schedule, warmup):
    values = STEPWISE.get(schedule, ({"decay_epochs": 4, "restart_growth": 1.0},))[0]
    last = math.ceil(warmup * STEPS - 1e-9)
    found = rates(schedule, range(1, last + 1), warmup=warmup, **values)
    np.testing.assert_allclose(found, np.minimum(1, np.arange(1, last + 1) / (warmup * STEPS)), rtol=TIGHT)
    if last == warmup * STEPS:  # behind a whole number of updates everything is as without, but later
        later = rates(schedule, range(last + 1, 121), warmup=warmup, **values)
        at_once = rates(schedule, range(1, 121 - last), **values | {"epochs": 12 - warmup})
        np.testing.assert_allclose(later, at_once, rtol=1e-9, atol=TIGHT)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_beyond_the_last_epoch(schedule):
    """Then the line is all there is, also where nothing is left for a cosine."""
    for warmup in (12.0, 20.0, 1e6):
        found = rates(schedule, range(1, 121), warmup=warmup, decay_epochs=1, restart_growth=1.0)
        np.testing.assert_allclose(found, np.arange(1, 121) / (warmup * STEPS), rtol=TIGHT)


@pytest.mark.parametrize(("growth", "starts"), [(1.0, range(0, 60, 4)), (2.0, [0, 4, 12, 28]), (1.5, [0, 4, 10, 19])])
def test_restarts(growth, starts):
    """A cycle begins at the whole rate and ends near 0, and each is longer than the one before by the growth."""
    values = {"decay_epochs": 4, "restart_growth": growth, "epochs": 1000}
    found = rates("cosine_restarts", range(1, 32 * STEPS + 1), **values)
    restarts = [place for place in range(32 * STEPS) if found[place] == pytest.approx(1, abs=1e-9)]
    assert restarts == [start * STEPS for start in starts if start < 32]
    ends = [*restarts[1:], None]
    for start, end in zip(restarts[:-1], ends, strict=False):
        length = end - start
        cycle = (1 + np.cos(np.pi * np.arange(length) / length)) / 2
        np.testing.assert_allclose(found[start:end], cycle, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [3, 7, 10, 49, 1000])
def test_no_epoch_is_missed_by_a_rounding(steps):
    """(t - 1) / steps may be a hair's breadth below a whole number: every epoch of 300 begins in time."""
    values = {"decay": 0.01, "epochs": 300}
    firsts = [1 + epoch * steps for epoch in range(300)]
    np.testing.assert_allclose(
        [rate(update, "inverse", steps, **values) for update in firsts], 1 / (1 + 0.01 * np.arange(300)), rtol=TIGHT
    )
    lasts = [epoch * steps for epoch in range(1, 301)]
    np.testing.assert_allclose(
        [rate(update, "inverse", steps, **values) for update in lasts], 1 / (1 + 0.01 * np.arange(300)), rtol=TIGHT
    )


def test_late_updates():
    """Of the longest training that may be asked for: a million epochs of a thousand updates."""
    late = 999_999_001
    values = {"epochs": 1_000_000}
    assert rate(late, "inverse", 1000, decay=0.5, **values) == pytest.approx(1 / (1 + 0.5 * 999_999), rel=1e-9)
    assert rate(late, "staircase", 1000, decay_factor=0.5, decay_epochs=250_000, **values) == 0.5**3
    assert rate(late, "exponential", 1000, decay=1000.0, **values) == 0
    share = (late - 1) / 1e9
    assert rate(late, "cosine", 1000, **values) == pytest.approx((1 + math.cos(math.pi * share)) / 2, rel=1e-3)
