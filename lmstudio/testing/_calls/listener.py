"""The listening socket of a server: HTTP answers, authentication, one session a websocket."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from .._core.connection import Connection
from .._core.core import Core
from .._core.loop_thread import logger
from .._core.options import wrong_address
from .._protocol.names import NAMESPACES
from .auth import Doorkeeper
from .holds import Holds
from .origin import refusal
from .session import Session

_CLOSE_HANDSHAKE = 0.25
_NOT_HERE = (errno.EADDRNOTAVAIL, None)  # asyncio says it without a number, on newer Pythons


class _WithoutFrames(logging.LoggerAdapter):  # type: ignore[type-arg]  # of Python 3.10
    """Says nothing at DEBUG, where whole messages would be shown, tokens too."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)


_logger = _WithoutFrames(logging.getLogger("lmstudio.testing.websockets"), {})


class Listener:
    """Accepts clients. Loop thread alone."""

    def __init__(self, core: Core, holds: Holds) -> None:
        self._core = core
        self._holds = holds
        self._door = Doorkeeper(core.options)
        self._server: WebSocketServer | None = None
        self._connections: set[Connection] = set()
        self._stopping = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether clients can come in. Any thread."""
        is_ending = self._core.ending.is_set() or self._stopping.is_set()
        return self._server is not None and not is_ending

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            OSError: The port is taken, or not for us.
            ValueError: The address is none of this machine.
        """
        try:
            self._server = await self._listen(host, port)
        except OSError as problem:
            if problem.errno in (errno.EADDRINUSE, errno.EACCES):
                why = "taken" if problem.errno == errno.EADDRINUSE else "not for this user"
                hint = f"port {port} of {host} is {why}; give another one, or 0 for any free one"
                raise OSError(problem.errno, hint) from None
            if isinstance(problem, socket.gaierror) or problem.errno in _NOT_HERE:
                raise wrong_address(host, f": {problem.strerror or problem}") from None
            raise
        except ValueError as problem:  # no name at all, as one with an empty part
            raise wrong_address(host, f": {problem}") from None
        self._watch = asyncio.ensure_future(self._stop_when_asked())
        address: tuple[str, int] = next(iter(self._server.sockets)).getsockname()
        return address[1]

    async def _stop_when_asked(self) -> None:
        """Stop when a client has asked for the end, and everybody has what was said until then."""
        await self._core.ending.wait()
        said = [asyncio.ensure_future(one.drain()) for one in self._connections]
        if said:
            await asyncio.wait(said, timeout=2 * _CLOSE_HANDSHAKE)
        await self.stop()

    async def _listen(self, host: str, port: int) -> WebSocketServer:
        server: WebSocketServer = await serve(
            self._handle,
            host,
            port,
            process_request=self._process_request,
            compression=None,
            max_size=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=_CLOSE_HANDSHAKE,
            server_header=None,
            logger=_logger,
        )
        return server

    async def stop(self) -> None:
        """Stop listening and end all connections: politely, then by force."""
        if self._server is None:
            return
        self._stopping.set()
        self._core.changes.touch()
        self._server.close()
        try:
            await asyncio.wait_for(self._server.wait_closed(), 2 * _CLOSE_HANDSHAKE)
        except asyncio.TimeoutError:
            for connection in list(self._connections):
                connection.abort()

    async def _process_request(
        self, websocket: ServerConnection, request: Request
    ) -> Response | None:
        path = request.path.split("?")[0]
        refused = refusal(
            request.headers, self._core.options.allow_origins, self._core.options.host
        )
        if refused is not None:
            logger.info("%s", refused)
            return _json_response({"error": refused}, HTTPStatus.FORBIDDEN)
        if path == "/lmstudio-greeting":
            return _json_response({"lmstudio": True})
        if path == "/lms-status":
            return _json_response({"package": "lmstudio", "version": self._core.options.version})
        if path.lstrip("/") in NAMESPACES:
            return None
        if self._core.options.unknown_path == "hang":
            await self._stopping.wait()
        return _json_response({"error": f"Unexpected endpoint: {path}"}, HTTPStatus.NOT_FOUND)

    async def _handle(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        path = websocket.request.path.split("?")[0]
        connection = Connection(websocket, path, self._core.loop, self._core.changes)
        self._connections.add(connection)
        self._core.journal.connections.append(connection)
        self._core.changes.touch()
        writer = asyncio.ensure_future(connection.write_all())
        session = Session(self._core, connection, path.lstrip("/"), self._holds.park)
        try:
            if await self._door.let_in(connection):
                try:
                    while (frame := await connection.read()) is not None:
                        session.receive(frame)
                finally:
                    self._door.let_out(connection)
            else:
                await connection.drain()
                await _close_without_code(websocket)
        finally:
            writer.cancel()
            # Closed before the tasks end: what worker threads still send is then discarded.
            connection.ended()
            session.end()
            self._holds.connection_ended(connection)
            self._connections.discard(connection)


async def _close_without_code(websocket: ServerConnection) -> None:
    """Close as LM Studio does when it refuses a client: the peer sees 1005."""
    if websocket.state is not State.OPEN:
        return
    try:
        websocket.protocol.send_close()
        for data in websocket.protocol.data_to_send():
            websocket.transport.write(data)
        await asyncio.wait_for(websocket.wait_closed(), _CLOSE_HANDSHAKE)
    except (ConnectionClosed, OSError, asyncio.TimeoutError):
        websocket.transport.abort()


def _json_response(value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    headers = Headers(
        [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)
