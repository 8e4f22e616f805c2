"""The machine code of all stages, for the process that asked for it."""

from __future__ import annotations

import json
from typing import BinaryIO

from hpsearch.engine.kernels import training  # noqa: F401 - compiles the stages
from hpsearch.engine.kernels.compiling import STAGES, object_code


def write(file: BinaryIO) -> None:
    """A line of JSON with the types of each stage's result and arguments, then the object file."""
    file.write(json.dumps({stage.symbol: stage.kinds for stage in STAGES}).encode() + b"\n" + object_code())
