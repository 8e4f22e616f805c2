"""`repair`: commands that mend run directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.cli.inspection import DebugOption, RunArgument
from hpsearch.cli.printing import Format, FormatOption, counted, print_record

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("repair")(repair)


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
