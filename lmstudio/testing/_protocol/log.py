"""Exceptions of engines and handlers in the log: what they say is escaped, so it forges no line."""

from __future__ import annotations

import traceback


class Failure:
    """An exception, for a log record: its traceback, made when the record is written."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        error = self._error
        try:
            text = str(error)
        except Exception as problem:
            text = f"its text cannot be made: {type(problem).__name__}"
        lines = traceback.format_tb(error.__traceback__)
        return f"{type(error).__name__}: {text!r}\n{''.join(lines)}".rstrip()
