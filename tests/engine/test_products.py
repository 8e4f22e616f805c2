"""The products against NumPy in float64.

An element is a sum of k products of float32. However it is ordered, it is off by at most (k + 1) roundings, 2^-24 each,
of the sum of the products' sizes (Higham 2002, section 3.1); a term that is left out is off by a k-th of that sum.
"""

import itertools

import numpy as np
import pytest
from engine.cases import COMPILED
from engine.stages import stage

compiled_only = pytest.mark.skipif(not COMPILED, reason="uncompiled, a product is NumPy's")

# Around the vectors (4, 8 or 16), tiles of three of them, and the blocks of 256 of the common dimension.
SIZES = (1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 33, 48, 49, 64, 257)
STARTED, FRESH = True, False  # whether C begins with something
DEPTHS = (1, 2, 16, 17, 49, 256, 257, 513)


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def plain_product(a, b, start=None):
    """C of the engine, from matrices as they stand; `start` is added, a vector to every row."""
    (m, k), n = a.shape, b.shape[1]
    c = np.full((m, n), np.nan, np.float32)
    d = c if start is None else start
    d_row = n if start is None or start.ndim == 2 else 0
    stage("product")(m, n, k, np.ravel(a), k, 1, np.ravel(b), c.reshape(-1), n, d.reshape(-1), d_row, start is not None)
    return c


def assert_near(found, a, b, start=0.0):
    a, b, start = (np.asarray(values, np.float64) for values in (a, b, start))
    bound = (a.shape[1] + 1) * 2**-24 * (np.abs(a) @ np.abs(b) + np.abs(start))
    assert np.all(np.abs(found - (a @ b + start)) <= bound)


@pytest.mark.parametrize("n", SIZES)
def test_product(n):
    """Of matrices that stand as they are; what was in C before, here NaN, does not count."""
    for m, k in itertools.product(SIZES, DEPTHS):
        a, b = numbers(m, k), numbers(k, n)
        assert_near(plain_product(a, b), a, b)


@pytest.mark.parametrize("n", SIZES)
def test_product_of_a_turned_left_matrix(n):
    """A column of A is a row of memory, and a piece of a wider matrix: so gradients are made."""
    for m, k in itertools.product(SIZES, DEPTHS):
        wide, b = numbers(k, m + 5), numbers(k, n)
        c = np.full((m, n), np.nan, np.float32)
        left = wide.reshape(-1)[3:]
        stage("product")(m, n, k, left, 1, m + 5, b.reshape(-1), c.reshape(-1), n, c.reshape(-1), n, FRESH)
        assert_near(c, wide[:, 3 : 3 + m].T, b)


@pytest.mark.parametrize("n", SIZES)
def test_product_into_a_part_of_a_matrix(n):
    """Columns beside the part keep what they are."""
    for m, k in itertools.product((1, 3, 4, 9, 16, 33), DEPTHS):
        a, b = numbers(m, k), numbers(k, n)
        wide = np.full((m, n + 7), np.nan, np.float32)
        out = wide.reshape(-1)[3:]
        stage("product")(m, n, k, a.reshape(-1), k, 1, b.reshape(-1), out, n + 7, out, n + 7, FRESH)
        assert_near(wide[:, 3 : 3 + n], a, b)
        assert np.isnan(wide[:, :3]).all()
        assert np.isnan(wide[:, 3 + n :]).all()


@pytest.mark.parametrize("n", SIZES)
def test_product_with_a_start(n):
    """A bias for every row; a matrix; and C itself, which then grows by the product."""
    for m, k in itertools.product((1, 3, 4, 9, 16, 33), DEPTHS):
        a, b, bias, matrix = numbers(m, k), numbers(k, n), numbers(n, seed=1), numbers(m, n, seed=1)
        assert_near(plain_product(a, b, bias), a, b, bias)
        assert_near(plain_product(a, b, matrix), a, b, matrix)
        grown = matrix.copy()
        flat = grown.reshape(-1)
        stage("product")(m, n, k, a.reshape(-1), k, 1, b.reshape(-1), flat, n, flat, n, STARTED)
        assert_near(grown, a, b, matrix)


@compiled_only
@pytest.mark.parametrize("n", SIZES)
def test_a_row_does_not_depend_on_the_others(n):
    """Bit for bit, whatever tile a row falls into: an evaluation of one row is that of many."""
    for m, k in itertools.product((2, 3, 5, 9, 17, 33, 48), DEPTHS):
        a, b, bias = numbers(m, k), numbers(k, n), numbers(n, seed=1)
        whole = plain_product(a, b, bias)
        alone = np.concatenate([plain_product(a[i : i + 1], b, bias) for i in range(m)])
        assert np.array_equal(whole, alone)


@compiled_only
@pytest.mark.parametrize("k", DEPTHS)
def test_a_column_does_not_depend_on_the_others(k):
    """Nor on the vector that it falls into, of which the last may be a part."""
    a, b = numbers(9, k), numbers(k, 65)
    whole = plain_product(a, b)
    for start, end in ((0, 1), (0, 17), (3, 36), (5, 65), (64, 65)):
        part = plain_product(a, np.ascontiguousarray(b[:, start:end]))
        assert np.array_equal(part, whole[:, start:end])


@compiled_only
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_spoils_its_row_or_column_only(bad):
    """The lanes beside the last column, and rows of another tile, get nothing of it."""
    for m, n in itertools.product((1, 5, 12, 17), (1, 15, 17, 47, 49)):
        a, b = numbers(m, 20), numbers(20, n)
        clean = plain_product(a, b)
        for row in range(m):
            broken = a.copy()
            broken[row, 7] = bad
            found = plain_product(broken, b)
            others = np.arange(m) != row
            assert not np.isfinite(found[row]).any()
            assert np.array_equal(found[others], clean[others])
        for column in range(n):
            broken = b.copy()
            broken[7, column] = bad
            found = plain_product(a, broken)
            others = np.arange(n) != column
            assert not np.isfinite(found[:, column]).any()
            assert np.array_equal(found[:, others], clean[:, others])


@compiled_only
def test_the_place_in_memory_changes_no_bit():
    a, b = numbers(19, 33), numbers(33, 45)
    expected = plain_product(a, b)
    for shift in range(16):
        moved = [np.empty(values.size + 16, np.float32)[shift : shift + values.size] for values in (a, b, expected)]
        moved[0][:], moved[1][:] = a.reshape(-1), b.reshape(-1)
        stage("product")(19, 45, 33, moved[0], 33, 1, moved[1], moved[2], 45, moved[2], 45, FRESH)
        assert np.array_equal(moved[2], expected.reshape(-1))


@pytest.mark.parametrize("rows", [*range(1, 35), 63, 64, 65, 257])
def test_turning_over(rows):
    for columns in (*range(1, 35), 48, 49, 257):
        source = numbers(rows, columns)
        target = np.full((columns, rows), np.nan, np.float32)
        stage("turn_over")(source.reshape(-1), rows, columns, target.reshape(-1))
        assert np.array_equal(target, source.T)


@pytest.mark.parametrize("n", SIZES)
def test_product_with_a_turned_right_matrix(n):
    """Of few rows, where nothing is turned over, and of many."""
    for m, k in itertools.product((1, 2, 3, 4, 5, 16, 33, 257), DEPTHS):
        a, b = numbers(m, k), numbers(n, k)
        c, scratch = np.full((m, n), np.nan, np.float32), np.full(n * k, np.nan, np.float32)
        stage("multiply_turned_right")(m, n, k, a.reshape(-1), b.reshape(-1), c.reshape(-1), scratch)
        assert_near(c, a, b.T)
