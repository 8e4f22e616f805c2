"""Everything that is compiled: training, evaluation and initialisation of a network in one flat vector.

Data layout (see layout.py for the records and codes):

    sizes      (layers + 1,) int64    units of every layer, from input to output
    weights    (parameters,)          for each layer W (n_in, n_out) row by row, then b (n_out); modified in place
    gradient, first, second (parameters,)  laid out as the weights: gradient, the optimiser's two memories
    workspace  (...)                  activations of each layer (rows, units), slopes likewise, two error signals
    inputs     (rows, features)       with labels (rows,) int32 for classes, or targets (rows, 1) for regression
    tally      (len(TALLY) + 2 * classes,)  float64 sums from which the metrics of a pass are made

Network arrays are float32, sums are float64. Uncompiled, the same code runs in float64 and is checked by finite
differences. No option, depth, width or batch size compiles anything again: options are integer codes, the entries
have one signature each.
"""

from __future__ import annotations

import math

import numpy as np
from numba import config, float32, float64, from_dtype, int32, int64, njit, void

from hpsearch.engine.cache import cache_folder
from hpsearch.engine.layout import (
    ACTIVATIONS,
    EVALUATION_ROWS,
    INITS,
    METRICS,
    OPTIMIZERS,
    SETTINGS,
    STATE,
    STATUSES,
    TALLY,
    TASKS,
)

# NaN and infinity keep their meaning: a diverging run must be seen. Division by zero gives inf instead of a branch.
OPTIONS = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"},
    "error_model": "numpy",
    "nogil": True,
}
helper = njit(**OPTIONS)
# The entries below are kept in our own folder (see cache.py); at the end of the file Numba gets its setting back.
_cache_of_others, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())

CLASSIFICATION = TASKS.index("classification")

IDENTITY = ACTIVATIONS.index("identity")
SIGMOID = ACTIVATIONS.index("sigmoid")
TANH = ACTIVATIONS.index("tanh")
RELU = ACTIVATIONS.index("relu")
LEAKY_RELU = ACTIVATIONS.index("leaky_relu")
ELU = ACTIVATIONS.index("elu")
SELU = ACTIVATIONS.index("selu")
SOFTPLUS = ACTIVATIONS.index("softplus")
GELU = ACTIVATIONS.index("gelu")
SILU = ACTIVATIONS.index("silu")
LEAK = 0.01
SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, arXiv 1706.02515, eq. (2)
SELU_SCALE = 1.0507009873554804934193349852946

XAVIER = INITS.index("xavier")
GLOROT = INITS.index("glorot")
HE = INITS.index("he")
UNIFORM = INITS.index("xavier_uniform")  # this and the two after it repeat the first three with another distribution
CONSTANT = INITS.index("constant")
CONSTANT_WEIGHT = 0.1

SGD = OPTIMIZERS.index("sgd")
MOMENTUM = OPTIMIZERS.index("momentum")

LOG_LOSS = METRICS.index("log_loss")
ERROR = METRICS.index("error")
ACCURACY = METRICS.index("accuracy")
BALANCED_ACCURACY = METRICS.index("balanced_accuracy")
AUC = METRICS.index("auc")
RMSE = METRICS.index("rmse")
MAE = METRICS.index("mae")
R2 = METRICS.index("r2")

RUNNING = STATUSES.index("running")
FINISHED = STATUSES.index("finished")
STOPPED = STATUSES.index("stopped early")
DIVERGED = STATUSES.index("diverged")

ROWS = TALLY.index("rows")
LOSS = TALLY.index("loss")
ABSOLUTE = TALLY.index("absolute")
SQUARED = TALLY.index("squared")
TARGET = TALLY.index("target")
TARGET_SQUARED = TALLY.index("target_squared")
CLASSES = len(TALLY)


# --- Random numbers: SplitMix64 by index (Steele, Lea, Flood 2014), so a draw is a pure function of (key, counter) ---


@helper
def random_bits(key, counter):
    """The `counter`-th output (from 0) of the SplitMix64 generator seeded with `key`; both uint64."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@helper
def random_uniform(key, counter):
    """A float64 in (0, 1): 53 random bits and a half, so that neither end is reached."""
    return (float(random_bits(key, counter) >> np.uint64(11)) + 0.5) * 2.0**-53


@helper
def random_normal(key, counter):
    """~ N(0, 1), Box and Muller 1958: draw `counter` uses the uniforms 2 * counter and 2 * counter + 1."""
    first = np.uint64(2) * counter
    radius = math.sqrt(-2.0 * math.log(random_uniform(key, first)))
    return radius * math.cos(2.0 * math.pi * random_uniform(key, first + np.uint64(1)))


@helper
def shuffle(order, key):
    """A random permutation of 0 .. n-1 written into `order` (n,) int64, by Fisher and Yates from the top down.

    The index below `size` is the high word of a product of two 32-bit numbers (Lemire 2019); its bias is below n /
    2^32.
    """
    n = order.shape[0]
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        bits = random_bits(key, np.uint64(i)) >> np.uint64(32)
        j = int((bits * np.uint64(i + 1)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]


# --- Initialisation ---


@njit(void(float32[::1], int64[::1], from_dtype(SETTINGS)[::1]), cache=True, **OPTIONS)
def initialise(weights, sizes, settings):
    """Fill `weights`: W ~ scale * N(0, 1) or scale * sqrt(3) * U(-1, 1), biases 0.

    scale^2 is 1 / n_in (Xavier), 2 / (n_in + n_out) (Glorot and Bengio 2010) or 2 / n_in (He et al. 2015). Weight
    number i of the vector uses draw i of the stream `init_key`.
    """
    init = settings[0]["init"]
    key = settings[0]["init_key"]
    kind = init - UNIFORM if UNIFORM <= init < CONSTANT else init
    start = 0
    for layer in range(sizes.shape[0] - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        if kind == HE:
            scale = math.sqrt(2.0 / n_in)
        elif kind == GLOROT:
            scale = math.sqrt(2.0 / (n_in + n_out))
        else:
            scale = math.sqrt(1.0 / n_in)
        for i in range(start, start + n_in * n_out):
            if init == CONSTANT:
                weights[i] = CONSTANT_WEIGHT
            elif init >= UNIFORM:
                weights[i] = scale * math.sqrt(3.0) * (2.0 * random_uniform(key, np.uint64(i)) - 1.0)
            else:
                weights[i] = scale * random_normal(key, np.uint64(i))
        start += n_in * n_out
        for i in range(start, start + n_out):
            weights[i] = 0.0
        start += n_out


# --- Activations: value and slope together, because the costly part (an exponential) is the same ---


@helper
def sigmoid_of(z):
    """1 / (1 + exp(-z)); exp(-z) may overflow to infinity, which gives the right limit 0."""
    one = z * 0 + 1
    return one / (one + math.exp(-z))


@helper
def value_and_slope(code, z):
    """g(z) and dg/dz of one number; every operation stays in the type of z."""
    one = z * 0 + 1
    zero = z * 0
    half = one / 2
    if code == SIGMOID:
        a = sigmoid_of(z)
        return a, a * (one - a)
    if code == TANH:
        a = math.tanh(z)
        return a, one - a * a
    if code == RELU:
        return (z, one) if z > zero else (zero, zero)
    if code == LEAKY_RELU:
        leak = one * LEAK
        return (z, one) if z > zero else (leak * z, leak)
    if code == ELU:
        if z > zero:
            return z, one
        e = math.exp(z)
        return e - one, e
    if code == SELU:
        scale = one * SELU_SCALE
        if z > zero:
            return scale * z, scale
        e = scale * (one * SELU_ALPHA) * math.exp(z)
        return e - scale * (one * SELU_ALPHA), e
    if code == SOFTPLUS:
        # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|) never overflows
        return max(z, zero) + math.log1p(math.exp(-abs(z))), sigmoid_of(z)
    if code == GELU:
        normal = half * (one + math.erf(z * (one * math.sqrt(0.5))))
        return z * normal, normal + z * (one / math.sqrt(2.0 * math.pi)) * math.exp(-half * z * z)
    if code == SILU:
        s = sigmoid_of(z)
        return z * s, s * (one + z * (one - s))
    if code == IDENTITY:
        return z, one
    # mish: z tanh(softplus(z)), Misra 2019
    t = math.tanh(max(z, zero) + math.log1p(math.exp(-abs(z))))
    return z * t, t + z * (one - t * t) * sigmoid_of(z)


@helper
def activate(code, z, bias, slope):
    """Add `bias` (n,) to every row of `z` (m, n) and replace it by g(z), in place; `slope` (m, n) receives dg/dz."""
    rows, units = z.shape
    for i in range(rows):
        row = z[i]
        row_slope = slope[i]
        if code == RELU:
            zero = row[0] * 0
            for j in range(units):
                total = row[j] + bias[j]
                row[j] = max(total, zero)
                row_slope[j] = total > zero
        else:
            for j in range(units):
                row[j], row_slope[j] = value_and_slope(code, row[j] + bias[j])


# --- Forward, loss, backward ---


@helper
def add_bias(z, bias):
    """Add `bias` (n,) to every row of `z` (m, n) in place."""
    rows, units = z.shape
    for i in range(rows):
        row = z[i]
        for j in range(units):
            row[j] += bias[j]


@helper
def total_and_widest(sizes):
    """Units of all layers together, and of the widest one."""
    total, widest = 0, 0
    for layer in range(sizes.shape[0]):
        total += sizes[layer]
        widest = max(widest, sizes[layer])
    return total, widest


@helper
def copy_rows(source, start, target):
    """Write `source` (m, n) into the rows of `target` from `start` on."""
    rows, columns = source.shape
    for i in range(rows):
        for j in range(columns):
            target[start + i, j] = source[i, j]


@helper
def forward(inputs, weights, sizes, activation, workspace):
    """Run `inputs` (m, n_0) through the network; return the output layer's z (m, n_last), a view into `workspace`.

    The activations of layer l stand at m * (n_0 + ... + n_{l-1}), the slopes as far behind the last activation.
    """
    m = inputs.shape[0]
    layers = sizes.shape[0] - 1
    behind = m * total_and_widest(sizes)[0]
    a = inputs
    start = 0
    place = m * sizes[0]
    for layer in range(layers):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        W = weights[start : start + n_in * n_out].reshape((n_in, n_out))
        start += n_in * n_out
        bias = weights[start : start + n_out]
        start += n_out
        z = workspace[place : place + m * n_out].reshape((m, n_out))
        np.dot(a, W, z)
        if layer == layers - 1:
            add_bias(z, bias)
        else:
            slope = workspace[behind + place : behind + place + m * n_out].reshape((m, n_out))
            activate(activation, z, bias, slope)
        place += m * n_out
        a = z
    return a


@helper
def softmax(z):
    """Rows of `z` (m, k) become exp(z - max) / sum in place, the shift keeps exp from overflowing."""
    for i in range(z.shape[0]):
        row = z[i]
        top = row[0]
        for j in range(1, row.shape[0]):
            top = max(top, row[j])
        total = top * 0
        for j in range(row.shape[0]):
            row[j] = math.exp(row[j] - top)
            total += row[j]
        for j in range(row.shape[0]):
            row[j] /= total


@helper
def judge(task, outputs, labels, targets, tally):
    """Add the rows of the output layer's z (m, k) to `tally`; return their summed loss.

    Classes: softmax and cross-entropy -log a_c, each term a float32. Regression: half the squared error, whose
    derivative is the error itself; its squares are float64, or they would overflow and lose digits.
    """
    total = 0.0
    m, k = outputs.shape
    if task == CLASSIFICATION:
        for i in range(m):
            row = outputs[i]
            top = 0
            for j in range(1, k):
                if row[j] > row[top]:
                    top = j
            label = labels[i]
            shifted = 0.0
            for j in range(k):
                shifted += math.exp(float(row[j] - row[top]))
            total += math.log(shifted) - float(row[label] - row[top])
            tally[CLASSES + 2 * label] += 1.0
            tally[CLASSES + 2 * label + 1] += top == label
    else:
        for i in range(m):
            y = np.float64(targets[i, 0])
            miss = np.float64(outputs[i, 0]) - y
            total += 0.5 * miss * miss
            tally[ABSOLUTE] += abs(miss)
            tally[SQUARED] += miss * miss
            tally[TARGET] += y
            tally[TARGET_SQUARED] += y * y
    tally[ROWS] += m
    tally[LOSS] += total
    return total


@helper
def backward(weights, sizes, task, labels, targets, m, workspace, gradient):
    """Fill `gradient` with the mean over m rows of d loss / d weights.

    It starts from the predictions (after softmax) and slopes that the forward pass left in `workspace`. At the output
    both losses give dz = (a - y) / m; below, dz[l-1] = (dz[l] W[l]^T) * slope[l-1].
    """
    layers = sizes.shape[0] - 1
    units, widest = total_and_widest(sizes)
    behind, widest = m * units, m * widest
    signals = 2 * behind
    flip = 0
    end = weights.shape[0]
    place = behind - m * sizes[layers]
    outputs = workspace[place : place + m * sizes[layers]].reshape((m, sizes[layers]))
    delta = workspace[signals : signals + m * sizes[layers]].reshape((m, sizes[layers]))
    share = (outputs[0, 0] * 0 + 1) / m
    for i in range(m):
        for j in range(sizes[layers]):
            delta[i, j] = outputs[i, j] * share
        if task == CLASSIFICATION:
            delta[i, labels[i]] -= share
        else:
            delta[i, 0] -= targets[i, 0] * share
    for layer in range(layers - 1, -1, -1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        bias_gradient = gradient[end - n_out : end]
        for j in range(n_out):
            bias_gradient[j] = 0
        for i in range(m):
            row = delta[i]
            for j in range(n_out):
                bias_gradient[j] += row[j]
        end -= n_out
        dW = gradient[end - n_in * n_out : end].reshape((n_in, n_out))
        W = weights[end - n_in * n_out : end].reshape((n_in, n_out))
        end -= n_in * n_out
        place -= m * n_in
        a = workspace[place : place + m * n_in].reshape((m, n_in))
        np.dot(a.T, delta, dW)
        if layer > 0:
            flip = 1 - flip
            below = workspace[signals + flip * widest : signals + flip * widest + m * n_in].reshape((m, n_in))
            np.dot(delta, W.T, below)
            slope = workspace[behind + place : behind + place + m * n_in].reshape((m, n_in))
            for i in range(m):
                row = below[i]
                row_slope = slope[i]
                for j in range(n_in):
                    row[j] *= row_slope[j]
            delta = below


# --- Optimisers ---


@helper
def decay_gradient(gradient, weights, sizes, factor):
    """Add the gradient of (factor / 2) * sum ||W||_F^2 to `gradient`; biases are free."""
    start = 0
    factor = weights[0] * 0 + factor
    for layer in range(sizes.shape[0] - 1):
        count = sizes[layer] * sizes[layer + 1]
        for i in range(start, start + count):
            gradient[i] += factor * weights[i]
        start += count + sizes[layer + 1]


@helper
def optimise(weights, gradient, first, second, update, settings):
    """Step number `update` (from 1) along `gradient`, in place.

    sgd: W -= alpha * g. momentum: v = beta * v + (1 - beta) * g, W -= alpha * v. adam (Kingma and Ba 2015, algorithm
    1): m and v are averages of g and g^2, both corrected for their start at 0, W -= alpha * m / (sqrt(v) + eps).
    """
    s = settings[0]
    one = weights[0] * 0 + 1
    rate = one * s["learning_rate"]
    if s["optimizer"] == SGD:
        for i in range(weights.shape[0]):
            weights[i] -= rate * gradient[i]
    elif s["optimizer"] == MOMENTUM:
        beta = one * s["momentum"]
        rest = one * (1.0 - s["momentum"])
        for i in range(weights.shape[0]):
            first[i] = beta * first[i] + rest * gradient[i]
            weights[i] -= rate * first[i]
    else:
        beta1, beta2, epsilon = one * s["beta1"], one * s["beta2"], one * s["epsilon"]
        rest1, rest2 = one * (1.0 - s["beta1"]), one * (1.0 - s["beta2"])
        rate = one * (s["learning_rate"] / (1.0 - s["beta1"] ** update))
        correction = one * math.sqrt(1.0 / (1.0 - s["beta2"] ** update))
        for i in range(weights.shape[0]):
            g = gradient[i]
            first[i] = beta1 * first[i] + rest1 * g
            second[i] = beta2 * second[i] + rest2 * g * g
            weights[i] -= rate * first[i] / (math.sqrt(second[i]) * correction + epsilon)


# --- Metrics ---


@helper
def area_under_curve(scores, labels):
    """Area under the ROC curve, for more than two classes the mean of one against the rest; NaN where undefined.

    scores (n, k), labels (n,). By ranks (Mann and Whitney 1947), ties share their mean rank.
    """
    n, k = scores.shape
    total = 0.0
    counted = 0
    for c in range(1 if k == 2 else 0, k):
        order = np.argsort(scores[:, c])
        positives = 0
        rank_sum = 0.0
        i = 0
        while i < n:
            j = i
            hits = 0
            while j < n and scores[order[j], c] == scores[order[i], c]:
                hits += labels[order[j]] == c
                j += 1
            if j == i:  # NaN equals nothing, itself included
                return np.nan
            rank_sum += hits * 0.5 * (i + j + 1)
            positives += hits
            i = j
        if 0 < positives < n:
            total += (rank_sum - 0.5 * positives * (positives + 1)) / (float(positives) * (n - positives))
            counted += 1
    return total / counted if counted else np.nan


@helper
def metric_of(metric, tally, scores, labels):
    """The metric with this code from the sums of a pass; `scores` and `labels` serve the AUC, which no sum can give."""
    rows = tally[ROWS]
    classes = (tally.shape[0] - CLASSES) // 2
    if metric == LOG_LOSS:
        return tally[LOSS] / rows
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
        return area_under_curve(scores, labels)
    if metric == RMSE:
        return math.sqrt(tally[SQUARED] / rows)
    if metric == MAE:
        return tally[ABSOLUTE] / rows
    spread = tally[TARGET_SQUARED] - tally[TARGET] * tally[TARGET] / rows
    return 1.0 - tally[SQUARED] / spread if spread > 0 else np.nan


@helper
def evaluate_rows(weights, sizes, task, activation, inputs, labels, targets, workspace, tally, scores):
    """Predict all rows, EVALUATION_ROWS at a time, and fill `tally` if there are labels or targets.

    Predictions go to `scores` (rows, k) unless that has no rows.
    """
    tally.fill(0.0)
    judged = labels.shape[0] + targets.shape[0] > 0
    for start in range(0, inputs.shape[0], EVALUATION_ROWS):
        stop = min(start + EVALUATION_ROWS, inputs.shape[0])
        outputs = forward(inputs[start:stop], weights, sizes, activation, workspace)
        if judged:
            judge(task, outputs, labels[start:stop], targets[start:stop], tally)
        if task == CLASSIFICATION:
            softmax(outputs)
        if scores.shape[0] > 0:
            copy_rows(outputs, start, scores)


@njit(
    void(
        float32[::1], int64[::1], from_dtype(SETTINGS)[::1], float32[:, ::1], int32[::1], float32[:, ::1],
        float32[::1], float64[::1], float32[:, ::1], float64[::1],
    ),
    cache=True,
    **OPTIONS,
)  # fmt: skip
def evaluate(weights, sizes, settings, inputs, labels, targets, workspace, tally, scores, metrics):
    """Predict all rows and, where there are labels or targets, judge them.

    `scores` (rows, k) receives probabilities or standardised values; `metrics` (len(METRICS),) every metric of the
    task, NaN for those of the other task, for the AUC when `scores` has no rows, and for all without labels.
    """
    s = settings[0]
    evaluate_rows(weights, sizes, s["task"], s["activation"], inputs, labels, targets, workspace, tally, scores)
    for metric in range(metrics.shape[0]):
        of_this_task = (metric < RMSE) == (s["task"] == CLASSIFICATION)
        metrics[metric] = np.nan
        if of_this_task and tally[ROWS] > 0 and (metric != AUC or scores.shape[0] > 0):
            metrics[metric] = metric_of(metric, tally, scores, labels)


# --- Training ---


@njit(
    int64(
        int64, float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], int64[::1],
        from_dtype(SETTINGS)[::1], from_dtype(STATE)[::1],
        float32[:, ::1], int32[::1], float32[:, ::1], float32[:, ::1], int32[::1], float32[:, ::1],
        int64[::1], int32[::1], float32[:, ::1], float32[::1], float64[::1], float64[::1],
        float32[:, ::1], float32[:, ::1], float64[:, ::1],
    ),
    cache=True,
    **OPTIONS,
)  # fmt: skip
def train(
    updates, weights, gradient, first, second, best, sizes,
    settings, state,
    inputs, labels, targets, dev_inputs, dev_labels, dev_targets,
    order, batch_labels, batch_targets, workspace, tally, dev_tally, scores, dev_scores, curves,
):  # fmt: skip
    """Go on from `state` for at most `updates` updates; return the status.

    All arrays but settings and data are modified in place. best (parameters,) are the weights after the best epoch,
    order (rows,) the epoch's permutation, curves (epochs, len(CURVES)) one line for each finished epoch. Where the
    call is cut changes no bit: what an epoch needs beyond the arrays is in `state`, and its shuffle is a function of
    its number alone.
    """
    s = settings[0]
    at = state[0]
    task, metric, activation = s["task"], s["metric"], s["activation"]
    sign = -1.0 if metric == ACCURACY or metric == BALANCED_ACCURACY or metric == AUC or metric == R2 else 1.0
    rows, features = inputs.shape
    while at["status"] == RUNNING and updates > 0:
        if at["row"] == 0:
            shuffle(order, random_bits(s["shuffle_key"], np.uint64(at["epoch"])))
            tally.fill(0.0)
        m = min(s["batch_size"], rows - at["row"])
        batch = workspace[: m * features].reshape((m, features))
        picked = order[at["row"] : at["row"] + m]
        for i in range(m):
            for j in range(features):
                batch[i, j] = inputs[picked[i], j]
            if task == CLASSIFICATION:
                batch_labels[i] = labels[picked[i]]
            else:
                batch_targets[i, 0] = targets[picked[i], 0]

        outputs = forward(batch, weights, sizes, activation, workspace)
        loss = judge(task, outputs, batch_labels, batch_targets, tally)
        if task == CLASSIFICATION:
            softmax(outputs)
        if scores.shape[0] > 0:
            for i in range(m):
                for j in range(outputs.shape[1]):
                    scores[picked[i], j] = outputs[i, j]
        if not math.isfinite(loss):
            at["status"] = DIVERGED
            break
        at["update"] += 1
        updates -= 1
        backward(weights, sizes, task, batch_labels, batch_targets, m, workspace, gradient)
        if s["l2"] != 0.0:
            decay_gradient(gradient, weights, sizes, s["l2"] / m)
        if at["row"] == 0:
            total = 0.0
            for i in range(gradient.shape[0]):
                total += np.float64(gradient[i]) * np.float64(gradient[i])
            at["grad_norm"] = math.sqrt(total)
        optimise(weights, gradient, first, second, at["update"], settings)
        at["row"] += m
        if at["row"] < rows:
            continue

        evaluate_rows(
            weights,
            sizes,
            task,
            activation,
            dev_inputs,
            dev_labels,
            dev_targets,
            workspace,
            dev_tally,
            dev_scores,
        )
        value = metric_of(metric, dev_tally, dev_scores, dev_labels)
        line = curves[at["epoch"]]
        line[0] = tally[LOSS] / tally[ROWS]
        line[1] = dev_tally[LOSS] / dev_tally[ROWS]
        line[2] = metric_of(metric, tally, scores, labels)
        line[3] = value
        line[4] = s["learning_rate"]
        line[5] = at["grad_norm"]
        at["epoch"] += 1
        at["row"] = 0
        if not math.isfinite(line[1]):
            at["status"] = DIVERGED
            break
        if math.isnan(at["best_score"]) or sign * value < at["best_score"] - s["min_delta"]:
            at["best_epoch"] = at["epoch"]
            at["best_score"] = sign * value
            for i in range(weights.shape[0]):
                best[i] = weights[i]
        if at["epoch"] == s["epochs"]:
            at["status"] = FINISHED
        elif s["patience"] > 0 and at["epoch"] - at["best_epoch"] >= s["patience"]:
            at["status"] = STOPPED
    return at["status"]


config.CACHE_DIR = _cache_of_others
