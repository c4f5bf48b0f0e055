"""Points in time, and waits that end at them and can be interrupted."""

from __future__ import annotations

import math
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from .clock import monotonic

# Before 3.14 a wait in Windows' main thread does not see Ctrl-C, so it is cut into slices.
_SLICED = sys.platform == "win32" and sys.version_info < (3, 14)
_SLICE = 0.2


class DeadlinePassed(Exception):
    """A wait came to its deadline. Never leaves this package."""


class Deadline:
    """A point in time on the monotonic clock; `None` seconds never pass."""

    __slots__ = ("at",)

    def __init__(self, seconds: float | None) -> None:
        """Start the clock now."""
        self.at: float = math.inf if seconds is None else monotonic() + seconds

    def at_most(self, seconds: float) -> Deadline:
        """Return a deadline in `seconds`, or this one if it is earlier."""
        other = Deadline(seconds)
        return other if other.at < self.at else self

    def remaining(self) -> float | None:
        """Return the seconds left (0 if it has passed), or None if it never passes."""
        return None if self.at == math.inf else max(0.0, self.at - monotonic())


def slice_of(deadline: Deadline) -> float | None:
    """Return how long to wait for now, if the wait must be cut to see Ctrl-C; else None."""
    if not _SLICED or threading.current_thread() is not threading.main_thread():
        return None
    left = deadline.remaining()
    return _SLICE if left is None or left > _SLICE else None


def receiver(inbox: queue.SimpleQueue[Any], deadline: Deadline | None) -> Callable[[], Any]:
    """Return a function that takes the next item; it raises `DeadlinePassed` at the deadline."""
    sliced = _SLICED and threading.current_thread() is threading.main_thread()
    if not sliced and (deadline is None or deadline.at == math.inf):
        return inbox.get  # no Python call of ours on the path of a token

    def receive() -> Any:
        while True:
            left = None if deadline is None else deadline.remaining()
            is_slice = sliced and (left is None or left > _SLICE)
            try:
                return inbox.get(timeout=_SLICE if is_slice else left)
            except queue.Empty:
                if not is_slice:
                    raise DeadlinePassed from None

    return receive
