"""`TkDispatcher` and `QtDispatcher`: how functions come to be called in the thread of a GUI.

No toolkit is imported before a dispatcher is made.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._api.public import public
from .._api.shown import shown
from .._concurrency.cancel_token import CancelToken
from ..errors import LMStudioRuntimeError, LMStudioValueError

_CLOSED_REASON = "the window was closed"
_TK_PERIOD = 20  # milliseconds between two looks at the queue
_QT_BINDINGS = ("PySide6", "PyQt6")

# Tk ends the process if its interpreter is freed in another thread than its own, and the garbage
# collector may run in any. So the interpreters of windows that had a dispatcher are kept.
_tk_interpreters: list[Any] = []


class TkDispatcher:
    """Calls functions in the thread of a Tk window, in order, as ``dispatch=`` wants it.

    A queue is drained by the widget's `after`, every 20 ms. It closes itself when the widget is
    destroyed.

    Thread safety: make it in Tk's thread; call it, and `close` it, in any thread.

    Attributes:
        closed: Is cancelled when the window is closed; what runs with this dispatcher is then
            cancelled too.
    """

    def __init__(self, widget: Any) -> None:
        """Serve the window of `widget`.

        Args:
            widget: A `tkinter.Tk`, `Toplevel` or another widget; when it is destroyed, all ends.

        Raises:
            LMStudioValueError: It is no widget.
        """
        if not hasattr(widget, "tk") or not hasattr(widget, "after"):
            raise LMStudioValueError(
                f"TkDispatcher needs a widget of tkinter, not {shown(widget)}."
            )
        self.closed = CancelToken()
        self._widget = widget
        self._waiting: deque[Callable[[], object]] = deque()
        self._next_look: str | None = None
        if widget.tk not in _tk_interpreters:
            _tk_interpreters.append(widget.tk)
        widget.bind("<Destroy>", self._on_destroy, add=True)
        self._look()

    def __call__(self, function: Callable[[], object]) -> None:
        """Have ``function()`` called in Tk's thread; do nothing if the window is closed."""
        if not self.closed.is_set():
            self._waiting.append(function)

    def close(self) -> None:
        """Call nothing any more, and cancel what runs with this dispatcher. It never blocks."""
        self.closed.cancel(_CLOSED_REASON)
        self._waiting.clear()

    def _on_destroy(self, event: Any) -> None:
        if event.widget is self._widget:  # children tell their window of their own end
            self.close()
            if self._next_look is not None:
                with suppress(Exception):  # Tk may have forgotten it already
                    self._widget.after_cancel(self._next_look)

    def _look(self) -> None:
        """Tk's thread: call what is there, and look again later."""
        self._next_look = None
        if self.closed.is_set():
            return
        # First, so that a function that raises (Tk reports it) or destroys the window ends nothing.
        self._next_look = self._widget.after(_TK_PERIOD, self._look)
        for _ in range(len(self._waiting)):
            if not self._waiting:  # closed meanwhile
                return
            self._waiting.popleft()()


class QtDispatcher:
    """Calls functions in the thread of a Qt application, in order, as ``dispatch=`` wants it.

    It works with PySide6 and PyQt6: the one that is imported already, else the one that is
    installed. It closes itself when `parent` is destroyed or the application is about to quit. A
    window that is only hidden when it is closed should call `close` in its ``closeEvent``.

    Thread safety: make it in Qt's thread; call it, and `close` it, in any thread.

    Attributes:
        closed: Is cancelled when the window is closed; what runs with this dispatcher is then
            cancelled too.
    """

    def __init__(self, parent: Any = None) -> None:
        """Serve the application, as long as `parent` lives.

        Args:
            parent: A window or another QObject; None: as long as the application runs.

        Raises:
            LMStudioRuntimeError: There is no Qt, or no application yet.
        """
        core = _qt_core()
        application = core.QCoreApplication.instance()
        if application is None:
            raise LMStudioRuntimeError("Make the QApplication first, then the QtDispatcher.")
        self.closed = CancelToken()
        closed = self.closed
        signal = core.Signal if hasattr(core, "Signal") else core.pyqtSignal

        class Bridge(core.QObject):  # type: ignore[misc, name-defined]
            """Lives in Qt's thread; what is emitted elsewhere is queued to it."""

            arrived = signal(object)

            def run(self, function: Callable[[], object]) -> None:
                if not closed.is_set():
                    function()

        self._bridge = Bridge()
        self._bridge.moveToThread(application.thread())
        self._bridge.arrived.connect(self._bridge.run, core.Qt.ConnectionType.QueuedConnection)
        application.aboutToQuit.connect(self.close)
        if parent is not None:
            parent.destroyed.connect(self.close)

    def __call__(self, function: Callable[[], object]) -> None:
        """Have ``function()`` called in Qt's thread; do nothing if the window is closed."""
        if not self.closed.is_set():
            with suppress(RuntimeError):  # Qt has deleted the bridge: the application is gone
                self._bridge.arrived.emit(function)

    def close(self, _destroyed: Any = None) -> None:
        """Call nothing any more, and cancel what runs with this dispatcher. It never blocks."""
        self.closed.cancel(_CLOSED_REASON)


def _qt_core() -> Any:
    for name in sorted(_QT_BINDINGS, key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(f"{name}.QtCore")
        except ImportError:
            continue
    raise LMStudioRuntimeError(f"QtDispatcher needs one of {' and '.join(_QT_BINDINGS)}.")


public(TkDispatcher, QtDispatcher)
