"""A search on its way: opening the run directory, searching, finals, the model, and what is said of it."""

from __future__ import annotations

import functools
import math
import shlex
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from hpsearch.cli.planning import ENDLESS
from hpsearch.cli.printing import Format, counted
from hpsearch.cli.progress import Progress, ProgressStyle, in_notebook, say
from hpsearch.cli.signals import OrderlyEnd
from hpsearch.errors import ClusterError, ConfigError, GoalMissedError, NoValidTrialError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.cli.panda import LedgerKeeper, PandaView
    from hpsearch.cli.planning import Plan
    from hpsearch.executors.base import Executor
    from hpsearch.final_model import FinalModel
    from hpsearch.finals import Finals, TimeForFinals
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.study import StopRules
    from hpsearch.trial import Trial, TrialResult

CONTENDERS = 4  # times as many trials as there are finalists keep their weights, for who they will be is not known yet
MOST_CONTENDERS = 50
REFITS = 6  # networks with votes that there should be time to train again
CHOOSING_SECONDS, CHOOSING_ROW_SECONDS = 0.3, 2e-4  # that choosing them may take, and for each row of dev
WHY = {"timeout": "the time is over", "goal": "the goal is reached", "stopped": "ended by hand"}


class Mode(StrEnum):
    """What --mode may say."""

    CAVIAR = "caviar"
    PANDA = "panda"


class InterruptedBySignalError(Exception):
    """A signal ended the search in good order; the process is to end by it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@dataclass(frozen=True)
class Place:
    """Where trials run: in this process (panda), in `jobs` others, or on the cluster of a scheduler."""

    mode: Mode
    jobs: int
    cluster: str | None
    mixed: bool

    def __str__(self) -> str:
        if self.mode is Mode.PANDA:
            return "this process (panda)"
        return f"the cluster of {self.cluster}" if self.cluster else counted(self.jobs, "process", "es")


def where_to_run(mode: Mode, jobs: str, cluster: str | None, *, mixed: bool) -> Place:
    """What --mode, --jobs, --cluster and --allow-mixed-cpus ask for; raises ConfigError."""
    if cluster is None and mixed:
        raise ConfigError("--allow-mixed-cpus: needs --cluster ADDR")
    if cluster is not None and mode is Mode.PANDA:
        raise ConfigError(f"--cluster {cluster} and --mode panda: panda trains in this process; leave one of them out")
    if cluster is not None and jobs != "auto":
        raise ConfigError(
            f"--cluster {cluster} and --jobs {jobs}: as many trials run as the cluster's workers have threads"
        )
    count = _job_count(jobs)
    return Place(mode, 1 if mode is Mode.PANDA else count, cluster, mixed)


def _job_count(jobs: str) -> int:
    from hpsearch.executors.base import available_cpus

    if jobs == "auto":
        return available_cpus()
    if not jobs.isdecimal() or not 1 <= int(jobs) <= 1024:
        raise ConfigError(f"--jobs {jobs}: it must be auto or a number from 1 to 1024")
    return int(jobs)


class SearchRun:
    """A search into a run directory, from opening it to the printed winner.

    `command` is the one that continues it, if it is not this process's.
    """

    def __init__(
        self,
        plan: Plan,
        numbers: Sequence[int],
        *,
        place: Place,
        overwrite: bool,
        quiet: bool,
        interactive: bool = False,
        command: Sequence[str] | None = None,
    ) -> None:
        self._plan = plan
        self._command = ["hpsearch", *sys.argv[1:]] if command is None else list(command)
        self._interactive = interactive
        self._folder = plan.folder
        self._numbers = numbers
        self._endless = len(numbers) == ENDLESS
        self._place = place
        self._overwrite = overwrite
        self._quiet = quiet
        self._record: RunRecord
        self._stop: StopRules
        self._reason = ""
        self._shares_data = False
        self._watcher: Progress | PandaView
        self._shown = -1

    def run(self, style: ProgressStyle, began: float) -> None:
        """Search; raises InterruptedBySignalError when a signal ended it."""
        try:
            self._run(style, began)
        except ClusterError:
            self._say_how_to_go_on("no cluster")
            raise

    def _run(self, style: ProgressStyle, began: float) -> None:
        from hpsearch.engine.cache import ensure_compiled
        from hpsearch.run_directory.directory import open_run
        from hpsearch.study import StopRules, Study

        plan = self._plan
        data_facts = {
            "task": plan.data.task,
            "sha256": plan.data.sha256,
            "rows": plan.data.rows,
            "constant": plan.constant,
        }
        study_facts = plan.study.model_copy(update={"run": None}).to_dict()
        with open_run(
            self._folder,
            study_facts,
            data_facts,
            provenance(plan.data.sha256, self._command),
            overwrite=self._overwrite,
            earlier=plan.earlier,
            keep=self._kept_weights(),
        ) as directory:
            self._record = record = directory.record
            wanted = self._numbers if isinstance(self._numbers, range) else set(self._numbers)
            done = sum(number in wanted for number in record.results)
            finals = self._finals(directory)
            self._final_model = final_model = self._make_final_model(directory)
            idle = done == len(self._numbers) and finals is None and final_model.done()
            self._announce(done, idle=idle)
            if not idle:
                ensure_compiled(say)
            timeout = plan.study.budget.timeout
            with OrderlyEnd() as signals:
                deadline = began + timeout if timeout else None
                self._stop = stop = StopRules(
                    plan.study.goal,
                    deadline,
                    lambda: signals.received is not None,
                    asked_to_end=lambda: getattr(self._watcher, "asked_to_end", False),
                )
                total = None if self._endless else len(self._numbers)
                self._watcher = progress = self._view(style, directory, total, done, idle=idle)
                with self._executor(directory, idle=idle) as executor:
                    time_for_finals = self._time_for_finals(directory, executor.slots)
                    self._stop = replace(stop, reserved=time_for_finals)
                    observer = self._observer(progress, directory, signals)
                    study = Study(directory, plan.strategy, self._numbers, self._stop, self._cost, plan.pruner)
                    search = functools.partial(study.run, executor, observer, functools.partial(self._keep, directory))
                    try:
                        self._reason = search()
                    except (typer.Abort, KeyboardInterrupt):  # the answer to a question
                        signals.received = signals.received or signal.SIGINT
                        self._reason = search()  # which ends at once, in order
                    finally:
                        progress.close()
                    if observer is not progress:
                        observer.complete()
                    if self._reason in WHY and not self._quiet:
                        say(f"{WHY[self._reason]} after {self._share_of(len(record.counted()))}{self._behind()}")
                    self._end(directory, executor, style, stop, time_for_finals)
        if signals.received is not None:
            self._say_how_to_go_on("interrupted")
            raise InterruptedBySignalError(signals.received)

    def _end(
        self,
        directory: RunDirectory,
        executor: Executor,
        style: ProgressStyle,
        stop: StopRules,
        time_for_finals: TimeForFinals,
    ) -> None:
        """What comes after the search, as far as there is time: the finals, and the model."""
        from hpsearch.engine.cache import ensure_compiled

        time_for_finals()
        fitting = time_for_finals.finalists if self._reason == "timeout" else None
        if self._reason == "done" or fitting:
            executor.abandon()
            self._stop = replace(stop, reserved=lambda: time_for_finals.afterwards)
            self._run_finals(directory, executor, style, fitting)
        elif self._reason == "timeout" and time_for_finals.needed and not self._quiet:
            say(f"no finals: those of two trials would take about {time_for_finals.needed:.0f} s")
        self._stop = stop  # now until the very end of the time
        if not stop.interrupted() and not self._final_model.done():
            ensure_compiled(say)
            executor.abandon()
            self._complete_model(directory, executor, style)

    def _say_how_to_go_on(self, why: str) -> None:
        again = shlex.join(word for word in self._command if word != "--overwrite")
        kept = len(self._record.results) + len(self._record.held)
        say(f"{why}; {kept} results are kept. To go on: {again}")

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

    def _time_for_finals(self, directory: RunDirectory, slots: int) -> TimeForFinals:
        from hpsearch.finals import TimeForFinals

        wanted, plan, whole = self._plan.study.finalists, self._plan, self._wants_finals()
        votes = plan.study.votes() if whole else 0
        return TimeForFinals(
            self._record,
            wanted.top if whole else 0,
            wanted.seeds,
            slots=slots,
            preparing=plan.load_seconds * wanted.seeds if plan.split_again else 0.0,
            timeout=plan.study.budget.timeout or math.inf,
            choosing=CHOOSING_SECONDS + CHOOSING_ROW_SECONDS * plan.data.rows["dev"] if votes else 0.0,
            refits=min(REFITS, votes or 1) if plan.study.refit and whole else 0,
            longer=1 + plan.data.rows["dev"] / plan.data.rows["train"],
            writing=directory.views_seconds,
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
        total = len(finals.numbers) * repeats
        self._watcher = progress = self._view(style, directory, total, total - left, unit="trainings")
        try:
            done = finals.run(executor, progress, self._stop)
        finally:
            progress.close()
        if done < repeats and self._stop.reason() == "timeout":
            how = f"by {done} trainings of each" if done else "without them"
            say(f"time is up, {len(finals.missing())} of these trainings are left: the winner is chosen {how}")

    def _cost(self, trial: Trial) -> float:
        from hpsearch.cost import most_flop

        return most_flop(trial, self._plan.data, self._plan.study.metric, self._plan.data.rows["train"])

    def _announce(self, done: int, *, idle: bool) -> None:
        if self._quiet:
            return
        trials = counted(len(self._numbers), "trial")
        how = self._place
        if idle:
            say(f"{self._folder}: nothing to do, {trials} of {len(self._record.results)} there were asked for")
        elif done == len(self._numbers):
            say(f"{self._folder}: all of {trials} done, the end of it to go, in {how}")
        elif done:
            say(f"{self._folder}: going on after {self._share_of(done)}, in {how}")
        elif self._endless:
            say(f"{self._folder}: trials for {self._plan.study.budget.timeout:g} s in {how}")
        else:
            say(f"{self._folder}: {trials} in {how}")
        strategy, last = self._plan.strategy, self._numbers[-1] if self._numbers else 0
        if not idle and how.cluster is None and strategy.lag < min(how.jobs, last) and not strategy.ready(last):
            say(f"warning: only {strategy.lag} of {how} train at a time, by the lag; --lag {how.jobs} in a new run")

    def _behind(self) -> str:
        """What has ended and does not count, because a trial before it has not, in words."""
        ended = self._record.counted()
        behind = len(self._record.results) + len(self._record.held) - len(ended)
        if self._reason == "goal" or not behind:
            return ""
        gap = next(number for number in self._numbers if number not in ended)
        return f"; {behind} more count once the search goes on and trial {gap} has ended"

    def _share_of(self, done: int) -> str:
        """So many of the trials, in words."""
        return counted(done, "trial") if self._endless else f"{done} of {counted(len(self._numbers), 'trial')}"

    def _view(
        self,
        style: ProgressStyle,
        directory: RunDirectory,
        total: int | None,
        done: int,
        *,
        unit: str = "trials",
        idle: bool = False,
    ) -> Progress | PandaView:
        """What a person sees of so many trials or trainings: a model itself on a terminal (panda), a bar, or lines."""
        wanted = style is ProgressStyle.BAR or (style is ProgressStyle.AUTO and sys.stderr.isatty())
        wanted = wanted and not in_notebook()
        plan = self._plan
        if self._place.mode is not Mode.PANDA or idle or not wanted or self._interactive:
            plain = self._interactive and style is ProgressStyle.AUTO  # questions and a bar do not go together
            metric = plan.study.metric if unit == "trials" else ""
            return Progress(ProgressStyle.PLAIN if plain else style, total, done, metric, unit)
        from hpsearch.cli.panda import PandaView

        return PandaView(directory, plan.strategy, total, plan.data.target_sd, self._stop.interrupted)

    def _observer(
        self, view: Progress | PandaView, directory: RunDirectory, signals: OrderlyEnd
    ) -> Progress | PandaView | LedgerKeeper:
        """The view, or for the babysitter one that keeps its ledger too."""
        from hpsearch.strategies.babysitter import Babysitter

        if not isinstance(self._plan.strategy, Babysitter):
            return view
        from hpsearch.cli.panda import Approval, LedgerKeeper

        babysitter = self._plan.strategy
        for config in directory.record.refused:
            babysitter.refuse(config)
        if self._interactive:
            babysitter.approve = Approval(directory, signals)
        return LedgerKeeper(view, directory, babysitter)

    def _watch(self, trial: Trial, training: Any) -> bool | None:
        """Show the one model that is trained (panda); whether it is to end here."""
        from hpsearch.trial import purpose

        if trial.number != self._shown and not purpose(trial.key) and isinstance(self._watcher, Progress):
            self._shown = trial.number
            step = getattr(self._plan.strategy, "step", None)
            if step and not self._quiet:
                self._watcher.line(f"trial {trial.number}: {step(trial.number)}")
        return self._watcher.watch(trial, training)

    def _executor(self, directory: RunDirectory, *, idle: bool) -> Executor:
        from hpsearch.executors.panda import PandaExecutor
        from hpsearch.trial import TrialSettings

        study = self._plan.study
        rungs = self._plan.pruner.rungs if self._plan.pruner else ()
        budget = study.budget
        settings = TrialSettings(study.seed, study.metric, budget.trial_timeout, budget.trial_memory, rungs)
        place = self._place
        if place.mode is Mode.PANDA or idle:
            data = functools.cache(self._plan.data_of)
            return PandaExecutor(data, settings, self._watch, lambda: self._stop.urgent() is not None)
        if place.cluster is None:
            from hpsearch.executors.caviar import CaviarExecutor

            begin = functools.partial(CaviarExecutor, jobs=min(place.jobs, len(self._numbers)))
        else:
            from hpsearch.executors.cluster import ClusterExecutor

            begin = functools.partial(ClusterExecutor, place.cluster, mixed=place.mixed, announce=say)
        self._shares_data = True
        self._share(directory, 0)
        return begin(directory.shared_data, settings)

    def _share(self, directory: RunDirectory, repeat: int) -> None:
        """Lay the data of one repeat where workers find them."""
        from hpsearch.data.sharing import save_shared

        save_shared(self._plan.data_of(repeat), directory.shared_data / str(repeat))

    def _keep(self, directory: RunDirectory, result: TrialResult) -> None:
        """Save the model of the best trial so far, if its weights are there; else it is made at the end."""
        if result.weights is None:
            return
        from hpsearch.model import Model
        from hpsearch.run_directory.directory import MODEL, SINGLE

        shutil.rmtree(directory.folder / SINGLE, ignore_errors=True)
        Model.of_trial(result, self._plan.data, self._plan.study.metric).save(directory.folder / MODEL)

    def _kept_weights(self) -> int:
        """Of how many of the best trials the weights are kept."""
        from hpsearch.finals import most_finalists

        study = self._plan.study
        return max(study.ensemble.top, min(CONTENDERS * most_finalists(study.finalists.top), MOST_CONTENDERS))

    def _make_final_model(self, directory: RunDirectory) -> FinalModel:
        from hpsearch.final_model import FinalModel

        study, whole = self._plan.study, self._wants_finals()
        return FinalModel(
            directory,
            self._plan.data,
            metric=study.metric,
            seed=study.seed,
            votes=study.votes(),
            top=study.ensemble.top,
            refit=study.refit,
            whole=whole,
            say=(lambda _: None) if self._quiet else say,
        )

    def _complete_model(self, directory: RunDirectory, executor: Executor, style: ProgressStyle) -> None:
        """Choose who votes, train on train and dev together, and see to it that model/ holds what is to be used."""

        def observe(trainings: int) -> Progress | PandaView:
            self._watcher = self._view(style, directory, trainings, 0, unit="trainings")
            return self._watcher

        self._final_model.complete(executor, observe, self._stop)

    def print_result(self, form: Format, *, require_goal: bool) -> None:
        """Print the winner; raise what makes the exit code other than 0."""
        from hpsearch.cli.inspection import print_best

        record, study = self._record, self._plan.study
        results = record.counted()
        failures = sorted(number for number in record.failures if number in results)
        failed = len(failures)
        winner = record.best()
        if winner is None:
            raise NoValidTrialError(f"{self._folder}: no trial has a score ({self._why_none(results, failures)})")
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

    def _why_none(self, results: Mapping[int, TrialResult], failures: Sequence[int]) -> str:
        """Why no trial is there to be chosen."""
        if not results:
            return "none was finished in time"
        if failures:
            stopped = len(results) - len(failures)
            others = f"; {stopped} were stopped for being worse than a constant prediction, which --no-prune does not"
            return f"{len(failures)} of {len(results)} failed: {results[failures[0]].error}{others if stopped else ''}"
        if "rising" in (result.config.get("schedule") for result in results.values()):
            return "schedule: rising is a test of learning rates, whose networks are not to be used"
        return f"all {len(results)} were stopped before their end; --no-prune in a new run trains them to it"

    def _say_next(self, winner: TrialResult) -> None:
        from hpsearch.report.verdict import limit_of, wider
        from hpsearch.report.words import short

        limit, space = self._plan.strategy.limit, self._plan.strategy.space
        wanted = self._plan.study.budget.trials
        if (
            limit is not None
            and self._reason == "done"
            and (wanted > limit if wanted else space.parameters and len(self._numbers) == limit)
        ):
            say(f"space exhausted, {len(self._numbers)} of {limit}")
        if (given := self._plan.study.given()) and wanted is not None and wanted > len(given):
            say(f"there are no more trials than the {len(given)} that are given")
        for name, text in wider(self._record, winner).items():
            say(f"the winner's {name} {winner.config[name]:g} is at an end of its range; wider: -p {text}")
        say(short(limit_of(self._record, winner, self._record.yardstick())))
        folder = shlex.quote(str(self._folder))
        say(f"next: hpsearch report {folder}, hpsearch show {folder}, hpsearch evaluate {folder}")


def provenance(sha256: str, command: Sequence[str]) -> dict[str, Any]:
    """What study.yaml notes of its making; `sha256` is that of the data."""
    import importlib.metadata
    import platform

    from hpsearch import __version__

    packages = ("numba", "llvmlite", "numpy", "polars")
    versions = {"hpsearch": __version__, "python": platform.python_version()}
    return {
        "command": shlex.join(command),
        "data_sha256": sha256,
        "versions": versions | {name: importlib.metadata.version(name) for name in packages},
    }
