"""Print, for each case, how far the kernels' gradient is from central differences; uncompiled, so in float64.

Run with NUMBA_DISABLE_JIT=1. The answer is {case: largest difference / largest gradient}.
"""

import itertools
import json
import sys

import numpy as np
from numba import config

from hpsearch.engine import kernels, layout

STEP = 1e-5
ROWS = 6
HIDDEN = {"0 hidden": [], "1 hidden": [4], "3 hidden": [3, 5, 2]}
OUTPUTS = {"classification": 3, "regression": 1}


def case(activation, task, hidden, l2):
    code = layout.ACTIVATIONS.index(activation)
    task_code = layout.TASKS.index(task)
    k = OUTPUTS[task]
    sizes = np.array([4, *hidden, k])
    random = np.random.default_rng(5)
    weights = random.normal(0, 0.8, layout.parameter_count(sizes))
    inputs = random.normal(size=(ROWS, 4))
    labels = random.integers(0, k, ROWS)
    targets = random.normal(size=(ROWS, 1))
    place = np.cumsum([0, *(n_in * n_out + n_out for n_in, n_out in itertools.pairwise(sizes))])

    def run(weights):
        workspace = np.zeros(layout.workspace_size(sizes, ROWS))
        workspace[: inputs.size] = inputs.ravel()  # the batch lies at the start, as in kernels.train
        outputs = kernels.forward(workspace[: inputs.size].reshape(inputs.shape), weights, sizes, code, workspace)
        tally = np.zeros(len(layout.TALLY) + 2 * k)
        return outputs, workspace, kernels.judge(task_code, outputs, labels, targets, tally)

    def objective(weights):
        penalty = 0.0
        for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
            penalty += np.sum(weights[place[l] : place[l] + n_in * n_out] ** 2)
        return run(weights)[2] / ROWS + l2 / (2 * ROWS) * penalty

    outputs, workspace, _ = run(weights)
    if task == "classification":
        kernels.softmax(outputs)
    gradient = np.full(weights.size, np.nan)  # backward fills it, it does not add to it
    kernels.backward(weights, sizes, task_code, labels, targets, ROWS, workspace, gradient)
    kernels.decay_gradient(gradient, weights, sizes, l2 / ROWS)

    differences = np.zeros(weights.size)
    for i in range(weights.size):
        step = np.zeros(weights.size)
        step[i] = STEP
        differences[i] = (objective(weights + step) - objective(weights - step)) / (2 * STEP)
    return np.abs(gradient - differences).max() / np.abs(differences).max()


def all_cases():
    for activation, task, depth in itertools.product(layout.ACTIVATIONS, layout.TASKS, HIDDEN):
        yield f"{activation}, {task}, {depth}", (activation, task, HIDDEN[depth], 0.0)
    for task, depth in itertools.product(layout.TASKS, HIDDEN):
        yield f"l2, {task}, {depth}", ("tanh", task, HIDDEN[depth], 0.7)


if __name__ == "__main__":
    if not config.DISABLE_JIT:
        raise SystemExit("only uncompiled kernels take float64")
    sys.stdout.write(json.dumps({name: float(case(*arguments)) for name, arguments in all_cases()}))
