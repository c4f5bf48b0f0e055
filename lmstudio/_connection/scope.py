"""What cancels several calls at once: the rounds and tools of an `act()`, the inputs of a batch."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

from .._concurrency.cancel_token import CancelToken, attach, resume_interrupted
from .._concurrency.clock import monotonic
from .._concurrency.once import Once
from .._concurrency.watched import watch_error
from .call import WAKE

if TYPE_CHECKING:
    from .session import Session


class ScopedToken(CancelToken):
    """A token that nothing happens with any more, once what it belongs to has ended."""

    __slots__ = ("_is_retired",)

    def __init__(self) -> None:
        """Make a token that is not set."""
        super().__init__()
        self._is_retired = False

    def retire(self) -> None:
        """Do not follow other tokens any more, and forget all callbacks. May be repeated."""
        # First: a cancel that comes from now on changes nothing any more.
        self._is_retired = True
        for source in self._sources:
            source._unlink(self)
        self._sources.clear()
        if not self._claim:  # else they are being run
            self._callbacks.clear()

    @property
    def _is_over(self) -> bool:
        return self._is_retired or super()._is_over


class InboxWaker:
    """Tells the thread that waits for several calls of a cancel. Thread safety: all threads.

    Attributes:
        inbox: What that thread reads.
        since: The time of the cancel, on the monotonic clock.
    """

    __slots__ = ("__weakref__", "inbox", "since")

    def __init__(self, inbox: queue.SimpleQueue[Any]) -> None:
        """Wait for a cancel."""
        self.inbox = inbox
        self.since = Once()

    def cancel(self, _reason: Any = None) -> bool:
        """Note the time, and wake the thread."""
        self.since.set(monotonic())
        self.inbox.put(WAKE)
        return True


class EventToken(ScopedToken):
    """A token that events cancel; it remembers which of them is broken.

    Attributes:
        failure: What an event's `is_set()` raised.
    """

    __slots__ = ("failure",)

    def __init__(self) -> None:
        """Make a token that is not set."""
        super().__init__()
        self.failure: BaseException | None = None

    def check_events(self) -> None:
        """Raise if it was cancelled because an event is broken.

        Raises:
            LMStudioRuntimeError: One is.
        """
        if self.failure is not None:
            raise watch_error(self.failure)

    def _watch_failed(self, error: BaseException) -> None:
        self.failure = error
        super()._watch_failed(error)


class CancelScope(EventToken):
    """What cancels one `act()` or one batch; it remembers when, too.

    Attributes:
        waker: Wakes the thread that waits.
    """

    __slots__ = ("_scopes", "waker")

    def __init__(self, session: Session, inbox: queue.SimpleQueue[Any]) -> None:
        """Make a token that is not set; `inbox` is what the thread reads that has to be woken."""
        super().__init__()
        self._scopes = session.scopes  # not the session, which a tool could keep alive by its token
        self.waker = InboxWaker(inbox)
        # Of a target only `cancel` is called.
        self._link(self.waker)  # type: ignore[arg-type]

    def open(self, events: list[Any]) -> None:
        """Let events cancel it, and `cancel_all()` and `close()` of the client.

        Raises:
            LMStudioRuntimeError: An event cannot be watched.
        """
        self._scopes[id(self)] = self
        attach(self, events)

    def close(self) -> None:
        """Let nothing cancel it any more. May be repeated."""
        self._scopes.pop(id(self), None)
        self.retire()

    def follow_interrupted(self) -> None:
        """Follow a token whose own `cancel()` was interrupted by Ctrl-C."""
        resume_interrupted()
