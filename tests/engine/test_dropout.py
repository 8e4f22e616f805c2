"""Dropout of flat arrays by its rule: 16 bits of a SplitMix64 word for each element, kept when they reach the share.

test_reference_dropout.py looks at it from outside, through whole updates.
"""

import numpy as np
import pytest
import reference
from engine.cases import COMPILED, KEYS, make_network, make_part, train_to_end
from engine.stages import bits, stage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpsearch.engine.network import Training

KEY = 20260102
MANY = 1_000_000 if COMPILED else 50_000


def dropped(count, share, key=KEY):
    """What becomes of values and slopes, of which none is 0."""
    values = np.random.default_rng(1).uniform(1, 2, count).astype(np.float32)
    slopes = -values[::-1].copy()
    found, found_slopes = values.copy(), slopes.copy()
    stage("drop")(found, found_slopes, count, share, np.uint64(key))
    return values, slopes, found, found_slopes


def kept(count, share, key=KEY):
    return dropped(count, share, key)[2] != 0


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 10_007])
def test_the_rule_of_the_bits(count, share):
    """In plain integers; what is kept is scaled, its slope likewise, and nothing else is touched."""
    words = [reference.splitmix64(KEY, i) for i in range(count // 4 + 1)]
    keep = reference.keep_mask(words, share)[:count]
    values, slopes, found, found_slopes = dropped(count, share)
    scale = np.float32(1 / (1 - share))
    assert np.array_equal(found, values * keep.astype(np.float32) * scale)
    assert np.array_equal(found_slopes, slopes * keep.astype(np.float32) * scale)


@given(key=st.integers(0, 2**64 - 1), share=st.floats(0, 0.999), count=st.integers(1, 40))
@settings(deadline=None)
def test_the_rule_of_the_bits_for_any_key_and_share(key, share, count):
    keep = reference.keep_mask([reference.splitmix64(key, i) for i in range(11)], share)[:count]
    assert np.array_equal(kept(count, share, key), keep > 0)


@pytest.mark.parametrize("element", range(12))
def test_the_share_itself_is_kept(element):
    """An element whose 16 bits are the share, to the bit, is kept; of the next larger share it is not."""
    sixteen = (reference.splitmix64(KEY, element // 4) >> 16 * (element % 4)) & 0xFFFF
    assert kept(12, sixteen / 2**16)[element]
    assert not kept(12, (sixteen + 1) / 2**16)[element]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_the_share_that_is_left_out(share):
    """Of very many elements, and of those at each of the four places of a word, within 4 standard errors.

    So is the mean, which dropout leaves as it was.
    """
    n = MANY
    values, _, found, _ = dropped(n, share)
    keep = found != 0
    for part in (keep, keep[::4], keep[1::4], keep[2::4], keep[3::4]):
        assert part.mean() == pytest.approx(1 - share, abs=4 * np.sqrt(share * (1 - share) / part.size) + 2**-17)
    spread = np.std(found - values) / np.sqrt(n)
    assert found.mean(dtype=np.float64) == pytest.approx(values.mean(dtype=np.float64), abs=4 * spread)


def test_neighbours_are_left_out_on_their_own():
    """Near and far ones, as runs of the kept; and of two keys that follow each other."""
    keep = kept(MANY, 0.3).astype(float)
    for lag in (1, 2, 3, 4, 5, 64, 1000):
        assert abs(np.corrcoef(keep[:-lag], keep[lag:])[0, 1]) < 4 / np.sqrt(keep.size)
    other = kept(MANY, 0.3, KEY + 1)
    assert abs(np.corrcoef(keep, other)[0, 1]) < 4 / np.sqrt(keep.size)
    runs = np.diff(np.flatnonzero(np.diff(keep) != 0))
    lengths = np.bincount(runs[::2] if keep[np.flatnonzero(np.diff(keep) != 0)[0] + 1] else runs[1::2])[1:12]
    expected = 0.3 * 0.7 ** np.arange(11)  # of a run of kept elements to have this length
    assert stats.chisquare(lengths, expected * lengths.sum() / expected.sum()).pvalue > 0.01


def test_a_share_near_one_leaves_out_all():
    """2^-17 and less of it is no share that 16 bits can keep."""
    assert not kept(10_000, 1 - 2**-18).any()
    assert 0 < kept(MANY, 1 - 2**-12).mean() < 2**-11


def start(**hyperparameters):
    network = make_network("regression", hidden=[9, 7], batch_size=10, keys=(*KEYS, 33, 44), **hyperparameters)
    return Training(network, make_part("regression", 20), make_part("regression", 5, seed=1))


def test_the_keys_of_an_update():
    """Inputs and each layer have a stream of their own, found again in the zeros that an update leaves behind.

    The stream of update t is that output of the dropout key's; of it the first is for the first piece of the batch, and
    of this one the first is for inputs, the next for each layer.
    """
    training = start(dropout=0.4, input_dropout=0.3, activation="tanh")
    training.advance_by(1)
    rows, sizes = 10, (5, 9, 7)
    activations = next(array for array in training._arrays if np.size(array) == rows * 22)  # 5 + 9 + 7 + 1 units
    piece = reference.splitmix64(reference.splitmix64(33, 1), 0)
    start_of_layer = 0
    for l, (width, share) in enumerate(zip(sizes, (0.3, 0.4, 0.4), strict=True)):
        count = rows * width
        keep = reference.keep_mask(bits(reference.splitmix64(piece, l), count // 4 + 1), share)[:count]
        assert np.array_equal(activations[start_of_layer : start_of_layer + count] != 0, keep > 0)
        start_of_layer += count


@pytest.mark.parametrize(("dropout", "losses"), [(0.0, 1), (0.5, 3)])
def test_rows_are_dropped_anew_in_every_epoch(dropout, losses):
    """With a learning rate of next to nothing, the losses of three epochs differ by what was left out alone."""
    network = make_network(
        "regression", batch_size="full", epochs=3, optimizer="sgd", learning_rate=1e-12, dropout=dropout,
        keys=(*KEYS, 33, 44),
    )  # fmt: skip
    curve = train_to_end(network, *[make_part("regression", 30)] * 2).curve_rows()[:, 0]
    assert len(np.unique(np.round(curve, 5))) == losses
