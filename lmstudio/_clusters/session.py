"""`TaskSession`: what a batch takes for the session with a host, of one worker of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, cast

import attrs

from .._concurrency.cancel_token import CancelEvent, attach, check_events
from .._connection.call import Call, Outcome
from .._connection.dispatcher import Dispatcher
from .._connection.endpoints import Endpoint
from .._connection.session import Session
from . import on_worker
from .tasks import TaskDispatcher, WorkerSeat


@attrs.frozen
class TaskEndpoint(Endpoint):
    """A function that a worker runs.

    Attributes:
        run: The function; it gets the question of the batch, and the call's parameter.
        takes_place: Whether it takes one of the resource, if the batch names any.
    """

    run: Callable[..., on_worker.Answer] = attrs.field(kw_only=True)
    takes_place: bool = attrs.field(default=False, kw_only=True)


RESPOND = TaskEndpoint("", "respond", "The prediction", run=on_worker.respond, takes_place=True)
GET_PLACES = TaskEndpoint("", "get_places", "Asking a worker", run=on_worker.get_places)
GET_STATE = TaskEndpoint("", "get_state", "Asking a worker", run=on_worker.get_state)


class TaskSession(Session):
    """Its calls are tasks. Thread safety: all threads."""

    def __init__(self, dispatcher: TaskDispatcher, seat: WorkerSeat) -> None:
        """Make the session with the worker that has a seat."""
        self._shared = dispatcher
        self._seat = seat
        # Time limits are the worker's: it has the defaults of its own client.
        super().__init__(cast(Any, None), timeout=None, idle_timeout=..., cancel_grace=0.0)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("A batch holds connections and cannot be pickled.")

    def _new_dispatcher(self) -> Dispatcher:
        return cast(Dispatcher, self._shared)  # all that a call needs of one

    def start(
        self, call: Call, cancel_event: CancelEvent = None, since: float | None = None
    ) -> None:
        """Begin a call, unless one of its events is set already.

        Raises:
            LMStudioRuntimeError: `cancel_event` cannot be watched.
            LMStudioValueError: `cancel_event` cannot be used.
        """
        if cancel_event is not None:
            attach(call, check_events(cancel_event))
        if call.is_cancelled:
            call.outcome = Outcome()
            call.unfollow()
            return
        endpoint = cast(TaskEndpoint, call.endpoint)
        self._shared.begin(call, endpoint.run, self._seat, takes_place=endpoint.takes_place)
