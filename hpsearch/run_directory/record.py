"""A run as its journal tells it: the study, the trials that are there, and how it ended. Readers need no lock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpsearch.diagnosis.finalists import Standing, standings
from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.errors import RunError
from hpsearch.run_directory.journal import decode, read
from hpsearch.trial import TrialResult, TrialState, best_of, score

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

JOURNAL = "journal.jsonl"
EARLIER = ("event", "run", "trial", "config", "score")


@dataclass
class RunRecord:
    """Everything that was noted of a run, event by event (see `note`)."""

    study: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    results: dict[int, TrialResult] = field(default_factory=dict)
    running: dict[int, dict[str, Any]] = field(default_factory=dict)
    curve_offsets: dict[int, int] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    counted_before: int | list[int] = 0  # by the last end, though the run went on since
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[tuple[int, int], TrialResult] = field(default_factory=dict)  # by trial and repeat
    finalists: dict[str, Any] | None = None  # the trials that took part in the last finals; None: the search went on
    earlier: list[dict[str, Any]] = field(default_factory=list)  # events of results that the run began with
    _earlier_in_all: int = 0

    @classmethod
    def load(cls, folder: Path) -> RunRecord:
        """The record of a run directory; RunError if it is none, JournalError if its journal is damaged."""
        path = folder / JOURNAL
        if not path.is_file():
            raise RunError(f"{folder}: not a run directory (it has no {JOURNAL})")
        record = cls.replay(read(path))
        if not record.begun:
            raise RunError(f"{folder}: its run had no time to begin; start it again")
        return record

    @classmethod
    def replay(cls, events: Iterable[tuple[int, dict[str, Any]]]) -> RunRecord:
        """The record that these (offset, event) pairs tell."""
        record = cls()
        for offset, event in events:
            record.note(offset, event)
        return record

    def note(self, offset: int, event: dict[str, Any]) -> None:
        """Take in one event of the journal, which stands at `offset`."""
        kind = event["event"]
        if kind == "study":
            self.study, self.data = event["study"], event["data"]
            self._earlier_in_all = event.get("earlier", 0)
        elif kind == "earlier":
            self.earlier.append({name: event[name] for name in EARLIER})
        elif kind == "start":
            self.running[event["trial"]] = event["config"]
            self.end = self.finalists = None
        elif kind == "curve":
            self.curve_offsets[event["trial"]] = offset
        elif kind == "trial":
            result = result_of(event)
            self.running.pop(result.number, None)
            self.results[result.number] = result
            self.end = self.finalists = None
        elif kind == "final":
            result = result_of(event)
            self.finals[result.number, result.repeat] = result
        elif kind == "finalists":
            self.finalists = event
        elif kind == "end":
            self.end = event
            self.counted_before = event["counted"]
            self.running = {}
        elif kind == "evaluation":
            self.evaluations.append(event)

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

    def counted(self) -> dict[int, TrialResult]:
        """The results that count, by number: while the run goes on all of them, after its end those that its end names.

        With several workers a run that is cut short may hold results behind a gap. They stay in the journal and count
        once the gap is filled, so a time limit only cuts the tail of what a longer run would have found.
        """
        ended = self.end["counted"] if self.end else None
        numbers = self.results if ended is None else range(ended) if isinstance(ended, int) else ended
        return {number: self.results[number] for number in sorted(numbers) if number in self.results}

    def best(self) -> TrialResult | None:
        """The winner so far: of the finals where there were some, else of the trials."""
        standings = self.standings()
        if standings and math.isfinite(standings[0].mean):
            return self.results[standings[0].trial]
        return best_of(self.counted(), self.metric, self.maximize)

    def standings(self) -> list[Standing]:
        """The finalists by their mean score (smaller is better), best first; empty where there were no finals."""
        if self.finalists is None:
            return []
        rows = self.data["rows"]
        shared = rows["dev"] / rows["train"] if self.finalists["fresh_splits"] else 0.0
        repeats = range(1, self.finalists["repeats"] + 1)
        return standings(
            {
                number: [score(self.finals[number, repeat], self.metric, self.maximize) for repeat in repeats]
                for number in self.finalists["trials"]
            },
            shared,
        )


def events_of(result: TrialResult) -> list[dict[str, Any]]:
    """What the journal notes of a result: its curves, then the line that makes it count."""
    curve = {"event": "curve", "trial": result.number, "curves": _finite(result.curves), "health": result.health}
    return [curve, trial_event(result)]


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
    own = ("event", "seq", "crc", "trial", "state", "reports")
    rest = {name: value for name, value in event.items() if name not in own}
    reports = [math.inf if score is None else score for score in event.get("reports", [])]
    return TrialResult(number=event["trial"], state=TrialState(event["state"]), reports=reports, **rest)


def read_curves(folder: Path, record: RunRecord, number: int) -> dict[str, list[float | None]]:
    """The learning curves of a trial, from their place in the journal; empty if there are none."""
    offset = record.curve_offsets.get(number)
    if offset is None:
        return {}
    with (folder / JOURNAL).open("rb") as file:
        file.seek(offset)
        event = decode(file.readline().rstrip(b"\n"))
    return event["curves"] if event else {}
