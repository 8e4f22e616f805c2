"""One word for how a trial went."""

from __future__ import annotations


def diagnose(*, error: str, best_epoch: int | None, epochs: int) -> str:
    """`diverged`: the loss left the finite numbers. `still_improving`: the last epoch was the best, more could help.

    Empty where neither holds.
    """
    if error.startswith("diverged"):
        return "diverged"
    if best_epoch is not None and best_epoch == epochs:
        return "still_improving"
    return ""
