"""Rows of a table with a header: CSV, with what Excel makes of it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from ._rows import FileError, Row, is_utf8, nearest_name, spoil

__all__ = ["SAVE_AS_UTF8", "Table"]

SAVE_AS_UTF8 = "Save it as UTF-8; in Excel as CSV UTF-8."
_DELIMITERS = ",;\t"
_LONGEST_CELL = 2**31 - 1  # characters


class Table:
    """A table that is being read.

    Attributes:
        header: The names of its columns.
        delimiter: What is between its cells.
    """

    def __init__(
        self, text: TextIO, name: str, wanted: dict[str, str | None], *, is_tsv: bool
    ) -> None:
        """Read the header.

        Args:
            text: The table, from its beginning.
            name: What to call it.
            wanted: The columns that must be there, by the options that name them; the first one
                is that of the question.
            is_tsv: Tabs are between its cells.

        Raises:
            FileError: It has no such header.
        """
        csv.field_size_limit(_LONGEST_CELL)
        self._text = text
        self._above = 1  # lines
        line = text.readline()
        delimiters = "\t" if is_tsv else _DELIMITERS
        said = line.rstrip("\r\n")
        if len(said) == 5 and said[:4].lower() == "sep=":  # for Excel
            delimiters = said[4]
            line = text.readline()
            self._above = 2
        if not is_utf8(line):
            raise FileError(f"{name} is not UTF-8.", SAVE_AS_UTF8)
        headers = {}
        for delimiter in delimiters:
            headers[delimiter] = next(csv.reader([line], delimiter=delimiter), [])
        # The one by which the question has a column; else the one that makes most.
        question = next(iter(wanted.values()))
        found = [one for one, names in headers.items() if question in names]
        self.delimiter = found[0] if found else max(headers, key=lambda one: len(headers[one]))
        self.header = headers[self.delimiter]
        if _is_open(line, self.delimiter):
            raise FileError(
                f"{name}: a quotation mark opens in its first line, and is not closed there.",
                "Write each heading on one line, or close it.",
            )
        self._check(name, wanted)

    def _check(self, name: str, wanted: dict[str, str | None]) -> None:
        header = self.header
        for option, column in wanted.items():
            if column is None or column in header:
                continue
            has = ", ".join(map(repr, header)) or "none"
            separator = ""
            if len(header) == 1 and "|" in header[0]:
                separator = "Between cells there must be commas, semicolons or tabs."
            raise FileError(
                f"{name} has no column {column!r} (its first line has: {has}).",
                separator or nearest_name(option, column, header) or f"Name it by {option}.",
            )
        twice = [column for column in header if header.count(column) > 1]
        if twice:
            raise FileError(f"{name} has two columns {twice[0]!r}. Rename one.")

    def rows(self) -> Iterator[Row]:
        """Read the rows."""
        reader = csv.reader(self._text, delimiter=self.delimiter, strict=True)
        header = self.header
        while True:
            problem = None
            cells: list[str] = []
            line = self._above + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"This is no CSV: {error}."
                if "unexpected end of data" in str(error):
                    problem = "This is no CSV: a quotation mark opens, and is not closed."
            last = self._above + reader.line_num
            if problem is None and not any(cells):
                continue
            swallows = problem is not None and last > line
            if swallows:
                problem = (
                    "A quotation mark opens in the row that begins here, and is not closed before "
                    f"line {last}: the lines between would be no rows."
                )
            elif len(cells) > len(header):
                problem = f"It has {len(cells)} cells, and the header has {len(header)}."
            padded = [*cells, *[""] * (len(header) - len(cells))]
            row = Row(line, dict(zip(header, padded, strict=False)), problem)
            row.swallows = swallows
            if problem is None and not is_utf8("".join(cells)):
                spoil(row)
            yield row


def _is_open(line: str, delimiter: str) -> bool:
    """Whether a cell goes on in the next line."""
    try:
        list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False
