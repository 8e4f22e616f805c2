"""The file in which another process notes its trainings: a line of JSON for each, with the time of its end."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def note(file: str | Path, at: float, dev: float, test: float | None, what: dict[str, Any]) -> None:
    """Add a line in one write, for several processes do this; `at` is that of time.time()."""
    line = json.dumps({"at": at, "dev": dev, "test": test, "what": what}) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def noted(file: Path, until: float) -> list[dict[str, Any]]:
    """What was finished by then, in this order."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    return sorted((line for line in lines if line["at"] <= until), key=lambda line: line["at"])
