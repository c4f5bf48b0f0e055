"""Uploads: the thread that waits makes the frames, the I/O thread asks for them one by one."""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from .._api.callbacks import check_callback
from .._concurrency.callback_gate import CallbackRunner
from .._concurrency.clock import sleep
from .._connection.call import Call, encode
from .._connection.endpoints import rpc
from .._connection.frames import FragmentedMessage, fragment_frame
from .._connection.request import Request
from .._json.converter import structure
from .._values.local_file import LocalFile
from .._values.messages import FileHandle

UploadProgressCallback: TypeAlias = Callable[[float], Any]
"""Gets the share of a file that is uploaded, from 0 to 1."""

_STEP = 0.01  # the share of a file after which progress is told again
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


class UploadProgress:
    """Tells how much of a file is sent: upwards from 0.0, some hundred times at most; 1.0 is last.

    Thread safety: the thread that waits for the upload.
    """

    def __init__(self, callback: UploadProgressCallback | None, runner: CallbackRunner) -> None:
        """Tell a callback, if there is one, which `runner` calls.

        Raises:
            LMStudioValueError: It cannot be called so.
        """
        check_callback("on_progress", callback, "progress")
        self._callback = callback
        self._runner = runner
        self._last = -1.0

    def report(self, share: float) -> None:
        """Tell the share that is sent. All of it is told when the server has answered."""
        if self._callback is not None and share < 1 and share - self._last >= _STEP:
            self._last = share
            self._runner.run(self._callback, share)

    def finish(self) -> None:
        """Tell that the server has the file."""
        if self._callback is not None:
            self._runner.run(self._callback, 1.0)


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
        self._size = file.size
        self._sizes: deque[int] = deque()  # bytes of the file, in frames that were not taken yet
        self._taken = -_MOST_FRAMES  # markers: but for the first, each says that a frame was taken
        self._taken_bytes = 0
        parameter: dict[str, Any] = {"name": file.name, "contentBase64": ""}
        text = encode(call.endpoint.start_message(call.id, parameter))
        # The content goes before the last quotation mark.
        self._frames = _make_frames(text[:-3], file.pieces, text[-3:])
        for _ in range(_MOST_FRAMES):
            self._inbox.put(_ROOM)
        call.message = FragmentedMessage(self)

    def make(self) -> None:
        """Make a frame, if there is one more. Runs in the waiting thread, once for each marker."""
        self._taken += 1
        if self._taken > 0:
            self._taken_bytes += self._sizes.popleft()
        frame, size = next(self._frames, (None, 0))
        if frame is not None:
            self._sizes.append(size)
            self._made.append(frame)
            self._dispatcher.reactor.post(self._dispatcher.write_on, self._path)
            # Else this thread and the I/O thread hand each other the GIL, and starve all others.
            sleep(_PAUSE)

    @property
    def share(self) -> float:
        """The share of the file that the I/O thread has taken, for the waiting thread."""
        return self._taken_bytes / self._size

    def __next__(self) -> bytes | None:
        """Return the next frame, or None if it is not made yet. Runs in the I/O thread."""
        if not self._made:
            return None
        self._inbox.put(_ROOM)
        return self._made.popleft()


def _make_frames(
    head: bytes, pieces: Iterable[bytes | memoryview], tail: bytes
) -> Iterator[tuple[bytes, int]]:
    """Make the frames of a message, each with the number of bytes of the file that it has."""
    yield fragment_frame(head, is_first=True), 0
    for piece in pieces:
        yield fragment_frame(binascii.b2a_base64(piece, newline=False)), len(piece)
    yield fragment_frame(tail, is_last=True), 0
