"""What can be typed after ``lmstudio``: the commands, their arguments, their help."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from ._arguments import AddHost, Parser
from ._name import program_name

__all__ = ["make_parser"]

HOST = "host:port or URL of an LM Studio (otherwise the one that runs on this machine)"
MODEL = "key of a model, which is loaded if need be"
JSON = "print JSON"

# Adds a command: its name, a few words, what it does, and examples.
Add: TypeAlias = Callable[..., Parser]


class _ShowVersion(argparse.Action):
    """Prints the version, which is read only then: `doctor` runs where the package is broken."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .. import __version__

        print(f"lmstudio {__version__}")
        parser.exit()


def make_parser() -> Parser:
    """Return the parser of all commands; it needs no other module of ours."""
    name = program_name()
    parser = Parser(
        prog=name,
        usage=f"{name} COMMAND [OPTIONS]",
        description="Talk with the models of LM Studio, and look after them.",
        epilog=(
            f"Each command has a help of its own: {name} chat --help\n"
            "Exit codes: 0 done, 1 failed, 2 not understood, 3 no LM Studio,\n"
            "4 some rows of a batch failed, 124 time limit of a batch, 130 Ctrl-C."
        ),
    )
    hosts: list[str] = []  # wherever they stand, before or behind the command
    _add_common(parser, None, hosts)
    parser.add_argument(
        "-V",
        "--version",
        nargs=0,
        action=_ShowVersion,
        help="print the version, and end",
    )
    programs = parser.add_subparsers(
        dest="program", metavar="COMMAND", title="commands", prog=name, parser_class=Parser
    )

    def add(command: str, help: str, description: str, *examples: str) -> Parser:
        program: Parser = programs.add_parser(
            command,
            help=help,
            description=description,
            epilog="\n  ".join(["Examples:", *(f"{name} {example}" for example in examples)])
            if examples
            else None,
        )
        _add_common(program, argparse.SUPPRESS, hosts, has_several=command == "batch")
        parser.commands[command] = program
        return program

    _add_chat(add)
    _add_batch(add)
    _add_lists(add)
    _add_load(add)
    _add_unload(add)
    _add_download(add)
    _add_embed(add)
    _add_tokens(add)
    _add_logs(add)
    _add_doctor(add)
    return parser


def _add_common(parser: Parser, default: Any, hosts: list[str], has_several: bool = False) -> None:
    add_host: Any = functools.partial(AddHost, given=hosts, is_list=has_several)
    several = "; give --host several times, and they share the work" if has_several else ""
    parser.add_argument("--host", help=HOST + several, default=default, action=add_host)
    parser.add_argument("--no-color", action="store_true", help="no colours", default=default)


def _add_chat(add: Add) -> None:
    chat = add(
        "chat",
        "talk with a model",
        "Talk with a model; or, with a QUESTION, print the answer and nothing else. What stands\n"
        "on standard input, a text or an image, goes with the question.",
        "chat",
        "chat --resume",
        'chat "What is this?" < notes.txt',
        'chat --image photo.jpg "What is this?"',
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
        "answer each row of a file",
        "Answer each row of IN, and write it to OUT with its answer. A row of a JSONL file is "
        '{"prompt": "..."} or {"messages": [...]}; a CSV file has a column prompt; all other '
        "columns are kept. Run the same command again to continue where it was stopped: the file "
        "OUT.journal says what is done. Exit codes: 0 all rows are answered, 4 some failed, 3 no "
        "LM Studio is there, 1 a file cannot be used or it could not continue, 2 wrong arguments, "
        "124 time limit, 130 Ctrl-C.",
    )
    batch.add_argument(
        "input", metavar="IN", help="a file, .jsonl, .csv or .tsv; -: standard input"
    )
    batch.add_argument("output", metavar="OUT", help="likewise; -: standard output")
    batch.add_argument("--model", metavar="KEY", help=MODEL)
    batch.add_argument(
        "--dask",
        metavar="SCHEDULER",
        help="address of a Dask scheduler, whose workers answer, each by an LM Studio of its own: "
        "--host, LMSTUDIO_HOST where the worker runs, or the one that runs there",
    )

    rows = batch.add_argument_group("the rows")
    rows.add_argument(
        "--format", choices=("jsonl", "csv"), help="of a file whose name does not show it (jsonl)"
    )
    rows.add_argument(
        "--column", default="prompt", metavar="NAME", help="the column with the question (prompt)"
    )
    rows.add_argument(
        "--id", metavar="NAME", help="the column with a unique id, by which a row is recognized"
    )
    rows.add_argument(
        "--image-column",
        metavar="NAME",
        help="the column with the path of a picture, relative to the folder of IN",
    )

    asked = batch.add_argument_group("what is asked")
    asked.add_argument("--image", metavar="FILE", help="a picture that goes with every row")
    asked.add_argument("--system", metavar="TEXT", help="system prompt, for rows without one")
    asked.add_argument("--temperature", type=_temperature, metavar="NUMBER")
    asked.add_argument("--max-tokens", type=_count, metavar="N", help="where a reply is cut off")
    asked.add_argument("--schema", metavar="FILE", help="a JSON schema that all replies follow")

    work = batch.add_argument_group("how it goes")
    work.add_argument(
        "--parallel",
        type=_count,
        metavar="N",
        help="rows at once at each host (as many as its model was loaded for)",
    )
    work.add_argument("--ordered", action="store_true", help="write the rows in their order")
    work.add_argument(
        "--retries",
        type=_count_or_none,
        default=0,
        metavar="N",
        help="how often a row that failed is tried again (0)",
    )
    work.add_argument(
        "--retry-errors",
        action="store_true",
        help="ask again the rows that failed in an earlier run",
    )
    work.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="for each try of a row, including its time in LM Studio's queue",
    )
    work.add_argument(
        "--idle-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="how long a host may be silent during a try (--timeout, if that is given, else 60)",
    )
    work.add_argument("--time-limit", type=_seconds, metavar="SECONDS", help="for all of it")
    work.add_argument(
        "--patience",
        type=_patience,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait while no host answers, also at the start (300; 0: not at all; inf: "
        "without limit)",
    )
    work.add_argument(
        "--journal",
        metavar="FILE",
        help="the file by which it continues (OUT.journal; none if OUT is -)",
    )


def _add_lists(add: Add) -> None:
    ls = add(
        "ls",
        "list the models that are downloaded",
        "List the models that are downloaded, by the keys that --model and load take.",
        *("ls", "ls --variants", "ls --json | jq -r '.[].modelKey'"),
    )
    ls.add_argument("--variants", action="store_true", help="each variant, such as quantizations")
    ls.add_argument("--json", action="store_true", help=JSON)
    ps = add(
        "ps",
        "list the models that are loaded, and what they do",
        "List the models that are loaded: what each is doing, how many requests wait for it.",
        *("ps", "ps --json | jq -r '.[].identifier'"),
    )
    ps.add_argument("--json", action="store_true", help=JSON)


def _add_load(add: Add) -> None:
    load = add(
        "load",
        "load a model",
        "Load a model, unless it is loaded. Ctrl-C stops it.",
        "load qwen/qwen3-4b --context-length 8192 --ttl 3600",
        "load qwen/qwen3-4b --identifier second",
    )
    load.add_argument(
        "model", type=_name, metavar="KEY", help="the key of the model, as ls shows it"
    )
    load.add_argument(
        "--identifier", type=_name, metavar="NAME", help="load it once more, under this name"
    )
    ttl = "unload it when nobody has used it for so long (otherwise it stays)"
    load.add_argument("--ttl", type=_seconds, metavar="SECONDS", help=ttl)
    length = "tokens that it takes at once"
    load.add_argument("--context-length", type=_count, metavar="N", help=length)
    gpu = "share of it that goes to the GPU: max, off, or 0 to 1"
    load.add_argument("--gpu", type=_share, metavar="SHARE", help=gpu)
    load.add_argument("--json", action="store_true", help=JSON)


def _add_unload(add: Add) -> None:
    unload = add(
        "unload",
        "unload a model",
        "Unload models.",
        *("unload qwen/qwen3-4b", "unload --all"),
    )
    what = "its identifier, as ps shows it"
    unload.add_argument("models", type=_name, metavar="NAME", nargs="*", help=what)
    unload.add_argument("--all", action="store_true", help="all that are loaded")
    unload.add_argument("--json", action="store_true", help=JSON)


def _add_download(add: Add) -> None:
    download = add(
        "download",
        "find and download a model",
        "Download a model, of which a few words are enough if they fit one only. Ctrl-C stops it.",
        "download qwen3 --list",
        "download qwen/qwen3-4b",
        "download qwen/qwen3-4b@q8_0",
    )
    what = "the model, or words to search for; after @ the quantization (otherwise LM Studio's)"
    download.add_argument("model", type=_name, metavar="NAME[@QUANTIZATION]", help=what)
    download.add_argument("--list", action="store_true", help="only show what there is")
    download.add_argument("--json", action="store_true", help=JSON)


def _add_embed(add: Add) -> None:
    embed = add(
        "embed",
        "turn texts into vectors",
        "Turn texts into vectors: each TEXT, or each line of a file or of the standard input.\n"
        "The output is one line of JSON for each text, or a file for numpy.load().",
        'embed "The sky is blue." "Grass is green."',
        "embed --file texts.txt --output vectors.npy",
        "embed < texts.txt > vectors.jsonl",
    )
    embed.add_argument("texts", metavar="TEXT", nargs="*")
    lines = "a text a line; of a .jsonl file each is a string or has a field text"
    embed.add_argument("--file", metavar="FILE", help=lines)
    embed.add_argument("--model", type=_name, metavar="KEY", help=MODEL)
    output = "where the vectors go: .npy or .jsonl (otherwise the standard output)"
    embed.add_argument("--output", metavar="FILE", help=output)
    embed.add_argument("--json", action="store_true", help="print JSON, as it does anyway")


def _add_tokens(add: Add) -> None:
    tokens = add(
        "tokens",
        "count the tokens of a text",
        "Count the tokens that a text is for a model: TEXT, a file, or the standard input.",
        'tokens "The sky is blue."',
        "tokens --file book.txt",
        "tokens --ids < prompt.txt",
    )
    tokens.add_argument("text", metavar="TEXT", nargs="?")
    tokens.add_argument("--file", metavar="FILE", help="the text is in a file")
    tokens.add_argument("--model", type=_name, metavar="KEY", help=MODEL)
    tokens.add_argument("--ids", action="store_true", help="the tokens themselves, as numbers")
    tokens.add_argument("--json", action="store_true", help=JSON)


def _add_logs(add: Add) -> None:
    logs = add(
        "logs",
        "show what the models are asked, and what they answer",
        "Show what the models are asked by all programs, word for word, and what they answer.\n"
        "Ctrl-C ends it.",
        *("logs", "logs --json | jq ."),
    )
    logs.add_argument("--json", action="store_true", help="print a line of JSON for each event")


def _add_doctor(add: Add) -> None:
    doctor = add(
        "doctor",
        "find out what is wrong",
        "Look at everything that a prediction needs: Python, packages, tokens, the server, models.",
        *("doctor", "doctor --host 192.168.1.20:1234"),
    )
    doctor.add_argument("--json", action="store_true", help="print a line of JSON for each finding")


def _name(text: str) -> str:
    if not text.strip().partition("@")[0] or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return text


def _count(text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdecimal()) or not least <= int(text[:16]) < 1e15:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least {least}")
    return int(text)


def _count_or_none(text: str) -> int:
    return _count(text, least=0)


def _number(text: str, what: str, fits: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")  # which fits nothing
    if not fits(number):
        raise argparse.ArgumentTypeError(f"{text!r} is {what}")
    return number


def _temperature(text: str) -> float:
    return _number(text, "no number of at least 0", lambda number: 0 <= number < 1e9)


def _patience(text: str) -> float | None:
    return None if text == "inf" else _temperature(text)


def _seconds(text: str) -> float:
    return _number(text, "no number of seconds", lambda number: 0 < number < 1e9)


def _share(text: str) -> float | str:
    if text in ("max", "off"):
        return text
    return _number(text, "neither max nor off nor from 0 to 1", lambda number: 0 <= number <= 1)
