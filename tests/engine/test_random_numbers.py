"""Random streams, shuffles and first weights: known answers, plain-integer twins, and the spread of each scheme.

Keys are fixed, so nothing here can fail by chance: a bound of so many standard errors, or a p-value, is checked once.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import reference
from engine.cases import make_network, make_part, matrices
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpsearch.engine.layout import INITS, aligned_zeros
from hpsearch.engine.network import Training, start_engine

# SplitMix64 of the seed 1234567: the outputs that go with the published C code (Vigna; also on Rosetta Code).
KNOWN = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
WORDS = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def kernels():
    return start_engine()


def test_splitmix64_known_answers(kernels):
    assert [int(kernels.random_bits(np.uint64(1234567), np.uint64(i))) for i in range(5)] == KNOWN
    assert [reference.splitmix64(1234567, i) for i in range(5)] == KNOWN


@given(key=WORDS, counter=WORDS)
@settings(deadline=None)
def test_draws_equal_plain_integers(key, counter):
    """Bit for bit over the whole range, so every product and sum wraps at 2^64."""
    kernels = start_engine()
    assert int(kernels.random_bits(np.uint64(key), np.uint64(counter))) == reference.splitmix64(key, counter)
    assert kernels.random_uniform(np.uint64(key), np.uint64(counter)) == reference.uniform(key, counter)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 257])
@pytest.mark.parametrize("key", [0, 1234567, 2**64 - 1])
def test_shuffle_equals_plain_integers(kernels, n, key):
    order = np.full(n, -1, np.int64)
    kernels.shuffle(order, np.uint64(key))
    assert order.tolist() == reference.shuffled(n, key)
    assert sorted(order.tolist()) == list(range(n))


def test_shuffles_are_uniform(kernels):
    """All 24 orders of 4 rows, and every place for every one of 20 rows, by chi-square over 4,800 keys."""
    orders, places = Counter(), np.zeros((20, 20))
    four, twenty = np.zeros(4, np.int64), np.zeros(20, np.int64)
    for epoch in range(4800):
        key = np.uint64(reference.splitmix64(7, epoch))  # as the epochs' keys are made
        kernels.shuffle(four, key)
        kernels.shuffle(twenty, key)
        orders[tuple(four.tolist())] += 1
        places[np.arange(20), twenty] += 1
    assert set(orders) == set(itertools.permutations(range(4)))
    assert stats.chisquare(list(orders.values())).pvalue > 0.01
    statistic = np.sum((places - 240) ** 2 / 240)
    assert stats.chi2.sf(statistic, 19 * 19) > 0.01


# --- First weights ---

N_IN, N_OUT = 150, 100
# scale of each scheme, in its own formula
SCALES = {
    "xavier": math.sqrt(1 / N_IN),
    "glorot": math.sqrt(2 / (N_IN + N_OUT)),
    "he": math.sqrt(2 / N_IN),
}


def first_layer(init, key=5):
    """W (150, 100) of the first layer; all biases, and W of the second, of a network that is just made."""
    network = make_network("regression", features=N_IN, hidden=[N_OUT], init=init, keys=(key, 0))
    weights = aligned_zeros(network.parameters)
    weights[:] = np.nan
    start_engine().initialise(weights, network.sizes, network.settings)
    Ws, bs = matrices(weights, network.sizes)
    assert all(np.all(b == 0) for b in bs)
    return Ws[0], Ws[1]


@pytest.mark.parametrize("init", SCALES)
def test_normal_schemes(init):
    """Mean 0 and the scheme's deviation within 4 standard errors; the quantiles are a normal distribution's."""
    W, _ = first_layer(init)
    n = W.size
    assert abs(W.mean()) < 4 * SCALES[init] / math.sqrt(n)
    assert W.std() == pytest.approx(SCALES[init], rel=4 / math.sqrt(2 * n))
    assert stats.kstest(W.ravel() / SCALES[init], "norm").pvalue > 0.01
    # No pattern along or across: rows and columns are uncorrelated with their neighbours.
    for a, b in ((W[:-1], W[1:]), (W[:, :-1], W[:, 1:])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("init", SCALES)
def test_uniform_schemes(init):
    """Between -sqrt(3) scale and sqrt(3) scale, which has the scheme's deviation."""
    W, _ = first_layer(init + "_uniform")
    bound = math.sqrt(3) * SCALES[init]
    assert 0.999 * bound < np.abs(W).max() <= bound * (1 + 1e-7)  # float32 may round the last digit up
    assert W.std() == pytest.approx(SCALES[init], rel=4 / math.sqrt(2 * W.size))
    assert stats.kstest(W.ravel(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.01


def test_constant_scheme():
    W, V = first_layer("constant")
    assert np.all(np.float32(W) == np.float32(0.1))
    assert np.all(np.float32(V) == np.float32(0.1))


@pytest.mark.parametrize("init", INITS[:-1])
def test_first_weights_are_draws_by_place(init):
    """Weight number i of the flat vector is draw i of the stream; float64 to float32 costs 6e-8 of it."""
    W, V = first_layer(init, key=77)
    kind = init.removesuffix("_uniform")
    draw = (
        (lambda i: math.sqrt(3) * (2 * reference.uniform(77, i) - 1))
        if kind != init
        else (lambda i: reference.normal(77, i))
    )
    expected = [SCALES[kind] * draw(i) for i in range(20)]
    np.testing.assert_allclose(W.ravel()[:20], expected, rtol=1e-6)
    # The second layer follows the first one's bias; its fans are 100 and 1.
    scale = {"xavier": 1 / N_OUT, "glorot": 2 / (N_OUT + 1), "he": 2 / N_OUT}[kind] ** 0.5
    start = N_IN * N_OUT + N_OUT
    expected = [scale * draw(i) for i in range(start, start + N_OUT)]
    np.testing.assert_allclose(V.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "init"), [("relu", "he"), ("silu", "he"), ("tanh", "xavier"), ("selu", "xavier")]
)
def test_auto_follows_the_activation(activation, init):
    auto, said = (
        Training(make_network("regression", activation=activation, init=name), *[make_part("regression", 4)] * 2)
        for name in ("auto", init)
    )
    assert np.array_equal(auto.weights, said.weights)
    assert np.any(auto.weights != 0)
