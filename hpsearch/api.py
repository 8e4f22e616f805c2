"""Searches out of a Python program or a notebook: `hpsearch.search(X, y)`, and `hpsearch.load("runs/x")`."""

from __future__ import annotations

import datetime as dt
import html
import io
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from hpsearch.cli.planning import make_plan, trial_numbers
from hpsearch.cli.progress import ProgressStyle
from hpsearch.cli.running import InterruptedBySignalError, Mode, SearchRun, where_to_run
from hpsearch.data.csv_files import typed
from hpsearch.data.reading import sha256
from hpsearch.errors import ConfigError, NoValidTrialError, RunError
from hpsearch.files import make_folder, write_atomically
from hpsearch.model import Model
from hpsearch.report.verdict import judge
from hpsearch.run_directory.directory import begun_run
from hpsearch.run_directory.lock import RunLock
from hpsearch.run_directory.record import LOCK, RunRecord
from hpsearch.run_directory.results import csv_text, describe_best, trial_columns, trial_row

SHOWN = 5  # trials in a notebook
CELLS = (bool, int, float, Decimal, str, dt.date, dt.timedelta, dt.time, np.generic)  # that a column may hold


@threadpool_limits.wrap(limits=1)  # as in threads.py, whose variables come too late here
def search(
    X: Any,
    y: Any,
    *,
    space: Mapping[str, Any] | None = None,
    strategy: str = "random",
    n_trials: int | None = None,
    n_jobs: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: str = "auto",
    **settings: Any,
) -> Run:
    """Search hyperparameters of networks for rows `X` with targets `y`: the study that the command would run.

    Args:
        X: (rows, columns) a DataFrame of polars or pandas, a NumPy array, or a mapping of names to columns.
        y: (rows,) classes or numbers; its name, if it has one, is that of the target.
        space: as in a study file, such as {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}; None: the usual.
        strategy: grid, random, evolve or panda.
        n_trials: trials in all, those of earlier calls with the same `out` included; None: as the command has it.
        n_jobs: processes; None: the CPUs that this process may use.
        out: run directory; None: runs/python-<strategy>. The data are kept beside it, as a Parquet file.
        overwrite: delete the run that is there.
        progress: auto, bar, plain or none.
        settings: other keys of a study; `__` stands for a dot: metric="auc", seed=3, budget__timeout="60s",
            budget__epochs=50, data__split__test=0.1.

    Returns:
        The run, as `load` gives it. The same arguments give the same trials, and go on with a run that was stopped.

    Raises:
        ConfigError, DataError, RunError: one line that says what is wrong. NoValidTrialError: no trial has a score.
        KeyboardInterrupt: the results so far are kept.
    """
    if strategy not in ("grid", "random", "evolve", "panda"):
        raise ConfigError(f"strategy: {strategy!r} is not known; grid, random, evolve or panda")
    if n_jobs is not None and not (isinstance(n_jobs, int) and n_jobs >= 1):
        raise ConfigError(f"n_jobs: {n_jobs!r} is not a number of processes; None: as many as there are CPUs")
    if progress not in list(ProgressStyle):
        raise ConfigError(f"progress: {progress!r} is not known; {', '.join(ProgressStyle)}")
    if multiprocessing.current_process().daemon:
        raise ConfigError("search: a daemonic process, as those of a Pool, may start no others; use an executor's")
    began = time.monotonic()
    mode = Mode.PANDA if strategy == "panda" else Mode.CAVIAR
    place = where_to_run(mode, "auto" if n_jobs is None else str(n_jobs), None, mixed=False)
    folder = Path(out) if out is not None else Path("runs") / f"python-{strategy}"
    source = folder.with_name(f"{folder.name}.parquet")
    frame, target = _table(X, y)
    overrides = {
        "strategy.name": strategy,
        "data.target": target,
        "budget.trials": _plain(n_trials),
        "space": _plain(space),
    }
    overrides |= {name.replace("__", "."): _plain(value) for name, value in settings.items()}
    known = {name: value for name, value in overrides.items() if value is not None}
    style = ProgressStyle(progress)
    quiet = style is ProgressStyle.NONE
    with _beside(folder, frame, source, overwrite=overwrite):
        plan = make_plan(str(source), known, [], folder, overwrite=overwrite, quiet=quiet, verbose=False)
        numbers = trial_numbers(plan.study, plan.strategy)
        command = ["python", *sys.argv]
        run = SearchRun(plan, numbers, place=place, overwrite=overwrite, quiet=quiet, command=command)
        try:
            run.run(style, began)
        except InterruptedBySignalError:
            raise KeyboardInterrupt from None
    found = load(folder)
    if found.record.best() is None:
        raise NoValidTrialError(f"{folder}: no trial has a score ({len(found.record.results)} results)")
    return found


@contextmanager
def _beside(folder: Path, frame: pl.DataFrame, source: Path, *, overwrite: bool) -> Iterator[None]:
    """With the table beside the run in `folder`; it is as it was before if no run of it begins.

    Another run's table is left alone: ConfigError, RunError.
    """
    content = io.BytesIO()
    frame.write_parquet(content)
    kept = source.read_bytes() if source.exists() else None
    if kept is not None and kept != content.getvalue():
        begun = begun_run(folder)
        if begun is None or Path(begun.study["data"]["source"]) != source.resolve():
            raise ConfigError(f"{source} is there and belongs to no run in {folder}; choose another out")
        if not overwrite:
            raise RunError(f"{folder}: holds another study: its data are not these; choose another out, or overwrite")
        RunLock(folder / LOCK).release()  # nobody uses it
    make_folder(source.parent)
    write_atomically(source, content.getvalue())
    try:
        yield
    finally:
        begun = begun_run(folder)
        if begun is None or begun.data["sha256"] != sha256(source):
            source.unlink() if kept is None else source.write_bytes(kept)


def load(folder: str | Path) -> Run:
    """The run in a run directory, finished or not. Raises RunError, JournalError."""
    return Run(Path(folder), RunRecord.load(Path(folder)))


class Run:
    """A run as it stood when it was loaded.

    Attributes:
        folder: the run directory.
        record: all that its journal says.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record

    @cached_property
    def trials(self) -> pl.DataFrame:
        """One row for each trial that counts, with the columns of trials.csv."""
        columns = trial_columns(self.record)
        rows = [trial_row(self.record, result, columns) for result in self.record.counted().values()]
        return pl.read_csv(csv_text(columns, rows).encode(), infer_schema_length=None)

    @cached_property
    def best(self) -> dict[str, Any]:
        """What best.yaml says of the winner. Raises NoValidTrialError if no trial has a score."""
        winner = self.record.best()
        if winner is None:
            raise NoValidTrialError(f"{self.folder}: no trial has a score yet")
        return describe_best(self.record, winner)

    @cached_property
    def model(self) -> Model:
        """The winner's network with its preparation of columns. Raises RunError if it is not there."""
        return Model.load(self.folder / "model")

    @property
    def verdict(self) -> dict[str, Any]:
        """What `hpsearch report -f json` says: what limits the search, and what to try next."""
        found = judge(self.record, self.folder)
        return {} if found is None else found.to_dict()

    def predict(self, X: Any) -> np.ndarray:
        """What the winner predicts (rows,) for rows as `search` takes them: classes, or values in the target's unit."""
        scores, _ = self.model.predict(_frame(X))
        if self.model.task == "regression":
            return scores[:, 0]
        return np.array(self.model.classes)[scores.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (rows, classes) float32, in the order of `model.classes`. Raises RunError for a regression."""
        if self.model.task == "regression":
            raise ConfigError(f"{self.folder}: a regression has no probabilities")
        return self.model.predict(_frame(X))[0]

    def __repr__(self) -> str:
        best, metric = self.record.best(), self.record.metric
        score = "no score yet" if best is None else f"dev {metric} {best.metrics[f'dev_{metric}']:.4g}"
        return f"<hpsearch run {self.folder}: {len(self.record.counted())} trials, {score}>"

    def _repr_html_(self) -> str:
        """A table of the best trials, for notebooks."""
        numbers = self.record.ranking(SHOWN)
        shown = [name for name in self.trials.columns if name not in ("state", "error")]
        found = {row["trial"]: row for row in self.trials.filter(pl.col("trial").is_in(numbers)).to_dicts()}
        head = "".join(f"<th>{html.escape(name)}</th>" for name in shown)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(found[number][name]))}</td>" for name in shown) + "</tr>"
            for number in numbers
        )
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>"


def _plain(value: Any) -> Any:
    """The same as a study file could say it: numbers of NumPy as Python's, all that is a row of values as a list."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple | range) else value


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _frame(X: Any) -> pl.DataFrame:
    """Rows as a table; columns of an array are called x0, x1, ...; texts are read as they are in a CSV file."""
    frame = _raw_frame(X)
    return frame.with_columns(typed(column) for column in frame.iter_columns() if column.dtype == pl.String)


def _raw_frame(X: Any) -> pl.DataFrame:
    if isinstance(X, pl.DataFrame):
        return X
    if isinstance(X, dict) or hasattr(X, "columns"):  # a mapping, or a DataFrame of pandas
        return pl.DataFrame({str(name): _column(X[name]) for name in (X if isinstance(X, dict) else X.columns)})
    array = np.asarray(X)
    if array.ndim != 2:
        raise ConfigError(f"X: rows and columns are needed, it has {array.ndim} dimensions")
    return pl.DataFrame({f"x{i}": _column(np.ascontiguousarray(column)) for i, column in enumerate(array.T)})


def _column(values: Any) -> pl.Series:
    """Values (rows,) as they are, gaps of any kind as null, and of mixed kinds as text."""
    if isinstance(values, pl.Series):
        return values
    array = np.asarray(values)
    if array.ndim != 1:
        raise ConfigError(f"a column or y has {array.ndim} dimensions; one is needed")
    if array.dtype != object and array.dtype.kind in "biufUMm":
        return pl.Series(array)
    cells = [None if _is_gap(cell) else cell for cell in array.tolist()]
    kinds = {type(cell) for cell in cells if cell is not None}
    if strange := sorted(kind.__name__ for kind in kinds if not issubclass(kind, CELLS)):
        raise ConfigError(f"a column or y holds {strange[0]}; numbers, text, booleans or dates are needed")
    if len(kinds) > 1 and not kinds <= {int, float}:
        cells = [None if cell is None else str(cell) for cell in cells]
    return pl.Series(cells)


def _is_gap(cell: Any) -> bool:
    """None, NaN, and what pandas calls NA and NaT, without pandas."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and isnan(cell))


def _table(X: Any, y: Any) -> tuple[pl.DataFrame, str]:
    """Rows and targets as one table, and the target's name in it."""
    frame, name = _frame(X), getattr(y, "name", None)
    target = str(name) if name and str(name) not in frame.columns else "target"
    if target in frame.columns:
        raise ConfigError(f"X: a column is called {target!r}, which is the target's name; give y another name")
    values = _column(y)
    if len(values) != frame.height:
        raise ConfigError(f"y has {len(values):,} values, X has {frame.height:,} rows")
    return frame.with_columns(values.alias(target)), target
