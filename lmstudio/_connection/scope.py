"""The cancellation of one `act()`: a token for all of it, and one for each tool call."""

from __future__ import annotations

import queue
from time import monotonic
from typing import Any

from .._concurrency.cancel_token import CancelToken
from .call import STOP

__all__ = ["Retirable", "Scope", "Waker"]


class Retirable(CancelToken):
    """A token that nothing happens with any more, once what it belongs to has ended."""

    __slots__ = ("_is_retired",)

    def __init__(self) -> None:
        """Make a token that is not set."""
        super().__init__()
        self._is_retired = False

    def retire(self) -> None:
        """Do not follow other tokens any more, and forget all callbacks. May be repeated."""
        self._is_retired = True
        for source in self._sources:
            source._unlink(self)
        self._sources.clear()
        if not self._mark:  # else they are being run
            self._callbacks.clear()

    def cancel(self, reason: Any = None) -> bool:
        """Set the token, unless it is retired."""
        return False if self._is_retired else super().cancel(reason)

    def _announce(self, reason: Any) -> bool:
        return False if self._is_retired else super()._announce(reason)

    @property
    def _is_over(self) -> bool:
        return self._is_retired or super()._is_over


class Waker:
    """Tells the thread in `act()` of a cancel. Thread safety: `cancel` in any thread.

    Attributes:
        inbox: What that thread reads.
        since: [0] is the time of the cancel, on the monotonic clock.
    """

    __slots__ = ("__weakref__", "inbox", "since")

    def __init__(self) -> None:
        """Wait for a cancel."""
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.since: dict[int, float] = {}

    def cancel(self, _reason: Any = None) -> bool:
        """Note the time, and wake the thread."""
        self.since.setdefault(0, monotonic())
        self.inbox.put(STOP)
        return True


class Scope(Retirable):
    """What cancels one `act()`; it remembers when, and whether an event could not be watched.

    Attributes:
        waker: Wakes the thread in `act()`.
        failure: What an event's `is_set()` raised.
    """

    __slots__ = ("failure", "waker")

    def __init__(self) -> None:
        """Make a token that is not set."""
        super().__init__()
        self.failure: Exception | None = None
        self.waker = Waker()
        # Of a target only `cancel` is called.
        self._link(self.waker)  # type: ignore[arg-type]

    def look_round(self) -> None:
        """Follow a source whose own `cancel()` was interrupted by Ctrl-C."""
        fired = self._fired()
        if fired is not None and fired is not self:
            self.cancel(fired.reason)

    def _watch_failed(self, error: Exception) -> None:
        self.failure = error
        self.cancel(error)
