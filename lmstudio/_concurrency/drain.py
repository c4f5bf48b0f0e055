"""`drain`: takes what lies in a deque, beside other threads that do the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def drain(items: deque[T]) -> Iterator[T]:
    """Take items until none is left, also those that come meanwhile; no item is taken twice."""
    while True:
        try:
            item = items.popleft()
        except IndexError:  # asking first tells less: another thread may take the last one
            return
        yield item
