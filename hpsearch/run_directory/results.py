"""The files that people and scripts read, trials.csv and its kin: views made from the journal."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hpsearch import strict_yaml
from hpsearch.files import replaced, write_atomically
from hpsearch.trial import TrialState, reported_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hpsearch.run_directory.record import RunRecord
    from hpsearch.trial import TrialResult

FORMULA_STARTS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
RESULTS = ("best_epoch", "epochs", "updates", "parameters", "gflop", "diagnosis", "error")
COLUMN_OF = {"epochs": "max_epochs"}  # beside the epochs that a trial was trained for
RUNNERS_UP = 4


def trial_columns(record: RunRecord) -> list[str]:
    """The columns of trials.csv: fixed ones, then one for each hyperparameter of the study."""
    metrics = reported_metrics(record.data["task"], record.metric)
    return [
        "trial",
        "state",
        *(f"{part}_{metric}" for metric in metrics for part in ("dev", "train")),
        *RESULTS,
        *(COLUMN_OF.get(name, name) for name in record.study["space"]),
    ]


def trial_row(record: RunRecord, result: TrialResult, columns: Iterable[str]) -> dict[str, Any]:
    """One row of trials.csv; what a trial does not have is None."""
    values = {
        "trial": result.number,
        "state": str(result.state),
        **result.metrics,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "updates": result.updates,
        "parameters": result.parameters,
        "gflop": result.gflop,
        "diagnosis": record.diagnosis(result) or None,
        "error": result.error or None,
        **_config_cells(result.config),
    }
    return {name: values.get(name) for name in columns}


def open_row(number: int, state: TrialState, config: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """The row of a trial that has no result yet."""
    values = {"trial": number, "state": str(state), **_config_cells(config)}
    return {name: values.get(name) for name in columns}


def _config_cells(config: Mapping[str, Any]) -> dict[str, Any]:
    return {COLUMN_OF.get(name, name): value for name, value in config.items()}


def csv_text(columns: list[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header; empty cells for None, and no text that a spreadsheet would take for a formula."""
    return "".join(_csv_lines(columns, rows))


def _csv_lines(columns: list[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield _csv_line(columns)
    yield from (_csv_line(row.get(name) for name in columns) for row in rows)


def _csv_line(cells: Iterable[Any]) -> str:
    # With \r\n as the line's end the writer also quotes a cell that holds a lone \r.
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([as_cell(cell) for cell in cells])
    return line.getvalue()[:-2] + "\n"


def as_cell(value: Any) -> Any:
    """A value as it is written into a cell: lists as text, and no text that a spreadsheet would take for a formula."""
    if isinstance(value, list):
        value = "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return repr(value) if isinstance(value, float) else value


def unescaped(cell: str) -> str:
    """The text that is written as this cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def write_views(folder: Path, record: RunRecord) -> None:
    """Make all views anew from the record; each file is replaced in one step. Raises StorageError."""
    counted = record.counted()
    columns = trial_columns(record)
    rows = (trial_row(record, result, columns) for result in counted.values())
    _write_lines(folder / "trials.csv", _csv_lines(columns, rows))
    _write_lines(folder / "timings.csv", _timings(counted.values()))
    _write_lines(folder / "curves.csv", _curves(record, counted))
    write_best(folder, record)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """One after the other, for those of a long search are more than should be in memory."""
    with replaced(path) as file:
        for line in lines:
            file.write(line.encode())


def write_best(folder: Path, record: RunRecord) -> None:
    """Make best.yaml anew; there is none without a winner. Raises StorageError."""
    winner = record.best()
    if winner:
        write_atomically(folder / "best.yaml", strict_yaml.dump(describe_best(record, winner)).encode())
    else:
        (folder / "best.yaml").unlink(missing_ok=True)


def _timings(results: Iterable[TrialResult]) -> Iterator[str]:
    rows = (
        {
            "trial": result.number,
            "started": datetime.fromtimestamp(result.started, UTC).isoformat(timespec="milliseconds"),
            "seconds": result.seconds,
            "worker": result.worker,
        }
        for result in results
    )
    return _csv_lines(["trial", "started", "seconds", "worker"], rows)


def _curves(record: RunRecord, numbers: Iterable[int]) -> Iterator[str]:
    scores = [f"train_{record.metric}", f"dev_{record.metric}"]
    yield _csv_line(["trial", "epoch", "train_loss", "dev_loss", *scores, "learning_rate", "grad_norm"])
    for number in numbers:
        curves = record.curves.get(number, {})
        for epoch, values in enumerate(zip(*curves.values(), strict=True), start=1):
            yield _csv_line([number, epoch, *values])


def describe_model(record: RunRecord, winner: TrialResult) -> dict[str, Any]:
    """What is in model/: who votes and what that gains on dev, and what was trained on train and dev together."""
    if record.model is None:
        return {}
    found: dict[str, Any] = {}
    networks = record.model["networks"]
    if record.model["ensemble"] and (choice := record.ensemble) is not None:
        found["ensemble"] = {"kept": len(networks) > 1}
        found["ensemble"] |= {name: choice[name] for name in ("gain", "standard_error", "scores", "members")}
    if record.model["refit"]:
        members = {(winner.number, 0), *((trial, repeat) for trial, repeat, *_ in networks)}
        keys = sorted({record.refit_of(*member) for member in members} & record.refits.keys())
        told = ("trial", "repeat", "refit_epochs", "rows", "metrics", "error")
        found["refit"] = [{name: record.refits[key][name] for name in told} for key in keys]
    return found


def describe_best(record: RunRecord, winner: TrialResult) -> dict[str, Any]:
    """What best.yaml says of the winner: no path, time or number of processes, so it is the same everywhere."""
    scores: dict[str, dict[str, float]] = {"dev": {}, "train": {}}
    for name, value in winner.metrics.items():
        part, _, metric = name.partition("_")
        scores[part][metric] = value
    finals = {standing.trial: standing for standing in record.standings()}
    sign = -1.0 if record.maximize else 1.0

    def in_finals(number: int) -> dict[str, Any]:
        if number not in finals:
            return {}
        mean, sd = finals[number].mean, finals[number].sd
        return {"mean": sign * mean, "sd": sd} if math.isfinite(mean) else {"mean": None, "sd": None}

    rivals = [record.results[number] for number in finals or record.ranking(RUNNERS_UP + 1)]
    repeats = (
        {"repeats": record.finalists["repeats"], "fresh_splits": record.finalists["fresh_splits"]} if finals else {}
    )
    return {
        "trial": winner.number,
        "metric": record.metric,
        "score": winner.metrics[f"dev_{record.metric}"],
        **in_finals(winner.number),
        **repeats,
        "hyperparameters": winner.config,
        "scores": scores,
        "best_epoch": winner.best_epoch,
        "epochs": winner.epochs,
        "updates": winner.updates,
        "parameters": winner.parameters,
        "gflop": winner.gflop,
        "trials": len(record.counted()),
        "runners_up": [
            {
                "trial": rival.number,
                "score": rival.metrics[f"dev_{record.metric}"],
                **in_finals(rival.number),
                **({"told_apart": not finals[rival.number].level} if finals else {}),
                "parameters": rival.parameters,
            }
            for rival in rivals
            if rival.number != winner.number
        ],
        **describe_model(record, winner),
        "repeat": f"hpsearch {record.study['strategy']['name']} study.yaml --only {winner.number}",
    }
