"""Websocket frames as bytes: a reader for the server's, a writer for ours. No I/O.

websocket-client's `frame_buffer` does the same reading at ten times the cost per frame; tests
hold this reader against it.
"""

from __future__ import annotations

import struct

from websocket import ABNF

from .errors import LMStudioProtocolError

__all__ = ["FrameReader", "frame_text"]

_TEXT = 0x81  # a whole text message: FIN and opcode 1
_CLOSE = 0x88
_OPCODES = frozenset(ABNF.OPCODES)


def frame_text(payload: bytes) -> bytes:
    """Return a masked frame that carries one whole text message."""
    return bytes(ABNF.create_frame(payload, ABNF.OPCODE_TEXT).format())


class FrameReader:
    """Cuts a byte stream into messages.

    Control frames (ping, pong, close) are put into `controls`, as (opcode, payload); binary
    messages are not part of LM Studio's protocol and are dropped.

    Thread safety: one thread only.
    """

    def __init__(self, max_bytes: int) -> None:
        """Refuse messages of more than `max_bytes` bytes, before they are held in memory."""
        self.controls: list[tuple[int, bytes]] = []
        self.error: LMStudioProtocolError | None = None
        self._max_bytes = max_bytes
        self._rest: list[bytes] = []  # pieces of a frame that is not complete
        self._missing = 0  # bytes that must come before looking at them again
        self._parts: list[bytes] = []  # payloads of a message sent in several frames
        self._parts_opcode = 0  # 0: no such message is open
        self._parts_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was received and return the text messages that it completes.

        Bytes that are no websocket frames, or a message that is too big, set `error`; the
        messages before them are returned all the same.
        """
        if self._rest:
            self._rest.append(data)
            self._missing -= len(data)
            if self._missing > 0:  # join once, not at each of a thousand small reads
                return []
            data = b"".join(self._rest)
            self._rest.clear()
        messages: list[bytes] = []
        try:
            self._cut(data, messages)
        except LMStudioProtocolError as error:
            self.error = error
        return messages

    def _cut(self, data: bytes, messages: list[bytes]) -> None:
        position, size = 0, len(data)
        while position < size:
            start = position + 2
            if start > size:
                break
            first, length = data[position], data[position + 1]
            if length > 125:
                if length == 126:
                    start += 2
                    if start > size:
                        break
                    length = (data[start - 2] << 8) | data[start - 1]
                elif length == 127:
                    start += 8
                    if start > size:
                        break
                    length = struct.unpack_from("!Q", data, start - 8)[0]
                    self._check_size(length)
                else:
                    raise LMStudioProtocolError("The server sent a masked websocket frame.")
            end = start + length
            if end > size:
                self._missing = end - size
                break
            if first == _TEXT and not self._parts_opcode:
                messages.append(data[start:end])
            else:
                self._take(first, data[start:end], messages)
            position = end
            if first == _CLOSE:
                return  # what stands after it is not for us
        if position < size:
            self._rest.append(data[position:])

    def _take(self, first: int, payload: bytes, messages: list[bytes]) -> None:
        """Take a frame that is not a whole text message."""
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70 or opcode not in _OPCODES:
            raise LMStudioProtocolError(f"The server sent an invalid frame (0x{first:02x}).")
        if opcode >= 8:
            if not final or len(payload) > 125:
                raise LMStudioProtocolError("The server sent an invalid control frame.")
            self.controls.append((opcode, payload))
            return
        if (opcode == ABNF.OPCODE_CONT) != bool(self._parts_opcode):
            raise LMStudioProtocolError("The server sent the parts of a message out of order.")
        if opcode != ABNF.OPCODE_CONT:
            self._parts_opcode = opcode
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        self._check_size(self._parts_bytes)
        if final:
            if self._parts_opcode == ABNF.OPCODE_TEXT:
                messages.append(b"".join(self._parts))
            self._parts.clear()
            self._parts_opcode = self._parts_bytes = 0

    def _check_size(self, length: int) -> None:
        if length > self._max_bytes:
            raise LMStudioProtocolError(
                f"The server sent a message of {length:,} bytes; "
                f"the limit is {self._max_bytes:,} bytes."
            )
