"""The journal: an append-only file, one event a line, each with its number and checksum.

A line is a JSON object that ends in `"crc":"xxxxxxxx"}`, the CRC-32 of the bytes before `,"crc"`. So it is plain JSON
lines for every other program, and a torn or changed line is known as such. Numbers count from 0 without a gap. A
damaged tail (a write that a crash cut short) is copied aside and cut off by the next writer; damage before a whole
line is refused.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from hpsearch.errors import JournalError, StorageError
from hpsearch.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FORMAT = 1
TAIL = "journal.jsonl.damaged-tail"
_CRC_LENGTH = len(',"crc":"00000000"}')
_HEAD = re.compile(rb'\{"seq":(\d+)(?:,"event":"(\w+)"(?:,"trial":(\d+)\b)?)?')


class Line(NamedTuple):
    """A whole line: where it begins, its number, what kind of event of which trial it tells, and its bytes."""

    offset: int
    seq: int
    kind: str
    trial: int | None
    content: bytes

    def event(self) -> dict[str, Any]:
        """The event as it was given; most lines are never asked for it, for JSON is what costs. Raises JournalError."""
        try:
            event = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            event = self._event_in_full()
        del event["seq"], event["crc"]
        return event

    def _event_in_full(self) -> dict[str, Any]:
        """Slower, but knows the half characters that stand for bytes in a file's name that are no text."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise JournalError(f"event {self.seq} of the journal is not one of hpsearch") from None


def encode(seq: int, event: dict[str, Any]) -> bytes:
    """The line of an event, whose whole numbers fit 64 bits; ValueError for NaN and infinity, which JSON has not."""
    body = json.dumps({"seq": seq, **event}, ensure_ascii=True, allow_nan=False, separators=(",", ":"))[:-1].encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def parse(offset: int, content: bytes) -> Line | None:
    """The line with these bytes (without its newline); None if it is not whole."""
    if not content.endswith(b',"crc":"%08x"}' % zlib.crc32(content[:-_CRC_LENGTH])):
        return None
    head = _HEAD.match(content)
    if head is None:
        return None
    seq, kind, trial = head.groups()
    return Line(offset, int(seq), kind.decode() if kind else "", int(trial) if trial else None, content)


def read(path: Path) -> Iterator[Line]:
    """The whole lines; a damaged tail is passed over, for a writer may be at work on it.

    Raises JournalError if a line in the middle is damaged or out of order, or if the file is not such a journal.
    """
    with storage_errors(path), path.open("rb") as file:
        found = offset = damaged = 0
        start = b""
        for number, content in enumerate(file, start=1):
            start = start or content
            if content[-1:] != b"\n":
                break  # the end, whatever a writer has added by now
            line = parse(offset, content[:-1])
            if line is None:
                damaged = damaged or number
            elif damaged:
                raise JournalError(
                    f"{path} line {damaged}: damaged, with whole lines behind it, which can be saved: "
                    f"hpsearch repair {path.parent}"
                )
            else:
                _check_place(path, number, line, found)
                found += 1
                yield line
            offset += len(content)
    opening = b'{"seq":0,'
    torn_at_birth = b"\n" not in start and start[: len(opening)] == opening[: len(start)]
    if start and not found and not torn_at_birth:
        raise JournalError(f"{path}: not a journal of hpsearch, or its first line is damaged")


def _check_place(path: Path, number: int, line: Line, expected: int) -> None:
    if line.seq != expected:
        raise JournalError(
            f"{path} line {number}: event {line.seq} where {expected} should stand; hpsearch repair {path.parent} "
            "saves what belongs together"
        )
    if expected == 0 and (form := line.event().get("format")) != FORMAT:
        raise JournalError(
            f"{path}: format {form!r}, this program reads format {FORMAT}; use the version that wrote it"
        )


class Journal:
    """The writing end; hold the run's lock before opening it. `take` is given each whole line that is there."""

    def __init__(self, path: Path, take: Callable[[Line], None] = lambda _: None) -> None:
        self.path = path
        self._broken = False
        self._count = self._size = 0
        with storage_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            for line in read(path):
                take(line)
                self._count += 1
                self._size = line.offset + len(line.content) + 1
        except BaseException:
            os.close(self._descriptor)
            raise

    def cut_tail(self) -> None:
        """Copy a damaged tail aside and cut it off; before the first `append`."""
        with storage_errors(self.path):
            damaged = os.fstat(self._descriptor).st_size - self._size
            if damaged > 0:
                tail = os.pread(self._descriptor, damaged, self._size)
                self.path.with_name(TAIL).write_bytes(tail)
                os.ftruncate(self._descriptor, self._size)
                os.fsync(self._descriptor)

    def clear(self) -> None:
        """Begin anew, where a crash left no more than a part of how a run begins."""
        with storage_errors(self.path):
            os.ftruncate(self._descriptor, 0)
        self._count = self._size = 0

    def append(self, events: Iterable[dict[str, Any]], *, sync: bool = True) -> list[Line]:
        """Write events in one piece, with `sync` onto the disk; return their lines.

        Raises StorageError, and leaves the file as it was, when not all could be written: a full disk may take a part
        of the bytes without an error.
        """
        if self._broken:
            raise StorageError(f"{self.path}: an earlier write failed and could not be undone; start again")
        lines = [encode(self._count + i, event) for i, event in enumerate(events)]
        content = b"".join(lines)
        start = self._size
        try:
            written = os.write(self._descriptor, content)
            if written != len(content):
                short = f"only {written} of {len(content)} bytes could be written; is the disk full?"
                raise OSError(errno.ENOSPC, short)  # noqa: TRY301 - the system's short way of saying so
            if sync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            try:
                os.ftruncate(self._descriptor, start)
            except OSError:
                self._broken = True  # whatever came next would stand behind half a line
            raise StorageError(f"{self.path}: {error.strerror}") from error
        self._count += len(lines)
        self._size += len(content)
        places = itertools.accumulate(map(len, lines), initial=start)
        return [parse(place, line[:-1]) for place, line in zip(places, lines, strict=False)]

    def close(self) -> None:
        """Sync and close."""
        with storage_errors(self.path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
