"""Tells those who wait that something has changed on a server, and waits with a limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from .._protocol.argument_checks import number
from .._protocol.clock import monotonic

T = TypeVar("T")


def _hint() -> str:
    """Say why nothing came, if the wait has itself kept a test's event loop from sending it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ""
    return (
        ". This thread runs an event loop, and its tasks stood still meanwhile. Wait in another "
        "thread, as by: await asyncio.to_thread(server.wait_prediction)"
    )


class Changes:
    """Counts the changes of a server's records, so that tests can wait for what is to come.

    Thread safety:
        Any thread. What is waited for is looked up in the waiting thread, with no lock held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False

    def touch(self) -> None:
        """Wake the waiters: something has changed."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wake the waiters for the last time: nothing will change any more."""
        self._closed = True  # before the waiting threads wake and look at it
        self.touch()

    def wait(self, look: Callable[[], T | None], timeout: float, describe: Callable[[], str]) -> T:
        """Return the first true value of `look()`.

        Args:
            look: Called again after each change.
            timeout: Seconds.
            describe: Called on failure: what was expected and what came.

        Raises:
            AssertionError: The time is over, or the server was closed.
            TypeError: `timeout` is no number.
        """
        number()("timeout", timeout)
        deadline = monotonic() + timeout
        while True:
            # Before the look: what the loop thread changes during it is seen in the next round.
            seen = self._version
            found = look()
            if found:
                return found
            if self._closed:
                raise AssertionError(f"{describe()} (the server was closed)")
            remaining = deadline - monotonic()
            if remaining <= 0:
                raise AssertionError(f"{describe()} (waited {timeout:g} s){_hint()}")
            with self._changed:
                if self._version == seen:
                    self._changed.wait(remaining)
