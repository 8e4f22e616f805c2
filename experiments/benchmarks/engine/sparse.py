"""What do terms in the place of bins and categories save? Training on real sets, with them and with dense products.

    python experiments/benchmarks/strategies/datasets.py
    python experiments/benchmarks/engine/sparse.py

One process. Each repeat trains both ways, one after the other, for three epochs with a dev evaluation after each; the
ratio is the median over the repeats.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "strategies"))

from datasets import SETS
from engine_task import Task

from hpsearch.engine import network as network_module
from hpsearch.engine.network import Network, Training
from hpsearch.engine.sparse import DENSE, sparse_inputs

NORMALIZE = "piecewise_linear"
SHAPES = (([64], 32), ([128, 128], 64), ([256, 256], 128))
REPEATS, EPOCHS = 7, 3


def main() -> None:
    """Print a table."""
    print("| set | inputs | terms | to find them, s |", end="")
    print("".join(f" {'-'.join(map(str, hidden))}, batches of {rows} |" for hidden, rows in SHAPES))
    print("|" + "---|" * (4 + len(SHAPES)))
    for name in SETS:
        if name == "mnist_5k":
            continue  # pixels have no bins
        task = Task.open(name, 0, space={"normalize": NORMALIZE})
        parts = [task.data.part(part, NORMALIZE) for part in ("train", "dev")]
        start = time.perf_counter()
        most = sparse_inputs(*(part.inputs for part in parts)).most
        seconds = time.perf_counter() - start
        cells = [f"{ratio_of(task, parts, *shape):.2f}" if most else "dense" for shape in SHAPES]
        print(f"| {name} | {parts[0].inputs.shape[1]} | {most} | {seconds:.2f} | {' | '.join(cells)} |", flush=True)


def ratio_of(task: Task, parts: list, hidden: list[int], batch_size: int) -> float:
    """Time with dense products / time with terms."""
    found = []
    for _ in range(REPEATS):
        dense, sparse = (
            seconds_of(task, parts, {"hidden": hidden, "batch_size": batch_size}, how)
            for how in (lambda *_: DENSE, sparse_inputs)
        )
        found.append(dense / sparse)
    return median(found)


def seconds_of(task: Task, parts: list, hyperparameters: dict, how: object) -> float:
    """Of a training to its end, without what compiles or is kept from earlier."""
    network = Network(
        hyperparameters | {"epochs": EPOCHS, "patience": 0, "activation": "silu"},
        n_inputs=parts[0].inputs.shape[1], n_outputs=task.data.n_outputs, task=task.data.task, metric=task.metric,
    )  # fmt: skip
    with mock.patch.object(network_module, "sparse_inputs", how):
        training = Training(network, *parts)
    training.advance_by(1)
    start = time.perf_counter()
    while training.advance():
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
