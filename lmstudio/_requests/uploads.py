"""Uploads: the thread that waits makes the frames, the I/O thread asks for them one by one."""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from .._concurrency.clock import sleep
from .._connection.call import Call, encode
from .._connection.endpoints import rpc
from .._connection.frames import FragmentedMessage, fragment_frame
from .._connection.request import Request
from .._json.converter import structure
from .._values.local_file import LocalFile
from .._values.messages import FileHandle

# Frames that wait for the socket at most. One more is being written, and one being made.
_MOST_FRAMES = 8
_PAUSE = 0.00005  # seconds
_ROOM = "room for one more frame"


def upload_request(name: str) -> Request[FileHandle]:
    """Put a file onto the server; an `Upload` makes the message that starts it."""
    return Request(
        rpc("files", "uploadFileBase64", "The upload"),
        None,
        lambda found: structure({**found, "name": name}, FileHandle),
    )


class Upload(Iterator["bytes | None"]):
    """The frames of an upload, made by the thread that waits for its answer.

    That thread finds a marker in its inbox for each frame that it may make. The I/O thread puts one
    there for each frame that it takes; so neither ever waits for the other.
    """

    def __init__(self, call: Call, file: LocalFile) -> None:
        """Have a call start with the content of a file; nothing is read yet."""
        # Not the call, which holds this.
        self._dispatcher, self._inbox = call.dispatcher, call.inbox
        self._path = call.endpoint.path
        self._made: deque[bytes] = deque()
        parameter: dict[str, Any] = {"name": file.name, "contentBase64": ""}
        text = encode(call.endpoint.start_message(call.id, parameter))
        # The content goes before the last quotation mark.
        self._frames = _make_frames(text[:-3], file.pieces, text[-3:])
        for _ in range(_MOST_FRAMES):
            self._inbox.put(_ROOM)
        call.message = FragmentedMessage(self)

    def make(self) -> None:
        """Make a frame, if there is one more. Runs in the waiting thread."""
        frame = next(self._frames, None)
        if frame is not None:
            self._made.append(frame)
            self._dispatcher.reactor.post(self._dispatcher.write_on, self._path)
            # This thread and the I/O thread would pass the GIL to and fro, and starve all others.
            sleep(_PAUSE)

    def __next__(self) -> bytes | None:
        """Return the next frame, or None if it is not made yet. Runs in the I/O thread."""
        if not self._made:
            return None
        self._inbox.put(_ROOM)
        return self._made.popleft()


def _make_frames(head: bytes, pieces: Iterable[bytes | memoryview], tail: bytes) -> Iterator[bytes]:
    yield fragment_frame(head, is_first=True)
    for piece in pieces:
        yield fragment_frame(binascii.b2a_base64(piece, newline=False))
    yield fragment_frame(tail, is_last=True)
