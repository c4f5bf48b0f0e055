"""One websocket of a client, as the test sees it: what came, and ways to misbehave on it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from .._protocol.public import public
from .changes import Changes
from .loop_thread import LoopThread

_HIGH_WATER = 256
_KEPT = 10_000
_CHUNK = 65_536
_LIMIT = 5.0
_HALF = re.compile("[\ud800-\udfff]")
_LINGER = "hh" if sys.platform == "win32" else "ii"


@attrs.frozen(eq=False)
class _Item:
    """Something to write: a websocket text or binary frame, raw bytes, or only a mark."""

    kind: Literal["frame", "raw", "mark"]
    payload: str | bytes = b""
    message: dict[str, Any] | None = None
    done: Callable[[], object] | None = None


@public
class Connection:
    """A websocket that a client has opened.

    Made by the server; found in `Server.connections` and `Call.connection`.

    Thread safety:
        Any thread. The methods return when the bytes were handed to the socket.
    """

    def __init__(
        self, websocket: ServerConnection, path: str, loop: LoopThread, changes: Changes
    ) -> None:
        self._websocket = websocket
        self._path = path
        self._loop = loop
        self._changes = changes
        self._outbox: deque[_Item] = deque()
        self._wanted = asyncio.Event()  # loop thread only
        self._reading = asyncio.Event()  # loop thread only
        self._reading.set()
        self._awake = False
        self._room = threading.Event()
        self._open = True
        self._has_lost = False  # something was queued that could not be written any more
        self._client_identifier: str | None = None
        self._messages: list[dict[str, Any]] = []
        self._malformed: list[str] = []
        self._sent: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    @property
    def path(self) -> str:
        """The namespace path, as "/llm"."""
        return self._path

    @property
    def client_identifier(self) -> str | None:
        """The identifier that the client authenticated with; None before that."""
        return self._client_identifier

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages received so far, in order (without the authentication)."""
        return list(self._messages)

    @property
    def malformed(self) -> list[str]:
        """The frames received that are not JSON objects of a known form."""
        return list(self._malformed)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The newest 10,000 messages that the server sent here, in order."""
        return list(self._sent)

    @property
    def open(self) -> bool:
        """Whether the connection is still there."""
        return self._open

    def __repr__(self) -> str:
        state = "open" if self._open else "closed"
        return f"<Connection {self._path} of {self._client_identifier!r}, {state}>"

    def drop(self) -> None:
        """Break the connection: the client sees a TCP reset, with no closing handshake."""
        self._loop.call(self.abort)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection as a server does, with a close code and the handshake.

        Args:
            code: Close code that the client sees.
            reason: Text that goes with it.
        """
        self.flush()
        self._loop.call(lambda: self._start_closing(code, reason))

    def send_text(self, text: str) -> None:
        """Send a text frame with any content."""
        self._push(_Item("frame", text))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        self._push(_Item("frame", data))

    def send_raw(self, data: bytes) -> None:
        """Write bytes onto the TCP stream beside the framing: half frames, garbage."""
        self._push(_Item("raw", data))

    def pause(self) -> None:
        """Stop reading: what the client sends piles up in the sockets' buffers."""
        self._loop.call(self._stop_reading)

    def resume(self) -> None:
        """Read on after `pause`."""
        self._loop.call(self._read_on)

    def post(self, message: dict[str, Any], done: Callable[[], object] | None = None) -> None:
        """Queue a message; `done` is called in the loop thread when it is written."""
        self._queue(_Item("frame", encode(message), message, done))

    def after(self, done: Callable[[], object]) -> None:
        """Have `done` called when all queued so far was written, or can never be."""
        self._queue(_Item("mark", done=done))

    async def drain(self) -> None:
        """Return when all queued so far was written, or can never be. Runs in the loop."""
        written = asyncio.Event()
        self.after(written.set)
        await written.wait()

    def wait_room(self, given_up: Callable[[], bool]) -> None:
        """Wait while the client reads slower than we write, until `given_up()`."""
        while len(self._outbox) > _HIGH_WATER and self._open and not given_up():
            # Clear, then look again: the loop thread may have made room in between.
            self._room.clear()
            if len(self._outbox) > _HIGH_WATER:
                self._room.wait(0.1)

    def flush(self, timeout: float = _LIMIT) -> None:
        """Return when everything queued so far was handed to the socket.

        Raises:
            ConnectionError: The connection was closed before something could be written.
            TimeoutError: It took more than `timeout` seconds.
        """
        written = threading.Event()
        self._queue(_Item("mark", done=written.set))
        # The loop thread writes it itself, later: it must not wait for that.
        if self._loop.is_here():
            return
        if not written.wait(timeout):
            if not self._open:
                raise ConnectionError(f"{self!r}: nothing can be sent any more.")
            raise TimeoutError(f"{self!r} took nothing for {timeout:g} s.")
        if self._has_lost:
            raise ConnectionError(f"{self!r}: nothing can be sent any more.")

    def _push(self, item: _Item) -> None:
        self._queue(item)
        self.flush()

    def _queue(self, item: _Item) -> None:
        # Append, then look: the loop thread does its steps in the opposite order (`write_all`,
        # `ended`), so one of the two always sees to the item.
        self._outbox.append(item)
        if not self._open:
            self._discard()
        elif not self._awake:
            self._awake = True
            if not self._loop.post(self._wanted.set):
                self._discard()

    async def write_all(self) -> None:
        """Write what is queued, until the connection ends. Runs as a task of the loop."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                # Before the queue is emptied: who queues later wakes the loop thread again.
                self._awake = False
                while self._outbox:
                    await self._write_some()
                    if len(self._outbox) <= _HIGH_WATER and not self._room.is_set():
                        self._room.set()
        finally:
            self.ended()

    async def _write_some(self) -> None:
        """Write what is queued in one piece: a system call for each frame would cost most."""
        chunk = bytearray()
        items = []
        while self._outbox and len(chunk) < _CHUNK:
            item = self._outbox.popleft()
            items.append(item)
            if item.kind == "frame":
                chunk += _frame(item.payload)
            elif item.kind == "raw":
                assert isinstance(item.payload, bytes)
                chunk += item.payload
        if self._websocket.state is State.OPEN:
            # Recorded before: a test's thread that knows of a message finds it in the record.
            for item in items:
                if item.message is not None:
                    self._sent.append(item.message)
                if item.done is not None and item.kind == "frame":
                    item.done()
            self._websocket.transport.write(bytes(chunk))
        for item in items:
            if item.done is not None and item.kind == "mark":
                item.done()
        await self._websocket.drain()

    def ended(self) -> None:
        """Note that the connection is gone, and let go of those who wait for it."""
        if self._open:
            # First: a thread that queues from now on discards its item itself.
            self._open = False
            self._changes.touch()
        self._discard()

    def _discard(self) -> None:
        self._room.set()
        while True:
            try:
                item = self._outbox.popleft()
            except IndexError:
                return
            if item.kind != "mark":
                self._has_lost = True
            elif item.done is not None:
                item.done()

    async def read(self) -> str | None:
        """Return the next frame as text, or None at the end. Runs in the loop."""
        await self._reading.wait()
        try:
            frame = await self._websocket.recv()
        except (ConnectionClosed, OSError):
            return None
        # A test that has paused wants to see what came before, and nothing after.
        await self._reading.wait()
        return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")

    def note(self, message: dict[str, Any]) -> None:
        """Record a message of the client."""
        self._messages.append(message)

    def note_malformed(self, frame: str) -> None:
        """Record a frame that is no message."""
        self._malformed.append(frame)
        self._changes.touch()

    def identify(self, client_identifier: str) -> None:
        """Record who the client is."""
        self._client_identifier = client_identifier
        self._changes.touch()

    def abort(self) -> None:
        """Reset the TCP connection. Loop thread."""
        transport = self._websocket.transport
        tcp = transport.get_extra_info("socket")
        if tcp is not None and not transport.is_closing():
            # Linger of zero seconds: closing sends a reset instead of a FIN.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
        transport.abort()
        self.ended()

    def _start_closing(self, code: int, reason: str) -> None:
        self._closing = asyncio.ensure_future(self._websocket.close(code, reason))

    def _stop_reading(self) -> None:
        self._reading.clear()
        self._websocket.transport.pause_reading()

    def _read_on(self) -> None:
        self._reading.set()
        if not self._websocket.transport.is_closing():
            self._websocket.transport.resume_reading()


def _frame(payload: str | bytes) -> bytes:
    """Return a whole unmasked websocket frame."""
    if isinstance(payload, str):
        return Frame(Opcode.TEXT, payload.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, payload).serialize(mask=False)


def encode(message: dict[str, Any]) -> str:
    """Return a message as JSON text, without spaces, as JavaScript writes it."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    if not text.isascii():  # half a surrogate pair, echoed from a client
        text = _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text
