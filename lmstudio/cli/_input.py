"""The input of a batch: rows of a JSONL or CSV file, or of a pipe, each read when it is needed."""

from __future__ import annotations

import argparse
import codecs
import csv
import hashlib
import io
import itertools
import json
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

__all__ = ["FileError", "Input", "Row", "form_of"]

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
_DELIMITERS = ",;\t"
_LONGEST_CELL = 2**31 - 1  # characters


class FileError(Exception):
    """A file cannot be used; the text says what to do."""


class Row:
    """One row.

    Attributes:
        line: Where it ends in the input, from 1.
        cells: The user's own columns.
        key: What it is known by in the journal; None if it holds no question.
        question: A text, or a list of messages.
        image: The path of a picture that belongs to it, or None.
        problem: Why it cannot be asked, or None.
    """

    __slots__ = ("cells", "image", "key", "line", "problem", "question")

    def __init__(self, line: int, cells: dict[str, Any], problem: str | None = None) -> None:
        """Take what was read."""
        self.line = line
        self.cells = cells
        self.key: str | int | None = None
        self.question: Any = None
        self.image: str | None = None
        self.problem = problem


def form_of(name: str, default: str) -> str:
    """Return ``"csv"`` or ``"jsonl"``, by the end of a file's name if that says it."""
    return _FORMS.get(Path(name).suffix.lower(), default)


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
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Open it.

        Raises:
            OSError: It cannot be opened.
        """
        self.path = None if options.input == PIPE else Path(options.input)
        self.name = "standard input" if self.path is None else options.input
        self.form = form_of(options.input, options.format or "jsonl")
        self._question: str = options.column
        self._id: str | None = options.id
        self._image: str | None = options.image_column
        self._folder = Path() if self.path is None else self.path.parent
        binary = sys.stdin.buffer if self.path is None else self.path.open("rb")
        self._binary = cast("io.BufferedReader", binary)
        self.is_file = self.path is not None and stat.S_ISREG(self.path.stat().st_mode)
        self.columns: dict[str, None] = {}
        self.delimiter = ","
        self.has_mark = False
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
            if row.problem is not None:
                raise FileError(f"{self.name}, line {row.line}: {row.problem} Nothing was asked.")
            self.columns.update(dict.fromkeys(row.cells))
        if not self.is_file:
            self._begun = first, rows
            return None
        names: set[str | int] = set()
        count = 0
        for row in itertools.chain(first, rows):
            count += 1
            self.columns.update(dict.fromkeys(row.cells))
            if self._id is None or row.key is None:
                continue
            if row.key in names:
                raise FileError(
                    f"{self.name}, line {row.line}: another row has the {self._id} {row.key!r} "
                    "too. Nothing was asked."
                )
            names.add(row.key)
        return count

    def rows(self) -> Iterator[Row]:
        """Give all rows. Of a pipe, this can be asked once."""
        if self._begun is not None:
            first, others = self._begun
            return itertools.chain(first, others)
        return self._read()

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> Iterator[Row]:
        text = self._open_text()
        seen: set[str | int] = set()
        equals: dict[str | int, int] = {}
        for row in self._csv_rows(text) if self.form == "csv" else _jsonl_rows(text):
            if row.problem is None:
                try:
                    self._understand(row)
                except ValueError as error:
                    row.problem = str(error)
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
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
        self.has_mark = encoding is not None
        if encoding is None and b"\0" in head:
            raise FileError(
                f"{self.name} is UTF-16 without its mark, or no text. Save it as UTF-8."
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

    def _csv_rows(self, text: TextIO) -> Iterator[Row]:
        csv.field_size_limit(_LONGEST_CELL)
        header = self._read_header(text)
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        while True:
            problem = None
            cells: list[str] = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"This is no CSV: {error}."
            line = reader.line_num + 1  # below the header
            if problem is None and not any(cells):
                continue
            if len(cells) > len(header):
                problem = f"It has {len(cells)} cells, and the header has {len(header)}."
            padded = [*cells, *[""] * (len(header) - len(cells))]
            row = Row(line, dict(zip(header, padded, strict=False)), problem)
            if problem is None and not _is_utf8("".join(cells)):
                _spoil(row)
            yield row

    def _read_header(self, text: TextIO) -> list[str]:
        """Read the names of the columns, and learn what is between them."""
        line = text.readline()
        if not _is_utf8(line):
            raise FileError(f"{self.name} is not UTF-8. Save it as UTF-8.")
        is_tsv = self.path is not None and self.path.suffix.lower() == ".tsv"
        headers = {}
        for delimiter in "\t" if is_tsv else _DELIMITERS:
            headers[delimiter] = next(csv.reader([line], delimiter=delimiter), [])
        # The one by which the question has a column; else the one that makes most.
        found = [one for one, names in headers.items() if self._question in names]
        self.delimiter = found[0] if found else max(headers, key=lambda one: len(headers[one]))
        header = headers[self.delimiter]
        for option, name in (
            ("--column", self._question),
            ("--id", self._id),
            ("--image-column", self._image),
        ):
            if name is not None and name not in header:
                has = ", ".join(map(repr, header)) or "none"
                raise FileError(
                    f"{self.name} has no column {name!r} (its first line has: {has}). Name it by "
                    f"{option}."
                )
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise FileError(f"{self.name} has two columns {twice[0]!r}. Rename one.")
        self.columns.update(dict.fromkeys(header))
        return header

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
            raise ValueError(
                f'A row must be {{"{self._question}": "..."}} or {{"messages": [...]}}.'
            )
        if self._image is not None:
            image = cells.get(self._image)
            if image is not None and not isinstance(image, str):
                raise ValueError(f"{self._image!r} must be the path of a picture.")
            row.image = str(self._folder / image) if image else None
        if not question and not (has_text and row.image):
            raise ValueError(f"Its {self._question if has_text else 'messages'!r} is empty.")
        row.key = self._name_of(cells, question)
        row.question = question

    def _name_of(self, cells: dict[str, Any], question: Any) -> str | int:
        if self._id is not None:
            name = cells.get(self._id)
            if isinstance(name, bool) or not isinstance(name, (str, int)) or name == "":
                raise ValueError(f"Its {self._id!r} must be a text or a whole number.")
            return name
        image = None if self._image is None else cells.get(self._image)
        asked = json.dumps([question, image] if image else [question], sort_keys=True)
        return hashlib.sha256(asked.encode(), usedforsecurity=False).hexdigest()[:_DIGITS]


def _jsonl_rows(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = Row(number, {})
        try:
            cells = json.loads(line)
            if isinstance(cells, dict):
                row.cells = cells
            else:
                row.problem = "It is no JSON object."
        except (ValueError, RecursionError) as error:
            row.problem = f"It is no JSON: {error}."
        if not _is_utf8(line):
            _spoil(row)
        yield row


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spoil(row: Row) -> None:
    row.problem = "It is not UTF-8."
    row.cells = {
        name: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in row.cells.items()
        if isinstance(value, str)
    }


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
