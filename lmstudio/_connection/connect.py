"""Opening a connection: name lookup, TCP, TLS, websocket handshake, authentication.

Each attempt runs in a short-lived daemon thread. It may block in the name lookup (nothing
unblocks that; the thread is abandoned and closes what it opens), and in connect, handshake and
authentication (its deadline unblocks those, and `Attempt.abort` from the I/O thread). What it
hands over is the socket and the reader that has read the welcome: the first thing that the I/O
thread reads may lie in it already.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import attrs
import websocket
from websocket import ABNF

from .._api.secret import Secret
from .._api.shown import shown
from .._concurrency.deadline import Deadline
from .._concurrency.threads import start_daemon
from .._json.whole import error_details
from ..errors import (
    LMStudioError,
    LMStudioProtocolError,
    LMStudioServerError,
    LMStudioWebsocketError,
)
from .address import Address, Identity
from .frames import FrameReader, frame_control, frame_text, goodbye_in_words, read_goodbye
from .http_exchange import Answer, send_request
from .route import Route, reason_of
from .wire import Attempt, Wire, lost

logger = logging.getLogger(__name__)

_MOST_WELCOME = 64 * 1024  # bytes that the answer to the authentication may have
_CHUNK = 4096
_IS_GONE = "already released"  # said to one whose last connection has closed
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # by which a websocket server is told from others


def check_websocket_package() -> None:
    """Raise ImportError, saying what to do, if another package shadows websocket-client."""
    if not hasattr(websocket, "WebSocket"):
        raise ImportError(
            "Another package or file named 'websocket' hides websocket-client "
            f"({getattr(websocket, '__file__', 'unknown place')}). Remove it "
            "(pip uninstall websocket), then: pip install --force-reinstall websocket-client"
        )


check_websocket_package()


@attrs.frozen
class Connected:
    """An authenticated websocket, the reader of what it receives, and who we are to the server."""

    socket: socket.socket
    reader: FrameReader
    client_identifier: str = ""


class _RefusedError(Exception):
    """The server does not let us in; its words."""


@attrs.frozen(kw_only=True)
class Connector:
    """How to reach the server; opens one authenticated websocket per call.

    Thread safety: used by several connector threads at once; nothing here changes.

    Attributes:
        find_address: Says where the server is, within a deadline.
        identity: Who we are to the server.
        route: How connections are made.
        timeout: Seconds that one attempt may take, or None.
    """

    find_address: Callable[[Deadline], Address]
    identity: Identity
    route: Route
    timeout: float | None = 5.0

    def start(
        self,
        path: str,
        attempt: Attempt,
        done: Callable[[Connected | LMStudioError], None],
    ) -> None:
        """Start a thread that ends by calling `done` with a connection or an error.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """

        def connect() -> None:
            outcome: Connected | LMStudioError
            try:
                outcome = self._open(path, attempt)
            except LMStudioError as caught:
                outcome = caught.fresh()  # without the frames that it came through
            except BaseException as caught:  # a waiter must learn of it, whatever it is
                outcome = LMStudioWebsocketError(f"Connecting failed: {caught!r}")
            if attempt.aborted and isinstance(outcome, Connected):
                outcome.socket.close()  # nobody waits for it any more
                return
            done(outcome)

        refusal = "No connection can be opened"
        start_daemon(connect, "lmstudio-connect", refusal=refusal, may_wait=False)

    def _open(self, path: str, attempt: Attempt) -> Connected:
        address = self.find_address(attempt.deadline)
        packet = Secret(self.identity.auth_packet())
        words = ""
        try:
            return self._open_as(packet, address, path, attempt)
        except _RefusedError as refusal:
            words = str(refusal)
        if _IS_GONE in words and self.identity.source is None:
            self.identity.renew(packet.reveal())
            packet = Secret(self.identity.auth_packet())
            logger.debug("this guest is gone: coming once more, as another one")
            try:
                return self._open_as(packet, address, path, attempt)
            except _RefusedError as refusal:
                words = str(refusal)
        raise self._refused(words)

    def _open_as(
        self, packet: Secret[dict[str, Any]], address: Address, path: str, attempt: Attempt
    ) -> Connected:
        url = attempt.url = address.websocket_url(path)
        try:
            wire = self.route.open(address, attempt)
            try:
                early = self._shake_hands(address, path, wire)
                wire.send(Secret(frame_text(json.dumps(packet.reveal()).encode())))
                reader = self._read_welcome(url, wire, early)
            except BaseException:
                wire.close()
                raise
        except TimeoutError:
            raise attempt.not_answered() from None
        except OSError as error:
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable at {url}: {reason_of(error)}"
            ) from None
        return Connected(wire.socket, reader, packet.reveal()["clientIdentifier"])

    def _refused(self, words: str) -> LMStudioServerError:
        suggestion = "Pass api_token=, or set LM_API_TOKEN."
        if "token" not in words.lower():  # each version of the server has its own words
            suggestion = "If it wants an API token, pass api_token= or set LM_API_TOKEN."
        if self.identity.source is not None:
            suggestion = f"Check the API token. ({self.identity.source} was used.)"
            if _IS_GONE in words:
                suggestion = (
                    "This server lets nobody in again whose last connection has closed, and with "
                    f"an API token you are always the same. ({self.identity.source} was used.) "
                    "Restart LM Studio's server; keep one Client open as long as you need it."
                )
        details = {"title": words, "suggestion": suggestion}
        error = LMStudioServerError("Authentication failed", details)
        error._lets_nobody_in = True
        return error

    def _shake_hands(self, address: Address, path: str, wire: Wire) -> bytes:
        """Do the websocket handshake; return what came behind it.

        By ourselves, since websocket-client keeps cookies, for all servers of a process. A redirect
        is not followed: it would hand the token to another server.
        """
        key = b64encode(os.urandom(16))
        fields = {
            "Host": address.host_field,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
        }
        send_request(wire, "GET", f"{address.prefix}/{path}", fields, self.route.headers)
        answer = Answer(wire)
        if answer.status != 101:
            raise OSError(f"it answered with HTTP status {answer.status}{_hint(answer)}")
        accept = b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()).decode()
        if (
            answer.fields.get("sec-websocket-accept") != accept
            or "websocket" not in answer.words("upgrade")
            or "upgrade" not in answer.words("connection")
        ):
            raise OSError("what answers there does not speak the websocket protocol")
        return bytes(answer.rest)

    def _read_welcome(self, url: str, wire: Wire, data: bytes) -> FrameReader:
        """Read the answer to the authentication; what follows it stays in the reader."""
        reader = FrameReader(_MOST_WELCOME)
        messages: list[bytes] = []
        left = _MOST_WELCOME - len(data)
        while not (messages := _first_message(reader, data)) and left > 0 and not reader.is_at_end:
            pings = [payload for opcode, payload in reader.controls if opcode == ABNF.OPCODE_PING]
            wire.send(Secret(b"".join(frame_control(ABNF.OPCODE_PONG, p) for p in pings)))
            reader.controls.clear()
            data = wire.receive(min(left, _CHUNK))
            if not data:
                raise lost()
            left -= len(data)
        goodbyes = [payload for opcode, payload in reader.controls if opcode == ABNF.OPCODE_CLOSE]
        if goodbyes and not messages:
            raise OSError(f"it closed the connection{goodbye_in_words(*read_goodbye(goodbyes[0]))}")
        try:
            reply: Any = json.loads(messages[0].decode())
            success = reply["success"]
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            raise LMStudioProtocolError(
                f"What answers at {url} does not speak LM Studio's protocol."
            ) from None
        if success is not True:
            words = error_details(reply.get("error")).get("title", "no reason was given")
            raise _RefusedError(str(words))
        logger.debug("connected to %s", url)
        return reader


def _hint(answer: Answer) -> str:
    """Return what to do about an answer that is no websocket."""
    place = answer.fields.get("location")
    if 300 <= answer.status < 400 and place:
        return f", which leads to {shown(place)}. Give the client that address"
    if answer.status in (401, 403):
        return ": what stands before LM Studio lets nobody in. Client(headers=...) can name you"
    return ""


def _first_message(reader: FrameReader, data: bytes) -> list[bytes]:
    """Feed a reader up to the end of the first message; what follows it is for the next reading."""
    for at in range(len(data)):
        if messages := reader.feed(data[at : at + 1]):
            reader.put_back(data[at + 1 :])
            return messages
        if reader.error or (reader.controls and reader.controls[-1][0] == ABNF.OPCODE_CLOSE):
            break  # as `is_at_end`, which looks at all of them
    return []
