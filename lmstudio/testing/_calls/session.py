"""The rules of one authenticated connection: envelopes, warnings, calls and channels."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from .._core.channel import Channel
from .._core.connection import Connection, encode
from .._core.core import Core
from .._core.journal import Received
from .._core.loop_thread import logger
from .._endpoints import handlers
from .._protocol.errors import EndpointError, serialize
from .._protocol.json_checks import MISSING, report
from .._protocol.log import Failure
from .._protocol.shapes import CHANNELS, MESSAGES, RPCS, UNHANDLED_CHANNELS, UNHANDLED_RPCS

MAX_WARNINGS = 5
_WHOLE = 2**53  # beyond it, a JavaScript number may be another

# Takes a call away from the server for the test to answer; False if the server is to answer it.
Park: TypeAlias = "Callable[[Session, dict[str, Any], Channel | None], bool]"


class Session:
    """What the server does with the messages of one connection.

    Thread safety:
        The loop thread alone, but for `answer` and `fail`: any thread.
    """

    def __init__(self, core: Core, connection: Connection, namespace: str, park: Park) -> None:
        self.core = core
        self.connection = connection
        self.namespace = namespace
        self._park = park
        self._warnings = 0
        self._channels: dict[int, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, frame: str) -> None:
        """Take one frame. What is no message of the protocol is ignored in silence."""
        if self.core.ending.is_set():
            return  # the end was asked for: who comes behind that sees the connection end
        message = _parse(frame)
        if message is None:
            self.connection.note_malformed(frame)
            return
        kind = message["type"]
        endpoint = message.get("endpoint")
        if kind == "channelSend":
            channel = self._channels.get(message["channelId"])
            endpoint = channel.endpoint if channel else None
        self.connection.note(message)
        self.core.journal.received.append(Received(message, self.connection, endpoint))
        if kind == "keepAlive":
            self.connection.post({"type": "keepAliveAck"})
        elif kind == "rpcCall":
            self._rpc(message)
        elif kind == "channelCreate":
            self._create(message)
        elif kind in ("channelSend", "channelAck"):
            self._into_channel(message)
        elif kind in ("signalSubscribe", "writableSignalSubscribe"):
            # LM Studio has these messages, but no namespace has such an endpoint.
            of = "signalEndpoint" if kind == "signalSubscribe" else "writableSignalEndpoint"
            self._not_there(kind, of, message["endpoint"], {}, {})
        elif kind == "writableSignalUpdate":
            self.warn(
                "writableSignalUnknown",
                f"Received {kind} for unknown subscription, subscribeId = {message['subscribeId']}",
            )
        # Last: a test's thread that wakes finds all that has come of the message.
        self.core.changes.touch()

    def end(self) -> None:
        """Stop all that was still running for the connection, which is gone."""
        for task in list(self._tasks):
            task.cancel()

    def warn(self, kind: str, warning: str) -> None:
        """Send a communication warning; after five on a connection there are no more."""
        self._warnings += 1
        if self._warnings <= MAX_WARNINGS:
            self.connection.post({"type": "communicationWarning", "warning": warning, "kind": kind})

    def answer(self, call_id: int, result: Any) -> None:
        """Send the result of a call; `MISSING` for none."""
        message = {"type": "rpcResult", "callId": call_id}
        if result is not MISSING:
            message["result"] = result
        self.connection.post(message)

    def fail(self, call_id: int, error: dict[str, Any]) -> None:
        """Send the error of a call."""
        self.connection.post({"type": "rpcError", "callId": call_id, "error": error})

    def close_channel(self, channel: Channel, error: dict[str, Any] | None = None) -> None:
        """End a channel: what the client still sends into it is a warning."""
        if self._channels.get(channel.id) is channel:
            del self._channels[channel.id]
            if error is None:
                channel.send_close()
            else:
                channel.send_error(error)

    def _rpc(self, message: dict[str, Any]) -> None:
        endpoint = message["endpoint"]
        if self._not_there("rpcCall", "rpcEndpoint", endpoint, RPCS, UNHANDLED_RPCS):
            return
        parameter = message.get("parameter", MISSING)
        problems = RPCS[self.namespace][endpoint](parameter, "parameter")
        if problems:
            self.warn(
                "rpcParameterTypeError",
                f"Received invalid parameter for rpcCall, endpointName = {endpoint}, "
                f"parameter = {_shown(parameter)}. {report(problems)}",
            )
        elif not self._park(self, message, None):
            self.start_call(message)

    def start_call(self, message: dict[str, Any]) -> None:
        """Let the server itself answer a call."""
        call_id = message["callId"]
        try:
            result = handlers.answer(
                self.core, self.namespace, message["endpoint"], message.get("parameter")
            )
            if not inspect.isawaitable(result):
                self.answer(call_id, result)
                return
        except BaseException as problem:  # an engine's, which must not end the loop
            self.fail(call_id, _as_error(problem))
            return

        async def finish() -> None:
            try:
                self.answer(call_id, await result)
            except asyncio.CancelledError:
                raise
            except BaseException as problem:
                self.fail(call_id, _as_error(problem))

        self._spawn(finish())

    def _create(self, message: dict[str, Any]) -> None:
        endpoint, channel_id = message["endpoint"], message["channelId"]
        if self._not_there(
            "channelCreate", "channelEndpoint", endpoint, CHANNELS, UNHANDLED_CHANNELS
        ):
            return
        if channel_id in self._channels:
            self.warn(
                "channelAlreadyOpen",
                f"Received channelCreate for already open channel, channelId = {channel_id}",
            )
            return
        parameter = message.get("creationParameter", MISSING)
        problems = CHANNELS[self.namespace][endpoint][0](parameter, "creationParameter")
        if problems:
            self.warn(
                "channelCreationParameterTypeError",
                f"Received invalid creationParameter for channel, endpointName = {endpoint}, "
                f"creationParameter = {_shown(parameter)}. {report(problems)}",
            )
            return
        channel = Channel(self.connection, channel_id, self.namespace, endpoint)
        self._channels[channel_id] = channel
        if not self._park(self, message, channel):
            self.start_channel(channel, message)

    def start_channel(self, channel: Channel, message: dict[str, Any]) -> None:
        """Let the server itself serve a channel."""

        async def serve() -> None:
            try:
                await handlers.serve(self.core, channel, message.get("creationParameter"))
            except asyncio.CancelledError:
                raise
            except BaseException as problem:
                self.close_channel(channel, _as_error(problem))
            else:
                self.close_channel(channel)

        self._spawn(serve())

    def _into_channel(self, message: dict[str, Any]) -> None:
        kind, channel_id = message["type"], message["channelId"]
        channel = self._channels.get(channel_id)
        if channel is None:
            self.warn(
                "channelUnknown",
                f"Received {kind} for unknown channel, channelId = {channel_id}",
            )
            return
        if kind == "channelAck":
            return
        packet = message.get("message", MISSING)
        problems = CHANNELS[self.namespace][channel.endpoint][1](packet, "message")
        if problems:
            self.warn(
                "channelMessageTypeError",
                f"Received invalid message for channel, endpointName = {channel.endpoint}, "
                f"message = {_shown(packet)}. {report(problems)}",
            )
        elif isinstance(packet, dict):
            channel.arrived(packet)

    def _not_there(
        self,
        sent: str,
        kind: str,
        endpoint: str,
        table: dict[str, Any],
        unhandled: dict[str, frozenset[str]],
    ) -> bool:
        if endpoint in table.get(self.namespace, {}):
            return False
        if endpoint in unhandled.get(self.namespace, ()):
            self.warn(
                f"{kind}Unhandled", f"Received {sent} for unhandled endpoint, endpoint = {endpoint}"
            )
        else:
            self.warn(
                f"{kind}Unknown", f"Received {sent} for unknown endpoint, endpoint = {endpoint}"
            )
        return True

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _parse(frame: str) -> dict[str, Any] | None:
    try:
        message = json.loads(frame, parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return None
    fields = MESSAGES.get(message["type"])
    if fields is None or not all(good(message.get(name, MISSING)) for name, good in fields.items()):
        return None
    return message


def _number(text: str) -> int | float:
    """Return a number as JavaScript has it, where 1.0 is 1."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _WHOLE else number


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _shown(value: Any) -> str:
    """Return a value as it stands in a warning: a text as it is, anything else as JSON."""
    if isinstance(value, dict) and isinstance(value.get("stack"), str):
        return str(value["stack"])  # taken for an error
    return str(value) if value is MISSING or isinstance(value, str) else encode(value)


def _as_error(problem: BaseException) -> dict[str, Any]:
    if isinstance(problem, EndpointError):
        return problem.error
    logger.debug("a handler failed: %s", Failure(problem))
    return serialize(str(problem) or type(problem).__name__)
