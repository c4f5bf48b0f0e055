"""Warns of what is odd in a caller's own arguments, at the caller's line."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..errors import LMStudioOptionWarning

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class Place(NamedTuple):
    """A line of a program: what `warnings` needs to know of it."""

    filename: str
    line: int
    module: str
    registry: dict[Any, Any]


class _Called(threading.local):
    """What this thread does for another one."""

    place: Place | None = None


_called = _Called()


def callers_place() -> Place:
    """Return the line that called this package."""
    frame = sys._getframe()
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    names = frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    return Place(frame.f_code.co_filename, frame.f_lineno, names.get("__name__", "?"), registry)


@contextmanager
def called_from(place: Place) -> Iterator[None]:
    """Let warnings of this thread be those of a line that another thread is at."""
    _called.place = place
    try:
        yield
    finally:
        _called.place = None


def warn_of_option(text: str) -> None:
    """Issue an `LMStudioOptionWarning` at the line that called this package."""
    place = _called.place or callers_place()
    warnings.warn_explicit(
        text, LMStudioOptionWarning, place.filename, place.line, place.module, place.registry
    )
