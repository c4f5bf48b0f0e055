"""Looks after open calls, in the I/O thread: starts and ends them, owes cancels, keeps time limits.

Every 0.25 s, and at the next time limit, it goes round all open calls (`sweep`): so that no claim
is overlooked whose wake-up was lost to Ctrl-C, no dropped iterator, and no limit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._concurrency import fork
from .._concurrency.cancel_token import resume_interrupted
from .._concurrency.clock import monotonic
from ..errors import LMStudioClientError, LMStudioError, LMStudioTimeoutError
from .call import END, WAKE, Call, CancelOnDrop, Outcome
from .frames import FragmentedMessage
from .port import ClientPort
from .reactor import Reactor, close_copy

if TYPE_CHECKING:
    from .._concurrency.deadline import Deadline
    from .connect import Connector

CLOSED_REASON = "client closed"
_SWEEP = 0.25  # seconds between two looks at all open calls
_BRIEFLY = 0.005  # seconds between two looks at least, however many time limits pass
_REST = 60.0  # seconds between them with nothing open


class Dispatcher:
    """The open calls of one client.

    Thread safety: `open` is added to by all threads, and `dropped` by weak references; everything
    else is for the I/O thread, which others ask by `reactor.post`.
    """

    def __init__(self, connector: Connector) -> None:
        """Prepare; no thread and no connection yet."""
        self.process = fork.current
        self.reactor = Reactor(self)
        self.dropped: deque[CancelOnDrop] = deque()
        self.open: dict[int, Call] = {}
        self._connector = connector
        self._ports: dict[str, ClientPort] = {}
        self._closing: Deadline | None = None
        self._failure: LMStudioError | None = None

    # -- for the reactor ----------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Find dropped streams and iterators; now and then, look at every open call."""
        while self.dropped:
            call = self.dropped.popleft().call
            if call.outcome is None:
                call.cancel("the stream was dropped before its end")
        if now >= self.reactor.sweep_at:
            self.reactor.sweep_at = now + (_SWEEP if self.open else _REST)
            if self._closing is not None:
                self._sweep_by(min(now + _SWEEP, max(self._closing.at, now)))
            resume_interrupted()
            for call in list(self.open.values()):
                self._look_at(call, now)

    def _sweep_by(self, when: float) -> None:
        if when < self.reactor.sweep_at:
            self.reactor.sweep_at = when

    def _look_at(self, call: Call, now: float) -> None:
        if call.is_cancelled and not call.cancel_seen:
            call.inbox.put(WAKE)  # Ctrl-C came between the claim and this
            self.cancelled(call)
        if call.outcome is None:
            limit = _limit_of(call)
            if limit <= now:
                self._expire(call, now)
            else:
                self._sweep_by(max(limit, now + _BRIEFLY))

    def _expire(self, call: Call, now: float) -> None:
        if call.grace_ends is not None:
            self.end(call, Outcome())
        else:
            self._send_cancel(call)
            self.end(call, Outcome(error=_timeout_error(call, now)))

    def is_done(self) -> bool:
        """Return whether it was closed, and nothing is left to be written."""
        if self._closing is None:
            return False
        self.reactor.run_commands()  # the cancels that came before the close
        flush, error = self._closing.remaining() != 0, self._closed_error()
        return not any([port.close(error, flush=flush) for port in self._ports.values()])

    def finish(self, failure: LMStudioError | None) -> None:
        """End everything: the thread ends."""
        self._failure = failure
        for port in self._ports.values():
            port.close(self._closed_error(), flush=False)
        for call in list(self.open.values()):
            self.end(call, Outcome(error=self._closed_error()))

    # -- commands -----------------------------------------------------------------------------

    def begin(self, call: Call, text: bytes | FragmentedMessage) -> None:
        """Start a call."""
        if call.outcome is not None:  # it ended before this thread came to it
            self.open.pop(call.id, None)
        elif call.claim:  # cancelled before it was written: nothing is ever sent
            self.end(call, Outcome())
        elif self._closing is not None or self.reactor.has_ended:
            self.end(call, Outcome(error=self._closed_error()))
        else:
            self._sweep_by(min(_limit_of(call), monotonic() + _SWEEP))
            self._port_of(call).start(call, text)

    def _port_of(self, call: Call) -> ClientPort:
        path = call.endpoint.path
        port = self._ports.get(path)
        if port is None:
            port = self._ports[path] = ClientPort(path, self.reactor, self._connector, self.end)
        return port

    def write_on(self, path: str) -> None:
        """Write what there is: a frame more of a message was made."""
        port = self._ports.get(path)
        if port is not None:
            port.write_on()

    def cancelled(self, call: Call) -> None:
        """Send the cancel, if one is still owed."""
        # Each cancel() posts this; only the first that finds an open call sends anything.
        if call.cancel_seen or call.outcome is not None or not call.is_cancelled:
            return
        call.cancel_seen = True
        if not self._send_cancel(call):
            if call.id in self.open:  # started, but not written: it is withdrawn
                self.end(call, Outcome())
        elif call.endpoint.channel and call.grace > 0:
            call.grace_ends = monotonic() + call.grace
            self._sweep_by(call.grace_ends)
        else:
            self.end(call, Outcome())

    def _send_cancel(self, call: Call) -> bool:
        """Tell the server to stop a call; return False if there is nothing to stop."""
        port = self._ports.get(call.endpoint.path)
        return port is not None and port.send_cancel(call)

    def fail(self, call: Call, error: LMStudioError) -> None:
        """End a call with an error of ours, and tell the server to stop."""
        if call.outcome is None:
            if not call.cancel_seen:
                self._send_cancel(call)
            self.end(call, Outcome(error=error))

    def end(self, call: Call, outcome: Outcome) -> None:
        """Store how a call ended, then wake whoever waits for it."""
        if call.outcome is not None:
            return
        # Stored first: who is woken by END or as a waiter looks at it at once, and who is woken by
        # nothing (Ctrl-C took the wake-up) finds it at the next look.
        call.outcome = outcome
        self.open.pop(call.id, None)
        if (port := self._ports.get(call.endpoint.path)) is not None:
            port.forget(call)
        call.owners.clear()  # after the outcome: who adds one looks at that second
        if call.claim:  # otherwise a token may still cancel it, until somebody takes the end
            call.unfollow()
        call.inbox.put(END)
        call.notify()

    def send_cancels(self, done: Callable[[], object]) -> None:
        """At exit: cancel what runs, withdraw what waits, and wake nobody; then call `done`."""
        for call in list(self.open.values()):
            if not (call.is_sent and call.grace > 0):
                # No cancel for its waiter, which would raise an error, and print it.
                if (port := self._ports.get(call.endpoint.path)) is not None:
                    port.send_cancel(call)
                    port.forget(call)
                call.outcome = Outcome()
                self.open.pop(call.id, None)
            elif not call.cancel_seen:
                call.claim.set("the interpreter exits")
                self.cancelled(call)
        done()

    def close(self, deadline: Deadline) -> None:
        """Leave, at the latest at the deadline."""
        self._closing = deadline
        self._sweep_by(0.0)
        for call in list(self.open.values()):  # also what was started since the caller looked
            call.cancel(CLOSED_REASON)

    def let_go(self) -> None:
        """In a forked child: close its copies of the parent's descriptors, and nothing else."""
        for port in list(self._ports.values()):
            if port.transport is not None:
                close_copy(port.transport.socket)
        self.reactor.let_go()

    def _closed_error(self) -> LMStudioError:
        return self._failure or closed_error()


def closed_error() -> LMStudioClientError:
    """Return the error of a call on a client that was closed."""
    return LMStudioClientError("The client is closed. Make a new one.")


def _limit_of(call: Call) -> float:
    """When the time of a call is over, as far as is known now."""
    if call.grace_ends is not None:
        return call.grace_ends
    limit = math.inf
    if call.timeout is not None:
        limit = call.started + call.timeout
    if call.idle_timeout is not None:
        limit = min(limit, call.heard + call.idle_timeout)
    return limit


def _timeout_error(call: Call, now: float) -> LMStudioTimeoutError:
    if call.timeout is not None and now >= call.started + call.timeout:
        words = f"{call.endpoint.label} did not end within timeout={call.timeout:g} s."
    else:
        words = (
            f"{call.endpoint.label} was given up: LM Studio was silent for "
            f"idle_timeout={call.idle_timeout:g} s."
        )
    return LMStudioTimeoutError(words)
