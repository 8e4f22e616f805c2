"""The output layer: shares of classes or values, the loss of each row, and the error signal that goes back.

z (rows, k) stands row by row. Classes are worked off class by class, all rows at a time (vector code for any number of
classes), from a turned-over copy.
"""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, float64, int64, void

from hpsearch.engine.kernels.compiling import LABELS, NUMBERS, SUMS, after, helper, stage
from hpsearch.engine.kernels.elementary import exponential, log_one_plus
from hpsearch.engine.layout import LOSSES, OUTPUTS, TALLY
from hpsearch.engine.places import settings as S

LOGISTIC = OUTPUTS.index("logistic")
BINARY_CROSS_ENTROPY = LOSSES.index("binary_cross_entropy")
HUBER = LOSSES.index("huber")

ROWS = TALLY.index("rows")
LOSS = TALLY.index("loss")
LOG_LOSS = TALLY.index("log_loss")
ABSOLUTE = TALLY.index("absolute")
SQUARED = TALLY.index("squared")
TARGET = TALLY.index("target")
TARGET_SQUARED = TALLY.index("target_squared")
CLASSES = len(TALLY)
LARGE = 1e200
ONE, ZERO = np.float32(1), np.float32(0)


@stage(float64(SUMS, int64, int64, NUMBERS, NUMBERS, LABELS, boolean, boolean, NUMBERS, SUMS))
def judge_classes(s, rows, k, z, supports, labels, judged, counted, scratch, tally):
    """Turn z into shares of the classes, in place; if `judged`, return the rows' summed loss, and add it to `tally`.

    softmax: exp(z_j - max) / sum. logistic: s_j = sigmoid(z_j), the support, and s_j / sum(s), which is the softmax of
    log s_j, so one way serves both. Cross-entropy is -log of the label's share; binary cross-entropy the sum over the
    classes of -log s_j or -log(1 - s_j). `counted`: right answers are counted by class.
    """
    binary = s[S.loss] == BINARY_CROSS_ENTROPY
    by_class = scratch
    top, total = after(scratch, k * rows), after(scratch, (k + 1) * rows)
    loss = 0.0
    binary_loss = 0.0
    for j in range(k):
        column = after(by_class, j * rows)
        for i in range(rows):
            column[i] = z[i * k + j]
    if s[S.output] == LOGISTIC:
        for j in range(k):
            column = after(by_class, j * rows)
            for i in range(rows):
                value = column[i]
                e = exponential(-abs(value))
                share = ONE / (ONE + e)
                supports[i * k + j] = share if value > ZERO else e * share
                # log sigmoid(z) = min(z, 0) - log(1 + e^-|z|)
                column[i] = (value * ZERO if value > ZERO else value) - log_one_plus(e)
            if judged and binary:
                for i in range(rows):
                    # -log sigmoid(x) = max(-x, 0) + log(1 + e^-|x|), of x = z for the label and x = -z for the others
                    value = z[i * k + j]
                    wrong = -value if labels[i] == j else value
                    binary_loss += np.float64(wrong if wrong > ZERO else wrong * ZERO)
                    binary_loss += np.float64(log_one_plus(exponential(-abs(value))))
    for i in range(rows):
        top[i] = by_class[i]
        total[i] = ZERO
    for j in range(1, k):
        column = after(by_class, j * rows)
        for i in range(rows):
            top[i] = max(top[i], column[i])
    if judged and counted:
        for i in range(rows):
            label = labels[i]
            right = by_class[label * rows + i] == top[i]
            for j in range(label):  # of equal ones the first class is the answer
                right = right and by_class[j * rows + i] != top[i]
            tally[CLASSES + 2 * label] += 1.0
            tally[CLASSES + 2 * label + 1] += 1.0 if right else 0.0
    if judged:
        for i in range(rows):
            loss -= np.float64(by_class[labels[i] * rows + i] - top[i])
    for j in range(k):
        column = after(by_class, j * rows)
        for i in range(rows):
            e = exponential(column[i] - top[i])
            column[i] = e
            total[i] += e
    if judged:
        # a sum of logarithms is the logarithm of the product, taken before it leaves the numbers that there are
        product = 1.0
        for i in range(rows):
            product *= np.float64(total[i])
            if product > LARGE:
                loss += math.log(product)
                product = 1.0
        loss += math.log(product)
    for i in range(rows):
        total[i] = ONE / total[i]
    for i in range(rows):
        for j in range(k):
            z[i * k + j] = by_class[j * rows + i] * total[i]
    if not judged:
        return 0.0
    tally[ROWS] += rows
    tally[LOG_LOSS] += loss
    if binary:
        loss = binary_loss
    tally[LOSS] += loss
    return loss


@stage(float64(SUMS, int64, NUMBERS, NUMBERS, SUMS))
def judge_values(s, rows, z, targets, tally):
    """Add the rows' values to `tally`; return their summed loss: half the squared error, or Huber's (1964).

    Sums are float64, or squares would overflow and lose digits.
    """
    loss = 0.0
    delta = s[S.huber_delta]
    huber = s[S.loss] == HUBER
    absolute, squared, total, total_squared = 0.0, 0.0, 0.0, 0.0
    for i in range(rows):
        y = np.float64(targets[i])
        miss = np.float64(z[i]) - y
        size = abs(miss)
        loss += delta * (size - 0.5 * delta) if huber and size > delta else 0.5 * miss * miss
        absolute += size
        squared += miss * miss
        total += y
        total_squared += y * y
    tally[ABSOLUTE] += absolute
    tally[SQUARED] += squared
    tally[TARGET] += total
    tally[TARGET_SQUARED] += total_squared
    tally[ROWS] += rows
    tally[LOSS] += loss
    return loss


@stage(void(SUMS, int64, int64, NUMBERS, NUMBERS, LABELS, LABELS, NUMBERS, NUMBERS, int64, NUMBERS))
def class_signal(s, rows, k, shares, supports, labels, partners, portions, class_weights, batch_rows, delta):
    """Write d objective / d z of the rows to delta (rows, k); the objective is a mean over `batch_rows` rows.

    y' is the label, smoothed: (1 - eps) y + eps / k. Softmax: w (a - y'). Logistic: w (1 - s_j) (a_j - y'_j), or
    w (s - y') under binary cross-entropy. A mixed row has its own label with the share portions[i] and its partner's
    with the rest.
    """
    smoothing = s[S.label_smoothing]
    mixed = s[S.mixup] > 0.0
    weighted = s[S.weighted] > 0.0
    binary = s[S.loss] == BINARY_CROSS_ENTROPY
    source = supports if binary else shares
    spread = np.float32(smoothing / k)
    mean = np.float32(1.0 / batch_rows)
    sure = np.float32(1.0 - smoothing)
    if not (mixed or weighted):
        for i in range(rows * k):
            delta[i] = mean * (source[i] - spread)
        for i in range(rows):
            delta[i * k + labels[i]] -= sure * mean
    else:
        for i in range(rows):
            row, here = after(delta, i * k), after(source, i * k)
            own = mean * portions[i] if mixed else mean
            other = mean - own
            if weighted:
                own *= class_weights[labels[i]]
                if mixed:
                    other *= class_weights[partners[i]]
            whole = own + other
            for j in range(k):
                row[j] = whole * (here[j] - spread)
            row[labels[i]] -= sure * own
            if mixed:
                row[partners[i]] -= sure * other
    if s[S.output] == LOGISTIC and not binary:
        for i in range(rows * k):
            delta[i] *= ONE - supports[i]


@helper
def held(miss, limit):
    """`miss`, or where it is longer, `limit` with its sign."""
    return limit if miss > limit else (-limit if miss < -limit else miss)  # noqa: FURB136 - keeps a NaN


@stage(void(SUMS, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, int64, NUMBERS))
def value_signal(s, rows, z, targets, partners, portions, batch_rows, delta):
    """Write d objective / d z of the rows to delta (rows,): the error, under Huber's loss no longer than its delta.

    A mixed row has the error from its own target with the share portions[i], from its partner's with the rest.
    """
    mean = np.float32(1.0 / batch_rows)
    mixed, huber = s[S.mixup] > 0.0, s[S.loss] == HUBER
    for i in range(rows):
        y = targets[i]
        if mixed and not huber:  # squares have the error of the mixed target
            y = portions[i] * y + (ONE - portions[i]) * partners[i]
        delta[i] = (z[i] - y) * mean
    if huber:
        limit = mean * np.float32(s[S.huber_delta])
        for i in range(rows):
            delta[i] = held(delta[i], limit)
            if mixed:
                delta[i] = portions[i] * delta[i] + (ONE - portions[i]) * held((z[i] - partners[i]) * mean, limit)
