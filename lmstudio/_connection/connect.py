"""Opening a connection: name lookup, TCP, TLS, websocket handshake, authentication.

Each attempt runs in a short-lived daemon thread. It may block in the name lookup (nothing
unblocks that; the thread is abandoned and closes what it opens), and in connect, handshake and
authentication (socket timeouts unblock those, and `Attempt.abort` from the I/O thread). What it
hands over is the socket and the reader that has read the welcome: the first thing that the I/O
thread reads may lie in it already.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

import attrs
import websocket
from websocket import ABNF

from .._concurrency.deadline import Deadline
from .._concurrency.threads import start_daemon
from ..errors import (
    LMStudioError,
    LMStudioProtocolError,
    LMStudioServerError,
    LMStudioWebsocketError,
)
from .address import Address, Identity, Proxy, Route
from .frames import FrameReader, frame_control, frame_text

logger = logging.getLogger(__name__)

_MOST_WELCOME = 64 * 1024  # bytes that the answer to the authentication may have
_CHUNK = 4096
# What TLS says where the peer does not speak it.
_PLAIN = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST")
_KEEPALIVE = [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]


def check_websocket_package() -> None:
    """Raise ImportError, saying what to do, if another package shadows websocket-client."""
    if not hasattr(websocket, "WebSocket"):
        raise ImportError(
            "Another package or file named 'websocket' hides websocket-client "
            f"({getattr(websocket, '__file__', 'unknown place')}). Remove it "
            "(pip uninstall websocket), then: pip install --force-reinstall websocket-client"
        )


check_websocket_package()


class Attempt:
    """One try to open a connection, shared by the connector thread and the I/O thread."""

    __slots__ = ("_socket", "aborted", "deadline")

    def __init__(self, seconds: float | None) -> None:
        """Start the clock."""
        self.deadline = Deadline(seconds)
        self.aborted = False
        self._socket: socket.socket | None = None

    def adopt(self, sock: socket.socket) -> None:
        """Connector thread: make a socket known, so that `abort` reaches it."""
        self._socket = sock
        if self.aborted:
            raise LMStudioWebsocketError("The connection attempt was given up.")

    def abort(self) -> None:
        """I/O thread: end the attempt; its outcome is ignored from now on."""
        self.aborted = True
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that is blocked in recv


@attrs.frozen
class Connected:
    """An authenticated websocket, and the reader of what it receives."""

    socket: socket.socket
    reader: FrameReader


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
                outcome = caught
            except Exception as caught:  # a waiter must learn of it, whatever it is
                outcome = LMStudioWebsocketError(f"Connecting failed: {caught!r}")
            if attempt.aborted and isinstance(outcome, Connected):
                outcome.socket.close()  # nobody waits for it any more
                return
            done(outcome)

        start_daemon(connect, "lmstudio-connect", refusal="No connection can be opened")

    def _open(self, path: str, attempt: Attempt) -> Connected:
        address = self.find_address(attempt.deadline)
        url = address.websocket_url(path)
        try:
            sock = self._open_socket(address, attempt)
            try:
                self._shake_hands(url, sock, attempt)
                # Not by websocket-client, which prints what it sends if its trace is on.
                sock.sendall(frame_text(json.dumps(self.identity.auth_packet()).encode()))
                reader = self._read_welcome(url, sock, attempt)
            except BaseException:
                sock.close()
                raise
        except (TimeoutError, websocket.WebSocketTimeoutException):
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable at {url}: it did not answer within connect_timeout. "
                "Is LM Studio running? Is its local server on?"
            ) from None
        except (OSError, websocket.WebSocketException) as error:
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable at {url}: {reason_of(error)}"
            ) from None
        return Connected(sock, reader)

    def _open_socket(self, address: Address, attempt: Attempt) -> socket.socket:
        # Our own socket: proxy variables would capture even 127.0.0.1 otherwise.
        if self.route.proxy is None:
            sock = socket.create_connection(
                (address.host, address.port), timeout=attempt.deadline.remaining()
            )
        else:
            sock = _open_tunnel(self.route.proxy, address, attempt)
        try:
            attempt.adopt(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in _KEEPALIVE:
                sock.setsockopt(*option)
            if address.secure:
                context = self.route.ssl_context or ssl.create_default_context()
                sock.settimeout(attempt.deadline.remaining())
                sock = context.wrap_socket(
                    sock, server_hostname=address.host, do_handshake_on_connect=False
                )
                attempt.adopt(sock)  # it has taken the place of the other
                sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _shake_hands(self, url: str, sock: socket.socket, attempt: Attempt) -> None:
        sock.settimeout(attempt.deadline.remaining())
        client = websocket.WebSocket(skip_utf8_validation=True)
        client.connect(  # type: ignore[no-untyped-call]
            url,
            socket=sock,
            timeout=attempt.deadline.remaining(),
            header=dict(self.route.headers),
            suppress_origin=True,
            redirect_limit=0,  # a redirect would hand the token to another server
        )

    def _read_welcome(self, url: str, sock: socket.socket, attempt: Attempt) -> FrameReader:
        """Read the answer to the authentication; what follows it stays in the reader."""
        reader = FrameReader(_MOST_WELCOME)
        messages: list[bytes] = []
        left = _MOST_WELCOME
        while not messages and left > 0 and not reader.is_at_end:
            seconds = attempt.deadline.remaining()
            if seconds == 0:
                raise TimeoutError
            sock.settimeout(seconds)  # for all of it together, not for each part
            data = sock.recv(min(left, _CHUNK))
            if not data:
                raise ConnectionResetError("connection to remote host was lost")
            left -= len(data)
            messages = reader.feed(data)
            for opcode, payload in reader.controls:
                if opcode == ABNF.OPCODE_PING:
                    sock.sendall(frame_control(ABNF.OPCODE_PONG, payload))
            reader.controls = [c for c in reader.controls if c[0] == ABNF.OPCODE_CLOSE]
        try:
            reply: Any = json.loads(messages[0])
            success = reply["success"]
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            raise LMStudioProtocolError(
                f"What answers at {url} does not speak LM Studio's protocol."
            ) from None
        if success is not True:
            suggestion = "If it wants an API token, pass api_token= or set LM_API_TOKEN."
            if self.identity.source is not None:
                suggestion = f"Check the API token. ({self.identity.source} was used.)"
            raise LMStudioServerError(
                "Authentication failed",
                {"title": str(reply.get("error")), "suggestion": suggestion},
            )
        logger.debug("connected to %s", url)
        return reader


def _open_tunnel(proxy: Proxy, address: Address, attempt: Attempt) -> socket.socket:
    import http.client  # most clients need no proxy

    seconds = attempt.deadline.remaining()
    sock = socket.create_connection((proxy.host, proxy.port), timeout=seconds)
    connection = http.client.HTTPConnection(proxy.host, proxy.port)
    connection.set_tunnel(address.host, address.port, headers=proxy.headers)
    connection._create_connection = lambda *_: sock  # type: ignore[attr-defined]
    try:
        attempt.adopt(sock)
        connection.connect()
    except BaseException as error:
        fd = sock.detach()  # before 3.11, http.client leaves it open to the garbage collector
        if fd >= 0:
            socket.close(fd)
        if isinstance(error, http.client.HTTPException):
            raise OSError(f"the proxy answered {error!r}") from None
        raise
    return sock


def reason_of(error: Exception) -> str:
    """Return in a sentence why no connection was opened, and what to do."""
    if isinstance(error, websocket.WebSocketBadStatusException):
        return f"it answered with HTTP status {error.status_code}."
    if isinstance(error, ssl.SSLError):
        words = getattr(error, "verify_message", None) or error.reason or str(error)
        is_plain = error.reason in _PLAIN
        hint = " Does that port speak TLS? LM Studio itself does not: try http://."
        return f"the TLS handshake failed: {words}.{hint if is_plain else ''}"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, TimeoutError):
        words = "it did not answer in time"
    words = words or type(error).__name__
    question = " Is LM Studio running? Is its local server on?"
    has_question = isinstance(error, (ConnectionError, TimeoutError))
    return f"{words[0].lower()}{words[1:]}.{question if has_question else ''}"
