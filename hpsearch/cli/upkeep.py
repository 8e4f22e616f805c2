"""`repair` and `merge`: commands that mend and join run directories."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.inspection import DebugOption, RunArgument
from hpsearch.cli.printing import Format, FormatOption, counted, print_record


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("repair")(repair)
    app.command("merge")(merge)


def repair(
    run: RunArgument,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Save what is whole of a damaged journal, after a copy of it; what is lost is trained again by the next search."""
    from hpsearch.run_directory.directory import reopen
    from hpsearch.run_directory.repair import repair as repair_run

    done = repair_run(run)
    with reopen(run) as directory:
        directory.write_views()
        trials = len(directory.record.results)
    if done.copy:
        lost = "line " if len(done.left_out) == 1 else "lines "
        lost += ", ".join(map(str, done.left_out[:5])) + (" and more" if len(done.left_out) > 5 else "")
        text = f"{run}: {counted(trials, 'trial')} saved; left out: {lost} of the journal, which is kept as {done.copy}"
    else:
        text = f"{run}: the journal is whole, {counted(trials, 'trial')}; nothing was changed"
    found = {"trials": trials, "lines": done.kept, "left_out": done.left_out, "copy": str(done.copy or "")}
    print_record(found, form, value=trials, table=text)


def merge(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories of one study, such as those of --shard.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The run directory to make.")],
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Make one run of several of the same study; a search there then runs what is lacking, and the finals."""
    from hpsearch.cli.running import provenance
    from hpsearch.run_directory.merging import merge as merge_runs
    from hpsearch.run_directory.record import RunRecord

    first = RunRecord.load(runs[0])
    done = merge_runs(runs, out, provenance(first.data["sha256"], ["hpsearch", *sys.argv[1:]]))
    again = f", {done.repeated} of them in several" if done.repeated else ""
    next_ = shlex.join(["hpsearch", first.study["strategy"]["name"], str(out / "study.yaml"), "-o", str(out)])
    text = f"{out}: {counted(done.trials, 'trial')} of {counted(len(runs), 'run')}{again}\nnext: {next_}"
    print_record({"trials": done.trials, "repeated": done.repeated}, form, value=done.trials, table=text)
