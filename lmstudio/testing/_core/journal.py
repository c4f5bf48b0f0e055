"""The record of all that happened on a server, with bounded waiting for what is to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    from .connection import Connection
    from .prediction import Prediction

T = TypeVar("T")


@attrs.frozen
class Received:
    """A message that a client sent, with the endpoint that it belongs to (None if unknown)."""

    message: dict[str, Any]
    connection: Connection
    endpoint: str | None


class Journal:
    """Lists that only grow, and a way to wait for them.

    Thread safety:
        Any thread. Predicates run in the waiting thread, with no lock held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self.connections: list[Connection] = []
        self.received: list[Received] = []
        self.predictions: list[Prediction] = []

    def touch(self) -> None:
        """Wake the waiters: something has changed."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wake the waiters for the last time: nothing will change any more."""
        self._closed = True
        self.touch()

    def wait(self, look: Callable[[], T | None], timeout: float, describe: Callable[[], str]) -> T:
        """Return the first true value of `look()`.

        Args:
            look: Called again after each change.
            timeout: Seconds.
            describe: Called on failure: what was expected and what came.

        Raises:
            AssertionError: The time is over, or the server was closed.
        """
        deadline = time.monotonic() + timeout
        while True:
            seen = self._version
            found = look()
            if found:
                return found
            if self._closed:
                raise AssertionError(f"{describe()} (the server was closed)")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise AssertionError(f"{describe()} (waited {timeout:g} s)")
            with self._changed:
                if self._version == seen:
                    self._changed.wait(remaining)

    def matching(
        self, type: str | None = None, endpoint: str | None = None, path: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the messages that have the type, the endpoint and the namespace path."""
        wanted_path = None if path is None else "/" + path.lstrip("/")
        namespace, _, name = (endpoint or "").rpartition("/")
        return [
            entry.message
            for entry in list(self.received)
            if (type is None or entry.message.get("type") == type)
            and (endpoint is None or entry.endpoint in (name, endpoint))
            and (not namespace or entry.connection.path == "/" + namespace)
            and (wanted_path is None or entry.connection.path == wanted_path)
        ]

    def summary(self, last: int = 5) -> str:
        """Return in a few words what came, the newest last."""
        entries = list(self.received)
        if not entries:
            return f"no message came, on {len(self.connections)} connection(s)"
        shown = ", ".join(_brief(entry) for entry in entries[-last:])
        return f"{len(entries)} message(s) came, the last: {shown}"


def _brief(entry: Received) -> str:
    message = entry.message
    name = f"{entry.connection.path} {message.get('type')}"
    if entry.endpoint:
        name += f" {entry.endpoint}"
    packet = message.get("message")
    if isinstance(packet, dict) and "type" in packet:
        name += f" {packet['type']}"
    return f"[{name}]"
