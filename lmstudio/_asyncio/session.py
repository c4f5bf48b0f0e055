"""`AsyncSession`: how a task waits for calls. All else is what the synchronous half has."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import cattrs  # noqa: F401  # the answers need it, and it takes long: not in the loop's first call

from .._concurrency.cancel_token import CancelEvent, check_events
from .._concurrency.clock import monotonic
from .._connection.call import END, WAKE, Call
from .._connection.limits import TimeLimit, call_limits
from .._connection.request import Request
from .._connection.session import FEW_CALLS, MANY_CALLS, Session
from .events import attach_events
from .inbox import LoopInbox, running_loop

T = TypeVar("T")
U = TypeVar("U")


class AsyncSession(Session):
    """Makes calls and waits for them in tasks of an event loop.

    Thread safety: the methods of its own belong to one event loop; those of `Session` to all
    threads.
    """

    async def async_start(
        self,
        call: Call,
        cancel_event: CancelEvent = None,
        since: float | None = None,
        *,
        has_inbox: bool = False,
    ) -> None:
        """Send a call, as `start` does; what comes for it is put into a `LoopInbox`."""
        loop = running_loop()
        if not has_inbox:
            call.inbox = cast(Any, LoopInbox(loop))
        call.is_left = loop.is_closed
        if events := check_events(cancel_event):
            watches = await attach_events(call, events)
            call.waiters.extend(cast(Any, watches))  # before it can end
        self.start(call, None, since)

    async def async_wait(self, call: Call, on_packet: Callable[[Any], None] | None = None) -> Any:
        """Wait for the outcome of a started call, and take it; see `async_run`."""
        inbox = cast(LoopInbox, call.inbox)
        while True:
            await inbox.wait()
            item = inbox.take()
            if call.claim or item is END:
                return call.answer()
            if item is not WAKE and on_packet is not None:
                on_packet(item)

    async def async_run(
        self,
        call: Call,
        cancel_event: CancelEvent = None,
        on_packet: Callable[[Any], None] | None = None,
        since: float | None = None,
    ) -> Any:
        """Start a call that is no prediction, and wait for its outcome; as `Session.run`."""
        try:
            await self.async_start(call, cancel_event, since)
            return await self.async_wait(call, on_packet)
        except BaseException:
            if not call.end_is_taken:
                call.cancel("interrupted")
            raise
        finally:
            call.notify()  # whoever watches an event for it

    async def async_call(
        self,
        request: Request[T],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        since: float | None = None,
        inside: Call | None = None,
    ) -> T:
        """Ask for one thing, and return what the answer means; as `Session.call`."""
        call = self.new_call(
            request.endpoint,
            request.parameter,
            timeout=timeout,
            idle_timeout=idle_timeout,
            inside=inside,
        )
        return request.result(await self.async_run(call, cancel_event, request.on_packet, since))

    async def async_call_two(
        self,
        request: Request[T],
        next_request: Callable[[T], Request[U]],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> U:
        """Ask for one thing and, with what it was, for another; as `Session.call_two`."""
        since = monotonic()
        limits = call_limits(check_events(cancel_event), timeout, idle_timeout)
        answer = await self.async_call(request, **limits, since=since)
        return await self.async_call(next_request(answer), **limits, since=since)

    async def async_call_each(
        self,
        requests: Iterable[Request[T]],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> list[T]:
        """Ask for several things; return what the answers mean; as `Session.call_each`."""
        events = check_events(cancel_event)
        since = monotonic()
        waiting = iter(requests)
        running: deque[tuple[Request[T], Call]] = deque()
        results: list[T] = []
        try:
            while True:
                if len(running) <= FEW_CALLS:
                    for request in itertools.islice(waiting, MANY_CALLS - len(running)):
                        call = self.new_call(
                            request.endpoint,
                            request.parameter,
                            timeout=timeout,
                            idle_timeout=idle_timeout,
                        )
                        running.append((request, call))
                        await self.async_start(call, events, since)
                if not running:
                    return results
                request, call = running[0]
                results.append(request.result(await self.async_wait(call)))
                call.notify()
                running.popleft()
        except BaseException:
            for _, call in running:
                if not call.end_is_taken:
                    call.cancel("another call of the same list failed")
                call.notify()
            raise
