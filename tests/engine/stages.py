"""The engine's stages one by one: by name, compiled or not, with the vectors that they read and arrays in cages."""

import importlib
import itertools
import math

import numpy as np
from engine.cases import COMPILED, KEYS, METRIC, make_part

from hpsearch.engine.layout import SETTINGS, STATE
from hpsearch.engine.network import Network, start_engine

KERNELS = "hpsearch.engine.kernels"
# Where the stages are that the entries do not import: uncompiled, each is a function of its module.
MODULES = ("training", "products", "activations", "optimisers", "norms", "outputs", "metrics", "health", "sparse")
FOUR_KEYS = (*KEYS, 33, 44)  # of dropout and augmentation too
FLOAT = np.float32 if COMPILED else np.float64  # of stages whose arithmetic is in question, not the shape of arrays


def stage(name):
    """A stage as a function of numbers and arrays."""
    if COMPILED:
        return getattr(start_engine(), name)
    modules = (importlib.import_module(f"{KERNELS}.{module}") for module in MODULES)
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def settings_of(**values):
    """What a run is told: these, everything else 0."""
    return record(SETTINGS, values)


def state_of(**values):
    return record(STATE, values)


def record(dtype, values):
    made = np.zeros(1, dtype)
    for name, value in values.items():
        made[name] = value
    return made.view(np.float64)


# --- Networks of images and of anything ---


def make_image_network(shape, *, task="classification", classes=3, metric=None, keys=FOUR_KEYS, **hyperparameters):
    """A small network for images."""
    settings = {"hidden": [6, 4], "batch_size": 8, "epochs": 2, "patience": 0}
    return Network(
        settings | hyperparameters,
        n_inputs=math.prod(shape),
        n_outputs=classes if task == "classification" else 1,
        task=task,
        metric=metric or METRIC[task],
        keys=keys,
        image_shape=shape,
    )


def parts_of(network, train_rows, dev_rows, **options):
    """Rows to train on and to judge by."""
    task = "classification" if network.settings["task"][0] == 0 else "regression"
    features, classes = int(network.sizes[0]), max(2, int(network.sizes[-1]))
    options = {"features": features, "classes": classes} | options
    return make_part(task, train_rows, **options), make_part(task, dev_rows, seed=1, **options)


def bits_left(training):
    """Everything that training leaves behind."""
    kept = {name: getattr(training, name).tobytes() for name in ("weights", "best", "curves", "health")}
    return kept | {name: training.state[name].tobytes() for name in STATE.names}


# --- SplitMix64 once more, of many counters at a time; reference.py has it in Python's integers ---


def bits(key, count):
    """The first outputs of the stream `key`; arrays of uint64 wrap at 2^64 by themselves."""
    z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


# --- Cages: arrays between margins that nobody may read or write ---

MARGIN = 64  # numbers, four of the widest vectors
MAGIC = 0x7FC0DEAD  # a NaN: whoever reads it passes it on


class Cage:
    """Room for arrays float32, each between margins of NaN."""

    def __init__(self, size):
        self.words = np.full(size, MAGIC, np.uint32)
        self.used = []
        self.end = 0

    def clear(self):
        """Take all arrays out; what they left behind becomes margin again."""
        self.words[: self.end + MARGIN] = MAGIC
        self.used.clear()
        self.end = 0

    def put(self, values):
        """A caged copy of the values, flat."""
        values = np.asarray(values, np.float32).reshape(-1)
        start = self.end + MARGIN
        self.end = start + values.size
        assert self.end + MARGIN <= self.words.size
        self.used.append((start, self.end))
        room = self.words[start : self.end].view(np.float32)
        room[:] = values
        return room

    def is_intact(self):
        """Whether every margin is as it was."""
        edges = [0, *itertools.chain.from_iterable(self.used), self.end + MARGIN]
        return all(np.all(self.words[a:b] == MAGIC) for a, b in zip(edges[::2], edges[1::2], strict=True))
