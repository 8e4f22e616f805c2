"""The `hpsearch` command: its subcommands, and how every way of ending becomes an exit code and one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import typer

from hpsearch.cli import inspection, models, search
from hpsearch.errors import HpsearchError

# Read by BLAS and OpenMP when they are loaded, here and in every process started from here. One thread each: the
# parallelism is that of whole trials, and a sum over several threads would depend on their number.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

app = typer.Typer(
    name="hpsearch",
    help="Find a good neural network for a table of data.\n\nA first search, on data that come with the program: "
    "hpsearch random digits",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
search.register(app)
inspection.register(app)
models.register(app)


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from hpsearch import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Run one command line and exit: 0 done, otherwise the code of what went wrong (listed in the README)."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    arguments = sys.argv[1:] if arguments is None else arguments
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="hpsearch", standalone_mode=False) or 0
        sys.stdout.flush()
    except (HpsearchError, typer.TyperException) as error:
        if "--debug" in arguments:
            raise
        message = " ".join((error.format_message() if isinstance(error, typer.TyperException) else str(error)).split())
        _last_words(f"hpsearch: error: {message}")
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        die_by(signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has gone (`| head -1`): nothing more to say, and no complaint at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        die_by(signal.SIGPIPE)
    except search.InterruptedBySignalError as end:
        die_by(end.signal_number)
    except Exception as error:
        if "--debug" in arguments:
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        _last_words(f"hpsearch: internal error: {words} (run again with --debug for the place)")
        code = 1
    sys.exit(code)


def _last_words(message: str) -> None:
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def die_by(signal_number: int) -> None:
    """End as the signal would have ended us, so that shells and supervisors see it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    signal.signal(signal_number, signal.SIG_DFL)
    os.kill(os.getpid(), signal_number)
