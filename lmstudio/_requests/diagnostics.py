"""Requests about what LM Studio tells of itself."""

from __future__ import annotations

from typing import Any

from .._connection.endpoints import channel
from .._connection.request import Request
from .._json.converter import structure
from .._json.whole import whole
from .._values.log_events import DiagnosticsLogEvent
from ..errors import LMStudioProtocolError

_STREAM_LOGS = channel("diagnostics", "streamLogs", "Streaming the logs", "Log stream", stop="stop")


def stream_logs() -> Request[DiagnosticsLogEvent | None]:
    """Ask for the events of the log: what each packet means; None for what is no event of it."""

    def read(packet: Any) -> DiagnosticsLogEvent | None:
        try:
            is_log = packet["type"] == "log"
            return structure(whole(packet.get("log")), DiagnosticsLogEvent) if is_log else None
        except LMStudioProtocolError:  # who watches for days is not stopped by one odd event
            return None

    return Request(_STREAM_LOGS, None, read)
