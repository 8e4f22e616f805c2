"""One step along the gradient: penalties, the rule of the optimiser, and what happens to weights after it.

All work on pieces of the flat vectors. `first` and `second` are the optimiser's two memories, laid out as the weights.
"""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, float32, float64, int64, void
from numba.extending import intrinsic

from hpsearch.engine.kernels.compiling import COMPILED, LANES, NUMBERS, SUMS, after, helper, stage
from hpsearch.engine.kernels.norms import blend_of
from hpsearch.engine.kernels.vectors import I64, VECTOR, ZEROS, Vectors, number
from hpsearch.engine.layout import MOMENTUM_FORMS, OPTIMIZERS
from hpsearch.engine.layout import STEP_BLOCK as BLOCK
from hpsearch.engine.places import settings as S
from hpsearch.engine.places import state as T

SGD, MOMENTUM, ADAM, NESTEROV, ADAGRAD, RMSPROP, ADAMW = range(len(OPTIMIZERS))
SUM = MOMENTUM_FORMS.index("sum")
GRADIENT, CHANGE, BEFORE = range(3)  # what `sums` holds of a layer: squared lengths


@helper
def squared_length(vector, count):
    """Sum of squares as float64; of blocks, whose own sums are float32 unless that overflows."""
    total = 0.0
    for start in range(0, count, BLOCK):
        block, size = after(vector, start), min(BLOCK, count - start)
        part = vector[0] * 0
        for i in range(size):
            part += block[i] * block[i]
        if math.isfinite(part):
            total += np.float64(part)
        else:
            for i in range(size):
                total += np.float64(block[i]) * np.float64(block[i])
    return total


@stage(float64(NUMBERS, NUMBERS, int64, float64, float64))
def penalise(weights, gradient, count, l2, l1):
    """Add the gradient of l2 / 2 * |W|^2 + l1 * sum |W| to a piece; return its squared length.

    Where a weight is 0, the slope of its absolute value counts as 0.
    """
    square, size, nothing = np.float32(l2), np.float32(l1), np.float32(0)
    for i in range(count):
        w = weights[i]
        sign = size if w > nothing else (-size if w < nothing else nothing)
        gradient[i] += square * w + sign
    return squared_length(gradient, count)


@intrinsic
def _adam(_, w, g, m, v, count, shrink, kept, rate, correction, epsilon, beta1, new1, beta2, new2):
    """The loop at the end of `optimise`, vector by vector."""

    def codegen(_context, builder, _signature, arguments):
        *places, count = arguments[:5]
        use = Vectors(builder)
        shrink, kept, rate, correction, epsilon, beta1, new1, beta2, new2 = map(use.spread, arguments[5:])

        def one_vector(i, squares, mask):
            here = [builder.gep(place, [i]) for place in places]
            w, g, m, v = (use.load(place, mask) for place in here)
            g = use.fma(shrink, w, g)
            m = use.fma(beta1, m, builder.fmul(new1, g))
            v = use.fma(beta2, v, builder.fmul(builder.fmul(new2, g), g))
            positive = use.largest(v, use.constant(float(np.float32(1e-37))))  # its root is nothing beside epsilon
            root = builder.fmul(positive, use.inverse_root(positive))
            share = use.inverse(use.fma(root, correction, epsilon))
            change = builder.fmul(builder.fmul(rate, m), share)
            use.store(builder.fsub(builder.fmul(kept, w), change), here[0], mask)
            use.store(m, here[2], mask)
            use.store(v, here[3], mask)
            return use.fma(g, g, squares)

        whole = builder.and_(count, number(-LANES))
        entry, loop, rest = builder.block, builder.append_basic_block("adam"), builder.append_basic_block("adam_rest")
        builder.cbranch(builder.icmp_signed(">", whole, number(0)), loop, rest)
        builder.position_at_end(loop)
        i, squares = builder.phi(I64), builder.phi(VECTOR)
        after_it, more = builder.add(i, number(LANES)), one_vector(i, squares, None)
        for phi, start, following in ((i, number(0), after_it), (squares, ZEROS, more)):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", after_it, whole), loop, rest)
        builder.position_at_end(rest)
        so_far = builder.phi(VECTOR)
        so_far.add_incoming(ZEROS, entry)
        so_far.add_incoming(more, loop)
        return use.total(one_vector(whole, so_far, use.below(builder.sub(count, whole))))

    return float32(w, g, m, v, count, shrink, kept, rate, correction, epsilon, beta1, new1, beta2, new2), codegen


@helper
def optimise(s, at, weights, gradient, first, second, count, l2, kept):
    """W = kept * W - alpha * direction (TECHNIQUES 16 and 17; Adam: Kingma and Ba 2015, algorithm 1), in place.

    The direction is that of the gradient plus l2 * W, whose squared length is returned: the loops wait for memory and
    divisions, so both cost nothing here.
    """
    rule = s[S.optimizer]
    rate = np.float32(at[T.learning_rate])
    epsilon = np.float32(s[S.epsilon])
    shrink, kept = np.float32(l2), np.float32(kept)
    total = np.float32(0)
    if rule == SGD:
        for i in range(count):
            w = weights[i]
            g = gradient[i] + shrink * w
            total += g * g
            weights[i] = kept * w - rate * g
    elif rule == MOMENTUM or rule == NESTEROV:
        beta = np.float32(s[S.momentum])
        new = np.float32(1.0 if s[S.momentum_form] == SUM else 1.0 - s[S.momentum])
        ahead, here = np.float32(1), np.float32(0)
        owed = at[T.momentum_left]
        if rule == NESTEROV:
            ahead, here = beta, new
            owed *= s[S.momentum]  # its weights add up to 1 - beta^(t + 1)
        if s[S.momentum_correction] > 0.0:
            rate = np.float32(at[T.learning_rate] / (1.0 - owed))
        for i in range(count):
            w = weights[i]
            g = gradient[i] + shrink * w
            total += g * g
            v = beta * first[i] + new * g
            first[i] = v
            weights[i] = kept * w - rate * (ahead * v + here * g)
    elif rule == ADAGRAD or rule == RMSPROP:
        old, new = np.float32(1), np.float32(1)
        if rule == RMSPROP:
            old, new = np.float32(s[S.beta2]), np.float32(1.0 - s[S.beta2])
        for i in range(count):
            w = weights[i]
            g = gradient[i] + shrink * w
            total += g * g
            v = old * second[i] + new * g * g
            second[i] = v
            weights[i] = kept * w - rate * g / (math.sqrt(v) + epsilon)
    else:
        beta1, new1 = np.float32(s[S.beta1]), np.float32(1.0 - s[S.beta1])
        beta2, new2 = np.float32(s[S.beta2]), np.float32(1.0 - s[S.beta2])
        rate = np.float32(at[T.learning_rate] / (1.0 - at[T.beta1_left]))
        correction = np.float32(math.sqrt(1.0 / (1.0 - at[T.beta2_left])))
        if COMPILED:
            return np.float64(
                _adam(
                    weights, gradient, first, second, count, shrink, kept, rate, correction, epsilon,
                    beta1, new1, beta2, new2,
                )
            )  # fmt: skip
        for i in range(count):
            w = weights[i]
            g = gradient[i] + shrink * w
            total += g * g
            m = beta1 * first[i] + new1 * g
            v = beta2 * second[i] + new2 * g * g
            first[i] = m
            second[i] = v
            weights[i] = kept * w - rate * m / (math.sqrt(v) * correction + epsilon)
    return np.float64(total)


@stage(float64(SUMS, SUMS, boolean, NUMBERS, NUMBERS, NUMBERS, NUMBERS, int64, float64, boolean, NUMBERS, SUMS))
def step(s, at, matrix, weights, gradient, first, second, count, l2, watched, before, sums):
    """Step along a piece of the gradient, with decoupled weight decay (Loshchilov and Hutter 2019).

    Returns the squared length of the gradient, l2 * W included. If `watched`, sums[CHANGE] and sums[BEFORE] grow by the
    squared lengths of W's change and of W before it; `before` (BLOCK,) is overwritten.
    """
    kept = 1.0 - at[T.learning_rate] * s[S.weight_decay] if matrix else 1.0
    total = 0.0
    for start in range(0, count, BLOCK):
        block, size = after(weights, start), min(BLOCK, count - start)
        if watched and matrix:
            for i in range(size):
                before[i] = block[i]
        total += optimise(
            s, at, block, after(gradient, start), after(first, start), after(second, start), size, l2, kept
        )
        if watched and matrix:
            sums[BEFORE] += squared_length(before, size)
            for i in range(size):
                before[i] = block[i] - before[i]
            sums[CHANGE] += squared_length(before, size)
    return total


@stage(void(int64, int64, NUMBERS, float64, NUMBERS))
def shorten_columns(n_in, n_out, W, limit, scratch):
    """Scale every unit's vector of incoming weights, a column of W, that is longer than `limit` (max-norm)."""
    for j in range(n_out):
        scratch[j] = 0
    for i in range(n_in):
        row = after(W, i * n_out)
        for j in range(n_out):
            scratch[j] += row[j] * row[j]
    longest = np.float32(limit)
    one = np.float32(1)
    for j in range(n_out):
        length = math.sqrt(scratch[j])
        scratch[j] = longest / length if length > longest else one
    for i in range(n_in):
        row = after(W, i * n_out)
        for j in range(n_out):
            row[j] *= scratch[j]


@helper
def follow(s, at, weights, average, count):
    """Move the weights' exponentially weighted average, corrected for its start."""
    share = np.float32(blend_of(s[S.ema], at[T.ema_left]))
    for i in range(count):
        average[i] += share * (weights[i] - average[i])


@helper
def count_update(s, at):
    """Number the update, and bring what depends on its number up to date: beta^t of the averages."""
    at[T.update] += 1.0
    at[T.momentum_left] *= s[S.momentum]
    at[T.beta1_left] *= s[S.beta1]
    at[T.beta2_left] *= s[S.beta2]
    at[T.ema_left] *= s[S.ema]
