"""Lets other threads' calls of Tk through while Tk's thread, the main one, waits for something.

The garbage collector may run finalisers of Tk's in the thread that brings what is waited for. They
call Tk, and wait for Tk's thread.
"""

from __future__ import annotations

import contextlib
import gc
import math
import sys
from typing import Any

from .clock import monotonic

_ONLY_CALLS = 2 | 64  # _tkinter.DONT_WAIT and a kind that no event has: threads' calls have none
_MOST_SERVED = 1000
_MORE_COME = 0.1  # seconds after a call in which the next one is likely
# There, whatever is asked for, Tcl lets the system have its turn, and on Windows the user move the
# window, or open a menu, in the middle of the handler that waits: so only while somebody calls Tk.
_PUMPS_MESSAGES = sys.platform in {"win32", "darwin"}
_NAMES_OF_TK = {"tk", "_tk"}  # as in `widget.tk.call(...)`


class _CallsOfTk:
    """What other threads want to call. For the main thread, where tkinter was imported."""

    def __init__(self) -> None:
        # One without windows, through which Tcl serves all of its thread: a window's own would have
        # to be kept, and Tcl ends the process if that is dropped in another thread.
        self._interpreter: Any = None
        self._served_at = -math.inf

    def serve(self) -> bool:
        """Let them through, but no event, timer or idle task; return whether more are likely."""
        if not _PUMPS_MESSAGES or _is_tk_called_elsewhere():
            with contextlib.suppress(Exception):  # as where Tcl has no library
                if self._interpreter is None:
                    tkinter = sys.modules["_tkinter"]
                    self._interpreter = tkinter.create(None, "", "Tcl", False, 0, False)
                for _ in range(_MOST_SERVED):
                    if self._interpreter.dooneevent(_ONLY_CALLS) != 1:
                        break
                    self._served_at = monotonic()
        return monotonic() < self._served_at + _MORE_COME


calls_of_tk = _CallsOfTk()


def _is_tk_called_elsewhere() -> bool:
    """Whether another thread seems to be inside of a call of Tk."""
    has_collector = gc.isenabled()
    gc.disable()  # up to Python 3.11 a collection inside of `_current_frames` may never end
    try:
        frames = list(sys._current_frames().values())
    finally:
        if has_collector:
            gc.enable()
    return any(
        str(frame.f_globals.get("__name__")).partition(".")[0] == "tkinter"
        or not _NAMES_OF_TK.isdisjoint(frame.f_code.co_names)
        for frame in frames
    )
