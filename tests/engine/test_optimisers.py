"""One step of every optimiser on flat arrays of any length, against NumPy in float64.

What a step takes off is right to 2e-6 of itself: a handful of roundings of 6e-8, or guessed roots that are refined to
2e-7; the weight that is left is rounded once more. test_reference_updates.py follows whole trainings.
"""

import numpy as np
import pytest
from engine.stages import Cage, settings_of, stage, state_of

from hpsearch.engine.layout import MOMENTUM_FORMS, OPTIMIZERS, STEP_BLOCK

RATE, BETA, BETA1, BETA2 = 0.01, 0.8, 0.85, 0.97
COUNTS = (1, 2, 7, 8, 9, 15, 16, 17, 100, STEP_BLOCK - 1, STEP_BLOCK, STEP_BLOCK + 1, 2 * STEP_BLOCK + 5)
OF_THE_STEP, OF_THE_WEIGHT = 2e-6, 1.3e-7


def adam(g, m, v, t, epsilon):
    m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g**2
    return m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + epsilon), m, v


def momentum(g, m, factor, *, ahead):
    m = BETA * m + factor * g
    return BETA * m + factor * g if ahead else m, m


def rmsprop(g, v, epsilon):
    v = BETA2 * v + (1 - BETA2) * g**2
    return g / (np.sqrt(v) + epsilon), v


def adagrad(g, v, epsilon):
    return g / (np.sqrt(v + g**2) + epsilon), v + g**2


def expected(name, form, g, m, v, t, epsilon):
    """(direction, m, v) of the step."""
    factor = 1 - BETA if form == "average" else 1
    if name in {"adam", "adamw"}:
        return adam(g, m, v, t, epsilon)
    if name in {"momentum", "nesterov"}:
        direction, m = momentum(g, m, factor, ahead=name == "nesterov")
        return direction, m, v
    if name in {"rmsprop", "adagrad"}:
        direction, v = (rmsprop if name == "rmsprop" else adagrad)(g, v, epsilon)
        return direction, m, v
    return g, m, v


def take(name, w, g, m, v, *, form="average", t=3, epsilon=1e-8, l2=0.0, decay=0.0, watched=False, matrix=True):
    """The engine's (w, m, v, squared length of g, sums), from arrays in a cage."""
    s = settings_of(
        optimizer=OPTIMIZERS.index(name), momentum_form=MOMENTUM_FORMS.index(form), momentum=BETA, beta1=BETA1,
        beta2=BETA2, epsilon=epsilon, weight_decay=decay,
    )  # fmt: skip
    at = state_of(learning_rate=RATE, momentum_left=BETA**t, beta1_left=BETA1**t, beta2_left=BETA2**t)
    cage = Cage(5 * STEP_BLOCK + 4 * (w.size + 64) + 400)
    inside = [cage.put(values) for values in (w, g, m, v)]
    before, sums = cage.put(np.zeros(STEP_BLOCK)), np.zeros(3)
    length = stage("step")(s, at, matrix, *inside, w.size, l2, watched, before, sums)
    assert cage.is_intact()
    w, _, m, v = (values.astype(np.float64) for values in inside)
    return w, m, v, length, sums


def numbers(count, size=1.0, seed=0):
    """Positive and negative, over four orders of magnitude around the size."""
    random = np.random.default_rng([count, seed])
    return (random.choice([-1, 1], count) * size * 10 ** random.uniform(-2, 2, count)).astype(np.float32)


NAMES = [(name, "average") for name in OPTIMIZERS] + [("momentum", "sum"), ("nesterov", "sum")]


@pytest.mark.parametrize(("name", "form"), NAMES)
@pytest.mark.parametrize("count", COUNTS)
def test_a_step_of_any_length(count, name, form):
    w, g, m, v = numbers(count), numbers(count, seed=1), numbers(count, seed=2), np.abs(numbers(count, seed=3))
    found = take(name, w, g, m, v, form=form)
    w, g, m, v = (values.astype(np.float64) for values in (w, g, m, v))
    direction, new_m, new_v = expected(name, form, g, m, v, 3, 1e-8)
    allowed = OF_THE_STEP * RATE * np.abs(direction) + OF_THE_WEIGHT * np.abs(w)
    # where two terms of m cancel, it is off by roundings of the terms
    if name in {"adam", "adamw", "momentum", "nesterov"}:
        size = expected(name, form, np.abs(g), np.abs(m), v, 3, 1e-8)[0]
        allowed += OF_THE_STEP * RATE * np.abs(size)
    assert np.all(np.abs(found[0] - (w - RATE * direction)) <= allowed)
    np.testing.assert_allclose(found[1], new_m, rtol=1e-6, atol=1e-6 * np.abs(m).max())
    np.testing.assert_allclose(found[2], new_v, rtol=1e-6)
    assert found[3] == pytest.approx(np.sum(g**2), rel=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("size", [1e-15, 1e-10, 1e-5, 1e5, 1e10, 1e15])
def test_gradients_of_any_size(size, name):
    """Squares down to 1e-34 and up to 1e34 still have their roots."""
    count = 50
    w, m, v = np.zeros(count, np.float32), np.zeros(count, np.float32), np.zeros(count, np.float32)
    g = numbers(count, size)
    found = take(name, w, g, m, v, t=1, epsilon=1e-30)[0]
    direction, *_ = expected(name, "average", g.astype(np.float64), 0.0, 0.0, 1, 1e-30)
    np.testing.assert_allclose(found, -RATE * direction, rtol=OF_THE_STEP)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adagrad"])
def test_epsilon_is_added_to_the_root(name, epsilon):
    """Of the corrected second moment."""
    zeros = np.zeros(50, np.float32)
    g = numbers(50, epsilon)  # roots of about its size
    found = take(name, zeros, g, zeros, zeros, t=1, epsilon=epsilon)[0]
    direction, *_ = expected(name, "average", g.astype(np.float64), 0.0, 0.0, 1, epsilon)
    np.testing.assert_allclose(found, -RATE * direction, rtol=OF_THE_STEP)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_moves_without_a_gradient(name):
    """0 / (0 + epsilon) is 0, and its root no NaN."""
    w, zeros = numbers(37), np.zeros(37, np.float32)
    found = take(name, w, zeros, zeros, zeros, t=1)
    assert np.array_equal(found[0], w)
    assert not found[1].any()
    assert not found[2].any()
    assert found[3] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_that_is_none_shows_in_its_length(name, bad):
    """Wherever it is: in a whole vector, in the part of one at the end."""
    for count, place in ((40, 3), (40, 39), (1, 0), (STEP_BLOCK + 3, STEP_BLOCK + 2)):
        g, zeros = numbers(count), np.zeros(count, np.float32)
        g[place] = bad
        assert not np.isfinite(take(name, zeros, g, zeros, zeros)[3])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_penalty_and_decay(name):
    """l2 W joins the gradient; decay takes its share off the weight before the step, and neither touches the other."""
    w, zeros = numbers(100), np.zeros(100, np.float32)
    g = numbers(100, seed=1)
    whole = g.astype(np.float64) + 0.3 * w
    direction, *_ = expected(name, "average", whole, 0.0, 0.0, 1, 1e-8)
    found = take(name, w, g, zeros, zeros, t=1, l2=0.3, decay=5.0)
    kept = 1 - RATE * 5.0
    allowed = 2 * OF_THE_STEP * np.abs(RATE * direction) + 2 * OF_THE_WEIGHT * np.abs(w)
    cancelled = np.abs(whole) < 0.01 * np.abs(g)
    assert np.all((np.abs(found[0] - (kept * w - RATE * direction)) <= allowed) | cancelled)
    assert found[3] == pytest.approx(np.sum(whole**2), rel=1e-5)
    bias = take(name, w, g, zeros, zeros, t=1, decay=5.0, matrix=False)
    assert np.array_equal(bias[0], take(name, w, g, zeros, zeros, t=1)[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("count", [5, STEP_BLOCK + 7])
def test_a_watched_step_is_the_same_step(name, count):
    """And its change and the weights before it are measured; those of a bias are not."""
    w, g, zeros = numbers(count), numbers(count, seed=1), np.zeros(count, np.float32)
    plain = take(name, w, g, zeros, zeros, decay=1.0)
    seen = take(name, w, g, zeros, zeros, decay=1.0, watched=True)
    assert np.array_equal(plain[0], seen[0])
    change = np.sum((plain[0] - w) ** 2)
    np.testing.assert_allclose(seen[4], [0, change, np.sum(w.astype(np.float64) ** 2)], rtol=1e-4)
    assert not take(name, w, g, zeros, zeros, watched=True, matrix=False)[4].any()


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (3, 5), (40, 17), (300, 2)])
def test_long_columns_are_shortened(n_in, n_out):
    """To the limit; those that are short enough keep their bits, and zeros stay."""
    W = np.random.default_rng(n_in).normal(size=(n_in, n_out)).astype(np.float32)
    W[:, 0] *= 1e-3
    limit = float(np.median(np.linalg.norm(W, axis=0))) if n_out > 1 else 0.5
    found, scratch = W.copy(), np.full(n_out, np.nan, np.float32)
    stage("shorten_columns")(n_in, n_out, found.reshape(-1), limit, scratch)
    lengths = np.linalg.norm(W.astype(np.float64), axis=0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), np.minimum(lengths, limit), rtol=1e-6)
    short = lengths < limit * (1 - 1e-6)
    assert np.array_equal(found[:, short], W[:, short])
    cosines = np.sum(found * W, axis=0) / np.linalg.norm(found, axis=0) / lengths
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
