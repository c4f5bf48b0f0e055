"""The record of all that clients did on a server."""

from __future__ import annotations

from typing import Any

import attrs

from .._protocol.names import check_endpoint, check_message_type, check_path
from .connection import Connection
from .prediction import Prediction
from .tool_run import ToolRun


@attrs.frozen
class Received:
    """A message that a client sent, with the endpoint that it belongs to (None if unknown)."""

    message: dict[str, Any]
    connection: Connection
    endpoint: str | None


class Journal:
    """Lists that only grow; `Changes` tells when they have.

    Thread safety:
        The loop thread appends; any thread reads.
    """

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.received: list[Received] = []
        self.predictions: list[Prediction] = []
        self.tool_runs: list[ToolRun] = []

    def check_filter(self, type: str | None, endpoint: str | None, path: str | None) -> None:
        """Accept what may be looked for.

        Raises:
            ValueError: There is no such type, endpoint or namespace; the text names the nearest.
        """
        if type is not None:
            check_message_type(type)
        if path is not None:
            check_path(path)
        # A client may call what there is not: that is what the test looks for.
        came = [entry.endpoint for entry in list(self.received)]
        if endpoint is not None and endpoint not in came:
            check_endpoint(endpoint)

    def matching(
        self, type: str | None, endpoint: str | None, path: str | None
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

    def calls(self, endpoint: str) -> list[dict[str, Any]]:
        """Return the messages that have opened a call of the endpoint."""
        return [
            message
            for message in self.matching(None, endpoint, None)
            if message["type"] in ("rpcCall", "channelCreate")
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
