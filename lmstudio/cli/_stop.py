"""What stops a batch: Ctrl-C and its time limit, also while it waits for a row of a pipe."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import lmstudio as lms

__all__ = ["CTRL_C", "Interrupted", "Stop"]

CTRL_C = "Ctrl-C"


class Interrupted(Exception):
    """It was stopped while the input was being read, which may take for ever from a pipe."""


class Stop:
    """Stops a batch.

    Attributes:
        token: Is set then.
    """

    def __init__(self, time_limit: float | None) -> None:
        """Let the time limit begin."""
        self._limit = time_limit
        self.token = lms.CancelToken() if time_limit is None else lms.CancelToken.after(time_limit)
        self._is_reading = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Meanwhile the input is being read: what stops the batch raises `Interrupted` there."""
        self._is_reading = True
        try:
            yield
        finally:
            self._is_reading = False

    def __call__(self, reason: str = CTRL_C) -> None:
        """Stop it, in a handler of a signal."""
        # (An exception could come between an answer and its row in the file.)
        self.token.cancel(reason)
        if self._is_reading:
            raise Interrupted

    @contextlib.contextmanager
    def alarm(self) -> Iterator[None]:
        """Have the time limit also end the wait for the next row of a pipe, where a system can."""
        if self._limit is None or not hasattr(signal, "setitimer"):
            yield
            return
        usual = signal.signal(signal.SIGALRM, lambda *_: self("time limit"))
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, usual)
