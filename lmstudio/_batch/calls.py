"""How an input of a batch is started; the background thread takes what comes of it.

Thread safety: all threads.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .._api.callbacks import not_the_end
from .._background.future import BackgroundCall
from .._background.thread import add
from .._connection.call import Call
from .._connection.limits import CallLimits, Limit
from .._connection.request import Request
from .._connection.scope import CancelScope
from .._connection.session import Session
from .._prediction.callbacks import PredictionCallbacks
from .._prediction.request import PredictionOptions
from .._prediction.stream import PredictionStream
from .._values.results import PredictionResult

R = TypeVar("R")

_LOOK_AGAIN = 1.0  # seconds
_SELDOM = 0.25  # seconds between two looks at a reply of which nobody is shown the text


def predict_in_background(
    session: Session,
    options: PredictionOptions,
    specifier: dict[str, Any],
    history: dict[str, Any],
    limits: CallLimits,
) -> tuple[Call, BackgroundCall[PredictionResult[Any]]]:
    """Start a prediction, and return its call with the future of its result."""
    callbacks = PredictionCallbacks()
    stream: PredictionStream[Any] = PredictionStream(
        session, options, specifier, history, callbacks, limits
    )
    return stream._call, stream.run_in_background(interval=_SELDOM)


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
