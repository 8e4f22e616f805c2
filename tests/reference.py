"""The engine once more, slowly and plainly: NumPy float64, lists of matrices, every line one formula of the lecture.

Nothing here is taken from hpsearch/engine: the tests compare two derivations. Notation as in the formulas: a batch of m
rows, layer l has z = a[l-1] W + b and a = g(z); y are class numbers (m,) or target values (m, 1). The hyperparameters
have the names that they have in a study.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy.special import erf, expit, logsumexp

# --- Exponentially weighted averages: of curves, of weights, of the statistics of batch norm ---


class Average:
    """v = beta v + (1 - beta) x from v = 0 on; corrected v / (1 - beta^t), which is x itself after the first."""

    def __init__(self, beta):
        self.beta, self.t, self.v = beta, 0, 0.0

    def add(self, x):
        self.t += 1
        self.v = self.beta * self.v + (1 - self.beta) * x

    @property
    def corrected(self):
        return self.v / (1 - self.beta**self.t)


def averages(values, beta):
    """The corrected average after each of the values."""
    average, found = Average(beta), []
    for value in values:
        average.add(value)
        found.append(average.corrected)
    return found


# --- Activations: g(z) and g'(z), each written out as a function of z ---


def normal_density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def normal_distribution(z):
    return (1 + erf(z / np.sqrt(2))) / 2


def softplus(z):
    return np.logaddexp(0, z)


def left(z):
    """For branches that are taken where z <= 0, and must not overflow elsewhere."""
    return np.minimum(z, 0)


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of selu

ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(left(z))), lambda z: np.where(z > 0, 1.0, np.exp(left(z)))),
    "selu": (
        lambda z: SCALE * np.where(z > 0, z, ALPHA * np.expm1(left(z))),
        lambda z: SCALE * np.where(z > 0, 1.0, ALPHA * np.exp(left(z))),
    ),
    "softplus": (softplus, expit),
    "gelu": (
        lambda z: z * normal_distribution(z),
        lambda z: normal_distribution(z) + z * normal_density(z),
    ),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) + z * expit(z) * expit(-z)),
    "mish": (
        lambda z: z * np.tanh(softplus(z)),
        lambda z: np.tanh(softplus(z)) + z * expit(z) / np.cosh(softplus(z)) ** 2,
    ),
}


# --- Outputs and losses ---


def softmax(z):
    return np.exp(z - logsumexp(z, axis=1, keepdims=True))


def support(z):
    """s_j = sigmoid(z_j) of the logistic output."""
    return expit(z)


def logistic_shares(z):
    """a_j = s_j / sum s of the logistic output: a softmax of log s, so that tiny s divide well."""
    return softmax(log_support(z))


def log_support(z):
    return -softplus(-z)


def row_losses(task, z, y):
    """The first of the losses for each task: -log of the true class's probability; half the squared error."""
    if task == "classification":
        return logsumexp(z, axis=1) - z[np.arange(len(z)), y]
    return (z[:, 0] - y[:, 0]) ** 2 / 2


def cross_entropy(log_a, y):
    return -np.sum(np.where(y > 0, y * log_a, 0), axis=1)


# L (m,) and dL/dz (m, k) of z and y, both (m, k): y is a distribution over the classes, or the target values.
LOSSES = {
    ("softmax", "cross_entropy"): (
        lambda z, y: cross_entropy(z - logsumexp(z, axis=1, keepdims=True), y),
        lambda z, y: softmax(z) - y,
    ),
    ("logistic", "cross_entropy"): (
        lambda z, y: cross_entropy(log_support(z) - logsumexp(log_support(z), axis=1, keepdims=True), y),
        lambda z, y: (1 - support(z)) * (logistic_shares(z) - y),
    ),
    ("logistic", "binary_cross_entropy"): (
        lambda z, y: -np.sum(y * log_support(z) + (1 - y) * log_support(-z), axis=1),
        lambda z, y: support(z) - y,
    ),
    ("identity", "squared"): (
        lambda z, y: np.sum((z - y) ** 2, axis=1) / 2,
        lambda z, y: z - y,
    ),
}


def huber(d):
    """e^2 / 2 up to an error of d, from there on the straight line that goes on from it."""

    def loss(z, y):
        e = np.abs(z - y)
        return np.sum(np.where(e <= d, e**2 / 2, d * (e - d / 2)), axis=1)

    return loss, lambda z, y: np.clip(z - y, -d, d)


def balanced_weights(y, k):
    """w_c = n / (k n_c): every class weighs the same in all; 0 for a class without rows."""
    counts = np.array([np.sum(y == c) for c in range(k)])
    return np.array([len(y) / (k * n_c) if n_c else 0.0 for n_c in counts])


# --- Batch norm of one layer ---

NORM_EPSILON = 1e-5
NORM_BETA = 0.9


def normalised(z, mean, variance):
    return (z - mean) / np.sqrt(variance + NORM_EPSILON)


def norm_backward(dzn, z):
    """dL/dz from dL/dzn, where mean and variance are the batch's own (Ioffe and Szegedy 2015, section 3)."""
    m = len(z)
    mean, variance = z.mean(axis=0), z.var(axis=0)
    root = np.sqrt(variance + NORM_EPSILON)
    dvariance = np.sum(dzn * (z - mean), axis=0) * -1 / (2 * root**3)
    dmean = np.sum(dzn, axis=0) * -1 / root + dvariance * np.mean(-2 * (z - mean), axis=0)
    return dzn / root + dvariance * 2 * (z - mean) / m + dmean / m


class RunningStatistics:
    """Mean and unbiased variance of a layer's z over the last batches; 0 and 1 before the first."""

    def __init__(self):
        self.means, self.variances = Average(NORM_BETA), Average(NORM_BETA)

    def add(self, z):
        self.means.add(z.mean(axis=0))
        self.variances.add(z.var(axis=0, ddof=1))

    @property
    def mean(self):
        return self.means.corrected if self.means.t else 0.0

    @property
    def variance(self):
        return self.variances.corrected if self.variances.t else 1.0


# --- The network ---


@dataclass
class Pass:
    """One way forward: of each layer its input a (with dropout), z = a W + b, the normalised zn, zt and its g(zt)."""

    a: list = field(default_factory=list)
    z: list = field(default_factory=list)
    zn: list = field(default_factory=list)
    zt: list = field(default_factory=list)


@dataclass
class Net:
    """W[l] (n_in, n_out) and b[l] (n_out,) of every layer; with batch norm gamma[l] of every hidden one, and b is beta.

    The output is identity for a regression. Of its own accord the loss is what belongs to the output.
    """

    W: list
    b: list
    activation: str
    task: str
    gamma: list = field(default_factory=list)
    output: str = "softmax"
    loss: str = "auto"
    huber_delta: float = 1.0
    statistics: list = field(default_factory=list)  # of every hidden layer
    averages: list = field(default_factory=list)  # of every parameter, see remember

    def __post_init__(self):
        if self.gamma and not self.statistics:
            self.statistics = [RunningStatistics() for _ in self.gamma]

    @property
    def groups(self):
        """The parameters: the list of W, that of b, and with batch norm that of gamma. Gradients lie likewise."""
        return [self.W, self.b, *([self.gamma] if self.gamma else [])]

    @property
    def parameters(self):
        return [values for group in self.groups for values in group]

    def forward(self, X, *, training=False, masks=None):
        """All layers' values. In training batch norm takes the batch's statistics, if it has more than one row.

        masks[l] (m, n_in) are the factors of layer l's input, 0 or 1 / (1 - p): masks[0] drops inputs.
        """
        g, _ = ACTIVATIONS[self.activation]
        way, a = Pass(), np.asarray(X, np.float64)
        for l, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
            a = a * masks[l] if masks is not None else a
            if l < len(self.gamma):
                z = a @ W
                batch = training and len(z) > 1
                running = self.statistics[l]
                zn = (
                    normalised(z, z.mean(axis=0), z.var(axis=0))
                    if batch
                    else normalised(z, running.mean, running.variance)
                )
                zt = self.gamma[l] * zn + b
            else:
                z = zn = zt = a @ W + b
            for values, of_layer in zip((a, z, zn, zt), (way.a, way.z, way.zn, way.zt), strict=True):
                of_layer.append(values)
            a = g(zt)
        return way

    def outputs(self, X):
        """z of the last layer (m, k), as for predictions."""
        return self.forward(X).z[-1]

    def scores(self, z):
        """What softmax makes the shares from, so that the metrics need not know the output: z, or log s."""
        return log_support(z) if self.task == "classification" and self.output == "logistic" else z

    @property
    def loss_and_slope(self):
        output = self.output if self.task == "classification" else "identity"
        auto = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "identity": "squared"}
        loss = auto[output] if self.loss == "auto" else self.loss
        return huber(self.huber_delta) if loss == "huber" else LOSSES[output, loss]

    def row_losses(self, z, y):
        """Of each row's own label: without smoothing, weights, mixup and penalties."""
        loss, _ = self.loss_and_slope
        return loss(z, self.wanted(y))

    def wanted(self, y, label_smoothing=0.0):
        """y one-hot, eps of it spread over all classes; of a regression y as it is."""
        if self.task == "regression":
            return y
        k = self.b[-1].size
        return (1 - label_smoothing) * np.eye(k)[y] + label_smoothing / k

    def row_weights(self, y, class_weight):
        return np.ones(len(y)) if class_weight is None else np.asarray(class_weight, np.float64)[y]

    def demands(self, y, label_smoothing, class_weight, share):
        """(weight (m,), wanted (m, k)) of each label that a row has: its own, and in mixup its partner's.

        The partner is the next row of the batch, and the first one that of the last.
        """
        if share is None:
            return [(self.row_weights(y, class_weight), self.wanted(y, label_smoothing))]
        partner = np.roll(y, -1, axis=0)
        return [
            (share * self.row_weights(y, class_weight), self.wanted(y, label_smoothing)),
            ((1 - share) * self.row_weights(partner, class_weight), self.wanted(partner, label_smoothing)),
        ]

    def objective(self, X, y, l2=0.0, l1=0.0, *, label_smoothing=0.0, class_weight=None, share=None, masks=None):
        """What the gradients are the gradients of. `share` (m,) is of mixup, whose mixed inputs X must be."""
        loss, _ = self.loss_and_slope
        m, z = len(X), self.forward(X, training=True, masks=masks).z[-1]
        demands = self.demands(y, label_smoothing, class_weight, share)
        return (
            sum(np.sum(weight * loss(z, wanted)) / m for weight, wanted in demands)
            + l2 / (2 * m) * sum(np.sum(W**2) for W in self.W)
            + l1 / m * sum(np.sum(np.abs(W)) for W in self.W)
        )

    def gradients(self, X, y, l2=0.0, l1=0.0, *, label_smoothing=0.0, class_weight=None, share=None, masks=None):
        """The objective's: dW, db and with batch norm dgamma, as the groups."""
        _, slope = self.loss_and_slope
        _, g_slope = ACTIVATIONS[self.activation]
        m, way = len(X), self.forward(X, training=True, masks=masks)
        demands = self.demands(y, label_smoothing, class_weight, share)
        delta = sum(weight[:, None] * slope(way.z[-1], wanted) for weight, wanted in demands) / m
        dW, db, dgamma = [], [], []
        for l in reversed(range(len(self.W))):
            db.insert(0, delta.sum(axis=0))
            if l < len(self.gamma):
                dgamma.insert(0, np.sum(delta * way.zn[l], axis=0))
                dzn = delta * self.gamma[l]
                constant = np.sqrt(self.statistics[l].variance + NORM_EPSILON)  # of a single row
                delta = norm_backward(dzn, way.z[l]) if m > 1 else dzn / constant
            dW.insert(0, way.a[l].T @ delta + l2 / m * self.W[l] + l1 / m * np.sign(self.W[l]))
            if l > 0:
                da = delta @ self.W[l].T
                delta = (da * masks[l] if masks is not None else da) * g_slope(way.zt[l - 1])
        return [dW, db, *([dgamma] if self.gamma else [])]

    def observe(self, way):
        """Add a batch of training to the running statistics; one of a single row has no spread to add."""
        if len(way.a[0]) > 1:
            for statistics, z in zip(self.statistics, way.z, strict=False):
                statistics.add(z)

    def remember(self, beta):
        """Add the parameters to their averages."""
        self.averages = self.averages or [Average(beta) for _ in self.parameters]
        for average, values in zip(self.averages, self.parameters, strict=True):
            average.add(values)

    def judged(self):
        """The network that is evaluated and kept: with the averages, if there are any, for its parameters."""
        if not self.averages:
            return self
        values = [average.corrected for average in self.averages]
        n = len(self.W)
        return Net(
            values[:n], values[n : 2 * n], self.activation, self.task, values[2 * n :],
            self.output, self.loss, self.huber_delta, self.statistics,
        )  # fmt: skip


# --- Dropout and mixup ---


def keep_mask(words, p):
    """1 where an element is kept, else 0: four elements a word of 64 random bits, the lowest 16 bits first."""
    bits = [(int(word) >> shift) & 0xFFFF for word in words for shift in (0, 16, 32, 48)]
    return np.array([float(sixteen >= round(p * 65536)) for sixteen in bits])


def dropout_factors(keep, p):
    """Inverted: what is kept stands for what is left out."""
    return keep / (1 - p)


def mixed(X, share):
    """Rows of a batch, each with the next one; `share` (m,) is the own part."""
    return share[:, None] * X + (1 - share[:, None]) * np.roll(X, -1, axis=0)


# --- Learning rates ---


def warm_updates(h, steps):
    """Updates of the warm-up, exactly, for 0.3 epochs are 3 updates of 10."""
    return Fraction(str(h["warmup"])) * steps


def restart_share(done, first, growth):
    """Share that is done of the cycle that `done` epochs lie in."""
    length = Fraction(first)
    while done >= length:
        done -= length
        length *= Fraction(str(growth))
    return done / length


# Factor of alpha0 at q epochs after warm-up of the hyperparameters h; e whole ones are done.
SCHEDULES = {
    "constant": lambda h, q, e: 1.0,
    "inverse": lambda h, q, e: 1 / (1 + h["decay"] * e),
    "exponential": lambda h, q, e: math.exp(-h["decay"] * e),
    "power": lambda h, q, e: 1 / (e + 1) ** h["decay_power"],
    "staircase": lambda h, q, e: h["decay_factor"] ** (e // h["decay_epochs"]),
    "cosine": lambda h, q, e: (1 + math.cos(math.pi * q / (h["epochs"] - Fraction(str(h["warmup"]))))) / 2,
    "rising": lambda h, q, e: 10 ** (4 * (float(q / (h["epochs"] - Fraction(str(h["warmup"])))) - 1)),
    "cosine_restarts": lambda h, q, e: (
        (1 + math.cos(math.pi * restart_share(q, h["decay_epochs"], h["restart_growth"]))) / 2
    ),
}


def learning_rate(t, steps, h):
    """alpha of update t (from 1), with `steps` updates an epoch; h are hyperparameters by name."""
    warm = warm_updates(h, steps)
    if t - 1 < warm:
        return h["learning_rate"] * min(1.0, float(t / warm))
    q = (t - 1 - warm) / steps
    return h["learning_rate"] * SCHEDULES[h["schedule"]](h, q, math.floor(q))


# --- Optimisers: step(parameters, gradients), lists of arrays, parameters changed in place ---


class Optimiser:
    """alpha may be changed between steps; t counts them."""

    def __init__(self, learning_rate):
        self.alpha, self.t = learning_rate, 0

    def step(self, parameters, gradients):
        if self.t == 0:
            self.v = [np.zeros_like(p) for p in parameters]
            self.s = [np.zeros_like(p) for p in parameters]
        self.t += 1
        for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            p[:] = p - self.alpha * self.direction(i, g)


class Sgd(Optimiser):
    def direction(self, i, g):
        return g


class Momentum(Optimiser):
    """v = beta v + (1 - beta) g, or its sum without the factor; Nesterov looks one step of v ahead."""

    def __init__(self, learning_rate, momentum, form="average", *, nesterov=False, correction=False):
        super().__init__(learning_rate)
        self.beta, self.nesterov, self.correction = momentum, nesterov, correction
        self.factor = {"average": 1 - momentum, "sum": 1.0}[form]

    def direction(self, i, g):
        self.v[i] = self.beta * self.v[i] + self.factor * g
        step = self.beta * self.v[i] + self.factor * g if self.nesterov else self.v[i]
        looked_ahead = self.t + 1 if self.nesterov else self.t  # the weights of the gradients add up to 1 - beta^this
        return step / (1 - self.beta**looked_ahead) if self.correction else step


class Adagrad(Optimiser):
    def __init__(self, learning_rate, epsilon):
        super().__init__(learning_rate)
        self.epsilon = epsilon

    def direction(self, i, g):
        self.s[i] = self.s[i] + g**2
        return g / (np.sqrt(self.s[i]) + self.epsilon)


class Rmsprop(Optimiser):
    def __init__(self, learning_rate, beta2, epsilon):
        super().__init__(learning_rate)
        self.beta2, self.epsilon = beta2, epsilon

    def direction(self, i, g):
        self.s[i] = self.beta2 * self.s[i] + (1 - self.beta2) * g**2
        return g / (np.sqrt(self.s[i]) + self.epsilon)


class Adam(Optimiser):
    """Kingma and Ba 2015, algorithm 1. AdamW is this with weight decay, which is an update's."""

    def __init__(self, learning_rate, beta1, beta2, epsilon):
        super().__init__(learning_rate)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def direction(self, i, g):
        self.v[i] = self.beta1 * self.v[i] + (1 - self.beta1) * g
        self.s[i] = self.beta2 * self.s[i] + (1 - self.beta2) * g**2
        v_hat = self.v[i] / (1 - self.beta1**self.t)
        s_hat = self.s[i] / (1 - self.beta2**self.t)
        return v_hat / (np.sqrt(s_hat) + self.epsilon)


OPTIMISERS = {
    "sgd": lambda h: Sgd(h["learning_rate"]),
    "momentum": lambda h: Momentum(
        h["learning_rate"], h["momentum"], h["momentum_form"], correction=h["momentum_correction"]
    ),
    "nesterov": lambda h: Momentum(
        h["learning_rate"], h["momentum"], h["momentum_form"], nesterov=True, correction=h["momentum_correction"]
    ),
    "adagrad": lambda h: Adagrad(h["learning_rate"], h["epsilon"]),
    "rmsprop": lambda h: Rmsprop(h["learning_rate"], h["beta2"], h["epsilon"]),
    "adam": lambda h: Adam(h["learning_rate"], h["beta1"], h["beta2"], h["epsilon"]),
    "adamw": lambda h: Adam(h["learning_rate"], h["beta1"], h["beta2"], h["epsilon"]),
}


# --- Training ---


@dataclass
class Rules:
    """What an update does beside the optimiser's step: as it stands nothing. `rate` gives alpha of update t."""

    l2: float = 0.0
    l1: float = 0.0
    label_smoothing: float = 0.0
    class_weight: list | None = None  # of each class
    clip_norm: float = 0.0
    weight_decay: float = 0.0
    max_norm: float = 0.0
    ema: float = 0.0
    rate: Callable | None = None


class DivergedError(Exception):
    """Says of which layer, from 0."""


def norm(arrays):
    return np.sqrt(sum(np.sum(a**2) for a in arrays))


def layer_norms(groups):
    """Of each layer W, b and gamma together."""
    return [norm([group[l] for group in groups if l < len(group)]) for l in range(len(groups[0]))]


def find_divergence(losses, way, groups):
    """Raise DivergedError if the batch is not to be learnt from."""
    fine = np.mean(losses) <= 1e6 and all(np.all(np.isfinite(g)) for group in groups for g in group)
    if not fine:
        finite = [np.all(np.isfinite(z)) for z in way.z]
        norms = np.array(layer_norms(groups))
        worst = np.argmax(np.where(np.isfinite(norms), norms, np.inf))
        raise DivergedError(int(worst) if all(finite) else finite.index(False))


def clipped(gradients, c):
    length = norm(gradients)
    return [g * (c / length) for g in gradients] if 0 < c < length else gradients


def shorten_columns(W, c):
    """Every vector of weights into a unit at most c long, in place."""
    for column in W.T:
        length = np.sqrt(np.sum(column**2))
        if length > c:
            column[:] = column * (c / length)


def update(net, optimiser, X, y, l2=0.0, rules=None, *, share=None, masks=None):
    """One step on one batch; returns the outputs of its forward pass and the norm of the whole gradient."""
    rules = rules or Rules(l2=l2)
    X = X if share is None else mixed(X, share)
    way = net.forward(X, training=True, masks=masks)
    groups = net.gradients(
        X, y, rules.l2, rules.l1,
        label_smoothing=rules.label_smoothing, class_weight=rules.class_weight, share=share, masks=masks,
    )  # fmt: skip
    find_divergence(net.row_losses(way.z[-1], y), way, groups)
    gradients = [g for group in groups for g in group]
    if rules.rate is not None:
        optimiser.alpha = rules.rate(optimiser.t + 1)
    for W in net.W:
        W[:] = W - optimiser.alpha * rules.weight_decay * W
    optimiser.step(net.parameters, clipped(gradients, rules.clip_norm))
    if rules.max_norm > 0:
        for W in net.W:
            shorten_columns(W, rules.max_norm)
    net.observe(way)
    if rules.ema > 0:
        net.remember(rules.ema)
    return way.z[-1], norm(gradients)


def train(net, optimiser, train_part, dev_part, *, permutations, batch_size, metric, l2=0.0, rules=None):
    """One epoch for each permutation; returns the curve, one line for each.

    A line is (train_loss, dev_loss, train_metric, dev_metric, grad_norm). The train columns judge each row by the
    weights just before its batch's update; the norm is that of the first batch. Each part is (X, y).
    """
    (X, y), (dev_X, dev_y) = train_part, dev_part
    curve = []
    for order in permutations:
        z = np.zeros((len(X), net.b[-1].size))
        norms = []
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            z[rows], length = update(net, optimiser, X[rows], y[rows], l2, rules)
            norms.append(length)
        dev_z = net.judged().outputs(dev_X)
        curve.append(
            (
                np.mean(net.row_losses(z, y)),
                np.mean(net.row_losses(dev_z, dev_y)),
                METRICS[metric](net.scores(z), y),
                METRICS[metric](net.scores(dev_z), dev_y),
                norms[0],
            )
        )
    return np.array(curve)


# --- Health ---


def update_ratios(before, after):
    """|update of W| / |W| of each layer."""
    return [norm([new - old]) / norm([old]) for old, new in zip(before, after, strict=True)]


def stuck_shares(net, X):
    """Share of each layer's units whose slopes are all below 5 % of the activation's largest; 0 for the output."""
    _, slope = ACTIVATIONS[net.activation]
    largest = np.max(np.abs(slope(np.linspace(-20, 20, 400_001))))
    hidden = net.forward(X).zt[:-1]
    return [*(np.mean(np.all(np.abs(slope(zt)) < 0.05 * largest, axis=0)) for zt in hidden), 0.0]


# --- Metrics, from the outputs z (n, k), log s of a logistic one, and y ---


def accuracy(z, y):
    return np.mean(z.argmax(axis=1) == y)


def balanced_accuracy(z, y):
    """Mean over the classes that occur of the share of their rows that is found."""
    return np.mean([np.mean(z[y == c].argmax(axis=1) == c) for c in np.unique(y)])


def auc(z, y):
    """Share of (row of the class, row of another) pairs in the right order, ties half; mean over the classes."""
    p = softmax(z)
    areas = []
    for c in [1] if z.shape[1] == 2 else range(z.shape[1]):
        inside, outside = p[y == c, c][:, None], p[y != c, c][None, :]
        if inside.size and outside.size:
            areas.append(np.mean((inside > outside) + (inside == outside) / 2))
    return np.mean(areas) if areas else np.nan


METRICS = {
    "log_loss": lambda z, y: np.mean(row_losses("classification", z, y)),
    "error": lambda z, y: 1 - accuracy(z, y),
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "auc": auc,
    "rmse": lambda z, y: np.sqrt(np.mean((z - y) ** 2)),
    "mae": lambda z, y: np.mean(np.abs(z - y)),
    "r2": lambda z, y: 1 - np.sum((z - y) ** 2) / np.sum((y - y.mean()) ** 2),
}
GREATER_IS_BETTER = ("accuracy", "balanced_accuracy", "auc", "r2")


# --- Random numbers in Python's own integers ---

WORD = 2**64 - 1


def splitmix64(key, counter):
    """Output number `counter` (from 0) of Vigna's splitmix64.c with the state `key` at the start."""
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def shuffled(n, key):
    """Fisher and Yates from the top down; the place below i + 1 is the high word of 32 random bits times i + 1."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = ((splitmix64(key, i) >> 32) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def epoch_order(n, shuffle_key, epoch):
    """The permutation of epoch number `epoch` (from 0)."""
    return np.array(shuffled(n, splitmix64(shuffle_key, epoch)))


def uniform(key, counter):
    """In (0, 1): the middle of one of 2^53 equal pieces."""
    return ((splitmix64(key, counter) >> 11) + 0.5) / 2**53


def normal(key, counter):
    """~ N(0, 1), Box and Muller's cosine, from uniforms 2 * counter and 2 * counter + 1."""
    u, v = uniform(key, 2 * counter), uniform(key, 2 * counter + 1)
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
