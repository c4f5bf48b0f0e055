"""Whether a client is connected, and who is told of it.

It is while one of its websockets is open. As long as somebody listens, one is kept open by the
channel ``alive``, and opened again when it is lost.

Thread safety: the I/O thread only, unless said otherwise.
"""

from __future__ import annotations

import functools
import os
import queue
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._concurrency.once import Once
from ..errors import LMStudioChannelClosedError, LMStudioError
from .call import END, Call, Outcome
from .endpoints import channel
from .port import ClientPort
from .transport import Transport

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

# Nothing is sent into it and nothing comes: it is open as long as the server lives.
ALIVE = channel("system", "alive", "Watching the connection", "Alive", stop=None, is_awaited=False)
_FIRST_PAUSE = 0.5  # seconds before the connection is opened again; twice as long each time ...
_LONGEST_PAUSE = 30.0  # ... up to so many
_STEADY = 5.0  # seconds that a connection must last for the pauses to be short again


class Listeners(dict[int, object]):
    """Who listens, by identity; a plain dict could not be referred to weakly."""


class StateSubscription:
    """What brings the state to one who asked: True and False and, when no more will come, END.

    It stands where the background thread expects a call.

    Thread safety: `close` anywhere, at any time; `is_closed` may be read by all. The other
    attributes are as those of a call: the I/O thread writes them, but for `waiters`.
    """

    __slots__ = ("__weakref__", "_dispatcher", "_is_closed", "inbox", "outcome", "told", "waiters")

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Bring nothing yet; see `open`."""
        self._dispatcher = dispatcher
        self._is_closed = Once()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.waiters: deque[queue.SimpleQueue[None]] = deque()
        self.outcome: Outcome | None = None
        self.told: bool | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the state is wanted no more."""
        return bool(self._is_closed)

    def open(self) -> None:
        """Ask for the state from now on. Any thread.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        self._dispatcher.reactor.start()
        self._post(self._dispatcher.state.listen)

    def close(self) -> None:
        """Ask no more; takes no lock. In a forked child, whose parent it belongs to, do nothing."""
        if self._dispatcher.process is fork.current:
            self._is_closed.set()
            self._post(self._dispatcher.state.leave)

    def cancel(self, _reason: Any = None) -> bool:
        """Close it: the window is closed whose it is."""
        self.close()
        return True

    def _post(self, command: Any) -> None:
        reactor = self._dispatcher.reactor
        reactor.post(command, self)
        if reactor.has_ended:  # set before the thread looked for late commands for the last time
            reactor.drain_late_commands()

    def tell(self, is_connected: bool) -> None:
        """Bring a state, unless it is what was brought last."""
        if self.told is not is_connected:
            self.told = is_connected
            self.inbox.put(is_connected)

    def end(self) -> None:
        """Bring END, and nothing more."""
        if self.outcome is None:
            self.outcome = Outcome()  # stored before it is told, as that of a call
            self.inbox.put(END)
            for waiter in self.waiters.copy():
                waiter.put(None)


class ConnectionState:
    """The state of one client's connections, and who listens.

    Attributes:
        is_connected: The state, as far as is known here; all threads may read it.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Be not connected, with nobody who listens."""
        self.is_connected: bool = False
        self._dispatcher = dispatcher
        self._subscriptions: list[StateSubscription] = []
        self._call: Call | None = None  # the channel, from its start to its end
        self._port: ClientPort | None = None  # on which it is
        self._opened: float | None = None  # when it was written
        self._refused: Transport | None = None  # where the server does not know the channel
        self._is_dismissed = False  # the server has ended the channel: it is about to go
        self._plan: object = None  # to open the channel later; None: there is none
        self._failures = 0  # in a row
        self._is_over = False

    # -- commands -----------------------------------------------------------------------------

    def listen(self, subscription: StateSubscription) -> None:
        """Tell the state from now on: the first one when it is known."""
        if self._is_over:
            subscription.end()
            return
        self._subscriptions.append(subscription)
        if self._port is not None:
            self._port.keep_in_touch(True)
        self._open_if_needed()
        if self.is_connected or self._plan is not None:
            subscription.tell(self.is_connected)

    def leave(self, subscription: StateSubscription) -> None:
        """Tell the state no more. A channel that is open stays so, with its connection."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        subscription.end()
        if not self._subscriptions:
            self._plan = None
            self._failures = 0
            if self._port is not None:
                self._port.keep_in_touch(False)

    def close(self, *, has_failed: bool = False) -> None:
        """Open nothing and tell nobody anything any more: the client is closed.

        Args:
            has_failed: It is not: its I/O thread has failed, which is told.
        """
        self._is_over, self._plan = True, None
        if has_failed:
            self.is_connected = False
            self._tell()
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.end()

    # -- from the ports -----------------------------------------------------------------------

    def changed(self) -> None:
        """A connection was opened or lost, or the channel was written."""
        call, now = self._call, monotonic()
        if call is not None and call.is_sent and self._opened is None:
            self._opened, self._is_dismissed = now, False
        ports = self._dispatcher._ports.values()
        is_open = any(port.transport is not None for port in ports)
        self._is_dismissed &= is_open
        was_connected, self.is_connected = self.is_connected, is_open and not self._is_dismissed
        if self.is_connected and not was_connected:
            self._plan = None  # others have reached the server: no need to wait
        if self.is_connected is not was_connected:
            self._tell()
        if self._refused is not None and self._refused is not self._transport:
            self._refused = None
            self._open_later()
        self._open_if_needed()

    def put(self, item: Any) -> None:
        """Take what comes for the channel, whose inbox this is: END, and nothing else matters."""
        call = self._call
        if item is not END or call is None or call.outcome is None:
            return
        self._call = None
        opened, self._opened = self._opened, None
        if opened is not None and monotonic() - opened >= _STEADY:
            self._failures = 0
        if self._is_over:
            return
        error, transport = call.outcome.error, self._transport if call.is_sent else None
        if transport is not None and error is None:  # its connection was replaced by another one
            self._open_if_needed()
        elif transport is not None and not _was_ended_by_the_server(error):
            self._refused = transport  # an old server: that the connection is open must do
        else:
            self._is_dismissed = transport is not None
            self._open_later()
            self.changed()
            self._tell()  # also those who know nothing yet

    # -- the channel --------------------------------------------------------------------------

    @property
    def _transport(self) -> Transport | None:
        """The connection on which the channel is, or was or will be opened."""
        return None if self._port is None else self._port.transport

    def _tell(self) -> None:
        for subscription in self._subscriptions:
            subscription.tell(self.is_connected)

    def _open_if_needed(self) -> None:
        """Open the channel, unless that is done, planned, or of no use."""
        is_open = self._call is not None or self._refused is not None
        if not self._subscriptions or is_open or self._plan is not None:
            return
        self._call = call = Call(self._dispatcher, ALIVE)
        call.inbox = cast(Any, self)
        self._port = self._dispatcher._port_of(call)
        self._port.keep_in_touch(True)
        self._port.start(call, call.text())

    def _open_later(self) -> None:
        if self._subscriptions:
            plan = self._plan = object()
            pause = pause_after(self._failures, os.urandom(1)[0] / 255)
            self._failures += 1
            when = monotonic() + pause
            self._dispatcher.reactor.at(when, functools.partial(self._open_as_planned, plan))

    def _open_as_planned(self, plan: object, _now: float) -> None:
        if plan is self._plan:
            self._plan = None
            self._open_if_needed()


def pause_after(failures: int, share: float) -> float:
    """Return the seconds before the next try: after so many in a row that failed, and by chance.

    Args:
        failures: How many.
        share: A random number from 0 to 1, so that not all clients come at once.
    """
    longest = min(_FIRST_PAUSE * 2.0 ** min(failures, 16), _LONGEST_PAUSE)
    return longest * (0.5 + share / 2)


def _was_ended_by_the_server(error: LMStudioError | None) -> bool:
    """Whether the channel was closed or failed; otherwise the server has refused to open it."""
    is_told = getattr(error, "server_error", None) is not None
    return is_told or isinstance(error, LMStudioChannelClosedError)
