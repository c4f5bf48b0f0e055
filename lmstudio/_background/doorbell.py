"""`Doorbell`: tells the background thread that one of its jobs has something to read."""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from .._concurrency.clock import monotonic


class Source(Protocol):
    """What has news for a job: a call, or something like it.

    Attributes:
        inbox: What its news are put into.
        waiters: Who is woken at its end.
    """

    inbox: Any
    waiters: deque[queue.SimpleQueue[None]]

    @property
    def outcome(self) -> object:
        """How it ended, or None."""
        ...


class Job(Protocol):
    """Something that this thread reads."""

    interval: float  # seconds between two polls

    @property
    def call(self) -> Source | None:
        """The call whose packets and end give it a poll; None: it is polled all the time."""
        ...

    def poll(self) -> bool:
        """Do what there is to do, without waiting; return whether more will come."""
        ...


class Doorbell(queue.SimpleQueue[Any]):
    """Tells the thread of news of one job: as a waiter of its end, and in place of its inbox.

    Thread safety: `put` for all threads; the rest for whoever adds the job, and then for the
    background thread.
    """

    def __init__(self, job: Job, news: queue.SimpleQueue[Doorbell | None]) -> None:
        self.job = job
        self.last_poll = monotonic()
        self.next_poll: float | None = None  # None: it rests
        self._news = news
        self._call = job.call
        self._inbox = None if self._call is None else self._call.inbox
        if self._call is not None:
            self._call.waiters.append(self)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Take what is for the inbox, or the None that waiters get, and ring."""
        if item is not None and self._call is not None and self._inbox is not None:
            self._call.inbox = self._inbox  # first: what follows need not come this way
            self._inbox.put(item)
        self._news.put(self)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to read; always, for a job without a call."""
        if self._call is None or self._inbox is None:
            return True
        return self._call.outcome is not None or not self._inbox.empty()

    def hang_up(self) -> bool:
        """Take the place of the inbox; return False if something has come meanwhile."""
        if self._call is not None:
            self._call.inbox = self
        # In place first, looked at second: what the I/O thread put before that is found here.
        if not self.has_news:
            return True
        self.take_down()
        return False

    def leave(self) -> None:
        """Its job is over: be no waiter any more, and keep nothing alive.

        It may lie in the heap of polls for long, or in the queue of news if it rang just now.
        """
        if self._call is not None:
            with suppress(ValueError):
                self._call.waiters.remove(self)
        self._call = self._inbox = None
        del self.job

    def take_down(self) -> None:
        """Give the call its inbox back."""
        if self._call is not None and self._inbox is not None:
            self._call.inbox = self._inbox
