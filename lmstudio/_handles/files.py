"""Uploads: the calling thread makes the frames, the I/O thread asks for them one by one."""

from __future__ import annotations

import binascii
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from .._concurrency.cancel_token import CancelEvent
from .._connection.call import Call
from .._connection.endpoints import rpc
from .._connection.frames import Pieces, frame_piece
from .._connection.session import Limit, Line
from .._values.local_file import LocalFile, LocalFileInput, open_local_file
from .._values.messages import FileHandle
from .handle import read_answer

__all__ = ["FilesNamespace"]

# Frames that wait for the socket at most. One more is being written, and one being made.
_MOST_FRAMES = 8
_PAUSE = 0.00005  # seconds
_ROOM = "room for one more frame"


class FilesNamespace:
    """The files that this client puts onto the server, as `Client.files`.

    Thread safety: all methods may be called from several threads at once; they take turns.
    """

    def __init__(self, line: Line, max_bytes: int | None) -> None:
        """Offer what a line can reach; `Client` makes namespaces.

        Args:
            line: The line to the server.
            max_bytes: How big a file may be; None: no limit.
        """
        self._line = line
        self._max_bytes = max_bytes

    def prepare_image(
        self,
        src: LocalFileInput,
        name: str | None = None,
        *,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> FileHandle:
        """Upload an image, and return a handle that can be put into a chat.

        It is read and sent in pieces, so that a big one takes little memory, and only other uploads
        have to wait for it. One that is stopped before all of it was sent leaves nothing on the
        server.

        Args:
            src: A path; the content as bytes, or any buffer; a file object opened for reading
                bytes, which is read from where it stands and left open; or an image of Pillow,
                which is saved as PNG (one that was opened from a JPEG, as JPEG).
            name: What it is called on the server; None: the name of the file. Where there is
                none, the first bytes decide, as in ``image.png``.
            cancel_event: An event, or several, that stop the upload.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds in which the server neither takes nor says anything; None: no
                limit.

        Raises:
            LMStudioOSError: It cannot be read, or its size changed while it was being read.
            LMStudioValueError: It is empty, or bigger than the client's `max_upload_bytes`, or an
                argument cannot be used; nothing was sent.
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed.
            LMStudioServerError: LM Studio does not take the file.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        endpoint = rpc("files", "uploadFileBase64")
        call = self._line.new_call(endpoint, timeout=timeout, idle_timeout=idle_timeout)
        with open_local_file(src, name, self._max_bytes) as file:
            frames = _Frames(call, file)
            call.pieces = Pieces(frames)

            def make_frame(_room: object) -> None:
                if call.ending is None:  # else the marker is older than the end
                    frames.make()

            answer = self._line.run(call, cancel_event, make_frame)
        return read_answer(
            lambda found: FileHandle.from_dict({**found, "name": file.name}), answer, endpoint.name
        )


class _Frames(Iterator["bytes | None"]):
    """The frames of an upload, made by the thread that waits for its answer.

    The waiting thread finds a marker in its inbox for each frame that it may make. The I/O thread
    puts one there for each frame that it takes; so neither ever waits for the other.
    """

    def __init__(self, call: Call, file: LocalFile) -> None:
        """Permit the first frames; nothing is read yet."""
        self._loop, self._inbox = call.loop, call.inbox  # not the call, which holds this
        self._namespace = call.endpoint.namespace
        self._made: deque[bytes] = deque()
        parameter: dict[str, Any] = {"name": file.name, "contentBase64": ""}
        message = call.endpoint.start_message(call.id, parameter)
        text = json.dumps(message, separators=(",", ":")).encode("ascii")
        # The content goes before the last quotation mark.
        self._frames = _make_frames(text[:-3], file.pieces, text[-3:])
        for _ in range(_MOST_FRAMES):
            self._inbox.put(_ROOM)

    def make(self) -> None:
        """Make a frame, if there is one more. Runs in the waiting thread."""
        frame = next(self._frames, None)
        if frame is not None:
            self._made.append(frame)
            self._loop.post(self._loop.write_on, self._namespace)
            # This thread and the I/O thread would pass the GIL to and fro, and starve all others.
            time.sleep(_PAUSE)

    def __next__(self) -> bytes | None:
        """Return the next frame, or None if it is not made yet. Runs in the I/O thread."""
        if not self._made:
            return None
        self._inbox.put(_ROOM)
        return self._made.popleft()


def _make_frames(head: bytes, pieces: Iterable[bytes | memoryview], tail: bytes) -> Iterator[bytes]:
    yield frame_piece(head, is_first=True)
    for piece in pieces:
        yield frame_piece(binascii.b2a_base64(piece, newline=False))
    yield frame_piece(tail, is_last=True)
