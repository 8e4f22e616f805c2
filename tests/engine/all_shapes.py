"""Train and evaluate networks of many shapes; as a program, print a digest of every bit that came out.

Imported to see what options there are; run in fresh processes to see that they give the same bits and need no compiler;
run between fences (see fences.py) to see that nothing is read or written beside the arrays.
"""

import hashlib
import importlib
import itertools
import json
import sys

import numpy as np
from engine.cases import COMPILED, SPARSE_FEATURES, Part, make_network, make_sparse_part
from engine.fences import fence
from engine.stages import bits_left, make_image_network, parts_of

from hpsearch.engine.hyperparameters import AUGMENTATIONS
from hpsearch.engine.layout import (
    ACTIVATIONS,
    CHUNK_ROWS,
    CURVES,
    INITS,
    METRICS,
    MOMENTUM_FORMS,
    OPTIMIZERS,
    OUTPUTS,
    SCHEDULES,
)
from hpsearch.engine.network import Training, start_engine

HIDDEN = ([], [1], [7], [5, 3], [4, 4, 4], [2, 9, 1, 6, 3, 8])
BATCH_SIZES = (1, 7, 23, "full")
ROWS, DEV_ROWS, OTHER_ROWS = 23, 9, 300  # the last more than one piece of an evaluation
METRICS_OF = {"classification": METRICS[:5], "regression": METRICS[5:]}
IMAGES = ((2, 3), (3, 4, 1), (2, 2, 3), (1, 5))
# What a network may have: each draws one of every line.
OPTIONS = {
    "activation": ACTIVATIONS,
    "init": INITS,
    "batch_norm": (False, True),
    "optimizer": OPTIMIZERS,
    "momentum_form": MOMENTUM_FORMS,
    "momentum_correction": (False, True),
    "schedule": SCHEDULES,
    "warmup": (0.0, 0.5, 1.0),
    "l2": (0.0, 0.1),
    "l1": (0.0, 0.05),
    "weight_decay": ("auto", 0.1),
    "dropout": (0.0, 0.3),
    "input_dropout": (0.0, 0.2),
    "clip_norm": (0.0, 0.5),
    "max_norm": (0.0, 1.0),
    "ema": (0.0, 0.9),
    "augment": ("none", "noise", "mixup", *AUGMENTATIONS, "+".join(AUGMENTATIONS)),
}
OPTIONS_OF = {
    "classification": {
        "output": OUTPUTS,
        "loss": ("auto", "cross_entropy"),
        "label_smoothing": (0.0, 0.1),
        "class_weight": ("none", "balanced"),
    },
    "regression": {"loss": ("squared", "huber"), "huber_delta": (0.3, 3.0)},
}
# Shapes that are worth a training of their own: widths that are stepped in pieces, batches that are worked off in some.
LARGE = (
    ("classification", [150, 130], 20, 40),
    ("regression", [5], "full", CHUNK_ROWS + 90),
    ("classification", [5], "full", 2 * CHUNK_ROWS),
)


def sparse_networks():
    """(network, train, dev, other rows), of depth x batch size, all of whose inputs are sparse."""
    for number, (hidden, batch_size) in enumerate(itertools.product(HIDDEN, BATCH_SIZES)):
        network = make_network(
            "classification", features=SPARSE_FEATURES, hidden=hidden, batch_size=batch_size, epsilon=1e-3,
            batch_norm=number % 2 == 0,
        )  # fmt: skip
        yield network, *(make_sparse_part("classification", rows) for rows in (ROWS, DEV_ROWS, OTHER_ROWS))


def all_networks():
    """(network, training rows) for every metric x depth x batch size; then the large ones.

    The epsilon is so large that no step hangs on the sign of a gradient that is nothing but rounding.
    """
    tasks = ((task, metric) for task, metrics in METRICS_OF.items() for metric in metrics)
    small = (
        (task, metric, hidden, batch_size, ROWS)
        for (task, metric), hidden, batch_size in itertools.product(tasks, HIDDEN, BATCH_SIZES)
    )
    large = (
        (task, METRICS_OF[task][0], hidden, batch_size, rows)
        for (task, hidden, batch_size, rows), _ in itertools.product(LARGE, range(6))
    )
    for number, (task, metric, hidden, batch_size, rows) in enumerate([*small, *large]):
        draw = np.random.default_rng(number)
        drawn = {name: values[draw.integers(len(values))] for name, values in (OPTIONS | OPTIONS_OF[task]).items()}
        shape, classes = IMAGES[draw.integers(len(IMAGES))], int(draw.choice([2, 3, 5]))
        network = make_image_network(
            shape, task=task, classes=classes, metric=metric, hidden=hidden, batch_size=batch_size, learning_rate=0.01,
            epsilon=1e-3, epochs=2, patience=1, **drawn,
        )  # fmt: skip
        yield network, rows


def all_cases():
    """(network, train, dev, other rows): every shape, then the sparse ones."""
    for network, rows in all_networks():
        train, dev = parts_of(network, rows, DEV_ROWS)
        yield network, train, dev, parts_of(network, rows, OTHER_ROWS)[1]
    yield from sparse_networks()


def run(network, train, dev, other, digest):
    """Train, evaluate and predict; add all bits to the digest and return the last dev loss."""
    training = Training(network, train, dev)
    while training.advance_by(5) == 0:
        pass
    assert training.status in {"finished", "stopped early"}
    for array in bits_left(training).values():
        digest.update(array)
    digest.update(network.evaluate(training.best, other)[0].tobytes())
    for array in network.predict(training.best, Part(other.inputs)):
        digest.update(b"" if array is None else array.tobytes())
    return float(training.curve_rows()[-1, CURVES.index("dev_loss")])


def run_all(step=1 if COMPILED else 5):
    """The last dev losses of all networks, or of every so many, and a digest of all that they left behind."""
    digest = hashlib.sha256()
    losses = [run(*case, digest) for case in itertools.islice(all_cases(), 0, None, step)]
    return losses, digest.hexdigest()


def check_views():
    """Uncompiled, products see matrices in flat arrays; NumPy does not look where such a view ends, so this does."""
    products = importlib.import_module("hpsearch.engine.kernels.products")
    unchecked = products._matrix

    def matrix(flat, rows, columns, row, step):
        if (rows - 1) * row + (columns - 1) * step >= flat.size:
            raise IndexError("a matrix beyond its array")
        return unchecked(flat, rows, columns, row, step)

    products._matrix = matrix


if __name__ == "__main__":
    if not COMPILED:
        check_views()
    announced = []
    start_engine(announced.append)
    for side in sys.argv[1:]:
        fence(side)
    losses, digest = run_all()
    numba = "numba" in sys.modules
    answer = {"announced": len(announced), "losses": losses, "digest": digest, "numba": numba}
    sys.stdout.write(json.dumps(answer))
