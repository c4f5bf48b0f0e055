"""Looks in Tk's thread for functions to be called there: one for each interpreter of Tk.

Tk cannot be woken by another thread without waiting for it, so it has to look by itself: every
20 ms while something runs, every 500 ms while nothing does, not at all without a dispatcher.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from .._api.program_end import at_program_end
from .._concurrency.cancel_token import CancelToken

_BUSY = 20  # milliseconds between two looks while something runs
_IDLE = 500  # each look costs a quarter of a millisecond, nearly all of it Tk's own timer
_OWN_REFERENCES = 2  # of an interpreter: the poller's, and that of who counts them
_LOOKS_WHEN_BUSY = 25  # so many times it looks again soon after it was given something
CLOSED_REASON = "the window was closed"
_TAG = "lmstudio-closed"  # on its widgets: a user's `bind` replaces only what has their own names


class Operation(Protocol):
    """Something that runs, and will have functions called."""

    @property
    def is_over(self) -> bool: ...


class TkPoller:
    """Calls functions in the thread of one interpreter of Tk, in order.

    Thread safety: `call` and `expect` for all threads; the rest for Tk's thread.
    """

    def __init__(self, root: Any) -> None:
        """Serve the widgets below a `tkinter.Tk`."""
        # Tk ends the process if its interpreter is freed in another thread than its own, and the
        # garbage collector may run in any: this keeps it, and `_pollers` keeps this.
        self.interpreter: Any = root.tk
        self.thread = threading.current_thread()
        self._command = root.register(self._look)  # once, not for each look
        self._script = f"{root.register(self._on_destroy)} %W"
        self.interpreter.call("bind", _TAG, "<Destroy>", self._script)
        self._watch(".")
        self._waiting: deque[tuple[CancelToken, Callable[[], object]]] = deque()
        # What runs, each with the token of the dispatcher that it was begun with.
        self._begun: deque[tuple[CancelToken, weakref.ref[Operation]]] = deque()
        self._running: list[tuple[CancelToken, weakref.ref[Operation]]] = []
        self._open: dict[str, weakref.WeakSet[CancelToken]] = {}  # by the names of widgets in Tk
        self._next_look: str | None = None
        self._looks_soon = 0
        self.is_over = False

    def add(self, closed: CancelToken, widget: Any) -> None:
        """Cancel a token when a widget is destroyed, and begin to look."""
        name = str(widget)
        if name not in self._open:
            self._open[name] = weakref.WeakSet()
            self._watch(name)
        self._open[name].add(closed)
        self._look_soon()

    def _watch(self, name: str) -> None:
        """Have `_on_destroy` called, whatever a program does to a widget's bindings, or its tags.

        The tag is before what others have bound, which may stop the event.
        """
        tags = self.interpreter.splitlist(self.interpreter.call("bindtags", name))
        if _TAG not in tags:
            self.interpreter.call("bindtags", name, (_TAG, *tags))
            self.interpreter.call("bind", name, "<Destroy>", f"+{self._script}")

    def call(self, closed: CancelToken, function: Callable[[], object]) -> None:
        """Have ``function()`` called, unless the token is cancelled by then."""
        self._waiting.append((closed, function))

    def expect(self, closed: CancelToken, operation: Operation) -> None:
        """Look often while something runs, unless the token is cancelled."""
        if self.is_over:
            return
        self._begun.append((closed, weakref.ref(operation)))
        if threading.current_thread() is self.thread:
            self._look_soon()

    def let_go(self) -> bool:
        """Free the interpreter, if all is over, and nobody else has it; return whether it is so."""
        if not self.is_over or threading.current_thread() is not self.thread:
            return False
        if sys.getrefcount(self.interpreter) > _OWN_REFERENCES:
            return False
        self.interpreter = None  # here: a dispatcher may be dropped in any thread
        return True

    def _look_soon(self) -> None:
        self._looks_soon = _LOOKS_WHEN_BUSY
        if self._next_look is not None:
            self.interpreter.call("after", "cancel", self._next_look)
        self._next_look = self._after(_BUSY)

    def _after(self, milliseconds: int) -> str:
        name: str = self.interpreter.call("after", milliseconds, self._command)
        return name

    def _look(self) -> None:
        """Call what is there, and look again later."""
        self._next_look = None
        while self._begun:
            self._running.append(self._begun.popleft())
        self._running = [entry for entry in self._running if _runs(*entry)]
        if self._waiting or self._running:
            self._looks_soon = _LOOKS_WHEN_BUSY
        if not self._looks_soon and not any(self._open.values()):
            return  # the next dispatcher begins again
        # First, so that a function that raises (Tk reports it) or destroys the window ends nothing.
        self._next_look = self._after(_BUSY if self._looks_soon else _IDLE)
        self._looks_soon = max(0, self._looks_soon - 1)
        for _ in range(len(self._waiting)):
            if not self._waiting:  # one of them has destroyed the window
                return
            closed, function = self._waiting.popleft()
            if not closed.is_set():
                function()

    def _on_destroy(self, name: str) -> None:
        for closed in tuple(self._open.pop(name, ())):
            closed.cancel(CLOSED_REASON)
        if name == ".":
            self.is_over = True
            self._waiting.clear()
            if self._next_look is not None:
                with suppress(Exception):  # Tk may have forgotten it already
                    self.interpreter.call("after", "cancel", self._next_look)
                self._next_look = None


def _runs(closed: CancelToken, reference: weakref.ref[Operation]) -> bool:
    operation = reference()
    return operation is not None and not operation.is_over and not closed.is_set()


_pollers: list[TkPoller] = []


def is_open(widget: Any) -> bool:
    """Whether a widget has not been destroyed."""
    from tkinter import TclError

    try:
        return bool(widget.winfo_exists())
    except TclError:  # its whole application was
        return False


def poller_of(widget: Any) -> TkPoller:
    """Return the one that serves a widget, in Tk's thread."""
    for poller in tuple(_pollers):
        if poller.interpreter is widget.tk:
            return poller
    poller = TkPoller(widget.nametowidget("."))
    _pollers.append(poller)  # in one step: other threads have theirs
    for each in tuple(_pollers):
        if each.let_go():
            _pollers.remove(each)
    return poller


@at_program_end
def _keep_for_ever() -> None:
    """Let nobody free the interpreters of other threads, as Python would in this one."""
    for poller in _pollers:
        if poller.thread is not threading.main_thread():
            with suppress(Exception):
                import ctypes

                ctypes.pythonapi.Py_IncRef(ctypes.py_object(poller.interpreter))
