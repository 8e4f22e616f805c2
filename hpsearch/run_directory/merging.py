"""One run out of several of the same study, such as the shards of a search on several machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.config import load_study
from hpsearch.errors import HpsearchError, RunError
from hpsearch.run_directory.directory import WEIGHTS, differences, open_run
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.run_directory.weights import KeptWeights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OF_THE_MOMENT = ("started", "seconds", "worker")  # what two runs of the same trial may tell otherwise
ENOUGH = 1000  # trials written in one piece


@dataclass(frozen=True)
class Merged:
    """How many trials the new run has, and how many of them were in more than one of those that it is made of."""

    trials: int
    repeated: int


def merge(folders: Sequence[Path], out: Path, provenance: dict[str, Any]) -> Merged:
    """Write the trials of the runs in `folders` into a new run directory `out`, in the order of their numbers.

    They are of one study on the same data, and what stands in several of them is the same in all. Finals do not come
    along: they are those of a part. Raises RunError where this does not hold, where `out` is a run already, or where a
    folder is none; JournalError, LockedError, StorageError.
    """
    records = [RunRecord.load(folder) for folder in folders]
    for folder, record in zip(folders[1:], records[1:], strict=True):
        if told := differences(records[0], record.study, record.data):
            raise RunError(f"{folder}: is of another study than {folders[0]}: {told}")
    if (out / JOURNAL).exists():
        raise RunError(f"{out}: holds a run already; choose another -o DIR")
    home: dict[int, int] = {}  # the run that a trial is taken from
    repeated: set[int] = set()
    for place, record in enumerate(records):
        for number in record.results:
            if home.setdefault(number, place) != place:
                _check_same(number, (folders[home[number]], records[home[number]]), (folders[place], record))
                repeated.add(number)
    asked = [_trials(folder, record) for folder, record in zip(folders, records, strict=True)]
    study = records[0].study
    study = study | {"budget": study["budget"] | {"trials": max((n for n in asked if n), default=None)}}
    keep = study.get("ensemble", {}).get("top", 0)
    with open_run(out, study, records[0].data, provenance, earlier=records[0].earlier, keep=keep) as directory:
        numbers = sorted(home)
        for start in range(0, len(numbers), ENOUGH):
            few = numbers[start : start + ENOUGH]
            directory.note([event for number in few for event in records[home[number]].events(number)])
        for record in records:
            directory.note(record.evaluations)
        for number in directory.record.ranking(keep):
            key = number, 0, 0
            weights = KeptWeights(folders[home[number]] / WEIGHTS).get(key)
            directory.weights.offer(key, directory.record.scores[number], weights)
        directory.finish("merged", len(numbers) if numbers == [*range(len(numbers))] else numbers)
    return Merged(len(numbers), len(repeated))


def _trials(folder: Path, record: RunRecord) -> int | None:
    """How many trials were asked for when the run went on last: its journal has the number that it began with."""
    try:
        return load_study(folder / "study.yaml", {}).budget.trials
    except HpsearchError:
        return record.study["budget"]["trials"]


def _check_same(number: int, first: tuple[Path, RunRecord], second: tuple[Path, RunRecord]) -> None:
    told = [
        [{name: value for name, value in event.items() if name not in OF_THE_MOMENT} for event in record.events(number)]
        for _, record in (first, second)
    ]
    if told[0] != told[1]:
        raise RunError(
            f"trial {number} came out otherwise in {second[0]} than in {first[0]}; processors of different kinds round "
            "differently, and then trials cannot be compared to the last digit"
        )
