"""The journal: an append-only file, one event a line, each with its number and checksum.

A line is a JSON object that ends in `"crc":"xxxxxxxx"}`, the CRC-32 of the bytes before `,"crc"`. So it is plain JSON
lines for every other program, and a torn or changed line is known as such. Numbers count from 0 without a gap. A
damaged tail (a write that a crash cut short) is copied aside and cut off by the next writer; damage before a whole
line is refused.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

from hpsearch.errors import JournalError, StorageError
from hpsearch.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORMAT = 1
TAIL = "journal.jsonl.damaged-tail"
_CRC_LENGTH = len(',"crc":"00000000"}')


def encode(seq: int, event: dict[str, Any]) -> bytes:
    """The line of an event; ValueError for NaN and infinity, which JSON does not have."""
    body = json.dumps({"seq": seq, **event}, ensure_ascii=True, allow_nan=False, separators=(",", ":"))[:-1].encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def decode(line: bytes) -> dict[str, Any] | None:
    """The event of a line (without its newline); None if the line is not whole."""
    body, tail = line[:-_CRC_LENGTH], line[-_CRC_LENGTH:]
    if tail != b',"crc":"%08x"}' % zlib.crc32(body):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset, event) of each whole line; a damaged tail is passed over, for a writer may be at work on it.

    Raises JournalError if a line in the middle is damaged or out of order, or if the file is not such a journal.
    """
    whole, _ = _scan(path)
    return whole


def _scan(path: Path) -> tuple[Iterator[tuple[int, dict[str, Any]]], int]:
    """The whole lines of the file, and the offset at which a damaged tail begins (else the file's end)."""
    with storage_errors(path):
        content = path.read_bytes()
    events = []
    offset = end = 0
    damaged_line = None
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        event = decode(line)
        if event is None:
            damaged_line = damaged_line or number
        elif damaged_line:
            raise JournalError(
                f"{path} line {damaged_line}: damaged, with whole lines behind it; restore it from a copy"
            )
        elif event.get("seq") != len(events):
            raise JournalError(f"{path} line {number}: event {event.get('seq')!r} where {len(events)} should stand")
        else:
            events.append((offset, event))
            end = offset + len(line) + 1
        offset += len(line) + 1
    start = b'{"seq":0,'
    torn_at_birth = b"\n" not in content and content[: len(start)] == start[: len(content)]
    if content and not events and not torn_at_birth:
        raise JournalError(f"{path}: not a journal of hpsearch, or its first line is damaged")
    if events and events[0][1].get("format") != FORMAT:
        found = events[0][1].get("format")
        raise JournalError(
            f"{path}: format {found!r}, this program reads format {FORMAT}; use the version that wrote it"
        )
    return iter(events), end


class Journal:
    """The writing end; hold the run's lock before opening it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broken = False
        with storage_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            events, self._size = _scan(path)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.events = list(events)
        self._count = len(self.events)

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
        self.events, self._count, self._size = [], 0, 0

    def append(self, events: Iterable[dict[str, Any]], *, sync: bool = True) -> list[tuple[int, dict[str, Any]]]:
        """Write events in one piece, with `sync` onto the disk; return (offset, event) of each.

        Raises StorageError, and leaves the file as it was, when not all could be written: a full disk may take a part
        of the bytes without an error.
        """
        if self._broken:
            raise StorageError(f"{self.path}: an earlier write failed and could not be undone; start again")
        events = list(events)
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
        return [(start + sum(map(len, lines[:i])), event) for i, event in enumerate(events)]

    def close(self) -> None:
        """Sync and close."""
        with storage_errors(self.path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
