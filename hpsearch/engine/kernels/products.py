"""Matrix products in registers.

A product is made of tiles: up to TILE_ROWS rows by TILE_VECTORS vectors of sums that stay in registers while the common
dimension is walked once. For the sizes of networks on tables this is as fast as a BLAS or faster, for there is nothing
to pack and nothing to start up; and the sums of a row are the same whatever rows stand beside it. NumPy stands in where
nothing is compiled.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import boolean, int64, types, void
from numba.extending import intrinsic

from hpsearch.engine.kernels.compiling import COMPILED, LANES, NUMBERS, TILE_ROWS, TILE_VECTORS, after, helper, stage
from hpsearch.engine.kernels.vectors import I32, I64, VECTOR, ZEROS, Vectors, number
from hpsearch.engine.layout import PANEL_ROWS

DEPTH = 256  # of a block of the common dimension: what is read of the right matrix then stays in the first cache
FEW_ROWS = 4  # below this, turning the weights over costs more than the product


def _tile(rows, vectors, masked):
    """The instructions of one tile: C[i, j] = start[i, j] + sum_p A[i, p] B[p, j].

    A[i, p] is a[i * a_row + p * a_step]; B[p, j] is b[p * b_row + j]; C[i, j] is c[i * c_row + j]; start[i, j] is
    d[i * d_row + j] if `started`, else 0. i < rows, j < columns; if `masked`, the last vector may be a part of one.
    """

    @intrinsic
    def tile(_, a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started):
        def codegen(context, builder, _signature, arguments):
            left, a_row, a_step, right, b_row, out, c_row, start, d_row, depth, columns, started = arguments
            use = Vectors(builder)
            last = use.below(builder.sub(columns, number(LANES * (vectors - 1)))) if masked else None
            masks = [None] * (vectors - 1) + [last]
            moved = [number(LANES * v) for v in range(vectors)]
            a_rows = [builder.mul(a_row, number(i)) for i in range(rows)]

            entry = builder.block
            loop, done = builder.append_basic_block("depth"), builder.append_basic_block("summed")
            builder.branch(loop)
            builder.position_at_end(loop)
            p, a_here, b_here = builder.phi(I64), builder.phi(left.type), builder.phi(right.type)
            p.add_incoming(number(0), entry)
            a_here.add_incoming(left, entry)
            b_here.add_incoming(right, entry)
            sums = [[builder.phi(VECTOR) for _ in range(vectors)] for _ in range(rows)]
            b_row_here = [use.load(builder.gep(b_here, [moved[v]]), masks[v]) for v in range(vectors)]
            totals = []
            for i in range(rows):
                factor = use.spread(builder.load(builder.gep(a_here, [a_rows[i]])))
                totals.append([use.fma(factor, b_row_here[v], sums[i][v]) for v in range(vectors)])
            for sum_row, total_row in zip(sums, totals, strict=True):
                for v in range(vectors):
                    sum_row[v].add_incoming(ZEROS, entry)
                    sum_row[v].add_incoming(total_row[v], loop)
            p_next = builder.add(p, number(1))
            p.add_incoming(p_next, loop)
            a_here.add_incoming(builder.gep(a_here, [a_step]), loop)
            b_here.add_incoming(builder.gep(b_here, [b_row]), loop)
            builder.cbranch(builder.icmp_signed("<", p_next, depth), loop, done)

            builder.position_at_end(done)
            with builder.if_else(started) as (with_start, without):
                for block, is_started in ((with_start, True), (without, False)):
                    with block:
                        for i in range(rows):
                            c_here = builder.gep(out, [builder.mul(c_row, number(i))])
                            d_here = builder.gep(start, [builder.mul(d_row, number(i))])
                            for v in range(vectors):
                                total = totals[i][v]
                                if is_started:
                                    total = builder.fadd(total, use.load(builder.gep(d_here, [moved[v]]), masks[v]))
                                use.store(total, builder.gep(c_here, [moved[v]]), masks[v])
            return context.get_dummy_value()

        return types.void(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started), codegen

    return tile


def _turned(masked):
    """The instructions that write the transpose of a block of LANES x LANES or, if `masked`, of less.

    In log2 LANES rounds pairs of rows change halves.
    """

    def mask_of(use, place, there, width):
        if not masked:
            return None
        inside = use.builder.icmp_signed("<", number(place), there)
        return use.below(use.builder.select(inside, width, number(0)))

    @intrinsic
    def turned(_, source, source_row, target, target_row, rows, columns):
        def codegen(context, builder, _signature, arguments):
            place, source_row, out, target_row, rows, columns = arguments
            use = Vectors(builder)
            vectors = []
            for i in range(LANES):
                mask = mask_of(use, i, rows, columns)
                vectors.append(use.load(builder.gep(place, [builder.mul(source_row, number(i))]), mask))
            distance = LANES // 2
            while distance:
                for i in range(LANES):
                    if i & distance:
                        continue
                    a, b = vectors[i], vectors[i + distance]
                    upper = [j if not j & distance else LANES + j - distance for j in range(LANES)]
                    lower = [j + distance if not j & distance else LANES + j for j in range(LANES)]
                    choice = ir.VectorType(I32, LANES)
                    vectors[i] = builder.shuffle_vector(a, b, ir.Constant(choice, upper))
                    vectors[i + distance] = builder.shuffle_vector(a, b, ir.Constant(choice, lower))
                distance //= 2
            for j in range(LANES):
                mask = mask_of(use, j, columns, rows)
                use.store(vectors[j], builder.gep(out, [builder.mul(target_row, number(j))]), mask)
            return context.get_dummy_value()

        return types.void(source, source_row, target, target_row, rows, columns), codegen

    return turned


_turn_whole, _turn_part = _turned(masked=False), _turned(masked=True)


def _strip(rows):
    """One to three vectors of columns for this many rows."""
    one, two, three = (_tile(rows, vectors, masked=True) for vectors in (1, 2, 3))
    one_whole, two_whole = _tile(rows, 1, masked=False), _tile(rows, 2, masked=False)

    @helper
    def strip(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started):
        if columns == 2 * LANES:
            two_whole(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started)
        elif columns == LANES:
            one_whole(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started)
        elif columns > 2 * LANES:
            three(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started)
        elif columns > LANES:
            two(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started)
        else:
            one(a, a_row, a_step, b, b_row, c, c_row, d, d_row, depth, columns, started)

    return strip


_whole_strip, _half_strip, _one_row = _strip(TILE_ROWS), _strip(TILE_ROWS // 2), _strip(1)
_tall_tile = _tile(2 * TILE_ROWS, 1, masked=True)  # few columns leave registers for more rows
_tall_whole = _tile(2 * TILE_ROWS, 1, masked=False)


def _matrix(flat, rows, columns, row, step):
    """A view (rows, columns) of a flat array."""
    size = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (row * size, step * size))


@stage(void(int64, int64, int64, NUMBERS, int64, int64, NUMBERS, NUMBERS, int64, NUMBERS, int64, boolean))
def product(m, n, k, a, a_row, a_step, b, c, c_row, d, d_row, started):
    """C (m, n) = A B, plus start if `started`; all but B (k, n), which is plain, have the strides of `_tile`."""
    if not COMPILED:
        result = _matrix(a, m, k, a_row, a_step) @ _matrix(b, k, n, n, 1)
        _matrix(c, m, n, c_row, 1)[...] = result + _matrix(d, m, n, d_row, 1) if started else result
        return
    for p in range(0, k, DEPTH):
        depth = min(DEPTH, k - p)
        source, row, add = (c, c_row, True) if p else (d, d_row, started)
        j = 0
        while j < n:
            left = (n - j + LANES - 1) // LANES
            take = 2 if left == 4 else min(left, TILE_VECTORS)  # 2 + 2 rather than 3 + 1
            columns = min(n - j, take * LANES)
            right = after(b, p * n + j)
            i = 0
            while i < m:
                rows = m - i
                a_here, c_here = after(a, i * a_row + p * a_step), after(c, i * c_row + j)
                d_here = after(source, i * row + j)
                if rows >= 2 * TILE_ROWS and columns == LANES:
                    _tall_whole(a_here, a_row, a_step, right, n, c_here, c_row, d_here, row, depth, columns, add)
                    i += 2 * TILE_ROWS
                elif rows >= 2 * TILE_ROWS and columns < LANES:
                    _tall_tile(a_here, a_row, a_step, right, n, c_here, c_row, d_here, row, depth, columns, add)
                    i += 2 * TILE_ROWS
                elif rows >= TILE_ROWS:
                    _whole_strip(a_here, a_row, a_step, right, n, c_here, c_row, d_here, row, depth, columns, add)
                    i += TILE_ROWS
                elif rows >= TILE_ROWS // 2:
                    _half_strip(a_here, a_row, a_step, right, n, c_here, c_row, d_here, row, depth, columns, add)
                    i += TILE_ROWS // 2
                else:
                    _one_row(a_here, a_row, a_step, right, n, c_here, c_row, d_here, row, depth, columns, add)
                    i += 1
            j += columns


@stage(void(NUMBERS, int64, int64, NUMBERS))
def turn_over(source, rows, columns, target):
    """Write the transpose of source (rows, columns) to target (columns, rows)."""
    if not COMPILED:
        _matrix(target, columns, rows, rows, 1)[...] = _matrix(source, rows, columns, columns, 1).T
        return
    for i in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            block, turned = after(source, i * columns + j), after(target, j * rows + i)
            height, width = min(LANES, rows - i), min(LANES, columns - j)
            if height == LANES and width == LANES:
                _turn_whole(block, columns, turned, rows, height, width)
            else:
                _turn_part(block, columns, turned, rows, height, width)


@stage(void(int64, int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def multiply_turned_right(m, n, k, a, b, c, scratch):
    """C (m, n) = A B^T, of A (m, k) and B (n, k). scratch (PANEL_ROWS * k,) is overwritten.

    B is turned over a few rows at a time: so much stays in the cache until it is used.
    """
    if m >= FEW_ROWS:
        for j in range(0, n, PANEL_ROWS):
            columns = min(PANEL_ROWS, n - j)
            turn_over(after(b, j * k), columns, k, scratch)
            product(m, columns, k, a, k, 1, scratch, after(c, j), n, c, n, False)
        return
    for i in range(m):
        for j in range(n):
            total = a[0] * 0
            for p in range(k):
                total += a[i * k + p] * b[j * k + p]
            c[i * n + j] = total
