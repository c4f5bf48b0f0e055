"""What the server's messages mean: which open call each is for, and what it tells. No I/O.

Ids are never used twice, so a message for an id that is not open is a late one, and is dropped.
An id is an int: 1.0 and true, which Python finds in a dict in the place of 1, are none of ours.
Thread safety: one thread only (the I/O thread). Nothing here raises for what a peer sends.
"""

from __future__ import annotations

import enum
import json
import re
from typing import Any, NamedTuple, TypeAlias

from .call import Call


class Kind(enum.Enum):
    """What a message tells about a call."""

    PACKET = "a packet of a channel that goes on"
    OUTCOME = "a channel's final packet, or the result of an RPC"
    ERROR = "the server's error object"
    CLOSED = "the channel was closed before its outcome"
    REFUSED = "the server will not answer: a `Refusal`"
    MALFORMED = "the channel has a packet without a type, and goes on"


# On the path of a token a member of an enum is looked up in its class each time; not these.
PACKET, OUTCOME = Kind.PACKET, Kind.OUTCOME

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


class Refusal(NamedTuple):
    """The calls that a warning ends, and its text."""

    calls: list[Call]
    text: str


# What a message is about: its kind, the call and its data. None: nobody waits for it.
Received: TypeAlias = "tuple[Kind, Call, Any] | None"


class Protocol:
    """The open calls of one connection."""

    def __init__(self) -> None:
        """Start with none."""
        self.calls: dict[int, Call] = {}
        self.ending: set[int] = set()  # cancelled channels that the server has not closed yet
        self.warnings = 0

    @property
    def is_mute(self) -> bool:
        """Whether the server has stopped warning on this connection."""
        return self.warnings >= MAX_WARNINGS

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer; a channel that is only kept open is none."""
        return not any(call.endpoint.is_awaited for call in self.calls.values())

    def receive(self, message: Any) -> Received:
        """Return what a decoded message is: its kind, the call and its data."""
        try:
            kind = message["type"]
            if kind == "channelSend":
                number = message["channelId"]
                call = self.calls.get(number)
                if call is None or not call.endpoint.channel or number.__class__ is not int:
                    return None
                packet = message["message"]
                if packet["type"] in call.endpoint.finals:
                    return OUTCOME, call, packet
                return PACKET, call, packet
            if kind == "rpcResult":
                return self._rpc(message, OUTCOME, message.get("result"))
            if kind == "rpcError":
                return self._rpc(message, Kind.ERROR, message.get("error"))
            if kind == "channelClose":
                return self._channel(message, Kind.CLOSED, None)
            if kind == "channelError":
                return self._channel(message, Kind.ERROR, message.get("error"))
            if kind == "communicationWarning":
                return self._warning(message)
        except (KeyError, TypeError, AttributeError):
            return self._malformed(message)
        return None

    def _rpc(self, message: dict[str, Any], kind: Kind, data: Any) -> Received:
        call = self._call(message["callId"])
        return None if call is None or call.endpoint.channel else (kind, call, data)

    def _channel(self, message: dict[str, Any], kind: Kind, data: Any) -> Received:
        call = self._call(message["channelId"])
        self.ending.discard(message["channelId"])
        return None if call is None or not call.endpoint.channel else (kind, call, data)

    def _call(self, number: Any) -> Call | None:
        return self.calls.get(number) if number.__class__ is int else None

    def _malformed(self, message: Any) -> Received:
        """A packet without a type fails its channel; anything else concerns nobody."""
        if isinstance(message, dict) and message.get("type") == "channelSend":
            call = self._call(message.get("channelId"))
            if call is not None and call.endpoint.channel:
                return Kind.MALFORMED, call, None
        return None

    def _warning(self, message: dict[str, Any]) -> Received:
        self.warnings += 1
        kind, text = message.get("kind"), str(message.get("warning", ""))
        match = _ENDPOINT.search(text)
        if match is None or not (kind in _ENDPOINT_KINDS or kind in _PARAMETER_KINDS):
            return None
        channel = str(kind).startswith("channel")
        calls = [
            call
            for call in self.calls.values()
            if call.endpoint.name == match[1] and call.endpoint.channel is channel
        ]
        if kind in _PARAMETER_KINDS:
            calls = _with_echoed_parameter(calls, text)
        return (Kind.REFUSED, calls[0], Refusal(calls, text)) if calls else None


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
