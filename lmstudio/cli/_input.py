"""The input of a batch: rows of a JSONL or CSV file, or of a pipe, each read when it is needed."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import io
import itertools
import json
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO, cast

from ._rows import WRONG, FileError, Row, json_rows, nearest_name
from ._table import SAVE_AS_UTF8, Table

__all__ = ["Counted", "FileError", "Input", "Row", "check_form", "form_of", "is_own_key"]

PIPE = "-"
_FORMS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FIRST = 10  # rows that are read before anything is asked
_DIGITS = 20  # of what a row without a name of its own is known by
_OWN_KEY = re.compile(r"[0-9a-f]{20}(-[0-9]+)?")  # of those that we make ourselves
_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # with which such files begin


def form_of(name: str, default: str) -> str:
    """Return ``"csv"`` or ``"jsonl"``, by the end of a file's name if that says it."""
    return _FORMS.get(Path(name).suffix.lower(), default)


def check_form(name: str, form: str | None) -> None:
    """Refuse a file that by its name is neither of both forms.

    Raises:
        FileError: It is a workbook, or one JSON value.
    """
    suffix = Path(name).suffix.lower()
    if suffix in _WORKBOOKS:
        raise FileError(
            f"{name} would be a workbook, which batch neither reads nor writes.",
            "Name a .csv file; Excel saves one as CSV UTF-8, and opens one.",
            code=WRONG,
        )
    if suffix == ".json" and form is None:
        raise FileError(
            f"{name} would be one JSON value, and batch has one a line.",
            "Name it .jsonl; or, if it has one a line: --format jsonl",
            code=WRONG,
        )


def is_own_key(key: object) -> bool:
    """Whether a row of that key has no name of its own."""
    return isinstance(key, str) and _OWN_KEY.fullmatch(key) is not None


class Input:
    """Where rows come from. A file may be read again, a pipe may not.

    Attributes:
        name: What to call it.
        form: ``"csv"`` or ``"jsonl"``.
        path: The file; None for standard input.
        is_file: Whether it may be read again.
        columns: The user's columns, in order, as far as `check` has read.
        delimiter: What is between the cells of a CSV file.
        has_mark: Whether it began with the mark of an encoding.
        keys: Those of the first rows.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Open it.

        Raises:
            FileError: It is a file of another kind.
            OSError: It cannot be opened.
        """
        check_form(options.input, options.format)
        self.path = None if options.input == PIPE else Path(options.input)
        self.name = "standard input" if self.path is None else options.input
        self.form = form_of(options.input, options.format or "jsonl")
        self._question: str = options.column
        self._id: str | None = options.id
        self._image: str | None = options.image_column
        self._hint = ""  # what to do about a row that was not understood
        self._folder = Path() if self.path is None else self.path.parent
        binary = sys.stdin.buffer if self.path is None else self.path.open("rb")
        self._binary = cast("io.BufferedReader", binary)
        self.is_file = self.path is not None and stat.S_ISREG(self.path.stat().st_mode)
        self.columns: dict[str, None] = {}
        self.delimiter = ","
        self.has_mark = False
        self.keys: list[str | int] = []
        self._begun: tuple[list[Row], Iterator[Row]] | None = None  # of a pipe

    def close(self) -> None:
        """Close it."""
        self._binary.close()

    def check(self) -> int | None:
        """Read the first rows, and count all; None: of a pipe, nobody knows.

        Raises:
            FileError: The first rows cannot be read, or two have the same name.
        """
        rows = self._read()
        first = list(itertools.islice(rows, _FIRST if self.is_file else 1))
        for row in first:
            if row.problem is not None and not row.is_empty:
                self._refuse(row)
            self.columns.update(dict.fromkeys(row.cells))
        self.keys = [row.key for row in first if row.key is not None]
        if not self.is_file:
            self._begun = first, rows
            return None
        names: set[str | int] = set()
        count = 0
        for row in itertools.chain(first, rows):
            count += 1
            self.columns.update(dict.fromkeys(row.cells))
            if row.swallows:
                self._refuse(row)
            if self._id is None or row.key is None:
                continue
            if row.key in names:
                raise FileError(
                    f"{self.name}, line {row.line}: another row has the {self._id} {row.key!r} "
                    "too. Nothing was asked."
                )
            names.add(row.key)
        return count

    def _refuse(self, row: Row) -> NoReturn:
        hint = ""
        if row.problem is not None and row.problem.startswith("It is not UTF-8"):
            hint = SAVE_AS_UTF8 if self.form == "csv" else "Save it as UTF-8."
        elif row.swallows:
            hint = 'Close it, or write a quotation mark in a cell twice: "say ""hi"""'
        elif self._hint:
            hint = self._hint
        raise FileError(f"{self.name}, line {row.line}: {row.problem} Nothing was asked.", hint)

    def rows(self) -> Iterator[Row]:
        """Give all rows. Of a pipe, this can be asked once."""
        if self._begun is not None:
            first, others = self._begun
            return itertools.chain(first, others)
        return self._read()

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> Iterator[Row]:
        """Give all rows from the beginning.

        Raises:
            FileError: It is of another kind.
            OSError: It cannot be read; it has the name.
        """
        try:
            yield from self._understood()
        except OSError as error:
            error.filename = self.name  # otherwise it would be taken for one of the output
            raise

    def _understood(self) -> Iterator[Row]:
        text = self._open_text()
        seen: set[str | int] = set()
        equals: dict[str | int, int] = {}
        is_table = self.form == "csv"
        for row in self._table_rows(text) if is_table else json_rows(text, self.name):
            if row.problem is None:
                try:
                    self._understand(row)
                except ValueError as error:
                    row.problem = str(error)
                    row.is_empty = isinstance(error, _EmptyError)
            if self._id is not None and row.key is not None and not self.is_file:
                if row.key in seen:
                    row.problem = f"Another row before has the {self._id} {row.key!r} too."
                    row.key = None
                else:
                    seen.add(row.key)
            # Equal rows stay two: the second is known by its number, too.
            if self._id is None and row.key is not None:
                if row.key in seen:
                    number = equals[row.key] = equals.get(row.key, 1) + 1
                    row.key = f"{row.key}-{number}"
                else:
                    seen.add(row.key)
            yield row

    def _open_text(self) -> TextIO:
        """Return the input as text, from its beginning.

        Raises:
            FileError: It is in another encoding.
        """
        if self.is_file:
            self._binary.seek(0)
        head = self._binary.peek(4)[:4]
        if head in (_ZIP, _OLE):
            raise FileError(
                f"{self.name} is a workbook, or another file that is no text.",
                "Save it as CSV; in Excel as CSV UTF-8.",
            )
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
        self.has_mark = encoding is not None
        if encoding is None and b"\0" in head:
            raise FileError(
                f"{self.name} is UTF-16 without its mark, or no text.", "Save it as UTF-8."
            )
        # Bytes that are no UTF-8 spoil their own row only.
        errors = "surrogateescape" if encoding in (None, "utf-8-sig") else "replace"
        newline = "" if self.form == "csv" else "\n"
        return io.TextIOWrapper(
            cast("BinaryIO", _Kept(self._binary)),
            encoding or "utf-8",
            errors,
            newline=newline,
        )

    def _table_rows(self, text: TextIO) -> Iterator[Row]:
        wanted = {"--column": self._question, "--id": self._id, "--image-column": self._image}
        is_tsv = self.path is not None and self.path.suffix.lower() == ".tsv"
        table = Table(text, self.name, wanted, is_tsv=is_tsv)
        self.delimiter = table.delimiter
        self.columns.update(dict.fromkeys(table.header))
        return table.rows()

    def _understand(self, row: Row) -> None:
        """Find the question, the picture and the name of a row.

        Raises:
            ValueError: It holds no question.
        """
        cells = row.cells
        has_text, has_messages = self._question in cells, "messages" in cells
        if self.form == "csv":
            has_messages = False
        question = cells.get(self._question if has_text else "messages")
        form = str if has_text else list
        if has_text == has_messages or not isinstance(question, form):
            names = [name for name, value in cells.items() if isinstance(value, str)]
            if not (has_text or has_messages):
                self._hint = nearest_name("--column", self._question, names)
            raise ValueError(
                f'A row must be {{"{self._question}": "..."}} or {{"messages": [...]}}.'
            )
        if self._image is not None:
            image = cells.get(self._image)
            if image is not None and not isinstance(image, str):
                raise ValueError(f"{self._image!r} must be the path of a picture.")
            row.image = str(self._folder / image) if image else None
        if not question and not (has_text and row.image):
            raise _EmptyError(f"Its {self._question if has_text else 'messages'!r} is empty.")
        row.key = self._name_of(cells, question)
        row.question = question

    def _name_of(self, cells: dict[str, Any], question: Any) -> str | int:
        if self._id is not None:
            if self._id not in cells:
                self._hint = nearest_name("--id", self._id, list(cells))
                raise ValueError(f"It has no field {self._id!r}.")
            name = cells[self._id]
            if isinstance(name, bool) or not isinstance(name, (str, int)) or name == "":
                raise ValueError(f"Its {self._id!r} must be a text or a whole number.")
            return name
        image = None if self._image is None else cells.get(self._image)
        asked = json.dumps([question, image] if image else [question], sort_keys=True)
        return hashlib.sha256(asked.encode(), usedforsecurity=False).hexdigest()[:_DIGITS]


class Counted:
    """Inputs of which it is known how many there are."""

    def __init__(self, inputs: Iterable[Any], count: int) -> None:
        self._inputs = inputs
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)


class _EmptyError(ValueError):
    """A row holds nothing that could be asked."""


class _Kept(io.RawIOBase):
    """Bytes of a file that stays open when the text that was made of it is dropped."""

    def __init__(self, binary: io.BufferedReader) -> None:
        self._binary = binary

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._binary.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)
