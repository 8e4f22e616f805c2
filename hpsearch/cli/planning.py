"""What is to be run: from flags to a resolved study with its data, strategy and run directory."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.cli.progress import say
from hpsearch.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import Dataset
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.strategies.base import Strategy
    from hpsearch.strategies.pruning import Pruner

MAX_MESH = 1_000  # more of them are run only when somebody says how many
ENDLESS = 10**9  # trials of a search that only a time limit ends
MOST_ONLY = 1_000_000  # trials before it are asked for too


@dataclass(frozen=True)
class Plan:
    """A resolved study with its data, its strategy and pruner, and the run directory.

    load_seconds: how long the data took to load. earlier: events of results that a new run begins with; the strategy
    knows them. constant: by metric, the dev score of the best constant prediction.
    """

    folder: Path
    study: StudyConfig
    data: Dataset
    strategy: Strategy
    pruner: Pruner | None
    split_again: bool
    load_seconds: float
    earlier: list[dict[str, Any]]
    constant: dict[str, float]

    def data_of(self, repeat: int) -> Dataset:
        """The data for one repeat: with a split of its own where there are few rows.

        Raises DataError where the file is not what it was. A split from which nothing can be learned, as where all of
        its training rows have the same target, is none: then it is that of the search.
        """
        from hpsearch.data.dataset import load_dataset
        from hpsearch.data.reading import check_same_file

        if not repeat or not self.split_again:
            return self.data
        check_same_file(self.study.data.source, self.data.sha256)
        try:
            return load_dataset(**self.study.data.loading(), normalize=tuple(self.data.normalizers), repeat=repeat)
        except DataError:
            return self.data


def make_plan(
    source: str,
    overrides: dict[str, Any],
    parameters: list[str],
    out: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> Plan:
    """What a search of `source` is, with dotted `overrides` over the study and `parameters` (-p) over its space.

    Says what it took the data for. Raises ConfigError, DataError, RunError, each of one line.
    """
    from hpsearch.config import first_configuration, load_study, resolve, wanted_normalizations
    from hpsearch.cost import most_flop
    from hpsearch.data.dataset import load_dataset
    from hpsearch.finals import FEW_ROWS
    from hpsearch.run_directory.directory import begun_run
    from hpsearch.run_directory.earlier import told
    from hpsearch.space_text import spec_from_text
    from hpsearch.strategies import make_strategy
    from hpsearch.strategies.base import GivenStrategy
    from hpsearch.trial import Trial

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
    data = load_dataset(
        **study.data.loading(),
        normalize=lambda rows, images: wanted_normalizations(study, space_overrides, rows, images),
    )
    load_seconds = time.monotonic() - start
    _say_data(data, quiet=quiet, verbose=verbose)
    train_rows = data.rows["train"]
    study = resolve(
        study,
        **data.facts(),
        space_overrides=space_overrides,
        before=begun.study if begun else {},
    )
    few_rows = sum(data.rows.values()) < FEW_ROWS
    constant = _constant(study, data)
    if configs := study.given():
        return Plan(
            folder,
            study,
            data,
            GivenStrategy(study.search_space(), configs),
            None,
            few_rows,
            load_seconds,
            [],
            constant,
        )
    beside = begun_run(Path(source).parent) if Path(source).name == "study.yaml" else None
    earlier = _earlier(study, data, [run for run in (begun, beside) if run], quiet=quiet)
    results = told(earlier)
    best, best_score, _ = min(results, key=lambda result: result[1], default=({}, math.inf, None))
    space = study.search_space()
    first = best if best_score < math.inf else first_configuration(space, train_rows)
    strategy = make_strategy(
        space,
        study.seed,
        first,
        cost=lambda config: most_flop(Trial(0, config), data, study.metric, train_rows),
        **study.strategy.model_dump(),
    )
    strategy.begin_with(results)
    pruner = _pruner(study, constant[study.metric])
    return Plan(folder, study, data, strategy, pruner, few_rows, load_seconds, earlier, constant)


def check_ledger(ledger: Path, plan: Plan) -> None:
    """Raise ConfigError if a file is no ledger of the panda, or one on other data."""
    from hpsearch.strict_yaml import read

    tree = read(ledger)
    if not isinstance(tree, dict) or not {"study", "steps", "data_sha256"} <= tree.keys():
        raise ConfigError(f"{ledger}: not a ledger of the panda (it has study, data_sha256 and steps)")
    if tree["data_sha256"] != plan.data.sha256:
        raise ConfigError(f"{ledger}: {plan.study.data.source} is not the file that it was written for")


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


def _constant(study: StudyConfig, data: Dataset) -> dict[str, float]:
    """By metric, the dev score of a network that has learned nothing."""
    from hpsearch.diagnosis.baseline import constant_score
    from hpsearch.trial import reported_metrics

    normalize = next(iter(data.arrays.inputs["train"]))
    train, dev = data.part("train", normalize), data.part("dev", normalize)
    metrics = reported_metrics(data.task, study.metric)
    return {metric: constant_score(train, dev, metric, data.target_sd) for metric in metrics}


def _pruner(study: StudyConfig, constant: float) -> Pruner | None:
    """What stops bad trials on their way; None where the study wants none, or trials are too short.

    `constant` is the score of the best constant prediction.
    """
    from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
    from hpsearch.strategies.pruning import Pruner, rungs_below

    watched = study.strategy.name == "panda" and study.prune == "auto"  # the panda is patient
    rungs = rungs_below(study.longest_trial()) if study.prune and not watched else ()
    if not rungs:
        return None
    return Pruner(rungs, study.strategy.lag, -constant if study.metric in MAXIMIZED_METRICS else constant)


def _source_name(source: str, data_source: str) -> str:
    """What the default run directory is called after: a study's own name, or that of its folder if it is study.yaml."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        name = Path(data_source).name.split(".")[0]
    else:
        name = path.stem if path.stem != "study" else path.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "study"


def settings(texts: list[str]) -> dict[str, Any]:
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


def trial_numbers(study: StudyConfig, strategy: Strategy) -> Sequence[int]:
    """The trials of the study, by number: if it only says for how long, as many as there is time for."""
    from hpsearch.config import DEFAULT_TRIALS
    from hpsearch.strategies.base import GivenStrategy

    if isinstance(strategy, GivenStrategy):
        return strategy.numbers[: study.budget.trials]
    usual = strategy.usual_trials or DEFAULT_TRIALS
    if study.budget.trials is None and study.budget.timeout is None and usual > MAX_MESH:
        raise ConfigError(
            f"the grid has {usual:,} points; say how many to try with -n, or take a smaller space with -p"
        )
    wanted = study.budget.trials or (ENDLESS if study.budget.timeout else usual)
    return range(wanted if strategy.limit is None else min(wanted, strategy.limit))


def only_numbers(text: str, strategy: Strategy) -> list[int]:
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


def independent(command: str, shard: str) -> dict[str, Any]:
    """What a study must say so that no trial of it needs the results of others, which other shards have."""
    if command in ("evolve", "panda"):
        raise ConfigError(f"--shard {shard}: {command} learns from all results; use grid or random, or caviar")
    return {"strategy.rounds" if command == "grid" else "strategy.densify": 0, "prune": False}


def shard_numbers(text: str, numbers: Sequence[int], strategy: Strategy) -> list[int]:
    """Every n-th of the trials, from the i-th on, where the text is i/n; the strategy is asked for those before."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: it must be I/N with I from 1 to N, such as 2/4")
    if len(numbers) == ENDLESS:
        raise ConfigError(f"--shard {text}: say with -n how many trials there are to share")
    shard = list(numbers[int(match[1]) - 1 :: int(match[2])])
    if not shard:
        raise ConfigError(f"--shard {text}: there are only {len(numbers)} trials to share")
    for number in numbers[: numbers.index(shard[-1])]:  # what was tried before is not tried again
        strategy.ask(number)
    return shard


def recorded(source: str, study: StudyConfig) -> dict[int, dict[str, Any]]:
    """The configurations of the run whose study.yaml the source is; none if it is not that of a run.

    So a single trial can be repeated although it was proposed from the results of others. Raises ConfigError where
    `study` has another space than the run, for then they would not be what it says.
    """
    from hpsearch.run_directory.record import JOURNAL, RunRecord

    folder = Path(source).parent
    if Path(source).name != "study.yaml" or not (folder / JOURNAL).is_file():
        return {}
    record = RunRecord.load(folder)
    if record.study["space"] != study.to_dict()["space"]:
        raise ConfigError(
            f"--only: repeats trials of {folder} as they were, but -p, --epochs or --set say otherwise; "
            f"--from @{folder / 'trials.csv'} --only N changes them"
        )
    return {number: result.config for number, result in record.results.items()}
