"""How long opening a journal takes, and what it leaves in memory: prints a table.

    python experiments/benchmarks/overhead/replay.py --trials 1000,33333,333333

A trial has three lines: its start, its curves over twenty epochs, its result. `replay` reads them as every command does
that looks at a run; `resume` also tells evolve's strategy of every result, as a search does that goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import status, study_of

from hpsearch.engine.layout import CURVES
from hpsearch.run_directory.journal import FORMAT, encode
from hpsearch.run_directory.record import JOURNAL, RunRecord, events_of
from hpsearch.study import Study
from hpsearch.trial import TrialResult, TrialState

EPOCHS = 20
LINES = 3  # of a trial


def write_journal(file: Path, trials: int) -> None:
    """A run of evolve with made-up scores."""
    study, strategy = study_of("evolve", trials)
    rows = {"train": 3000, "dev": 1000, "test": 1000}
    begin = {"event": "study", "format": FORMAT, "study": study.to_dict()}
    begin |= {"data": {"task": "classification", "sha256": "", "rows": rows}, "run": {}}
    with file.open("wb") as journal:
        journal.write(encode(0, begin))
        for number in range(trials):
            result = made_up(number, strategy.ask(number))
            strategy.tell(number, result.config, result.metrics["dev_log_loss"])
            events = [{"event": "start", "trial": number, "config": result.config}, *events_of(result)]
            for place, event in enumerate(events, start=1 + LINES * number):
                journal.write(encode(place, event))


def made_up(number: int, config: dict) -> TrialResult:
    """A result whose numbers have as many digits as real ones."""
    score = 1 / (3 + number % 97)
    metrics = {f"{part}_{name}": score / 3 for part in ("dev", "train") for name in ("log_loss", "accuracy")}
    curve = [float(f"{score / (7 + epoch):.7g}") for epoch in range(EPOCHS)]
    return TrialResult(
        number, config, TrialState.COMPLETE, metrics=metrics, best_epoch=EPOCHS, epochs=EPOCHS, updates=1234,
        parameters=12345, gflop=1.234567, curves=dict.fromkeys(CURVES, curve), started=1e9 + number / 7,
        seconds=score, reports=[score] * 3, health={"epochs": [1]},
    )  # fmt: skip


def measure(folder: Path, *, resume: bool) -> dict[str, float]:
    """Seconds, and bytes that are kept."""
    memory, start = status("VmRSS"), time.perf_counter()
    record = RunRecord.load(folder)
    if resume:
        _, strategy = study_of("evolve", len(record.results))
        directory = type("Directory", (), {"record": record})
        Study(directory, strategy, range(len(record.results)), stop=None)
    return {"seconds": time.perf_counter() - start, "bytes": status("VmRSS") - memory, "trials": len(record.results)}


def main() -> None:
    """Write a journal of each size and open it in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", default="1000,33333,333333")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        print(json.dumps(measure(options.open, resume=options.resume)))
        return
    print("| what | trials | records | seconds | us a record | bytes a trial |\n| --- | --: | --: | --: | --: | --: |")
    for trials in map(int, options.trials.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            write_journal(Path(folder) / JOURNAL, trials)
            for what, flags in (("replay", []), ("resume", ["--resume"])):
                command = [sys.executable, __file__, "--open", folder, *flags]
                runs = [
                    json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                    for _ in range(options.repeats)
                ]
                best = min(runs, key=lambda run: run["seconds"])
                records = 1 + LINES * trials
                print(
                    f"| {what} | {trials:,} | {records:,} | {best['seconds']:.3g} | "
                    f"{best['seconds'] / records * 1e6:.2f} | {best['bytes'] / trials:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
