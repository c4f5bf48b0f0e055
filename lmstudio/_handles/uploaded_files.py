"""What can be asked about files that are on the server; `Client.files` has it."""

from __future__ import annotations

from collections.abc import Iterable

from .._api.backports import Unpack
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._connection.session import Session
from .._requests import documents
from .._requests.documents import ParsingCallback, RetrievalCallback, file_identifier
from .._values.documents import DocumentParser, ParsedDocument, RetrievalResult
from .._values.messages import FileHandle
from ..errors import LMStudioRuntimeError
from .embedding_model import EmbeddingModel


class UploadedFiles:
    """Files that are on the server.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, session: Session) -> None:
        """Ask by a session."""
        self._session = session

    def get_file_path(self, file: FileHandle | str, **limits: Unpack[CallLimits]) -> str:
        """Return the absolute path of a file on the server's machine.

        Args:
            file: The handle that uploading has given, or its `identifier`.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioServerError: The server does not have such a file.
            LMStudioValueError: It is neither.

        Endpoint: rpc ``files/getLocalFileAbsolutePath``.
        """
        self._check_own(file)
        return self._session.call(documents.get_file_path(file), **limits)

    def get_document_parser(
        self, file: FileHandle | str, **limits: Unpack[CallLimits]
    ) -> DocumentParser:
        """Return the library with which LM Studio would read a document.

        Args:
            file: The handle that uploading has given, or its `identifier`.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioServerError: The server does not have such a file, or cannot read it.
            LMStudioValueError: It is neither.

        Endpoint: rpc ``files/getDocumentParsingLibrary``.
        """
        self._check_own(file)
        return self._session.call(documents.get_document_parser(file), **limits)

    def parse_document(
        self,
        file: FileHandle | str,
        *,
        parser: DocumentParser | None = None,
        on_progress: ParsingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> ParsedDocument:
        """Return the text of a document, such as a PDF file.

        Args:
            file: The handle that uploading has given, or its `identifier`.
            parser: What is to read it; None: LM Studio chooses.
            on_progress: Called in this thread with the share that is read, from 0 to 1.
            cancel_event: An event, or several, that stop it.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit. For both, ``...`` is the
                client's own setting.

        Raises:
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed; the server was told to stop.
            LMStudioServerError: The server does not have such a file, or cannot read it.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``files/parseDocument``.
        """
        self._check_own(file)
        request = documents.parse_document(file, parser, on_progress, self._session.callback_gate)
        return self._session.call(request, **call_limits(cancel_event, timeout, idle_timeout))

    def retrieve(
        self,
        query: str,
        files: Iterable[FileHandle],
        *,
        limit: int | None = None,
        embedding_model: str | EmbeddingModel | None = None,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        database_file: str | None = None,
        on_progress: RetrievalCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> RetrievalResult:
        """Return the pieces of files that fit a query best.

        LM Studio cuts the files into chunks and compares their vectors with that of the query, by
        an embedding model, which it loads if need be.

        Args:
            query: What is looked for.
            files: Handles of the files, as `prepare_file()` returns them.
            limit: How many pieces at most; None: LM Studio's 5.
            embedding_model: The key of the embedding model, or its handle; None: LM Studio's own.
            chunk_size: Size of a chunk; None: LM Studio's 512.
            chunk_overlap: How much two chunks share, less than a chunk; None: LM Studio's 100, or
                half a chunk if that is less.
            database_file: A file on the server's machine in which the vectors are kept; None: none.
            on_progress: Called in this thread with each new `RetrievalProgress`.
            cancel_event: An event, or several, that stop it.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit. For both, ``...`` is the
                client's own setting.

        Raises:
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed; the server was told to stop.
            LMStudioServerError: The server does not have one of the files, or cannot read it, or
                the model does not embed.
            LMStudioModelNotFoundError: The server does not have the embedding model.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``files/retrieve``.
        """
        if isinstance(embedding_model, EmbeddingModel):
            embedding_model = embedding_model.identifier
        config = documents.retrieval_config(
            limit, embedding_model, chunk_size, chunk_overlap, database_file
        )
        request = documents.retrieve(query, files, config, on_progress, self._session.callback_gate)
        self._check_own(*request.parameter["fileIdentifiers"])
        return self._session.call(request, **call_limits(cancel_event, timeout, idle_timeout))

    def _check_own(self, *files: FileHandle | str) -> None:
        """Check that files belong to this process.

        Raises:
            LMStudioRuntimeError: One was uploaded by the process that this one was forked off.
        """
        inherited = self._session.inherited_uploads
        if inherited and not inherited.isdisjoint(map(file_identifier, files)):
            raise LMStudioRuntimeError(
                "The file was uploaded by the parent process, to which it belongs. Upload it again "
                "here, after the fork; or use an api_token, with which both are one client to "
                "LM Studio."
            )
