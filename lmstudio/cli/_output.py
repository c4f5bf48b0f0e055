"""The output of a batch: the user's rows with their answers, as JSONL or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ._answers import Answer
from ._input import PIPE, Input, Row, form_of
from ._screen import ESCAPED, clean

__all__ = ["Output"]


class Output:
    """A table of rows. What it is made of is in the journal, so it may be made anew at any time.

    Attributes:
        path: The file; None for standard output.
        form: ``"csv"`` or ``"jsonl"``.
    """

    def __init__(self, name: str, form: str | None, source: Input, schema: Any) -> None:
        """Say what is to be written; nothing is opened yet.

        Args:
            name: The file, or ``-``.
            form: What it is, if its name does not say that; None: what the input is.
            source: Where the rows come from, which has been checked.
            schema: The JSON schema of structured replies, or None.
        """
        self.path = None if name == PIPE else Path(os.path.realpath(name))
        self.form = form_of(name, form or source.form)
        self._columns = list(source.columns)
        self._added = _names(self._columns, _added(self.form, schema))
        is_csv = source.form == self.form
        self._delimiter = source.delimiter if is_csv else ","
        suffix = "" if self.path is None else self.path.suffix.lower()
        is_from_tsv = source.path is not None and source.path.suffix.lower() == ".tsv"
        if suffix == ".tsv" or (suffix == ".csv" and is_from_tsv):
            self._delimiter = "\t" if suffix == ".tsv" else ","
        # As it came: Excel and PowerShell look for the mark.
        self._has_mark = source.has_mark and self.form == "csv" and self.path is not None
        self._file: BinaryIO | None = None

    def make(self, rows: Iterable[Row], find: Callable[[Row], Answer | None]) -> None:
        """Write the file anew, in one step: each row that has its answer, in order.

        Args:
            rows: The rows.
            find: Returns the answer of one, or None.

        Raises:
            OSError: It cannot be written; then it is as it was.
        """
        assert self.path is not None
        self.close()
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(self._header())
                for row in rows:
                    answer = find(row)
                    if answer is not None:
                        file.write(self._line(row, answer))
            with suppress(OSError):
                os.chmod(new, self.path.stat().st_mode & 0o777)
            os.replace(new, self.path)
        finally:
            with suppress(OSError):
                new.unlink()

    def check(self, row: Row) -> None:
        """Let a row have a problem, if it has a field for which there is no column.

        Such a row comes from a pipe, of which no more than the first row is known at the beginning.
        """
        others = [name for name in row.cells if name not in self._columns]
        if self.form == "csv" and row.problem is None and others:
            row.problem = (
                f"It has the field {others[0]!r}, which the first row has not, and a CSV has the "
                "columns of the first row. Write JSON lines: to a file named .jsonl, or with "
                "--format jsonl."
            )

    def open(self, *, anew: bool) -> None:
        """Let rows be added, or written from the beginning.

        Raises:
            OSError: It cannot be opened.
        """
        if self.path is None:
            self._file = sys.stdout.buffer
        else:
            self._file = self.path.open("wb" if anew else "ab", buffering=0)
        if anew and (header := self._header()):
            self._write(header)

    def add(self, row: Row, answer: Answer) -> None:
        """Write a row, past all buffers.

        Raises:
            OSError: It cannot be written.
        """
        self._write(self._line(row, answer))

    def close(self) -> None:
        """Close the file. May be repeated."""
        if self._file is not None and self.path is not None:
            self._file.close()
        self._file = None

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._file.flush()

    # -- its forms ----------------------------------------------------------------------------

    def _header(self) -> bytes:
        if self.form != "csv":
            return b""
        mark = "\ufeff" if self._has_mark else ""
        return self._encoded(mark + self._csv_line([*self._columns, *self._added.values()]))

    def _line(self, row: Row, answer: Answer) -> bytes:
        values = _values(answer, self._added)
        if self.form == "csv":
            cells = [row.cells.get(name) for name in self._columns]
            return self._encoded(self._csv_line([*cells, *values.values()]))
        # A row of a pipe may have fields that the first one has not.
        is_taken = any(name in row.cells for name in self._added.values())
        names = _names([*self._columns, *row.cells], self._added) if is_taken else self._added
        added = {names[name]: value for name, value in values.items()}
        text = _json({**row.cells, **added}).translate(ESCAPED)
        return self._encoded(text + "\n")

    def _csv_line(self, values: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerow(
            map(_cell, values)
        )
        line = text.getvalue()
        return clean(line) if self.path is None and sys.stdout.isatty() else line

    def _encoded(self, text: str) -> bytes:
        return text.encode("utf-8", "backslashreplace")


def _added(form: str, schema: Any) -> list[Any]:
    """Return what is added."""
    if form == "csv":
        fields = schema.get("properties") if isinstance(schema, dict) else None
        properties = [("parsed", name) for name in (fields if isinstance(fields, dict) else ())]
        return ["answer", *properties, "error", "stop_reason"]
    parsed = [] if schema is None else ["parsed"]
    tokens = ["prompt_tokens", "predicted_tokens"]
    return ["answer", *parsed, "reasoning", "error", "stop_reason", *tokens]


def _names(columns: list[str], added: Iterable[Any]) -> dict[Any, str]:
    """Return what is added, each with its name, which no column of the user's has."""
    names: dict[Any, str] = {}
    taken = set(columns)
    for key in added:
        wanted = name = key if isinstance(key, str) else key[1]
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        names[key] = name
    return names


def _values(answer: Answer, added: Iterable[Any]) -> dict[Any, Any]:
    known = {
        "answer": answer.text,
        "parsed": answer.parsed,
        "reasoning": answer.reasoning or None,
        "error": answer.error,
        "stop_reason": answer.stats.get("stop_reason"),
        "prompt_tokens": answer.stats.get("prompt_tokens_count"),
        "predicted_tokens": answer.stats.get("predicted_tokens_count"),
    }
    fields = answer.parsed if isinstance(answer.parsed, dict) else {}
    return {key: known[key] if isinstance(key, str) else fields.get(key[1]) for key in added}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return _json(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # a number that JSON does not know, out of a reply; or 1e999
        return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
