"""What commands print: tables, sizes and times for people, JSON for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from ._screen import ESCAPED, one_line

__all__ = ["as_duration", "as_json", "as_size", "print_json", "print_table"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, under their heads; None is a hole. Nothing in it steers a terminal."""
    cells = [heads, *([("-" if x is None else one_line(x)) or "-" for x in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (text + " " * (n - _width(text)) for text, n in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON text that steers no terminal, and that the standard output can hold."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return json.dumps(value, ensure_ascii=encoding != "utf8", indent=indent).translate(ESCAPED)


def print_json(value: Any) -> None:
    """Print a value as JSON: one line in a pipe, several for a person."""
    print(as_json(value, indent=2 if sys.stdout.isatty() else None), flush=True)


def as_size(count: float | None) -> str | None:
    """Return a number of bytes as LM Studio shows it, such as ``4.68 GB``; None for nothing."""
    if not count:
        return None
    size = float(count)
    for unit in _UNITS:
        if size < 999.5 or unit == _UNITS[-1]:
            break
        size /= 1000
    return (
        f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.{2 if size < 100 else 0}f} {unit}"
    )


def as_duration(seconds: float) -> str:
    """Return a time in its largest units, such as ``1h 30m``."""
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"))
    shown = [f"{count}{unit}" for count, unit in (*parts, (whole % 60, "s")) if count]
    return " ".join(shown[:2]) or f"{seconds:.1f}s"
