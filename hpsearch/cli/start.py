"""The entry of the `hpsearch` command: what must happen, or pays, before anything heavy is loaded."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys

from hpsearch.threads import hold_threads

SEARCHES = ("grid", "random", "evolve")
NOTHING_RUNS_HERE = {"-h", "--help", "--dry-run", "--print-config", "panda", "--mode=panda", "--cluster"}


def main() -> None:
    """Run the command line of this process and exit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to clean up yet, and no traceback to show
    hold_threads()
    open_standard_streams()
    words = {*sys.argv, *(word.partition("=")[0] for word in sys.argv)}
    if sys.argv[1:2] and sys.argv[1] in SEARCHES and not NOTHING_RUNS_HERE & words:
        _start_server()
    from hpsearch.cli.app import main as run

    try:
        run()
    finally:
        gc.freeze()  # or the interpreter's last collection walks every object of every library, a tenth of a second


def open_standard_streams() -> None:
    """Fill a closed standard stream (`2>&-`) with the null device, or the next file opened would take its number.

    Whatever writes to "stderr" then, here or in a process started from here, would write into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _start_server() -> None:
    """Let the workers' server load the engine while this process loads its own modules and the data.

    A guess from the words alone: a search in caviar mode, with an engine that needs no compiling. A wrong guess costs a
    process that ends by itself.
    """
    from hpsearch.engine.cache import is_compiled
    from hpsearch.executors.caviar import start_server

    with contextlib.suppress(OSError):  # told later, by what cannot do without
        if is_compiled():
            start_server()
