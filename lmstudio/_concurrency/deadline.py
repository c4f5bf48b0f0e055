"""Points in time, and waits that end at them, can be interrupted, and hold up nobody."""

from __future__ import annotations

import contextlib
import functools
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
_ONLY_CALLS = 2 | 8  # DONT_WAIT and FILE_EVENTS of _tkinter: files, and what threads have queued
_MOST_SERVED = 1000
_SOON = 0.001


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
    between = _between_slices()
    if between is None:
        return None
    seconds, left = between(), deadline.remaining()
    return seconds if left is None or left > seconds else None


def receiver(inbox: queue.SimpleQueue[Any], deadline: Deadline | None) -> Callable[[], Any]:
    """Return a function that takes the next item; it raises `DeadlinePassed` at the deadline."""
    between = _between_slices()
    if between is None and (deadline is None or deadline.at == math.inf):
        return inbox.get  # no Python call of ours on the path of a token

    def receive() -> Any:
        seconds = math.inf if between is None else _SLICE
        while True:
            left = None if deadline is None else deadline.remaining()
            is_slice = seconds < (math.inf if left is None else left)
            try:
                return inbox.get(timeout=seconds if is_slice else left)
            except queue.Empty:
                if between is None or not is_slice:
                    raise DeadlinePassed from None
                seconds = between()

    return receive


def _between_slices() -> Callable[[], float] | None:
    """Return what to do between two slices of a wait in this thread; None: it need not be cut.

    It returns how long the next slice is, in seconds.
    """
    root = getattr(sys.modules.get("tkinter"), "_default_root", None)
    if root is None and not _SLICED:
        return None
    if threading.current_thread() is not threading.main_thread():
        return None
    return _see_ctrl_c if root is None else functools.partial(_serve_tk, root.tk)


def _see_ctrl_c() -> float:
    """Do nothing: Python looks for signals here."""
    return _SLICE


def _serve_tk(interpreter: Any) -> float:
    """Let other threads' calls of Tk through; no event, timer or idle task of Tk's comes here.

    The garbage collector may run finalisers of Tk's in the thread that brings what is waited for
    here. They call Tk, and wait for this thread.
    """
    seconds = _SLICE
    with contextlib.suppress(Exception):  # the window is gone
        for _ in range(_MOST_SERVED):
            if not interpreter.dooneevent(_ONLY_CALLS):
                break
            seconds = _SOON  # the next call follows at once
    return seconds
