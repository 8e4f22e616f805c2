"""Standard streams that may be closed, full or read by nobody: no reason to lose a search."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class ForgivingStream:
    """A stream for messages: once it cannot be written, messages go nowhere and the program goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or give the stream up."""
        try:
            return self._stream.write(text)
        except OSError:
            discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, or give the stream up."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Let what is written to the stream from now on, and what still waits in it, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    with suppress(OSError):
        stream.flush()


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """Within: stderr is forgiving, and a stream that was closed from the start swallows what it is given.

    File names that are not of the locale's encoding are printed as the bytes that they are.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - the null device
        sys.stdout = sys.stdout or nowhere
        if getattr(sys.stdout, "errors", "") == "strict" and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        sys.stderr = ForgivingStream(sys.stderr or nowhere)
        try:
            yield
        finally:
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
