"""One search on a real set, from the command to the models that it would have handed over on its way.

hpsearch is run as its command line, and watching changes nothing of it: what its run directory holds at which moment is
seen by the size of the journal. At a time limit hpsearch counts the trials without a gap before them, so the
model at a moment is the best of those. Its score on the test part is that of the same trial trained once more, which
gives the same network (this is checked by the dev score), after the search and outside of its time. The plan is
for `trials`, which decides lag and the grid's mesh, but the search goes on until the time is up. Finals come after
that, and are told of beside it; in the searches called _finals they are within the time, as hpsearch does it when
nobody says otherwise, and what it has at the end is asked of its own `evaluate`.

The peers (engine_peers.py) hand over the best of what they have finished.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import path
from engine_notes import noted
from engine_task import Course, Point, marked, train

from hpsearch.config import BudgetConfig, StrategyConfig
from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.trial import Trial, TrialState, best_of

if TYPE_CHECKING:
    from engine_task import Task

    from hpsearch.trial import TrialResult

PEERS = Path(__file__).with_name("engine_peers.py")
LOOK_SECONDS = 0.02
NO_MODEL = 3  # hpsearch's exit code when nothing was finished in time

# Name: hpsearch's command and its flags.
OWN = {
    "grid": ("grid",),
    "random": ("random",),
    "evolve": ("evolve",),
    "random_unpruned": ("random", "--no-prune"),
    "evolve_unpruned": ("evolve", "--no-prune"),
    "grid_finals": ("grid",),
    "random_finals": ("random",),
    "evolve_finals": ("evolve",),
    "evolve_unpruned_finals": ("evolve", "--no-prune"),
}
FINALS_AFTER = ("grid", "random", "evolve")
FINALS_WITHIN = ("grid_finals", "random_finals", "evolve_finals", "evolve_unpruned_finals")
OTHERS = ("tpe", "tpe_default", "sklearn")


class Scores:
    """Test scores of trials that were trained once more, kept in a file: searches share many of their trials."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known: dict[str, tuple[float, float]] = {}
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            key, dev, test = json.loads(line)
            self.known[key] = dev, test

    def of(self, task: Task, results: list[TrialResult], jobs: int) -> dict[int, float]:
        """By trial; ValueError when one does not repeat its dev score."""
        left = {result.number: result for result in results if self._kept(task, result) is None}
        waiting = [Trial(result.number, result.config) for result in left.values()]

        def take(again: TrialResult) -> None:
            dev, found = (result.metrics[f"dev_{task.metric}"] for result in (left[again.number], again))
            if dev != found:
                raise ValueError(f"{task.study.data.source}: trial {again.number}: {dev!r} there, {found!r} once more")
            key, test = self._key(task, again), task.test_score(again)
            self.known[key] = dev, test
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, dev, test]) + "\n")

        if waiting:
            with task.executor(jobs) as executor:
                train(executor, lambda: waiting.pop(0) if waiting else None, take)
        return {result.number: self.known[self._key(task, result)][1] for result in results}

    def _kept(self, task: Task, result: TrialResult) -> float | None:
        """The test score, unless the trial has come out otherwise than it did then."""
        dev, test = self.known.get(self._key(task, result), (None, None))
        return test if dev == result.metrics[f"dev_{task.metric}"] else None

    @staticmethod
    def _key(task: Task, result: TrialResult) -> str:
        data = task.study.data
        return json.dumps([Path(data.source).name, task.study.seed, result.number, result.config], sort_keys=True)


def run(name: str, search: str, task: Task, *, seconds: float, trials: int, jobs: int, scores: Scores) -> Course:
    """One search of `seconds` on the set `name`; `trials` are those that hpsearch plans for."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if search in OWN:
            own = _Own(name, search, task, trials=trials, jobs=jobs, folder=Path(folder) / "run")
            return own.course(seconds, scores)
        return peer(name, search, task, seconds, jobs, Path(folder))


class _Own:
    """A search by the command line of hpsearch."""

    def __init__(self, name: str, search: str, task: Task, *, trials: int, jobs: int, folder: Path) -> None:
        self.task, self.search, self.jobs, self.folder = task, search, jobs, folder
        command, *flags = OWN[search]
        lag = StrategyConfig().begun(BudgetConfig(trials=trials), {}).lag
        self.command = [
            *(sys.executable, "-m", "hpsearch", command, str(path(name)), *flags, "-q"),
            *("-o", str(folder), "-j", str(jobs), "--lag", str(lag), "--set", f"strategy.planned={trials}"),
            *("--seed", str(task.study.seed), "--set", f"data.split.seed={task.study.seed}"),
        ]  # fmt: skip

    def course(self, seconds: float, scores: Scores) -> Course:
        """Search, judge the models at the marks, then go on with the finals."""
        within = self.search in FINALS_WITHIN
        limits = ["--timeout", f"{seconds}s", *([] if within else ["--finalists", "0"])]
        wall, sizes = self._watched([*self.command, *limits])
        if not (self.folder / JOURNAL).exists():
            return Course(0, 0, [], wall)
        finished, bests = self._bests(sizes, seconds)
        results = {point.what: point for point in marked(bests, seconds)}
        record = RunRecord.load(self.folder)
        tests = scores.of(self.task, [record.results[number] for number in results], self.jobs)
        points = [Point(p.trials, p.seconds, p.dev, tests.get(p.what), p.what) for p in bests]
        if within and (winner := record.best()):
            dev = winner.metrics[f"dev_{self.task.metric}"]
            points.append(Point(finished, seconds, dev, self._own_test_score(), winner.number))
        failed = sum(record.results[number].state is TrialState.FAIL for number in range(finished))
        counted = len(record.counted())
        finals = self._finals(counted) if self.search in FINALS_AFTER and counted > 1 else None
        return Course(finished, failed, points, wall, finals)

    def _watched(self, command: list[str]) -> tuple[float, list[tuple[float, int]]]:
        """Run it; its wall seconds, and the sizes (bytes) that the journal had from which second on."""
        sizes = [(0.0, 0)]
        start = time.time()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                time.sleep(LOOK_SECONDS)
                journal = self.folder / JOURNAL
                size = journal.stat().st_size if journal.exists() else 0
                if size > sizes[-1][1]:
                    sizes.append((time.time() - start, size))
            wall = time.time() - start
            said = process.stderr.read()
        if process.returncode not in (0, NO_MODEL):
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
        return wall, sizes

    def _bests(self, sizes: list[tuple[float, int]], seconds: float) -> tuple[int, list[Point]]:
        """Trials finished in time, and each that was the best of those before it; `what` is its number."""
        moments = iter(sizes)
        now, size = next(moments)
        settled: dict[int, float] = {}
        for line in read(self.folder / JOURNAL):
            while size <= line.offset:
                now, size = next(moments, (math.inf, math.inf))
            if line.kind == "trial":
                settled[line.trial] = now
        results = RunRecord.load(self.folder).results
        points: list[Point] = []
        best, now, number = None, 0.0, 0
        while (now := max(now, settled.get(number, math.inf))) <= seconds:
            rivals = {n: results[n] for n in {number, best} - {None}}
            winner = best_of(rivals, self.task.metric, maximize=False)
            if winner and winner.number != best:
                best = winner.number
                points.append(Point(number + 1, now, winner.metrics[f"dev_{self.task.metric}"], None, best))
            number += 1
        return number, points

    def _finals(self, counted: int) -> dict[str, float]:
        """The score of the winner of the finals, and the seconds that they took."""
        wall, _ = self._watched([*self.command, "-n", str(counted)])
        return {"test": self._own_test_score(), "seconds": wall}

    def _own_test_score(self) -> float:
        """What `hpsearch evaluate` says of the model that is there."""
        command = [sys.executable, "-m", "hpsearch", "evaluate", str(self.folder), "-f", "json"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return json.loads(said)["scores"][self.task.metric]


def peer(name: str, search: str, task: Task, seconds: float, jobs: int, folder: Path) -> Course:
    """A search by engine_peers.py, which uses `folder`."""
    file, errors, start = folder / "trainings.jsonl", folder / "errors.txt", time.time()
    arguments = [search, name, str(task.study.seed), str(jobs), str(start + seconds), str(file)]
    variables = os.environ | {"PYTHONWARNINGS": "ignore", "JOBLIB_TEMP_FOLDER": str(folder)}
    with errors.open("w", encoding="utf-8") as output:
        # A session of its own, so that its workers can be ended with it.
        process = subprocess.Popen(
            [sys.executable, str(PEERS), *arguments], stderr=output, start_new_session=True, env=variables
        )
        try:
            if search == "sklearn":
                time.sleep(seconds)
            else:
                process.wait()
            failed = process.poll() not in (None, 0)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if failed:
        raise RuntimeError(f"{search} on {name}: {errors.read_text(encoding='utf-8')}")
    points: list[Point] = []
    trainings = noted(file, start + seconds)
    for number, training in enumerate(trainings, start=1):
        if training["dev"] < (points[-1].dev if points else math.inf):
            points.append(Point(number, training["at"] - start, training["dev"], training["test"], training["what"]))
    failed = sum(training["dev"] == math.inf for training in trainings)
    return Course(len(trainings), failed, points, time.time() - start)
