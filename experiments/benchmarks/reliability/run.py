"""What is lost when processes die: hpsearch beside pools of processes and Optuna's stores; prints Markdown tables.

    python run.py --tasks 2000 --repeats 3 --kills 20

Optuna's rows need optuna 5 and sqlalchemy, loky's joblib; what is not installed is left out. Needs Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engines import KILL_SECONDS, MODULES, PROCESSES, TASK_SECONDS
from stores import optuna_store

from hpsearch.engine.cache import processor
from hpsearch.executors.base import available_cpus
from hpsearch.run_directory.record import RunRecord

HERE = Path(__file__).parent
LEFT_SECONDS = 4.0
STORES = {"hpsearch": "hpsearch", "optuna SQLite": "optuna", "optuna JournalFile": "optuna"}
ENVIRONMENT = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def start(module: str, *words) -> subprocess.Popen:
    """A process of its own; not as a script, for what its children are to run must have a module."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import {module}; {module}.main()", *map(str, words)],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=ENVIRONMENT,
    )


def session(leader: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdecimal() else "Z"
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            found.append(int(entry.name))
    return found


def end(leader: int) -> None:
    for pid in session(leader):
        os.kill(pid, signal.SIGKILL)


# --- Ways of running tasks in processes ---


def measured(name: str, test: str, tasks: int) -> dict:
    process = start("engines", name, test, tasks)
    line = process.stdout.readline()
    process.wait()
    end(process.pid)
    return json.loads(line) if line else {"done": 0, "killed": 0, "seconds": None}


def left_behind(name: str) -> int:
    """Processes that are there some seconds after the one that started them was killed."""
    process = start("engines", name, "hold")
    process.stdout.readline()
    process.kill()
    process.wait()
    time.sleep(LEFT_SECONDS)
    left = session(process.pid)
    end(process.pid)
    return len(left)


def engine_rows(tasks: int, repeats: int) -> list[list[str]]:
    names = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    found = {name: {"empty": [], "chaos": [], "quiet": [], "left": []} for name in names}
    for _ in range(repeats):
        for name in names:
            for test in ("empty", "quiet", "chaos"):
                found[name][test].append(measured(name, test, tasks))
            found[name]["left"].append(left_behind(name))
    rows = []
    for name, tests in found.items():
        whole = [run for run in tests["chaos"] if run["seconds"] and run["done"] == tasks]
        quiet = statistics.median(run["seconds"] for run in tests["quiet"])
        dearer = f"{statistics.median(run['seconds'] for run in whole) / quiet:.2f}" if whole else ""
        empty = statistics.median(run["seconds"] for run in tests["empty"]) / tasks
        deaths = "/".join(str(run["killed"]) for run in tests["chaos"])
        left = "/".join(map(str, tests["left"]))
        rows.append([name, f"{1e6 * empty:.0f} us", f"{len(whole)} of {repeats}", deaths, dearer, left])
    return rows


# --- Stores ---


def kill_again_and_again(name: str, folder: Path, trials: int, kills: int) -> list[float]:
    """Start a search, kill it at a random moment, start it again; the seconds to each first new trial."""
    chance, seconds = random.Random(name), []
    for _ in range(kills):
        began = time.monotonic()
        process = start("stores", name, folder, trials)
        if process.stdout.readline():
            seconds.append(time.monotonic() - began)
            time.sleep(chance.uniform(0.0, 0.3))
        end(process.pid)
        process.wait()
    process = start("stores", name, folder, trials)
    process.wait()
    return seconds


def trials_of(name: str, folder: Path) -> list[tuple[int, str]]:
    """(number, state) of all trials that were begun, as the tool tells them."""
    if name == "hpsearch":
        record = RunRecord.load(folder / "run")
        return [(number, "finished") for number in record.results] + [(number, "RUNNING") for number in record.running]
    import optuna  # noqa: PLC0415 - may not be installed

    study = optuna.load_study(study_name="s", storage=optuna_store(name, folder))
    states = ((trial.number, trial.state) for trial in study.get_trials(deepcopy=False))
    return [(number, "finished" if state.is_finished() else state.name) for number, state in states]


def opens_with_half_a_line(name: str, folder: Path) -> str:
    """What a search says of a store whose last bytes a power cut took."""
    if name == "optuna SQLite":
        return ""  # SQLite has its own journal; its file may not be cut
    (file,) = [*folder.glob("study.log"), *folder.glob("run/journal.jsonl")]
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size - 20)
    for _ in range(2):  # the second time, for the first one may have written behind the damage
        process = start("stores", name, folder, 10_000)
        begun = process.stdout.readline()
        end(process.pid)
        process.wait()
        if not begun:
            return "does not open any more"
    return "goes on"


def store_rows(trials: int, kills: int) -> list[list[str]]:
    rows = []
    for name, module in STORES.items():
        if not importlib.util.find_spec(module):
            continue
        with tempfile.TemporaryDirectory() as place:
            seconds = kill_again_and_again(name, Path(place), trials, kills)
            found = trials_of(name, Path(place))
            running = sum(state == "RUNNING" for _, state in found)
            finished = sum(state == "finished" for _, state in found)
            torn = opens_with_half_a_line(name, Path(place))
        rows.append([name, f"{finished} of {trials}", str(running), f"{statistics.median(seconds):.2f} s", torn])
    return rows


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=1000, help="of the search that is killed again and again")
    options = parser.parse_args()
    model = processor().partition("\n")[0].partition(":")[2].strip()
    print(f"{available_cpus()} cores of {model}, Python {platform.python_version()}.\n")
    print(f"## {options.tasks} tasks in {PROCESSES} processes\n")
    head = ["", "an empty task", "all done in chaos", "workers killed", "times as long", "left behind"]
    print(table(head, engine_rows(options.tasks, options.repeats)), flush=True)
    print(f"\nChaos: tasks of {1000 * TASK_SECONDS:g} ms, a worker killed every {1000 * KILL_SECONDS:g} ms.", end=" ")
    print(f"Left behind: processes {LEFT_SECONDS:g} s after the one that started them was killed.")
    print(f"\n## A search killed {options.kills} times and started again\n")
    head = [
        "",
        "trials finished",
        "left running",
        "from start to first new trial",
        "its file without the last 20 bytes",
    ]
    print(table(head, store_rows(options.trials, options.kills)))


if __name__ == "__main__":
    main()
