"""How the cost of an update grows with the network, the batch, the data and the options: prints and writes growth.md.

Everything changes one thing about one plain training. Each run stands between two runs of the plain one, on one core
with one thread; ratios are medians over the repeats of its time to theirs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import Peak, describe, hold_to_one_core, table

from hpsearch.engine.hyperparameters import AUGMENTATIONS, HYPERPARAMETERS, IMAGE_AUGMENTATIONS
from hpsearch.engine.network import Network, Training, start_engine

ROWS, FEATURES, CLASSES = 4096, 64, 10
PLAIN = {
    "hidden": [64, 64], "activation": "relu", "optimizer": "adam", "batch_size": 64, "learning_rate": 1e-3,
    "patience": 0,
}  # fmt: skip
RUN_SECONDS = 0.05  # a run is about that long, and at least one epoch
OPTIONS: list[dict[str, Any]] = [
    {"dropout": 0.2}, {"input_dropout": 0.2}, {"batch_norm": True}, {"l2": 0.1}, {"l1": 0.1}, {"weight_decay": 0.01},
    {"label_smoothing": 0.1}, {"clip_norm": 1.0}, {"max_norm": 2.0}, {"ema": 0.99}, {"class_weight": "balanced"},
    {"output": "logistic"}, {"warmup": 5.0},
]  # fmt: skip


@cache
def some_rows(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal inputs float32, and any labels int32."""
    rng = np.random.default_rng(rows + features)
    inputs = rng.standard_normal((rows, features), np.float32)
    return inputs, rng.integers(0, CLASSES, rows).astype(np.int32)


class Rows:
    """What the engine takes for rows: the first `count`, or all."""

    def __init__(self, rows: int, features: int, count: int | None = None) -> None:
        inputs, labels = some_rows(rows, features)
        self.inputs, self.labels, self.targets = inputs[:count], labels[:count], np.zeros((0, 1), np.float32)


@dataclass
class Case:
    """A training that differs from the plain one, its CPU seconds an update, and their ratios to the plain one's."""

    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    rows: int = ROWS
    features: int = FEATURES
    image_shape: tuple[int, int] | None = None
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    megabytes: float = 0.0  # of the arrays of a Training, beside the rows
    failure: str = ""

    @property
    def batch(self) -> int:
        """Rows of a whole batch."""
        size = (PLAIN | self.changes)["batch_size"]
        return self.rows if size == "full" else min(size, self.rows)

    @property
    def flops(self) -> float:
        """Floating-point operations of the matrix products of a mean update, the last of an epoch being short."""
        sizes = [self.features, *(PLAIN | self.changes)["hidden"], CLASSES]
        weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
        return self.rows * (6 * sum(weights) - 2 * weights[0]) / -(-self.rows // self.batch)

    @property
    def median(self) -> float:
        """Seconds of an update."""
        return statistics.median(self.seconds)

    def training(self) -> Training:
        """One that lasts about RUN_SECONDS."""
        expected = (self.flops / 50e9 + 5e-6) * -(-self.rows // self.batch)
        epochs = max(1, round(RUN_SECONDS / expected))
        shape = {} if self.image_shape is None else {"image_shape": self.image_shape}
        network = Network(
            PLAIN | {"epochs": epochs} | self.changes, n_inputs=self.features, n_outputs=CLASSES,
            task="classification", metric="log_loss", keys=(1, 2), **shape,
        )  # fmt: skip
        return Training(network, Rows(self.rows, self.features), Rows(self.rows, self.features, 1))

    def run(self) -> float:
        """CPU seconds of an update: of this one thread, so that other processes on the core count less."""
        training = self.training()
        start = time.thread_time()
        while training.advance():
            pass
        seconds = time.thread_time() - start
        if training.status != "finished":
            raise ValueError(training.status)
        return seconds / training.updates

    def try_out(self) -> bool:
        """Whether the engine can do it; measures memory by the way."""
        try:
            self.run()
            tracemalloc.start()
            kept = self.training()
            self.megabytes = tracemalloc.get_traced_memory()[0] / 1e6
            tracemalloc.stop()
            del kept
        except Exception as error:  # noqa: BLE001 - whatever it is, the other cases go on
            tracemalloc.stop()
            self.failure = f"{type(error).__name__}: {error}"
        return not self.failure


def measure(cases: list[Case], repeats: int, peak: Peak) -> Case:
    """Fill in the cases, each between two runs of the plain one, which is returned."""
    plain = Case("plain")
    plain.try_out()
    able = [case for case in cases if case.try_out()]
    for repeat in range(repeats):
        peak.measure()
        before = plain.run()
        for case in able if repeat % 2 else able[::-1]:
            seconds = case.run()
            after = plain.run()
            plain.seconds.append(after)
            case.seconds.append(seconds)
            case.ratios.append(2 * seconds / (before + after))
            before = after
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return plain


def sweep_table(name: str, cases: list[Case], plain: Case) -> str:
    """Cost of an update against one size."""
    head = [name, "us / update", "ns / row", "GFLOP/s", "time / plain", "FLOP / plain", "MB of arrays"]
    rows = []
    for case in cases:
        if case.failure:
            rows.append([case.label, case.failure, *[""] * 5])
            continue
        mean_rows = case.rows / -(-case.rows // case.batch)
        rows.append([
            case.label, f"{1e6 * case.median:.2f}", f"{1e9 * case.median / mean_rows:.0f}",
            f"{case.flops / case.median / 1e9:.1f}", f"{statistics.median(case.ratios):.2f}",
            f"{case.flops / plain.flops:.2f}", f"{case.megabytes:.2f}",
        ])  # fmt: skip
    return table(head, rows)


def option_table(cases: list[Case], plain: Case) -> str:
    """Cost of each option switched on alone."""
    head = ["option", "us / update", "time / plain", "range", "arrays / plain"]
    rows = [["plain", f"{1e6 * plain.median:.2f}", "1.00", "", "1.00"]]
    for case in cases:
        if case.failure:
            rows.append([case.label, case.failure, "", "", ""])
            continue
        rows.append([
            case.label, f"{1e6 * case.median:.2f}", f"{statistics.median(case.ratios):.2f}",
            f"{min(case.ratios):.2f} to {max(case.ratios):.2f}", f"{case.megabytes / plain.megabytes:.2f}",
        ])  # fmt: skip
    return table(head, rows)


def sweeps() -> dict[str, list[Case]]:
    """One size at a time."""
    widths = [2**power for power in range(3, 11)]
    batches = [*(2**power for power in range(12)), "full"]
    return {
        "width": [Case(f"{width}", {"hidden": [width, width]}) for width in widths],
        "depth": [Case(f"{depth}", {"hidden": [64] * depth}) for depth in range(1, 11)],
        "batch": [Case(f"{batch}", {"batch_size": batch}) for batch in batches],
        "rows": [Case(f"{10**power:,}", rows=10**power) for power in range(3, 7)],
        "features": [Case(f"{count}", features=count) for count in (4, 16, 64, 256, 1000, 2000)],
    }


def options() -> list[Case]:
    """One technique at a time: the regularisers, then every word of activation, optimiser, schedule, augmentation."""
    changes = [*OPTIONS]
    for name in ("activation", "optimizer", "schedule"):
        changes += [{name: word} for word in HYPERPARAMETERS[name].words if word not in (PLAIN.get(name), "constant")]
    cases = [Case(", ".join(f"{name} {value}" for name, value in change.items()), change) for change in changes]
    for name in [*AUGMENTATIONS, "+".join(IMAGE_AUGMENTATIONS)]:
        shape = None if name in {"noise", "mixup"} else (8, 8)
        cases.append(Case(f"augment {name}" if "+" not in name else "all eight of images", {"augment": name}))
        cases[-1].image_shape = shape
    return cases


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="", help="width, depth, batch, rows, features or options; saves nothing")
    arguments = parser.parse_args()
    hold_to_one_core()
    start_engine()
    peak = Peak()
    sections = []
    for name, cases in sweeps().items():
        if arguments.only in {"", name}:
            plain = measure(cases, arguments.repeats, peak)
            sections.append(f"\n## {name.capitalize()}\n\n{sweep_table(name, cases, plain)}")
            some_rows.cache_clear()
    if arguments.only in {"", "options"}:
        cases = options()
        plain = measure(cases, arguments.repeats, peak)
        sections.append(f"\n## Options, one at a time\n\n{option_table(cases, plain)}")
    text = (
        "# How the cost of an update grows\n\n"
        f"{describe('hpsearch', 'numpy', 'scipy', 'numba')} Peak: {peak.flops / 1e9:.1f} GFLOP/s. Plain: {FEATURES} "
        f"features, {PLAIN['hidden']} ReLU units, {CLASSES} classes, batch {PLAIN['batch_size']}, {ROWS:,} rows, Adam. "
        f"Medians of {arguments.repeats} interleaved runs.\n{''.join(sections)}"
    )
    print(text, end="")
    if not arguments.only:
        Path(__file__).with_name("growth.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
