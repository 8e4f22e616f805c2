"""A run directory that is being written: locked, its journal open, its views made anew as results arrive."""

from __future__ import annotations

import heapq
import re
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch import strict_yaml
from hpsearch.errors import HpsearchError, RunError
from hpsearch.files import make_folder, storage_errors, write_atomically
from hpsearch.run_directory.journal import FORMAT, Journal, read
from hpsearch.run_directory.lock import RunLock
from hpsearch.run_directory.record import JOURNAL, LOCK, Lines, RunRecord, events_of, held_event, trial_event
from hpsearch.run_directory.results import write_best, write_views
from hpsearch.run_directory.weights import KeptWeights
from hpsearch.trial import TrialState, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from hpsearch.trial import Trial, TrialResult

SHARED_DATA = ".shared-data"
MODEL = "model"
WEIGHTS = "weights"
SINGLE = "model/single"  # the winner alone, where several networks vote
OURS = (
    "study.yaml",
    "trials.csv",
    "curves.csv",
    "timings.csv",
    "best.yaml",
    MODEL,
    WEIGHTS,
    "report.html",
    "ledger.yaml",
    SHARED_DATA,
    JOURNAL,
)
MAY_DIFFER = (
    "budget.trials", "budget.timeout", "goal", "max_failures", "data.source", "finalists.top", "finalists.seeds",
    "refit", "ensemble", "ensemble.size", "ensemble.top",
)  # fmt: skip
VIEW_SHARE = 0.02  # of the time may go into rewriting the views while results arrive
VIEW_SECONDS = 2.0


class RunDirectory:
    """A run directory open for writing; use as a context manager. Made by `open_run` or `reopen`.

    Attributes:
        folder: its place.
        record: all that its journal says.
        weights: of the best trials, as many as are to be kept.
    """

    def __init__(self, folder: Path, lock: RunLock, keep: int = 0) -> None:
        self.folder = folder
        self.record = RunRecord(Lines(folder / JOURNAL))
        self._lock = lock
        self._journal = Journal(folder / JOURNAL, self.record.note)
        self.weights = KeptWeights(folder / WEIGHTS, keep)
        for value, number in heapq.nsmallest(keep, ((v, n) for n, v in self.record.scores.items())):
            self.weights.offer((number, 0, 0), value, None)
        self.weights.held.update((number, 0, 0) for number in self.record.held)
        self._views_made = time.monotonic()
        self._views_took = 0.0
        self._views_results = 0  # that they were written for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the workers' data, close the journal, let the next one in."""
        shutil.rmtree(self.shared_data, ignore_errors=True)
        try:
            self._journal.close()
        finally:
            self._lock.release()

    @property
    def shared_data(self) -> Path:
        """Where the arrays for worker processes lie while the run goes on."""
        return self.folder / SHARED_DATA

    def note(self, events: list[dict[str, Any]], *, sync: bool = True) -> None:
        """Write events to the journal and take them into the record."""
        for line in self._journal.append(events, sync=sync):
            self.record.note(line)

    def clean(self) -> None:
        """Take away what a process that was killed left half written."""
        self._journal.cut_tail()
        for place in (self.folder, *(self.folder / name for name in (MODEL, SINGLE, WEIGHTS))):
            for draft in place.glob(".*.tmp"):
                if re.fullmatch(r"\.[a-z0-9-]+\.[a-z]+\.\d+\.tmp", draft.name):
                    draft.unlink(missing_ok=True)

    def begin(self, study: dict[str, Any], data: dict[str, Any], run: dict[str, Any], earlier: Sequence[Any]) -> None:
        """Note the study and the results that it begins with, in one piece."""
        self._journal.clear()
        self.record = RunRecord(Lines(self.folder / JOURNAL))
        facts = {"study": study, "data": data, "run": run} | ({"earlier": len(earlier)} if earlier else {})
        self.note([{"event": "study", "format": FORMAT, **facts}, *earlier])

    def start(self, trial: Trial) -> None:
        """Note that a trial has begun."""
        self.note([{"event": "start", "trial": trial.number, "config": trial.config}], sync=False)

    def hold(self, results: Sequence[TrialResult]) -> None:
        """Note results that do not count yet; when this returns they cannot be lost, nor the weights of good ones."""
        for result in results:
            if result.weights is not None:
                self.weights.hold(result.key, score(result, self.record.metric, self.record.maximize), result.weights)
        self.note([held_event(result) for result in results])

    def held(self, numbers: Sequence[int]) -> list[TrialResult]:
        """Those of these trials whose results do not count yet."""
        found = self.record.held
        wanted = numbers if isinstance(numbers, range) else set(numbers)
        return [replace(found[n], weights=self.weights.get((n, 0, 0))) for n in found if n in wanted]

    def add(self, result: TrialResult) -> None:
        """Note a result; when this returns it cannot be lost. Views follow when they are due."""
        self.note(events_of(result))
        self.weights.held.discard(result.key)
        if result.state is TrialState.COMPLETE:
            self.weights.offer(result.key, self.record.scores[result.number], result.weights)
        due = max(VIEW_SECONDS, self._views_took / VIEW_SHARE)
        if time.monotonic() - self._views_made > due:
            self.write_views()

    def finish(self, reason: str, counted: int | list[int]) -> None:
        """Note how the run ended and which trials count (the first so many, or these), and write the final views."""
        before = self.record.end
        counted = _union(self.record.counted_before, counted)
        if before is None or (before["reason"], before["counted"]) != (reason, counted):
            self.note([{"event": "end", "reason": reason, "counted": counted}])
        self.write_views()

    def add_final(self, result: TrialResult, *, keep: bool) -> None:
        """Note one more training of a finalist; when this returns it cannot be lost, nor its weights with `keep`."""
        if keep and result.weights is not None:
            self.weights.put(result.key, result.weights)
            self.weights.flush()
        self.note([trial_event(result)])

    def finish_finals(self, numbers: list[int], repeats: int, *, fresh_splits: bool) -> None:
        """Note who took part, which makes the finals count, and write the final views."""
        event = {"event": "finalists", "trials": numbers, "repeats": repeats, "fresh_splits": fresh_splits}
        before = self.record.finalists
        if before is None or any(before[key] != value for key, value in event.items()):
            self.note([event])
        self._write_best()

    def chosen(self, event: dict[str, Any]) -> None:
        """Note which networks vote, and what that gains."""
        self.note([{"event": "ensemble", **event}])

    def made(self, networks: Sequence[tuple[int, ...]], *, ensemble: bool, refit: bool) -> None:
        """Note what is in model/ now and what was wanted, and write the final views."""
        event = {"event": "model", "networks": [list(one) for one in networks], "ensemble": ensemble, "refit": refit}
        before = self.record.model
        if before is None or any(before[key] != value for key, value in event.items()):
            self.note([event])
        self._write_best()

    def refitted(self, result: TrialResult, rows: int) -> None:
        """Note a training on `rows` rows of train and dev together, and keep its weights."""
        if result.weights is not None:
            self.weights.put(result.key, result.weights)
        metrics = {name: value for name, value in result.metrics.items() if name.startswith("train_")}
        facts = {"trial": result.number, "repeat": result.repeat, "refit_epochs": result.refit_epochs, "rows": rows}
        self.note([{"event": "refit", **facts, "metrics": metrics, "error": result.error}])

    def evaluated(self, event: dict[str, Any]) -> None:
        """Note that the sealed test part was opened."""
        self.note([{"event": "evaluation", **event}])

    def _write_best(self) -> None:
        """Make anew what depends on what comes after the search, and write the weights that wait for it."""
        write_best(self.folder, self.record)
        self.weights.flush()

    def write_views(self) -> None:
        """Make the CSV and YAML files anew, and write the weights that wait for it."""
        start = time.monotonic()
        write_views(self.folder, self.record)
        self.weights.flush()
        self._views_made = time.monotonic()
        self._views_took = self._views_made - start
        self._views_results = len(self.record.results)

    def views_seconds(self) -> float:
        """What writing the views should take now, by what it took when there were fewer results."""
        return self._views_took * len(self.record.results) / max(self._views_results, 1)


def open_run(
    folder: Path,
    study: dict[str, Any],
    data: dict[str, Any],
    provenance: dict[str, Any],
    *,
    overwrite: bool = False,
    earlier: Sequence[dict[str, Any]] = (),
    keep: int = 0,
) -> RunDirectory:
    """Open the run directory of a study, new or to go on with.

    `study` is the resolved study, `data` what must be known of the data (task, sha256, rows), `provenance` what
    study.yaml tells of its making, `earlier` are the events of results that a new run begins with, `keep` says of how
    many of the best trials the weights are kept. Raises RunError when another study lives there or the folder is not a
    run directory, LockedError, JournalError, StorageError; nothing is touched then.
    """
    _check_folder(folder)
    make_folder(folder)
    lock = RunLock(folder / LOCK)
    try:
        if overwrite:
            _remove_run(folder)
        directory = RunDirectory(folder, lock, keep)
    except BaseException:
        lock.release()
        raise
    try:
        if directory.record.begun:
            _check_same(directory, study, data)
        directory.clean()
        if not directory.record.begun:
            directory.begin(study, data, provenance, earlier)
        write_atomically(folder / "study.yaml", strict_yaml.dump({**study, "run": provenance}).encode())
    except BaseException:
        directory.close()
        raise
    return directory


def begun_run(folder: Path) -> RunRecord | None:
    """The beginning of the run in this folder; None if none has begun, or if what is there cannot be read."""
    record = RunRecord(Lines(folder / JOURNAL))
    try:
        for line in read(folder / JOURNAL):
            record.note(line)
            if record.begun:
                return record
    except HpsearchError:
        pass
    return None


def reopen(folder: Path) -> RunDirectory:
    """Open a run that is there, to add to its journal. Raises RunError, LockedError, JournalError, StorageError."""
    if not (folder / JOURNAL).is_file():
        raise RunError(f"{folder}: not a run directory (it has no {JOURNAL})")
    lock = RunLock(folder / LOCK)
    try:
        directory = RunDirectory(folder, lock)
    except BaseException:
        lock.release()
        raise
    directory.clean()
    return directory


def _remove_run(folder: Path) -> None:
    """Delete the files of the run that was here, and nothing else."""
    with storage_errors(folder):
        for path in (*(folder / name for name in OURS), *folder.glob(f"{JOURNAL}.damaged-*")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _check_same(directory: RunDirectory, study: dict[str, Any], data: dict[str, Any]) -> None:
    if told := differences(directory.record, study, data):
        raise RunError(f"{directory.folder}: holds another study: {told} (choose another -o DIR, or --overwrite)")


def differences(record: RunRecord, study: dict[str, Any], data: dict[str, Any]) -> str:
    """What makes a study and its data another one than that of a run, for people; empty if nothing does."""
    found = {key: pair for key, *pair in _differences(record.study, study) if key not in MAY_DIFFER}
    if "space.epochs" in found:
        found.pop("budget.epochs", None)  # the same said twice
    if any(key.startswith("from.") for key in found):
        found = {key: pair for key, pair in found.items() if not key.startswith("space.")}  # that of the trials given
    lines = [f"{key} is {_short(before)} there and {_short(now)} here" for key, (before, now) in found.items()]
    if record.data["sha256"] != data["sha256"]:
        lines.insert(0, "the data file has changed")
    return "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")


def _union(before: int | list[int], now: int | list[int]) -> int | list[int]:
    """Both the trials that counted and those that do now: a shorter look at a run takes nothing from it."""
    if isinstance(before, int) and isinstance(now, int):
        return max(before, now)
    both = [range(part) if isinstance(part, int) else part for part in (before, now)]
    found = sorted({*both[0], *both[1]})
    return len(found) if found == list(range(len(found))) else found


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; -o names a folder")
    if folder.is_dir() and not (folder / JOURNAL).exists():
        foreign = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
        if foreign:
            raise RunError(f"{folder}: holds {foreign[0]!r} and is not a run directory; choose another -o DIR")


def _differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old, new) of the leaves in which two trees differ."""
    if all(isinstance(side, list) and all(isinstance(item, dict) for item in side) for side in (old, new)):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield key, old, new


def _short(value: Any) -> str:
    text = strict_yaml.dump(value).strip().removesuffix("...").strip() if isinstance(value, dict | list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 or isinstance(value, str) else text[:57] + "..."
