"""What runs in a Dask worker: a batch of trials, in a child process of its own as on one machine."""

from __future__ import annotations

import multiprocessing
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from hpsearch.data.sharing import checksum
from hpsearch.engine.cache import ensure_compiled, processor, software
from hpsearch.executors.caviar import CaviarExecutor
from hpsearch.trial import Trial, TrialResult, TrialSettings

if TYPE_CHECKING:
    from distributed import Worker

LOOK_SECONDS = 0.1
EXECUTING = ("executing", "long-running")
_seen_whole: set[tuple[Path, str]] = set()  # folders of data with their checksums, which are read once


@dataclass(frozen=True)
class Batch:
    """Trials, and where their data are: in `folder`, or in what was sent, if the files have these checksums.

    checksums: of the folder of each repeat that has one. run: names what was sent.
    """

    trials: tuple[Trial, ...]
    settings: TrialSettings
    run: str
    folder: str
    checksums: dict[int, str]

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> Batch:
        """From what dataclasses.asdict makes of one; only that goes through a scheduler, which need not know us."""
        trials = tuple(Trial(**trial) for trial in plain["trials"])
        return cls(**plain | {"trials": trials, "settings": TrialSettings(**plain["settings"])})


@dataclass(frozen=True)
class Machine:
    """Where a batch was run. Results have the same bits where software and processor are the same."""

    worker: str
    software: dict[str, str]
    processor: str


@dataclass(frozen=True)
class Answer:
    """The results of a batch, or of a part if the worker was to go; None where its data are lacking, to be sent."""

    machine: Machine
    results: list[TrialResult] | None


def run_batch(plain: dict[str, Any]) -> Answer:
    """Run the trials of a batch that was made plain, unless nobody waits for them any more.

    A trial that crashes, hangs or needs too much memory takes its child process with it and not the Dask worker, so it
    ends like one of caviar's.
    """
    batch, worker = Batch.of_plain(plain), get_worker()
    machine = Machine(worker.address, software(), processor())
    folder = _find_data(batch, worker)
    if folder is None:
        return Answer(machine, None)
    # Workers of a nanny are daemons, which may have no children. Ours end with their parent by themselves.
    multiprocessing.current_process().daemon = False
    ensure_compiled(lambda _: None)
    key, waiting, results = worker.get_current_task(), list(batch.trials), []
    with CaviarExecutor(folder, batch.settings, jobs=1) as executor:
        running = 0
        while (waiting or running) and _is_wanted(worker, key):
            while waiting and running < executor.capacity:
                executor.submit(waiting.pop(0))
                running += 1
            found = [item for item in executor.wait(LOOK_SECONDS) if isinstance(item, TrialResult)]
            running -= len(found)
            results += found
    return Answer(machine, results)


def _is_wanted(worker: Worker, key: str) -> bool:
    """Whether the scheduler, and behind it the search, still waits for a task."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state in EXECUTING and worker.status.name in {"running", "paused"}


def _find_data(batch: Batch, worker: Worker) -> Path | None:
    """The folder that has all files of the batch: the run's own if it can be seen from here, or what was sent."""
    for folder in (Path(batch.folder), _sent_folder(worker, batch.run)):
        if all(_checked(folder / str(repeat), wanted) for repeat, wanted in batch.checksums.items()):
            return folder
    return None


def _checked(folder: Path, wanted: str) -> bool:
    if (folder, wanted) not in _seen_whole and checksum(folder) == wanted:
        _seen_whole.add((folder, wanted))
    return (folder, wanted) in _seen_whole


def _sent_folder(worker: Worker, run: str) -> Path:
    return Path(worker.local_directory) / f"hpsearch-{run}"


def receive(run: str, repeats: dict[int, dict[str, bytes]], dask_worker: Worker) -> None:
    """Lay the files of the data of these repeats into the worker's own folder, which Dask removes at its end."""
    folder = _sent_folder(dask_worker, run)
    folder.mkdir(exist_ok=True)
    for repeat, files in repeats.items():
        if (folder / str(repeat)).is_dir():
            continue
        made = Path(tempfile.mkdtemp(dir=folder))
        for name, content in files.items():
            (made / name).write_bytes(content)
        made.rename(folder / str(repeat))
