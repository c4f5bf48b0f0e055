"""Points in time, and waits that end at them, can be interrupted, and hold up nobody."""

from __future__ import annotations

import math
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from .clock import monotonic
from .tk_calls import calls_of_tk

# Before 3.14 a wait in Windows' main thread does not see Ctrl-C, so it is cut into slices.
_SLICED = sys.platform == "win32" and sys.version_info < (3, 14)
_SLICE = 0.2  # seconds
_SOON = 0.001  # the next slice, while Tk is called


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
    """Return how long to wait for now, if the wait must be cut; None if it need not be."""
    if not _must_be_cut():
        return None
    seconds, left = _between_slices(), deadline.remaining()
    return seconds if left is None or left > seconds else None


def receiver(inbox: queue.SimpleQueue[Any], deadline: Deadline | None) -> Callable[[], Any]:
    """Return a function that takes the next item; it raises `DeadlinePassed` at the deadline."""
    is_cut = _must_be_cut()
    if not is_cut and (deadline is None or deadline.at == math.inf):
        return inbox.get  # no Python call of ours on the path of a token

    def receive() -> Any:
        seconds = _SLICE if is_cut else math.inf
        while True:
            left = None if deadline is None else deadline.remaining()
            is_slice = seconds < (math.inf if left is None else left)
            try:
                return inbox.get(timeout=seconds if is_slice else left)
            except queue.Empty:
                if not is_slice:
                    raise DeadlinePassed from None
                seconds = _between_slices()

    return receive


def _must_be_cut() -> bool:
    """Whether a wait in this thread is cut into slices, between which others get their turn."""
    if not _SLICED and "tkinter" not in sys.modules:
        return False
    return threading.current_thread() is threading.main_thread()


def _between_slices() -> float:
    """Let signals and other threads' calls of Tk through; return the seconds of the next slice."""
    # Not every thread that comes here has begun the wait: an iterator may have been handed on.
    if "tkinter" in sys.modules and threading.current_thread() is threading.main_thread():
        return _SOON if calls_of_tk.serve() else _SLICE
    return _SLICE
