"""Print, for each case, how far the kernels' gradient is from central differences; uncompiled, so in float64.

Run with NUMBA_DISABLE_JIT=1. The answer is {case: largest difference / largest gradient}. The objective is worked out
here from the outputs of the kernels' forward pass. Kernels round what they are told to float32, whatever the arrays
are: so shares and weights are sums of a few powers of two.
"""

import itertools
import json
import sys

import numpy as np
from engine.cases import COMPILED, make_network
from engine.stages import stage

from hpsearch.engine.layout import ACTIVATIONS, TALLY, scratch_size

STEP = 1e-5
ROWS, CLASSES, FEATURES = 8, 4, 3
KEY = np.uint64(20260103)
TRAINING = JUDGED = COUNTED = True
ADD = False
GOES_ON = np.array([0, 0, 1])
HIDDEN = {"0 hidden": [], "1 hidden": [4], "3 hidden": [3, 5, 2]}
OUTPUTS = {
    "softmax": ("classification", {}),
    "logistic, binary cross-entropy": ("classification", {"output": "logistic"}),
    "logistic, cross-entropy": ("classification", {"output": "logistic", "loss": "cross_entropy"}),
    "squared": ("regression", {}),
    "huber": ("regression", {"loss": "huber", "huber_delta": 0.5}),
}
ALONE = {"plain": {}, "batch norm": {"batch_norm": True}, "a batch of one row with batch norm": {"batch_norm": True}}
RULES = ALONE | {
    "l2": {"l2": 0.75},
    "l1": {"l1": 0.75},
    "dropout": {"dropout": 0.25},
    "input dropout": {"input_dropout": 0.25},
    "mixup": {"augment.mixup": 1.0},
    "sparse inputs": {},
    "sparse inputs with batch norm": {"batch_norm": True},
    "all but mixup": {"batch_norm": True, "l2": 0.75, "l1": 0.25, "dropout": 0.25, "input_dropout": 0.25},
}
CLASS_RULES = {
    "label smoothing": {"label_smoothing": 0.25},
    "class weights": {"class_weight": [0.5, 2.0, 0.0, 1.25]},
    "mixup with class weights": {"augment.mixup": 1.0, "class_weight": [0.5, 2.0, 0.0, 1.25]},
    "all": {
        "batch_norm": True, "l2": 0.75, "l1": 0.25, "dropout": 0.25, "input_dropout": 0.25, "label_smoothing": 0.25,
        "class_weight": [0.5, 2.0, 0.0, 1.25], "augment.mixup": 1.0,
    },
}  # fmt: skip


def all_cases():
    """(name, task, hyperparameters): every activation and output at every depth, every rule at every output."""
    for activation, depth, (output, (task, said)) in itertools.product(
        ACTIVATIONS, HIDDEN, [item for item in OUTPUTS.items() if item[0] in {"softmax", "squared"}]
    ):
        yield f"{activation}, {output}, {depth}", task, said | {"activation": activation, "hidden": HIDDEN[depth]}
    for activation in ACTIVATIONS:
        said = {"activation": activation, "hidden": HIDDEN["3 hidden"], "batch_norm": True}
        yield f"{activation}, batch norm", "classification", said
    for (output, (task, said)), depth in itertools.product(OUTPUTS.items(), HIDDEN):
        rules = RULES | (CLASS_RULES if task == "classification" else {})
        for rule, values in rules.items():
            yield f"{rule}, {output}, {depth}", task, said | values | {"activation": "tanh", "hidden": HIDDEN[depth]}


class Case:
    """A network and a batch, float64."""

    def __init__(self, name, task, hyperparameters):
        self.rows = 1 if "one row" in name else ROWS
        self.network = network = make_network(task, features=FEATURES, classes=CLASSES, **hyperparameters)
        self.full = network.hyperparameters
        self.k = int(network.sizes[-1])
        self.mixed = self.full["augment.mixup"] > 0
        random = np.random.default_rng(5)
        self.weights = random.normal(0, 0.8, network.vector_size)
        self.weights[np.abs(self.weights) < 0.01] = 0.5  # away from the kink of |w|
        for layer in network.layers[:-1]:
            if layer["variance"] >= 0:
                self.weights[layer["variance"] : layer["variance"] + layer["n_out"]] = random.uniform(0.5, 2)
        self.inputs = random.normal(size=self.rows * FEATURES)
        self.terms = self.term_values = self.weight_sums = None
        if "sparse" in name:  # of the three inputs the last goes on from the second
            network.settings["sparse"] = FEATURES
            x = self.inputs.reshape(self.rows, FEATURES)
            self.term_values = (x - [[0, 1, 0]] * x[:, [0, 2, 0]]).reshape(-1)
            self.terms = np.tile(np.arange(FEATURES), self.rows)
            self.weight_sums = np.zeros(FEATURES * int(network.sizes[1]))
        stage("drop")(self.inputs, np.ones_like(self.inputs), self.inputs.size, self.full["input_dropout"], KEY)
        self.labels, self.targets = random.integers(0, self.k, 2 * self.rows), random.normal(size=2 * self.rows)
        self.portions = random.integers(8, 16, self.rows) / 16.0
        self.class_weights = np.array(self.full["class_weight"] if self.full["class_weight"] != "none" else [])

    def forward(self, weights):
        """z (rows, k) of the output, and what backward wants to know."""
        network, units = self.network, int(np.sum(self.network.sizes))
        activations, slopes = np.zeros(self.rows * units), np.zeros(self.rows * units)
        activations[: self.inputs.size] = np.nan if self.terms is not None else self.inputs
        normalised, scratch = np.zeros((self.rows + 1) * units), np.zeros(scratch_size(network.layers, self.rows))
        s, layers = network.settings.view(np.float64), network.layers.view(np.int64)
        if self.terms is not None:
            stage("sum_weights")(layers, weights, GOES_ON, self.weight_sums)
            stage("sparse_forward")(
                s, layers, weights, self.rows, self.rows, self.terms, self.term_values, self.weight_sums, activations
            )
        stage("forward")(
            s, layers, network.dropout, weights, activations,
            self.rows, self.rows, activations, slopes, normalised, scratch, TRAINING, 0.0, KEY,
        )  # fmt: skip
        z = activations[self.rows * (units - self.k) :]
        return z.reshape(self.rows, self.k), (activations, slopes, normalised, scratch)

    def row_losses(self, z, labels, targets):
        """Weighted, of smoothed labels."""
        if self.k == 1:
            e, d = np.abs(z[:, 0] - targets), self.full["huber_delta"]
            return np.where((self.full["loss"] == "huber") & (e > d), d * (e - d / 2), e**2 / 2)
        smoothing = self.full["label_smoothing"]
        y = (1 - smoothing) * np.eye(self.k)[labels] + smoothing / self.k
        support = 1 / (1 + np.exp(-z))
        if self.full["loss"] == "binary_cross_entropy":
            losses = -np.sum(y * np.log(support) + (1 - y) * np.log(1 - support), axis=1)
        else:
            shares = support if self.full["output"] == "logistic" else np.exp(z)
            losses = -np.sum(y * np.log(shares / shares.sum(axis=1, keepdims=True)), axis=1)
        return losses * (self.class_weights[labels] if self.class_weights.size else 1)

    def objective(self, weights):
        z, _ = self.forward(weights)
        own, partner = (slice(None, self.rows), slice(self.rows, None))
        losses = self.row_losses(z, self.labels[own], self.targets[own])
        if self.mixed:
            other = self.row_losses(z, self.labels[partner], self.targets[partner])
            losses = self.portions * losses + (1 - self.portions) * other
        total = np.sum(losses)
        for layer in self.network.layers:
            W = weights[layer["weight"] : layer["bias"]]
            total += self.full["l2"] / 2 * np.sum(W**2) + self.full["l1"] * np.sum(np.abs(W))
        return total / self.rows

    def gradient(self):
        network, rows, k = self.network, self.rows, self.k
        s, layers = network.settings.view(np.float64), network.layers.view(np.int64)
        z, (activations, slopes, normalised, scratch) = self.forward(self.weights)
        signals = np.zeros(2 * rows * int(network.sizes.max()))
        z = z.reshape(-1)
        if k > 1:
            tally, supports = np.zeros(len(TALLY) + 2 * k), slopes[activations.size - z.size :]
            stage("judge_classes")(s, rows, k, z, supports, self.labels[:rows], JUDGED, COUNTED, scratch, tally)
            stage("class_signal")(
                s, rows, k, z, supports, self.labels, self.labels[rows:], self.portions, self.class_weights, rows,
                signals,
            )  # fmt: skip
        else:
            stage("value_signal")(s, rows, z, self.targets, self.targets[rows:], self.portions, rows, signals)
        gradient = np.full(self.weights.size, np.nan)  # backward fills it, it does not add to it
        stage("backward")(
            s, layers, self.weights, rows, rows, rows == 1, activations, slopes, normalised, signals, scratch, gradient,
            ADD,
        )  # fmt: skip
        if self.terms is not None:
            stage("sparse_backward")(s, layers, rows, rows, self.terms, self.term_values, signals, gradient, ADD)
            stage("gradient_of_weights")(layers, GOES_ON, gradient)
        for layer in network.layers:
            W = slice(layer["weight"], layer["bias"])
            l2, l1 = self.full["l2"] / rows, self.full["l1"] / rows
            stage("penalise")(self.weights[W], gradient[W], layer["bias"] - layer["weight"], l2, l1)
        return gradient[: network.trained]

    def error(self):
        differences = np.zeros(self.network.trained)
        for i in range(differences.size):
            above, below = self.weights.copy(), self.weights.copy()
            above[i] += STEP
            below[i] -= STEP
            differences[i] = (self.objective(above) - self.objective(below)) / (2 * STEP)
        return np.abs(self.gradient() - differences).max() / np.abs(differences).max()


if __name__ == "__main__":
    if COMPILED:
        raise SystemExit("only uncompiled kernels take float64")
    sys.stdout.write(json.dumps({name: float(Case(name, *case).error()) for name, *case in all_cases()}))
