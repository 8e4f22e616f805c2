"""Small tables and networks for the tests of the engine, and the way from its flat vector to matrices."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import reference

from hpsearch.engine import cache
from hpsearch.engine.network import Network, Training, start_engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
KEYS = (11, 22)  # of the first weights and of the shuffles
METRIC = {"classification": "log_loss", "regression": "rmse"}


@dataclass
class Part:
    """Rows for the engine."""

    inputs: np.ndarray
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    targets: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))

    @property
    def y(self):
        """What the reference calls y."""
        return self.labels if len(self.labels) else self.targets.astype(np.float64)


def make_part(task, rows, *, features=5, classes=3, seed=0, scale=1.0):
    """Rows ~ N(0, scale^2); the label or target depends on them, with noise. Every class occurs from 3 rows on."""
    random = np.random.default_rng(seed)
    inputs = random.normal(0, scale, (rows, features)).astype(np.float32)
    truth = np.random.default_rng(99).normal(size=(features, classes))  # the same law for train and dev
    z = inputs / scale @ truth + random.normal(0, 0.7, (rows, classes))
    if task == "regression":
        return Part(inputs, targets=np.tanh(z[:, :1]).astype(np.float32))
    labels = z.argmax(axis=1).astype(np.int32)
    labels[: min(rows, classes)] = np.arange(min(rows, classes))
    return Part(inputs, labels=labels)


SPARSE_FEATURES = 2 * 25 + 13 + 1


def make_sparse_part(task, rows, *, classes=3, seed=0):
    """Rows of two columns in 25 bins, one of 13 categories or none of them, and one number; as `make_part` else."""
    random = np.random.default_rng(seed)
    bins = np.arange(25)
    columns = random.uniform(-2, 27, (rows, 2, 1))
    columns[::3] = columns[::3].round()
    low, high = np.where(bins == 0, -1, 0), np.where(bins == 24, 2, 1)
    in_bins = np.clip(columns - bins, low, high).reshape(rows, -1)
    category = np.eye(14)[random.integers(0, 14, rows)][:, :13]
    inputs = np.concatenate([in_bins, category, random.normal(size=(rows, 1))], axis=1).astype(np.float32)
    shown = make_part(task, rows, classes=classes, seed=seed)
    return Part(inputs, shown.labels, shown.targets)


def make_network(task, *, features=5, classes=3, metric=None, keys=KEYS, **hyperparameters):
    """A network of two small hidden layers where nothing else is said; it trains all its epochs."""
    return Network(
        {"hidden": [6, 4], "batch_size": 8, "epochs": 2, "patience": 0} | hyperparameters,
        n_inputs=features,
        n_outputs=classes if task == "classification" else 1,
        task=task,
        metric=metric or METRIC[task],
        keys=keys,
    )


def train_to_end(network, train, dev):
    training = Training(network, train, dev)
    training.advance_by(10**9)
    return training


def matrices(weights, sizes):
    """The flat vector as (list of W, list of b), float64 copies."""
    Ws, bs, start = [], [], 0
    for n_in, n_out in itertools.pairwise(sizes):
        Ws.append(np.array(weights[start : start + n_in * n_out], np.float64).reshape(n_in, n_out))
        start += n_in * n_out
        bs.append(np.array(weights[start : start + n_out], np.float64))
        start += n_out
    assert start == len(weights)
    return Ws, bs


def tensors(weights, network):
    """The flat vector of any network as lists of W, b, gamma, running means and variances, float64 copies.

    By the layout's description, not by its table of places: W, b and with batch norm gamma of every hidden layer, W and
    b of the output, then mean and variance of each norm.
    """
    normed = network.hyperparameters["batch_norm"]
    values = iter(np.array(weights, np.float64))

    def take(*shape):
        return np.array(list(itertools.islice(values, math.prod(shape)))).reshape(shape)

    widths = network.sizes.tolist()
    Ws, bs, gammas, means, variances = [], [], [], [], []
    for l, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        Ws.append(take(n_in, n_out))
        bs.append(take(n_out))
        if normed and l < len(widths) - 2:
            gammas.append(take(n_out))
    for n_out in widths[1:-1] if normed else []:
        means.append(take(n_out))
        variances.append(take(n_out))
    assert not list(values)
    return Ws, bs, gammas, means, variances


def flat(Ws, bs, gammas=()):
    """The way back but for the statistics: W row by row, then b, then gamma if there is one, layer after layer."""
    layers = itertools.zip_longest(Ws, bs, gammas, fillvalue=np.zeros(0))
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def task_of(network):
    return "classification" if network.settings["task"][0] == 0 else "regression"


def reference_of(training):
    """The reference network with the weights that `training` has at its start, and the optimiser that it uses."""
    network = training.network
    full = network.hyperparameters
    Ws, bs, gammas, _, _ = tensors(training.weights, network)
    net = reference.Net(
        Ws, bs, full["activation"], task_of(network), gammas, full["output"], full["loss"], full["huber_delta"]
    )
    return net, reference.OPTIMISERS[full["optimizer"]](full)


def class_weights_of(training):
    """One for each class, or None."""
    said = training.network.hyperparameters["class_weight"]
    if said == "balanced":
        return reference.balanced_weights(training.train.labels, int(training.network.sizes[-1]))
    return None if said == "none" else said


def updates_an_epoch(training):
    rows = len(training.train.inputs)
    return -(-rows // training.network.batch_rows(rows))


def rules_of(training):
    """What else an update of `training` does, for the reference."""
    full, steps = training.network.hyperparameters, updates_an_epoch(training)
    names = ("l2", "l1", "label_smoothing", "clip_norm", "weight_decay", "max_norm")
    return reference.Rules(
        **{name: full[name] for name in names},
        ema=math.exp(-1 / (2 * steps)) if full["ema"] == "auto" else full["ema"],
        class_weight=class_weights_of(training),
        rate=lambda t: reference.learning_rate(t, steps, full),
    )


OF_THE_WAY, OF_ITSELF = 2e-5, 1e-6


def assert_near(found, expected, first):
    """Tensors after some ten updates in float32: each may be off by 2e-5 of the way that it has gone since `first`.

    A wrong formula changes that by percents. And by 1e-6 of itself, some ten roundings of 6e-8, for what hardly moves.
    The worst that was seen is a third of that; PyTorch in float32 is as far from PyTorch in float64.
    """
    for mine, theirs, before in zip(found, expected, first, strict=True):
        allowed = OF_THE_WAY * np.linalg.norm(theirs - before) + OF_ITSELF * np.linalg.norm(theirs)
        assert np.linalg.norm(mine - theirs) <= allowed


def run_script(name, *arguments, **environment):
    """Run a script of this folder in a fresh Python; returns what it printed as JSON.

    It does not inherit the parent's cache folder, so that XDG_CACHE_HOME decides; None takes a variable away.
    """
    return finish_script(start_script(name, *arguments, **environment))


def start_script(name, *arguments, **environment):
    """The same without waiting."""
    env = {
        name: value for name, value in os.environ.items() if name not in {"HPSEARCH_ENGINE_CACHE", "NUMBA_CACHE_DIR"}
    }
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE.parent)]), "PYTHONWARNINGS": "error"}
    env |= environment
    return subprocess.Popen(
        [sys.executable, str(HERE / name), *arguments],
        env={name: value for name, value in env.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_script(process):
    try:
        out, err = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return json.loads(out)


# --- Copies of the cache of compiled code, and damage to them ---


def copy_cache(home):
    """Make `home` an XDG_CACHE_HOME with a copy of the folder that this process has its kernels from; the copy."""
    start_engine()
    used = cache.cache_folder()
    return shutil.copytree(used, home / "hpsearch" / used.name)


def file_of(folder, pattern):
    (found,) = folder.rglob(pattern)
    return found


def truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def garble(path):
    """One bit in the middle: the length stays, and no unpickling need notice."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
