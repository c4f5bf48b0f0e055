"""Uploads for asyncio: a thread reads the file, and makes what is sent."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from .._api.backports import Unpack
from .._api.callbacks import check_callback
from .._api.public import public
from .._concurrency.callback_gate import CallbackRunner
from .._concurrency.cancel_token import CancelEvent, CancelToken, check_events
from .._connection.limits import CallLimits, TimeLimit
from .._handles.files import FilesNamespace
from .._handles.handle import namespace_text
from .._requests.uploads import UploadProgressCallback
from .._values.local_file import LocalFileInput
from .._values.messages import FileHandle
from .events import attach_events, in_thread
from .inbox import running_loop
from .session import AsyncSession
from .uploaded_files import AsyncUploadedFiles


class AsyncFilesNamespace(AsyncUploadedFiles):
    """Files that are put onto the server, as `AsyncClient.files`.

    Thread safety: the tasks of one event loop; uploads take turns.
    """

    def __init__(
        self, session: AsyncSession, find_host: Callable[[], str | None], max_bytes: int | None
    ) -> None:
        """Offer uploads; `AsyncClient` makes it. The arguments are those of `FilesNamespace`."""
        super().__init__(session)
        self._in_threads = FilesNamespace(session, find_host, max_bytes)
        self._find_host = find_host

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    async def prepare_image(
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

        A thread reads the file, so that the event loop goes on; `on_progress` is called on the
        loop, and the file does not wait for it. See `Client.files.prepare_image()` for the
        arguments, and what is raised.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        check_callback("on_progress", on_progress, "progress")
        token = CancelToken()
        progress = _Progress(on_progress, self._session.callback_gate, token)
        watches = await attach_events(token, check_events(cancel_event))
        upload = functools.partial(
            self._in_threads._upload,
            src,
            name,
            on_progress=None if on_progress is None else progress.tell,
            cancel_event=token,
            timeout=timeout,
            idle_timeout=idle_timeout,
            is_left=asyncio.get_running_loop().is_closed,
        )
        try:
            handle = await in_thread(upload)
            progress.check()
            return handle
        except BaseException as error:
            token.cancel("interrupted")
            if not isinstance(error, asyncio.CancelledError):
                progress.check()
            raise
        finally:
            progress.is_over = True
            for watch in watches:
                watch.end()

    async def prepare_file(
        self,
        src: LocalFileInput,
        name: str | None = None,
        *,
        on_progress: UploadProgressCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> FileHandle:
        """Upload a file of any type, such as a document, and return a handle.

        See `Client.files.prepare_file()` for the arguments, and what is raised.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        return await self.prepare_image(src, name, on_progress=on_progress, **limits)


class _Progress:
    """Brings what the thread of an upload tells to the event loop.

    Thread safety: `tell` for that thread, the rest for the loop.
    """

    def __init__(
        self, callback: UploadProgressCallback | None, runner: CallbackRunner, token: CancelToken
    ) -> None:
        self.is_over = False  # nothing is told any more
        self._callback = callback
        self._runner = runner
        self._token = token
        self._loop = running_loop()
        self._failure: BaseException | None = None

    def tell(self, share: float) -> None:
        """Have the callback called on the loop, before anything that the thread does after this."""
        self._loop.call_soon_threadsafe(self._run, share)

    def _run(self, share: float) -> None:
        if self.is_over or self._callback is None:
            return
        try:
            self._runner.run(self._callback, share)
        except BaseException as error:
            self.is_over = True
            self._failure = error
            self._token.cancel("a callback raised an exception")

    def check(self) -> None:
        """Raise what the callback has raised."""
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                self._failure = None


public(AsyncFilesNamespace)
