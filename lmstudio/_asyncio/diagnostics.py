# Made by tests/api/make_asyncio.py out of _handles/diagnostics.py.
"""`AsyncClient.diagnostics`: what LM Studio tells of itself while it works."""

from __future__ import annotations

from collections.abc import Callable

from .._api.public import public
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import TimeLimit, call_limits
from .._requests import diagnostics
from .handle import namespace_text
from .log_stream import AsyncLogStream
from .session import AsyncSession


class AsyncDiagnosticsNamespace:
    """What LM Studio tells of itself, as `AsyncClient.diagnostics`.

    Thread safety: the tasks of one event loop.
    """

    def __init__(self, session: AsyncSession, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `AsyncClient` makes namespaces."""
        self._session = session
        self._find_host = find_host

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    def stream_logs(
        self,
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = None,
        idle_timeout: TimeLimit = None,
    ) -> AsyncLogStream:
        """Prepare a stream of the events of LM Studio's log: what all clients ask its models, too.

        Nothing is sent before the stream is opened, by ``async with`` or by the first step of a
        loop.

        Args:
            cancel_event: An event, or several, that end the stream.
            timeout: Seconds after which an `LMStudioTimeoutError` is raised; None: no limit, also
                where the client has one.
            idle_timeout: Seconds of silence of the server, likewise: a server that nobody asks
                anything has nothing to log.

        Returns:
            What is to be iterated over. Iterating ends when the stream is cancelled or closed, and
            raises `LMStudioWebsocketError` if the server cannot be reached or the connection is
            lost, and `LMStudioChannelClosedError` if the server closes the stream.

        Raises:
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``diagnostics/streamLogs``.
        """
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return AsyncLogStream(self._session, diagnostics.stream_logs(), limits)


public(AsyncDiagnosticsNamespace)
