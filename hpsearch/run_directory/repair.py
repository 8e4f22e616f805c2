"""What can be saved of a journal that is damaged in the middle: every whole line, numbered anew.

No result changes by it. A trial whose line is lost is run again and gives the same; what cannot be done without is how
the run began.
"""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import JournalError, RunError
from hpsearch.files import storage_errors, sync_folder, write_atomically
from hpsearch.run_directory.journal import FORMAT, encode, parse
from hpsearch.run_directory.lock import RunLock
from hpsearch.run_directory.record import JOURNAL, LOCK, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.run_directory.journal import Line

START = b'{"seq":'


@dataclass(frozen=True)
class Repair:
    """What was done: whole lines kept, where (from 1) something was left out, and where the old journal is."""

    kept: int
    left_out: list[int]
    copy: Path | None


def repair(folder: Path) -> Repair:
    """Make the journal in `folder` readable again, after a copy of it; nothing is changed where all is whole.

    Raises RunError if it is no run directory, LockedError while a run writes there, JournalError where the beginning of
    the run is lost or the journal is another program's, StorageError.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise RunError(f"{folder}: not a run directory (it has no {JOURNAL})")
    lock = RunLock(folder / LOCK)
    try:
        whole, left_out = _sorted_out(path)
        _check_beginning(path, whole)
        if not left_out:
            return Repair(len(whole), [], None)
        copy = next(name for i in itertools.count(1) if not (name := path.with_name(f"{JOURNAL}.damaged-{i}")).exists())
        with storage_errors(copy):
            shutil.copyfile(path, copy)
            with copy.open("rb+") as file:
                os.fsync(file.fileno())
            sync_folder(folder)
        write_atomically(path, b"".join(encode(number, line.event()) for number, line in enumerate(whole)))
        return Repair(len(whole), left_out, copy)
    finally:
        lock.release()


def _sorted_out(path: Path) -> tuple[list[Line], list[int]]:
    """The whole lines whose numbers rise, and where (from 1) there is something else."""
    whole, left_out, offset, curves = [], [], 0, set()
    with storage_errors(path), path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            start = max(0, content.rfind(START))  # a hole may have swallowed the end of the line before
            line = parse(offset + start, content[start:].removesuffix(b"\n"))
            fits = line is not None and (not whole or line.seq > whole[-1].seq)
            if fits and line.kind == "curve":
                curves.add(line.trial)
            elif fits and line.kind == "trial":
                fits = line.trial in curves  # without them it would not be as it was
            if fits:
                whole.append(line)
            if start or not fits:
                left_out.append(number)
            offset += len(content)
    return whole, left_out


def _check_beginning(path: Path, whole: list[Line]) -> None:
    if not whole or whole[0].kind != "study":
        raise JournalError(
            f"{path}: the line with which the run began is lost, so it cannot go on; "
            f"--from @{path.parent / 'trials.csv'} runs its trials anew"
        )
    if (form := whole[0].event().get("format")) != FORMAT:
        raise JournalError(f"{path}: format {form!r}, this program knows format {FORMAT}")
    by_offset = {line.offset: line for line in whole}
    record = RunRecord(by_offset.__getitem__)
    for line in whole:
        record.note(line)
    if not record.begun:
        raise JournalError(f"{path}: results that the run began with are lost, so it cannot go on as it would have")
