"""What the journal cannot tell of a winner: its mistakes on dev, what a linear model does, if more rows would help.

It needs the model and the data and takes a few trainings, so it is done once, when a report is asked for, and noted in
the journal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.report.baselines import train_linear
from hpsearch.report.judging import judge_rows
from hpsearch.trial import Trial, TrialSettings, run_trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.parts import Part
    from hpsearch.data.target import Target
    from hpsearch.model import Member
    from hpsearch.trial import TrialResult

SIZES = (0.1, 0.25, 0.5, 1.0)  # shares of the training rows
FEW_ROWS = 5_000  # with fewer, each size is tried REPEATS times with fresh seeds
REPEATS = 3
FEWEST_ROWS = 20  # to train on
MOST_CLASSES = 50  # of a confusion matrix
MOST_POINTS = 300  # of a plot of predictions against values
DIGITS = 5


@dataclass(frozen=True)
class FewerRows:
    """A data set whose training part has only some of its rows, `rows` (k,)."""

    data: Dataset
    rows: np.ndarray

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def part(self, name: str, normalize: str) -> Part:
        """The part; its inputs were normalised with all training rows, which no label tells anything of."""
        whole = self.data.part(name, normalize)
        if name != "train":
            return whole
        return whole.at(self.rows)


def examine(
    member: Member, winner: TrialResult, data: Dataset, study: StudyConfig, say: Callable[[str], None]
) -> dict[str, Any]:
    """The event "examination" of a winner; `member` is its network as it was trained on the train rows alone.

    `say` is told what takes a while.
    """
    settings = TrialSettings(study.seed, study.metric)
    dev = data.part("dev", member.normalize)
    predicted, supports = member.network.predict(member.weights, dev)
    say("training a linear model to compare with ...")
    linear = train_linear(data, settings, winner.number)
    judged = judge_rows(data.target, dev, predicted, supports)
    if len(judged.get("classes", [])) > MOST_CLASSES:
        del judged["confusion"]
    return {
        "event": "examination",
        "trial": winner.number,
        "dev": judged,
        "points": _points(data.target, predicted, dev) if data.task == "regression" else [],
        "linear": {name: _digits(value) for name, value in linear.metrics.items()},
        "sizes": _sizes(winner, data, settings, say),
    }


def _points(target: Target, predicted: np.ndarray, dev: Part) -> list[list[float]]:
    """Some predictions with their values, over the whole range of predictions, in units of the target."""
    predicted, values = target.original(predicted)[:, 0], target.original(dev.targets)[:, 0]
    some = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)
    order = np.argsort(predicted, kind="stable")[some]
    return [[_digits(a), _digits(b)] for a, b in zip(predicted[order].tolist(), values[order].tolist(), strict=True)]


def _sizes(
    winner: TrialResult, data: Dataset, settings: TrialSettings, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Dev and train scores of the winner's configuration trained on ever more of the rows."""
    order, found = _nested(data, settings.seed), []
    repeats = range(1, REPEATS + 1) if len(order) < FEW_ROWS else range(1, 2)
    for share in SIZES:
        rows = order[: math.ceil(share * len(order))]
        if len(rows) < FEWEST_ROWS:
            continue
        say(f"training on {100 * share:.0f} % of the rows, to see whether more would help ...")
        fewer = FewerRows(data, np.sort(rows))
        results = [run_trial(Trial(winner.number, winner.config, repeat=n), fewer, settings) for n in repeats]
        scores = {
            part: [r.metrics[name] for r in results if (name := f"{part}_{settings.metric}") in r.metrics]
            for part in ("dev", "train")
        }
        if scores["dev"]:
            found.append(
                {
                    "rows": len(rows),
                    "dev": _digits(fmean(scores["dev"])),
                    "train": _digits(fmean(scores["train"])),
                    "sd": _digits(stdev(scores["dev"])) if len(scores["dev"]) > 1 else None,
                }
            )
    return found


def _nested(data: Dataset, seed: int) -> np.ndarray:
    """An order of the training rows, all beginnings of which have about the same shares of the classes."""
    part = data.part("train", next(iter(data.normalizers)))
    order = np.random.default_rng(seed).permutation(len(part.inputs))
    if not len(part.labels):
        return order
    labels = part.labels[order]
    place = np.empty(len(order))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    return order[np.argsort(place, kind="stable")]


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
