"""Compile the stages that depend on the processor for another one, and print how far they are off.

Which one Numba is told by NUMBA_CPU_NAME and NUMBA_CPU_FEATURES. The answer: the lanes of its vectors, and the largest
errors of each activation's values and slopes from -30 to 30, of products, and of steps in parts of themselves.
"""

import importlib
import json
import platform
import sys
from pathlib import Path

import numpy as np
import reference
from engine.stages import settings_of, state_of

from hpsearch.engine.cache import Machine
from hpsearch.engine.layout import ACTIVATIONS, OPTIMIZERS, STEP_BLOCK

PROCESSORS = {  # name, features, lanes of its vectors
    "as of many virtual machines": ("x86-64", "+sse,+sse2", 4),
    "of 2011": ("sandybridge", "+sse,+sse2,+sse4.1,+avx", 8),
    "of 2013": ("haswell", "+sse,+sse2,+sse4.1,+avx,+avx2,+fma", 8),
}

FRESH = WATCHED = False
MATRIX = True


def can_run(features):
    """Whether this processor has them."""
    if platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists():
        return False
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].replace("_", ".").split()
    return set(features.replace("+", "").split(",")) <= set(flags)


def activation_errors(machine):
    z = np.linspace(-30, 30, 60_001).astype(np.float32)
    errors = {}
    for code, activation in enumerate(ACTIVATIONS):
        values, slopes = z.copy(), z.copy()
        machine.activate(code, values, slopes, z.size)
        g, slope = reference.ACTIVATIONS[activation]
        x = z.astype(np.float64)
        errors[activation] = [float(np.max(np.abs(values - g(x)))), float(np.max(np.abs(slopes - slope(x))))]
    return errors


def product_error(machine):
    """In parts of what roundings may amount to, (k + 1) 2^-24 sum |a| |b|; rows and columns of every kind of tile."""
    random = np.random.default_rng(0)
    worst, k = 0.0, 300
    for m in (*range(1, 14), 17, 33):
        for n in (*range(1, 18), 24, 31, 33, 48, 49):
            a, b = random.normal(size=(m, k)).astype(np.float32), random.normal(size=(k, n)).astype(np.float32)
            c, d, scratch = np.zeros((m, n), np.float32), np.zeros((m, n), np.float32), np.zeros(64 * k, np.float32)
            machine.product(m, n, k, a, k, 1, b, c, n, c, n, FRESH)
            machine.multiply_turned_right(m, n, k, a, np.ascontiguousarray(b.T), d, scratch)
            a, b = a.astype(np.float64), b.astype(np.float64)
            allowed = (k + 1) * 2**-24 * (np.abs(a) @ np.abs(b))
            worst = max(worst, *(float(np.max(np.abs(found - a @ b) / allowed)) for found in (c, d)))
    return worst


def step_errors(machine):
    """Of the first step of each optimiser from weights of 0."""
    errors = {}
    g = np.random.default_rng(1).normal(size=101).astype(np.float32)
    exact = g.astype(np.float64)
    directions = {
        "sgd": exact, "momentum": 0.2 * exact, "nesterov": 0.36 * exact, "adagrad": np.sign(exact),
        "rmsprop": np.sign(exact) / np.sqrt(0.05), "adam": np.sign(exact), "adamw": np.sign(exact),
    }  # fmt: skip
    for code, name in enumerate(OPTIMIZERS):
        s = settings_of(optimizer=code, momentum=0.8, beta1=0.9, beta2=0.95, epsilon=1e-20)
        at = state_of(learning_rate=0.5, momentum_left=0.8, beta1_left=0.9, beta2_left=0.95)
        w, m, v, before = (np.zeros(size, np.float32) for size in (101, 101, 101, STEP_BLOCK))
        machine.step(s, at, MATRIX, w, g.copy(), m, v, w.size, 0.0, WATCHED, before, np.zeros(3))
        errors[name] = float(np.max(np.abs(w / (-0.5 * directions[name]) - 1)))
    return errors


if __name__ == "__main__":
    for module in ("activations", "optimisers", "products"):
        importlib.import_module(f"hpsearch.engine.kernels.{module}")  # compiles its stages
    compiling = importlib.import_module("hpsearch.engine.kernels.compiling")
    machine = Machine({stage.symbol: stage.kinds for stage in compiling.STAGES}, compiling.object_code())
    answer = {
        "lanes": compiling.LANES,
        "activations": activation_errors(machine),
        "products": product_error(machine),
        "steps": step_errors(machine),
    }
    sys.stdout.write(json.dumps(answer))
