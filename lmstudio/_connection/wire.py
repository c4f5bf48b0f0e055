"""An open socket on which everything ends at one deadline, or when its attempt is given up."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable
from typing import TypeVar

from .._api.secret import Secret
from .._concurrency.deadline import Deadline
from ..errors import LMStudioWebsocketError

SLICE = 0.25  # seconds after which an attempt that was given up is noticed
_T = TypeVar("_T")


class Attempt:
    """One try to open a connection, shared by the thread that makes it and the one that waits.

    Attributes:
        deadline: When it is given up.
        aborted: Whether it was.
        url: Where it goes to, once that is known; the thread that makes it sets it.
        socket: What is being opened, once there is one; the thread that makes it sets it.
    """

    __slots__ = ("_seconds", "aborted", "deadline", "socket", "url")

    def __init__(self, seconds: float | None) -> None:
        """Start the clock."""
        self.deadline: Deadline = Deadline(seconds)
        self.aborted: bool = False
        self.url: str | None = None
        self._seconds = seconds
        self.socket: socket.socket | None = None

    def not_answered(self) -> LMStudioWebsocketError:
        """Return the error that its time is over. Both threads look at the time."""
        where = "" if self.url is None else f" at {self.url}"
        limit = "" if self._seconds is None else f"={self._seconds:g} s"
        return LMStudioWebsocketError(
            f"LM Studio is not reachable{where}: it did not answer within connect_timeout{limit}. "
            "Is LM Studio running? Is its local server on?"
        )

    def adopt(self, sock: socket.socket) -> None:
        """The thread that makes it: make a socket known, so that `abort` reaches it."""
        self.socket = sock
        self.check()

    def check(self) -> None:
        """The thread that makes it: raise if it was given up."""
        if self.aborted:
            raise LMStudioWebsocketError("The connection attempt was given up.")

    def remaining(self) -> float | None:
        """The thread that makes it: return the seconds left, more than 0; None for no limit.

        Raises:
            TimeoutError: None are left.
            LMStudioWebsocketError: It was given up.
        """
        self.check()
        seconds = self.deadline.remaining()
        if seconds == 0:
            raise TimeoutError
        return seconds

    def run(self, sock: socket.socket, step: Callable[[], _T]) -> _T:
        """The thread that makes it: run a step that waits for a socket, as long as there is time.

        Raises:
            OSError: The connection broke, or the time is over.
            LMStudioWebsocketError: It was given up.
        """
        while True:
            seconds = self.remaining()
            # In slices: Windows may let a thread wait on, though `abort` shuts the socket down.
            sock.settimeout(SLICE if seconds is None else min(seconds, SLICE))
            try:
                return step()
            except TimeoutError as error:
                if error.errno is not None:  # the system gave up, not we
                    raise

    def abort(self) -> None:
        """Any thread: end the attempt; its outcome is ignored from now on."""
        self.aborted = True
        sock = self.socket
        if sock is not None:
            with contextlib.suppress(OSError):
                # Wakes a thread that waits, but on Windows. Not the method of SSLSocket: that
                # takes TLS off first, and what the other thread sends then would go unencrypted.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Wire:
    """An open socket: all that is sent and received has the one deadline of its attempt.

    Thread safety: the thread that makes the attempt.
    """

    __slots__ = ("_attempt", "socket")

    def __init__(self, sock: socket.socket, attempt: Attempt) -> None:
        """Use a socket that the attempt knows."""
        self.socket: socket.socket = sock
        self._attempt = attempt

    def send(self, data: Secret[bytes]) -> None:
        """Send all of it.

        Raises:
            OSError: The connection broke, or the time is over.
            LMStudioWebsocketError: The attempt was given up.
        """
        left = memoryview(data.reveal())
        while left:
            count = self._attempt.run(self.socket, functools.partial(self.socket.send, left))
            left = left[count:]

    def receive(self, most: int) -> bytes:
        """Return what has come, at most so many bytes; nothing at the end.

        Raises:
            OSError: The connection broke, or the time is over.
            LMStudioWebsocketError: The attempt was given up.
        """
        return self._attempt.run(self.socket, lambda: self.socket.recv(most))

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def lost() -> ConnectionResetError:
    """Return the error for a connection that ended too early."""
    return ConnectionResetError("connection to remote host was lost")
