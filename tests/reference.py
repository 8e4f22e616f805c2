"""The engine once more, slowly and plainly: NumPy float64, lists of matrices, every line one formula of the lecture.

Nothing here is taken from hpsearch/engine: the tests compare two derivations. Notation as in the formulas: a batch of m
rows, layer l has z = a[l-1] W + b and a = g(z); y are class numbers (m,) or target values (m, 1).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit, logsumexp

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


# --- The network ---


@dataclass
class Net:
    """W[l] (n_in, n_out) and b[l] (n_out,) of every layer; identity at the output of a regression, else softmax."""

    W: list
    b: list
    activation: str
    task: str

    def forward(self, X):
        """z of every layer, and the activations before each of them (so a[0] is X)."""
        g, _ = ACTIVATIONS[self.activation]
        a, z = [np.asarray(X, np.float64)], []
        for W, b in zip(self.W, self.b, strict=True):
            z.append(a[-1] @ W + b)
            a.append(g(z[-1]))
        return z, a[:-1]

    def outputs(self, X):
        """z of the last layer (m, k)."""
        return self.forward(X)[0][-1]

    def gradients(self, X, y, l2=0.0):
        """d/dW and d/db of mean(row_losses) + l2 / (2 m) * sum ||W||_F^2."""
        _, slope = ACTIVATIONS[self.activation]
        z, a = self.forward(X)
        m = len(X)
        one_hot = np.eye(z[-1].shape[1])
        delta = (softmax(z[-1]) - one_hot[y] if self.task == "classification" else z[-1] - y) / m
        dW, db = [], []
        for l in reversed(range(len(self.W))):
            dW.insert(0, a[l].T @ delta + l2 / m * self.W[l])
            db.insert(0, delta.sum(axis=0))
            if l > 0:
                delta = delta @ self.W[l].T * slope(z[l - 1])
        return dW, db

    def objective(self, X, y, l2=0.0):
        """What the gradients are the gradients of."""
        penalty = sum(np.sum(W**2) for W in self.W)
        return np.mean(row_losses(self.task, self.outputs(X), y)) + l2 / (2 * len(X)) * penalty


def softmax(z):
    return np.exp(z - logsumexp(z, axis=1, keepdims=True))


def row_losses(task, z, y):
    """-log of the true class's probability; half the squared error."""
    if task == "classification":
        return logsumexp(z, axis=1) - z[np.arange(len(z)), y]
    return (z[:, 0] - y[:, 0]) ** 2 / 2


# --- Optimisers: step(parameters, gradients), lists of arrays, parameters changed in place ---


class Sgd:
    def __init__(self, learning_rate):
        self.alpha = learning_rate

    def step(self, parameters, gradients):
        for p, g in zip(parameters, gradients, strict=True):
            p[:] = p - self.alpha * g


class Momentum:
    """v = beta v + (1 - beta) g, without bias correction."""

    def __init__(self, learning_rate, momentum):
        self.alpha, self.beta = learning_rate, momentum
        self.v = None

    def step(self, parameters, gradients):
        if self.v is None:
            self.v = [np.zeros_like(p) for p in parameters]
        for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            self.v[i] = self.beta * self.v[i] + (1 - self.beta) * g
            p[:] = p - self.alpha * self.v[i]


class Adam:
    """Kingma and Ba 2015, algorithm 1."""

    def __init__(self, learning_rate, beta1, beta2, epsilon):
        self.alpha, self.beta1, self.beta2, self.epsilon = learning_rate, beta1, beta2, epsilon
        self.t = 0
        self.m = self.v = None

    def step(self, parameters, gradients):
        if self.t == 0:
            self.m = [np.zeros_like(p) for p in parameters]
            self.v = [np.zeros_like(p) for p in parameters]
        self.t += 1
        for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            self.m[i] = self.beta1 * self.m[i] + (1 - self.beta1) * g
            self.v[i] = self.beta2 * self.v[i] + (1 - self.beta2) * g**2
            m_hat = self.m[i] / (1 - self.beta1**self.t)
            v_hat = self.v[i] / (1 - self.beta2**self.t)
            p[:] = p - self.alpha * m_hat / (np.sqrt(v_hat) + self.epsilon)


# --- Training ---


def update(net, optimiser, X, y, l2=0.0):
    """One step on one batch; returns the outputs before it and the norm of the whole gradient."""
    z = net.outputs(X)
    dW, db = net.gradients(X, y, l2)
    optimiser.step([*net.W, *net.b], [*dW, *db])
    return z, np.sqrt(sum(np.sum(g**2) for g in [*dW, *db]))


def train(net, optimiser, train_part, dev_part, *, permutations, batch_size, metric, l2=0.0):
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
            z[rows], norm = update(net, optimiser, X[rows], y[rows], l2)
            norms.append(norm)
        dev_z = net.outputs(dev_X)
        curve.append(
            (
                np.mean(row_losses(net.task, z, y)),
                np.mean(row_losses(net.task, dev_z, dev_y)),
                METRICS[metric](z, y),
                METRICS[metric](dev_z, dev_y),
                norms[0],
            )
        )
    return np.array(curve)


# --- Metrics, from the outputs z (n, k) and y ---


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
