"""The I/O thread: a selector, a wake-up byte, commands from other threads, and timers.

It may block in `select` only; what unblocks it are sockets, the wake-up byte, a timer, and the time
at which its owner wants to look round. It knows no call and no connection.

Time is judged only by a look at the sockets that began later and found nothing to read. So what has
arrived counts first, also after this process was stopped or could not run for a long time.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import math
import os
import queue
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .._api.shown import Failure
from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.drain import drain
from .._concurrency.once import Once
from .._concurrency.threads import may_wait, start_daemon
from ..errors import LMStudioError, LMStudioRuntimeError

logger = logging.getLogger(__name__)

_MOST_TURNS = 256  # that time may be judged late while there is always something to read: 16 MiB,
_LATEST = 2.0  # or so many seconds, since a turn may take long: 64 KiB hold many small frames
_AWAY = 0.1  # seconds by which the thread comes late, from which on it counts as having been away


class Owner(Protocol):
    """For whom the I/O thread runs; all of this is called in that thread."""

    def after_each_turn(self) -> None:
        """Do what there is to do after each turn."""
        ...

    def sweep(self, now: float) -> None:
        """Look round, since `sweep_at` has come: all that arrived before `now` was read."""
        ...

    def was_away(self, seconds: float) -> None:
        """Learn that this process, or this thread, could not run for so long: nobody listened."""
        ...

    def is_done(self) -> bool:
        """Return whether the thread may end."""
        ...

    def finish(self, failure: LMStudioError | None) -> None:
        """Leave nobody waiting: the thread ends, by a failure or because it is done."""
        ...


class SocketHandler(Protocol):
    """Reads and writes a socket that is registered with the selector."""

    def on_ready(self, events: int, now: float) -> None:
        """Read and write what the socket allows; `now` is the time of arrival."""
        ...


def close_copy(sock: socket.socket) -> None:
    """Close a forked child's copy of a socket, without a word to the other side."""
    try:
        os.close(sock.detach())
    except OSError:  # it was closed before
        pass


class Reactor:
    """What runs in the I/O thread.

    Thread safety: `start`, `post`, `wake` and `drain_late_commands` are for all threads; everything
    else is for the I/O thread.
    """

    def __init__(self, owner: Owner) -> None:
        """Prepare; no thread yet."""
        self.process: object = fork.current
        self.commands: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.has_ended: bool = False
        # When the owner wants to look round at the latest, says the owner.
        self.sweep_at: float = 0.0
        self.thread: threading.Thread | None = None  # the one that runs this
        self.selector: selectors.BaseSelector  # opened by the thread
        self._owner = owner
        self._is_taken = Once()  # by the thread that runs this
        self._has_left = Once()  # that thread is through with everything
        self._leave_waiters: deque[queue.SimpleQueue[None]] = deque()
        self._turns_late = 0
        self._late_since = 0.0  # when the first of these turns began
        self._last_turn = math.inf  # when the last turn began to work
        self._was_away = False
        self._rest: object = object()  # the last time that the thread went to rest ...
        self._disturbed: object = None  # ... and the last one for which `post` wrote a byte
        self._wake_reader: socket.socket
        self._wake_writer: socket.socket | None = None
        self._timers: list[tuple[float, int, Callable[[float], object]]] = []
        self._timer_ids = itertools.count()

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, if that was not done. Takes no lock.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        if self.thread is None:
            # Two threads may come here at once, or a signal handler in between: the thread that
            # runs first stays, and the other one ends at once.
            refusal = "No connection can be opened"
            thread = start_daemon(self._run, "lmstudio-io", refusal=refusal, may_wait=False)
            self.thread = self.thread or thread

    @property
    def is_running(self) -> bool:
        """Whether what is posted will be done by the thread."""
        return self.thread is not None and not self.has_ended

    def join(self, deadline: Deadline) -> None:
        """Wait until the thread has ended, if there is one, and the current one may wait."""
        # Not `Thread.join`, which may be interrupted by a signal handler that joins as well, and
        # waits for a lock then that its own thread has.
        if self.thread is None or not may_wait():
            return
        waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Added first, looked at second; the thread marks its end first, and wakes them second.
        self._leave_waiters.append(waiter)
        if not self._has_left:
            with contextlib.suppress(DeadlinePassed):
                receiver(waiter, deadline)()

    def post(self, command: Callable[..., object], *arguments: Any) -> None:
        """Have the I/O thread run a command. Takes no lock, never blocks."""
        # Appended first: the thread takes the byte first, and looks at the commands second. One
        # byte is enough for each rest: before the next one it looks at the commands again.
        self.commands.append((command, arguments))
        rest = self._rest
        if rest is not self._disturbed:
            self.wake()
            self._disturbed = rest  # last: if Ctrl-C comes before this, there is one byte more

    def let_go(self) -> None:
        """In a forked child: close its copies of the parent's descriptors."""
        selector = getattr(self, "selector", None)
        if selector is not None:
            selector.close()
        for end in (getattr(self, "_wake_reader", None), self._wake_writer):
            if end is not None:
                close_copy(end)

    def wake(self) -> None:
        """Wake the I/O thread. In a forked child this does nothing: the socket is the parent's."""
        writer = self._wake_writer  # None: the thread will look at the commands when it starts
        if writer is not None and self.process is fork.current:
            try:
                writer.send(b"\0")
            except OSError:
                pass  # full: a byte is waiting already; closed: the thread has ended

    def drain_late_commands(self) -> None:
        """Once the thread has ended: do what came too late, so that nobody waits for it."""
        for command, arguments in drain(self.commands):
            command(*arguments)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        """Run until the owner is done."""
        if not self._is_taken.set():
            return  # this is a second thread, and the first one runs
        self.thread = threading.current_thread()
        failure: LMStudioError | None = None
        try:
            self._open_waker()
            while not self._owner.is_done():
                self._run_once()
        except BaseException as caught:  # a bug of ours: nobody may be left waiting
            logger.debug("the I/O thread failed: %s", Failure(caught))
            failure = LMStudioRuntimeError(f"lmstudio's I/O thread failed: {caught!r}")
        finally:
            # Set first: who appends a command from now on looks at it, and drains them himself.
            self.has_ended = True
            self._owner.finish(failure)
            self.drain_late_commands()
            self._close_waker()
            self._has_left.set()
            for waiter in drain(self._leave_waiters):
                waiter.put(None)

    def _open_waker(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._wake_reader, writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        writer.setblocking(False)
        self.selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._wake_writer = writer

    def _close_waker(self) -> None:
        # Each for itself: where no descriptors are left, some of them could not be opened.
        for name in ("selector", "_wake_reader", "_wake_writer"):
            if (opened := getattr(self, name, None)) is not None:
                opened.close()

    def _run_once(self) -> None:
        self.run_commands()
        self._rest = object()
        self.run_commands()  # what was appended before that, perhaps without a byte
        until, before = self.sweep_at, monotonic()
        if self._timers and self._timers[0][0] < until:
            until = self._timers[0][0]
        events = self.selector.select(until - before if until > before else 0.0)
        now = monotonic()
        # Late to look, and late to return: it was stopped, or another thread kept it from running.
        late = max(before - self._last_turn, 0.0) + max(now - max(until, before), 0.0)
        self._last_turn = now
        # Not each time, if it always comes late: no silence would ever be long enough.
        if late > _AWAY and not self._was_away:
            self._late_since += late
            self._owner.was_away(late)
        self._was_away = late > _AWAY
        has_read = False
        for key, mask in events:
            if key.data is None:
                self.run_commands()  # before the byte is taken: saves a hand-over of the GIL
                self._take_wake_bytes()
                self.run_commands()  # what was appended before the next byte could be written
            else:
                has_read = True
                key.data.on_ready(mask, now)
        self._owner.after_each_turn()
        if before < until:
            return  # the next turn looks at the sockets once more, and then at the time
        if self._turns_late == 0:
            self._late_since = before
        self._turns_late += 1
        is_flooded = self._turns_late > _MOST_TURNS or now - self._late_since > _LATEST
        if is_flooded or not has_read:
            self._turns_late = 0
            self._judge_time(before)

    def _judge_time(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, _, function = heapq.heappop(self._timers)
            function(now)
        if self.sweep_at <= now:
            self._owner.sweep(now)

    def run_commands(self) -> None:
        """Run what other threads have posted."""
        commands = self.commands
        while commands:
            command, arguments = commands.popleft()
            command(*arguments)

    def _take_wake_bytes(self) -> None:
        try:
            self._wake_reader.recv(4096)
        except BlockingIOError:
            pass

    # -- sockets and time ---------------------------------------------------------------------

    def register(self, sock: socket.socket, handler: SocketHandler) -> None:
        """Have `handler` read a socket from now on."""
        self.selector.register(sock, selectors.EVENT_READ, handler)

    def at(self, when: float, function: Callable[[float], object]) -> None:
        """Call ``function(now)`` once `when` has passed, and all that arrived before was read."""
        heapq.heappush(self._timers, (when, next(self._timer_ids), function))
