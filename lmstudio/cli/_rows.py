"""One row of a batch's input, what is told of a file that has none, and rows of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from ._errors import CommandError, nearest

__all__ = ["WRONG", "FileError", "Row", "is_utf8", "json_rows", "nearest_name", "spoil"]

WRONG = 2  # the exit code of arguments that cannot be
_ONE_A_LINE = "A row is one object a line: jq -c '.[]' rows.json > rows.jsonl"


class FileError(CommandError):
    """A file cannot be used; the text says what to do."""


class Row:
    """One row.

    Attributes:
        line: Where it begins in the input, from 1.
        cells: The user's own columns.
        key: What it is known by in the journal; None if it holds no question.
        question: A text, or a list of messages.
        image: The path of a picture that belongs to it, or None.
        problem: Why it cannot be asked, or None.
        is_empty: That is because nothing is in it, which says nothing of the others.
        swallows: That is because it goes over lines that probably are rows of their own.
    """

    __slots__ = ("cells", "image", "is_empty", "key", "line", "problem", "question", "swallows")

    def __init__(self, line: int, cells: dict[str, Any], problem: str | None = None) -> None:
        """Take what was read."""
        self.line = line
        self.cells = cells
        self.key: str | int | None = None
        self.question: Any = None
        self.image: str | None = None
        self.problem = problem
        self.is_empty = False
        self.swallows = False


def json_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Read rows of JSON lines.

    Raises:
        FileError: It is one JSON value, and no lines of them.
    """
    is_first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if is_first and line.strip() == "{":
            raise FileError(f"{name} is one JSON object over several lines.", _ONE_A_LINE)
        if is_first and line.lstrip()[:1] == "[":
            raise FileError(f"{name} is a JSON array.", _ONE_A_LINE)
        is_first = False
        row = Row(number, {})
        try:
            cells = json.loads(line, parse_constant=_no_constant)
            if isinstance(cells, dict):
                row.cells = cells
            else:
                row.problem = "It is no JSON object."
        except (ValueError, RecursionError) as error:
            row.problem = f"It is no JSON: {error}."
        if not is_utf8(line):
            spoil(row)
        yield row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}, write null")


def is_utf8(text: str) -> bool:
    """Whether all bytes of a text were characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def spoil(row: Row) -> None:
    """Let a row be none, since it is in another encoding."""
    row.problem = "It is not UTF-8."
    row.cells = {
        name: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in row.cells.items()
        if isinstance(value, str)
    }


def nearest_name(option: str, wanted: str, names: Sequence[str]) -> str:
    """Return what to type for a column that is not there; "" if none is near."""
    found = nearest(wanted.strip(), [name for name in names if name != wanted])
    if found is None:
        return ""
    is_plain = found.strip() == found and " " not in found
    return f"Did you mean: {option} {found if is_plain else repr(found)}"
