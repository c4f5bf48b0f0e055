"""The endpoints of LM Studio, as data: where each is, what a call of it does, how it ends."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Endpoint:
    """An endpoint of LM Studio.

    Attributes:
        path: The path of its websocket, such as ``llm``.
        name: Its name there.
        label: What a call of it does, in a user's words, for the beginning of a sentence.
        notice: What an error of it begins with, in the words of the official package.
        channel: It is a channel, not a remote procedure.
        finals: The types of the packets that are the outcome of a channel.
        stop: The type of the packet that stops a channel when it is opened. None: there is none, so
            that it is only forgotten here, and goes on in the server until its connection ends.
        ready: The type of the packet from which on a channel stands open for calls inside it, and
            may rest as long as it likes; None: it has no such state.
        is_awaited: Somebody waits for its outcome; otherwise it is a channel that is kept open.
    """

    path: str
    name: str
    label: str
    notice: str = "RPC"
    channel: bool = False
    finals: frozenset[str] = frozenset()
    stop: str | None = None
    ready: str | None = None
    is_awaited: bool = True

    def start_message(self, call_id: int, parameter: Any) -> dict[str, Any]:
        """Return the message that starts a call. A parameter of None is left out, as it must be."""
        if self.channel:
            kind, number, content = "channelCreate", "channelId", "creationParameter"
        else:
            kind, number, content = "rpcCall", "callId", "parameter"
        message = {"type": kind, "endpoint": self.name, number: call_id}
        if parameter is not None:
            message[content] = parameter
        return message


def rpc(path: str, name: str, label: str | None = None) -> Endpoint:
    """Return a remote procedure."""
    return Endpoint(path, name, label or f"The call of {name}")


def channel(
    path: str,
    name: str,
    label: str,
    notice: str,
    *finals: str,
    stop: str | None = "cancel",
    ready: str | None = None,
    is_awaited: bool = True,
) -> Endpoint:
    """Return a channel that ends with one of the packets `finals`, and is stopped by `stop`."""
    outcomes = frozenset(finals)
    return Endpoint(path, name, label, notice, True, outcomes, stop, ready, is_awaited)


def call_inside(path: str, name: str, label: str, *finals: str, stop: str) -> Endpoint:
    """Return what a call inside a channel asks for: see `InnerCall`.

    The packet that starts one has the type `name`, that which stops it `stop`, those that are its
    outcome are `finals`; each has the number of the call as its ``callId``.
    """
    return Endpoint(path, name, label, finals=frozenset(finals), stop=stop)
