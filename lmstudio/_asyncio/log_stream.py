# Made by tests/api/make_asyncio.py out of _handles/log_stream.py.
"""`AsyncLogStream`: the events of LM Studio's log, until somebody has seen enough."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, NoReturn, cast

from .._api.backports import Self
from .._api.public import public
from .._concurrency import fork
from .._concurrency.cancel_token import check_events
from .._concurrency.once import Once
from .._connection.call import END, WAKE
from .._connection.limits import CallLimits
from .._connection.request import Request
from .._values.log_events import DiagnosticsLogEvent
from ..errors import LMStudioRuntimeError
from .inbox import receiver
from .session import AsyncSession

_LEFT = "the loop over the logs was left"


class AsyncLogStream:
    """The events of LM Studio's log: iterate over it for `DiagnosticsLogEvent` objects.

    It is opened by ``async with``, or by the first step of an iterator; what happened before that
    is not
    told. Leaving the loop, as by ``break``, closes it, and so do leaving ``async with``, dropping
    it, an
    event of `cancel_event`, `cancel()`, and closing the client: then iterating ends without an
    exception, and what was not read is dropped. Events that nobody reads wait in memory.

    Endpoint: channel ``diagnostics/streamLogs``.

    Thread safety: one task iterates; `cancel` and `cancelled` may be called anywhere, also in
    signal handlers and finalisers.
    """

    def __init__(
        self,
        session: AsyncSession,
        request: Request[DiagnosticsLogEvent | None],
        limits: CallLimits,
    ) -> None:
        """Prepare a stream; `stream_logs()` does.

        Raises:
            LMStudioValueError: A limit cannot be used.
        """
        self._session = session
        self._request = request
        self._events = check_events(limits.get("cancel_event"))
        self._call = session.new_call(
            request.endpoint,
            request.parameter,
            timeout=limits.get("timeout"),
            idle_timeout=limits.get("idle_timeout"),
        )
        self._is_started = Once()
        self._reads: dict[int, Callable[[], object]] = {}  # who does: an iterator, held weakly

    def __repr__(self) -> str:
        """Say how far it is."""
        state = "not opened" if not self._is_started else "closed" if self._call.claim else "open"
        return f"<{type(self).__name__}: {state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with the words of what holds the connections."""
        self._session.__reduce__()

    def cancel(self, reason: Any = None) -> bool:
        """Close it: iterating ends. It never blocks.

        Args:
            reason: Anything; for the caller's own use.

        Returns:
            True for the caller that closed it; False for all others, and after the end.
        """
        return self._call.cancel(reason)

    def cancelled(self) -> bool:
        """Return whether it was closed by this side, as by leaving the loop."""
        self._notice_if_left()
        return self._call.is_cancelled

    async def aclose(self) -> None:
        """Close it; it may be closed already."""
        if not self._call.end_is_taken:
            self._call.cancel("log stream closed")

    async def __aenter__(self) -> Self:
        """Open it, if that was not done.

        Raises:
            LMStudioClientError: The client is closed.
        """
        await self._begin()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[DiagnosticsLogEvent]:
        """Return an iterator, an object of its own.

        Its first step opens the stream; when it is dropped after that, as by ``break``, the stream
        is closed.
        """
        return _LogIterator(self)

    async def _begin(self) -> None:
        call = self._call
        fork.check_process(call.dispatcher.process, "log stream")
        if self._is_started.set():
            try:
                call.cancel_when_dropped(self)
                await self._session.async_start(call, self._events)
            except BaseException:
                call.cancel("interrupted")
                raise

    async def _take(self) -> DiagnosticsLogEvent | None:
        """Return the next event, or None at the end."""
        call = self._call
        try:
            await self._begin()
            receive = receiver(cast(Any, call.inbox), None)
            while not call.claim:
                item = await receive()
                if item is END:
                    call.claim_end()
                elif item is not WAKE and not call.claim:
                    event = self._request.result(item)
                    if event is not None:
                        return event
            call.notify()  # whoever watches an event for it
            if call.end_is_taken and call.outcome is not None and call.outcome.error is not None:
                raise call.outcome.error.fresh()
            return None
        except BaseException:
            if not call.end_is_taken:
                call.cancel("interrupted")
            raise

    def _take_place(self, iterator: object) -> None:
        """Let an iterator be the one that reads, for good: by one C call.

        Raises:
            LMStudioRuntimeError: Another one does.
        """
        if self._is_started:
            cast(Any, self._call.inbox).check_loop()
        reads = self._reads.setdefault(0, weakref.ref(iterator))
        if reads() is iterator:
            self._call.cancel_when_dropped(iterator)
            return
        self._notice_if_left()
        if not self._call.claim:
            raise LMStudioRuntimeError(
                "Another loop over these logs goes on: iterate over a log stream once, or open "
                "another one."
            )

    def _notice_if_left(self) -> None:
        """Close it if the loop was left; the I/O thread notices that too, a little later."""
        reads = self._reads.get(0)
        if reads is not None and reads() is None:
            self._call.cancel(_LEFT)


class _LogIterator:
    """The iterator of a ``for`` loop over the logs."""

    __slots__ = ("__weakref__", "_has_place", "_stream")

    def __init__(self, stream: AsyncLogStream) -> None:
        self._stream = stream
        self._has_place = False

    def __repr__(self) -> str:
        return f"<iterator of {self._stream!r}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DiagnosticsLogEvent:
        if not self._has_place:
            self._stream._take_place(self)
            self._has_place = True
        event = await self._stream._take()
        if event is None:
            raise StopAsyncIteration
        return event


public(AsyncLogStream)
