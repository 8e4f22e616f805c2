"""The panda's view: the model that is trained, drawn in the terminal while it learns, and the keys for a person."""

from __future__ import annotations

import os
import select
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from hpsearch.cli.printing import readable
from hpsearch.diagnosis.trials import diagnose
from hpsearch.trial import TrialResult, TrialState, curves_of, health_of, purpose

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from hpsearch.cli.signals import OrderlyEnd
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.strategies.babysitter import Babysitter, Step
    from hpsearch.strategies.base import Strategy
    from hpsearch.study import Observer
    from hpsearch.trial import Trial

LEDGER = "ledger.yaml"
REDRAW_SECONDS = 0.2
KEYS = {"s": "skip", "e": "end", "p": "pause"}
HELP = "s skip this model   e end after it   p pause"
CHART_ROWS = 10
MOST_COLUMNS = 100


class Keyboard:
    """Single keys of the terminal that stdin is, without waiting; none where it is no terminal."""

    def __init__(self) -> None:
        self._before: Any = None

    def __enter__(self) -> Self:
        try:
            import termios
            import tty

            if sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
                self._before = termios.tcgetattr(sys.stdin)
                tty.setcbreak(sys.stdin.fileno())
        except (ImportError, OSError, ValueError, AttributeError):
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    @property
    def listening(self) -> bool:
        """Whether a key can be pressed at all."""
        return self._before is not None

    def pressed(self) -> str:
        """The key that was pressed since, if any."""
        if self._before is None or not select.select([sys.stdin], [], [], 0)[0]:
            return ""
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "ignore").lower()


class PandaView:
    """Observes a study one model at a time: draws it, and does what keys ask for.

    A key that was pressed is noted in the journal, because it decides what the run comes to.
    """

    def __init__(
        self,
        directory: RunDirectory,
        strategy: Strategy,
        total: int | None,
        target_sd: float,
        interrupted: Callable[[], bool],
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._directory = directory
        self._strategy = strategy
        self._total = total
        self._target_sd = target_sd
        self._interrupted = interrupted
        self._console = Console(file=sys.stderr, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._keyboard = Keyboard()
        self._drawn = 0.0
        self._step: tuple[int, str] = -1, ""
        self._best: TrialResult | None = None
        self.asked_to_end = False
        self._keyboard.__enter__()
        self._live.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()
        self._keyboard.__exit__()

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Leave a line of a model that is done standing above the picture."""
        self._best = best
        metric = self._directory.record.metric
        score = result.error if result.state is TrialState.FAIL else readable(result.metrics.get(f"dev_{metric}"))
        again = purpose(result.key)
        word = "" if again else self._directory.record.diagnosis(result)
        what = again or self._step[1]
        self._console.print(f"trial {result.number}  {score}  {word}  {what}", markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Nothing happened."""

    def watch(self, trial: Trial, training: Any) -> bool:
        """Draw the training; whether it is to end here."""
        if self._step[0] != trial.number and not purpose(trial.key):
            self._step = trial.number, told_step(self._strategy, trial.number)
        if time.monotonic() - self._drawn > REDRAW_SECONDS:
            self._draw(trial, training)
        return self._obey(self._keyboard.pressed(), trial, training)

    def _obey(self, key: str, trial: Trial, training: Any) -> bool:
        action = KEYS.get(key)
        if action is None or (action == "skip" and (purpose(trial.key) or not training.epochs)):
            return False  # a finalist's mean is of whole trainings
        self._note(action, trial, training)
        if action == "pause":
            self._draw(trial, training, "paused: any key goes on")
            while not (key := self._keyboard.pressed()) and not self._interrupted():
                time.sleep(0.05)
            self._note("go on", trial, training)
            return self._obey(key, trial, training) if key != "p" else False
        if action == "end":
            self.asked_to_end = True
        return action == "skip"

    def _note(self, action: str, trial: Trial, training: Any) -> None:
        event = {"event": "key", "action": action, "number": trial.number, "repeat": trial.repeat}
        self._directory.note([event | {"epoch": training.epochs}])

    def _draw(self, trial: Trial, training: Any, state: str = "") -> None:
        from rich.text import Text

        self._drawn = time.monotonic()
        curves = curves_of(training, self._directory.record.metric, self._target_sd)
        lines = picture(self._directory.record, trial, training, curves, self._console.size.width)
        best = self._best or self._directory.record.best()
        metric = self._directory.record.metric
        again = purpose(trial.key)
        what = f", {again}" if again else f"{'' if self._total is None else f' of {self._total}'}  {self._step[1]}"
        title = f"trial {trial.number}{what}"
        if best is not None:
            lines.append(f"best so far: {metric} {readable(best.metrics[f'dev_{metric}'])} (trial {best.number})")
        if self._keyboard.listening:
            lines.append(state or ("ends after this model   " if self.asked_to_end else "") + HELP)
        drawn = Text.from_ansi("\n".join([title, *lines]), overflow="ellipsis", no_wrap=True)
        self._live.update(drawn, refresh=True)


def told_step(strategy: Strategy, number: int) -> str:
    """What a trial is for, if the strategy says."""
    step = getattr(strategy, "step", None)
    return str(step(number)) if step else ""


def picture(record: RunRecord, trial: Trial, training: Any, curves: dict[str, list[float]], width: int) -> list[str]:
    """The curves of a training so far in a terminal of this width, and what is to be said of it."""
    epochs, allowed = training.epochs, training.network.hyperparameters["epochs"]
    if not epochs:
        return ["the first epoch ..."]
    lines = _chart(curves, allowed, min(width, MOST_COLUMNS))
    word = _so_far(record, trial, training, curves)
    last = {name: values[-1] for name, values in curves.items()}
    norms = (training.health[len(training.health_epochs()) - 1, :, 0]).tolist()
    health = "  gradients by layer " + " ".join(f"{norm:.2g}" for norm in norms)
    lines.append(
        f"epoch {epochs}/{allowed}  loss train {last['train_loss']:.4g} dev {last['dev_loss']:.4g}  "
        f"learning rate {last['learning_rate']:.3g}"
    )
    lines.append(f"so far: {word or 'nothing to say'}{health}")
    return lines


def _so_far(record: RunRecord, trial: Trial, training: Any, curves: dict[str, list[float]]) -> str:
    best = max(training.best_epoch, 1) - 1
    metrics = {f"{part}_{record.metric}": curves[f"{part}_metric"][best] for part in ("train", "dev")}
    partial = TrialResult(trial.number, trial.config, TrialState.PRUNED, metrics, best + 1, training.epochs)
    allowed = training.network.hyperparameters["epochs"]
    yardstick = replace(record.yardstick(), human_error=None)
    return diagnose(partial, curves, health_of(training), yardstick, allowed)


def _chart(curves: dict[str, list[float]], allowed: int, width: int) -> list[str]:
    """Losses on train and dev by epoch in braille."""
    import math

    import plotille

    figure = plotille.Figure()
    figure.width, figure.height = max(width - 30, 20), CHART_ROWS
    epochs = len(curves["dev_loss"])
    losses = [v for name in ("train", "dev") for v in curves[f"{name}_loss"] if math.isfinite(v)]
    if losses and max(losses) > min(losses):
        figure.set_y_limits(min_=min(losses), max_=max(losses))
    figure.set_x_limits(min_=1, max_=next(end for n in range(8, -1, -1) if (end := max(allowed >> n, 2)) >= epochs))
    figure.x_label, figure.y_label = "epoch", "loss, train blue, dev yellow"
    figure.x_ticks_fkt = lambda low, _: f"{low:.0f}"
    figure.y_ticks_fkt = lambda low, _: f"{low:.3g}".rjust(8)
    figure.color_mode = "names"
    for name, colour in (("train", "blue"), ("dev", "yellow")):
        points = [(e, v) for e, v in enumerate(curves[f"{name}_loss"], start=1) if math.isfinite(v)]
        if points:
            figure.plot(*zip(*points, strict=True), lc=colour, label=name)
    return figure.show(legend=False).splitlines()


class Approval:
    """Asks the person at the terminal before each change of the babysitter; a no is noted in the journal."""

    def __init__(self, directory: RunDirectory, signals: OrderlyEnd) -> None:
        self._directory = directory
        self._signals = signals

    def __call__(self, number: int, step: Step) -> bool:
        """Whether the change may be tried; typer.Abort where a signal or the end of the input is the answer."""
        with self._signals.asking():
            wanted = typer.confirm(f"trial {number}: {step}: try it?", default=True, err=True)
        if wanted:
            return True
        self._directory.note([{"event": "refusal", "number": number, "config": step.config}])
        return False


class LedgerKeeper:
    """Observes a babysitter through another observer's eyes, and writes down what it does: ledger.yaml."""

    def __init__(self, observer: Observer, directory: RunDirectory, babysitter: Babysitter) -> None:
        self._observer = observer
        self._directory = directory
        self._babysitter = babysitter

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Write the ledger with what came of this trial."""
        self._observer.finished(result, best)
        self._babysitter.prepare(result.number + 1)
        write_ledger(self._directory, self._babysitter)

    def complete(self) -> None:
        """Write the ledger with all that has a result and no gap before it, whoever found it."""
        results = self._directory.record.results
        self._babysitter.prepare(next(n for n in range(len(results) + 1) if n not in results))
        write_ledger(self._directory, self._babysitter)

    def tick(self) -> None:
        """Pass on that nothing happened."""
        self._observer.tick()


def write_ledger(directory: RunDirectory, babysitter: Babysitter) -> None:
    """Write what was done so far, with the study, so that it can be replayed. Raises StorageError."""
    from hpsearch import strict_yaml
    from hpsearch.files import write_atomically

    record = directory.record
    # How many trials there are to be may change from session to session; the steps are as many as were done.
    study = record.study | {
        "budget": record.study["budget"] | {"trials": None},
        "strategy": record.study["strategy"] | {"planned": None},
    }
    steps = babysitter.ledger
    if record.maximize:  # strategies know scores that are better when smaller
        steps = [step | {"score": step["score"] and -step["score"]} for step in steps]
    ledger = {"study": study, "data_sha256": record.data["sha256"], "steps": steps}
    write_atomically(directory.folder / LEDGER, strict_yaml.dump(ledger).encode())
