"""`Client.diagnostics`: what LM Studio tells of itself while it works."""

from __future__ import annotations

from collections.abc import Callable

from .._api.public import public
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import TimeLimit, call_limits
from .._connection.session import Session
from .._requests import diagnostics
from .handle import namespace_text
from .log_stream import LogStream


class DiagnosticsNamespace:
    """What LM Studio tells of itself, as `Client.diagnostics`.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, session: Session, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `Client` makes namespaces."""
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
    ) -> LogStream:
        """Prepare a stream of the events of LM Studio's log: what all clients ask its models, too.

        Nothing is sent before the stream is opened, by ``with`` or by the first step of a loop.

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
        return LogStream(self._session, diagnostics.stream_logs(), limits)


public(DiagnosticsNamespace)
