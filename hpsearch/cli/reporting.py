"""`hpsearch report`: what a search has taught, in words and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.inspection import DebugOption, RunArgument
from hpsearch.cli.printing import Format, FormatOption, print_record
from hpsearch.errors import HpsearchError, NoValidTrialError

if TYPE_CHECKING:
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.trial import TrialResult

PAGE = "report.html"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    run: RunArgument,
    human_error: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="E", help="The error that a person makes, or that nobody can beat, as in a search."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not open the data: no linear model, mistakes, or sizes of the data.")
    ] = False,
    form: FormatOption = Format.TABLE,
    debug: DebugOption = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Say what limits the search and what to try next; write report.html. Works on runs that were killed, too.

    The first time it looks at the winner's mistakes and trains it on parts of the data, to see if more would help.
    """
    from hpsearch.cli.progress import say
    from hpsearch.config import check_human_error
    from hpsearch.files import write_atomically
    from hpsearch.report.page import page
    from hpsearch.report.verdict import judge
    from hpsearch.report.words import sentences
    from hpsearch.run_directory.record import RunRecord

    record = RunRecord.load(run)
    check_human_error(human_error, record.metric)
    winner = record.best()
    if winner is None:
        raise NoValidTrialError(f"{run}: no trial has a score yet ({len(record.results)} results)")
    if not quick and winner.number not in record.examinations:
        try:
            record = _examined(run, record, winner)
        except (HpsearchError, OSError) as error:
            say(f"without a look at the model and the data: {error}")
    verdict = judge(record, run, human_error)
    lines = [f"{run}: {len(record.counted())} trials, the best is trial {verdict.winner}", ""]
    for heading, texts in sentences(verdict):
        lines += [heading, *(f"  {text}" for text in texts), ""]
    print_record(verdict.to_dict(), form, value=verdict.limit.word, table="\n".join(lines).rstrip())
    write_atomically(run / PAGE, page(run.resolve().name, record, verdict, human_error).encode(errors="replace"))
    say(f"{run / PAGE}: open it in a browser")


def _examined(run: Path, record: RunRecord, winner: TrialResult) -> RunRecord:
    """The record with what a look at the winner's model and the data found; raises what keeps one from looking."""
    from hpsearch.cli.progress import say
    from hpsearch.config import StudyConfig, wanted_normalizations
    from hpsearch.data.dataset import load_dataset
    from hpsearch.data.reading import check_same_file
    from hpsearch.engine.network import start_engine
    from hpsearch.model import Member
    from hpsearch.report.baselines import NORMALIZATION
    from hpsearch.report.examination import examine
    from hpsearch.run_directory.directory import reopen
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.trial import Trial, TrialSettings, run_trial

    study = StudyConfig.model_validate(record.study)
    check_same_file(study.data.source, record.data["sha256"])
    with reopen(run) as directory:
        data = load_dataset(**study.data.loading(), normalize=(*wanted_normalizations(study), NORMALIZATION))
        start_engine(say)
        winner.weights = directory.weights.get(winner.key)
        if winner.weights is None:
            say(f"training trial {winner.number} once more, for its network ...")
            winner = run_trial(Trial(winner.number, winner.config), data, TrialSettings(study.seed, study.metric))
        member = Member.of(winner, data, study.metric)
        directory.note([examine(member, winner, data, study, say)])
    return RunRecord.load(run)
