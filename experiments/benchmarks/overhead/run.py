"""What strategies and the loop cost for each trial, with an objective that costs nothing; prints Markdown tables.

    python run.py --trials 100,1000,10000 --repeats 3 --minutes 2

Optuna's searches need optuna 5, and are left out without it. Every measurement is a process of its own (measure.py);
all searches of a size come after each other, then the next repeat, then the next size.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "engine"))
from machine import describe

MEASURE = Path(__file__).with_name("measure.py")
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)  # as hpsearch's command does
STRATEGIES = ("random", "grid", "evolve", "optuna random", "optuna tpe")
LOOPS = ("random loop", "grid loop", "evolve loop")
SIZES = "100,1000,10000,100000,1000000"
ONCE = 0.1  # of the limit: what takes longer is measured once
RATIOS = (
    ("optuna random", "random"),
    ("optuna tpe", "random"),
    ("optuna tpe", "evolve"),
    ("optuna random", "random loop"),
    ("optuna tpe", "evolve loop"),
)

Measured = dict[tuple[str, int], list[dict[str, Any]]]


def measured(search: str, trials: int, limit: float) -> dict[str, Any]:
    """One measurement: {trials, seconds, last, memory}."""
    command = [sys.executable, str(MEASURE), search, str(trials), str(limit)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | THREADS)
    return json.loads(done.stdout)


def measure_all(searches: list[str], sizes: list[int], repeats: int, limit: float) -> Measured:
    """Every search at every size, interleaved; nothing where it would take too long."""
    found: Measured = defaultdict(list)
    pace: dict[str, float] = {}
    for trials in sizes:
        for repeat in range(repeats):
            for search in searches:
                known = found[search, trials]
                too_long = pace.get(search, 0.0) * trials > limit if repeat == 0 else not known
                if too_long or (repeat and known[0]["seconds"] > ONCE * limit):
                    continue
                known.append(measured(search, trials, limit))
                print(f"{search}, {trials}: {known[-1]}", file=sys.stderr, flush=True)
                pace[search] = known[-1]["last"]
    return found


def median(found: Measured, search: str, trials: int, what: str) -> float | None:
    """Of the repeats; None where the search did not come so far."""
    known = [run[what] for run in found[search, trials] if run["trials"] == trials]
    return statistics.median(known) if known else None


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """In Markdown, with an empty line behind it."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def cell(found: Measured, search: str, trials: int, what: str, unit: float) -> str:
    """The median, or how far the search came until the limit."""
    value = median(found, search, trials, what)
    if value is not None:
        return f"{value * unit:.3g}"
    cut = found[search, trials]
    return f"too long ({cut[0]['last'] * 1e3:.3g} at {cut[0]['trials']:,})" if cut and what == "last" else "too long"


def report(found: Measured, searches: list[str], sizes: list[int], limit: float) -> str:
    """All tables."""
    heads = ["search", *(f"{trials:,} trials" for trials in sizes)]
    lines = [f"{describe('numpy', 'optuna')}", ""]
    for title, what, unit in (
        ("Milliseconds for a trial at the end of the search", "last", 1e3),
        ("Seconds of the whole search", "seconds", 1.0),
        ("Memory in kB for a trial: growth of the peak, over the trials", "memory", 1e-3),
    ):
        lines += [f"{title} (too long: over {limit / 60:g} min)", ""]
        lines += table(heads, [[search, *(cell(found, search, n, what, unit) for n in sizes)] for search in searches])
    lines += ["Ratios of the seconds of whole searches, the median of repeats next to each other", ""]
    rows = []
    for other, own in [pair for pair in RATIOS if {*pair} <= {*searches}]:
        cells = []
        for trials in sizes:
            pairs = zip(found[other, trials], found[own, trials], strict=False)
            both = [a["seconds"] / b["seconds"] for a, b in pairs if a["trials"] == b["trials"] == trials]
            cells.append(f"{statistics.median(both):.3g}" if both else "")
        rows.append([f"{other} / {own}", *cells])
    return "\n".join([*lines, *table(heads, rows)])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", default=SIZES, help="sizes of the searches, separated by commas")
    parser.add_argument("--searches", default=",".join([*STRATEGIES, *LOOPS]), help="separated by commas")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=2, help="longer searches are left out or cut")
    options = parser.parse_args()
    sizes, searches = sorted(map(int, options.trials.split(","))), options.searches.split(",")
    if unknown := set(searches) - {*STRATEGIES, *LOOPS}:
        parser.error(f"no such search: {', '.join(sorted(unknown))}; there are {', '.join([*STRATEGIES, *LOOPS])}")
    if not importlib.util.find_spec("optuna"):
        print("without Optuna, which is not installed", file=sys.stderr)
        searches = [search for search in searches if not search.startswith("optuna")]
    found = measure_all(searches, sizes, options.repeats, 60 * options.minutes)
    print(report(found, searches, sizes, 60 * options.minutes))


if __name__ == "__main__":
    main()
