"""Mixup against the reference: some shares of the rows explain the engine's update to the last digits, or none do.

Three rows have three shares, their update has 18 numbers and more: that they fit cannot be luck.
"""

import numpy as np
import pytest
import reference
from engine.cases import KEYS, make_network, make_part, reference_of, rules_of, tensors
from scipy import optimize, stats

from hpsearch.engine.network import Training

ROWS = 3
LEAST_SHARE = 0.5 - 1e-3


def start(task, *, alpha=1.0, rows=ROWS, keys=(*KEYS, 33, 44), **hyperparameters):
    train, dev = make_part(task, rows, seed=3), make_part(task, 9, seed=1)
    settings = {"hidden": [], "optimizer": "sgd", "learning_rate": 0.1, "batch_size": "full", "augment": "mixup"}
    return Training(make_network(task, keys=keys, **settings | {"augment.mixup": alpha} | hyperparameters), train, dev)


def explain(training, net, epoch, *, guesses=(0.6, 0.75, 0.9), free=slice(None)):
    """Make the epoch's only update; the shares (of rows as shuffled) that explain it best, and what they leave over.

    Also the mean loss of the own labels that goes with them. `free` are the places of the rows that may matter. An own
    share is at least a half, up to rounding; shares below may explain an update too, for it is quadratic in them.
    """
    order = reference.epoch_order(len(training.train.inputs), KEYS[1], epoch)
    X, y, rules = training.train.inputs[order].astype(np.float64), training.train.y[order], rules_of(training)
    alpha = training.network.hyperparameters["learning_rate"]
    before = tensors(training.weights, training.network)
    training.advance_by(1)
    after = tensors(training.weights, training.network)
    net.W, net.b = before[0], before[1]
    moved = [
        (old - new) / alpha for a, b in zip(before[:2], after[:2], strict=True) for old, new in zip(a, b, strict=True)
    ]

    def share_of(values):
        share = np.ones(len(X))
        share[free] = values
        return share

    def misses(values):
        share = share_of(values)
        groups = net.gradients(
            reference.mixed(X, share), y,
            label_smoothing=rules.label_smoothing, class_weight=rules.class_weight, share=share,
        )  # fmt: skip
        gradients = [g for group in groups for g in group]
        return np.concatenate([(g - m).ravel() for g, m in zip(gradients, moved, strict=True)])

    starts = [np.full(len(np.ones(len(X))[free]), guess) for guess in guesses]
    fits = [
        optimize.least_squares(misses, s, bounds=(LEAST_SHARE, 1), xtol=1e-12, ftol=1e-12, gtol=1e-12) for s in starts
    ]
    best = min(fits, key=lambda fit: fit.cost)
    size = np.linalg.norm(np.concatenate([m.ravel() for m in moved]))
    loss = np.mean(net.row_losses(net.outputs(reference.mixed(X, share_of(best.x))), y))
    return best.x, np.linalg.norm(best.fun) / size, loss


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classification", {}),
        ("classification", {"class_weight": [0.3, 1.0, 2.5], "label_smoothing": 0.1}),
        ("classification", {"output": "logistic"}),
        ("classification", {"hidden": [6], "activation": "tanh"}),
        ("regression", {}),
        ("regression", {"hidden": [6, 4], "activation": "silu"}),
    ],
    ids=str,
)
def test_updates_are_those_of_mixed_rows_and_labels(task, settings):
    """Within the float32 of weights of about 1 that move by 0.01: 1e-4 of the way.

    The lines of the curve know the own label only.
    """
    training = start(task, epochs=6, **settings)
    net, _ = reference_of(training)
    found = []
    for epoch in range(6):
        share, left, loss = explain(training, net, epoch)
        assert left < 1e-4
        assert training.curve_rows()[epoch, 0] == pytest.approx(loss, rel=1e-3)
        found.append(share)
    assert len(np.unique(np.round(found, 3))) >= 3 * 6 - 2  # fresh for every row and epoch


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_shares_are_distributed_as_is_said(alpha):
    """max(lambda, 1 - lambda) of lambda ~ Beta(alpha, alpha): of 3 rows in 100 epochs."""
    training = start("classification", alpha=alpha, epochs=100)
    net, _ = reference_of(training)
    shares = np.concatenate([explain(training, net, epoch, guesses=[0.8])[0] for epoch in range(100)])
    beta = stats.beta(alpha, alpha)
    assert stats.kstest(shares, lambda x: np.clip(beta.cdf(x) - beta.cdf(1 - x), 0, 1)).pvalue > 0.01


@pytest.mark.parametrize("place", [0, 500, 1022, 1023, 1024, 1025, 1099])
def test_partners_beyond_the_seam_of_a_large_batch(place):
    """A batch of 1,100 rows is worked off in two pieces; a partner is the next row of the batch all the same.

    Only the row at one place has a class that counts: in the update are its own share and that of the row before.
    """
    settings = {"alpha": 2.0, "epochs": 1, "rows": 1100, "class_weight": [0.0, 0.0, 1100.0]}
    training = start("classification", **settings)
    order = reference.epoch_order(1100, KEYS[1], 0)
    training.train.labels[:] = np.arange(1100) % 2
    training.train.labels[order[place]] = 2
    training = Training(training.network, training.train, training.dev)
    net, _ = reference_of(training)
    share, left, _ = explain(training, net, 0, guesses=[0.7], free=[place - 1, place])
    assert left < 1e-4
    assert np.all((share > 0.5) & (share < 1))


def test_the_augment_key_decides_and_no_other():
    def weights(keys):
        training = start("regression", rows=20, batch_size=4, keys=keys)
        training.advance_by(10**9)
        return training.weights

    assert np.array_equal(weights((1, 2, 3, 4)), weights((1, 2, 5, 4)))
    assert not np.array_equal(weights((1, 2, 3, 4)), weights((1, 2, 3, 6)))


def test_a_single_row_is_its_own_partner():
    """A batch of one: nothing is mixed."""
    mixed = start("regression", rows=5, batch_size=1)
    plain = start("regression", rows=5, batch_size=1, augment="none", **{"augment.mixup": 0.0})
    for training in (mixed, plain):
        training.advance_by(10**9)
    np.testing.assert_allclose(mixed.weights, plain.weights, rtol=1e-5)
