"""What a person sees while a search runs: a bar on a terminal, plain lines elsewhere, on stderr only."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hpsearch.cli.printing import readable
from hpsearch.trial import TrialState

if TYPE_CHECKING:
    from hpsearch.trial import Trial, TrialResult

PLAIN_SECONDS = 10.0
PLAIN_SHARE = 0.1
SHOWN_FAILURES = 5


class ProgressStyle(StrEnum):
    """What --progress may say."""

    AUTO = "auto"
    BAR = "bar"
    PLAIN = "plain"
    NONE = "none"


def in_notebook() -> bool:
    """Whether stderr is a cell's of a Jupyter notebook, which can redraw a line, but is no terminal."""
    return type(sys.stderr).__module__.partition(".")[0] == "ipykernel"


def say(message: str) -> None:
    """One line on stderr."""
    print(message, file=sys.stderr, flush=True)


class Progress:
    """Observes `total` trials (None: nobody knows how many) of which `done` are there.

    `metric` is the name of the score, `unit` what is counted.
    """

    def __init__(self, style: ProgressStyle, total: int | None, done: int, metric: str, unit: str = "trials") -> None:
        if style is ProgressStyle.AUTO:
            style = ProgressStyle.BAR if sys.stderr.isatty() or in_notebook() else ProgressStyle.PLAIN
        self._style = style
        self._total = total
        self._done = done
        self._metric = metric
        self._unit = unit
        self._failures = 0
        self._best = ""
        self._said = time.monotonic()
        self._said_done = done
        self._epoch = 0
        self._bar = None
        if style is ProgressStyle.BAR:
            from tqdm import tqdm

            form = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
            form = "{desc}{n_fmt} " + unit + " [{elapsed}]{postfix}" if total is None else form
            self._bar = tqdm(
                total=total, initial=done, file=sys.stderr, bar_format=form, dynamic_ncols=True, leave=True
            )

    def close(self) -> None:
        """Leave the last state of the bar standing."""
        if self._bar is not None:
            self._bar.close()

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Count a result; name a failure at once."""
        self._done += 1
        self._epoch = 0
        if result.state is TrialState.FAIL:
            self._failures += 1
            if self._failures <= SHOWN_FAILURES:
                more = "; further failures: see `hpsearch show`" if self._failures == SHOWN_FAILURES else ""
                self.line(f"trial {result.number} failed: {result.error}{more}")
        self._best = (
            f"best {self._metric} {readable(best.metrics[f'dev_{self._metric}'])} (trial {best.number})" if best else ""
        )
        if self._bar is not None:
            self._bar.set_postfix_str(self._best, refresh=False)
            self._bar.update(1)
        elif self._done == self._total or (
            self._total is not None and self._done - self._said_done >= PLAIN_SHARE * self._total
        ):
            self._say_how_far()
        else:
            self.tick()

    def tick(self) -> None:
        """Let the clock of the bar move, or say that the search is alive if nothing was said for long."""
        if self._bar is not None:
            self._bar.refresh()
        elif time.monotonic() - self._said > PLAIN_SECONDS:
            self._say_how_far()

    def _say_how_far(self) -> None:
        standing = "" if self._unit != "trials" else f", {self._best or 'none with a score yet'}"
        of_all = "" if self._total is None else f" of {self._total}"
        self.line(f"{self._done}{of_all} {self._unit}{standing}")
        self._said, self._said_done = time.monotonic(), self._done

    def watch(self, trial: Trial, training: Any) -> None:
        """Show the epochs of the one trial that runs (panda)."""
        if self._style is ProgressStyle.NONE or training.epochs == self._epoch:
            return
        rows = training.curve_rows(self._epoch)
        epochs = training.network.hyperparameters["epochs"]
        lines = [
            f"trial {trial.number}  epoch {self._epoch + i}/{epochs}  loss train {row[0]:.4g} dev {row[1]:.4g}"
            for i, row in enumerate(rows, start=1)
        ]
        self._epoch = training.epochs
        if self._bar is None:
            for line in lines:
                self.line(line)
        else:
            epoch, dev = self._epoch, rows[-1][1]
            self._bar.set_description_str(f"trial {trial.number} epoch {epoch}/{epochs} dev loss {dev:.4g} ")

    def line(self, text: str) -> None:
        """Say something above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self._style is not ProgressStyle.NONE:
            say(text)
