"""One open websocket on a non-blocking socket: bytes in, messages out, and the other way.

Thread safety: the I/O thread only. It blocks nowhere.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterator

from websocket import ABNF

from ..errors import LMStudioConnectionLostError, LMStudioError
from .frames import (
    FragmentedMessage,
    FrameReader,
    frame_control,
    frame_text,
    goodbye_in_words,
    read_goodbye,
)

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
_CHUNK = 64 * 1024
_MANY_FRAMES = 100  # that wait for a server that does not read
_MOST_WRITTEN = 256 * 1024  # bytes at once, before other connections have their turn
_READ_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Transport:
    """An open websocket."""

    def __init__(self, sock: socket.socket, reader: FrameReader) -> None:
        """Take over a socket on which the handshake and the authentication are done.

        What the reader has read beyond that is told by the first `receive`.
        """
        sock.setblocking(False)
        reader.max_bytes = MAX_MESSAGE_BYTES
        self.socket = sock
        self.failure: LMStudioError | None = None  # why nothing more will come
        self._said_goodbye = False
        self._close_code: int | None = None
        self._close_reason = ""
        self._reader = reader
        self._outgoing: deque[bytes | memoryview] = deque()
        # Whose frames come after that. Only control frames may stand between those of the first.
        self._messages: deque[Iterator[bytes | None]] = deque()
        self._is_tls = isinstance(sock, ssl.SSLSocket)

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes are waiting for the socket to take them."""
        return bool(self._outgoing)

    @property
    def is_busy(self) -> bool:
        """Whether anything waits to be written, or a message is open that has more to come."""
        return bool(self._outgoing or self._messages)

    def has_news(self) -> bool:
        """Return whether there is something to read that nobody has looked at: bytes or the end.

        Raises:
            LMStudioConnectionLostError: The connection ended.
        """
        try:
            # Of the bare socket: that of TLS has no flags.
            socket.socket.recv(self.socket, 1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise _broke(error) from None
        return True

    def receive(self) -> list[bytes]:
        """Return the text messages that have arrived, perhaps none.

        At the end of the connection, and at bytes that are no websocket frames, `failure` is
        set; what came before that is returned first.
        """
        data = b""
        try:
            data = self.socket.recv(_CHUNK)
            if not data:
                self.failure = self._closed()
            # select() does not see what OpenSSL holds decrypted, so take that too.
            while self._is_tls and (pending := self.socket.pending()):  # type: ignore[attr-defined]
                data += self.socket.recv(pending)
        except _READ_AGAIN:
            pass
        except (OSError, ValueError) as error:
            self.failure = _broke(error)
        reader = self._reader
        messages = reader.feed(data)
        if reader.controls:
            self._answer_controls()
        if reader.error is not None:
            self.failure = reader.error
        return messages

    def receive_rest(self) -> list[bytes]:
        """Return all text messages that are here: nothing can be written, so this is the end."""
        messages: list[bytes] = []
        for _ in range(MAX_MESSAGE_BYTES // _CHUNK):
            with contextlib.suppress(LMStudioConnectionLostError):
                if self.failure is None and self.has_news():
                    messages += self.receive()
                    continue
            break
        return messages

    def send_text(self, text: bytes | FragmentedMessage) -> None:
        """Queue a message and write what the socket takes.

        Raises:
            LMStudioConnectionLostError: The connection ended.
        """
        if isinstance(text, FragmentedMessage):
            self._queue(text)
        elif self._messages:
            self._queue(iter((frame_text(text),)))
        else:
            self._send(frame_text(text))

    def flush(self) -> bool:
        """Write what the socket takes of what is waiting, or a part of that if it is much.

        Returns:
            Whether the socket took something.

        Raises:
            LMStudioConnectionLostError: The connection ended.
        """
        outgoing, written = self._outgoing, 0
        try:
            while (outgoing or self._take_frame()) and written < _MOST_WRITTEN:
                data = outgoing[0]
                count = self.socket.send(data)
                written += count
                if count == len(data):
                    outgoing.popleft()
                else:
                    outgoing[0] = memoryview(data)[count:]
        except _READ_AGAIN:
            pass  # TLS wants the very same bytes again, and it will get them
        except (OSError, ValueError) as error:
            raise _broke(error) from None
        return written > 0

    def ping(self) -> None:
        """Ask the server for a sign of life; its answer is a control frame.

        Raises:
            LMStudioConnectionLostError: The connection ended.
        """
        self._send(frame_control(ABNF.OPCODE_PING, b""))

    def say_goodbye(self) -> None:
        """Queue a close frame, if that was not done; nothing can be sent after it.

        Raises:
            LMStudioConnectionLostError: The connection ended.
        """
        if not self._said_goodbye:
            goodbye = frame_control(ABNF.OPCODE_CLOSE, struct.pack("!H", 1000))
            self._messages.append(iter((goodbye,)))
            self._said_goodbye = True
            if not self._outgoing:
                self.flush()

    def end_writing(self) -> None:
        """Tell the other side that nothing more will come; what it sends can still be read."""
        with contextlib.suppress(OSError):
            # Not the method of SSLSocket: that takes TLS off, and nothing could be read any more.
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.socket.close()

    def _send(self, frame: bytes) -> None:
        if self._said_goodbye:
            return
        self._outgoing.append(frame)
        if len(self._outgoing) == 1:
            self.flush()

    def _queue(self, frames: Iterator[bytes | None]) -> None:
        if self._said_goodbye:
            return
        self._messages.append(frames)
        if not self._outgoing:
            self.flush()

    def _take_frame(self) -> bool:
        """Take the next frame of the messages, if it is made yet."""
        while self._messages:
            frame = next(self._messages[0], b"")
            if frame:
                self._outgoing.append(frame)
                return True
            if frame is None:
                return False
            self._messages.popleft()
        return False

    def _answer_controls(self) -> None:
        controls, self._reader.controls = self._reader.controls, []
        ping: bytes | None = None  # the last one: that answers all (RFC 6455, 5.5.3)
        # An answer that cannot be sent loses nothing: reading will tell what is wrong.
        with contextlib.suppress(LMStudioConnectionLostError):
            for opcode, payload in controls:
                if opcode == ABNF.OPCODE_PING:
                    ping = payload
                elif opcode == ABNF.OPCODE_CLOSE:
                    self._close_code, self._close_reason = read_goodbye(payload)
                    self.failure = self._closed()
                    self._messages.clear()  # nothing may follow the answer
                    self.say_goodbye()
            # A server that never reads gets none.
            if ping is not None and len(self._outgoing) < _MANY_FRAMES:
                self._send(frame_control(ABNF.OPCODE_PONG, ping))

    def _closed(self) -> LMStudioConnectionLostError:
        words = goodbye_in_words(self._close_code, self._close_reason)
        return LMStudioConnectionLostError(
            f"LM Studio closed the connection{words}. The next call connects again.",
            self._close_code,
        )


def _broke(error: Exception) -> LMStudioConnectionLostError:
    return LMStudioConnectionLostError(
        f"The connection to LM Studio broke: {error}. The next call connects again."
    )
