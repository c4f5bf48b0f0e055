"""What the server's messages mean: which open call each is for, and what it tells. No I/O.

Ids are never used twice, so a message for an id that is not open is a late one, and is dropped.
Thread safety: one thread only (the I/O thread). Nothing here raises for what a peer sends.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, TypeAlias

from .call import Call

__all__ = [
    "CLOSED",
    "ERROR",
    "NOTHING",
    "OUTCOME",
    "PACKET",
    "WARNING",
    "Protocol",
    "Received",
    "Warned",
]

# What a message tells about a call:
NOTHING = 0  # nobody waits for it
PACKET = 1  # a packet of a channel that goes on
OUTCOME = 2  # a channel's final packet, or the result of an RPC
ERROR = 3  # the server's error object
CLOSED = 4  # the channel was closed before its outcome
WARNING = 5  # the server will not answer: a `Warned`

# The kinds of warning after which a call stays unanswered. (`channelUnknown`, which a late
# cancel draws, and the others concern nobody.)
_ENDPOINT_KINDS = frozenset(
    f"{what}Endpoint{problem}"
    for what in ("rpc", "channel")
    for problem in ("Unknown", "Unhandled")
)
_PARAMETER_KINDS = frozenset({"rpcParameterTypeError", "channelCreationParameterTypeError"})
_ENDPOINT = re.compile(r"\bendpoint(?:Name)? = ([^\s,]+)")
_ECHO = re.compile(r"\b(?:creationP|p)arameter = ")
# After these many warnings on a connection a server stays silent about all that follow.
MAX_WARNINGS = 5


class Warned(NamedTuple):
    """The calls that a warning ends, and its text."""

    calls: list[Call]
    text: str


Received: TypeAlias = "tuple[int, Call | None, Any]"
_NOTHING: Received = (NOTHING, None, None)


class Protocol:
    """The open calls of one connection."""

    def __init__(self) -> None:
        """Start with none."""
        self.calls: dict[int, Call] = {}
        self.warnings = 0

    @property
    def is_mute(self) -> bool:
        """Whether the server has stopped warning on this connection."""
        return self.warnings >= MAX_WARNINGS

    def receive(self, message: Any) -> Received:
        """Return what a decoded message is: its kind, the call and its data."""
        try:
            kind = message["type"]
            if kind == "channelSend":
                call = self.calls.get(message["channelId"])
                if call is None or not call.endpoint.channel:
                    return _NOTHING
                packet = message["message"]
                if packet["type"] in call.endpoint.finals:
                    return OUTCOME, call, packet
                return PACKET, call, packet
            if kind == "rpcResult":
                return self._rpc(message, OUTCOME, message.get("result"))
            if kind == "rpcError":
                return self._rpc(message, ERROR, message.get("error"))
            if kind == "channelClose":
                return self._channel(message, CLOSED, None)
            if kind == "channelError":
                return self._channel(message, ERROR, message.get("error"))
            if kind == "communicationWarning":
                return self._warning(message)
        except (KeyError, TypeError, AttributeError):
            return self._malformed(message)
        return _NOTHING

    def _rpc(self, message: dict[str, Any], kind: int, data: Any) -> Received:
        call = self.calls.get(message["callId"])
        return _NOTHING if call is None or call.endpoint.channel else (kind, call, data)

    def _channel(self, message: dict[str, Any], kind: int, data: Any) -> Received:
        call = self.calls.get(message["channelId"])
        return _NOTHING if call is None or not call.endpoint.channel else (kind, call, data)

    def _malformed(self, message: Any) -> Received:
        """A packet without a type fails its channel; anything else concerns nobody."""
        if isinstance(message, dict) and message.get("type") == "channelSend":
            number = message.get("channelId")
            call = self.calls.get(number) if isinstance(number, int) else None
            if call is not None and call.endpoint.channel:
                return WARNING, None, Warned([call], "LM Studio sent a packet without a type")
        return _NOTHING

    def _warning(self, message: dict[str, Any]) -> Received:
        self.warnings += 1
        kind, text = message.get("kind"), str(message.get("warning", ""))
        match = _ENDPOINT.search(text)
        if match is None or not (kind in _ENDPOINT_KINDS or kind in _PARAMETER_KINDS):
            return _NOTHING
        channel = str(kind).startswith("channel")
        calls = [
            call
            for call in self.calls.values()
            if call.endpoint.name == match[1] and call.endpoint.channel is channel
        ]
        if kind in _PARAMETER_KINDS:
            calls = _with_echoed_parameter(calls, text)
        return WARNING, None, Warned(calls, text)


def _with_echoed_parameter(calls: list[Call], text: str) -> list[Call]:
    """Return the call whose parameter the text repeats, else the sole one, else none."""
    match = _ECHO.search(text)
    if match is not None:
        try:
            echoed, _ = json.JSONDecoder().raw_decode(text, match.end())
        except (ValueError, RecursionError):
            echoed = None
        same = [call for call in calls if echoed is not None and call.parameter == echoed]
        if same:
            return same[:1]
    return calls if len(calls) == 1 else []
