"""Train and evaluate networks of many shapes; as a program, print a digest of every bit that came out.

Imported to see that nothing compiles again; run in another process to see that it gives the same bits; run with
NUMBA_BOUNDSCHECK=1 to see that no index leaves its array.
"""

import hashlib
import itertools
import json
import os
import sys

import numpy as np
from engine.cases import Part, make_network, make_part

from hpsearch.engine.layout import ACTIVATIONS, CURVES, INITS, METRICS, OPTIMIZERS
from hpsearch.engine.network import Training, start_engine

HIDDEN = ([], [1], [7], [5, 3], [4, 4, 4], [2, 9, 1, 6, 3, 8])
BATCH_SIZES = (1, 7, 23, "full")
ROWS, DEV_ROWS, OTHER_ROWS = 23, 9, 300  # the last more than one piece of an evaluation
METRICS_OF = {"classification": METRICS[:5], "regression": METRICS[5:]}


def all_networks():
    """(network, classes) for every depth x batch size x metric; activations, optimisers and schemes take turns."""
    turns = zip(
        itertools.cycle(ACTIVATIONS), itertools.cycle(OPTIMIZERS), itertools.cycle(INITS), itertools.cycle([2, 3, 5])
    )
    tasks = ((task, metric) for task, metrics in METRICS_OF.items() for metric in metrics)
    cases = itertools.product(tasks, HIDDEN, BATCH_SIZES)
    for ((task, metric), hidden, batch_size), (activation, optimizer, init, classes) in zip(cases, turns, strict=False):
        network = make_network(
            task, features=classes + 1, classes=classes, metric=metric, hidden=hidden, batch_size=batch_size,
            activation=activation, optimizer=optimizer, init=init, learning_rate=0.01, l2=0.1, epochs=2, patience=1,
        )  # fmt: skip
        yield task, classes, network


def run_all():
    """The last dev losses of all networks, and a digest of all their weights, curves and predictions."""
    digest, losses = hashlib.sha256(), []
    for task, classes, network in all_networks():
        train, dev, other = (
            make_part(task, rows, features=classes + 1, classes=classes, seed=rows)
            for rows in (ROWS, DEV_ROWS, OTHER_ROWS)
        )
        training = Training(network, train, dev)
        while training.advance_by(5) == 0:
            pass
        assert training.status in {"finished", "stopped early"}
        for array in (training.weights, training.best, training.curve_rows()):
            digest.update(array.tobytes())
        digest.update(network.evaluate(training.best, other)[0].tobytes())
        network.evaluate(training.best, Part(dev.inputs))
        losses.append(training.curve_rows()[-1, CURVES.index("dev_loss")])
    return losses, digest.hexdigest()


def is_bounds_checked():
    """Whether a vector that is too short is noticed. Only asked where it should be: elsewhere it is written past."""
    network = make_network("classification", hidden=[])
    try:
        start_engine().initialise(np.zeros(1, np.float32), network.sizes, network.settings)
    except IndexError:
        return True
    return False


if __name__ == "__main__":
    announced = []
    start_engine(announced.append)
    losses, digest = run_all()
    answer = {"announced": len(announced), "losses": losses, "digest": digest}
    if os.environ.get("NUMBA_BOUNDSCHECK") == "1":
        answer["bounds checked"] = is_bounds_checked()
    sys.stdout.write(json.dumps(answer))
