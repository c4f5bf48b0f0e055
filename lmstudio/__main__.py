"""``python -m lmstudio``: chat at the terminal, answer a file, find out what is wrong."""

from __future__ import annotations

import importlib
import io
import os
import sys

from .cli._parser import make_parser


def main(arguments: list[str] | None = None) -> int:
    """Run one of the programs, and return its exit code."""
    options = make_parser().parse_args(arguments)
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no odd character ends a program
    try:
        # Imported when it is asked for: `doctor` must run where the others cannot be imported.
        program = importlib.import_module(f".cli.{options.program}", __package__)
        return int(program.run(options))
    except ImportError as error:
        print(f"lmstudio: {error}\nTo mend it: python -m lmstudio doctor", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        from .cli._screen import has_no_reader

        if not has_no_reader(error):
            print(f"lmstudio: {error.strerror or error}", file=sys.stderr)
        # What Python still flushes at its end must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
