"""The learning rate of the curve, that of each epoch's last update, against the reference's exact arithmetic."""

import numpy as np
import pytest
import reference
from engine.cases import make_network, make_part

from hpsearch.engine.hyperparameters import SCHEDULE_NAMES
from hpsearch.engine.layout import CURVES
from hpsearch.engine.network import Training

ROWS, STEPS = 20, 10  # updates of an epoch
CONSTANTS = {
    "inverse": [{"decay": 0.3}],
    "exponential": [{"decay": 0.3}],
    "power": [{"decay_power": 0.5}, {"decay_power": 1.0}],
    "staircase": [{"decay_epochs": 4, "decay_factor": 0.3}, {"decay_epochs": 1, "decay_factor": 0.9}],
    "cosine_restarts": [{"decay_epochs": 2, "restart_growth": g} for g in (1.0, 1.5, 2.0)],
}
CASES = [{"schedule": name} | constants for name in SCHEDULE_NAMES for constants in CONSTANTS.get(name, [{}])]


def rates(updates_at_a_time, **settings):
    """Learning rate of every line of the curve; with updates_at_a_time 1 of every update, from the state."""
    network = make_network(
        "regression", hidden=[], optimizer="sgd", learning_rate=0.02, batch_size=2, epochs=12, **settings
    )
    training = Training(network, make_part("regression", ROWS), make_part("regression", 5, seed=1))
    found = []
    for _ in range(12 * STEPS // updates_at_a_time):
        training.advance_by(updates_at_a_time)
        found.append(float(training.state["learning_rate"][0]))
    assert training.status == "finished"
    expected = [reference.learning_rate(t, STEPS, network.hyperparameters) for t in range(1, 12 * STEPS + 1)]
    lines = training.curve_rows()[:, CURVES.index("learning_rate")]
    np.testing.assert_allclose(lines, expected[STEPS - 1 :: STEPS], rtol=1e-6)
    return found, expected


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3, 2.0, 3.1, 20.0])
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_every_schedule(settings, warmup):
    """Of every update. Warm-up may be part of an epoch, of an update, or longer than the training."""
    found, expected = rates(1, warmup=warmup, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("tenths", range(1, 40))
def test_the_first_epoch_after_a_warm_up_ends_with_its_last_update(tenths):
    """Half of these warm-ups are no sum of powers of two: t / 10 - warmup is a hair's breadth below a whole number."""
    found, expected = rates(1, warmup=tenths / 10, schedule="staircase", decay_epochs=1, decay_factor=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
