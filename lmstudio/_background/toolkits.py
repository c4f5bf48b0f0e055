"""`TkDispatcher` and `QtDispatcher`: how functions come to be called in the thread of a GUI.

No toolkit is imported before a dispatcher is made.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._api.public import public
from .._api.shown import shown
from .._concurrency.cancel_token import CancelToken
from ..errors import LMStudioRuntimeError, LMStudioValueError
from .tk_poller import CLOSED_REASON, Operation, is_open, poller_of

_QT_BINDINGS = ("PySide6", "PyQt6", "PyQt5")


class TkDispatcher:
    """Calls functions in the thread of a Tk window, in order, as ``dispatch=`` wants it.

    Tk's `after` looks for them: every 20 ms while something runs, every 500 ms while nothing does;
    once for all dispatchers of a program. It closes itself when the widget is destroyed.

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
            LMStudioValueError: It is no widget, or was destroyed.
        """
        if not hasattr(widget, "tk") or not hasattr(widget, "after"):
            raise LMStudioValueError(
                f"TkDispatcher needs a widget of tkinter, not {shown(widget)}."
            )
        if not is_open(widget):
            raise LMStudioValueError("TkDispatcher needs a window that is open; it was destroyed.")
        self.closed: CancelToken = CancelToken()
        self._poller = poller_of(widget)
        self._poller.add(self.closed, widget)

    def __call__(self, function: Callable[[], object]) -> None:
        """Have ``function()`` called in Tk's thread; do nothing if the window is closed."""
        if not self.closed.is_set():
            self._poller.call(self.closed, function)

    def close(self) -> None:
        """Call nothing any more, and cancel what runs with this dispatcher. It never blocks."""
        self.closed.cancel(CLOSED_REASON)

    def _expect(self, operation: Operation) -> None:
        """Be ready for what something that begins will have called."""
        self._poller.expect(self.closed, operation)


class QtDispatcher:
    """Calls functions in the thread of a Qt application, in order, as ``dispatch=`` wants it.

    It works with PySide6, PyQt6 and PyQt5: the one that is imported already, else the one that is
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
            LMStudioValueError: `parent` is no QObject.
        """
        core = _qt_core()
        application = core.QCoreApplication.instance()
        if application is None:
            raise LMStudioRuntimeError("Make the QApplication first, then the QtDispatcher.")
        if parent is not None and not hasattr(parent, "destroyed"):
            raise LMStudioValueError(f"QtDispatcher needs a window of Qt, not {shown(parent)}.")
        self.closed: CancelToken = CancelToken()
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
        self.closed.cancel(CLOSED_REASON)


def _qt_core() -> Any:
    for name in sorted(_QT_BINDINGS, key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(f"{name}.QtCore")
        except ImportError:
            continue
    raise LMStudioRuntimeError(f"QtDispatcher needs one of {', '.join(_QT_BINDINGS)}.")


public(TkDispatcher, QtDispatcher)
