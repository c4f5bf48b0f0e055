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
        program.add_argument("--host", help=HOST, default=argparse.SUPPRESS)
        return program

    _add_chat(add)
    _add_batch(add)
    _add_doctor(add)
    return parser


def _add_chat(add: Add) -> None:
    chat = add(
        "chat",
        "talk with a model",
        "Talk with a model; or, with a QUESTION, print the answer and nothing else. What stands "
        "on standard input, a text or an image, goes with the question.",
    )
    chat.add_argument("question", nargs="*", metavar="QUESTION", help="ask this, and end")
    chat.add_argument("--model", metavar="KEY", help=MODEL)
    chat.add_argument("--system", metavar="TEXT", help="what the model is to be")
    chat.add_argument(
        "--image",
        metavar="FILE",
        action="append",
        default=[],
        help="an image for the question; may be repeated",
    )
    chat.add_argument("--temperature", type=_temperature, metavar="T", help="0: no chance in it")
    chat.add_argument("--max-tokens", type=_count, metavar="N", help="the longest reply")
    chat.add_argument("--schema", metavar="FILE", help="a JSON schema that the replies follow")
    chat.add_argument("--json", action="store_true", help="print answer and numbers as JSON")
    chat.add_argument("--plain", action="store_true", help="show Markdown as it is written")
    chat.add_argument("--stats", action="store_true", help="tell how quick each reply was")
    chat.add_argument(
        "--resume",
        metavar="NAME",
        nargs="?",
        const="1",
        help="go on with a saved conversation: a number of the list that /load shows, a part of "
        "its title, a file; without NAME the latest",
    )
    chat.add_argument("--save", metavar="FILE", help="keep the conversation in this new file")
    chat.add_argument("--no-history", action="store_true", help="save nothing of what is typed")


def _add_batch(add: Add) -> None:
    batch = add(
        "batch",
        "answer each line of a file",
        'Answer each line of IN, {"prompt": "..."} or {"messages": [...]}, with a line of OUT. '
        "The same command goes on where it was stopped.",
    )
    batch.add_argument("input", metavar="IN.jsonl")
    batch.add_argument("output", metavar="OUT.jsonl")
    batch.add_argument("--model", metavar="KEY", help=MODEL)
    batch.add_argument("--parallel", type=_count, default=4, metavar="N", help="at once (4)")
    batch.add_argument("--schema", metavar="FILE", help="a JSON schema that all replies follow")
    batch.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for each line")


def _add_doctor(add: Add) -> None:
    add("doctor", "find out what is wrong", "Look at everything that a prediction needs.")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _temperature(text: str) -> float:
    try:
        temperature = float(text)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature < 1e3:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return temperature


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
