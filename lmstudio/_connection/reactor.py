"""The I/O thread: one selector loop that owns all sockets of a client.

It may block in `select` only; what unblocks it are sockets, the wake-up byte, and a time limit
(0.25 s while a call is open). Others talk to it by appending to `commands` or `orphans`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from .._concurrency import fork as _process
from .._concurrency.deadline import Deadline
from ..errors import (
    LMStudioClientError,
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioTimeoutError,
)
from .call import (
    END,
    STOP,
    Call,
    Ending,
    Leash,
)
from .connect import Connector
from .frames import Pieces
from .port import Link

__all__ = ["CLOSED_REASON", "Loop"]

logger = logging.getLogger(__name__)

CLOSED_REASON = "client closed"
_LOOK_ROUND = 0.25  # seconds between looks at the marks of open calls
_MANY_TIMERS = 250  # that many may belong to calls that are over
_REST = 60.0  # seconds in select with nothing open


class Loop:
    """What runs in the I/O thread.

    Thread safety: `post`, `wake`, `cancelled` and `open` are for all threads, `orphans` is for
    weak references; everything else is for the I/O thread.
    """

    def __init__(self, connector: Connector, connect_timeout: float | None) -> None:
        """Prepare; no thread and no connection yet."""
        self.connector = connector
        self.connect_timeout = connect_timeout
        self.process = _process.current
        self.commands: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.orphans: deque[Leash] = deque()
        self.open: dict[int, Call] = {}
        self.has_ended = False
        self.thread: threading.Thread | None = None  # the one that runs this
        self._runner: dict[int, object] = {}  # set once, by setdefault
        self._fatal: LMStudioError | None = None
        self.selector: selectors.BaseSelector  # opened by the thread
        self._wake_reader: socket.socket
        self._wake_writer: socket.socket | None = None
        self._links: dict[str, Link] = {}
        self._timers: list[tuple[float, int, Callable[[Any, float], None], Any]] = []
        self._timer_ids = itertools.count()
        self._next_look = 0.0
        self._closing: Deadline | None = None

    # -- any thread ---------------------------------------------------------------------------

    def post(self, command: Callable[..., object], *arguments: Any) -> None:
        """Have the I/O thread run a command. Takes no lock, never blocks."""
        self.commands.append((command, arguments))
        self.wake()

    def cancelled(self, call: Call) -> None:
        """Tell the I/O thread that a call was cancelled."""
        self.commands.append((self._on_cancel, (call,)))
        self.wake()

    def wake(self) -> None:
        """Wake the I/O thread. In a forked child this does nothing: the socket is the parent's."""
        writer = self._wake_writer  # None: the thread will look at the commands when it starts
        if writer is not None and self.process is _process.current:
            try:
                writer.send(b"\0")
            except OSError:
                pass  # full: a byte is waiting already; closed: the thread has ended

    def settle_leftovers(self) -> None:
        """Once the thread has ended: do what came too late, so that nobody waits for it."""
        while self.has_ended and self.commands:
            try:
                command, arguments = self.commands.popleft()
            except IndexError:  # another thread took the last one
                return
            command(*arguments)

    # -- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """Run until closed."""
        me = object()
        if self._runner.setdefault(0, me) is not me:
            return  # Ctrl-C hit the start of the first thread, which runs all the same
        self.thread = threading.current_thread()
        try:
            self._open_waker()
            while not self._is_done():
                self._turn()
        except Exception as caught:  # a bug of ours: nobody may be left waiting
            logger.debug("the I/O thread failed", exc_info=True)
            self._fatal = LMStudioRuntimeError(f"lmstudio's I/O thread failed: {caught!r}")
        finally:
            self._finish()

    def _open_waker(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._wake_reader, writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        writer.setblocking(False)
        self.selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._wake_writer = writer

    def _turn(self) -> None:
        self._run_commands()
        events = self.selector.select(self._rest_until(monotonic()))
        now = monotonic()
        for key, mask in events:
            if key.data is None:
                self._run_commands()  # before the byte is taken: saves a hand-over of the GIL
                self._take_wake_bytes()
                self._run_commands()
            else:
                key.data.on_ready(mask, now)
        self._run_timers(now)
        self._look_round(now)

    def _run_commands(self) -> None:
        commands = self.commands
        while commands:
            command, arguments = commands.popleft()
            command(*arguments)

    def _take_wake_bytes(self) -> None:
        try:
            self._wake_reader.recv(4096)
        except BlockingIOError:
            pass

    def _rest_until(self, now: float) -> float:
        rest = _LOOK_ROUND if self.open or self._closing else _REST
        if self._timers:
            rest = min(rest, self._timers[0][0] - now)
        return max(rest, 0.0)

    def _look_round(self, now: float) -> None:
        """Find dropped iterators and streams, and marks whose wake-up was lost to Ctrl-C."""
        while self.orphans:
            call = self.orphans.popleft().call
            if call.ending is None:
                call.cancel("the stream was dropped before its end")
        if now >= self._next_look:
            self._next_look = now + _LOOK_ROUND
            for call in list(self.open.values()):
                for token in call.tokens:
                    if not call.mark and (fired := token._fired()) is not None:
                        call.cancel(fired.reason)
                if call.is_cancelled and not call.cancel_seen:
                    call.inbox.put(STOP)
                    self._on_cancel(call)

    # -- time ---------------------------------------------------------------------------------

    def at(self, when: float, function: Callable[[Any, float], None], argument: Any) -> None:
        """Call ``function(argument, now)`` once `when` has passed."""
        heapq.heappush(self._timers, (when, next(self._timer_ids), function, argument))
        if len(self._timers) > _MANY_TIMERS + 2 * len(self.open):
            self._timers = [timer for timer in self._timers if not _is_idle(timer[3])]
            heapq.heapify(self._timers)

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, _, function, argument = heapq.heappop(self._timers)
            function(argument, now)

    def _arm(self, call: Call) -> None:
        due = _due(call)
        if due is not None:  # weakly: a call may be over long before its time limit
            self.at(due, self._check_time, weakref.ref(call))

    def _check_time(self, reference: weakref.ref[Call], now: float) -> None:
        call = reference()
        due = None if call is None else _due(call)
        if call is None or due is None or call.ending is not None:
            return
        if due > now:  # armed lazily: it was heard of since
            self.at(due, self._check_time, reference)
        elif call.grace_ends is not None:
            self.end(call, Ending())
        else:
            self._links[call.endpoint.namespace].send_cancel(call)
            self.end(call, Ending(error=_timeout_error(call, now)))

    # -- commands -----------------------------------------------------------------------------

    def begin(self, call: Call, text: bytes | Pieces) -> None:
        """Start a call."""
        if call.ending is not None:
            self.open.pop(call.id, None)
            return
        if call.mark:
            self.end(call, Ending())
            return
        if self._closing is not None or self.has_ended:
            self.end(call, Ending(error=self._closed_error()))
            return
        namespace = call.endpoint.namespace
        link = self._links.get(namespace)
        if link is None:
            link = self._links[namespace] = Link(self, namespace)
        self._arm(call)
        link.start(call, text)

    def write_on(self, namespace: str) -> None:
        """Write what there is: a frame more of a message was made."""
        link = self._links.get(namespace)
        if link is not None:
            link.on_ready(selectors.EVENT_WRITE, monotonic())

    def _on_cancel(self, call: Call) -> None:
        """Send the cancel, if one is still owed."""
        if call.cancel_seen or call.ending is not None or not call.is_cancelled:
            return
        call.cancel_seen = True
        link = self._links.get(call.endpoint.namespace)
        if link is None or not link.send_cancel(call):
            if call.id in self.open:  # started, but not written: it is withdrawn
                self.end(call, Ending())
            return
        if call.endpoint.channel and call.grace > 0:
            call.grace_ends = monotonic() + call.grace
            self._arm(call)
        else:
            self.end(call, Ending())

    def fail(self, call: Call, error: LMStudioError) -> None:
        """End a call with an error of ours, and tell the server to stop."""
        if call.ending is None:
            if (link := self._links.get(call.endpoint.namespace)) and not call.cancel_seen:
                link.send_cancel(call)
            self.end(call, Ending(error=error))

    def end(self, call: Call, ending: Ending) -> None:
        """Store how a call ended, then wake whoever waits for it."""
        if call.ending is not None:
            return
        call.ending = ending
        self.open.pop(call.id, None)
        if (link := self._links.get(call.endpoint.namespace)) is not None:
            link.forget(call)
        call.leashes.clear()
        if call.mark:  # otherwise a token may still cancel it, until somebody takes the end
            call.untie()
        call.inbox.put(END)
        call.notify()

    def send_cancels(self, done: Callable[[], object]) -> None:
        """At exit: cancel what runs, withdraw what waits, and wake nobody; then call `done`."""
        for call in list(self.open.values()):
            if not (call.sent and call.grace > 0):  # its waiter would raise an error, and print it
                if (link := self._links.get(call.endpoint.namespace)) is not None:
                    link.send_cancel(call)
                    link.forget(call)
                call.ending = Ending()
                self.open.pop(call.id, None)
            elif not call.cancel_seen:
                call.mark.setdefault(0, (self, "the interpreter exits"))
                self._on_cancel(call)
        done()

    def close(self, deadline: Deadline) -> None:
        """Leave, at the latest at the deadline."""
        self._closing = deadline
        for call in list(self.open.values()):  # also what was started since the caller looked
            call.cancel(CLOSED_REASON)
        self.at(deadline.at, lambda _argument, _now: None, None)

    def _is_done(self) -> bool:
        if self._closing is None:
            return False
        self._run_commands()  # the cancels that came before the close
        flush = self._closing.remaining() != 0
        return not any([link.close(flush) for link in self._links.values()])

    def _closed_error(self) -> LMStudioError:
        return self._fatal or LMStudioClientError("The client is closed. Make a new one.")

    def _finish(self) -> None:
        self.has_ended = True
        for link in self._links.values():
            link.close(flush=False)
        for call in list(self.open.values()):
            self.end(call, Ending(error=self._closed_error()))
        self.settle_leftovers()
        if self._wake_writer is not None:
            self.selector.close()
            self._wake_reader.close()
            self._wake_writer.close()


def _is_idle(argument: Any) -> bool:
    """Whether a timer's argument is a call that is over."""
    if not isinstance(argument, weakref.ref):
        return False
    call = argument()
    return call is None or call.ending is not None


def _due(call: Call) -> float | None:
    """When to look at a call again, or None."""
    if call.grace_ends is not None:
        return call.grace_ends
    limits = []
    if call.timeout is not None:
        limits.append(call.started + call.timeout)
    if call.idle_timeout is not None:
        limits.append(call.heard + call.idle_timeout)
    return min(limits, default=None)


def _timeout_error(call: Call, now: float) -> LMStudioTimeoutError:
    if call.timeout is not None and now >= call.started + call.timeout:
        words = f"{call.endpoint.label} did not end within timeout={call.timeout:g} s."
    else:
        words = (
            f"{call.endpoint.label} was given up: LM Studio was silent for "
            f"idle_timeout={call.idle_timeout:g} s."
        )
    return LMStudioTimeoutError(words)
