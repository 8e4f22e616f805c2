"""`show`, `best`, `data`, `init` and `check`: commands that read and run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.printing import Format, FormatOption, counted, print_record, print_rows, readable, table_text
from hpsearch.errors import NoValidTrialError
from hpsearch.space_text import is_searched

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset
    from hpsearch.diagnosis.parts import Difference
    from hpsearch.run_directory.record import RunRecord

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/digits-random.")]
SourceArgument = Annotated[str, typer.Argument(help="A data file, or bundled data: digits, wine, breast_cancer.")]
TargetOption = Annotated[
    str | None,
    typer.Option("-y", "--target", metavar="COL", envvar="HPSEARCH_TARGET", help="Column to predict [last]."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the place of an error.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("show")(show)
    app.command("best")(best)
    app.command("data")(data)
    app.command("init")(init)
    app.command("check")(check)


def show(
    run: RunArgument,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many.")] = None,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Print the trials, best first; the failed and those without a result last. Works while the search runs.

    What waits has ended, and counts when it is known whether it should have been pruned on its way.
    """
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.run_directory.results import open_row, trial_columns, trial_row
    from hpsearch.trial import TrialState

    record = RunRecord.load(run)
    columns = trial_columns(record)
    ranked = record.ranking()
    rest = sorted(record.counted().keys() - set(ranked))
    rows = [trial_row(record, record.results[number], columns) for number in (*ranked, *rest)]
    waits = {number: result.config for number, result in record.held.items()}
    runs = {number: config for number, config in record.running.items() if number not in waits}
    for state, configs in ((TrialState.WAITING, waits), (TrialState.RUNNING, runs)):
        rows += [open_row(number, state, config, columns) for number, config in sorted(configs.items())]
    score = f"dev_{record.metric}"
    print_rows(rows[:top], columns, form, value=score, table=_shown_columns(record, columns, rows[:top]))


def _shown_columns(record: RunRecord, columns: list[str], rows: list[dict[str, Any]]) -> list[str]:
    """What tells trials apart, most wanted first: scores, searched hyperparameters, cost.

    Constants and empty columns are left to the data formats; so is `state` where all trials are complete.
    """
    searched = [name for name, spec in record.study["space"].items() if is_searched(name, spec)]
    filled = {name for row in rows for name, value in row.items() if value is not None}
    plain = {row["state"] for row in rows} <= {"COMPLETE"}
    metric = record.metric
    order = ["trial", "state", f"dev_{metric}", f"train_{metric}", *searched, "best_epoch", "epochs", "parameters"]
    order += [*(name for name in columns if name.startswith(("dev_", "train_"))), "diagnosis", "error"]
    return [
        name for name in dict.fromkeys(order) if name in columns and name in filled and not (name == "state" and plain)
    ]


def best(
    run: RunArgument,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Print the winner so far. Works while the search runs."""
    from hpsearch.run_directory.record import RunRecord

    print_best(run, RunRecord.load(run), form)


def print_best(folder: Path, record: RunRecord, form: Format) -> None:
    """Print the winner of a run; NoValidTrialError if there is none."""
    from hpsearch.run_directory.results import describe_best

    winner = record.best()
    if winner is None:
        raise NoValidTrialError(f"{folder}: no trial has a score yet ({len(record.results)} results)")
    found = describe_best(record, winner)
    print_record(found, form, value=found["score"], table=_best_table(folder, record, found))


def _best_table(folder: Path, record: RunRecord, found: dict[str, Any]) -> str:
    from hpsearch.report.in_use import model_lines

    constant = {name for name, spec in record.study["space"].items() if not is_searched(name, spec)}
    searched = [[name, readable(value)] for name, value in found["hyperparameters"].items() if name not in constant]
    fixed = [f"{name} {readable(value)}" for name, value in found["hyperparameters"].items() if name in constant]
    scores = [[name, readable(value), readable(found["scores"]["train"].get(name))]
              for name, value in found["scores"]["dev"].items()]  # fmt: skip
    width = max((len(name) for name, _ in searched), default=0)
    lines = [
        f"Best of {counted(found['trials'], 'trial')}: trial {found['trial']}, chosen by {_how_chosen(record, found)}",
        "",
        *("  " + line for line in table_text([["score", "dev", "train"], *scores]).splitlines()),
        "",
        *(f"  {name.ljust(width)}  {value}" for name, value in searched),
        *([f"  fixed: {', '.join(fixed)}"] if fixed else []),
        "",
        *_finals_lines(record, found),
        *(f"  {line}" for line in model_lines(record.metric, found)),
        f"  best after epoch {found['best_epoch']} of {found['epochs']}",
        f"  {readable(found['parameters'])} parameters, {readable(found['gflop'])} GFLOP",
        f"  run directory: {folder}",
    ]
    return "\n".join(lines)


def _how_chosen(record: RunRecord, found: dict[str, Any]) -> str:
    if "repeats" not in found:
        return f"dev {record.metric}"
    return f"mean dev {record.metric} of {found['repeats']} more trainings"


def _finals_lines(record: RunRecord, found: dict[str, Any]) -> list[str]:
    """What the finals say: the winner's score without its luck, and who is as good."""
    if found.get("mean") is None:
        return []
    fresh = "fresh seeds and splits" if found["fresh_splits"] else "fresh seeds"
    level = [str(rival["trial"]) for rival in found["runners_up"] if not rival.get("told_apart", True)]
    others = f"not told apart from it: trial{'s' if len(level) > 1 else ''} {', '.join(level)}"
    mean, sd = readable(found["mean"]), readable(found["sd"])
    return [
        f"  with {found['repeats']} {fresh}: dev {record.metric} {mean}, sd {sd}",
        f"  {others if level else 'better than the other finalists beyond chance'}",
    ]


def data(
    source: Annotated[
        str, typer.Argument(help="A data file, a study (.yaml), or bundled data: digits, wine, breast_cancer.")
    ] = "digits",
    target: TargetOption = None,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Describe a data file: what each column is taken for, how rows are split, and what will hurt."""
    from hpsearch.cli.progress import say
    from hpsearch.config import load_study
    from hpsearch.data.dataset import load_dataset, load_inputs
    from hpsearch.data.reading import read_table
    from hpsearch.data.summary import summarise
    from hpsearch.diagnosis.parts import told_apart
    from hpsearch.engine.network import start_engine

    is_study = source.endswith((".yaml", ".yml"))
    said = {} if is_study else {"data.source": source}
    said |= {} if target is None else {"data.target": target}
    loading = load_study(Path(source) if is_study else None, said).data.loading()
    found = load_dataset(**loading)
    rows = summarise(read_table(loading["source"]), found.description)
    if form is not Format.TABLE:
        print_rows(rows, list(rows[0]), form, value="kind", table=[])
        for note in [*found.notes, *_class_shares(found), *(f"warning: {warning}" for warning in found.warnings)]:
            say(note)
        return
    cells = [{**row, "missing": f"{100 * row['missing']:.3g} %" if row["missing"] else ""} for row in rows]
    print(table_text([list(rows[0]), *([readable(value) for value in row.values()] for row in cells)]))
    print()
    for note in [*found.notes, *_class_shares(found)]:
        print(note)
    start_engine(say)
    normalizer = next(iter(found.normalizers.values()))
    inputs = load_inputs(**loading, preparation=found.preparation, normalizer=normalizer)
    # Rows of a group are alike, so with groups a classifier knows theirs, however parts were dealt out.
    differences = [] if loading["group"] else told_apart(inputs)
    if differences and not any(difference.real for difference in differences):
        areas = ", ".join(f"{one.part} {one.auc:.2f}" for one in differences)
        print(f"no classifier tells the parts from train (area under the curve, 0.5 is chance: {areas})")
    for warning in [*found.warnings, *_distinct(differences)]:
        print(f"warning: {warning}")


def _class_shares(found: Dataset) -> list[str]:
    """How many rows of train each class has, the most frequent first."""
    import numpy as np

    if found.task != "classification":
        return []
    from hpsearch.data.plain import show

    counts = np.bincount(found.arrays.labels["train"], minlength=len(found.classes))
    order = np.argsort(-counts, kind="stable").tolist()
    shown = ", ".join(f"{show(found.classes[k])} {100 * counts[k] / counts.sum():.3g} %" for k in order[:8])
    more = f", and {len(order) - 8} more" if len(order) > 8 else ""
    return [f"classes in train: {shown}{more}"]


def _distinct(differences: list[Difference]) -> list[str]:
    return [
        f"a classifier tells {one.part} from train (area under the curve {one.auc:.2f}, 0.5 is chance): its scores are "
        "of other rows than those that are learned from; shuffle the table, or spread what differs with "
        "data.stratify_by and keep together what belongs together with data.group"
        for one in differences
        if one.real
    ]


def init(
    source: SourceArgument = "digits",
    target: TargetOption = None,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Print a commented study for a data file: redirect it to study.yaml, change it, and run it."""
    from hpsearch.cli.study_template import study_text
    from hpsearch.config import DEFAULT_TRIALS, load_study, resolve
    from hpsearch.data.dataset import load_dataset

    found = load_dataset(source, target=target)
    study = load_study(None, {"data.source": source, "data.target": target, "budget.trials": DEFAULT_TRIALS})
    print(study_text(resolve(study, **found.facts())), end="")


def check(
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Look at this machine: versions, processors, BLAS; compile the engine now if that was not done yet."""
    import importlib.metadata
    import platform
    import time

    import numpy as np

    from hpsearch import __version__
    from hpsearch.cli.progress import say
    from hpsearch.engine.cache import cache_folder
    from hpsearch.engine.network import start_engine
    from hpsearch.executors.base import available_cpus

    start = time.perf_counter()
    start_engine(say)
    seconds = time.perf_counter() - start
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    names = ("numpy", "numba", "llvmlite", "polars", "pydantic", "typer", "safetensors")
    found = {
        "hpsearch": __version__,
        "python": platform.python_version(),
        "processors": available_cpus(),
        "threads": "1 for each process",
        "blas": f"{blas.get('name')} {blas.get('version')}, NumPy's; the engine multiplies by itself",
        "engine": f"ready after {seconds:.2f} s",
        "engine_cache": str(cache_folder()),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }
    flat = {name.removeprefix("versions."): readable(value) for name, value in _flat(found).items()}
    print_record(found, form, value=seconds, table=table_text([[name, value] for name, value in flat.items()]))


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    from hpsearch.cli.printing import flatten

    return flatten(found)
