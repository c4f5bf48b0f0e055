"""The I/O thread: a selector, a wake-up byte, commands from other threads, and timers.

It may block in `select` only; what unblocks it are sockets, the wake-up byte, a timer, and the time
at which its owner wants to look round. It knows no call and no connection.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._concurrency.drain import drain
from .._concurrency.once import Once
from .._concurrency.threads import start_daemon
from ..errors import LMStudioError, LMStudioRuntimeError

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """For whom the I/O thread runs; all of this is called in that thread."""

    def sweep(self, now: float) -> None:
        """Do what there is to do after each round, and more of it when `sweep_at` has come."""
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
        self.process = fork.current
        self.commands: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.has_ended = False
        self.sweep_at = 0.0  # when the owner wants to look round at the latest, says the owner
        self.thread: threading.Thread | None = None  # the one that runs this
        self.selector: selectors.BaseSelector  # opened by the thread
        self._owner = owner
        self._start_lock = threading.Lock()
        self._is_taken = Once()  # by the thread that runs this
        self._wake_reader: socket.socket
        self._wake_writer: socket.socket | None = None
        self._timers: list[tuple[float, int, Callable[[float], object]]] = []
        self._timer_ids = itertools.count()

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, if that was not done.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        if self.thread is None:
            with self._start_lock:
                if self.thread is None:
                    refusal = "No connection can be opened"
                    self.thread = start_daemon(self._run, "lmstudio-io", refusal=refusal)

    def join(self, seconds: float | None) -> None:
        """Wait until the thread has ended, if there is one, and it is not this one."""
        # Without the lock of `start`, which a signal handler may have interrupted.
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def post(self, command: Callable[..., object], *arguments: Any) -> None:
        """Have the I/O thread run a command. Takes no lock, never blocks."""
        # Appended first: the thread takes the byte first, and looks at the commands second.
        self.commands.append((command, arguments))
        self.wake()

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
            return  # Ctrl-C hit the start of the first thread, which runs all the same
        self.thread = threading.current_thread()
        failure: LMStudioError | None = None
        try:
            self._open_waker()
            while not self._owner.is_done():
                self._run_once()
        except Exception as caught:  # a bug of ours: nobody may be left waiting
            logger.debug("the I/O thread failed", exc_info=True)
            failure = LMStudioRuntimeError(f"lmstudio's I/O thread failed: {caught!r}")
        finally:
            # Set first: who appends a command from now on looks at it, and drains them himself.
            self.has_ended = True
            self._owner.finish(failure)
            self.drain_late_commands()
            self._close_waker()

    def _open_waker(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._wake_reader, writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        writer.setblocking(False)
        self.selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._wake_writer = writer

    def _close_waker(self) -> None:
        if self._wake_writer is not None:
            self.selector.close()
            self._wake_reader.close()
            self._wake_writer.close()

    def _run_once(self) -> None:
        self.run_commands()
        until, now = self.sweep_at, monotonic()
        if self._timers and self._timers[0][0] < until:
            until = self._timers[0][0]
        events = self.selector.select(until - now if until > now else 0.0)
        now = monotonic()
        for key, mask in events:
            if key.data is None:
                self.run_commands()  # before the byte is taken: saves a hand-over of the GIL
                self._take_wake_bytes()
                self.run_commands()  # what was appended before the next byte could be written
            else:
                key.data.on_ready(mask, now)
        while self._timers and self._timers[0][0] <= now:
            _, _, function = heapq.heappop(self._timers)
            function(now)
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
        """Call ``function(now)`` once `when` has passed."""
        heapq.heappush(self._timers, (when, next(self._timer_ids), function))
