"""Metrics from the sums of a pass over rows; the AUC alone needs every prediction at once."""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64

from hpsearch.engine.kernels.compiling import KEYS, LABELS, NUMBERS, SUMS, after, bits_of, helper, stage
from hpsearch.engine.kernels.outputs import ABSOLUTE, CLASSES, LOG_LOSS, ROWS, SQUARED, TARGET, TARGET_SQUARED
from hpsearch.engine.layout import METRICS

LOG_LOSS_METRIC = METRICS.index("log_loss")
ERROR = METRICS.index("error")
ACCURACY = METRICS.index("accuracy")
BALANCED_ACCURACY = METRICS.index("balanced_accuracy")
AUC = METRICS.index("auc")
RMSE = METRICS.index("rmse")
MAE = METRICS.index("mae")
R2 = METRICS.index("r2")
ROUNDING = 1e-12  # of the sum of squared targets: a spread of less is that of the sums' rounding


@helper
def sort_keys(keys, spare, n):
    """Sort keys (n,) below 2^44 in place, eleven bits at a time from the low end; spare (n + 2^11,) is overwritten."""
    counts = after(spare, n)
    width = np.uint64(11)
    mask = np.uint64(2**11 - 1)
    for digit in range(4):
        shift = np.uint64(digit) * width
        source, target = (keys, spare) if digit % 2 == 0 else (spare, keys)
        for i in range(2**11):
            counts[i] = 0
        for i in range(n):
            counts[np.int64((source[i] >> shift) & mask)] += np.uint64(1)
        place = np.uint64(0)
        for i in range(2**11):
            count = counts[i]
            counts[i] = place
            place += count
        for i in range(n):
            bucket = np.int64((source[i] >> shift) & mask)
            target[np.int64(counts[bucket])] = source[i]
            counts[bucket] += np.uint64(1)


@stage(float64(int64, int64, NUMBERS, LABELS, KEYS))
def area_under_curve(n, k, scores, labels, keys):
    """Area under the ROC curve, for more than two classes the mean of one against the rest; NaN where undefined.

    scores (n, k) from 0 to 1, labels (n,). By ranks (Mann and Whitney 1947), ties share their mean rank. keys (2 n +
    2^11,) is overwritten: numbers that are not negative are in the order of their bits, behind which stands the answer.
    """
    bits = bits_of(scores)
    total = 0.0
    counted = 0
    for c in range(1 if k == 2 else 0, k):
        for i in range(n):
            if math.isnan(scores[i * k + c]):
                return np.nan
            keys[i] = np.uint64(2 * np.int64(bits[i * k + c]) + (1 if labels[i] == c else 0))
        sort_keys(keys, after(keys, n), n)
        positives = 0
        rank_sum = 0.0
        i = 0
        while i < n:
            j = i
            hits = 0
            while j < n and keys[j] >> np.uint64(1) == keys[i] >> np.uint64(1):
                hits += np.int64(keys[j] & np.uint64(1))
                j += 1
            rank_sum += hits * 0.5 * (i + j + 1)
            positives += hits
            i = j
        if 0 < positives < n:
            total += (rank_sum - 0.5 * positives * (positives + 1)) / (float(positives) * (n - positives))
            counted += 1
    return total / counted if counted else np.nan


@stage(float64(int64, SUMS, int64, int64, NUMBERS, LABELS, KEYS))
def metric_of(metric, tally, n, classes, scores, labels, keys):
    """The metric with this code from the sums of a pass.

    scores (n, classes) and labels (n,) serve the AUC, which no sum can give; so does keys (2 n + 2^11,).
    """
    rows = tally[ROWS]
    if metric == LOG_LOSS_METRIC:
        return tally[LOG_LOSS] / rows
    if metric == ERROR or metric == ACCURACY:
        right = 0.0
        for c in range(classes):
            right += tally[CLASSES + 2 * c + 1]
        return right / rows if metric == ACCURACY else (rows - right) / rows
    if metric == BALANCED_ACCURACY:
        recalls = 0.0
        present = 0
        for c in range(classes):
            if tally[CLASSES + 2 * c] > 0:
                recalls += tally[CLASSES + 2 * c + 1] / tally[CLASSES + 2 * c]
                present += 1
        return recalls / present
    if metric == AUC:
        return area_under_curve(n, classes, scores, labels, keys)
    if metric == RMSE:
        return math.sqrt(tally[SQUARED] / rows)
    if metric == MAE:
        return tally[ABSOLUTE] / rows
    spread = tally[TARGET_SQUARED] - tally[TARGET] * tally[TARGET] / rows
    return 1.0 - tally[SQUARED] / spread if spread > ROUNDING * tally[TARGET_SQUARED] else np.nan
