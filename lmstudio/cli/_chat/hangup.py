"""A closed terminal (SIGHUP) and a polite kill (SIGTERM) as the end of the program."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

__all__ = ["Hangup"]


class Hangup:
    """Turns these signals into SystemExit, so that what has arrived is still saved.

    The exit code is 128 and the signal's number, as a shell has it.
    """

    def __init__(self) -> None:
        """Change nothing yet."""
        self._held = 0
        self._came = 0

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Handle the signals, unless somebody has other plans with them."""
        usual = {}
        for name in ("SIGHUP", "SIGTERM"):  # Windows has the second only
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                usual[number] = signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in usual.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        if self._held:
            self._came = number
        else:
            self._leave(number)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Let what is done here be done whole; the signal acts at its end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._came and not self._held:
                self._leave(self._came)

    @staticmethod
    def _leave(number: int) -> NoReturn:
        raise SystemExit(128 + number)
