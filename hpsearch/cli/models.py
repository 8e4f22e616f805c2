"""`evaluate` and `predict`: the model of a run in use."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from hpsearch.cli.inspection import DebugOption, RunArgument
from hpsearch.cli.printing import Format, FormatOption, print_record, readable, table_text
from hpsearch.errors import ConfigError, DataError, HpsearchError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

    from hpsearch.config import StudyConfig
    from hpsearch.data.parts import Part
    from hpsearch.model import Model
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.trial import TrialResult

SingleOption = Annotated[
    bool, typer.Option("--single", help="Use the winner alone, although several networks vote in the run's model.")
]
NOTED = ("trial", "networks", "rows", "scores", "intervals", "data", "sha256")  # in the journal, of each evaluation
BLOCK_ROWS = 65_536  # that are predicted at a time
SHOWN_CLASSES = 12  # of a confusion matrix on a terminal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evaluate")(evaluate)
    app.command("predict")(predict)
    app.command("export")(export)


def evaluate(
    run: RunArgument,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Other rows with known targets, in place of the sealed test part."),
    ] = None,
    single: SingleOption = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not open the training data: no constant prediction, no linear model.")
    ] = False,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Open the sealed test part, or other rows, and judge the winner on it; the run notes each time that this is done.

    Scores come with the interval of 95 % in which they would lie for other rows like these, beside those of the best
    constant prediction and of a linear model on the same rows, and the dev score that the winner was chosen by.
    """
    from hpsearch.cli.progress import say
    from hpsearch.config import StudyConfig
    from hpsearch.data.reading import sha256
    from hpsearch.engine.network import start_engine
    from hpsearch.report.judging import judge_rows
    from hpsearch.run_directory.directory import reopen
    from hpsearch.run_directory.record import RunRecord

    record = RunRecord.load(run)
    study = StudyConfig.model_validate(record.study)
    model = model_of(run, single=single)
    winner = record.results.get(model.trial)
    if winner is None:
        raise RunError(f"{run / 'model'}: the model of trial {model.trial}, which this run does not have")
    part = _rows_to_judge(run, source, study, record, model)
    start_engine(say)
    found = {"trial": model.trial, "networks": len(model.members)}
    found |= judge_rows(model.preparation.target, part, *model.outputs(part.inputs))
    if source is not None:
        found |= {"data": str(Path(source).absolute()), "sha256": sha256(source)}
        if found["sha256"] == record.data["sha256"]:
            say(f"warning: {source} is what the search learned and chose from, so these scores are too good")
    with reopen(run) as directory:
        kept = {name: found[name] for name in NOTED if name in found}
        directory.evaluated(kept | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
        record = directory.record
    found["opened"] = sum("data" not in event for event in record.evaluations)
    found["baselines"] = {} if quick else _simpler(study, record, part)
    dev = record.ensemble["scores"] if len(model.members) > 1 and record.ensemble else _chosen_by(record, winner)
    print_record(found, form, value=found["scores"].get(record.metric), table=_judged_table(source, dev, found))


def model_of(run: Path, *, single: bool) -> Model:
    """The model of a run; `single`: that of the winner alone. Raises RunError."""
    from hpsearch.model import Model
    from hpsearch.run_directory.directory import MODEL, SINGLE

    model = Model.load(run / MODEL)
    return Model.load(run / SINGLE) if single and len(model.members) > 1 else model


def _rows_to_judge(run: Path, source: str | None, study: StudyConfig, record: RunRecord, model: Model) -> Part:
    """The sealed test part, or all rows of a table that has the target."""
    from hpsearch.cli.progress import say
    from hpsearch.data.dataset import load_new_part, load_test_part
    from hpsearch.data.reading import check_same_file

    if source is not None:
        return load_new_part(source, preparation=model.preparation, note=say)
    check_same_file(study.data.source, record.data["sha256"])
    if study.data.split.test == 0:
        raise RunError(f"{run}: the study has no test part (data.split.test is 0); name a table to evaluate on")
    return load_test_part(**study.data.loading(), preparation=model.preparation)


def _simpler(study: StudyConfig, record: RunRecord, part: Part) -> dict[str, dict[str, float]]:
    """What a constant prediction and a linear model have on the same rows; nothing where the data are gone."""
    from hpsearch.cli.progress import say
    from hpsearch.data.dataset import load_dataset
    from hpsearch.data.reading import check_same_file
    from hpsearch.report.baselines import NORMALIZATION, simple_scores
    from hpsearch.trial import TrialSettings

    try:
        check_same_file(study.data.source, record.data["sha256"])
        data = load_dataset(**study.data.loading(), normalize=(NORMALIZATION,))
    except (HpsearchError, OSError) as error:
        say(f"nothing to compare with: {error}")
        return {}
    say("training a linear model to compare with (--quick: without) ...")
    return simple_scores(data, TrialSettings(study.seed, study.metric), part)


def _chosen_by(record: RunRecord, winner: TrialResult) -> dict[str, float]:
    """The dev score, by metric, that the winner was chosen by: the mean of its finals, or those of its training."""
    finals = {standing.trial: standing.mean for standing in record.standings()}
    if winner.number in finals:
        return {record.metric: finals[winner.number] * (-1 if record.maximize else 1)}
    return {name.removeprefix("dev_"): value for name, value in winner.metrics.items() if name.startswith("dev_")}


def _judged_table(source: str | None, dev: Mapping[str, float], found: dict[str, Any]) -> str:
    """`dev`: by metric, what was known of the model's dev score when it was chosen."""
    from hpsearch.data.plain import count

    rows = count(found["rows"], "row")
    opening = f"the {rows} of the sealed test part (opening {found['opened']})"
    where = opening if source is None else f"{rows} of {source}"
    name = "test" if source is None else "here"
    baselines = found["baselines"]
    scores = [
        [
            metric,
            readable(value),
            f"{readable(found['intervals'][metric][0])} to {readable(found['intervals'][metric][1])}",
            readable(dev.get(metric)),
            *(readable(known.get(metric)) for known in baselines.values()),
        ]
        for metric, value in found["scores"].items()
    ]
    header = ["score", name, "95 %", "dev", *baselines]
    networks = found["networks"]
    who = f"Trial {found['trial']}" if networks == 1 else f"{networks} networks that vote"
    lines = [f"{who} on {where}", "", *_indented([header, *scores])]
    if "classes" in found:
        lines += ["", *_indented([["class", "rows", "recall", "precision"], *_class_cells(found["classes"])])]
        lines += ["", *_confusion_lines(found)]
        trust = f"; trust: {_counts(found['trust'])}" if found["supported"] else ""
        lines += [f"  expected calibration error {readable(found['ece'])}{trust}"]
    else:
        ends = found["residual_quantiles"]
        lines += ["", f"  nine errors in ten lie between {readable(ends[0])} and {readable(ends[-1])}"]
    return "\n".join(lines)


def _indented(rows: list[list[str]]) -> list[str]:
    return ["  " + line for line in table_text(rows).splitlines()]


def _class_cells(classes: list[dict[str, Any]]) -> list[list[str]]:
    shares = ("recall", "precision")
    return [
        [readable(one["class"]), readable(one["rows"]), *(_percent(one[share]) for share in shares)] for one in classes
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _confusion_lines(found: dict[str, Any]) -> list[str]:
    """The confusion matrix, where it can be read."""
    names = [readable(one["class"]) for one in found["classes"]]
    if len(names) > SHOWN_CLASSES:
        return []
    rows = [[name, *(readable(count) for count in row)] for name, row in zip(names, found["confusion"], strict=True)]
    return [*_indented([["class \\ taken for", *names], *rows]), ""]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{readable(number)} {word}" for word, number in counts.items())


def predict(
    run: RunArgument,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A table with the columns that the model was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="F", help="A CSV file [stdout].")] = None,
    single: SingleOption = False,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Predict new rows with the winner: for each row, in order, `prediction`, each class's probability and `trust`.

    trust: ok; low where no class has enough support; ambiguous where more than one has (of the logistic output only:
    a softmax has no support, and its shares stand for it).
    """
    from hpsearch.cli.progress import say
    from hpsearch.data.reading import read_blocks
    from hpsearch.engine.network import start_engine
    from hpsearch.files import replaced, storage_errors

    if out and out.resolve() == Path(source).resolve():
        raise ConfigError(f"-o {out}: is the table to predict; choose another file")
    if out and out.suffix in (".parquet", ".npz", ".gz"):
        raise ConfigError(f"-o {out}: predictions are written as CSV, not as {out.suffix}")
    model = model_of(run, single=single)
    start_engine(say)
    blocks = _predicted(model, read_blocks(source, BLOCK_ROWS))
    if out is None:
        _write_csv(blocks, sys.stdout.buffer)
        return
    if out.exists() and not out.is_file():  # a pipe or a device is written to, not replaced
        with storage_errors(out), out.open("wb") as file:
            rows = _write_csv(blocks, file)
    else:
        with replaced(out.resolve()) as file:
            rows = _write_csv(blocks, file)
    say(f"{out}: {readable(rows)} predictions")


def _predicted(model: Model, blocks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The columns of the output for one block of rows after the other."""
    import numpy as np
    import polars as pl

    from hpsearch.run_directory.results import as_cell

    labels, start = [str(as_cell(label)) for label in model.classes], 0
    for block in blocks:
        try:
            scores, trust = model.predict(block)
        except DataError as error:
            where = f" (rows counted from row {start + 1:,} on)" if start else ""
            raise DataError(f"{error}{where}") from None
        start += block.height
        if model.task == "regression":
            yield pl.DataFrame({"prediction": scores[:, 0]})
            continue
        winners = pl.Series(labels, dtype=pl.String).gather(scores.argmax(axis=1))
        shares = scores.astype(np.float64)
        yield pl.DataFrame(
            {
                "prediction": winners,
                **{f"p_{label}": shares[:, k] for k, label in enumerate(model.classes)},
                "trust": pl.Series(trust, dtype=pl.String),
            }
        )


def _write_csv(blocks: Iterator[pl.DataFrame], file: BinaryIO) -> int:
    """Write the blocks below one header; how many rows they have."""
    rows = 0
    for block in blocks:
        file.write(block.write_csv(include_header=not rows).encode())
        rows += block.height
    file.flush()
    return rows


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="F", help="model.py, model.onnx or model.safetensors.")],
    single: SingleOption = False,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Write the model of a run as one file that works without hpsearch.

    model.py needs NumPy alone: `python model.py table.csv`. model.onnx has the preparation of columns inside (extra
    onnx). model.safetensors has the weights, and all else as YAML in its metadata.
    """
    from hpsearch.cli.progress import say
    from hpsearch.export.files import exported
    from hpsearch.files import write_atomically

    content = exported(model_of(run, single=single), out.suffix)
    write_atomically(out.resolve(), content)
    say(f"{out}: {len(content):,} bytes")
