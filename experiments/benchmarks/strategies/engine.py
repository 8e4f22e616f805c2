"""Which search finds the better network, and how soon? Test scores on the eight real sets of datasets.py.

    python engine.py --seconds 60 --seeds 1 --sets german,phoneme --searches random,evolve,tpe,sklearn
    python engine.py --seconds 60 --report

Needs optuna 5 and scikit-learn beside hpsearch. Each line of engine_runs.jsonl is a run, which is not run again; take
out those of older sources, whose checksum is in each line. All searches on a set with a seed come after each other,
then the next set, then the next seed, so that whatever there is compares like with like. The report (engine_report.py)
goes to the standard output.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from datasets import SETS

SCORES = Path(__file__).resolve().parents[1] / "data" / "engine" / "scores.jsonl"
SEARCHES = ("grid", "random", "evolve", "random_unpruned", "evolve_unpruned", "tpe", "sklearn")


def main() -> None:
    """Run what is asked for and is not there yet, or report."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before NumPy is imported
    from engine_report import report  # noqa: PLC0415
    from engine_searches import OTHERS, OWN  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each search")
    parser.add_argument("--trials", type=int, default=100, help="that hpsearch plans for; it goes on after them")
    parser.add_argument("--seeds", type=int, default=5, help="so many: 0, 1, ...")
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas")
    parser.add_argument("--searches", default=",".join(SEARCHES), help=f"of {', '.join([*OWN, *OTHERS])}")
    parser.add_argument("--jobs", type=int, default=2, help="processes that train")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no more is begun")
    parser.add_argument("--report", action="store_true", help="only report")
    options = parser.parse_args()
    sets, searches = options.sets.split(","), options.searches.split(",")
    for kind, names, known in (("set", sets, SETS), ("search", searches, [*OWN, *OTHERS])):
        if unknown := set(names) - set(known):
            parser.error(f"no such {kind}: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    budget = {"seconds": options.seconds, "trials": options.trials, "jobs": options.jobs}
    store = Path(__file__).with_name("engine_runs.jsonl")
    if not options.report:
        complete(store, sets, range(options.seeds), searches, budget, options.minutes)
    wanted = [run for run in load(store, budget) if run["set"] in sets and run["search"] in searches]
    print(report([run for run in wanted if run["seed"] < options.seeds], searches, budget))


def complete(
    store: Path, sets: list[str], seeds: range, searches: list[str], budget: dict[str, float], minutes: float
) -> None:
    """Run what is lacking; which search begins changes from set to set, for the machine's pace drifts."""
    from engine_searches import Scores, run  # noqa: PLC0415 - what they import must find the variables of main()
    from engine_task import Task  # noqa: PLC0415

    done = {(known["set"], known["search"], known["seed"]) for known in load(store, budget)}
    subprocess.run([sys.executable, "-m", "hpsearch", "check"], check=True, capture_output=True)  # compiles
    SCORES.parent.mkdir(parents=True, exist_ok=True)
    scores, start = Scores(SCORES), time.monotonic()
    pairs = [(seed, name) for seed in seeds for name in sets]
    for place, (seed, name) in enumerate(pairs):
        first = place % len(searches)
        left = [s for s in searches[first:] + searches[:first] if (name, s, seed) not in done]
        if not left:
            continue
        task = Task.open(name, seed)
        for search in left:
            if time.monotonic() - start > 60 * minutes:
                return
            course = run(name, search, task, **budget, scores=scores)
            line = {"set": name, "search": search, "seed": seed, **budget, "metric": task.metric, "code": version()}
            line |= {"constant": task.constant_test_score(), **asdict(course)}
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            last = f"{course.points[-1].test:.4g}" if course.points else "no model"
            print(
                f"{seed} {name} {search}: {course.finished} trials, {course.failed} failed, test {last}",
                file=sys.stderr,
                flush=True,
            )


def load(store: Path, budget: dict[str, float]) -> list[dict]:
    """The runs of this budget."""
    lines = store.read_text(encoding="utf-8").splitlines() if store.exists() else []
    return [found for line in lines if budget.items() <= (found := json.loads(line)).items()]


def version() -> str:
    """A checksum of hpsearch's sources, which may change while this runs."""
    folder = Path(importlib.util.find_spec("hpsearch").origin).parent
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


if __name__ == "__main__":
    main()
