"""What is in model/, in words; for commands that load nothing heavy too."""

from __future__ import annotations

import math
from typing import Any


def model_lines(metric: str, found: dict[str, Any]) -> list[str]:
    """What is in model/, as best.yaml has it: who votes, and what was trained on train and dev together."""
    lines = []
    if choice := found.get("ensemble"):
        gain = "what cannot be told"
        if choice["gain"] is not None:
            gain = f"{choice['gain']:.4g}, standard error {choice['standard_error']:.4g}"
        voters = f"{len(choice['members'])} networks vote: dev {metric} {choice['scores'].get(metric, math.nan):.4g}"
        kept = f"{voters}; they gain {gain}"
        lines.append(kept if choice["kept"] else f"no other networks vote: they would gain {gain}")
    done = [refit for refit in found.get("refit", []) if not refit["error"]]
    if done:
        epochs = sorted({refit["refit_epochs"] for refit in done})
        how_long = f"{epochs[0]} to {epochs[-1]} epochs" if len(epochs) > 1 else f"epochs: {epochs[0]}"
        what = "in the end" if len(done) == 1 else f"in the end, {len(done)} networks"
        lines.append(f"{what}: trained on train and dev together, {done[0]['rows']:,} rows, {how_long}")
    return lines
