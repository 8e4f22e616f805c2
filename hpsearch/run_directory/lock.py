"""One writer for a run directory: a kernel lock, which ends with its holder however that dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hpsearch.errors import LockedError, StorageError
from hpsearch.files import storage_errors

if TYPE_CHECKING:
    from pathlib import Path


class RunLock:
    """Held from construction to `release`. The file stays for good: deleting it would let two holders in.

    Raises LockedError, naming the holder, when another process has it.
    """

    def __init__(self, path: Path) -> None:
        with storage_errors(path):
            self._file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            self._file.close()
            raise LockedError(
                f"{path.parent}: in use by {holder}; wait for it, end it, or choose another -o DIR"
            ) from None
        except OSError as error:
            self._file.close()
            raise StorageError(f"{path}: cannot be locked: {error.strerror}") from None
        with storage_errors(path):
            self._file.truncate(0)
            note = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            self._file.write(json.dumps(note))
            self._file.flush()

    def _holder(self) -> str:
        try:
            self._file.seek(0)
            note = json.loads(self._file.read())
            return f"process {note['pid']} on {note['host']} since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Let the next one in."""
        self._file.close()
