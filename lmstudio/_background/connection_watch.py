"""`ConnectionWatch`: has a function called whenever the client is connected, or is not any more."""

import queue
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from .._api.backports import Self
from .._api.callbacks import check_callback
from .._api.public import public
from .._concurrency.callback_gate import Dispatch
from .._connection.call import END
from .._connection.connection_state import Listeners, StateSubscription
from .._connection.session import Session
from ..errors import LMStudioValueError
from .callback_queue import CallbackQueue
from .thread import add


class ConnectionWatch:
    """Has a function called whenever the state of a client's connection changes.

    It ends by `close()`, by leaving ``with``, with the window to which its `dispatch` leads, with
    the client, and when the function raises something; dropping it ends nothing. It keeps the
    client's connections open, as handles of models do.

    Thread safety: everything may be called from any thread, also in signal handlers and finalisers.
    """

    def __init__(
        self, session: Session, callback: Callable[[bool], Any], dispatch: Dispatch | None
    ) -> None:
        """Begin; `Client.on_connection_change()` does.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        if callback is None:
            raise LMStudioValueError("callback must be a function; None was given.")
        check_callback("callback", callback, "is_connected")
        session.check_open()
        self._session = session
        self._subscription = subscription = StateSubscription(session.working_dispatcher)
        callbacks = CallbackQueue(
            session.callback_gate,
            dispatch,
            subscription.cancel,
            on_text=None,
            on_done=None,
            on_error=None,
            rests=True,
        )
        held = session.listeners
        listener = _Listener(subscription, callback, callbacks, held)
        try:
            held[id(subscription)] = listener
            subscription.open()
            add(_StateJob(listener))
            for window in callbacks.closed:
                # Of a target only `cancel` is called.
                window._link(subscription)  # type: ignore[arg-type]
        except BaseException:
            subscription.close()
            held.pop(id(subscription), None)
            raise

    def __repr__(self) -> str:
        """Say whether it goes on."""
        is_over = self._subscription.is_closed or self._subscription.outcome is not None
        return f"<{type(self).__name__}: {'closed' if is_over else 'open'}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with the words of what holds the connections."""
        self._session.__reduce__()

    def close(self) -> None:
        """Have the function called no more; it never blocks, and may be repeated.

        A call that another thread is in the middle of goes on.
        """
        self._subscription.close()

    def __enter__(self) -> Self:
        """Do nothing: it goes on already."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class _Listener:
    """A function and what brings the state to it. The session holds it, and nobody else does.

    It does not hold the session, so that a client that is dropped takes it along.
    """

    def __init__(
        self,
        subscription: StateSubscription,
        callback: Callable[[bool], Any],
        callbacks: CallbackQueue,
        held: Listeners,
    ) -> None:
        self.subscription = subscription
        self._callback = callback
        self._callbacks = callbacks
        self._held = weakref.ref(held)

    def read(self) -> bool:
        """Have the states told that have come; return whether more may come."""
        try:
            while (state := self.subscription.inbox.get_nowait()) is not END:
                self._callbacks.run(_tell, self.subscription, self._callback, state)
        except queue.Empty:
            pass
        if self.subscription.outcome is None:
            return True
        held = self._held()
        if held is not None:
            held.pop(id(self.subscription), None)
        if self._callbacks.failure is not None:
            self._callbacks.end(None, None)  # which raises it, there
        return False


def _tell(subscription: StateSubscription, callback: Callable[[bool], Any], state: bool) -> None:
    if not subscription.is_closed:
        callback(state)


class _StateJob:
    """What the background thread has of a listener: who drops the client ends it."""

    interval = 0.0  # states are few

    def __init__(self, listener: _Listener) -> None:
        self.call = listener.subscription
        self._listener = weakref.ref(listener)

    def poll(self) -> bool:
        """Tell what there is to tell."""
        listener = self._listener()
        return listener is not None and listener.read()


public(ConnectionWatch)
