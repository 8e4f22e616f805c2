"""One core and one thread for everything that is measured, and what that core can do at most."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

PEAK_SIZE = 1024


def hold_to_one_core() -> None:
    """Pin this process and limit every library; to be called before PyTorch and JAX are imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    threadpool_limits(1)


class Peak:
    """The most floating-point operations a second that NumPy's float32 product of two 1024 x 1024 matrices reached."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.left, self.right = rng.normal(size=(2, PEAK_SIZE, PEAK_SIZE)).astype(np.float32)
        self.product = np.empty_like(self.left)
        self.flops = 0.0

    def measure(self, products: int = 3) -> None:
        """Try again: called between the runs, so that it sees the machine as they see it."""
        for _ in range(products):
            start = time.perf_counter()
            np.matmul(self.left, self.right, out=self.product)
            self.flops = max(self.flops, 2 * PEAK_SIZE**3 / (time.perf_counter() - start))


def processor() -> str:
    """The name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def describe(*packages: str) -> str:
    """Processor, interpreter and the versions of packages, those that are installed, in one line."""
    versions = []
    for name in packages:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    machine = f"One core of {os.cpu_count()} of an {processor()}, {platform.system()}"
    return f"{machine}, Python {python}, {', '.join(versions)}."


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return "| " + " | ".join([cells[0].ljust(len(first)), *rest]) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)]) + "\n"
