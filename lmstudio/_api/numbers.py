"""Numbers of any class, such as those of numpy, as Python's own."""

from __future__ import annotations

import operator
from numbers import Complex, Real
from typing import Any


def is_whole(value: object) -> bool:
    """Return whether a value is an `int`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_number(value: Any) -> int | float | None:
    """Return a number as an `int` or `float`; None if it is none, as True and False are none.

    What has ``__index__`` becomes an int, what has ``__float__`` a float.
    """
    cls = type(value)
    if cls is int or cls is float:
        number: int | float = value
        return number
    is_complex = isinstance(value, Complex) and not isinstance(value, Real)
    # numpy's texts and truths can be made numbers, too.
    is_other = getattr(getattr(value, "dtype", None), "kind", "f") not in "iuf"
    if as_bool(value) is not None or is_complex or is_other or isinstance(value, str):
        return None
    for method, convert in (("__index__", operator.index), ("__float__", _from_float)):
        if hasattr(cls, method):
            try:
                return convert(value)
            except Exception:  # as of an array with several numbers
                continue
    return None


def _from_float(value: Any) -> int | float:
    number = float(value)
    # A float does not hold all whole numbers from there on.
    return int(value) if abs(number) >= 2**53 and not isinstance(value, float) else number


def as_whole(value: Any) -> int | None:
    """Return a whole number as an `int`, also one that is written 50.0; None if it is none."""
    number = as_number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number


def as_bool(value: Any) -> bool | None:
    """Return True or False as such, also those of numpy; None if it is neither."""
    cls = type(value)
    if cls is bool or (cls.__module__ == "numpy" and cls.__name__ in ("bool", "bool_")):
        return bool(value)
    return None
