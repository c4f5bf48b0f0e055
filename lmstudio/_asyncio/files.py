"""Uploads for asyncio: a thread reads the file, and makes what is sent."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from .._api.backports import Unpack
from .._concurrency.cancel_token import CancelEvent, CancelToken, check_events
from .._connection.limits import CallLimits, Limit
from .._handles.files import FilesNamespace
from .._handles.handle import namespace_text
from .._values.local_file import LocalFileInput
from .._values.messages import FileHandle
from .events import attach_events, in_thread
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
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> FileHandle:
        """Upload an image, and return a handle that can be put into a chat.

        A thread reads the file, so that the event loop goes on. See `Client.files.prepare_image()`
        for the arguments, and what is raised.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        token = CancelToken()
        watches = await attach_events(token, check_events(cancel_event))
        upload = functools.partial(
            self._in_threads._upload,
            src,
            name,
            cancel_event=token,
            timeout=timeout,
            idle_timeout=idle_timeout,
            is_left=asyncio.get_running_loop().is_closed,
        )
        try:
            return await in_thread(upload)
        except BaseException:
            token.cancel("interrupted")
            raise
        finally:
            for watch in watches:
                watch.end()

    async def prepare_file(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Upload a file of any type, such as a document, and return a handle.

        See `Client.files.prepare_file()` for the arguments, and what is raised.

        Endpoint: rpc ``files/uploadFileBase64``.
        """
        return await self.prepare_image(src, name, **limits)
