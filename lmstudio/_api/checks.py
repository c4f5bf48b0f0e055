"""Checks of what callers give: seconds, whole numbers, texts. Each says what to do."""

from __future__ import annotations

import threading
from typing import TypeVar

from ..errors import LMStudioValueError

T = TypeVar("T")


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_seconds(value: object, name: str) -> float | None:
    """Return a time limit as a float, or None for no limit.

    Raises:
        LMStudioValueError: It is not a number of seconds of at least 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise LMStudioValueError(
            f"{name} must be a number of seconds of at least 0, or None; {value!r} was given."
        )
    # What a lock cannot wait for is as good as for ever.
    return None if value >= threading.TIMEOUT_MAX else float(value)


def check_count(value: T, name: str, *, most: int | None = None, or_none: bool = True) -> T:
    """Return a count as it is: a whole number of at least 1, and of at most `most`.

    Raises:
        LMStudioValueError: It is something else; None counts as one if `or_none` is set.
    """
    if value is None and or_none:
        return value
    if not is_whole(value) or not value >= 1 or (most is not None and value > most):  # type: ignore[operator]
        wanted = "at least 1" if most is None else f"a whole number from 1 to {most}"
        raise LMStudioValueError(
            f"{name} must be {wanted}{', or None' if or_none else ''}; {value!r} was given."
        )
    return value


def check_text(value: object, what: str) -> str:
    """Return a string as it is.

    Raises:
        LMStudioValueError: It is something else.
    """
    if not isinstance(value, str):
        raise LMStudioValueError(f"{what} must be a string; {value!r} was given.")
    return value
