"""Random streams, shuffles and first weights: known answers, plain-integer twins, and the spread of each scheme.

Keys are fixed, so nothing here can fail by chance: a bound of so many standard errors, or a p-value, is checked once.
"""

import importlib
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import reference
from engine.cases import COMPILED, make_network, make_part, tensors
from engine.stages import bits, stage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpsearch.engine.layout import INITS
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


def test_splitmix64_known_answers():
    """Of the two twins that everything else here is compared with."""
    assert [reference.splitmix64(1234567, i) for i in range(5)] == KNOWN
    assert bits(1234567, 5).tolist() == KNOWN


@pytest.mark.skipif(COMPILED, reason="compiled, draws are part of the stages: shuffles and dropout show their bits")
@given(key=WORDS, counter=WORDS)
@settings(deadline=None)
def test_draws_equal_plain_integers(key, counter):
    """Bit for bit over the whole range, so every product and sum wraps at 2^64."""
    draws = importlib.import_module("hpsearch.engine.kernels.random_numbers")
    pair = np.uint64(key), np.uint64(counter)
    assert int(draws.random_bits(*pair)) == reference.splitmix64(key, counter)
    assert draws.random_uniform(*pair) == reference.uniform(key, counter)


def shuffled(n, key):
    order = np.full(n, -1, np.int32)
    stage("shuffle")(order, n, np.uint64(key))
    return order.tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 257])
@pytest.mark.parametrize("key", [0, 1234567, 2**64 - 1])
def test_shuffle_equals_plain_integers(n, key):
    order = shuffled(n, key)
    assert order == reference.shuffled(n, key)
    assert sorted(order) == list(range(n))


@given(key=WORDS, n=st.integers(1, 60))
@settings(deadline=None)
def test_shuffles_of_any_key_equal_plain_integers(key, n):
    """The upper 32 bits of as many words as there are rows but one."""
    assert shuffled(n, key) == reference.shuffled(n, key)


@given(key=WORDS)
@settings(deadline=None, max_examples=30)
def test_first_weights_of_any_key_equal_plain_integers(key):
    """The upper 53 bits of a word: float64 to float32 costs 6e-8 of a number up to 1."""
    network = make_network("regression", features=3, hidden=[], init="xavier_uniform", keys=(key, 0))
    training = Training(network, *[make_part("regression", 4, features=3)] * 2)
    expected = [2 * reference.uniform(key, i) - 1 for i in range(3)]
    np.testing.assert_allclose(training.weights[:3], expected, atol=1e-7)


def test_shuffles_are_uniform():
    """All 24 orders of 4 rows, and every place for every one of 20 rows, by chi-square over 4,800 keys."""
    orders, places = Counter(), np.zeros((20, 20))
    for epoch in range(4800):
        key = reference.splitmix64(7, epoch)  # as the epochs' keys are made
        orders[tuple(shuffled(4, key))] += 1
        places[np.arange(20), shuffled(20, key)] += 1
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
    Ws, bs, *_ = tensors(initialised(network), network)
    assert all(np.all(b == 0) for b in bs)
    return Ws[0], Ws[1]


def initialised(network):
    """The whole vector as the stage fills it."""
    weights = np.full(network.vector_size, np.nan, np.float32)
    layers, settings_vector = network.layers.view(np.int64), network.settings.view(np.float64)
    start_engine().initialise(weights, layers, settings_vector, network.keys)
    return weights


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


@pytest.mark.parametrize("init", INITS)
def test_batch_norm_begins_as_if_it_were_not_there(init):
    """Gains of 1, shifts of 0, running means of 0 and variances of 1; weights by their place in the longer vector."""
    network = make_network("regression", features=3, hidden=[4, 2], init=init, batch_norm=True, keys=(5, 0))
    Ws, bs, gammas, means, variances = tensors(initialised(network), network)
    assert all(np.all(values == 0) for values in (*bs, *means))
    assert all(np.all(values == 1) for values in (*gammas, *variances))
    assert all(np.all(W != 0) for W in Ws)
    if init == "xavier_uniform":
        place = 3 * 4 + 2 * 4  # behind W, beta and gamma of the first layer
        expected = [(2 * reference.uniform(5, place + i) - 1) * math.sqrt(3 / 4) for i in range(8)]
        np.testing.assert_allclose(Ws[1].ravel(), expected, atol=1e-7)


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
