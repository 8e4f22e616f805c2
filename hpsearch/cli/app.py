"""The `hpsearch` command: its subcommands, and how every way of ending becomes an exit code and one line."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import sys
import traceback

import typer

from hpsearch.cli import inspection, models, reporting, running, search, upkeep
from hpsearch.cli.streams import discard, forgiving_streams
from hpsearch.errors import HpsearchError, StorageError
from hpsearch.threads import hold_threads

INTERRUPTED = 130  # what Typer makes of a KeyboardInterrupt
DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG,
)  # fmt: skip

app = typer.Typer(
    name="hpsearch",
    help="Find a good neural network for a table of data.\n\nA first search, on data that come with the program: "
    "hpsearch random digits",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
search.register(app)
inspection.register(app)
reporting.register(app)
models.register(app)
upkeep.register(app)


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
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see start.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hold_threads()
    arguments = sys.argv[1:] if arguments is None else arguments
    with forgiving_streams():
        code, signal_number = _run(arguments)
    if signal_number is not None:
        die_by(signal_number)
    sys.exit(code)


def _run(arguments: list[str]) -> tuple[int, int | None]:
    """Run the command; return its exit code and the signal that the process is to end by, if any."""
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="hpsearch", standalone_mode=False) or 0
        sys.stdout.flush()
    except (HpsearchError, typer.TyperException) as error:
        return _report(error, arguments, error.exit_code, "error"), None
    except (KeyboardInterrupt, typer.Abort):
        return 1, signal.SIGINT
    except running.InterruptedBySignalError as end:
        return 1, end.signal_number
    except BrokenPipeError:
        # The reader of our output has gone (`| head -1`): nothing more to say, and no complaint at exit either.
        discard(sys.stdout)
        return 1, signal.SIGPIPE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            return _report(error, arguments, 1, "internal error"), None
        if error.filename is None:
            discard(sys.stdout)  # it may be the output that cannot be written
        return _report(error, arguments, StorageError.exit_code, "error"), None
    except Exception as error:  # noqa: BLE001 - the last net: a defect is one line too
        return _report(error, arguments, 1, "internal error"), None
    return (1, signal.SIGINT) if code == INTERRUPTED else (code, None)


def _report(error: Exception, arguments: list[str], code: int, kind: str) -> int:
    if "--debug" in arguments:
        traceback.print_exception(error)
    message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    if kind == "internal error":
        message = f"{type(error).__name__}: {message} (--debug shows the place)"
    print(f"hpsearch: {kind}: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def die_by(signal_number: int) -> None:
    """End as the signal would have ended us, so that shells and supervisors see it.

    What is to be done at exit is done before, such as deleting temporary folders: a signal's end skips it.
    """
    signal.signal(signal_number, signal.SIG_DFL)  # another one ends at once
    atexit._run_exitfuncs()  # noqa: SLF001 - the only way to do it without ending by it
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    os.kill(os.getpid(), signal_number)
