"""The reference against PyTorch, both in float64: what torch has ready-made, and autograd for the gradients.

Rounding is 1e-16 of a value and some tens of values are added up and taken through ten updates: 1e-11 of a tensor's
norm is ten times the worst that was seen, but where torch itself adds a constant, which stands beside the bar there.
"""

import itertools
import math

import numpy as np
import pytest
import reference
from test_reference import CLASSES, OUTPUTS, ROWS, some_masks, some_net, some_rows
from torch_twin import ACTIVATIONS, F, Twin, TwinTraining, objective, row_losses, tensor, torch

from hpsearch.engine.hyperparameters import complete

BAR = 1e-11
DTYPE = torch.float64
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.3},
    **{
        f"{optimizer}, {form}{', corrected' * correction}": {
            "optimizer": optimizer, "momentum": 0.8, "momentum_form": form, "momentum_correction": correction,
            "learning_rate": 0.3 if form == "average" else 0.06,
        }
        for optimizer, form, correction in itertools.product(
            ("momentum", "nesterov"), ("average", "sum"), (False, True)
        )
    },
    "adagrad": {"optimizer": "adagrad", "learning_rate": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.02, "beta2": 0.9},
    "adam": {"optimizer": "adam", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.97},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.97, "weight_decay": 0.1},
}  # fmt: skip


def hyperparameters(output="softmax, cross entropy", **settings):
    """All of them by name, of one of the OUTPUTS."""
    task, ending = OUTPUTS[output]
    full = complete({"hidden": [3, 5]} | ending | settings)
    if full["loss"] == "auto":
        logistic = full["output"] == "logistic"
        full["loss"] = "squared" if task == "regression" else "binary_cross_entropy" if logistic else "cross_entropy"
    if full["class_weight"] == "none":
        full["class_weight"] = None
    return full


def rules_of(full, rate=None):
    names = ("l2", "l1", "label_smoothing", "class_weight", "clip_norm", "weight_decay", "max_norm", "ema")
    return reference.Rules(**{name: full[name] for name in names}, rate=rate)


def twin_of(net):
    return Twin(net.W, net.b, net.activation, net.gamma, DTYPE)


def assert_close(found, expected, bar=BAR):
    """By the norm of each tensor."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.linalg.norm(ours - theirs) <= bar * max(np.linalg.norm(theirs), 1e-3)


def assert_same_gradients(net, full, *, share=None, masks=None):
    X, y = some_rows(net.task)
    X = X if share is None else reference.mixed(X, share)
    weights = {} if net.task == "regression" else {name: full[name] for name in ("label_smoothing", "class_weight")}
    demands = weights | {"share": share, "masks": masks}
    twin = twin_of(net)
    goal = objective(twin, twin(tensor(X, DTYPE), masks), tensor(y, DTYPE), full, share)
    goal.backward()
    assert float(goal.detach()) == pytest.approx(net.objective(X, y, full["l2"], full["l1"], **demands), rel=BAR)
    groups = net.gradients(X, y, full["l2"], full["l1"], **demands)
    theirs = [layer.weight.grad.T.numpy() for layer in twin.linear]
    biased = [*twin.norm, *list(twin.linear)[len(twin.norm) :]]
    theirs += [layer.bias.grad.numpy() for layer in biased]
    theirs += [norm.weight.grad.numpy() for norm in twin.norm]
    assert_close([g for group in groups for g in group], theirs)


def train_both(net, full, updates=10, *, rate=None, masks=None):
    """The same batches for both: all rows, and others every time. Returns the twin's training."""
    optimiser = reference.OPTIMISERS[full["optimizer"]](full)
    rules, training = rules_of(full, rate), TwinTraining(twin_of(net), full, rate)
    for t in range(updates):
        X, y = some_rows(net.task, seed=100 + t)
        z, length = reference.update(net, optimiser, X, y, rules=rules, masks=masks)
        training.update(tensor(X, DTYPE), tensor(y, DTYPE), masks=masks)
        assert np.mean(net.row_losses(z, y)) == pytest.approx(training.losses[-1], rel=1e-6)
        assert length == pytest.approx(training.norms[-1], rel=1e-6)
    return training


# --- Values and gradients ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_their_slopes(activation):
    """1e-14 absolute: far left torch's gelu and mish subtract numbers of about 1."""
    z = torch.cat([torch.linspace(-30, 30, 602, dtype=DTYPE), tensor([-500.0, 500.0], DTYPE)]).requires_grad_()
    a = ACTIVATIONS[activation](z)
    a.sum().backward()
    g, slope = reference.ACTIVATIONS[activation]
    with np.errstate(over="ignore"):  # cosh of 500
        np.testing.assert_allclose(g(z.detach().numpy()), a.detach().numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(slope(z.detach().numpy()), z.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_of_every_output_and_activation(output, activation, batch_norm):
    task, settings = OUTPUTS[output]
    net = some_net(task, activation, batch_norm=batch_norm, **settings)
    assert_same_gradients(net, hyperparameters(output, activation=activation, l2=0.4))


REGULARISERS = {
    "l1": {"l1": 0.3},
    "smoothing": {"label_smoothing": 0.2},
    "class weights": {"class_weight": [0.2, 1.0, 2.5]},
    "class weights of smoothed labels": {"label_smoothing": 0.2, "class_weight": [0.2, 1.0, 2.5]},
    "dropout": {},
    "mixup": {},
}


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize(
    ("output", "extra"),
    [
        (output, extra)
        for output, extra in itertools.product(OUTPUTS, REGULARISERS)
        if OUTPUTS[output][0] == "classification" or extra in {"l1", "dropout", "mixup"}
    ],
)
def test_gradients_of_every_regulariser(output, extra, batch_norm):
    task, settings = OUTPUTS[output]
    net = some_net(task, batch_norm=batch_norm, **settings)
    assert_same_gradients(
        net,
        hyperparameters(output, **REGULARISERS[extra]),
        share=np.linspace(0.5, 1, ROWS) if extra == "mixup" else None,
        masks=some_masks(net) if extra == "dropout" else None,
    )


def test_torch_means_something_else_by_weights_of_smoothed_labels():
    """It weighs every class's part of the smoothing by that class's weight; ours is one weight for the whole row."""
    weights, eps = np.array([0.2, 1.0, 2.5]), 0.3
    z, y = np.random.default_rng(0).normal(size=(9, CLASSES)), np.arange(9) % CLASSES
    theirs = F.cross_entropy(
        tensor(z, DTYPE), tensor(y, DTYPE), tensor(weights, DTYPE), reduction="none", label_smoothing=eps
    )
    log_a = np.log(reference.softmax(z))
    expected = -(1 - eps) * weights[y] * log_a[np.arange(9), y] - eps / CLASSES * log_a @ weights
    np.testing.assert_allclose(theirs.numpy(), expected)
    loss, _ = some_net("classification").loss_and_slope
    ours = weights[y] * loss(z, some_net("classification").wanted(y, eps))
    assert np.abs(ours - expected).max() > 0.1


def test_weighted_losses_are_divided_by_rows():
    """torch's mean divides by the sum of the rows' weights."""
    weights = np.array([0.2, 1.0, 2.5])
    net, (X, y) = some_net("classification"), some_rows("classification")
    theirs = float(F.cross_entropy(tensor(net.outputs(X), DTYPE), tensor(y, DTYPE), tensor(weights, DTYPE)))
    assert net.objective(X, y, class_weight=weights) * ROWS / weights[y].sum() == pytest.approx(theirs)


def test_losses_of_saturated_outputs():
    """Where a softmax or sigmoid is 0 or 1 to the last digits, 1e-16 of the 60 that cancel."""
    z = np.array([[800.0, -800.0, 0.0], [-40.0, -41.0, -900.0], [60.0, 50.0, 40.0]])
    y = np.array([1, 2, 0])
    for output in ("softmax, cross entropy", "logistic, binary cross entropy"):
        net = some_net("classification", **OUTPUTS[output][1])
        theirs = row_losses(tensor(z, DTYPE), tensor(y, DTYPE), hyperparameters(output))
        np.testing.assert_allclose(net.row_losses(z, y), theirs.numpy(), rtol=1e-12, atol=1e-14)


# --- Updates ---


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ten_updates_of_every_optimiser(optimizer, batch_norm):
    net = some_net("classification", "silu", batch_norm=batch_norm)
    training = train_both(net, hyperparameters(**OPTIMIZERS[optimizer]))
    assert_close(net.parameters, training.weights[-1])
    assert np.abs(training.weights[-1][0] - some_net("classification", "silu").W[0]).max() > 0.02


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_decay_with_every_optimiser(optimizer):
    """And with a rate that changes, which the decay follows."""
    net = some_net("classification", batch_norm=True)
    full = hyperparameters(**OPTIMIZERS[optimizer] | {"weight_decay": 0.3, "schedule": "inverse", "decay": 0.2})
    training = train_both(net, full, rate=lambda t: reference.learning_rate(t, 2, full))
    assert_close(net.parameters, training.weights[-1])


@pytest.mark.parametrize("output", OUTPUTS)
def test_ten_updates_of_every_output(output):
    task, settings = OUTPUTS[output]
    net = some_net(task, "gelu", **settings)
    training = train_both(net, hyperparameters(output, **OPTIMIZERS["adam"], l2=0.2, l1=0.1))
    assert_close(net.parameters, training.weights[-1])


@pytest.mark.parametrize("c", [0.05, 0.2, 100.0])
def test_clipped_gradients(c):
    """torch divides by the norm + 1e-6, so its steps are 1e-6 / 0.2 too short at most."""
    net = some_net("classification", batch_norm=True)
    training = train_both(net, hyperparameters(**OPTIMIZERS["sgd"], clip_norm=c))
    assert min(training.norms) > 0.2
    assert_close(net.parameters, training.weights[-1], 1e-5 if c < 1 else BAR)


def test_weights_of_a_bounded_norm():
    """torch scales by c / (norm + 1e-7)."""
    net = some_net("classification")
    training = train_both(net, hyperparameters(**OPTIMIZERS["adam"], max_norm=0.9))
    assert_close(net.parameters, training.weights[-1], 1e-6)
    lengths = np.concatenate([np.linalg.norm(W, axis=0) for W in net.W])
    assert np.sum(np.isclose(lengths, 0.9, rtol=1e-12)) >= 3
    assert lengths.min() < 0.8


def test_averaged_weights():
    net = some_net("classification", batch_norm=True)
    training = train_both(net, hyperparameters(**OPTIMIZERS["sgd"], ema=0.8))
    assert_close(net.judged().parameters, training.averaged())


def test_running_statistics_and_predictions():
    net = some_net("classification", "silu", batch_norm=True)
    training = train_both(net, hyperparameters(**OPTIMIZERS["adam"]))
    for statistics, (mean, variance) in zip(net.statistics, training.twin.running(), strict=True):
        assert_close([statistics.mean, statistics.variance], [mean, variance])
    X, _ = some_rows("classification", 20)
    theirs = training.twin.judged()(tensor(X, DTYPE)).detach().numpy()
    np.testing.assert_allclose(net.outputs(X), theirs, rtol=1e-10)


def test_dropout_in_ten_updates():
    net = some_net("classification", batch_norm=True)
    training = train_both(net, hyperparameters(**OPTIMIZERS["adam"]), masks=some_masks(net))
    assert_close(net.parameters, training.weights[-1])


# --- Learning rates against torch's own schedulers ---

EPOCHS, STEPS = 24, 3  # updates an epoch


def torch_rates(make, *, per_epoch):
    """alpha of every update with one of torch's schedulers, which starts from 0.8."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.8)
    scheduler, found = make(optimizer), []
    for t in range(1, EPOCHS * STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not per_epoch or t % STEPS == 0:
            scheduler.step()
    return found


lr_scheduler = torch.optim.lr_scheduler
SCHEDULES = {
    "constant": ({}, lambda o: lr_scheduler.LambdaLR(o, lambda e: 1.0), True),
    "inverse": ({"decay": 0.3}, lambda o: lr_scheduler.LambdaLR(o, lambda e: 1 / (1 + 0.3 * e)), True),
    "exponential": ({"decay": 0.3}, lambda o: lr_scheduler.ExponentialLR(o, math.exp(-0.3)), True),
    "power": ({"decay_power": 0.7}, lambda o: lr_scheduler.LambdaLR(o, lambda e: (e + 1) ** -0.7), True),
    "staircase": ({"decay_epochs": 5, "decay_factor": 0.3}, lambda o: lr_scheduler.StepLR(o, 5, 0.3), True),
    "cosine": ({}, lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS), False),
    "rising": (
        {},
        lambda o: lr_scheduler.LambdaLR(o, lambda t: 10 ** (4 * (t / (EPOCHS * STEPS) - 1))),
        False,
    ),
    "cosine_restarts": (
        {"decay_epochs": 3, "restart_growth": 2},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3 * STEPS, 2),
        False,
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule):
    settings, make, per_epoch = SCHEDULES[schedule]
    full = hyperparameters(schedule=schedule, learning_rate=0.8, epochs=EPOCHS, **settings)
    found = [reference.learning_rate(t, STEPS, full) for t in range(1, EPOCHS * STEPS + 1)]
    np.testing.assert_allclose(found, torch_rates(make, per_epoch=per_epoch), rtol=1e-10)


def test_no_schedule_is_missed():
    assert set(SCHEDULES) == set(reference.SCHEDULES)


def test_warm_up_before_a_cosine():
    """torch's own warm-up followed by its cosine over the updates that are left."""
    warm = 4 * STEPS

    def make(optimizer):
        rise = lr_scheduler.LinearLR(optimizer, 1 / warm, 1.0, warm - 1)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * STEPS - warm)
        return lr_scheduler.SequentialLR(optimizer, [rise, fall], [warm])

    full = hyperparameters(schedule="cosine", learning_rate=0.8, epochs=EPOCHS, warmup=4)
    found = [reference.learning_rate(t, STEPS, full) for t in range(1, EPOCHS * STEPS + 1)]
    np.testing.assert_allclose(found, torch_rates(make, per_epoch=False), rtol=1e-10)
