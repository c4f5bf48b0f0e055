"""``lmstudio``, or ``python -m lmstudio``: the commands of the terminal, and their exit codes."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys

from .cli._name import keep_host, program_name
from .cli._parser import make_parser


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands, and return its exit code.

    Args:
        arguments: The command line without the program's name; None: that of this process.

    Raises:
        SystemExit: The help was asked for, or the command line is not understood.
    """
    _mend_streams()
    if "--no-color" in (sys.argv[1:] if arguments is None else arguments):
        os.environ["NO_COLOR"] = "1"  # what rich and argparse look at
        os.environ.pop("FORCE_COLOR", None)
    try:
        return _run(arguments)
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            _leave_unread()


def _run(arguments: list[str] | None) -> int:
    try:
        parser = make_parser()
        options = parser.parse_args(arguments)
        if options.program is None:
            parser.print_help(sys.stderr)
            return 2
        keep_host(options.host)
        _mend_ctrl_break()
        # Imported when it is asked for: `doctor` must run where the others cannot be imported.
        program = importlib.import_module(f".cli.{options.program}", __package__)
        code = int(program.run(options))
        try:
            sys.stdout.flush()  # here it can still be told that it cannot be written
        except OSError:
            if code == 0:
                raise
            _leave_unread()  # it was told
        return code
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        print(f"lmstudio: {error}\nTo mend it: {program_name()} doctor", file=sys.stderr)
        return 1
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> int:
    """Say what is wrong, if that is no fault of ours, and return the exit code."""
    from .cli._screen import has_no_reader

    if isinstance(error, OSError) and has_no_reader(error):
        return _leave_unread()
    from . import LMStudioCancelledError, LMStudioError
    from .cli._errors import complain

    if isinstance(error, LMStudioCancelledError):
        print("Stopped.", file=sys.stderr)
        return 130
    if isinstance(error, OSError) and not isinstance(error, LMStudioError):
        complain(error)
        return _leave_unread()  # it may have been the disk, with more to come
    if not isinstance(error, LMStudioError):
        raise error
    return complain(error)


def _leave_unread() -> int:
    # What Python still flushes at its end must go somewhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _mend_streams() -> None:
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            is_chosen = "PYTHONIOENCODING" in os.environ
            as_files = sys.platform == "win32" and not is_chosen and not stream.isatty()
            # Files there are UTF-8 today. And no odd character ends a program.
            stream.reconfigure(encoding="utf-8" if as_files else None, errors="replace")


def _mend_ctrl_break() -> None:
    """Have Ctrl-Break do what Ctrl-C does, on Windows, which would end the program at once."""
    if sys.platform == "win32":

        def handle(number: int, frame: object) -> None:
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                handler(signal.SIGINT, None)

        signal.signal(signal.SIGBREAK, handle)


def _name_all_modules() -> None:
    """Name the commands, for what packs programs; it is never called."""
    from .cli import (  # noqa: F401
        batch,
        chat,
        doctor,
        download,
        embed,
        load,
        logs,
        ls,
        ps,
        tokens,
        unload,
    )


if __name__ == "__main__":
    sys.exit(main())
