"""A run as its journal tells it: the study, the trials that are there, and how it ended. Readers need no lock.

Of a trial no more is in memory than where its lines stand and its score, some 30 bytes; the rest is read when it is
asked for.
"""

from __future__ import annotations

import heapq
import math
import os
import weakref
from collections.abc import Mapping
from statistics import median_high
from typing import TYPE_CHECKING, Any, TypeVar

from hpsearch.diagnosis.bias import Yardstick
from hpsearch.diagnosis.finalists import Standing, noise, standings
from hpsearch.diagnosis.trials import diagnose
from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.errors import JournalError, RunError
from hpsearch.files import storage_errors
from hpsearch.run_directory.column import Column
from hpsearch.run_directory.journal import FORMAT, Line, encode, parse, read
from hpsearch.trial import TrialResult, TrialState, score, score_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hpsearch.trial import Key

JOURNAL = "journal.jsonl"
LOCK = ".lock"
EARLIER = ("event", "run", "trial", "config", "score", "cost")
USUAL_BYTES = 4096  # of a line

T = TypeVar("T")


class Lines:
    """The lines of a journal by their offsets; the file is opened when the first is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __call__(self, offset: int) -> Line:
        """Raises JournalError where there is no whole line, StorageError."""
        with storage_errors(self._path):
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY)
                weakref.finalize(self, os.close, self._descriptor)
            size = USUAL_BYTES
            while b"\n" not in (content := os.pread(self._descriptor, size, offset)) and len(content) == size:
                size *= 4
        line = parse(offset, content.partition(b"\n")[0])
        if line is None:
            raise JournalError(f"{self._path}: damaged since it was opened; start again")
        return line


class Stored(Mapping[int, T]):
    """By trial what the journal says of it, read when it is asked for and not kept."""

    def __init__(self, line: Callable[[int], Line], make: Callable[[dict[str, Any]], T]) -> None:
        self._line = line
        self._make = make
        self.offsets = Column()

    def __getitem__(self, trial: int) -> T:
        return self._make(self._line(int(self.offsets[trial])).event())

    def part(self, trials: Iterable[int]) -> Stored[T]:
        """Those of these trials that are here."""
        found = Stored(self._line, self._make)
        found.offsets.update((trial, self.offsets[trial]) for trial in trials if trial in self.offsets)
        return found

    def __contains__(self, trial: object) -> bool:
        return trial in self.offsets

    def __iter__(self) -> Iterator[int]:
        return iter(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets)


class RunRecord:
    """Everything that was noted of a run, line by line (see `note`). `line` gives a line of its journal by the offset.

    Attributes:
        study, data: as they were when the run began; empty before.
        results: by trial. scores: of the complete ones, smaller is better. failures: trials that failed.
        running: configurations of trials that have begun and have no result.
        curves, health: of each trial that has a result.
        held: results that wait for others, by which it is decided whether pruning should have cut them short.
        finals: results by trial and repeat. finalists: who took part in the last finals; None: the search went on.
        ensemble: which networks vote and what that gains; None while that is not chosen for what is there.
        refits: by training, what came of it on train and dev together.
        model: the `networks` in model/ (trial, repeat, votes, refit_epochs), and whether an `ensemble` and a `refit`
            were wanted; None while that is not made.
        end: the last end of the run, None while it goes on. counted_before: what counted then, though it went on since.
        evaluations: the openings of the test part. refused: configurations that a person did not let the panda try.
        examinations: by trial, what a look at its model and the data found
            (report/examination.py). earlier: events of results that the run began with.
    """

    def __init__(self, line: Callable[[int], Line]) -> None:
        self._line = line
        self.study: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.results = Stored(line, result_of)
        self.scores = Column()
        self.failures: set[int] = set()
        self.running = Stored(line, lambda event: event["config"])
        self.held = Stored(line, held_of)
        self.curves = Stored(line, lambda event: event["curves"])
        self.health = Stored(line, lambda event: event["health"])
        self._courses = Stored(line, lambda event: (event["curves"], event["health"]))
        self.health.offsets = self._courses.offsets = self.curves.offsets  # of one line of the journal
        self.finals: dict[tuple[int, int], TrialResult] = {}
        self.finalists: dict[str, Any] | None = None
        self.ensemble: dict[str, Any] | None = None
        self.refits: dict[Key, dict[str, Any]] = {}
        self.model: dict[str, Any] | None = None
        self.end: dict[str, Any] | None = None
        self.counted_before: int | list[int] = 0
        self.evaluations: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.examinations: dict[int, dict[str, Any]] = {}
        self.earlier: list[dict[str, Any]] = []
        self._earlier_in_all = 0

    @classmethod
    def load(cls, folder: Path) -> RunRecord:
        """The record of a run directory; RunError if it is none, JournalError if its journal is damaged."""
        path = folder / JOURNAL
        if not path.is_file():
            raise RunError(f"{folder}: not a run directory (it has no {JOURNAL})")
        record = cls(Lines(path))
        for line in read(path):
            record.note(line)
        if not record.begun:
            raise RunError(f"{folder}: its run had no time to begin; start it again")
        return record

    @classmethod
    def of(cls, study: dict[str, Any], data: dict[str, Any], results: Iterable[TrialResult] = ()) -> RunRecord:
        """The record of a run that is in no file."""
        lines: list[Line] = []
        record = cls(lines.__getitem__)
        events = [{"event": "study", "format": FORMAT, "study": study, "data": data}, *map(trial_event, results)]
        for place, event in enumerate(events):
            lines.append(parse(place, encode(place, event)[:-1]))
            record.note(lines[-1])
        return record

    def note(self, line: Line) -> None:
        """Take in one line of the journal."""
        if line.kind == "start":
            self.running.offsets[line.trial] = line.offset
            self.end = self.finalists = self.ensemble = self.model = None
        elif line.kind == "curve":
            self.curves.offsets[line.trial] = line.offset
        elif line.kind == "trial":
            self._note_result(line)
        elif line.kind == "held":
            self.held.offsets[line.trial] = line.offset
        else:
            self._note_rare(line.kind, line.event())

    def _note_result(self, line: Line) -> None:
        event = line.event()
        number, state = event["trial"], event["state"]
        self.running.offsets.discard(number)
        self.held.offsets.discard(number)
        self.results.offsets[number] = line.offset
        if state == TrialState.COMPLETE:
            self.scores[number] = score_of(event["metrics"], self.metric, self.maximize)
        elif state == TrialState.FAIL:
            self.failures.add(number)
        self.end = self.finalists = self.ensemble = self.model = None

    def _note_rare(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "study":
            self.study, self.data = event["study"], event["data"]
            self._earlier_in_all = event.get("earlier", 0)
        elif kind == "end":
            if self.end is not None and self.end["counted"] != event["counted"]:
                self.ensemble = self.model = None  # there may be another winner
            self.end = event
            self.counted_before = event["counted"]
            self.running.offsets.clear()
        elif kind in ("final", "finalists", "ensemble", "refit", "model"):
            self._note_stage(kind, event)
        elif kind == "earlier":
            self.earlier.append({name: event[name] for name in EARLIER if name in event})
        elif kind == "evaluation":
            self.evaluations.append(event)
        elif kind == "refusal":
            self.refused.append(event["config"])
        elif kind == "examination":
            self.examinations[event["trial"]] = event

    def _note_stage(self, kind: str, event: dict[str, Any]) -> None:
        """Take in what comes after the search, unless a repair has lost what it is about."""
        if kind == "final":
            result = result_of(event)
            self.finals[result.number, result.repeat] = result
        elif kind == "finalists":
            again = {(trial, n) for trial in event["trials"] for n in range(1, event["repeats"] + 1)}
            whole = again <= self.finals.keys() and all(trial in self.results for trial in event["trials"])
            self.finalists, self.ensemble, self.model = event if whole else None, None, None
        elif kind == "ensemble":
            self.ensemble = event if all(one["trial"] in self.results for one in event["members"]) else None
        elif kind == "model":
            self.model = event if all(trial in self.results for trial, *_ in event["networks"]) else None
        else:
            self.refits[event["trial"], event["repeat"], event["refit_epochs"]] = event

    @property
    def begun(self) -> bool:
        """Whether all is there that a run begins with; only then it counts as one."""
        return bool(self.study) and len(self.earlier) == self._earlier_in_all

    @property
    def metric(self) -> str:
        """The metric that was optimised."""
        return self.study["metric"]

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.metric in MAXIMIZED_METRICS

    def yardstick(self, human_error: float | None = None) -> Yardstick:
        """What its scores are measured by: a human error that is given goes over the study's."""
        said = self.study.get("human_error") if human_error is None else human_error
        return Yardstick(self.metric, self.data.get("constant", {}), said)

    def diagnosis(self, result: TrialResult, yardstick: Yardstick | None = None) -> str:
        """One word for how a trial went, if there is one."""
        curves, health = self._courses.get(result.number, ({}, {}))
        return diagnose(result, curves, health, yardstick or self.yardstick(), result.config.get("epochs", 0))

    def counted(self) -> Mapping[int, TrialResult]:
        """The results that count, by number: while the run goes on all of them, after its end those that its end names.

        With several workers a run that is cut short may hold results behind a gap. They stay in the journal and count
        once the gap is filled, so a time limit only cuts the tail of what a longer run would have found.
        """
        if self.end is None:
            return self.results
        ended = self.end["counted"]
        return self.results.part(range(ended) if isinstance(ended, int) else ended)

    def events(self, trial: int) -> list[dict[str, Any]]:
        """What the journal tells of a trial that has a result, as `events_of` wrote it."""
        places = (known.offsets[trial] for known in (self.curves, self.results) if trial in known)
        return [self._line(int(offset)).event() for offset in places]

    def ranking(self, most: int | None = None) -> list[int]:
        """The complete trials that count, best first; of equal ones the lower number. At most so many."""
        counted = self.counted()
        found = ((value, trial) for trial, value in self.scores.items() if trial in counted)
        return [trial for _, trial in (sorted(found) if most is None else heapq.nsmallest(most, found))]

    def best(self) -> TrialResult | None:
        """The winner so far: of the finals where there were some, else of the trials."""
        standings = self.standings()
        if standings and math.isfinite(standings[0].mean):
            return self.results[standings[0].trial]
        return next((self.results[number] for number in self.ranking(1)), None)

    def usual(self) -> Mapping[str, Any] | None:
        """The configuration of trial 0 where it is the default one, and not what a grid or an earlier run brought."""
        first = self.results.get(0)
        chosen = self.study["strategy"]["name"] == "grid" or self.study.get("from")
        return None if first is None or chosen else first.config

    def refit_of(self, trial: int, repeat: int) -> Key:
        """The training on train and dev that a training of a complete trial is followed by.

        It takes as many epochs as were best in the middle of the trial's trainings, the first and those of the finals.
        """
        trainings = [self.results[trial]]
        if self.finalists is not None and trial in self.finalists["trials"]:
            trainings += [self.finals[trial, repeat] for repeat in range(1, self.finalists["repeats"] + 1)]
        epochs = [one.best_epoch for one in trainings if one.state is TrialState.COMPLETE and one.best_epoch]
        return trial, repeat, median_high(epochs)

    def standings(self) -> list[Standing]:
        """The finalists by their mean score (smaller is better), best first; empty where there were no finals."""
        if self.finalists is None:
            return []
        rows = self.data["rows"]
        shared = rows["dev"] / rows["train"] if self.finalists["fresh_splits"] else 0.0
        return standings(self._final_scores(), shared)

    def noise(self) -> float | None:
        """The standard deviation of a score from training to training, as the finals show it; None without them."""
        return None if self.finalists is None else noise(self._final_scores())

    def _final_scores(self) -> dict[int, list[float]]:
        """Of each finalist its scores (smaller is better), in the order of the repeats."""
        repeats = range(1, self.finalists["repeats"] + 1)
        return {
            number: [score(self.finals[number, repeat], self.metric, self.maximize) for repeat in repeats]
            for number in self.finalists["trials"]
        }


def events_of(result: TrialResult) -> list[dict[str, Any]]:
    """What the journal notes of a result: its curves, then the line that makes it count."""
    curve = {"event": "curve", "trial": result.number, "curves": _finite(result.curves), "health": result.health}
    return [curve, trial_event(result)]


def held_event(result: TrialResult) -> dict[str, Any]:
    """The line of a result that does not count yet, with all that is needed to cut it short."""
    beside = {name: getattr(result, name) for name in ("health", "survived", "epoch_updates", "epoch_flop")}
    return {**trial_event(result), "event": "held", "curves": _finite(result.curves), **beside}


def held_of(event: dict[str, Any]) -> TrialResult:
    """The result that a "held" event tells, without its weights."""
    result = result_of(event)
    result.curves = {name: [math.nan if v is None else v for v in values] for name, values in result.curves.items()}
    return result


def _finite(curves: dict[str, list[float]]) -> dict[str, list[float | None]]:
    return {name: [value if math.isfinite(value) else None for value in values] for name, values in curves.items()}


def trial_event(result: TrialResult) -> dict[str, Any]:
    """The line of a trial, or of one more training of it."""
    return {
        "event": "final" if result.repeat else "trial",
        "trial": result.number,
        **({"repeat": result.repeat} if result.repeat else {}),
        "state": str(result.state),
        "config": result.config,
        "metrics": result.metrics,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "updates": result.updates,
        "parameters": result.parameters,
        "gflop": result.gflop,
        "error": result.error,
        "reports": [score if math.isfinite(score) else None for score in result.reports],
        "started": round(result.started, 3),
        "seconds": round(result.seconds, 6),
        "worker": result.worker,
    }


def result_of(event: dict[str, Any]) -> TrialResult:
    """The result that a "trial" event tells, without its curves."""
    own = ("event", "trial", "state", "reports")
    rest = {name: value for name, value in event.items() if name not in own}
    reports = [math.inf if score is None else score for score in event.get("reports", [])]
    return TrialResult(number=event["trial"], state=TrialState(event["state"]), reports=reports, **rest)
