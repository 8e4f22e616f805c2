"""A search that can be killed and goes on: see run.py; prints `begun` at its first new trial.

Each trial takes some 5 ms. hpsearch trains a small network, the others sleep, for it is not they that train.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

TRIAL_SECONDS = 0.005


def optuna_store(name: str, folder: Path):
    """Where Optuna keeps a study that outlives its process."""
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    if name == "optuna SQLite":
        return f"sqlite:///{folder / 'study.db'}"
    return JournalStorage(JournalFileBackend(str(folder / "study.log")))


def run_optuna(name: str, folder: Path, trials: int) -> None:
    """What its documentation shows: load the study if it is there, and optimise as many trials as are lacking."""
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=optuna_store(name, folder),
        study_name="s",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=0),
    )
    begun = []

    def objective(trial) -> float:
        if not begun:
            begun.append(print("begun", flush=True))
        time.sleep(TRIAL_SECONDS)
        return sum((trial.suggest_float(name, 0.0, 1.0) - 0.3) ** 2 for name in "abc")

    done = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    study.optimize(objective, n_trials=max(0, trials - done))


def run_hpsearch(folder: Path, trials: int) -> None:
    """The command, in this process."""
    from hpsearch.cli import app, running  # noqa: PLC0415
    from hpsearch.run_directory.directory import RunDirectory  # noqa: PLC0415

    usual, begun = RunDirectory.start, []

    def start(self, trial):
        usual(self, trial)
        if not begun:
            begun.append(print("begun", flush=True))

    RunDirectory.start = start
    running.print_best = lambda *_: None
    space = ["layers=0:2", "units=8:32", "lr=1e-4:1e-1:log", "bs=16"]
    flags = [word for part in space for word in ("-p", part)]
    app.main(
        ["evolve", "wine", "-n", str(trials), "--epochs", "60", *flags, "-o", str(folder / "run"), "-q", "-f", "value"]
    )


def main() -> None:
    name, folder, trials = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name == "hpsearch":
        run_hpsearch(folder, trials)
    else:
        run_optuna(name, folder, trials)
