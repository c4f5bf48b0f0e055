"""Shows values in the texts of errors, cut if they are long: one may be a whole chat, or a file.

A value of a user's whose `repr()` or `str()` raises must not replace the error that it stands in.
"""

from __future__ import annotations

import traceback
import types

_MOST = 300  # characters
_HEAD = 16  # bytes that are shown of more


def shown(value: object, most: int = _MOST) -> str:
    """Return a value that was given, for the text of an error; at most so many characters of it.

    Of bytes only the first are shown; what was to be awaited says so.
    """
    try:
        if isinstance(value, types.CoroutineType):
            return f"a coroutine (write 'await' before {shortened(value.__qualname__)}())"
        if isinstance(value, (bytes, bytearray)) and len(value) > _HEAD:
            return f"{bytes(value[:_HEAD])!r}... ({len(value):,} bytes)"
        text = shortened(repr(value), most)
        is_future = hasattr(type(value), "_asyncio_future_blocking")  # how asyncio knows them
        return f"{text} (write 'await' before it)" if is_future else text
    except Exception as error:
        return f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"


def worded(value: object) -> str:
    """Return the words of a value, such as the reason of a cancel, for the text of an error."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str() raised {type(error).__name__}>"


def shortened(text: str, most: int = _MOST) -> str:
    """Return a text, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


class Failure:
    """An exception of somebody else's code, for a log record: its traceback, and what it says.

    Made only when the record is written. The text is escaped, so that it can neither forge a line
    nor speak to a terminal: a model chooses the arguments that a tool complains about.
    """

    def __init__(self, error: BaseException) -> None:
        """Show an exception, and what it was raised from."""
        self._error = error

    def __str__(self) -> str:
        parts: list[str] = []
        error: BaseException | None = self._error
        while error is not None and len(parts) < 5:
            lines = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{type(error).__name__}: {_said(error)}\n{lines}".rstrip())
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nfrom ".join(parts)


def _said(error: BaseException) -> str:
    try:
        return shown(str(error))
    except Exception as problem:
        return f"its text cannot be made: {type(problem).__name__}"
