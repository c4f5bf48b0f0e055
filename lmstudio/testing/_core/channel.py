"""The server's end of a channel: what goes out, and what the client sends into it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from .connection import Connection

STOPS = ("cancel", "stop", "discardSession")  # the types of the packets that end a channel


class Channel:
    """A channel that a client has opened.

    Sending: any thread. `arrived` and the callbacks: the loop thread.
    """

    def __init__(
        self, connection: Connection, channel_id: int, namespace: str, endpoint: str
    ) -> None:
        self.connection = connection
        self.id = channel_id
        self.namespace = namespace
        self.endpoint = endpoint
        self.arrivals: list[dict[str, Any]] = []
        self.cancelled: asyncio.Event = asyncio.Event()
        self.on_cancel: Callable[[], object] | None = None
        self.on_message: Callable[[dict[str, Any]], object] | None = None

    def send(self, packet: dict[str, Any], done: Callable[[], object] | None = None) -> None:
        """Queue a packet; `done` is called in the loop thread when it is written."""
        self.connection.post({"type": "channelSend", "channelId": self.id, "message": packet}, done)

    def send_close(self) -> None:
        """Queue the end of the channel."""
        self.connection.post({"type": "channelClose", "channelId": self.id})

    def send_error(self, error: dict[str, Any]) -> None:
        """Queue the failure of the channel."""
        self.connection.post({"type": "channelError", "channelId": self.id, "error": error})

    def arrived(self, packet: dict[str, Any]) -> None:
        """Take a packet of the client."""
        self.arrivals.append(packet)
        if packet.get("type") in STOPS:
            self.cancelled.set()
            if self.on_cancel is not None:
                self.on_cancel()
        if self.on_message is not None:
            self.on_message(packet)

    async def never(self) -> None:
        """Wait until the connection has ended, which cancels the task that waits here."""
        await asyncio.get_running_loop().create_future()

    async def sleep(self, seconds: float) -> bool:
        """Wait, but not beyond the client's cancel; True if it has cancelled."""
        if not self.cancelled.is_set() and seconds > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.cancelled.wait(), seconds)
        return self.cancelled.is_set()
