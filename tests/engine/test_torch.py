"""The engine against PyTorch: ten updates on all rows from the same first weights, both in float32.

How near weights must be is said in cases.assert_near. Losses and norms are sums over rows: 1e-5 of them, twice the
worst that was seen (regressions with batch norm that end in a small loss).
"""

import itertools

import numpy as np
import pytest
from engine.cases import assert_near, class_weights_of, make_network, make_part, rules_of, task_of, tensors
from torch_twin import Twin, TwinTraining, mean_loss, tensor, torch

from hpsearch.engine.hyperparameters import ACTIVATION_NAMES, LOSS_NAMES, OPTIMIZER_NAMES
from hpsearch.engine.layout import CURVES
from hpsearch.engine.network import Training

ROWS, DEV_ROWS, UPDATES = 40, 23, 10
OF_LOSSES = 1e-5
# Adam divides by |g| + epsilon: where g is all rounding, epsilon 1e-8 gives its sign a whole step. 1e-3 keeps the
# step smooth in g, so that the comparison tests the formula and not the luck of a rounding.
SMOOTH = {"epsilon": 1e-3}
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.3},
    **{
        f"{optimizer}, {form}{', corrected' * correction}": {
            "optimizer": optimizer, "momentum": 0.8, "momentum_form": form, "momentum_correction": correction,
            "learning_rate": 0.2 if form == "average" else 0.04,
        }
        for optimizer, form, correction in itertools.product(
            ("momentum", "nesterov"), ("average", "sum"), (False, True)
        )
    },
    "adagrad": {"optimizer": "adagrad", "learning_rate": 0.05} | SMOOTH,
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.01, "beta2": 0.9} | SMOOTH,
    "adam": {"optimizer": "adam", "learning_rate": 0.02, "beta1": 0.8, "beta2": 0.97} | SMOOTH,
    "adamw": {"optimizer": "adamw", "learning_rate": 0.02, "beta1": 0.8, "beta2": 0.97} | SMOOTH,
}  # fmt: skip
NORMS = pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])


def start(task, dtype=torch.float32, *, rows=ROWS, features=5, scale=1.0, **hyperparameters):
    """A training, with biases and gains that are not 0 and 1 any more, and its twin's."""
    train = make_part(task, rows, features=features, scale=scale)
    dev = make_part(task, DEV_ROWS, features=features, seed=1, scale=scale)
    full = {"optimizer": "sgd", "learning_rate": 0.3, "activation": "tanh"} | hyperparameters
    training = Training(make_network(task, features=features, batch_size="full", epochs=UPDATES, **full), train, dev)
    network = training.network
    training.weights[: network.trained] += np.random.default_rng(2).normal(0, 0.1, network.trained).astype(np.float32)
    full = network.hyperparameters | {"class_weight": class_weights_of(training)}
    W, b, gamma, _, _ = tensors(training.weights, network)
    return training, TwinTraining(Twin(W, b, full["activation"], gamma, dtype), full, rules_of(training).rate)


def labelled(part, task, dtype=torch.float32):
    return tensor(part.inputs, dtype), tensor(part.labels if task == "classification" else part.targets, dtype)


def run(training, twin, dtype=torch.float32):
    """Ten updates of both; the dev losses of the twin."""
    task = task_of(training.network)
    X, y = labelled(training.train, task, dtype)
    dev_X, dev_y = labelled(training.dev, task, dtype)
    dev_losses = []
    for _ in range(UPDATES):
        twin.update(X, y)
        judged = twin.twin.judged(twin.averaged() if twin.h["ema"] else None)
        dev_losses.append(mean_loss(judged(dev_X), dev_y, twin.h))
    training.advance_by(UPDATES)
    assert training.epochs == UPDATES
    return dev_losses


def assert_twins(task, **settings):
    """Losses, norms and weights agree all the way; returns both for more."""
    training, twin = start(task, **settings)
    first = twin.twin.arrays()
    dev_losses = run(training, twin)
    curve = dict(zip(CURVES, training.curve_rows().T, strict=True))
    np.testing.assert_allclose(curve["train_loss"], twin.losses, rtol=OF_LOSSES)
    np.testing.assert_allclose(curve["dev_loss"], dev_losses, rtol=OF_LOSSES)
    np.testing.assert_allclose(curve["grad_norm"], twin.norms, rtol=OF_LOSSES)
    assert_near(itertools.chain(*tensors(training.weights, training.network)[:3]), twin.weights[-1], first)
    assert np.linalg.norm(twin.weights[-1][0] - first[0]) > 0.005
    return training, twin


# --- Optimisers ---


@NORMS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser(optimizer, batch_norm):
    assert_twins("classification", batch_norm=batch_norm, **OPTIMIZERS[optimizer])


def test_no_optimiser_is_missed():
    assert {settings["optimizer"] for settings in OPTIMIZERS.values()} == set(OPTIMIZER_NAMES)


@pytest.mark.parametrize("optimizer", ["adagrad", "rmsprop", "adam", "adamw"])
def test_the_usual_epsilon(optimizer):
    assert_twins("classification", **OPTIMIZERS[optimizer] | {"epsilon": 1e-8})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_with_decay_and_a_rate_that_changes(optimizer):
    """Two updates of warm-up, and a cosine over the eight that are left."""
    assert_twins("regression", **OPTIMIZERS[optimizer], weight_decay=0.2, schedule="cosine", warmup=2)


# --- Layers ---


@NORMS
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_activation(task, activation, batch_norm):
    assert_twins(task, activation=activation, batch_norm=batch_norm)


@NORMS
@pytest.mark.parametrize("hidden", [[], [3], [7, 5, 9, 2]], ids=str)
def test_every_depth(hidden, batch_norm):
    assert_twins("classification", hidden=hidden, batch_norm=batch_norm)


@NORMS
def test_wide_layers(batch_norm):
    assert_twins("classification", features=70, hidden=[130, 65], batch_norm=batch_norm, learning_rate=0.1)


@NORMS
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_batches_of_thousands_of_rows(task, batch_norm):
    """More than a piece of 1024 rows, whose gradients are added up."""
    assert_twins(task, rows=2500, batch_norm=batch_norm)


def test_the_guard_of_batch_norm_where_the_spread_is_as_small():
    """Variances of 1e-5 beside an epsilon of 1e-5."""
    training, _ = assert_twins("classification", scale=0.003, batch_norm=True)
    *_, (variance, _) = tensors(training.weights, training.network)
    assert 1e-6 < np.median(variance) < 1e-4


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_running_statistics_and_predictions(activation):
    training, twin = assert_twins("classification", activation=activation, batch_norm=True)
    *_, means, variances = tensors(training.weights, training.network)
    for mean, variance, theirs in zip(means, variances, twin.twin.running(), strict=True):
        np.testing.assert_allclose(mean, theirs[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(variance, theirs[1], rtol=1e-5)
    scores, _ = training.network.evaluate(training.weights, training.dev)
    X, _ = labelled(training.dev, "classification")
    np.testing.assert_allclose(scores, torch.softmax(twin.twin.judged()(X), dim=1).detach().numpy(), rtol=1e-5)


# --- Outputs and losses ---

LOSSES = {
    "softmax, cross entropy": ("classification", {"output": "softmax", "loss": "cross_entropy"}),
    "logistic, cross entropy": ("classification", {"output": "logistic", "loss": "cross_entropy"}),
    "logistic, binary cross entropy": ("classification", {"output": "logistic", "loss": "binary_cross_entropy"}),
    "squared": ("regression", {"loss": "squared"}),
    "huber": ("regression", {"loss": "huber", "huber_delta": 0.3}),
}
LABELS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.2},
    "weighed": {"class_weight": [0.2, 1.0, 2.5]},
    "balanced": {"class_weight": "balanced"},
    "smoothed and weighed": {"label_smoothing": 0.2, "class_weight": [0.2, 1.0, 2.5]},
}


@NORMS
@pytest.mark.parametrize(
    ("loss", "labels"),
    [(loss, "plain") for loss in LOSSES]
    + [(loss, labels) for loss in LOSSES if LOSSES[loss][0] == "classification" for labels in LABELS if LABELS[labels]],
)
def test_every_loss(loss, labels, batch_norm):
    task, settings = LOSSES[loss]
    assert_twins(task, batch_norm=batch_norm, **settings, **LABELS[labels])


def test_no_loss_is_missed():
    assert {settings["loss"] for _, settings in LOSSES.values()} == set(LOSS_NAMES)


def test_supports_and_shares_of_a_logistic_output():
    training, twin = assert_twins("classification", output="logistic")
    shares, supports = training.network.predict(training.weights, training.dev)
    X, _ = labelled(training.dev, "classification")
    s = torch.sigmoid(twin.twin.judged()(X)).detach().numpy()
    np.testing.assert_allclose(supports, s, rtol=1e-5)
    np.testing.assert_allclose(shares, s / s.sum(axis=1, keepdims=True), rtol=1e-5)


# --- Regularisers and averages ---


@NORMS
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    "regulariser",
    [{"l2": 2.0}, {"l1": 0.5}, {"l2": 1.0, "l1": 0.5}, {"weight_decay": 0.3}, {"max_norm": 0.9}, {"clip_norm": 0.1}],
    ids=str,
)
def test_every_regulariser(regulariser, optimizer, batch_norm):
    """torch shortens gradients and weights by 1e-6 and 1e-7 too much, of norms of about 1: within the bars."""
    training, twin = assert_twins(
        "classification", batch_norm=batch_norm, **OPTIMIZERS[optimizer] | {"l2": 0.1} | regulariser
    )
    if "clip_norm" in regulariser:
        assert min(twin.norms) > 0.15
    if "max_norm" in regulariser:
        lengths = np.concatenate([np.linalg.norm(W, axis=0) for W in tensors(training.weights, training.network)[0]])
        assert np.sum(np.isclose(lengths, 0.9, rtol=1e-6)) >= 3
        assert lengths.min() < 0.8


@NORMS
@pytest.mark.parametrize("beta", [0.5, 0.95])
def test_averaged_weights_are_judged_and_kept(beta, batch_norm):
    """The dev losses are the averages', which the comparison of the curves has seen; the best are the last here."""
    training, twin = assert_twins("classification", batch_norm=batch_norm, ema=beta, learning_rate=0.1)
    assert training.best_epoch == UPDATES
    W, b, gamma, *statistics = tensors(training.best, training.network)
    for mine, torchs in zip([*W, *b, *gamma], twin.averaged(), strict=True):
        assert np.linalg.norm(mine - torchs) <= 2e-6 * np.linalg.norm(torchs)
    last = tensors(training.weights, training.network)[3:]
    for mine, latest in zip(itertools.chain(*statistics), itertools.chain(*last), strict=True):
        np.testing.assert_array_equal(mine, latest)


def test_all_at_once():
    assert_twins(
        "classification", **OPTIMIZERS["adamw"], **LABELS["smoothed and weighed"], activation="mish", batch_norm=True,
        output="logistic", l2=0.5, l1=0.2, weight_decay=0.1, clip_norm=0.3, max_norm=1.2, ema=0.8, schedule="staircase",
        decay_epochs=3, warmup=1.5,
    )  # fmt: skip
