"""Reads the parts of answers: what is of another shape is an error, nothing is made to fit.

What Python mistakes in JSON: a text is also a list of texts, true is also 1, a number may be beyond
any float, and NaN, which JSON does not have, is read all the same.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

from ..errors import LMStudioProtocolError

# Beyond these, JSON's numbers are not whole for the server, which is written in JavaScript.
_MOST = 2**53 - 1


def field(answer: Any, name: str) -> Any:
    """Return a field of an answer, None if it is not there.

    Raises:
        LMStudioProtocolError: The answer is no object.
    """
    if not isinstance(answer, dict):
        raise _no("the answer", "an object", answer)
    return answer.get(name)


def text(answer: Any, name: str) -> str:
    """Return a field that is a text.

    Raises:
        LMStudioProtocolError: It is something else, or there is none.
    """
    value = field(answer, name)
    if not isinstance(value, str):
        raise _no(name, "a text", value)
    return value


def count(answer: Any, name: str) -> int:
    """Return a field that is a whole number of at least 0.

    Raises:
        LMStudioProtocolError: It is something else, or there is none.
    """
    value = field(answer, name)
    if type(value) is not int or not 0 <= value <= _MOST:
        raise _no(name, "a whole number of at least 0", value)
    return value


def counts(answer: Any, name: str) -> list[int]:
    """Return a field that is a list of whole numbers of at least 0.

    Raises:
        LMStudioProtocolError: It is something else, or there is none.
    """
    values = field(answer, name)
    # There may be a hundred thousand: no line of Python for each.
    if not isinstance(values, list) or set(map(type, values)) - {int}:
        raise _no(name, "a list of whole numbers", values)
    if values and not (min(values) >= 0 and max(values) <= _MOST):
        raise _no(name, "a list of whole numbers of at least 0", values)
    return values


def numbers(answer: Any, name: str) -> list[float]:
    """Return a field that is a list of finite numbers, as floats.

    Raises:
        LMStudioProtocolError: It is something else, or there is none.
    """
    values = field(answer, name)
    kinds = set(map(type, values)) if isinstance(values, list) else {None}
    if kinds - {int, float}:
        raise _no(name, "a list of numbers", values)
    try:
        floats = list(map(float, values)) if int in kinds else values
    except OverflowError:
        raise _no(name, "a list of finite numbers", values) from None
    if not all(map(math.isfinite, floats)):
        raise _no(name, "a list of finite numbers", values)
    return floats


def objects(values: Any, name: str) -> list[dict[str, Any]]:
    """Return what is a list of objects.

    Raises:
        LMStudioProtocolError: It is something else.
    """
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise _no(name, "a list of objects", values)
    return values


def _no(name: str, wanted: str, value: Any) -> LMStudioProtocolError:
    given = "absent" if value is None else reprlib.repr(value)
    return LMStudioProtocolError(f"{name} should be {wanted}, and is {given}.")
