"""What can be typed after ``python -m lmstudio``: the programs and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["make_parser"]

HOST = "host:port or URL of an LM Studio (otherwise the one that runs on this machine)"
MODEL = "key of a model, which is loaded if need be"

# Adds a program: its name, a few words, and what it does.
Add: TypeAlias = Callable[[str, str, str], argparse.ArgumentParser]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all programs; it needs no other module of ours."""
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio",
        description="Chat at the terminal, answer a file, find out what is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", help=HOST)
    programs = parser.add_subparsers(dest="program", required=True, metavar="chat|batch|doctor")

    def add(name: str, help: str, description: str) -> argparse.ArgumentParser:
        program = programs.add_parser(name, help=help, description=description, allow_abbrev=False)
        if name != "batch":  # which takes several
            program.add_argument("--host", help=HOST, default=argparse.SUPPRESS)
        return program

    _add_chat(add)
    _add_batch(add)
    _add_doctor(add)
    return parser


def _add_chat(add: Add) -> None:
    chat = add("chat", "talk with a model", "Talk with a model. Ctrl-C stops a reply, or leaves.")
    chat.add_argument("--model", metavar="KEY", help=MODEL)
    chat.add_argument("--system", metavar="TEXT", help="what the model is to be")


def _add_batch(add: Add) -> None:
    batch = add(
        "batch",
        "answer each row of a file",
        "Answer each row of IN, and write it to OUT with its answer. A row of a JSONL file is "
        '{"prompt": "..."} or {"messages": [...]}; a CSV file has a column prompt; all other '
        "columns are kept. The same command goes on where it was stopped, by what is in the file "
        "OUT.journal. Exit codes: 0 all are answered, 4 some failed, 3 no LM Studio is there, 1 it "
        "could not go on, 2 wrong arguments, 124 time limit, 130 Ctrl-C.",
    )
    batch.add_argument(
        "input", metavar="IN", help="a file, .jsonl, .csv or .tsv; -: standard input"
    )
    batch.add_argument("output", metavar="OUT", help="likewise; -: standard output")
    batch.add_argument(
        "--host", action="append", default=argparse.SUPPRESS, help=f"{HOST}; several share the work"
    )
    batch.add_argument("--model", metavar="KEY", help=MODEL)
    batch.add_argument(
        "--dask",
        metavar="SCHEDULER",
        help="address of a Dask scheduler, whose workers answer, each by an LM Studio of its own: "
        "--host, LMSTUDIO_HOST where the worker runs, or the one that runs there",
    )

    rows = batch.add_argument_group("the rows")
    rows.add_argument(
        "--format", choices=("jsonl", "csv"), help="of what has no name that says it (jsonl)"
    )
    rows.add_argument(
        "--column", default="prompt", metavar="NAME", help="what has the question (prompt)"
    )
    rows.add_argument(
        "--id", metavar="NAME", help="what has a row's own name, by which it is known again"
    )
    rows.add_argument(
        "--image-column",
        metavar="NAME",
        help="what has the path of a picture, seen from the folder of IN",
    )

    asked = batch.add_argument_group("what is asked")
    asked.add_argument("--image", metavar="FILE", help="a picture that goes with every row")
    asked.add_argument(
        "--system", metavar="TEXT", help="what the model is to be, for rows that do not say it"
    )
    asked.add_argument("--temperature", type=_temperature, metavar="NUMBER")
    asked.add_argument("--max-tokens", type=_count, metavar="N", help="where a reply is cut off")
    asked.add_argument("--schema", metavar="FILE", help="a JSON schema that all replies follow")

    work = batch.add_argument_group("how it goes")
    work.add_argument(
        "--parallel",
        type=_count,
        metavar="N",
        help="at once at each host (as many as its model was loaded for)",
    )
    work.add_argument("--ordered", action="store_true", help="write the rows in their order")
    work.add_argument(
        "--retries", type=_count_or_none, default=0, metavar="N", help="of a row that fails (0)"
    )
    work.add_argument(
        "--retry-errors", action="store_true", help="ask again what failed in an earlier run"
    )
    work.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for each try of a row")
    work.add_argument("--time-limit", type=_seconds, metavar="SECONDS", help="for all of it")
    work.add_argument(
        "--patience",
        type=_patience,
        default=300.0,
        metavar="SECONDS",
        help="that no host may be there (300; 0: none; inf: any)",
    )
    work.add_argument(
        "--journal", metavar="FILE", help="what makes it resumable (OUT.journal; none if OUT is -)"
    )


def _add_doctor(add: Add) -> None:
    add("doctor", "find out what is wrong", "Look at everything that a prediction needs.")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _temperature(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 0")
    return number


def _patience(text: str) -> float | None:
    return None if text == "inf" else _temperature(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
