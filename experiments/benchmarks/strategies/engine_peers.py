"""Other people's searches on a real set, each in a process of its own that engine_searches.py starts and ends.

    python engine_peers.py tpe|tpe_default|sklearn SET SEED JOBS DEADLINE FILE

Until DEADLINE on the wall clock they train; FILE gets a line for each training (engine_notes.py).

tpe: Optuna's TPESampler as it comes, asked and told as trainings end, on hpsearch's engine: the same space, rows,
epochs and early stopping, the same random numbers for trial i, and worker processes of the same kind.
tpe_default begins with hpsearch's default configuration, as random and evolve do.
sklearn: see engine_sklearn.py.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine_notes import note
from engine_task import Task, train

if TYPE_CHECKING:
    from hpsearch.trial import TrialResult


def tpe(task: Task, seed: int, jobs: int, deadline: float, file: Path, *, from_default: bool = False) -> None:
    """Search with Optuna; new bests are judged on the test part after the deadline."""
    import optuna  # noqa: PLC0415 - only this search needs it
    from optuna_space import params, suggested  # noqa: PLC0415

    from hpsearch.trial import Trial, score  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    space = task.study.search_space()
    if from_default:
        study.enqueue_trial(params(task.default(), space))
    asked: dict[int, Any] = {}
    taken: list[tuple[float, float, TrialResult]] = []
    best = math.inf

    def propose() -> Trial:
        trial = study.ask()
        asked[trial.number] = trial
        return Trial(trial.number, suggested(trial, space))

    def take(result: TrialResult) -> None:
        nonlocal best
        value = score(result, task.metric, maximize=False)
        study.tell(asked.pop(result.number), value)
        if value >= best:
            result.weights = None
        best = min(best, value)
        taken.append((time.time(), value, result))

    with task.executor(jobs) as executor:
        train(executor, propose, take, deadline)
    for at, value, result in taken:
        note(file, at, value, None if result.weights is None else task.test_score(result), result.config)


def main() -> None:
    """Search as the arguments say."""
    search, name, file = sys.argv[1], sys.argv[2], Path(sys.argv[6])
    seed, jobs, deadline = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    if search == "sklearn":
        import engine_sklearn  # noqa: PLC0415 - the others do without

        engine_sklearn.search(Task.open(name, seed, ("none",)), seed, jobs, deadline, file)
    else:
        tpe(Task.open(name, seed), seed, jobs, deadline, file, from_default=search == "tpe_default")


if __name__ == "__main__":
    main()
