"""Single updates of the compiled engine against the NumPy reference.

The engine computes in float32 (unit roundoff 6e-8), the reference in float64, from the same first weights. A sum of
some ten terms is then off by about 1e-7 of its largest term, and ten updates add up such errors. 3e-6 of the largest
weight is ten times the worst that was seen; the weights move by 0.05 and more, so a wrong formula shows.
"""

import numpy as np
import pytest
import reference
from engine.cases import METRIC, flat, make_network, make_part, reference_of

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES
from hpsearch.engine.network import Training

TASKS = ("classification", "regression")
# Adam divides by |g| + epsilon: where g is all rounding, epsilon 1e-8 gives its sign a whole step. 1e-3 keeps the
# step smooth in g, so that the comparison tests the formula and not the luck of a rounding.
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "momentum": {"optimizer": "momentum", "learning_rate": 0.3, "momentum": 0.8},
    "adam": {"optimizer": "adam", "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.97, "epsilon": 1e-3},
}
ROWS = 37  # in batches of 8: five updates an epoch, the last of 5 rows


def assert_weights_equal(weights, net):
    expected = flat(net.W, net.b)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_one_and_ten_updates(task, optimizer, activation):
    train, dev = make_part(task, ROWS), make_part(task, 10, seed=1)
    l2 = 0.5
    network = make_network(task, activation=activation, l2=l2, **OPTIMIZERS[optimizer])
    training = Training(network, train, dev)
    net, optimiser = reference_of(training)
    first_weights = training.weights.copy()
    for number in range(10):
        order = reference.epoch_order(ROWS, 22, number // 5)
        rows = order[number % 5 * 8 :][:8]
        assert len(rows) == (5 if number % 5 == 4 else 8)
        reference.update(net, optimiser, train.inputs[rows], train.y[rows], l2)
        training.advance_by(1)
        assert training.updates == number + 1
        if number == 0:
            assert_weights_equal(training.weights, net)
    assert_weights_equal(training.weights, net)
    assert training.status == "finished"
    assert np.abs(training.weights - first_weights).max() > 0.05


@pytest.mark.parametrize("task", TASKS)
def test_adam_with_its_usual_epsilon(task):
    """Single weights may go astray (see above), so what counts is the loss, where they hardly matter."""
    train, dev = make_part(task, ROWS), make_part(task, 10, seed=1)
    training = Training(make_network(task, activation="tanh", learning_rate=0.01), train, dev)
    net, optimiser = reference_of(training)
    curve = reference.train(
        net,
        optimiser,
        (train.inputs, train.y),
        (dev.inputs, dev.y),
        permutations=[reference.epoch_order(ROWS, 22, epoch) for epoch in range(2)],
        batch_size=8,
        metric=METRIC[task],
    )
    training.advance_by(10)
    np.testing.assert_allclose(training.curve_rows()[:, :2], curve[:, :2], rtol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_penalty_pulls_weights_and_frees_biases(optimizer):
    """With inputs and targets 0 the data's gradient is 0: whatever moves is moved by the penalty."""
    train = make_part("regression", 8)
    train.inputs[:] = 0
    train.targets[:] = 0
    network = make_network("regression", l2=1.0, hidden=[], **OPTIMIZERS[optimizer])
    training = Training(network, train, train)
    before = training.weights.copy()
    training.advance_by(2)
    assert np.all(np.abs(training.weights[:-1]) < np.abs(before[:-1]))
    assert training.weights[-1] == 0


def test_relu_is_flat_at_zero():
    """Rows of zeros and biases of 0 put every unit on the kink, where the slope counts as 0: below it nothing moves."""
    train = make_part("classification", 8)
    train.inputs[:] = 0
    training = Training(make_network("classification", activation="relu", optimizer="sgd", hidden=[6]), train, train)
    before = training.weights.copy()
    training.advance_by(1)
    moved = training.weights != before
    assert not moved[:-3].any()
    assert moved[-3:].any()  # the output's biases
