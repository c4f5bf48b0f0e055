"""Requests about what LM Studio tells of itself."""

from __future__ import annotations

from typing import Any

from .._connection.endpoints import channel
from .._connection.request import Request
from .._json.converter import structure
from .._values.log_events import DiagnosticsLogEvent

_STREAM_LOGS = channel("diagnostics", "streamLogs", "Streaming the logs", "Log stream", stop="stop")


def stream_logs() -> Request[DiagnosticsLogEvent | None]:
    """Ask for the events of the log: what each packet means; None for an unknown packet."""

    def read(packet: Any) -> DiagnosticsLogEvent | None:
        if packet["type"] != "log":
            return None
        return structure(packet.get("log"), DiagnosticsLogEvent)

    return Request(_STREAM_LOGS, None, read)
