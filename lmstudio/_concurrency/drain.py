"""`drain`: takes what lies in a deque, beside other threads that do the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_NEVER: object = object()  # lies in no deque


def drain(items: deque[T]) -> Iterator[T]:
    """Take items until none is left, also those that come meanwhile; no item is taken twice.

    None is lost either: Python looks for Ctrl-C before one is taken, and not again before the loop
    over this has it.
    """
    with suppress(IndexError):  # asking first tells less: another thread may take the last one
        yield from iter(items.popleft, _NEVER)
