"""The reference against what is known without it: worked numbers of the lecture, central differences, simple cases.

Differences over five points with a step of 1e-4 are off by h^4 / 30 of the fifth derivative, 1e-17 of it, and by the
rounding of values of about 1, 1e-16 / h = 1e-12: 1e-8 of an entry, or 1e-10 where it is nearly 0, is above both (batch
norm of few rows has fifth derivatives of thousands) and far below what a wrong term would do.
"""

import itertools
import math

import numpy as np
import pytest
import reference
from reference import Average, Net, Rules

ROWS, FEATURES, CLASSES = 7, 4, 3
STEP = 1e-4
OUTPUTS = {  # what a network may end in: task and settings of Net
    "softmax, cross entropy": ("classification", {}),
    "logistic, cross entropy": ("classification", {"output": "logistic", "loss": "cross_entropy"}),
    "logistic, binary cross entropy": ("classification", {"output": "logistic"}),
    "squared": ("regression", {}),
    "huber": ("regression", {"loss": "huber", "huber_delta": 0.4}),  # some of the errors are larger, some smaller
}


def some_net(task, activation="tanh", *, batch_norm=False, hidden=(3, 5), seed=287, **settings):
    """The seed is one with which no preactivation, with norm or without, is within 0.02 of a kink."""
    random = np.random.default_rng(seed)
    sizes = [FEATURES, *hidden, CLASSES if task == "classification" else 1]
    W = [random.normal(0, 0.8, shape) for shape in itertools.pairwise(sizes)]
    b = [random.normal(0, 0.3, n) for n in sizes[1:]]
    gamma = [random.uniform(0.5, 1.5, n) for n in hidden] if batch_norm else []
    return Net(W, b, activation, task, gamma, **settings)


def some_rows(task, rows=ROWS, seed=7):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, FEATURES))
    return X, (np.arange(rows) % CLASSES if task == "classification" else random.normal(size=(rows, 1)))


def some_masks(net, rows=ROWS, p=0.3):
    """Of the inputs and of every hidden layer."""
    random = np.random.default_rng(8)
    return [reference.dropout_factors(random.random((rows, len(W))) >= p, p) for W in net.W]


def assert_gradients_are_slopes(net, X, y, *penalties, **demands):
    groups = net.gradients(X, y, *penalties, **demands)
    gradients = [g for group in groups for g in group]
    for values, gradient in zip(net.parameters, gradients, strict=True):
        assert values.shape == gradient.shape
        for place in np.ndindex(values.shape):
            middle, around = values[place], []
            for steps in (-2, -1, 1, 2):
                values[place] = middle + steps * STEP
                around.append(net.objective(X, y, *penalties, **demands))
            values[place] = middle
            slope = np.dot([1, -8, 8, -1], around) / (12 * STEP)
            assert gradient[place] == pytest.approx(slope, rel=1e-8, abs=1e-10)


# --- Gradients ---


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_of_every_output_and_activation(output, activation, batch_norm):
    task, settings = OUTPUTS[output]
    assert_gradients_are_slopes(some_net(task, activation, batch_norm=batch_norm, **settings), *some_rows(task), 0.4)


@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
@pytest.mark.parametrize(
    ("output", "extra"),
    [
        (output, extra)
        for output, (task, _) in OUTPUTS.items()
        for extra in ("l1", "dropout", "smoothing", "class weights", "mixup", "all")
        if task == "classification" or extra not in {"smoothing", "class weights"}
    ],
)
def test_gradients_of_every_regulariser(output, extra, batch_norm):
    task, settings = OUTPUTS[output]
    net, (X, y) = some_net(task, batch_norm=batch_norm, **settings), some_rows(task)
    share = np.linspace(0.5, 1, ROWS)
    extras = {
        "dropout": {"masks": some_masks(net)},
        "smoothing": {"label_smoothing": 0.2},
        "class weights": {"class_weight": [0.2, 1.0, 2.5]},
        "mixup": {"share": share},
    }
    if task == "regression":
        del extras["smoothing"], extras["class weights"]
    demands = {k: v for part in extras.values() for k, v in part.items()} if extra == "all" else extras.get(extra, {})
    penalties = {"l1": (0.0, 0.3), "all": (0.4, 0.3)}.get(extra, ())
    assert_gradients_are_slopes(net, reference.mixed(X, share) if "share" in demands else X, y, *penalties, **demands)


@pytest.mark.parametrize("hidden", [(), (2,), (3, 2, 4)], ids=str)
@pytest.mark.parametrize("batch_norm", [False, True], ids=["bare", "batch norm"])
def test_gradients_of_every_depth(hidden, batch_norm):
    net = some_net("classification", hidden=hidden, batch_norm=batch_norm)
    assert_gradients_are_slopes(net, *some_rows("classification"))


def test_gradients_of_a_single_row_take_the_running_statistics_for_constants():
    net = some_net("classification", batch_norm=True)
    X, y = some_rows("classification")
    net.observe(net.forward(X, training=True))
    assert_gradients_are_slopes(net, X[:1], y[:1])


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_slopes_far_from_zero(activation):
    """There a carelessly written formula overflows or loses its digits."""
    g, slope = reference.ACTIVATIONS[activation]
    z = np.array([-30.0, -8.0, -2.5, -0.3, 0.2, 1.7, 9.0, 30.0])
    np.testing.assert_allclose(slope(z), (g(z + 1e-5) - g(z - 1e-5)) / 2e-5, rtol=1e-6, atol=1e-9)


# --- Outputs and losses: numbers of the lecture, which gives two or three digits ---


def test_softmax_of_the_lecture():
    np.testing.assert_allclose(reference.softmax(np.array([[2, 5, -1, 3]]))[0], [0.042, 0.842, 0.002, 0.114], atol=5e-4)


@pytest.mark.parametrize(
    ("support", "shares"),
    [([0.06, 0.98, 0.04, 0.92], [0.03, 0.49, 0.02, 0.46]), ([0.14, 0.88, 0.12, 0.06], [0.12, 0.73, 0.10, 0.05])],
)
def test_logistic_output_of_the_lecture(support, shares):
    s = np.array([support])
    z = np.log(s / (1 - s))
    np.testing.assert_allclose(reference.support(z), s)
    np.testing.assert_allclose(reference.logistic_shares(z)[0], shares, atol=5.1e-3)
    np.testing.assert_allclose(reference.logistic_shares(z), s / s.sum())


def test_scores_make_the_shares_of_a_logistic_output():
    net = some_net("classification", output="logistic")
    z = np.array([[2.0, -1.0, 0.5], [-800.0, -801.0, -802.0]])
    np.testing.assert_allclose(reference.softmax(net.scores(z)), reference.logistic_shares(z))
    np.testing.assert_allclose(reference.logistic_shares(z)[1], reference.softmax(z)[1])  # far left s is e^z


@pytest.mark.parametrize("output", OUTPUTS)
def test_losses_by_their_definitions(output):
    task, settings = OUTPUTS[output]
    net, (X, y) = some_net(task, **settings), some_rows(task)
    z = 2 * net.outputs(X)
    s = 1 / (1 + np.exp(-z))
    share = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) if settings.get("output") != "logistic" else None
    for found, row_z, row_s, row_y, row in zip(net.row_losses(z, y), z, s, y, range(ROWS), strict=True):
        expected = {
            "softmax, cross entropy": lambda row=row, c=row_y: -math.log(share[row, c]),
            "logistic, cross entropy": lambda s=row_s, c=row_y: -math.log(s[c] / s.sum()),
            "logistic, binary cross entropy": lambda s=row_s, c=row_y: (
                -sum(math.log(s[j]) if j == c else math.log(1 - s[j]) for j in range(CLASSES))
            ),
            "squared": lambda z=row_z, y=row_y: (z[0] - y[0]) ** 2 / 2,
            "huber": lambda z=row_z, y=row_y: (
                (z[0] - y[0]) ** 2 / 2 if abs(z[0] - y[0]) <= 0.4 else 0.4 * (abs(z[0] - y[0]) - 0.2)
            ),
        }[output]()
        assert found == pytest.approx(expected)


def test_losses_of_one_class_name_agree():
    z, y = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 3
    np.testing.assert_allclose(
        some_net("classification").row_losses(z, y), reference.row_losses("classification", z, y)
    )
    np.testing.assert_allclose(
        some_net("regression").row_losses(z[:, :1], z[:, 1:2]), reference.row_losses("regression", z[:, :1], z[:, 1:2])
    )


def test_huber_with_a_wide_delta_is_squared():
    X, y = some_rows("regression")
    wide, squared = some_net("regression", loss="huber", huber_delta=1e6), some_net("regression")
    assert wide.objective(X, y) == squared.objective(X, y)


def test_smoothed_labels_by_hand():
    net = some_net("classification")
    np.testing.assert_allclose(net.wanted(np.array([2]), 0.3), [[0.1, 0.1, 0.8]])


def test_class_weights_divide_by_rows():
    """Twice all weights is twice the objective: it is not a weighted mean."""
    net, (X, y) = some_net("classification"), some_rows("classification")
    assert net.objective(X, y, class_weight=[2, 2, 2]) == pytest.approx(2 * net.objective(X, y))
    only = net.objective(X, y, class_weight=[0, 1, 0])
    losses = net.row_losses(net.outputs(X), y)
    assert only == pytest.approx(losses[y == 1].sum() / ROWS)


def test_balanced_weights_by_hand():
    np.testing.assert_allclose(
        reference.balanced_weights(np.array([0, 0, 0, 0, 1, 1, 3, 3]), 4), [8 / (4 * 4), 8 / (4 * 2), 0, 8 / (4 * 2)]
    )


def test_mixup_of_the_own_row_only_changes_nothing():
    net, (X, y) = some_net("classification"), some_rows("classification")
    share = np.ones(ROWS)
    np.testing.assert_array_equal(reference.mixed(X, share), X)
    assert net.objective(X, y, share=share) == pytest.approx(net.objective(X, y))


def test_mixup_is_the_cross_entropy_of_mixed_labels():
    """With the partner the next row of the batch, and the first row's that of the last."""
    net, (X, y) = some_net("classification"), some_rows("classification")
    share = np.linspace(0.5, 0.95, ROWS)
    M = np.array([share[i] * X[i] + (1 - share[i]) * X[(i + 1) % ROWS] for i in range(ROWS)])
    np.testing.assert_allclose(reference.mixed(X, share), M)
    a = reference.softmax(net.outputs(M))
    losses = [
        -share[i] * math.log(a[i, y[i]]) - (1 - share[i]) * math.log(a[i, y[(i + 1) % ROWS]]) for i in range(ROWS)
    ]
    assert net.objective(M, y, share=share) == pytest.approx(np.mean(losses))


# --- Batch norm ---


def test_batch_norm_gives_every_unit_mean_beta_and_spread_gamma():
    net, (X, _) = some_net("classification", batch_norm=True), some_rows("classification", rows=50)
    zt = net.forward(X, training=True).zt[0]
    np.testing.assert_allclose(zt.mean(axis=0), net.b[0])
    np.testing.assert_allclose(zt.std(axis=0), net.gamma[0], rtol=1e-4)  # but for the epsilon below the root


def test_running_statistics_are_those_of_the_first_batch_and_then_corrected_averages():
    net = some_net("classification", batch_norm=True, hidden=(3,))
    assert (net.statistics[0].mean, net.statistics[0].variance) == (0, 1)
    z = []
    for t in range(1, 4):
        X, y = some_rows("classification", seed=t)
        z.append(X @ net.W[0])
        reference.update(net, reference.Sgd(0.0), X, y)
        weights = np.array([0.1 * 0.9 ** (t - i) / (1 - 0.9**t) for i in range(1, t + 1)])
        assert weights.sum() == pytest.approx(1)
        mean = sum(w * values.mean(axis=0) for w, values in zip(weights, z, strict=True))
        variance = sum(w * values.var(axis=0, ddof=1) for w, values in zip(weights, z, strict=True))
        np.testing.assert_allclose(net.statistics[0].mean, mean)
        np.testing.assert_allclose(net.statistics[0].variance, variance)


def test_a_batch_of_one_row_uses_the_running_statistics_and_leaves_them():
    net = some_net("classification", batch_norm=True)
    X, y = some_rows("classification")
    reference.update(net, reference.Sgd(0.1), X, y)
    before = [(s.mean, s.variance) for s in net.statistics]
    np.testing.assert_array_equal(net.forward(X[:1], training=True).z[-1], net.outputs(X[:1]))
    reference.update(net, reference.Sgd(0.1), X[:1], y[:1])
    for statistics, (mean, variance) in zip(net.statistics, before, strict=True):
        np.testing.assert_array_equal(statistics.mean, mean)
        np.testing.assert_array_equal(statistics.variance, variance)


# --- Dropout ---


def test_keep_mask_reads_sixteen_bits_at_a_time():
    word = 0xFFFF_8000_7FFF_0000  # from the lowest: 0, just below a half, a half, almost 1
    assert reference.keep_mask([word], 0.5).tolist() == [0, 0, 1, 1]
    assert reference.keep_mask([word], 0.0).tolist() == [1, 1, 1, 1]
    assert reference.keep_mask([word], 65535 / 65536).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_keep_mask_keeps_its_share(p):
    """Within 4 standard errors over 40,000 elements of fixed words."""
    keep = reference.keep_mask([reference.splitmix64(3, i) for i in range(10_000)], p)
    assert keep.mean() == pytest.approx(1 - p, abs=4 * math.sqrt(p * (1 - p) / 40_000))
    assert reference.dropout_factors(keep, p).mean() == pytest.approx(1, abs=4 * math.sqrt(p / (1 - p) / 40_000))


# --- Exponentially weighted averages ---


def test_average_of_the_lecture():
    first, second = 3.0, -5.0
    found = reference.averages([first, second], 0.98)
    assert found[0] == pytest.approx(first)
    assert found[1] == pytest.approx((0.0196 * first + 0.02 * second) / 0.0396)


def test_average_step_by_step_is_the_one_with_a_shrinking_rate():
    """r += (1 - beta) / (1 - beta^t) (x - r), which needs no sum beside r."""
    values = np.random.default_rng(1).normal(size=30)
    r = 0.0
    for t, (x, found) in enumerate(zip(values, reference.averages(values, 0.9), strict=True), start=1):
        r += (1 - 0.9) / (1 - 0.9**t) * (x - r)
        assert found == pytest.approx(r)


def test_the_judged_network_has_the_average_of_the_weights():
    net, (X, y) = some_net("classification", batch_norm=True), some_rows("classification")
    rules, optimiser, trail = Rules(ema=0.7), reference.Sgd(0.3), []
    for _ in range(4):
        reference.update(net, optimiser, X, y, rules=rules)
        trail.append([values.copy() for values in net.parameters])
    for values, *steps in zip(net.judged().parameters, *trail, strict=True):
        np.testing.assert_allclose(values, reference.averages(steps, 0.7)[-1])
    assert net.judged().statistics is net.statistics
    assert Average(0.7).t == 0


# --- Updates ---


def test_order_of_an_update():
    """Decay before the step, the step by the clipped gradient, the norm's bound after it; of W only."""
    h = {"learning_rate": 0.5, "weight_decay": 0.2, "clip_norm": 0.3, "max_norm": 0.9}
    net, (X, y) = some_net("regression", hidden=()), some_rows("regression")
    W, b = net.W[0].copy(), net.b[0].copy()
    e = X @ W + b - y
    dW, db = X.T @ e / ROWS, e.mean(axis=0)
    length = math.sqrt(np.sum(dW**2) + np.sum(db**2))
    assert length > h["clip_norm"]
    W = W - 0.5 * 0.2 * W
    W = W - 0.5 * dW * 0.3 / length
    assert np.linalg.norm(W) > 0.9
    W = W * 0.9 / np.linalg.norm(W)
    rules = Rules(weight_decay=0.2, clip_norm=0.3, max_norm=0.9)
    _, found = reference.update(net, reference.Sgd(0.5), X, y, rules=rules)
    np.testing.assert_allclose(net.W[0], W)
    np.testing.assert_allclose(net.b[0], b - 0.5 * db * 0.3 / length)
    assert found == pytest.approx(length)


def one_step(optimiser, gradients, start=1.0):
    p = np.array([start])
    for g in gradients:
        optimiser.step([p], [np.array([g])])
    return p[0]


def test_momentum_by_hand():
    """Gradients 1 and 3 at beta = 0.5, alpha = 0.1."""
    momentum = reference.Momentum
    assert one_step(momentum(0.1, 0.5), [1, 3]) == pytest.approx(1 - 0.1 * (0.5 + 1.75))
    assert one_step(momentum(0.1, 0.5, "sum"), [1, 3]) == pytest.approx(1 - 0.1 * (1 + 3.5))
    assert one_step(momentum(0.1, 0.5, correction=True), [1, 3]) == pytest.approx(1 - 0.1 * (1 + 1.75 / 0.75))
    # Nesterov: 0.5 v + (1 - 0.5) g with v = 0.5, 1.75; or 0.5 v + g with v = 1, 3.5
    assert one_step(momentum(0.1, 0.5, nesterov=True), [1, 3]) == pytest.approx(1 - 0.1 * (0.75 + 2.375))
    assert one_step(momentum(0.1, 0.5, "sum", nesterov=True), [1, 3]) == pytest.approx(1 - 0.1 * (1.5 + 4.75))


def test_adaptive_steps_by_hand():
    """Gradients 3 and 4: the roots are of 9 and 25; of 4.5 and 10.25 with beta2 = 0.5."""
    assert one_step(reference.Adagrad(0.1, 1.0), [3, 4]) == pytest.approx(1 - 0.1 * (3 / 4 + 4 / 6))
    assert one_step(reference.Rmsprop(0.1, 0.5, 1.0), [3, 4]) == pytest.approx(
        1 - 0.1 * (3 / (math.sqrt(4.5) + 1) + 4 / (math.sqrt(10.25) + 1))
    )
    # m = 1.5, 2.75 over 1 - 0.5^t; s = 4.5, 10.25 over the same
    assert one_step(reference.Adam(0.1, 0.5, 0.5, 1.0), [3, 4]) == pytest.approx(
        1 - 0.1 * (3 / (3 + 1) + 2.75 / 0.75 / (math.sqrt(10.25 / 0.75) + 1))
    )


def test_max_norm_shortens_long_columns_only():
    W = np.array([[3.0, 0.3], [4.0, 0.4]])
    reference.shorten_columns(W, 1.0)
    np.testing.assert_allclose(W, [[0.6, 0.3], [0.8, 0.4]])


def test_penalty_of_absolute_weights_is_flat_at_zero():
    net, (X, y) = some_net("regression", hidden=()), some_rows("regression")
    net.W[0][1] = 0
    (bare,), _ = net.gradients(X, y)
    (penalised,), _ = net.gradients(X, y, 0.0, 0.7)
    np.testing.assert_allclose(penalised - bare, 0.7 / ROWS * np.sign(net.W[0]))
    assert penalised[1] == bare[1]


# --- Learning rates ---

H = {
    "learning_rate": 0.8, "schedule": "constant", "epochs": 20, "warmup": 0.0, "decay": 0.5, "decay_power": 0.5,
    "decay_factor": 0.1, "decay_epochs": 2, "restart_growth": 2.0,
}  # fmt: skip
STEPS = 4  # updates an epoch


def rates(first_epochs, **settings):
    return [reference.learning_rate(t, STEPS, H | settings) for t in range(1, STEPS * first_epochs + 1)]


@pytest.mark.parametrize(
    ("settings", "by_epoch"),
    [
        ({}, [0.8, 0.8, 0.8, 0.8]),
        ({"schedule": "inverse"}, [0.8, 0.8 / 1.5, 0.8 / 2, 0.8 / 2.5]),
        ({"schedule": "exponential"}, [0.8, 0.8 * math.exp(-0.5), 0.8 * math.exp(-1), 0.8 * math.exp(-1.5)]),
        ({"schedule": "power"}, [0.8, 0.8 / math.sqrt(2), 0.8 / math.sqrt(3), 0.8 / 2]),
        ({"schedule": "power", "decay_power": 1.0}, [0.8, 0.8 / 2, 0.8 / 3, 0.8 / 4]),
        ({"schedule": "staircase"}, [0.8, 0.8, 0.08, 0.08]),
    ],
)
def test_schedules_of_whole_epochs(settings, by_epoch):
    np.testing.assert_allclose(rates(4, **settings), np.repeat(by_epoch, STEPS))


def test_cosine_falls_from_update_to_update():
    """Half the way half the rate; the update after the last would have 0."""
    found = rates(20, schedule="cosine")
    assert found[0] == 0.8
    assert found[40] == pytest.approx(0.4)
    assert np.all(np.diff(found) < 0)
    assert reference.learning_rate(81, STEPS, H | {"schedule": "cosine"}) == pytest.approx(0, abs=1e-15)


def test_cosine_restarts_begin_anew_after_2_4_and_8_epochs():
    found = rates(14, schedule="cosine_restarts")
    assert [i / STEPS for i, rate in enumerate(found) if rate == 0.8] == [0, 2, 6]
    assert found[4] == found[16] == found[40] == pytest.approx(0.4)


@pytest.mark.parametrize("schedule", reference.SCHEDULES)
def test_warm_up_rises_to_the_schedule(schedule):
    """Two epochs of 4: the k-th update has k / 8 of the rate; then the schedule counts from 0."""
    found = rates(18, schedule=schedule, warmup=2.0, epochs=20)
    np.testing.assert_allclose(found[:8], 0.8 * np.arange(1, 9) / 8)
    bare = rates(16, schedule=schedule, epochs=18)
    np.testing.assert_allclose(found[8:], bare)


def test_warm_up_may_last_a_part_of_an_update():
    """2.5 updates of 10 an epoch: 0.4, 0.8, then no more than the whole rate."""
    found = [reference.learning_rate(t, 10, H | {"warmup": 0.25, "learning_rate": 1.0}) for t in range(1, 5)]
    np.testing.assert_allclose(found, [0.4, 0.8, 1, 1])


def test_epochs_after_a_warm_up_are_counted_exactly():
    """2.3 - 0.3 is a little less than 2 in floating point, and still the third epoch begins."""
    h = H | {"schedule": "inverse", "warmup": 0.3}
    assert 2.3 - 0.3 < 2
    assert reference.learning_rate(24, 10, h) == pytest.approx(0.8 / 2)
    assert reference.learning_rate(23, 10, h) == pytest.approx(0.8 / 1.5)


# --- Divergence and health ---


def test_a_loss_above_a_million_ends_it_and_names_the_layer_of_the_largest_gradient():
    net, (X, y) = some_net("regression"), some_rows("regression")
    before = [values.copy() for values in net.parameters]
    with pytest.raises(reference.DivergedError) as found:
        reference.update(net, reference.Sgd(0.1), X, y + 1e4)
    norms = reference.layer_norms(net.gradients(X, y + 1e4))
    assert found.value.args == (int(np.argmax(norms)),)
    for values, old in zip(net.parameters, before, strict=True):
        np.testing.assert_array_equal(values, old)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_first_layer_with_a_number_that_is_none_is_named(layer):
    net, (X, y) = some_net("classification"), some_rows("classification")
    net.b[layer][0] = np.nan
    with pytest.raises(reference.DivergedError) as found:
        reference.update(net, reference.Sgd(0.1), X, y)
    assert found.value.args == (layer,)


def test_stuck_units_are_those_without_a_slope_on_any_row():
    net, (X, _) = some_net("classification", "relu"), some_rows("classification")
    net.b[0][:2] = -100  # two of three units of the first layer, one of five of the second
    net.b[1][:] = 50
    net.b[1][4] = -100
    assert reference.stuck_shares(net, X) == pytest.approx([2 / 3, 1 / 5, 0])


def test_update_ratios_by_hand():
    assert reference.update_ratios([np.array([[3.0, 4.0]])], [np.array([[3.0, 4.5]])]) == pytest.approx([0.1])
