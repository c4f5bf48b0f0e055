"""``python -m lmstudio``: chat at the terminal, answer a file, find out what is wrong."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys

HOST = "host:port or URL of an LM Studio (otherwise the one that runs on this machine)"


def main(arguments: list[str] | None = None) -> int:
    """Run one of the programs, and return its exit code."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio",
        description="Chat at the terminal, answer a file, find out what is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", help=HOST)
    programs = parser.add_subparsers(dest="program", required=True, metavar="chat|batch|doctor")

    def add(name: str, help: str, description: str) -> argparse.ArgumentParser:
        program = programs.add_parser(name, help=help, description=description, allow_abbrev=False)
        program.add_argument("--host", help=HOST, default=argparse.SUPPRESS)
        return program

    chat = add("chat", "talk with a model", "Talk with a model. Ctrl-C stops a reply, or leaves.")
    chat.add_argument("--model", metavar="KEY", help="key of a model, which is loaded if need be")
    chat.add_argument("--system", metavar="TEXT", help="what the model is to be")

    batch = add(
        "batch",
        "answer each line of a file",
        'Answer each line of IN, {"prompt": "..."} or {"messages": [...]}, with a line of OUT. '
        "The same command goes on where it was stopped.",
    )
    batch.add_argument("input", metavar="IN.jsonl")
    batch.add_argument("output", metavar="OUT.jsonl")
    batch.add_argument("--model", metavar="KEY", help="key of a model, which is loaded if need be")
    batch.add_argument("--parallel", type=_count, default=4, metavar="N", help="at once (4)")
    batch.add_argument("--schema", metavar="FILE", help="a JSON schema that all replies follow")
    batch.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for each line")

    add("doctor", "find out what is wrong", "Look at everything that a prediction needs.")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
