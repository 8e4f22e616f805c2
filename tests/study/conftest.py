"""Folders for made-up runs, and a disk that nobody waits for."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def without_waiting_for_the_disk():
    """For tests that are not about power cuts."""
    with pytest.MonkeyPatch.context() as patch:
        for call in ("fsync", "fdatasync"):
            patch.setattr(os, call, lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A function that makes a new folder, also within a Hypothesis test."""
    base = tmp_path_factory.mktemp("study")
    return lambda: Path(tempfile.mkdtemp(dir=base)) / "run"
