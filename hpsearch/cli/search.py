"""`hpsearch random`, `grid` and `evolve`: what their flags are, and what is done with them."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.planning import (
    ENDLESS,
    check_ledger,
    independent,
    make_plan,
    only_numbers,
    recorded,
    settings,
    shard_numbers,
    trial_numbers,
)
from hpsearch.cli.printing import Format, FormatOption
from hpsearch.cli.progress import ProgressStyle, say
from hpsearch.cli.running import Mode, SearchRun, where_to_run
from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.cli.planning import Plan

SUMMARIES = {
    "random": "Search at random, each hyperparameter on its own scale; trial 0 is the default configuration.",
    "grid": "Search a mesh, then denser ones around the best; what neither -p nor a study names keeps its default.",
    "panda": "Babysit one model: watch it, change what its diagnosis asks for, keep what helps beyond noise. "
    "Keys on a terminal: s skips this model, e ends after it, p pauses.",
    "evolve": "Search by evolution: offspring of the best trials so far, screened by a guess at their scores.",
}


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
            help="Trials in all, those of earlier runs included [50, of a grid its mesh; with --timeout no end].",
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
    trial_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", envvar="HPSEARCH_TRIAL_MEMORY", help="Fail a trial that needs more: 500M, 2G."),
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
    human_error: Annotated[
        str | None,
        typer.Option(
            metavar="E",
            envvar="HPSEARCH_HUMAN_ERROR",
            help="What a person, or nobody, does better: a share of wrong rows, or the metric's error; for diagnoses.",
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
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            envvar="HPSEARCH_REFIT",
            help="Train the winner on train and dev together, at the end.",
        ),
    ] = None,
    ensemble: Annotated[
        bool | None,
        typer.Option(
            "--ensemble/--no-ensemble",
            envvar="HPSEARCH_ENSEMBLE",
            help="Let several of the best networks vote, if that is better beyond noise [panda: no].",
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
    interactive: Annotated[bool, typer.Option("--interactive", help="panda: ask before each change.")] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="LEDGER", help="panda: do again what a run's ledger.yaml says, step by step."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            envvar="HPSEARCH_CLUSTER",
            help="caviar on the workers of a Dask scheduler: tcp://HOST:PORT, or its --scheduler-file.",
        ),
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option(
            "--allow-mixed-cpus",
            envvar="HPSEARCH_ALLOW_MIXED_CPUS",
            help="--cluster: use processors of several kinds, whose results may differ in the last digits.",
        ),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="TRIALS", help="Run only these trials of the study: 17 or 3,17 or 10-19."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            envvar="HPSEARCH_SHARD",
            help="grid, random: run share I of N, here or on another machine; `hpsearch merge` joins them.",
        ),
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
    from hpsearch.config import DEFAULT_TRIALS, VOTES
    from hpsearch.strategies.base import GivenStrategy

    began = time.monotonic()
    if plain and context.info_name != "random":
        raise ConfigError(f"--plain: {context.info_name} has no plain form; it is for hpsearch random")
    _check_panda(context, interactive=interactive, replay=replay)
    mode = Mode.PANDA if context.info_name == "panda" else mode
    replay = replay / "ledger.yaml" if replay and replay.is_dir() else replay
    source = _replayed(context, replay) if replay else source
    place = where_to_run(mode, jobs, cluster, mixed=mixed)
    if shard and only:
        raise ConfigError("--shard and --only: both say which trials to run; give one of them")
    alone = independent(context.info_name, shard) if shard else {}
    said = settings(setting or [])
    overrides = said | {"strategy.name": context.info_name} | alone
    flags = {
        "data.target": target, "budget.trials": trials, "budget.epochs": epochs, "metric": metric, "seed": seed,
        "budget.timeout": timeout, "budget.trial_timeout": trial_timeout,
        "budget.trial_memory": trial_memory, "goal": goal, "max_failures": max_failures,
        "human_error": human_error,
        "strategy.lag": lag, "prune": prune, "finalists.top": finalists, "from": earlier,
        "refit": refit, "ensemble.size": None if ensemble is None else VOTES * ensemble,
        "strategy.plain": plain or None,
    }  # fmt: skip
    weaker = {
        key for key in flags if _from_environment(context, key) and any(f"{key}.".startswith(f"{k}.") for k in said)
    }
    overrides |= {key: value for key, value in flags.items() if value is not None and key not in weaker}
    plan = make_plan(source, overrides, parameter or [], out, overwrite=overwrite, quiet=quiet, verbose=verbose)
    if require_goal and plan.study.goal is None:
        raise ConfigError("--require-goal: needs --goal X, or a goal in the study")
    if replay:
        check_ledger(replay, plan)
    if print_config:
        from hpsearch.strict_yaml import dump

        print(dump(plan.study.to_dict()), end="")
        return
    if only and not plan.study.given() and (known := recorded(source, plan.study)):
        plan = replace(plan, strategy=GivenStrategy(plan.strategy.space, known))
    numbers = only_numbers(only, plan.strategy) if only else trial_numbers(plan.study, plan.strategy)
    if shard:
        numbers = shard_numbers(shard, numbers, plan.strategy)
    if dry_run:
        numbers = numbers[:DEFAULT_TRIALS] if len(numbers) == ENDLESS else numbers
        _print_dry_run(plan, numbers, form, place.jobs)
        return
    run = SearchRun(plan, numbers, place=place, overwrite=overwrite, quiet=quiet, interactive=interactive)
    run.run(ProgressStyle.NONE if quiet and progress is ProgressStyle.AUTO else progress, began)
    run.print_result(form, require_goal=require_goal)


def _from_environment(context: typer.Context, key: str) -> bool:
    """Whether a key of the study was set by a variable, over which --set goes as every flag does."""
    option = {"finalists.top": "finalists", "from": "earlier", "ensemble.size": "ensemble"}
    source = context.get_parameter_source(option.get(key, key.rpartition(".")[2]))
    return getattr(source, "name", "") == "ENVIRONMENT"


def _check_panda(context: typer.Context, *, interactive: bool, replay: Path | None) -> None:
    """Raise ConfigError where flags of the panda cannot be followed, or others not by it."""
    command = context.info_name
    for name, only in (("mode", [Mode.PANDA]), ("jobs", ["auto", "1"]), ("lag", ["1"])) if command == "panda" else ():
        typed = getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
        if typed and str(context.params[name]) not in only:
            raise ConfigError(f"--{name} {context.params[name]}: a panda trains one model at a time, in this process")
    if command != "panda" and (interactive or replay):
        raise ConfigError(f"--{'interactive' if interactive else 'replay'}: it is for panda, not for {command}")
    if interactive and not sys.stdin.isatty():
        raise ConfigError("--interactive: it asks, and standard input is no terminal")


def _replayed(context: typer.Context, ledger: Path) -> str:
    """The ledger as the source, beside which there can be no other."""
    if getattr(context.get_parameter_source("source"), "name", "") != "DEFAULT":
        raise ConfigError(f"--replay {ledger}: it names its data itself; leave out {context.params['source']}")
    return str(ledger)


def _print_dry_run(plan: Plan, numbers: Sequence[int], form: Format, jobs: int) -> None:
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
