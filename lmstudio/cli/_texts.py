"""The texts that a command is given: typed, in a file, or on the standard input."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import IO

from ._errors import CommandError

__all__ = ["in_utf8", "lines_of", "whole_text"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def whole_text(typed: str | None, file: str | None) -> str:
    """Return one text.

    Raises:
        CommandError: There is none, or more than one.
        OSError: The file cannot be read.
    """
    if typed is not None:
        _check_alone(file)
        return typed
    with _opened(file) as source:
        try:
            return codecs.decode(in_utf8(source.read()).removeprefix(codecs.BOM_UTF8), "utf-8")
        except UnicodeDecodeError as error:
            raise _no_text(file, error) from None


def lines_of(typed: Sequence[str], file: str | None) -> Iterator[str]:
    """Give each text; of a file or the standard input each line, an empty one, too.

    Of a file of JSON, empty lines are passed over.

    Raises:
        CommandError: There is no text, or a line that is none.
        OSError: The file cannot be read.
    """
    if typed:
        _check_alone(file)
        yield from typed
        return
    if (file or "").lower().endswith((".csv", ".tsv")):  # a cell may go over several lines
        raise CommandError(
            f"{file} is a table, and each line of a file is a text.",
            "Save the column with the texts as a file of its own, a text on each line.",
            code=2,
        )
    is_json = (file or "").lower().endswith((".jsonl", ".ndjson"))
    with _opened(file) as source:
        for number, line in enumerate(_lines(source), start=1):
            try:
                text = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
            except UnicodeDecodeError as error:
                raise _no_text(file, error, number) from None
            if not is_json:
                yield text.strip("\r\n")
            elif text.strip():
                yield _text_in(text, f"{file}: line {number}")


def in_utf8(data: bytes) -> bytes:
    """Return a text that has the mark of UTF-16 or UTF-32 as UTF-8, anything else as it is."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeDecodeError:
                return data  # what is wrong is told where it is read
    return data


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    first = source.readline()
    if first.startswith(tuple(mark for mark, _ in _MARKS)):
        yield from io.BytesIO(in_utf8(first + source.read()))
    elif first:
        yield first
        yield from source


def _text_in(line: str, where: str) -> str:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    text = data.get("text") if isinstance(data, dict) else data
    if not isinstance(text, str):
        raise CommandError(f'{where} is no JSON string, nor {{"text": "..."}}.')
    return text


def _opened(file: str | None) -> IO[bytes]:
    """Return what a text is read from."""
    if file not in (None, "-"):
        return open(str(file), "rb")
    if file is None and sys.stdin.isatty():
        raise CommandError(
            "There is no text.", 'Type it behind: "Hello."', "Or: --file FILE", code=2
        )
    return sys.stdin.buffer


def _check_alone(file: str | None) -> None:
    if file is not None:
        raise CommandError("There is a TEXT and a --file: give one of them.", code=2)


def _no_text(file: str | None, error: UnicodeDecodeError, line: int | None = None) -> CommandError:
    where = "The standard input" if file in (None, "-") else file
    at = f"line {line}" if line is not None else f"byte {error.start + 1}"
    return CommandError(f"{where} is no text in UTF-8: {at}.", "Save it as UTF-8.")
