"""What Python calls: `initialise`, `evaluate` and `train`, and the update that is the heart of it."""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, int64, void

from hpsearch.engine.kernels.augmenting import augment_row, mix_rows
from hpsearch.engine.kernels.compiling import KEYS, LABELS, NUMBERS, PLACES, SUMS, after, copy, helper, stage
from hpsearch.engine.kernels.dropout import drop
from hpsearch.engine.kernels.health import first_bad_layer, note_step, note_stuck, steepest_layer
from hpsearch.engine.kernels.initialising import fill
from hpsearch.engine.kernels.layers import backward, complete_gradient, forward, take_step
from hpsearch.engine.kernels.metrics import ACCURACY, AUC, BALANCED_ACCURACY, LOG_LOSS_METRIC, R2, RMSE, metric_of
from hpsearch.engine.kernels.norms import NORM_BETA, blend_of
from hpsearch.engine.kernels.optimisers import count_update
from hpsearch.engine.kernels.outputs import CLASSES, LOSS, ROWS, class_signal, judge_classes, judge_values, value_signal
from hpsearch.engine.kernels.random_numbers import random_bits, shuffle
from hpsearch.engine.kernels.schedules import learning_rate_at
from hpsearch.engine.kernels.sparse import gradient_of_weights, sparse_backward, sparse_forward, sum_weights
from hpsearch.engine.layout import CURVES, EVALUATION_ROWS, HEALTH, HEALTH_POINTS, METRICS, STATUSES, TASKS
from hpsearch.engine.places import layer as L
from hpsearch.engine.places import settings as S
from hpsearch.engine.places import state as T

CLASSIFICATION = TASKS.index("classification")
RUNNING = STATUSES.index("running")
FINISHED = STATUSES.index("finished")
STOPPED = STATUSES.index("stopped early")
DIVERGED = STATUSES.index("diverged")
INIT_KEY, SHUFFLE_KEY, DROPOUT_KEY, AUGMENT_KEY = range(4)
EXPLODED = 1e6  # mean loss of a batch from which there is no way back
NOTHING = np.uint64(0)


@stage(void(NUMBERS, PLACES, SUMS, KEYS))
def initialise(weights, layers, s, keys):
    """Fill the flat vector with the first weights, gains and running statistics; see initialising.py."""
    fill(weights, layers, int(s[S.layers]), s, keys[INIT_KEY])


@helper
def output_place(s, capacity):
    """Where the output layer's z starts."""
    return capacity * (int(s[S.units]) - int(s[S.outputs]))


@stage(
    void(
        SUMS, PLACES, SUMS, NUMBERS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, int64, int64, boolean,
        boolean, NUMBERS, NUMBERS, NUMBERS, NUMBERS, SUMS, NUMBERS, NUMBERS, boolean, boolean, NUMBERS, boolean,
    )
)  # fmt: skip
def evaluate_rows(
    s, layers, dropout, weights, inputs, goes_on, weight_sums, terms, term_values, labels, targets, all_rows, capacity,
    judged, counted, activations, slopes, normalised, scratch, tally, scores, supports, keep_scores, keep_supports,
    health, looked_at,
):  # fmt: skip
    """Predict all rows, EVALUATION_ROWS at a time, and fill `tally` if they are to be judged.

    If wanted, predictions go to scores (rows, k), supports of the logistic output to supports, and the shares of stuck
    units to health, one point in time.
    """
    k, features, most = int(s[S.outputs]), int(s[S.features]), int(s[S.sparse])
    place = output_place(s, capacity)
    z, support = after(activations, place), after(slopes, place)
    if most > 0:
        sum_weights(layers, weights, goes_on, weight_sums)
    for start in range(0, all_rows, EVALUATION_ROWS):
        rows = min(EVALUATION_ROWS, all_rows - start)
        if most > 0:
            here = start * most
            sparse_forward(
                s, layers, weights, rows, capacity, after(terms, here), after(term_values, here), weight_sums,
                activations,
            )  # fmt: skip
        forward(
            s, layers, dropout, weights, after(inputs, start * features), rows, capacity,
            activations, slopes, normalised, scratch, False, 0.0, NOTHING,
        )  # fmt: skip
        if looked_at and start == 0:
            note_stuck(s, layers, slopes, rows, capacity, scratch, health)
        if s[S.task] == CLASSIFICATION:
            judge_classes(s, rows, k, z, support, after(labels, start), judged, counted, scratch, tally)
        elif judged:
            judge_values(s, rows, z, after(targets, start), tally)
        if keep_scores:
            copy(z, after(scores, start * k), rows * k)
        if keep_supports:
            copy(support, after(supports, start * k), rows * k)


@helper
def clear(tally, classes):
    """Set all sums of a tally to 0."""
    for i in range(CLASSES + 2 * classes):
        tally[i] = 0.0


@stage(
    void(
        NUMBERS, PLACES, SUMS, SUMS, int64, int64, boolean, boolean, NUMBERS, LABELS, NUMBERS,
        NUMBERS, NUMBERS, NUMBERS, NUMBERS, KEYS, SUMS, NUMBERS, NUMBERS, SUMS,
    )
)  # fmt: skip
def evaluate(
    weights, layers, s, dropout, rows, capacity, judged, supported, inputs, labels, targets,
    activations, slopes, normalised, scratch, ranking, tally, scores, supports, metrics,
):  # fmt: skip
    """Predict all rows and, if `judged`, judge them.

    activations and slopes have room for `capacity` rows: EVALUATION_ROWS, or all. scores (rows, k) receives
    probabilities or standardised values, supports, if `supported`, those of the logistic output, metrics
    (len(METRICS),) every metric of the task, NaN for those of the other task and for all without labels or targets.
    """
    k = int(s[S.outputs])
    clear(tally, k)
    evaluate_rows(
        s, layers, dropout, weights, inputs, labels, scratch, labels, scratch, labels, targets, rows, capacity, judged,
        True, activations, slopes, normalised, scratch, tally, scores, supports, True, supported, scratch, False,
    )  # fmt: skip
    for metric in range(len(METRICS)):
        of_this_task = (metric < RMSE) == (s[S.task] == CLASSIFICATION)
        metrics[metric] = np.nan
        if of_this_task and judged:
            metrics[metric] = metric_of(metric, tally, rows, k, scores, labels, ranking)


@helper
def put_row(s, inputs, row, epoch_key, target):
    """Write row number `row` to target (features,), augmented if that is wanted."""
    features = int(s[S.features])
    source = after(inputs, row * features)
    if s[S.augmented] > 0.0:
        augment_row(s, source, target, random_bits(epoch_key, np.uint64(row)))
    else:
        copy(source, target, features)


@helper
def pick(answers, order, rows, following, mixed, own, partners):
    """Write the labels or targets of the rows in `order` to `own`; in a mixture, those of the next to `partners`."""
    for i in range(rows):
        own[i] = answers[order[i]]
    if mixed:
        for i in range(rows - 1):
            partners[i] = own[i + 1]
        partners[rows - 1] = answers[following]


@helper
def gather(
    s, inputs, terms, term_values, labels, targets, order, rows, following, epoch_key, dropout_key, capacity,
    activations, slopes, batch_terms, batch_values, batch_labels, batch_targets, portions, scratch,
):  # fmt: skip
    """Put the rows that `order` names into the batch: augmented, mixed, with inputs dropped.

    In a mixture each row's partner is the next one, the last one's is row number `following`. Partners' labels or
    targets stand behind the own ones, from `capacity` on.
    """
    features, most = int(s[S.features]), int(s[S.sparse])
    mixed = s[S.mixup] > 0.0
    for i in range(rows):
        row = np.int64(order[i])
        if most > 0:
            copy(after(terms, row * most), after(batch_terms, i * most), most)
            copy(after(term_values, row * most), after(batch_values, i * most), most)
        else:
            put_row(s, inputs, row, epoch_key, after(activations, i * features))
    if s[S.task] == CLASSIFICATION:
        pick(labels, order, rows, following, mixed, batch_labels, after(batch_labels, capacity))
    else:
        pick(targets, order, rows, following, mixed, batch_targets, after(batch_targets, capacity))
    if mixed:
        put_row(s, inputs, following, epoch_key, scratch)
        mix_rows(s, activations, rows, order, epoch_key, portions, scratch)
    if s[S.input_dropout] > 0.0:
        drop(activations, slopes, rows * features, s[S.input_dropout], random_bits(dropout_key, NOTHING))


@stage(
    int64(
        SUMS, SUMS, int64, int64, int64, boolean, PLACES, SUMS, KEYS, NUMBERS, NUMBERS,
        NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, LABELS,
        LABELS, NUMBERS, LABELS, NUMBERS, NUMBERS,
        NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, SUMS, SUMS, NUMBERS,
    )
)  # fmt: skip
def learn(
    s, at, rows, updates_per_epoch, capacity, watched, layers, dropout, keys, class_weights, weights,
    gradient, first, second, average, inputs, goes_on, weight_sums, terms, term_values, labels, targets, order,
    batch_terms, batch_values, batch_labels, batch_targets, portions,
    activations, slopes, signals, normalised, scratch, before, sums, tally, scores,
):  # fmt: skip
    """One update, with the next `rows` rows of the epoch's order; its step may be `watched`.

    A batch that is larger than the arrays is worked off in pieces whose gradients are added up. Returns RUNNING; or
    DIVERGED, and says which layer, if loss or gradient are no longer finite, or the loss has exploded.
    """
    depth, k, sparse = int(s[S.layers]), int(s[S.outputs]), s[S.sparse] > 0.0
    place = output_place(s, capacity)
    z, support = after(activations, place), after(slopes, place)
    count_update(s, at)
    update = int(at[T.update])
    at[T.learning_rate] = learning_rate_at(s, update, updates_per_epoch)
    blend = 0.0
    if layers[L.gain] >= 0 and rows > 1:
        at[T.normed] += 1.0
        blend = blend_of(NORM_BETA, math.pow(NORM_BETA, at[T.normed]))
    update_key = random_bits(keys[DROPOUT_KEY], np.uint64(update))
    epoch_key = random_bits(keys[AUGMENT_KEY], np.uint64(int(at[T.epoch])))
    ranked = s[S.metric] == AUC
    counted = s[S.metric] != LOG_LOSS_METRIC
    exploded = False
    for i in range(3 * depth):
        sums[i] = 0.0
    if sparse:
        sum_weights(layers, weights, goes_on, weight_sums)
    for start in range(0, rows, capacity):
        m = min(capacity, rows - start)
        picked = after(order, int(at[T.row]) + start)
        following = np.int64(order[int(at[T.row]) + (start + m if start + m < rows else 0)])
        dropout_key = random_bits(update_key, np.uint64(start))
        gather(
            s, inputs, terms, term_values, labels, targets, picked, m, following, epoch_key, dropout_key, capacity,
            activations, slopes, batch_terms, batch_values, batch_labels, batch_targets, portions, scratch,
        )  # fmt: skip
        if sparse:
            sparse_forward(s, layers, weights, m, capacity, batch_terms, batch_values, weight_sums, activations)
        forward(
            s, layers, dropout, weights, activations, m, capacity, activations, slopes, normalised, scratch,
            True, blend, dropout_key,
        )  # fmt: skip
        if s[S.task] == CLASSIFICATION:
            loss = judge_classes(s, m, k, z, support, batch_labels, True, counted, scratch, tally)
        else:
            loss = judge_values(s, m, z, batch_targets, tally)
        if not loss < EXPLODED * m:
            exploded = True
            found = first_bad_layer(depth, layers, activations, m, capacity)
            if found >= 0:
                at[T.layer] = found
                return DIVERGED
        if ranked:
            for i in range(m):
                copy(after(z, i * k), after(scores, np.int64(picked[i]) * k), k)
        if s[S.task] == CLASSIFICATION:
            class_signal(
                s, m, k, z, support, batch_labels, after(batch_labels, capacity), portions, class_weights, rows, signals
            )
        else:
            value_signal(s, m, z, batch_targets, after(batch_targets, capacity), portions, rows, signals)
        backward(
            s, layers, weights, m, capacity, rows == 1, activations, slopes, normalised, signals, scratch,
            gradient, start > 0,
        )  # fmt: skip
        if sparse:
            sparse_backward(s, layers, m, capacity, batch_terms, batch_values, signals, gradient, start > 0)
    if sparse:
        gradient_of_weights(layers, goes_on, gradient)
    if exploded:  # but finite: the gradient tells where
        complete_gradient(s, layers, weights, gradient, 0.0, 0.0, sums)
        at[T.layer] = steepest_layer(depth, sums)
        return DIVERGED
    squared = take_step(s, at, layers, weights, gradient, first, second, average, rows, watched, before, scratch, sums)
    at[T.grad_norm] = math.sqrt(squared)
    if not math.isfinite(squared):
        at[T.layer] = steepest_layer(depth, sums)
        return DIVERGED
    return RUNNING


@stage(
    int64(
        int64, int64, int64, int64, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, PLACES, SUMS, SUMS, SUMS,
        KEYS, NUMBERS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, NUMBERS, LABELS, NUMBERS, LABELS, NUMBERS, LABELS,
        NUMBERS, LABELS, LABELS, NUMBERS, LABELS, NUMBERS, NUMBERS,
        NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, SUMS, KEYS, SUMS, SUMS, NUMBERS, NUMBERS, SUMS, NUMBERS,
    )
)  # fmt: skip
def train(
    updates, all_rows, dev_rows, capacity, weights, gradient, first, second, average, best, layers, s, dropout, at,
    keys, class_weights, inputs, labels, targets, terms, term_values, dev_inputs, dev_labels, dev_targets, dev_terms,
    dev_values, goes_on, weight_sums, order, batch_terms, batch_values, batch_labels, batch_targets, portions,
    activations, slopes, signals, normalised, scratch, before, sums, ranking, tally, dev_tally, scores, dev_scores,
    curves, health,
):  # fmt: skip
    """Go on from the state `at` for at most `updates` updates; return the status.

    All arrays but layers, s, dropout, keys, class_weights and data are modified in place. best (parameters,) are the
    weights after the best epoch, order (all_rows,) the epoch's permutation, curves (epochs, len(CURVES)) one line for
    each finished epoch, health (points, layers, len(HEALTH)). Where the call is cut changes no bit: what an epoch needs
    beyond the arrays is in `at`, and its random numbers are functions of its number alone.
    """
    metric = int(s[S.metric])
    sign = -1.0 if metric == ACCURACY or metric == BALANCED_ACCURACY or metric == AUC or metric == R2 else 1.0
    depth, k, parameters, trained = int(s[S.layers]), int(s[S.outputs]), int(s[S.parameters]), int(s[S.trained])
    batch_rows = int(min(s[S.batch_size], float(all_rows)))
    updates_per_epoch = (all_rows + batch_rows - 1) // batch_rows
    stride = (int(s[S.epochs]) + HEALTH_POINTS - 1) // HEALTH_POINTS
    averaged = s[S.ema] > 0.0
    judged = average if averaged else weights
    while at[T.status] == RUNNING and updates > 0:
        epoch, row = int(at[T.epoch]), int(at[T.row])
        looked_at = epoch % stride == 0
        point = after(health, epoch // stride * depth * len(HEALTH))
        line = after(curves, epoch * len(CURVES))
        if row == 0:
            shuffle(order, all_rows, random_bits(keys[SHUFFLE_KEY], np.uint64(epoch)))
            clear(tally, k)
        rows = min(batch_rows, all_rows - row)
        watched = looked_at and row == 0
        at[T.status] = learn(
            s, at, rows, updates_per_epoch, capacity, watched, layers, dropout, keys, class_weights, weights,
            gradient, first, second, average, inputs, goes_on, weight_sums, terms, term_values, labels, targets, order,
            batch_terms, batch_values, batch_labels, batch_targets, portions,
            activations, slopes, signals, normalised, scratch, before, sums, tally, scores,
        )  # fmt: skip
        if at[T.status] == DIVERGED:
            at[T.update] -= 1.0  # it was not made
            break
        if watched:
            note_step(depth, sums, point)
        if row == 0:
            line[5] = at[T.grad_norm]
        updates -= 1
        at[T.row] += rows
        if row + rows < all_rows:
            continue

        if averaged:
            copy(after(weights, trained), after(average, trained), parameters - trained)
        clear(dev_tally, k)
        evaluate_rows(
            s, layers, dropout, judged, dev_inputs, goes_on, weight_sums, dev_terms, dev_values, dev_labels,
            dev_targets, dev_rows, capacity, True, metric != LOG_LOSS_METRIC, activations, slopes, normalised, scratch,
            dev_tally, dev_scores, dev_scores, metric == AUC, False, point, looked_at,
        )  # fmt: skip
        value = metric_of(metric, dev_tally, dev_rows, k, dev_scores, dev_labels, ranking)
        line[0] = tally[LOSS] / tally[ROWS]
        line[1] = dev_tally[LOSS] / dev_tally[ROWS]
        line[2] = metric_of(metric, tally, all_rows, k, scores, labels, ranking)
        line[3] = value
        line[4] = at[T.learning_rate]
        at[T.epoch] += 1.0
        at[T.row] = 0.0
        if not math.isfinite(line[1]):
            found = first_bad_layer(depth, layers, activations, (dev_rows - 1) % EVALUATION_ROWS + 1, capacity)
            at[T.layer] = found if found >= 0 else depth - 1
            at[T.status] = DIVERGED
            break
        if math.isnan(at[T.best_score]) or sign * value < at[T.best_score] - s[S.min_delta]:
            at[T.best_epoch] = at[T.epoch]
            at[T.best_score] = sign * value
            copy(judged, best, parameters)
        if at[T.epoch] == s[S.epochs]:
            at[T.status] = FINISHED
        elif s[S.patience] > 0.0 and at[T.epoch] - at[T.best_epoch] >= s[S.patience]:
            at[T.status] = STOPPED
    return int(at[T.status])
