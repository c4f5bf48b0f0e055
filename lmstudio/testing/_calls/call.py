"""A call that the test answers itself: the test is the server."""

from __future__ import annotations

from typing import Any

from .._core.channel import STOPS, Channel
from .._core.connection import Connection
from .._core.prediction import Prediction
from .._endpoints.success import success_packet
from .._protocol import argument_checks as checks
from .._protocol import names
from .._protocol.errors import serialize
from .._protocol.json_checks import MISSING
from .._protocol.names import PREDICTIONS
from .._protocol.packets import progress_packet
from .._protocol.public import public
from .session import Session

_PROGRESS_FIELDS = {
    **dict.fromkeys(PREDICTIONS, names.PROMPT_FIELDS),
    "downloadModel": names.DOWNLOAD_FIELDS,
}


@public
class Call:
    """One rpc call or channel of a client, held until the test answers it.

    Made by the server; got from `Server.expect`. Each method that sends returns when the bytes
    were handed to the socket.

    Raises:
        ConnectionError: (all sending methods) The client's connection is closed.
        AssertionError: (all sending methods) The call is an rpc and the method is for channels,
            or the other way round, or the call has ended already.
        TypeError: (all sending methods) A value is of the wrong type.
        ValueError: (all sending methods) There is no such field or value. What the protocol does
            not know can be sent with `packet`.

    Thread safety:
        Any thread, one at a time.

    Attributes:
        record: Of a prediction: what the server knows of it; None: the call is another one.
    """

    def __init__(
        self, session: Session, message: dict[str, Any], channel: Channel | None = None
    ) -> None:
        self._core = session.core
        self._session = session
        self._channel = channel
        self._message = message
        self._packets: list[dict[str, Any]] = []
        self._ended: str | None = None
        self._gone = False
        self.record: Prediction | None = None

    @property
    def endpoint(self) -> str:
        """Name of the endpoint."""
        return str(self._message["endpoint"])

    @property
    def message(self) -> dict[str, Any]:
        """The whole message that opened the call."""
        return self._message

    @property
    def parameter(self) -> Any:
        """The parameter of the rpc, or the creation parameter of the channel; None if absent."""
        key = "parameter" if self._channel is None else "creationParameter"
        return self._message.get(key)

    @property
    def id(self) -> int:
        """The call id or channel id that the client has chosen."""
        return int(self._message["callId" if self._channel is None else "channelId"])

    @property
    def connection(self) -> Connection:
        """The connection that the call came on."""
        return self._session.connection

    @property
    def packets(self) -> list[dict[str, Any]]:
        """What the client has sent into the channel so far."""
        return list(self._packets)

    @property
    def cancelled(self) -> bool:
        """Whether the client's cancel has arrived."""
        return any(packet.get("type") in STOPS for packet in self._packets)

    def __repr__(self) -> str:
        state = self._ended or ("the client is gone" if self._gone else "open")
        return f"<Call {self._session.namespace}/{self.endpoint} id {self.id}, {state}>"

    def fragment(self, content: str, **fields: Any) -> None:
        """Send a fragment of a prediction.

        Args:
            content: Its text.
            **fields: Other fields, as `tokens_count=2` or `reasoningType="reasoning"`.
        """
        channel = self._open_channel("fragment")
        fragment = {
            "content": checks.text("the fragment", content),
            "tokensCount": 1,
            "containsDrafted": False,
            "reasoningType": "none",
            "isStructural": False,
            **names.on_the_wire("field of a fragment", fields, names.FRAGMENT_FIELDS),
        }
        record = self.record
        if record is not None and record.phase != "generating":
            record.note_phase("generating")
        # Counted by the loop thread when it is written, and `flush` returns after that.
        channel.send(
            {"type": "fragment", "fragment": fragment},
            None if record is None else lambda: record.note_sent(fragment["tokensCount"]),
        )
        self.connection.flush()

    def progress(self, progress: float, **details: Any) -> None:
        """Send progress: of the prompt, of a model's loading or of a download.

        Args:
            progress: From 0 to 1.
            **details: For a prediction: the token counts, as `total_prompt_token_count=10`; for
                a download: the fields of the update, as `total_bytes=100`.
        """
        self._open_channel("progress")
        checks.number(0, 1)("progress", progress)
        known = _PROGRESS_FIELDS.get(self.endpoint, {})
        details = names.on_the_wire(f"detail of {self.endpoint}'s progress", details, known)
        if self.endpoint in PREDICTIONS:
            if self.record is not None and self.record.phase == "queued":
                self.record.note_phase("prefill")
            packet = progress_packet(round(progress * 100), 100)
            packet["progress"] = progress
            packet["details"].update(details)
        elif self.endpoint == "downloadModel":
            update = {"downloadedBytes": round(progress * 1000), "totalBytes": 1000}
            update = {**update, "speedBytesPerSecond": 1000, **details}
            packet = {"type": "downloadProgress", "update": update}
        else:
            kind = "loadProgress" if self.endpoint == "getOrLoad" else "progress"
            packet = {"type": kind, "progress": progress}
        self.packet(packet)

    def packet(self, packet: dict[str, Any]) -> None:
        """Send any packet into the channel, as it is.

        Args:
            packet: The packet, with its `type`.
        """
        self._open_channel("packet").send(packet)
        self.connection.flush()

    def tool_call(
        self, name: str, arguments: dict[str, Any] | None = None, *, id: str | None = None
    ) -> None:
        """Send a whole tool call of a prediction; `success()` may follow.

        Args:
            name: Name of the tool.
            arguments: Its arguments.
            id: Identifier of the call; made up if None.
        """
        checks.text("the name", name)
        call_id = f"call_{next(self._core.numbers)}" if id is None else id
        request = {"type": "function", "id": call_id, "name": name, "arguments": arguments or {}}
        self.packet({"type": "toolCallGenerationStart", "toolCallId": call_id})
        self.packet({"type": "toolCallGenerationNameReceived", "name": name})
        self.packet({"type": "toolCallGenerationEnd", "toolCallRequest": request})

    def success(self, stop_reason: str = "eosFound", *, close: bool = True, **stats: Any) -> None:
        """Send the packet that completes the channel, and close it.

        Args:
            stop_reason: Why a prediction stopped; of no meaning for other channels.
            close: Whether `channelClose` follows.
            **stats: For a prediction: entries of the stats, as `predicted_tokens_count=3`. For
                other channels: fields of the packet.
        """
        channel = self._open_channel("success")
        names.check_stop_reason("stop_reason", stop_reason)
        if self.endpoint in PREDICTIONS:
            also = ("stop_reason", "close")
            fields = names.on_the_wire("entry of the stats", stats, names.STATS, also)
        else:
            fields = {names.camel(name): value for name, value in stats.items()}
        packet = self._core.loop.call(lambda: self._success_packet(stop_reason, fields))
        written: list[bool] = []  # the loop thread adds to it
        channel.send(packet, lambda: written.append(True))
        if self.record is not None:
            self.record.note_end(packet["stats"]["stopReason"])
        if close:
            self._ended = "closed"
            self._end_channel(None)
        try:
            self.connection.flush()
        except ConnectionError:
            if not written:  # else the client has what it needs, and left before the close
                raise

    def result(self, value: Any = MISSING) -> None:
        """Answer an rpc call.

        Args:
            value: The result, as on the wire; nothing for an endpoint that returns nothing.
        """
        if self._channel is not None:
            raise AssertionError(f"result() answers an rpc call, but this is a channel: {self!r}")
        self._check_open("result")
        self._ended = "answered"
        self._session.answer(self.id, value)
        self.connection.flush()

    finish = result
    """The same as `result`."""

    def error(self, title: str, **fields: Any) -> None:
        """Fail the call: `rpcError` or `channelError`.

        Args:
            title: Title of the error.
            **fields: Other fields of the error, as `displayData={...}` or `cause="..."`.
        """
        self._check_open("error")
        checks.text("the title of the error", title)
        fields = names.on_the_wire("field of an error", fields, names.ERROR_FIELDS)
        self._ended = "failed"
        problem = serialize(title, **fields)
        if self._channel is None:
            self._session.fail(self.id, problem)
        else:
            self._end_channel(problem)
        if self.record is not None and not self.record.finished:
            self.record.note_end(None, title)
        self.connection.flush()

    def close(self) -> None:
        """Close the channel, with or without a success packet before."""
        self._open_channel("close")
        self._ended = "closed"
        self._end_channel(None)
        if self.record is not None and not self.record.finished:
            self.record.note_end(None, "closed")
        self.connection.flush()

    def proceed(self) -> None:
        """Let the server answer the call as if it had not been held."""
        self._check_open("proceed")
        self._ended = "handed to the server"
        self._core.loop.call(self._proceed)

    def expect_cancel(self, timeout: float = 5.0) -> None:
        """Wait for the client's cancel.

        Args:
            timeout: Seconds.

        Raises:
            AssertionError: It did not come.
        """
        self._core.changes.wait(
            lambda: self.cancelled,
            timeout,
            lambda: f"expected a cancel of {self!r}, but {self._came()}",
        )

    def expect_no_cancel(self) -> None:
        """Check that no cancel has arrived so far.

        Raises:
            AssertionError: One has arrived.
        """
        if self.cancelled:
            raise AssertionError(f"expected no cancel of {self!r}, but {self._came()}")

    def arrived(self, packet: dict[str, Any]) -> None:
        """Take a packet of the client. Loop thread."""
        self._packets.append(packet)
        if packet.get("type") == "cancel" and self.record is not None:
            self.record.note_cancel()

    def client_gone(self) -> None:
        """Note that the connection has ended. Loop thread."""
        self._gone = True
        if self.record is not None and not self.record.finished:
            self.record.note_end(None, "connection lost")

    def is_of(self, endpoint: str) -> bool:
        """Whether the call is one of this endpoint ("predict" or "llm/predict")."""
        return endpoint in (self.endpoint, f"{self._session.namespace}/{self.endpoint}")

    def _check_open(self, method: str) -> None:
        if self._ended is not None:
            raise AssertionError(f"{method}() after the end: {self!r}")

    def _open_channel(self, method: str) -> Channel:
        if self._channel is None:
            raise AssertionError(
                f"{method}() is for channels, but this is an rpc call (use result()): {self!r}"
            )
        self._check_open(method)
        return self._channel

    def _end_channel(self, error: dict[str, Any] | None) -> None:
        channel = self._channel
        assert channel is not None
        self._core.loop.call(lambda: self._session.close_channel(channel, error))

    def _proceed(self) -> None:
        if self._channel is None:
            self._session.start_call(self._message)
            return
        if self.record is not None:
            self._core.journal.predictions.remove(self.record)
        self._channel.on_message = None
        self._session.start_channel(self._channel, self._message)

    def _success_packet(self, stop_reason: str, fields: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel
        assert channel is not None
        return success_packet(self._core, channel, self.parameter, self.record, stop_reason, fields)

    def _came(self) -> str:
        if not self._packets:
            return "the client sent nothing into it"
        return f"the client sent {self._packets}"
