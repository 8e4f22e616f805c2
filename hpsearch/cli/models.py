"""`evaluate` and `predict`: the model of a run in use."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.inspection import DebugOption, RunArgument
from hpsearch.cli.printing import Format, FormatOption, print_record, readable, table_text
from hpsearch.errors import ConfigError, RunError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evaluate")(evaluate)
    app.command("predict")(predict)


def evaluate(
    run: RunArgument,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Open the sealed test part and judge the winner on it; the run notes each time that this is done."""
    from hpsearch.cli.progress import say
    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import load_test_part
    from hpsearch.data.reading import sha256
    from hpsearch.engine.network import start_engine
    from hpsearch.model import Model
    from hpsearch.run_directory.directory import reopen
    from hpsearch.run_directory.record import RunRecord

    record = RunRecord.load(run)
    study = StudyConfig.model_validate(record.study)
    model = Model.load(run / "model")
    winner = record.results.get(model.trial)
    if winner is None:
        raise RunError(f"{run / 'model'}: the model of trial {model.trial}, which this run does not have")
    if sha256(study.data.source) != record.data["sha256"]:
        raise RunError(f"{study.data.source}: not the file that the search used; its checksum has changed")
    if study.data.split.test == 0:
        raise RunError(f"{run}: the study has no test part (data.split.test is 0)")
    start_engine(say)
    part = load_test_part(**study.data.loading(), preparation=model.preparation, normalizer=model.normalizer)
    scores = model.judge(part)
    with reopen(run) as directory:
        directory.evaluated(
            {"trial": model.trial, "rows": len(part.inputs), "scores": scores,
             "at": datetime.now(UTC).isoformat(timespec="seconds")}
        )  # fmt: skip
        times = len(directory.record.evaluations)
    found = {"trial": model.trial, "rows": len(part.inputs), "scores": scores, "opened": times}
    dev = winner.metrics
    rows = [[name, readable(value), readable(dev.get(f"dev_{name}"))] for name, value in scores.items()]
    table = "\n".join(
        [
            f"Trial {model.trial} on the {readable(len(part.inputs))} rows of the sealed test part (opening {times})",
            "",
            *("  " + line for line in table_text([["score", "test", "dev"], *rows]).splitlines()),
        ]
    )
    print_record(found, form, value=scores[record.metric], table=table)


def predict(
    run: RunArgument,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A table with the columns that the model was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="F", help="A CSV file [stdout].")] = None,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Predict new rows with the winner: for each row, in order, `prediction`, each class's probability and `trust`.

    trust: ok; low where no class has enough support; ambiguous where more than one has.
    """
    import numpy as np

    from hpsearch.cli.progress import say
    from hpsearch.data.reading import read_table
    from hpsearch.engine.network import start_engine
    from hpsearch.files import storage_errors, write_atomically
    from hpsearch.model import Model
    from hpsearch.run_directory.results import csv_text

    if out and out.resolve() == Path(source).resolve():
        raise ConfigError(f"-o {out}: is the table to predict; choose another file")
    if out and out.suffix in (".parquet", ".npz", ".gz"):
        raise ConfigError(f"-o {out}: predictions are written as CSV, not as {out.suffix}")
    model = Model.load(run / "model")
    frame = read_table(source)
    start_engine(say)
    scores, trust = model.predict(frame)
    if model.task == "classification":
        names = [f"p_{label}" for label in model.classes]
        winners = np.argmax(scores, axis=1).tolist()
        rows = [
            {"prediction": model.classes[winner], **dict(zip(names, row, strict=True)), "trust": word}
            for winner, row, word in zip(winners, scores.astype(np.float64).tolist(), trust.tolist(), strict=True)
        ]
        names.append("trust")
    else:
        names = []
        rows = [{"prediction": value} for value in scores[:, 0].tolist()]
    text = csv_text(["prediction", *names], rows)
    if out:
        if out.exists() and not out.is_file():  # a pipe or a device is written to, not replaced
            with storage_errors(out):
                out.write_text(text, encoding="utf-8")
        else:
            write_atomically(out.resolve(), text.encode())
        say(f"{out}: {readable(len(rows))} predictions")
    else:
        print(text, end="")
