"""Sobol's sequence: the known points before scrambling, and even cover after it."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from hpsearch.strategies.sobol import BITS, MOST_SIDES, SobolSequence, _directions


def points(sides, seed, start, end):
    sequence = SobolSequence(sides, np.random.default_rng(seed))
    return np.array([sequence[index] for index in range(start, end)])


@pytest.mark.parametrize("sides", [1, 2, 7, MOST_SIDES])
def test_unscrambled_points_are_those_of_scipy(sides):
    directions = _directions(sides)
    gray = [index ^ (index >> 1) for index in range(1024)]  # the order of scipy
    found = [
        np.bitwise_xor.reduce(directions[:, [k for k in range(BITS) if index >> k & 1]], axis=1, initial=np.uint64(0))
        for index in gray
    ]
    expected = qmc.Sobol(sides, scramble=False, bits=BITS).random(1024)
    assert np.array_equal(np.array(found) / 2.0**BITS, expected)


def test_every_direction_number_is_that_of_scipy():
    expected = qmc.Sobol(MOST_SIDES, scramble=False, bits=BITS)._sv
    assert np.array_equal(_directions(MOST_SIDES), expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("power", "block"), [(0, 5), (1, 3), (3, 0), (3, 6), (6, 0), (6, 1), (9, 0), (9, 4)])
def test_each_side_has_one_point_in_every_interval_of_an_aligned_block(seed, power, block):
    size = 2**power
    found = points(MOST_SIDES, seed, block * size, (block + 1) * size)
    assert np.array_equal(np.sort((found * size).astype(int), axis=0), np.tile(np.arange(size)[:, None], MOST_SIDES))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_two_sides_have_one_point_in_every_rectangle(seed):
    power = 6
    for block in (0, 1, 5):
        found = points(2, seed, block * 2**power, (block + 1) * 2**power)
        for wide in range(power + 1):
            cells = (found * [2**wide, 2 ** (power - wide)]).astype(int)
            assert len({tuple(cell) for cell in cells.tolist()}) == 2**power


def test_pairs_of_sides_are_covered_more_evenly_than_by_chance():
    found, chance = points(8, 0, 0, 128), np.random.default_rng(0).random((128, 8))
    pairs = list(itertools.combinations(range(8), 2))
    empty = [
        sum(64 - len({*map(tuple, (p[:, pair] * 8).astype(int).tolist())}) for pair in pairs) for p in (found, chance)
    ]
    assert empty[0] < 0.5 * empty[1]


def test_each_point_is_uniform_over_the_seeds():
    sequences = [SobolSequence(3, np.random.default_rng(seed)) for seed in range(400)]
    for index in (0, 1, 6, 1000, 2**32 - 1):
        found = np.array([sequence[index] for sequence in sequences])
        for side in found.T:
            assert stats.kstest(side, "uniform").pvalue > 0.001
        assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.2


def test_the_distance_of_two_points_depends_on_the_seed_as_well():
    """More than a shift of all points."""
    found = [points(2, seed, 3, 5) for seed in range(20)]
    assert len({tuple(np.bitwise_xor(*(pair * 2**32).astype(np.uint64)).tolist()) for pair in found}) == 20


def test_points_are_inside_the_cube_and_all_different():
    found = points(5, 1, 0, 4096)
    assert found.min() >= 0
    assert found.max() < 1
    assert len(np.unique(found, axis=0)) == 4096


def test_equal_seeds_give_equal_points_and_others_do_not():
    assert np.array_equal(points(4, 3, 0, 50), points(4, 3, 0, 50))
    assert not np.isin(points(4, 3, 0, 50), points(4, 4, 0, 50)).any()


def test_a_point_does_not_depend_on_those_asked_for_before():
    sequence = SobolSequence(3, np.random.default_rng(0))
    forward = [sequence[index].tolist() for index in range(20)]
    assert [sequence[index].tolist() for index in reversed(range(20))] == forward[::-1]


def test_no_sides_have_empty_points():
    assert SobolSequence(0, np.random.default_rng(0))[3].shape == (0,)


def test_more_sides_than_the_table_has_are_refused():
    with pytest.raises(ValueError, match="65 sides; the table has 64"):
        SobolSequence(65, np.random.default_rng(0))
