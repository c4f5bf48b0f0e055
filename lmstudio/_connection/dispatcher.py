"""Looks after open calls, in the I/O thread: starts and ends them, owes cancels, keeps time limits.

Every 0.25 s, and at the next time limit, it goes round all open calls (`sweep`): so that no claim
is overlooked whose wake-up was lost to Ctrl-C, no dropped iterator, and no limit.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._concurrency import fork
from .._concurrency.cancel_token import resume_interrupted
from .._concurrency.clock import monotonic
from ..errors import LMStudioClientError, LMStudioError, LMStudioTimeoutError
from .call import AT_EXIT, END, WAKE, Call, CancelOnDrop, Outcome
from .connection_state import ConnectionState
from .frames import FragmentedMessage
from .port import ClientPort
from .reactor import Reactor
from .silence import HeardModels

if TYPE_CHECKING:
    from .._concurrency.deadline import Deadline
    from .connect import Connector

CLOSED_REASON = "client closed"
_SWEEP = 0.25  # seconds between two looks at all open calls
_BRIEFLY = 0.005  # seconds between two looks at least, however many time limits pass
_REST = 60.0  # seconds between them with nothing open
_AFTER_EXIT = 0.2  # seconds after our exit hook, in which Python ends unless a hook goes on


class Dispatcher:
    """The open calls of one client.

    Thread safety: `open` is added to by all threads, and `dropped` by weak references;
    `state.is_connected` may be read by all. Everything else is for the I/O thread, which others ask
    by `reactor.post`.
    """

    def __init__(self, connector: Connector) -> None:
        """Prepare; no thread and no connection yet."""
        self.process: object = fork.current
        self.reactor: Reactor = Reactor(self)
        self.dropped: deque[CancelOnDrop] = deque()
        self.open: dict[int, Call] = {}
        self._connector = connector
        self._ports: dict[str, ClientPort] = {}
        self.state: ConnectionState = ConnectionState(self)
        self._heard_models = HeardModels()
        self._closing: Deadline | None = None
        self._failure: LMStudioError | None = None
        self._at_exit: Callable[[], object] | None = None  # told when nothing runs any more

    # -- for the reactor ----------------------------------------------------------------------

    def after_each_turn(self) -> None:
        """Find dropped streams and iterators."""
        while self.dropped:
            call = self.dropped.popleft().call
            if call.outcome is None:
                call.cancel("the stream was dropped before its end")
        done = self._at_exit
        if done is not None and not self._awaits_ends():
            self._at_exit = None
            done()

    def _awaits_ends(self) -> bool:
        return any(port.protocol.ending for port in self._ports.values())

    def sweep(self, now: float) -> None:
        """Look at every open call, and say when to do so again."""
        self.reactor.sweep_at = now + (_SWEEP if self.open else _REST)
        if self._closing is not None:
            self._sweep_by(min(now + _SWEEP, max(self._closing.at, now)))
        resume_interrupted()
        for call in list(self.open.values()):
            self._look_at_claims(call)
        self._look_at_time(now)

    def was_away(self, seconds: float) -> None:
        """Let no silence count in which nobody listened."""
        now = monotonic()
        for call in list(self.open.values()):
            call.sent = min(call.sent + seconds, now)
            call.heard = min(call.heard + seconds, now)
        for port in self._ports.values():
            port.was_away(seconds)

    def _sweep_by(self, when: float) -> None:
        if when < self.reactor.sweep_at:
            self.reactor.sweep_at = when

    def _look_at_claims(self, call: Call) -> None:
        if call.is_left is not None and not call.claim and call.is_left():
            call.cancel("the event loop is closed")
        if call.is_cancelled and not call.cancel_seen:
            call.inbox.put(WAKE)  # Ctrl-C came between the claim and this
            self.cancelled(call)

    def _look_at_time(self, now: float) -> None:
        """End the calls whose time is over, and note when the next one's will be."""
        late = [call for call in list(self.open.values()) if _limit_of(call) <= now]
        if late:
            self._heard_models.note(late, list(self.open.values()))
            for call in late:
                if _limit_of(call) <= now:
                    self._expire(call, now)
        limits = [_limit_of(call) for call in list(self.open.values())]
        self._sweep_by(max(min(limits, default=math.inf), now + _BRIEFLY))

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
        self.state.close(has_failed=failure is not None)
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
            now, limit = monotonic(), _limit_of(call)
            if limit <= now:  # a limit of 0, or another part of the operation has used it up
                self.end(call, Outcome(error=_timeout_error(call, now)))
            else:
                self._sweep_by(min(limit, now + _SWEEP))
                self._port_of(call).start(call, text)

    def _port_of(self, call: Call) -> ClientPort:
        path = call.endpoint.path
        port = self._ports.get(path)
        if port is None:
            port = self._ports[path] = ClientPort(
                path, self.reactor, self._connector, self.end, self.state.changed
            )
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
        elif call.stop is not None and call.grace > 0:
            call.grace_ends = monotonic() + call.grace
            self._sweep_by(call.grace_ends)
        else:
            self.end(call, Outcome())

    def _send_cancel(self, call: Call) -> bool:
        """Tell the server to stop a call; return False if there is nothing to stop."""
        port = self._ports.get(call.endpoint.path)
        return port is not None and port.send_cancel(call)

    def send(self, call: Call, text: bytes | FragmentedMessage, stop: str | None) -> None:
        """Send something into a call, unless it has ended or is cancelled.

        From then on, `stop` is the type of the packet that stops it, if it is not None.
        """
        if call.outcome is None and not call.claim:
            call.unsent.append((text, stop))
            self._port_of(call).send_on(call)

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
        if self.open:
            self._heard_models.note_end(call)
        else:
            self._heard_models.forget()
        if (port := self._ports.get(call.endpoint.path)) is not None:
            port.forget(call)
        call.owners.clear()  # after the outcome: who adds one looks at that second
        if call.claim:  # otherwise a token may still cancel it, until somebody takes the end
            call.unfollow()
        call.inbox.put(END)
        call.notify()

    def send_cancels(self, done: Callable[[], object]) -> None:
        """At exit: cancel what runs, withdraw what waits, and wake nobody for now.

        A thread that wakes now may write to standard output while Python takes that apart. Only
        where an exit hook goes on, which may wait for such a thread, it wakes a little later.

        `done` is called when the server has ended what was cancelled: a process that is gone
        earlier resets its connections, and the reset may overtake the cancel.
        """
        calls = list(self.open.values())
        for call in calls:
            call.claim.set(AT_EXIT)
            if (port := self._ports.get(call.endpoint.path)) is not None:
                if not call.cancel_seen:
                    call.cancel_seen = True
                    port.send_cancel(call)
                port.forget(call)
            call.outcome = Outcome()
            self.open.pop(call.id, None)
        self.reactor.at(monotonic() + _AFTER_EXIT, functools.partial(_wake, calls))
        self._at_exit = done

    def close(self, deadline: Deadline) -> None:
        """Leave, at the latest at the deadline."""
        self._closing = deadline
        self._sweep_by(0.0)
        self.state.close()
        for call in list(self.open.values()):  # also what was started since the caller looked
            call.cancel(CLOSED_REASON)

    def let_go(self) -> None:
        """In a forked child: close its copies of the parent's descriptors, and nothing else."""
        for port in list(self._ports.values()):
            port.let_go()
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
        limit = min(limit, max(call.sent, call.heard) + call.idle_timeout)
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


def _wake(calls: list[Call], _now: float) -> None:
    """Have those who wait for calls that were ended in silence see it."""
    for call in calls:
        call.inbox.put(END)
        call.notify()
