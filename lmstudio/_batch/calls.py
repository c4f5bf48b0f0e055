"""An input that is a remote procedure, such as an embedding: the background thread takes its end."""

from __future__ import annotations

from typing import TypeVar

from .._api.callbacks import not_the_end
from .._background.future import BackgroundCall
from .._background.thread import add
from .._connection.call import Call
from .._connection.limits import Limit
from .._connection.request import Request
from .._connection.scope import CancelScope
from .._connection.session import Session

R = TypeVar("R")

_LOOK_AGAIN = 1.0  # seconds


def call_in_background(
    session: Session,
    request: Request[R],
    scope: CancelScope,
    *,
    timeout: Limit,
    idle_timeout: Limit,
) -> tuple[Call, BackgroundCall[R]]:
    """Start a remote procedure, and return it with the future of its result."""
    call = session.new_call(
        request.endpoint, request.parameter, timeout=timeout, idle_timeout=idle_timeout
    )
    future: BackgroundCall[R] = BackgroundCall(call.cancel)
    session.start(call, [scope])
    add(_CallJob(session, call, request, future))
    return call, future


class _CallJob:
    interval = _LOOK_AGAIN

    def __init__(
        self, session: Session, call: Call, request: Request[R], future: BackgroundCall[R]
    ) -> None:
        self.call = call
        self._session = session
        self._request = request
        self._future = future

    def poll(self) -> bool:
        """Take the end, if it has come."""
        if self.call.outcome is None:
            return True
        try:
            self._future.set_result(self._request.result(self._session.wait(self.call)))
        except BaseException as error:
            self._future.set_exception(not_the_end(error))
        return False
