"""How much of a search's wall time is training, and what start-up costs: prints a table and writes results.md.

Wall time is that of the whole command, from the shell's point of view, with the engine compiled before. Training is the
sum of the seconds of the trials and of the finals (journal.jsonl); its share is training / (processes * wall). Choosing
who votes and the last training, on train and dev together, are not among them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5
HPSEARCH = [sys.executable, "-m", "hpsearch"]


def seconds_of(command: list[str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def search_once(folder: Path, jobs: int) -> tuple[float, float, int]:
    """Wall seconds, training seconds and trials of the quickstart's search."""
    wall = seconds_of([*HPSEARCH, "random", "digits", "-o", str(folder), "-j", str(jobs)])
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    trained = sum(event["seconds"] for event in events if event["event"] in ("trial", "final"))
    return wall, trained, sum(event["event"] == "trial" for event in events)


def main() -> None:
    """Measure, interleaved, and report medians."""
    jobs = len(os.sched_getaffinity(0))
    subprocess.run([*HPSEARCH, "check"], check=True, capture_output=True)
    walls, shares, bare, helps = [], [], [], []
    trials = 0
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            wall, trained, trials = search_once(Path(folder) / str(repeat), jobs)
            walls.append(wall)
            shares.append(trained / (jobs * wall))
            bare.append(seconds_of([sys.executable, "-c", "import typer"]))
            helps.append(seconds_of([str(Path(sys.executable).with_name("hpsearch")), "--help"]))
            print(f"run {repeat + 1}: {wall:.2f} s, {shares[-1]:.1%} training", file=sys.stderr)
    rows = [
        ("search", f"`hpsearch random digits`, {trials} trials, {jobs} processes"),
        ("wall time", f"{statistics.median(walls):.2f} s ({min(walls):.2f} to {max(walls):.2f})"),
        ("share of it in training", f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"),
        ("`hpsearch --help`", f"{statistics.median(helps):.3f} s"),
        ("`python -c 'import typer'`", f"{statistics.median(bare):.3f} s"),
        ("ratio of the two", f"{statistics.median(h / b for h, b in zip(helps, bare, strict=True)):.2f}"),
    ]
    width = max(len(name) for name, _ in rows)
    table = "\n".join(f"| {name.ljust(width)} | {value} |" for name, value in rows)
    text = f"| {'what'.ljust(width)} | median of {REPEATS} interleaved runs |\n|{'-' * (width + 2)}|---|\n{table}\n"
    print(text, end="")
    Path(__file__).with_name("results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
