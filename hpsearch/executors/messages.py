"""Messages of another process: all until it ends, or those that have arrived."""

from __future__ import annotations

import os
import struct
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

CHUNK = 1 << 18  # bytes, about what the system keeps of a pipe that nobody reads
SHORT, LONG = struct.Struct("!i"), struct.Struct("!Q")


def until_closed(pipe: Connection) -> Iterator[Any]:
    """The messages of a pipe, waiting for each, until its other end is closed."""
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        yield message


class Inbox:
    """What `Connection.send` sent from the other end of a pipe.

    `Connection.recv` reads a message to its end; a process that stops in the middle of one would stop its reader too.
    In front of a message stands its length: 4 bytes, or -1 in these and then 8 bytes (multiprocessing.connection,
    Connection._send_bytes).
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._arrived = bytearray()

    def read(self) -> list[Any]:
        """The messages that are whole after reading what is there; waits if nothing is. Raises EOFError at the end."""
        chunk = os.read(self._pipe.fileno(), CHUNK)
        if not chunk:
            raise EOFError
        self._arrived += chunk
        messages, start = [], 0
        while (span := self._next(start)) is not None:
            messages.append(ForkingPickler.loads(self._arrived[span]))
            start = span.stop
        del self._arrived[:start]
        return messages

    def _next(self, start: int) -> slice | None:
        """Where the message that begins at `start` has its content; None if it is not all there."""
        if len(self._arrived) < start + SHORT.size:
            return None
        (length,) = SHORT.unpack_from(self._arrived, start)
        start += SHORT.size
        if length < 0:
            if len(self._arrived) < start + LONG.size:
                return None
            (length,) = LONG.unpack_from(self._arrived, start)
            start += LONG.size
        return slice(start, start + length) if len(self._arrived) >= start + length else None
