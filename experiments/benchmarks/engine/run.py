"""How fast the engine trains beside scikit-learn, PyTorch and JAX: prints tables and writes results.md.

Every engine has one process (this one), one thread and the same core, the same rows, the same number of updates. After
each has trained once (and compiled), the runs of all engines and the products that measure the machine's peak take
turns; times and ratios are medians.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jobs import Job, all_jobs
from machine import Peak, describe, hold_to_one_core, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PEERS = ("hpsearch_engine", "sklearn_mlp", "torch_autograd", "torch_by_hand", "jax_plain", "jax_scan")
TRIES = 3  # runs of each variant before the best is chosen


@dataclass
class Contender:
    """An engine at one job: its best variant, and the seconds of its runs."""

    name: str
    variant: str
    start: Callable[[Job, int], Any]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds of the whole job."""
        return statistics.median(self.seconds)


def train_once(start: Callable[[Job, int], Any], job: Job, seed: int) -> tuple[float, float, Any]:
    """Wall and CPU seconds of a training, and the trained engine; ValueError for another number of updates."""
    engine = start(job, seed)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    engine.train()
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    if engine.updates != job.updates:
        raise ValueError(f"{start}: {engine.updates} updates instead of {job.updates}")
    return seconds, cpu_seconds, engine


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(chosen, 1e-12))))


def best_variant(peer: ModuleType, job: Job) -> Contender:
    """The contender with the fastest of the peer's variants, after a first run of each that may compile."""
    fastest = {}
    for variant, start in peer.VARIANTS.items():
        train_once(start, job, 0)
        tries = TRIES if len(peer.VARIANTS) > 1 else 0
        fastest[variant] = min((train_once(start, job, 0)[0] for _ in range(tries)), default=0.0)
    variant = min(fastest, key=fastest.__getitem__)
    return Contender(peer.NAME, variant, peer.VARIANTS[variant])


def compete(peers: list[ModuleType], job: Job, peak: Peak, repeats: int) -> list[Contender]:
    """All engines at one job; each repeat begins with another engine."""
    contenders = [best_variant(peer, job) for peer in peers]
    for repeat in range(repeats):
        peak.measure()
        first = repeat % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            seconds, cpu_seconds, engine = train_once(contender.start, job, repeat)
            contender.seconds.append(seconds)
            contender.cpu_seconds.append(cpu_seconds)
            contender.losses.append(log_loss(engine.probabilities(), job.labels))
        print(".", end="", file=sys.stderr, flush=True)
    print(f" {job.name}", file=sys.stderr)
    return contenders


def undisturbed(results: list[tuple[Job, list[Contender]]]) -> float:
    """The share of the runs' wall time in which this process had the core: well below 1 on a busy machine."""
    contenders = [contender for _, found in results for contender in found]
    return sum(sum(c.cpu_seconds) for c in contenders) / sum(sum(c.seconds) for c in contenders)


def ratio(contender: Contender, ours: Contender) -> float:
    """How many times as long as ours it takes: the median over the repeats."""
    return statistics.median(a / b for a, b in zip(contender.seconds, ours.seconds, strict=True))


def job_section(job: Job, contenders: list[Contender], peak: Peak) -> str:
    """The table of one job."""
    rows = []
    for contender in contenders:
        rate, loss = job.flops / contender.median, statistics.median(contender.losses)
        low, high = 1e3 * min(contender.seconds), 1e3 * max(contender.seconds)
        rows.append([
            contender.name, f"{1e3 * contender.median:.1f}", f"{low:.1f} to {high:.1f}", f"{rate / 1e9:.1f}",
            f"{rate / peak.flops:.0%}", f"{ratio(contender, contenders[0]):.2f}", f"{loss:.4f}", contender.variant,
        ])  # fmt: skip
    head = ["engine", "ms", "range", "GFLOP/s", "of peak", "time / ours", "loss", "variant"]
    title = f"## {job.name}, batch {job.batch}, {job.epochs} epochs"
    return f"{title}\n\n{job.updates:,} updates, {job.flops / 1e9:.2f} GFLOP.\n\n{table(head, rows)}"


def summary(results: list[tuple[Job, list[Contender]]], peak: Peak) -> str:
    """What was reached and what issue 3 asks for, in brackets."""
    rows = []
    for job, contenders in results:
        ours = contenders[0]
        ratios = {contender.name: f"{ratio(contender, ours):.2f}" for contender in contenders}
        rows.append([
            job.name,
            f"{1e3 * ours.median:.1f}",
            f"{job.flops / ours.median / peak.flops:.0%} ({job.goal.share:.0%})",
            f"{ratios.get('JAX plain', '-')} ({job.goal.jax:g})",
            f"{ratios.get('JAX tuned', '-')} ({job.goal.jax:g})",
            f"{ratios.get('scikit-learn', '-')} ({job.goal.sklearn:g})",
            ratios.get("PyTorch", "-"),
            ratios.get("PyTorch by hand", "-"),
        ])  # fmt: skip
    head = ["job (goals in brackets)", "ms", "of peak", "x JAX plain", "x JAX tuned", "x scikit-learn", "x PyTorch",
            "x PyTorch by hand"]  # fmt: skip
    return table(head, rows)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="", help="jobs with this in their name; results.md is left alone then")
    arguments = parser.parse_args()
    hold_to_one_core()
    peers, absent = [], []
    for name in PEERS:
        try:
            peers.append(importlib.import_module(f"peers.{name}"))
        except ModuleNotFoundError as error:
            absent.append(f"`{name}` is left out: {error.name} is not installed.\n\n")
    peak = Peak()
    jobs = [job for job in all_jobs() if arguments.only in job.name]
    results = [(job, compete(peers, job, peak, arguments.repeats)) for job in jobs]

    about = describe("hpsearch", "numpy", "scipy", "numba", "scikit-learn", "torch", "jax")
    shared = f"which had the core for {undisturbed(results):.0%} of their time"
    runs = f"Medians of {arguments.repeats} interleaved runs, {shared}."
    peak_line = f"Peak: {peak.flops / 1e9:.1f} GFLOP/s, the best float32 product of 1024 x 1024 by NumPy in this run."
    parts = [
        "# Speed of the engine\n\n", f"{about} {runs} {peak_line}\n\n",
        *absent, summary(results, peak), *(f"\n{job_section(job, found, peak)}" for job, found in results),
    ]  # fmt: skip
    text = "".join(parts)
    print(text, end="")
    if not arguments.only:
        Path(__file__).with_name("results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
