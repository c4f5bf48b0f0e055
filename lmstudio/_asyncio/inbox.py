"""`LoopInbox`: an inbox that threads put into, and one event loop takes out of.

The I/O thread rings the loop once for whatever has come until the loop looks, into all inboxes, not
once for each item. A loop that is closed is not rung any more, and one that is stuck costs nobody
anything.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from .._concurrency.deadline import Deadline, DeadlinePassed
from ..errors import LMStudioRuntimeError


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that runs here.

    Raises:
        LMStudioRuntimeError: None does.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise LMStudioRuntimeError(
            "No event loop of asyncio runs here: call this in a coroutine, which asyncio.run() "
            "runs, or use a Client."
        ) from None


class _Bell:
    """The one bell of an event loop, which lives as long as one of the inboxes that share it."""

    __slots__ = ("__weakref__", "_is_rung", "_rung", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._rung: deque[Callable[[], None]] = deque()
        self._is_rung = False

    def ring(self, look: Callable[[], None]) -> None:
        """Have the loop call `look`, soon. Any thread; takes no lock."""
        self._rung.append(look)
        if not self._is_rung:
            try:
                # Marked first: the loop takes the mark away, and looks after that.
                self._is_rung = True
                self.loop.call_soon_threadsafe(self._look)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._rung.clear()
            except BaseException:  # Ctrl-C; the next one rings
                self._is_rung = False
                raise

    def _look(self) -> None:
        self._is_rung = False
        rung = self._rung
        for _ in range(len(rung)):  # what rings from now on has the loop look again
            rung.popleft()()


class _Here(threading.local):
    bell: Callable[[], _Bell | None] = staticmethod(lambda: None)


_here = _Here()


def _bell_of(loop: asyncio.AbstractEventLoop) -> _Bell:
    """Return the bell of the loop that runs in this thread."""
    bell = _here.bell()
    if bell is None or bell.loop is not loop:
        bell = _Bell(loop)
        _here.bell = weakref.ref(bell)
    return bell


class LoopInbox:
    """Stands in the place of a `queue.SimpleQueue`.

    Thread safety: `put` for all threads, signal handlers and finalisers; the rest for the loop.
    """

    __slots__ = ("__weakref__", "_bell", "_is_rung", "_items", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make an empty one for the loop that runs here."""
        self._loop = loop
        self._bell = _bell_of(loop)
        self._items: deque[Any] = deque()
        self._is_rung = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Any) -> None:
        """Put an item in. Takes no lock, never blocks."""
        self._items.append(item)
        if not self._is_rung:
            try:
                # Marked first: the loop takes the mark away, and looks at the items after that.
                self._is_rung = True
                self._bell.ring(self._look)
            except BaseException:  # Ctrl-C; the next one rings
                self._is_rung = False
                raise

    def qsize(self) -> int:
        """Return how many items are in it."""
        return len(self._items)

    def _look(self) -> None:
        self._is_rung = False
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def empty(self) -> bool:
        """Return whether nothing was put in that was not taken. Any thread."""
        return not self._items

    def take(self) -> Any:
        """Return the next item, without waiting.

        Raises:
            DeadlinePassed: There is none.
        """
        try:
            return self._items.popleft()
        except IndexError:
            raise DeadlinePassed from None

    def check_loop(self) -> None:
        """Check that its own loop runs here.

        Raises:
            LMStudioRuntimeError: Another one does.
        """
        if running_loop() is not self._loop:
            raise LMStudioRuntimeError(
                "A stream, a batch or a log is read in the event loop in which it was made, and "
                "another one runs here. Handles and clients work in any loop."
            )

    async def wait(self, deadline: Deadline | None = None) -> bool:
        """Wait until there is an item; return False at the deadline.

        Raises:
            LMStudioRuntimeError: Another task waits, or this is another loop.
        """
        while not self._items:
            self.check_loop()
            if self._waiter is not None:
                raise LMStudioRuntimeError("Another task waits for the same: let one do so.")
            seconds = None if deadline is None else deadline.remaining()
            if seconds == 0:
                return False
            self._waiter = self._loop.create_future()
            timer = None if seconds is None else self._loop.call_later(seconds, self._look)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return True


def receiver(inbox: LoopInbox, deadline: Deadline | None) -> Callable[[], Awaitable[Any]]:
    """Return what takes the next item when it is awaited; it raises `DeadlinePassed` then."""

    async def receive() -> Any:
        if not await inbox.wait(deadline):
            raise DeadlinePassed
        return inbox.take()

    return receive
