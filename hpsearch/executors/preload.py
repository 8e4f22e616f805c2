"""Imported once by the fork server: workers fork from a process that has the engine loaded, ready in milliseconds."""

import gc
import os

from hpsearch.threads import hold_threads

gc.disable()  # nothing is garbage while modules load
hold_threads()  # who starts this server may be a program of somebody else, such as a Dask worker

from hpsearch.engine.network import start_engine  # noqa: E402
from hpsearch.executors import worker  # noqa: E402

start_engine()
gc.freeze()  # workers share these pages as long as nobody counts what is on them
gc.enable()

# Workers answer through pipes. With our standard streams still open in them, whoever reads these (a shell's `$(...)`)
# would wait for the server's own end after ours.
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1)
os.dup2(nowhere, 2)
os.close(nowhere)

__all__ = ["worker"]
