"""`hpsearch random`, `grid` and `evolve`: flags -> study -> run -> the winner."""

from __future__ import annotations

import functools
import math
import re
import shlex
import sys
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.printing import Format, FormatOption, counted
from hpsearch.cli.progress import Progress, ProgressStyle, say
from hpsearch.cli.signals import OrderlyEnd
from hpsearch.errors import ConfigError, GoalMissedError, NoValidTrialError
from hpsearch.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import Dataset
    from hpsearch.executors.base import Executor
    from hpsearch.finals import Finals, TimeForFinals
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.strategies.base import Strategy
    from hpsearch.strategies.pruning import Pruner
    from hpsearch.study import StopRules, Study
    from hpsearch.trial import Trial, TrialResult

MAX_MESH = 1_000  # more of them are run only when somebody says how many
CONTENDERS = 4  # times as many trials as there are finalists keep their weights, for who they will be is not known yet
MOST_CONTENDERS = 50
MOST_ONLY = 1_000_000  # trials before it are asked for too
WHY = {"timeout": "the time is over", "goal": "the goal is reached"}
SUMMARIES = {
    "random": "Search at random, each hyperparameter on its own scale; trial 0 is the default configuration.",
    "grid": "Search a mesh, then denser ones around the best; what neither -p nor a study names keeps its default.",
    "evolve": "Search by evolution: offspring of the best trials so far, screened by a guess at their scores.",
}


class Mode(StrEnum):
    """What --mode may say."""

    CAVIAR = "caviar"
    PANDA = "panda"


class InterruptedBySignalError(Exception):
    """A signal ended the search in good order; the process is to end by it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def register(app: typer.Typer) -> None:
    """Add a command for each strategy."""
    for name, summary in SUMMARIES.items():
        app.command(name, help=summary)(search)


def search(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A data file (.csv .tsv .parquet .npz, .gz too), a study (.yaml), or digits, wine, breast_cancer."
        ),
    ] = "digits",
    target: Annotated[
        str | None,
        typer.Option("-y", "--target", metavar="COL", envvar="HPSEARCH_TARGET", help="Column to predict [last]."),
    ] = None,
    earlier: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            envvar="HPSEARCH_FROM",
            help="Know the results of an earlier run from the start. @trials.csv: run the rows of a table, these only.",
        ),
    ] = None,
    trials: Annotated[
        str | None,
        typer.Option(
            "-n",
            "--trials",
            metavar="N",
            envvar="HPSEARCH_TRIALS",
            help="Trials in all, those of earlier runs included [50].",
        ),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(
            envvar="HPSEARCH_MODE", help="caviar: parallel processes; panda: one at a time, each epoch shown."
        ),
    ] = Mode.CAVIAR,
    jobs: Annotated[
        str,
        typer.Option("-j", "--jobs", envvar="HPSEARCH_JOBS", help="Processes of caviar; auto: the CPUs we may use."),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            envvar="HPSEARCH_OUT",
            help="Run directory [runs/<source>-<strategy>].",
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            metavar="NAME=SPEC",
            help="Search or fix a hyperparameter: lr=1e-5:1e-1:log, units=16:256:x2, epochs=30.",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study: data.split.test=0.1."),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="N", envvar="HPSEARCH_EPOCHS", help="Epochs of a full trial [100].")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(envvar="HPSEARCH_METRIC", help="What to optimise [log_loss or rmse].")
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="S", envvar="HPSEARCH_SEED", help="The root of all randomness [0].")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", envvar="HPSEARCH_TIMEOUT", help="End the search after 45s, 30m, 1.5h."),
    ] = None,
    trial_timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", envvar="HPSEARCH_TRIAL_TIMEOUT", help="Fail a trial after this long."),
    ] = None,
    goal: Annotated[
        str | None, typer.Option(metavar="X", envvar="HPSEARCH_GOAL", help="End as soon as the metric is this good.")
    ] = None,
    require_goal: Annotated[
        bool,
        typer.Option("--require-goal", envvar="HPSEARCH_REQUIRE_GOAL", help="Exit 4 when the goal is not reached."),
    ] = False,
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            envvar="HPSEARCH_MAX_FAILURES",
            help="Exit 3 when more trials fail: a count, or a share below 1.",
        ),
    ] = None,
    finalists: Annotated[
        str | None,
        typer.Option(
            metavar="K",
            envvar="HPSEARCH_FINALISTS",
            help="Train the K best again, with fresh seeds; choose by the mean. 0: no [5; fewer if few trials].",
        ),
    ] = None,
    lag: Annotated[
        str | None,
        typer.Option(
            metavar="L",
            envvar="HPSEARCH_LAG",
            help="Trial i uses results of trials 0 to i-L [a tenth of the trials, 8 to 64]; more processes would wait.",
        ),
    ] = None,
    prune: Annotated[
        bool | None,
        typer.Option(
            "--prune/--no-prune", envvar="HPSEARCH_PRUNE", help="Stop trials that are worse than most on their way."
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", envvar="HPSEARCH_PLAIN", help="random: independent draws and no more, as a baseline."),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="TRIALS", help="Run only these trials of the study: 17 or 3,17 or 10-19."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the trials and what they will cost; run nothing.")
    ] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the whole study; run nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run that is in the run directory.")
    ] = False,
    form: FormatOption = Format.TABLE,
    progress: Annotated[
        ProgressStyle,
        typer.Option(envvar="HPSEARCH_PROGRESS", help="auto: a bar on a terminal, else plain lines."),
    ] = ProgressStyle.AUTO,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the result, warnings and errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more about the data.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the place of an error.")] = False,  # noqa: ARG001 - read by app.main
) -> None:
    """Find out what is to be run, and run it."""
    from hpsearch.strategies.base import GivenStrategy

    began = time.monotonic()
    _job_count(jobs)
    if require_goal and goal is None:
        raise ConfigError("--require-goal: needs --goal X")
    if plain and context.info_name != "random":
        raise ConfigError(f"--plain: {context.info_name} has no plain form; it is for hpsearch random")
    overrides = {"strategy.name": context.info_name} | _settings(setting or [])
    flags = {
        "data.target": target, "budget.trials": trials, "budget.epochs": epochs, "metric": metric, "seed": seed,
        "budget.timeout": timeout, "budget.trial_timeout": trial_timeout, "goal": goal, "max_failures": max_failures,
        "strategy.lag": lag, "prune": prune, "finalists.top": finalists, "from": earlier,
        "strategy.plain": plain or None,
    }  # fmt: skip
    overrides |= {key: value for key, value in flags.items() if value is not None}
    plan = _plan(source, overrides, parameter or [], out, overwrite=overwrite, quiet=quiet, verbose=verbose)
    if print_config:
        from hpsearch.strict_yaml import dump

        print(dump(plan.study.to_dict()), end="")
        return
    if only and not plan.study.given() and (recorded := _recorded(source)):
        plan = replace(plan, strategy=GivenStrategy(plan.strategy.space, recorded), pruner=None)
    numbers = _only(only, plan.strategy) if only else _numbers(plan.study, plan.strategy)
    if dry_run:
        _print_dry_run(plan, numbers, form, _job_count(jobs) if mode is Mode.CAVIAR else 1)
        return
    run = _Run(plan, numbers, mode=mode, jobs=jobs, overwrite=overwrite, quiet=quiet)
    run.run(ProgressStyle.NONE if quiet and progress is ProgressStyle.AUTO else progress, began)
    run.print_result(form, require_goal=require_goal)


@dataclass(frozen=True)
class _Plan:
    """A resolved study with its data, its strategy and pruner, and the run directory.

    load_seconds: how long the data took to load. earlier: events of results that a new run begins with; the strategy
    knows them.
    """

    folder: Path
    study: StudyConfig
    data: Dataset
    strategy: Strategy
    pruner: Pruner | None
    split_again: bool
    load_seconds: float
    earlier: list[dict[str, Any]]

    def data_of(self, repeat: int) -> Dataset:
        """The data for one repeat: with a split of its own where there are few rows."""
        from hpsearch.data.dataset import load_dataset

        if not repeat or not self.split_again:
            return self.data
        return load_dataset(**self.study.data.loading(), normalize=tuple(self.data.normalizers), repeat=repeat)


def _plan(
    source: str,
    overrides: dict[str, Any],
    parameters: list[str],
    out: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> _Plan:
    from hpsearch.config import default_configuration, load_study, resolve, wanted_normalizations
    from hpsearch.data.dataset import load_dataset
    from hpsearch.finals import FEW_ROWS
    from hpsearch.run_directory.directory import begun_run
    from hpsearch.run_directory.earlier import told
    from hpsearch.space_text import spec_from_text
    from hpsearch.strategies import make_strategy
    from hpsearch.strategies.base import GivenStrategy

    is_study = source.endswith((".yaml", ".yml"))
    study = load_study(Path(source) if is_study else None, ({} if is_study else {"data.source": source}) | overrides)
    space_overrides = dict(spec_from_text(text) for text in parameters)
    folder = out or Path("runs") / f"{_source_name(source, study.data.source)}-{study.strategy.name}"
    if overwrite and study.earlier is not None:
        _check_not_deleted(study, folder)
    begun = None if overwrite else begun_run(folder)
    study = _with_trials(study, begun, folder)
    if isinstance(study.earlier, list) and "budget.epochs" in overrides:
        space_overrides.setdefault("epochs", overrides["budget.epochs"])  # a flag goes over what a table says
    start = time.monotonic()
    data = load_dataset(**study.data.loading(), normalize=wanted_normalizations(study, space_overrides))
    load_seconds = time.monotonic() - start
    _say_data(data, quiet=quiet, verbose=verbose)
    train_rows = data.rows["train"]
    study = resolve(
        study,
        target=data.description.target,
        task=data.task,
        train_rows=train_rows,
        classes=data.classes,
        image_shape=data.image_shape,
        space_overrides=space_overrides,
        before=begun.study if begun else {},
    )
    few_rows = sum(data.rows.values()) < FEW_ROWS
    if configs := study.given():
        return _Plan(
            folder, study, data, GivenStrategy(study.search_space(), configs), None, few_rows, load_seconds, []
        )
    beside = begun_run(Path(source).parent) if Path(source).name == "study.yaml" else None
    earlier = _earlier(study, data, [run for run in (begun, beside) if run], quiet=quiet)
    results = told(earlier)
    best, best_score = min(results, key=lambda result: result[1], default=({}, math.inf))
    first = best if best_score < math.inf else default_configuration(train_rows)
    strategy = make_strategy(study.search_space(), study.seed, first, **study.strategy.model_dump())
    strategy.begin_with(results)
    return _Plan(folder, study, data, strategy, _pruner(study, data), few_rows, load_seconds, earlier)


def _check_not_deleted(study: StudyConfig, folder: Path) -> None:
    """--overwrite must not take away what the new run begins with, for a crash on the way would lose both."""
    source = study.table() or (Path(study.earlier) if isinstance(study.earlier, str) else None)
    if source is not None and (source.resolve() == folder.resolve() or folder.resolve() in source.resolve().parents):
        raise ConfigError(f"--overwrite would delete {source}, which --from needs; choose another -o DIR")


def _with_trials(study: StudyConfig, begun: RunRecord | None, folder: Path) -> StudyConfig:
    """The study with the trials of its table, if it names one, and with what the run that goes on began with."""
    from hpsearch.run_directory.earlier import read_trials

    before, table = begun.study.get("from") if begun else None, study.table()
    if table:
        # A table in the run's own folder is what this run makes of it.
        kept = isinstance(before, list) and (not table.exists() or table.resolve().parent == folder.resolve())
        return study.model_copy(update={"earlier": before if kept else read_trials(table)})
    return study if study.earlier else study.model_copy(update={"earlier": before})


def _earlier(study: StudyConfig, data: Dataset, runs: list[RunRecord], *, quiet: bool) -> list[dict[str, Any]]:
    """The results that the study begins with: as one of these `runs` of the same study noted them, or read now."""
    from hpsearch.run_directory.earlier import results_of

    if study.earlier is None:
        return []
    this = study.to_dict()
    for run in runs:
        if all(run.study.get(key) == this[key] for key in ("from", "metric", "space")):
            return run.earlier
    here, run = Path.cwd(), Path(study.earlier)
    run = run.relative_to(here) if run.is_relative_to(here) else run
    found = results_of(run, study, task=data.task, sha256=data.sha256)
    if not quiet:
        say(found.note)
    if found.warning:
        say(f"warning: {found.warning}")
    return found.events


def _pruner(study: StudyConfig, data: Dataset) -> Pruner | None:
    """What stops bad trials on their way; None where the study wants none, or trials are too short."""
    from hpsearch.diagnosis.baseline import constant_score
    from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
    from hpsearch.strategies.pruning import Pruner, rungs_below

    rungs = rungs_below(study.longest_trial()) if study.prune else ()
    if not rungs:
        return None
    normalize = next(iter(data.arrays.inputs["train"]))
    constant = constant_score(data.part("train", normalize), data.part("dev", normalize), study.metric, data.target_sd)
    return Pruner(rungs, study.strategy.lag, -constant if study.metric in MAXIMIZED_METRICS else constant)


def _source_name(source: str, data_source: str) -> str:
    """What the default run directory is called after: a study's own name, or that of its folder if it is study.yaml."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        name = Path(data_source).name.split(".")[0]
    else:
        name = path.stem if path.stem != "study" else path.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "study"


def _settings(texts: list[str]) -> dict[str, Any]:
    """What --set says, as dotted keys with values read as YAML."""
    from hpsearch.strict_yaml import parse

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not all(key.split(".")):
            raise ConfigError(f"--set {text}: it must be KEY=VALUE, such as data.split.test=0.1")
        found[key] = parse(value, f"--set {key}")
    return found


def _say_data(data: Dataset, *, quiet: bool, verbose: bool) -> None:
    if not quiet:
        for note in data.notes if verbose else data.notes[:8]:
            say(note)
        if len(data.notes) > 8 and not verbose:
            say(f"... and {len(data.notes) - 8} more notes (-v shows them)")
    for warning in data.warnings:
        say(f"warning: {warning}")


def _numbers(study: StudyConfig, strategy: Strategy) -> Sequence[int]:
    """The trials of the study, by number."""
    from hpsearch.config import DEFAULT_TRIALS
    from hpsearch.strategies.base import GivenStrategy

    if isinstance(strategy, GivenStrategy):
        return strategy.numbers[: study.budget.trials]
    usual = strategy.usual_trials
    if study.budget.trials is None and usual is not None and usual > MAX_MESH:
        raise ConfigError(
            f"the grid has {usual:,} points; say how many to try with -n, or take a smaller space with -p"
        )
    wanted = study.budget.trials or usual or DEFAULT_TRIALS
    return range(wanted if strategy.limit is None else min(wanted, strategy.limit))


def _only(text: str, strategy: Strategy) -> list[int]:
    """The numbers in a text such as 3,17 or 10-19."""
    from hpsearch.strategies.base import GivenStrategy

    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if not match:
            raise ConfigError(f"--only {text}: {part!r} is neither a trial's number nor a range such as 10-19")
        if match[2] and int(match[2]) < int(match[1]):
            raise ConfigError(f"--only {text}: {part!r} runs backwards")
        if int(match[2] or match[1]) > MOST_ONLY:
            raise ConfigError(f"--only {text}: {part!r} goes beyond trial {MOST_ONLY:,}")
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if strategy.limit is not None and max(numbers, default=0) >= strategy.limit:
        raise ConfigError(f"--only {text}: this search has trials 0 to {strategy.limit - 1}")
    given = isinstance(strategy, GivenStrategy)
    for number in sorted(numbers) if given else range(max(numbers) + 1):
        if given and not strategy.ready(number):
            known = len(strategy.numbers)
            raise ConfigError(f"--only {text}: there is no trial {number} among the {known} whose values are known")
        if not strategy.ready(number):
            raise ConfigError(
                f"--only {text}: trial {number} follows from the results of others; name the study.yaml of their run"
            )
        strategy.ask(number)
    return sorted(numbers)


def _recorded(source: str) -> dict[int, dict[str, Any]]:
    """The configurations of the run whose study.yaml the source is; none if it is not that of a run.

    So a single trial can be repeated although it was proposed from the results of others.
    """
    from hpsearch.run_directory.record import JOURNAL, RunRecord

    folder = Path(source).parent
    if Path(source).name != "study.yaml" or not (folder / JOURNAL).is_file():
        return {}
    return {number: result.config for number, result in RunRecord.load(folder).results.items()}


def _job_count(jobs: str) -> int:
    from hpsearch.executors.base import available_cpus

    if jobs == "auto":
        return available_cpus()
    if not jobs.isdecimal() or not 1 <= int(jobs) <= 1024:
        raise ConfigError(f"--jobs {jobs}: it must be auto or a number from 1 to 1024")
    return int(jobs)


def _print_dry_run(plan: _Plan, numbers: Sequence[int], form: Format, jobs: int) -> None:
    """The trials and their predicted cost; the sum goes to stderr."""
    from hpsearch.cli.printing import print_rows
    from hpsearch.cost import predict_costs
    from hpsearch.engine.network import start_engine
    from hpsearch.trial import Trial

    start_engine(say)
    known = [number for number in numbers if plan.strategy.ready(number)]
    trials = [Trial(number, plan.strategy.ask(number)) for number in known]
    costs = predict_costs(trials, plan.data, plan.study.metric)
    searched = list(plan.study.search_space().parameters)
    cost_columns = ["parameters", "updates", "gflop", "seconds"]
    rows = [
        {"trial": trial.number, **{name: getattr(cost, name) for name in cost_columns}, **trial.config}
        for trial, cost in zip(trials, costs, strict=True)
    ]
    columns = ["trial", *cost_columns, *plan.study.space]
    print_rows(rows, columns, form, value="seconds", table=["trial", *cost_columns, *searched])
    share = len(trials) / len(numbers)
    seconds = sum(cost.seconds for cost in costs) / share
    gflop = sum(cost.gflop for cost in costs) / share
    for stage in plan.strategy.stages(len(numbers)):
        say(stage)
    if len(trials) < len(numbers):
        say(f"{len(numbers) - len(trials)} trials are not shown: they will follow from the results of others")
    less = "early stopping and pruning make it less" if plan.pruner else "early stopping makes it less"
    say(f"{len(numbers)} trials, about {gflop:,.0f} GFLOP if every epoch is trained; {less}")
    say(f"about {_duration(seconds)} of one processor, {_duration(seconds / jobs)} with {jobs}")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class _Run:
    """A search into a run directory, from opening it to the printed winner."""

    def __init__(
        self,
        plan: _Plan,
        numbers: Sequence[int],
        *,
        mode: Mode,
        jobs: str,
        overwrite: bool,
        quiet: bool,
    ) -> None:
        self._plan = plan
        self._folder = plan.folder
        self._numbers = numbers
        self._mode = mode
        self._jobs = _job_count(jobs)
        self._overwrite = overwrite
        self._quiet = quiet
        self._record: RunRecord
        self._stop: StopRules
        self._reason = ""
        self._shares_data = False

    def run(self, style: ProgressStyle, began: float) -> None:
        """Search; raises InterruptedBySignalError when a signal ended it."""
        from hpsearch.engine.cache import ensure_compiled
        from hpsearch.finals import most_finalists
        from hpsearch.run_directory.directory import open_run
        from hpsearch.study import StopRules, Study

        plan = self._plan
        data_facts = {"task": plan.data.task, "sha256": plan.data.sha256, "rows": plan.data.rows}
        study_facts = plan.study.model_copy(update={"run": None}).to_dict()
        with open_run(
            self._folder, study_facts, data_facts, _provenance(plan), overwrite=self._overwrite, earlier=plan.earlier
        ) as directory:
            self._record = record = directory.record
            done = sum(number in record.results for number in self._numbers) if record.results else 0
            finals = self._finals(directory)
            idle = done == len(self._numbers) and finals is None
            self._announce(done, idle=idle)
            if not idle:
                ensure_compiled(say)
            timeout = plan.study.budget.timeout
            progress = Progress(style, len(self._numbers), done, plan.study.metric)
            with OrderlyEnd() as signals:
                deadline = began + timeout if timeout else None
                self._stop = stop = StopRules(plan.study.goal, deadline, lambda: signals.received is not None)
                with self._executor(directory, progress, idle=idle) as executor:
                    time_for_finals = self._time_for_finals(executor.slots)
                    self._stop = replace(stop, reserved=time_for_finals)
                    contenders = min(CONTENDERS * most_finalists(plan.study.finalists.top), MOST_CONTENDERS)
                    study = Study(
                        directory, plan.strategy, self._numbers, self._stop, self._cost, plan.pruner, contenders
                    )
                    try:
                        self._reason = study.run(executor, progress, lambda result: self._keep(directory, result))
                    finally:
                        progress.close()
                    if self._reason in WHY and not self._quiet:
                        trials = counted(len(self._numbers), "trial")
                        say(f"{WHY[self._reason]} after {len(record.counted())} of {trials}")
                    if self._reason == "done" or (self._reason == "timeout" and time_for_finals()):
                        self._stop = stop  # now until the very end of the time
                        executor.abandon()
                        fitting = time_for_finals.finalists if self._reason == "timeout" else None
                        self._run_finals(directory, executor, style, fitting)
                    elif self._reason == "timeout" and time_for_finals.needed and not self._quiet:
                        say(f"no finals: those of two trials would take about {time_for_finals.needed:.0f} s")
                if signals.received is None:
                    self._complete_model(directory, study)
        if signals.received is not None:
            again = shlex.join(["hpsearch", *(word for word in sys.argv[1:] if word != "--overwrite")])
            say(f"interrupted; {len(record.results)} results are kept. To go on: {again}")
            raise InterruptedBySignalError(signals.received)

    def _finals(self, directory: RunDirectory, most: int | None = None) -> Finals | None:
        """What is left of the last stage, of at most so many finalists, as things stand; None if nothing is."""
        from hpsearch.finals import Finals, choose

        wanted = self._plan.study.finalists
        numbers = choose(directory.record, self._plan.strategy.space, wanted.top) if self._wants_finals() else []
        numbers = numbers[:most]
        finals = Finals(directory, numbers, wanted.seeds, fresh_splits=self._plan.split_again)
        return finals if numbers and not finals.done() else None

    def _wants_finals(self) -> bool:
        """Whether this is a whole search, or a table of trials and somebody who asked for finals."""
        given = self._plan.study.given() and self._plan.study.finalists.top is not None
        return isinstance(self._numbers, range) or bool(given)

    def _time_for_finals(self, slots: int) -> TimeForFinals:
        from hpsearch.finals import TimeForFinals

        wanted, plan = self._plan.study.finalists, self._plan
        return TimeForFinals(
            self._record,
            wanted.top if self._wants_finals() else 0,
            wanted.seeds,
            slots=slots,
            preparing=plan.load_seconds * wanted.seeds if plan.split_again else 0.0,
            timeout=plan.study.budget.timeout or math.inf,
        )

    def _run_finals(self, directory: RunDirectory, executor: Executor, style: ProgressStyle, most: int | None) -> None:
        finals = self._finals(directory, most)
        if finals is None:
            return
        left, repeats = len(finals.missing()), self._plan.study.finalists.seeds
        if not self._quiet:
            again = "fresh seeds and splits" if self._plan.split_again else "fresh seeds"
            say(f"training {len(finals.numbers)} finalists again, {repeats} times each, with {again}")
        for repeat in range(1, repeats + 1) if self._plan.split_again and self._shares_data else ():
            self._share(directory, repeat)
        progress = Progress(style, len(finals.numbers) * repeats, len(finals.numbers) * repeats - left, "", "trainings")
        try:
            done = finals.run(executor, progress, self._stop)
        finally:
            progress.close()
        if not done and self._stop.reason() == "timeout":
            say(f"time is up, {len(finals.missing())} of these trainings are left: the winner is chosen without them")

    def _cost(self, trial: Trial) -> float:
        from hpsearch.cost import most_flop

        return most_flop(trial, self._plan.data, self._plan.study.metric, self._plan.data.rows["train"])

    def _announce(self, done: int, *, idle: bool) -> None:
        if self._quiet:
            return
        trials = counted(len(self._numbers), "trial")
        how = counted(self._jobs, "process", "es") if self._mode is Mode.CAVIAR else "this process (panda)"
        if idle:
            say(f"{self._folder}: nothing to do, {trials} of {len(self._record.results)} there were asked for")
        elif done == len(self._numbers):
            say(f"{self._folder}: all of {trials} done, finals to go, in {how}")
        elif done:
            say(f"{self._folder}: going on after {done} of {trials}, in {how}")
        else:
            say(f"{self._folder}: {trials} in {how}")

    def _executor(self, directory: RunDirectory, progress: Progress, *, idle: bool) -> Executor:
        from hpsearch.executors.panda import PandaExecutor
        from hpsearch.trial import TrialSettings

        study = self._plan.study
        rungs = self._plan.pruner.rungs if self._plan.pruner else ()
        settings = TrialSettings(study.seed, study.metric, study.budget.trial_timeout, rungs)
        if self._mode is Mode.PANDA or idle:
            data = functools.cache(self._plan.data_of)
            return PandaExecutor(data, settings, progress.watch, lambda: self._stop.reason() is not None)
        from hpsearch.executors.caviar import CaviarExecutor

        self._shares_data = True
        self._share(directory, 0)
        return CaviarExecutor(directory.shared_data, settings, min(self._jobs, len(self._numbers)))

    def _share(self, directory: RunDirectory, repeat: int) -> None:
        """Lay the data of one repeat where workers find them."""
        from hpsearch.data.sharing import save_shared

        save_shared(self._plan.data_of(repeat), directory.shared_data / str(repeat))

    def _keep(self, directory: RunDirectory, result: TrialResult) -> None:
        """Save the model of the best trial so far."""
        from hpsearch.model import Model

        Model.of_trial(result, self._plan.data, self._plan.study.metric).save(directory.folder / "model")

    def _complete_model(self, directory: RunDirectory, study: Study) -> None:
        """Make sure that model/ holds the winner; after finals, a crash or an early end it may hold another."""
        from hpsearch.model import saved_trial

        winner = directory.record.best()
        if winner is None or saved_trial(directory.folder / "model") == winner.number:
            return
        if trained := study.trained(winner.number):
            self._keep(directory, trained)
            return
        from hpsearch.trial import Trial, TrialSettings, run_trial

        settings = TrialSettings(self._plan.study.seed, self._plan.study.metric)
        say(f"training trial {winner.number} once more, for its model ...")
        self._keep(directory, run_trial(Trial(winner.number, winner.config), self._plan.data, settings))

    def print_result(self, form: Format, *, require_goal: bool) -> None:
        """Print the winner; raise what makes the exit code other than 0."""
        from hpsearch.cli.inspection import print_best

        record, study = self._record, self._plan.study
        results = record.counted()
        failed = sum(result.state is TrialState.FAIL for result in results.values())
        winner = record.best()
        if winner is None:
            first = next((result.error for result in results.values() if result.error), "none was finished in time")
            raise NoValidTrialError(
                f"{self._folder}: no trial has a score ({failed} of {len(results)} failed: {first})"
            )
        print_best(self._folder, record, form)
        if not self._quiet:
            self._say_next(winner)
        allowed = study.max_failures
        if allowed is not None and failed > (allowed * len(results) if allowed < 1 else allowed):
            raise NoValidTrialError(f"{failed} of {len(results)} trials failed; --max-failures allows {allowed:g}")
        if require_goal and self._reason != "goal":
            reached = winner.metrics[f"dev_{study.metric}"]
            wanted = "none was given" if study.goal is None else f"{study.goal:g} was not reached"
            raise GoalMissedError(f"--require-goal: {wanted}; the best dev {study.metric} is {reached:.6g}")

    def _say_next(self, winner: TrialResult) -> None:
        from hpsearch.diagnosis.bounds import widened

        limit, space = self._plan.strategy.limit, self._plan.strategy.space
        wanted = self._plan.study.budget.trials
        if limit is not None and space.parameters and (wanted is None or wanted > limit) and self._reason == "done":
            say(f"space exhausted, {len(self._numbers)} of {limit}")
        if (given := self._plan.study.given()) and wanted is not None and wanted > len(given):
            say(f"there are no more trials than the {len(given)} that are given")
        for name, text in widened(space, winner.config).items():
            say(f"the winner's {name} {winner.config[name]:g} is at an end of its range; wider: -p {text}")
        say(f"next: hpsearch show {self._folder}, hpsearch evaluate {self._folder}")


def _provenance(plan: _Plan) -> dict[str, Any]:
    """What study.yaml notes of its making."""
    import importlib.metadata
    import platform

    from hpsearch import __version__

    packages = ("numba", "llvmlite", "numpy", "polars")
    versions = {"hpsearch": __version__, "python": platform.python_version()}
    return {
        "command": shlex.join(["hpsearch", *sys.argv[1:]]),
        "data_sha256": plan.data.sha256,
        "versions": versions | {name: importlib.metadata.version(name) for name in packages},
    }
