"""What a search can begin with: the results of an earlier run, or the very trials of a table such as its trials.csv."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.data.csv_files import read_texts
from hpsearch.engine.hyperparameters import HYPERPARAMETERS, MAXIMIZED_METRICS, METRIC_NAMES, SHORT_FORMS
from hpsearch.errors import ConfigError, RunError, did_you_mean
from hpsearch.given import numbered
from hpsearch.run_directory.record import RunRecord
from hpsearch.run_directory.results import COLUMN_OF, RESULTS, unescaped
from hpsearch.space_text import DISPLACES
from hpsearch.strict_yaml import parse
from hpsearch.trial import TrialState, score

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hpsearch.config import StudyConfig
    from hpsearch.space import Config, Space

METRIC_COLUMNS = tuple(f"{part}_{metric}" for metric in METRIC_NAMES for part in ("dev", "train"))


@dataclass(frozen=True)
class EarlierResults:
    """Results of an earlier run as a new one notes them, and how its user is told of them."""

    events: list[dict[str, Any]]
    note: str
    warning: str = ""


def told(events: Iterable[dict[str, Any]]) -> list[tuple[Config, float, float | None]]:
    """Configurations, scores and costs as a strategy is told them."""
    return [
        (event["config"], math.inf if event["score"] is None else event["score"], event.get("cost")) for event in events
    ]


def results_of(folder: Path, study: StudyConfig, *, task: str, sha256: str) -> EarlierResults:
    """What the run in `folder` tells a new one, whose resolved study this is, on data of this task and checksum.

    Its results count where all that the new study searches has a value there that lies in its space. Raises
    ConfigError where none does, or where the two cannot be compared.
    """
    if folder.is_file():
        raise ConfigError(f"--from {folder}: is a file, not a run directory; --from @{folder} runs the rows of a table")
    try:
        record = RunRecord.load(folder)
    except RunError as error:
        raise RunError(f"--from {error}") from None
    if record.data["task"] != task:
        raise ConfigError(f"--from {folder}: a search for {record.data['task']} tells nothing of {task}")
    results = list(record.counted().values())
    key = f"dev_{study.metric}"
    if study.metric != record.metric and any(
        key not in result.metrics for result in results if result.state is TrialState.COMPLETE
    ):
        raise ConfigError(f"--from {folder}: its trials have {record.metric} but not all have {study.metric}")
    space, name = study.search_space(), folder.resolve().name
    events, reasons, changes = [], [], {}
    for result in results:
        try:
            config = _as_in(space, result.config)
        except ConfigError as error:
            reasons.append(f"trial {result.number}: {error}")
            continue
        found = score(result, study.metric, study.metric in MAXIMIZED_METRICS)
        event = {"event": "earlier", "run": name, "trial": result.number, "config": config}
        events.append({**event, "score": found if math.isfinite(found) else None, "cost": result.cost})
        _note_changes(changes, result.config, config)
    if not events:
        why = f"none of its {len(results)} trials lies in this space; {reasons[0]}" if reasons else "it has no results"
        raise ConfigError(f"--from {folder}: {why}")
    note = f"{len(events)} of {len(results)} trials of {folder} lie in this space and are known beforehand"
    changed = [] if record.data["sha256"] == sha256 else ["other data"]
    changed += [f"{name} {_some(values)} (here {now})" for name, (now, values) in changes.items()]
    warning = f"{folder} had {', '.join(changed)}; its scores are taken as they are" if changed else ""
    return EarlierResults(events, note, warning)


def _as_in(space: Space, config: Config) -> Config:
    """The configuration of `space` that was in effect with `config`, which does not say what was at its default."""
    displaced = {other for name in config for other in DISPLACES.get(name, ())}
    defaults = {name: HYPERPARAMETERS[name].default for name in space.parameters if name not in displaced}
    return space.adopted(defaults | config)


def _note_changes(changes: dict[str, tuple[Any, list[Any]]], before: Config, now: Config) -> None:
    """Add where two configurations differ in effect: hyperparameter, its value now, and all values before."""
    defaults = {name: HYPERPARAMETERS[name].default for name in (*before, *now)}
    for name, value in (defaults | before).items():
        here, values = changes.get(name, ((defaults | now)[name], []))
        if value != here and value not in values:
            changes[name] = here, [*values, value]


def _some(values: list[Any]) -> str:
    return ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "")


def read_trials(path: Path) -> list[dict[str, Any]]:
    """The trials that a table such as trials.csv names (see given.py); of its results nothing is read.

    In trials.csv `epochs` is a result, and `max_epochs` the hyperparameter. Raises ConfigError, DataError.
    """
    try:
        rows = list(read_texts(path))
    except OSError as error:
        raise ConfigError(f"--from @{path}: {error.strerror}") from None
    if not rows:
        raise ConfigError(f"{path}: there is a header line but no trial")
    ignored = {"state", *METRIC_COLUMNS, *RESULTS}
    columns = list(rows[0][1])
    if not ignored.difference(["epochs"]).intersection(columns) and COLUMN_OF["epochs"] not in columns:
        ignored.remove("epochs")
    name_of = {column: name for name, column in COLUMN_OF.items()}
    named = {column: name_of.get(column, column) for column in columns if column not in ignored}
    allowed = ("trial", *HYPERPARAMETERS, *SHORT_FORMS)
    for column, name in named.items():
        if name not in allowed:
            near = did_you_mean(column, (*allowed, *name_of, *ignored))
            hint = f"; {near}" if near.startswith("did") else ""
            raise ConfigError(f"{path}: column {column!r} is neither a hyperparameter nor one of trials.csv{hint}")
    if not set(named.values()) - {"trial"}:
        raise ConfigError(f"{path}: no column is a hyperparameter, such as learning_rate or units")
    return numbered(
        (
            f"{path} line {line}",
            {named[column]: _value(cell, path) for column, cell in cells.items() if column in named and cell.strip()},
        )
        for line, cells in rows
    )


def _value(cell: str, path: Path) -> Any:
    text = unescaped(cell).strip()
    return parse(text, str(path)) if text.startswith("[") else text
