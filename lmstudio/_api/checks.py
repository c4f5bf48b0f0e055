"""Checks of what callers give: seconds, whole numbers, texts, keys. Each says what to do."""

from __future__ import annotations

import threading
from typing import Any

from ..errors import LMStudioValueError
from .numbers import as_bool, as_number, as_whole
from .shown import shown

_LONGEST_KEY = 1024
# Control and format characters, halves of characters, private ones. Not those that Unicode has not
# assigned (Cn): LM Studio may know a later version of it.
_UNSEEN = ("Cc", "Cf", "Cs", "Co")


def check_seconds(value: object, name: str) -> float | None:
    """Return a time limit as a float, or None for no limit.

    Raises:
        LMStudioValueError: It is not a number of seconds of at least 0.
    """
    if value is None:
        return None
    seconds = as_number(value)
    if seconds is None or not seconds >= 0:
        raise LMStudioValueError(
            f"{name} must be a number of seconds of at least 0, or None; {shown(value)} was given."
        )
    # What a lock cannot wait for is as good as for ever.
    return None if seconds >= threading.TIMEOUT_MAX else float(seconds)


def check_count(value: object, name: str, *, most: int | None = None, or_none: bool = True) -> Any:
    """Return a count as an int: a whole number of at least 1, and of at most `most`.

    Raises:
        LMStudioValueError: It is something else; None counts as one if `or_none` is set.
    """
    if value is None and or_none:
        return None
    count = as_whole(value)
    if count is None or count < 1 or (most is not None and count > most):
        wanted = "a whole number of at least 1" if count is None else "at least 1"
        wanted = wanted if most is None else f"a whole number from 1 to {most}"
        raise LMStudioValueError(
            f"{name} must be {wanted}{', or None' if or_none else ''}; {shown(value)} was given."
        )
    return count


def check_flag(value: object, name: str) -> bool:
    """Return True or False as such.

    Raises:
        LMStudioValueError: It is neither.
    """
    flag = as_bool(value)
    if flag is None:
        raise LMStudioValueError(f"{name} must be True or False; {shown(value)} was given.")
    return flag


def check_text(value: object, what: str) -> str:
    """Return a string as it is.

    Raises:
        LMStudioValueError: It is something else.
    """
    if not isinstance(value, str):
        raise LMStudioValueError(
            f"{what} must be a string; {shown(value)} was given.{name_of(value)}"
        )
    return value


def name_of(value: object) -> str:
    """Return a sentence about the string that names what was given instead of it; or nothing."""
    for name in ("identifier", "model_key"):  # of handles, and of models that are downloaded
        if isinstance(getattr(value, name, None), str):
            return f" Its {name} is one: {shown(getattr(value, name))}."
    return ""


def check_key(value: object, what: str) -> str:
    """Return the key, identifier or path of a model as it is.

    Raises:
        LMStudioValueError: It is no string, or one that LM Studio's schema always refuses.
    """
    key = check_text(value, what)
    problem = ""
    if not key:
        problem = "is empty"
    elif key == "__proto__":
        problem = "must not be '__proto__'"
    elif len(key.encode("utf-16-le", "surrogatepass")) // 2 > _LONGEST_KEY:  # as JavaScript counts
        problem = f"has more than {_LONGEST_KEY:,} characters"
    elif not key.isprintable():  # most are
        import unicodedata  # so most programs need not load it

        for at, char in enumerate(key):
            if unicodedata.category(char) in _UNSEEN:
                problem = f"has a character in it that is not seen, {char!a} at index {at}"
                break
    if problem:
        raise LMStudioValueError(
            f"{what} {problem}: LM Studio refuses that. {shown(value)} was given; `lms ls` and "
            "`lms ps` show the keys and identifiers that there are."
        )
    return key
