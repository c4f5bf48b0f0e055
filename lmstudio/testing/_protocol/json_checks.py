"""Checks JSON values against shapes and words the problems the way LM Studio's validator does."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Problem = tuple[str, str]
Shape = Callable[[Any, str], "list[Problem]"]


class _Missing:
    """The value of a key that is not there (JavaScript's undefined)."""

    def __repr__(self) -> str:
        return "undefined"


MISSING = _Missing()


def kind_of(value: Any) -> str:
    """Return the JavaScript name of a value's type."""
    if value is MISSING:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for types, name in (((int, float), "number"), (str, "string"), (list, "array")):
        if isinstance(value, types):
            return name
    return "object"


def _wrong(path: str, expected: str, value: Any) -> list[Problem]:
    if value is MISSING:
        return [(path, "Required")]
    return [(path, f"Expected {expected}, received {kind_of(value)}")]


def anything(value: Any, path: str) -> list[Problem]:
    """Accept every value, also none."""
    return []


def absent(name: str) -> Shape:
    """Accept only an absent value, called `name` ("undefined" or "void") in the problem."""
    return lambda value, path: (
        [] if value is MISSING else [(path, f"Expected {name}, received {kind_of(value)}")]
    )


def boolean(value: Any, path: str) -> list[Problem]:
    """Accept true and false."""
    return [] if isinstance(value, bool) else _wrong(path, "boolean", value)


def text(minimum: int = 0, maximum: int | None = None) -> Shape:
    """Accept a string of `minimum` to `maximum` characters."""

    def check(value: Any, path: str) -> list[Problem]:
        if not isinstance(value, str):
            return _wrong(path, "string", value)
        if _length(value) < minimum:
            return [(path, f"String must contain at least {minimum} character(s)")]
        if maximum is not None and _length(value) > maximum:
            return [(path, f"String must contain at most {maximum} character(s)")]
        return []

    return check


def _length(value: str) -> int:
    """Return the length as JavaScript counts it."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2


def name(minimum: int, maximum: int) -> Shape:
    """Accept a string that may name a model: no `__proto__`, no control or format characters."""
    sized = text(minimum, maximum)

    def check(value: Any, path: str) -> list[Problem]:
        problems = sized(value, path)
        if value == "__proto__":
            problems.append((path, 'For security reasons, "__proto__" is not allowed'))
        elif isinstance(value, str) and any(unicodedata.category(one)[0] == "C" for one in value):
            problems.append((path, "Control characters are not allowed"))
        return problems

    return check


def number(
    *,
    whole: bool = False,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Shape:
    """Accept a number, or only a whole one, within the limits."""

    def check(value: Any, path: str) -> list[Problem]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return _wrong(path, "number", value)
        if whole and not float(value).is_integer():
            return [(path, "Expected integer, received float")]
        if minimum is not None and value < minimum:
            return [(path, f"Number must be greater than or equal to {minimum:g}")]
        if above is not None and value <= above:
            return [(path, f"Number must be greater than {above:g}")]
        if maximum is not None and value > maximum:
            return [(path, f"Number must be less than or equal to {maximum:g}")]
        return []

    return check


def literal(*allowed: str) -> Shape:
    """Accept one of the given strings."""
    names = " | ".join(f"'{item}'" for item in allowed)

    def check(value: Any, path: str) -> list[Problem]:
        if isinstance(value, str) and value in allowed:
            return []
        if len(allowed) == 1:
            return [(path, f'Invalid literal value, expected "{allowed[0]}"')]
        if isinstance(value, str):
            return [(path, f"Invalid enum value. Expected {names}, received '{value}'")]
        return _wrong(path, names, value)

    return check


def array(item: Shape) -> Shape:
    """Accept an array whose items all have the shape."""

    def check(value: Any, path: str) -> list[Problem]:
        if not isinstance(value, list):
            return _wrong(path, "array", value)
        return [found for at, one in enumerate(value) for found in item(one, f"{path}.{at}")]

    return check


def optional(shape: Shape) -> Shape:
    """Accept an absent value, or one of the shape."""
    return lambda value, path: [] if value is MISSING else shape(value, path)


def nullable(shape: Shape) -> Shape:
    """Accept null, or a value of the shape."""
    return lambda value, path: [] if value is None else shape(value, path)


def record(value: Any, path: str) -> list[Problem]:
    """Accept any object."""
    return [] if isinstance(value, dict) else _wrong(path, "object", value)


def obj(**keys: Shape) -> Shape:
    """Accept an object with these keys; further keys do not matter."""

    def check(value: Any, path: str) -> list[Problem]:
        if not isinstance(value, dict):
            return _wrong(path, "object", value)
        return [
            problem
            for key, shape in keys.items()
            for problem in shape(value.get(key, MISSING), f"{path}.{key}")
        ]

    return check


def tagged(tag: str, choices: Mapping[str, Shape]) -> Shape:
    """Accept an object whose `tag` names the shape that it must have."""
    names = " | ".join(f"'{name}'" for name in choices)

    def check(value: Any, path: str) -> list[Problem]:
        if not isinstance(value, dict):
            return _wrong(path, "object", value)
        chosen = value.get(tag)
        if not isinstance(chosen, str) or chosen not in choices:
            return [(f"{path}.{tag}", f"Invalid discriminator value. Expected {names}")]
        return choices[chosen](value, path)

    return check


def report(problems: list[Problem]) -> str:
    """Return the text that lists the problems, as it stands in a warning."""
    return "Zod error:\n\n" + "\n".join(f"- {path}: {words}" for path, words in problems)
