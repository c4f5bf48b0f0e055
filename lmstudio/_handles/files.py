"""`Client.files`: the files that a client puts onto the server."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

from .._api.backports import Unpack
from .._api.public import public
from .._concurrency.cancel_token import CancelEvent, check_events
from .._concurrency.clock import monotonic
from .._connection.limits import CallLimits, TimeLimit
from .._connection.scope import CancelScope
from .._connection.session import Session
from .._requests.uploads import (
    Upload,
    UploadProgress,
    UploadProgressCallback,
    upload_request,
)
from .._values.local_file import LocalFileInput, open_local_file
from .._values.messages import FileHandle
from .handle import namespace_text
from .uploaded_files import UploadedFiles


class FilesNamespace(UploadedFiles):
    """The files that this client puts onto the server, as `Client.files`.

    Thread safety: all methods may be called from several threads at once; they take turns.
    """

    def __init__(
        self, session: Session, find_host: Callable[[], str | None], max_bytes: int | None
    ) -> None:
        """Offer what a session can reach; `Client` makes namespaces.

        Args:
            session: The session with the server.
            find_host: Returns the server's host, as a user would write it.
            max_bytes: How big a file may be; None: no limit.
        """
        super().__init__(session)
        self._find_host = find_host
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    def prepare_image(
        self,
        src: LocalFileInput,
        name: str | None = None,
        *,
        on_progress: UploadProgressCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> FileHandle:
        """Upload an image, and return a handle that can be put into a chat.

        It is read and sent in pieces, so that a big one takes little memory, and only other uploads
        have to wait for it. One that is stopped before all of it was sent leaves nothing on the
        server.

        Args:
            src: A path; the content as bytes, or any buffer; a file object opened for reading
                bytes, which is read from where it stands (all of it, if it stands at its end) and
                left open; or an image of Pillow, which is saved as PNG (one that was opened from a
                JPEG, as JPEG).
            name: What it is called on the server; None: the name of the file. Where there is
                none, the first bytes decide, as in ``image.png``.
            on_progress: Called in this thread with the share that is sent, from 0 to 1: with 0
                before the first byte, with each hundredth, and with 1 when the server has taken
                the file. What it raises stops the upload and is raised here. The file waits for
                it.
            cancel_event: An event, or several, that stop the upload. An image of Pillow is encoded
                before, and a pipe is read to its end; then this is looked at, and `timeout` too.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds in which the server neither takes nor says anything; None: no
                limit. For both, ``...`` is the client's own setting.

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
        return self._upload(
            src,
            name,
            on_progress=on_progress,
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        )

    def prepare_file(
        self,
        src: LocalFileInput,
        name: str | None = None,
        *,
        on_progress: UploadProgressCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> FileHandle:
        """Upload a file of any type, such as a document, and return a handle.

        The arguments, and what is raised, are those of `prepare_image()`. What has no name should
        be given one, whose ending says what it is.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        return self.prepare_image(src, name, on_progress=on_progress, **limits)

    def _upload(
        self,
        src: LocalFileInput,
        name: str | None,
        *,
        on_progress: UploadProgressCallback | None,
        cancel_event: CancelEvent,
        timeout: TimeLimit,
        idle_timeout: TimeLimit,
        is_left: Callable[[], bool] | None = None,
    ) -> FileHandle:
        """Do so; `is_left` tells whether the event loop was closed for which this thread works."""
        since = monotonic()
        progress = UploadProgress(on_progress, self._session.callback_gate)
        events = check_events(cancel_event)
        # There is no call before the source was read or encoded, which `cancel_all()` could find.
        scope = CancelScope(self._session, queue.SimpleQueue())
        with contextlib.ExitStack() as stack:
            stack.callback(scope.close)
            scope.open([])
            file = stack.enter_context(open_local_file(src, name, self._max_bytes))
            request = upload_request(file.name)
            call = self._session.new_call(
                request.endpoint, timeout=timeout, idle_timeout=idle_timeout
            )
            call.is_left = is_left
            upload = Upload(call, file)

            def make_frame(_room: object) -> None:
                if call.outcome is None:  # else the marker is older than the end
                    upload.make()
                    progress.report(upload.share)

            handle = request.result(self._session.run(call, [*events, scope], make_frame, since))
            self._session.note_upload(handle.identifier)
            progress.finish()
            return handle


public(FilesNamespace)
