"""Checks what a test gives to the server: a wrong use says what was expected and what came."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Class = TypeVar("Class", bound="type[Any]")
Check = Callable[[str, Any], object]

_MOST_NAMES = 3


def wrong_type(name: str, expected: str, value: Any) -> TypeError:
    """Return the error of a value of the wrong type."""
    return TypeError(f"{name} must be {expected}, got {value!r} ({type(value).__name__})")


def text(name: str, value: Any) -> str:
    """Return the value if it is a text."""
    if not isinstance(value, str):
        raise wrong_type(name, "a text", value)
    return value


def flag(name: str, value: Any) -> bool:
    """Return the value if it is True or False."""
    if not isinstance(value, bool):
        raise wrong_type(name, "True or False", value)
    return value


def entries(name: str, value: Any) -> dict[str, Any]:
    """Return the value if it is a dict whose keys are texts."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise wrong_type(name, "a dict with names as keys", value)
    return value


def number(minimum: float = 0, maximum: float | None = None) -> Check:
    """Accept a finite number within the limits."""
    return lambda name, value: _limited(
        name, value, "a number", isinstance(value, (int, float)), minimum, maximum
    )


def whole(minimum: int = 0, maximum: int | None = None) -> Check:
    """Accept a whole number within the limits."""
    return lambda name, value: _limited(
        name, value, "a whole number", isinstance(value, int), minimum, maximum
    )


def _limited(
    name: str, value: Any, expected: str, fits: bool, minimum: float, maximum: float | None
) -> None:
    if isinstance(value, bool) or not fits:
        raise wrong_type(name, expected, value)
    if not isinstance(value, int) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    if maximum is not None and not minimum <= value <= maximum:
        raise ValueError(f"{name} must be from {minimum} to {maximum}, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")


def any_number(name: str, value: Any) -> None:
    """Accept every finite number, also a negative one."""
    number(-math.inf)(name, value)


def one_of(*choices: str) -> Check:
    """Accept one of a few texts."""

    def check(name: str, value: Any) -> None:
        if value not in choices:
            names = ", ".join(repr(one) for one in choices)
            raise ValueError(f"{name} must be one of {names}, got {value!r}")

    return check


def optional(check: Check) -> Check:
    """Accept None too."""
    return lambda name, value: None if value is None else check(name, value)


def instance(kind: type, expected: str) -> Check:
    """Accept the instances of a class."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise wrong_type(name, expected, value)

    return check


def several(check: Check, expected: str) -> Check:
    """Accept a list or tuple, each entry of which passes the check."""

    def check_all(name: str, value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            raise wrong_type(name, expected, value)
        for at, one in enumerate(value):
            check(f"{name}[{at}]", one)

    return check_all


def known(kind: str, name: Any, choices: Iterable[str]) -> None:
    """Accept one of many names.

    Raises:
        TypeError: It is no text.
        ValueError: There is no such name; the text names the nearest.
    """
    all_names = list(choices)
    if text(f"the {kind}", name) not in all_names:
        raise ValueError(f"there is no {kind} {name!r}; {nearest(name, all_names)}")


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return in words which of the names look like this one, or else all of them."""
    spellings: dict[str, list[str]] = {}
    for one in choices:
        spellings.setdefault(_plain(one), []).append(one)
    found = difflib.get_close_matches(_plain(name), spellings, _MOST_NAMES, 0.6)
    names = [one for plain in found for one in spellings[plain]]
    if not names:
        return f"there is {', '.join(one for group in spellings.values() for one in group)}"
    return f"the nearest is {' or '.join(repr(one) for one in names)}"


def choice(name: object, choices: Iterable[str]) -> str:
    """Return in words the names that look like this one, if any do, and all that there are."""
    names = list(choices)
    hint, everything = nearest(str(name), names), f"there is {', '.join(names)}"
    return everything if hint.startswith("there is") else f"{hint} ({everything})"


def names_checked(cls: Class) -> Class:
    """Let a class say to an argument that there is not which ones there are."""
    make = cls.__init__
    names = [name for name in inspect.signature(make).parameters if name != "self"]

    @functools.wraps(make)
    def __init__(self: object, *arguments: Any, **named: Any) -> None:
        for name in named:
            if name not in names:
                raise TypeError(f"{cls.__name__}() has no argument {name!r}; {choice(name, names)}")
        make(self, *arguments, **named)

    __init__.__annotations__ = make.__annotations__  # `wraps` leaves them out from Python 3.14 on
    cls.__init__ = __init__
    return cls


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
