"""Runs user callbacks, so that a closing client can stop new ones and wait for running ones."""

from __future__ import annotations

import queue
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from .._api.callbacks import not_the_end
from .deadline import Deadline, DeadlinePassed, receiver

T = TypeVar("T")

Dispatch: TypeAlias = Callable[[Callable[[], None]], Any]
"""Gets a function without arguments, and has it called in the right thread, soon and in order.

As `TkDispatcher` and `QtDispatcher` do, `loop.call_soon_threadsafe`, or `app.call_from_thread`.
"""


class CallbackRunner(Protocol):
    """Runs user callbacks, here and now or elsewhere and later."""

    def run(self, callback: Callable[..., Any], /, *arguments: Any) -> object:
        """Have ``callback(*arguments)`` called."""
        ...


class CallbackGate:
    """A gate in front of the callbacks of one client.

    Thread safety: all threads. It takes no lock: who runs a callback announces itself and then
    looks whether the gate is closed; who closes it does so and then looks who has announced.
    """

    def __init__(self) -> None:
        """Make an open gate."""
        self._running: dict[object, int] = {}
        self._waiters: deque[queue.SimpleQueue[None]] = deque()
        self._is_closed = False

    def run(self, callback: Callable[..., T], /, *arguments: Any) -> T | None:
        """Return ``callback(*arguments)``, called in this thread; None if the gate is closed.

        Raises:
            RuntimeError: It raised StopIteration or StopAsyncIteration, which would end the loop of
                whoever iterates.
            BaseException: Whatever else it raised.
        """
        key = object()
        # Announced first, looked at the gate second; close() does it the other way round. So
        # either this thread finds the gate closed, or the closing thread finds this callback.
        self._running[key] = get_ident()
        try:
            return None if self._is_closed else callback(*arguments)
        except (StopIteration, StopAsyncIteration) as error:
            raise not_the_end(error) from error
        finally:
            # Gone first, told second: a closing thread that was woken must not find it again.
            self._running.pop(key, None)
            while self._waiters:  # as `drain` does, but no call on the path of a token
                try:
                    self._waiters.popleft().put(None)
                except IndexError:  # another thread took the last one
                    break

    def close(self, deadline: Deadline) -> None:
        """Let no callback start, and wait for those that other threads run."""
        self._is_closed = True
        me = get_ident()
        while True:
            waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
            # Before looking: a callback that ends after the look finds the waiter.
            self._waiters.append(waiter)
            # A callback of this very thread may be what closes the client: it cannot wait for
            # itself.
            if all(ident == me for ident in list(self._running.values())):
                return
            try:
                receiver(waiter, deadline)()
            except DeadlinePassed:
                return
