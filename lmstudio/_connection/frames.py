"""Websocket frames as bytes: a reader for the server's, a writer for ours. No I/O.

websocket-client's `frame_buffer` does the same reading at ten times the cost per frame; tests
hold this reader against it.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator

from websocket import ABNF

from .._api.shown import shortened
from ..errors import LMStudioProtocolError

# A longer message is cut into frames of this size: masking a frame holds the GIL, and one of
# 50 MB would hold it for 0.1 s; one of this size 0.2 ms, in several steps.
FRAME_BYTES = 128 * 1024

_TEXT = 0x81  # a whole text message: FIN and opcode 1
_CLOSE = 0x88
_SHORT = 2000  # bytes up to which a payload is masked as a whole number
_FIN = 0x80
_OPCODES = frozenset(ABNF.OPCODES)


def _frame(first: int, payload: bytes) -> bytes:
    """Return a masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    key = os.urandom(4)
    if size <= _SHORT:  # as two whole numbers: one XOR
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
        masked = int.from_bytes(payload, "big") ^ mask
        return head + key + masked.to_bytes(size, "big")
    longer = bytearray(size)  # whose numbers would be slow, and hold the GIL: by tables
    for i in range(4):
        longer[i::4] = payload[i::4].translate(_xor_table(key[i]))
    return head + key + longer


@functools.cache
def _xor_table(byte: int) -> bytes:
    """What XOR with a byte makes of each byte."""
    return bytes(value ^ byte for value in range(256))


def frame_text(payload: bytes) -> bytes:
    """Return a masked frame that carries one whole text message."""
    return _frame(_TEXT, payload)


def frame_control(opcode: int, payload: bytes) -> bytes:
    """Return a masked control frame: ping, pong or close."""
    return _frame(_FIN | opcode, payload)


def read_goodbye(payload: bytes) -> tuple[int | None, str]:
    """Return the code and the reason in a close frame, as far as it has them."""
    if len(payload) < 2:
        return None, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")


def goodbye_in_words(code: int | None, reason: str) -> str:
    """Return that for the text of an error."""
    if code is None:
        return ""
    return f" (websocket close code {code}{': ' if reason else ''}{shortened(reason)})"


def fragment_frame(payload: bytes, *, is_first: bool = False, is_last: bool = False) -> bytes:
    """Return a masked frame that carries a fragment of a text message."""
    return _frame(
        (_FIN if is_last else 0) | (ABNF.OPCODE_TEXT if is_first else ABNF.OPCODE_CONT), payload
    )


def fragment_text(text: bytes) -> Iterator[bytes]:
    """Make the frames of a text message, each when it is asked for."""
    last = (len(text) - 1) // FRAME_BYTES * FRAME_BYTES
    for at in range(0, last + 1, FRAME_BYTES):
        payload = text[at : at + FRAME_BYTES]
        yield fragment_frame(payload, is_first=at == 0, is_last=at == last)


class FragmentedMessage(Iterator["bytes | None"]):
    """A text message in several frames, which are taken one at a time, as the socket has room.

    Thread safety: the I/O thread only, once the message is queued.
    """

    def __init__(self, frames: Iterator[bytes | None]) -> None:
        """Take the frames from an iterator; None stands for one that is not made yet."""
        self._frames = frames
        self._is_begun = False
        self.is_complete: bool = False  # its last frame was taken

    def __next__(self) -> bytes | None:
        """Return the next frame, or None if it is not made yet."""
        frame = next(self._frames)
        if frame is not None:
            self._is_begun = True
            if frame[0] & _FIN:
                self.is_complete = True
                self._frames = iter(())  # a big text need not be held any longer
        return frame

    def cut(self) -> bool:
        """End the message here, so that the server cannot read it; it ignores what is no JSON.

        Returns:
            False if it is too late: the whole message was taken.
        """
        if self.is_complete:
            return False
        self._frames = iter((fragment_frame(b"", is_last=True),) if self._is_begun else ())
        return True


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
        self.max_bytes = max_bytes
        self._rest: list[bytes] = []  # what came of a frame that is not complete
        self._missing = 0  # bytes that must come before looking at them again
        self._fragments = bytearray()  # what came of a message that is sent in several frames
        self._opcode = 0  # of that message; 0: none is open

    @property
    def is_at_end(self) -> bool:
        """Whether nothing that follows will be read: a close frame came, or what is no frame."""
        return self.error is not None or any(opcode == _CLOSE & 0x0F for opcode, _ in self.controls)

    def put_back(self, data: bytes) -> None:
        """Take what stands behind a whole message; the next `feed` reads it."""
        self._rest.append(data)

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
                self._check_first(first, length)  # now: the rest of it may never come
                self._missing = end - size
                break
            if first == _TEXT and not self._opcode:
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
        self._check_first(first, len(payload))
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= 8:
            self.controls.append((opcode, payload))
            return
        if opcode != ABNF.OPCODE_CONT:
            self._opcode = opcode
        self._check_size(len(self._fragments) + len(payload))
        self._fragments += payload
        if final:
            if self._opcode == ABNF.OPCODE_TEXT:
                messages.append(bytes(self._fragments))
            self._fragments.clear()
            self._opcode = 0

    def _check_first(self, first: int, length: int) -> None:
        """Refuse a frame by its first byte and its length."""
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70 or opcode not in _OPCODES:
            raise LMStudioProtocolError(f"The server sent an invalid frame (0x{first:02x}).")
        if opcode >= 8:
            if not final or length > 125:
                raise LMStudioProtocolError("The server sent an invalid control frame.")
        elif (opcode == ABNF.OPCODE_CONT) != bool(self._opcode):
            raise LMStudioProtocolError("The server sent the fragments of a message out of order.")

    def _check_size(self, length: int) -> None:
        if length > self.max_bytes:
            raise LMStudioProtocolError(
                f"The server sent a message of {length:,} bytes; "
                f"the limit is {self.max_bytes:,} bytes."
            )
