"""Requests about files that are on the server: where they lie, their text, what answers a query."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from .._api.callbacks import check_callback
from .._api.checks import check_count, check_text
from .._api.numbers import as_whole
from .._api.shown import shown
from .._concurrency.callback_gate import CallbackRunner
from .._connection.endpoints import channel, rpc
from .._connection.request import Request
from .._json.converter import structure
from .._values.documents import (
    DocumentParser,
    ParsedDocument,
    RetrievalEntry,
    RetrievalProgress,
    RetrievalResult,
)
from .._values.messages import FileHandle
from ..errors import LMStudioProtocolError, LMStudioValueError
from . import answers

ParsingCallback: TypeAlias = Callable[[float], Any]
"""Gets the share of a document that is read, from 0 to 1."""
RetrievalCallback: TypeAlias = Callable[[RetrievalProgress], Any]
"""Gets how far each step of a retrieval is."""

_CHUNK_SIZE, _CHUNK_OVERLAP = 512, 100  # LM Studio's own, where only one of them is given
_STEPS = {"Start": 0.0, "End": 1.0}  # packets without a share, by how their types end


def file_identifier(file: FileHandle | str) -> str:
    """Return the identifier of a file that was put onto the server.

    Raises:
        LMStudioValueError: It is neither a handle nor an identifier.
    """
    if isinstance(file, FileHandle):
        return file.identifier
    # An identifier is the name of a file in LM Studio's own folder.
    if not isinstance(file, str) or "/" in file or "\\" in file:
        raise _no_handle(file)
    return file


def _no_handle(file: Any) -> LMStudioValueError:
    src = shown(os.fspath(file)) if isinstance(file, (str, os.PathLike)) else "src"
    return LMStudioValueError(
        f"A file is given by its handle, which client.files.prepare_file({src}) returns when it "
        f"has uploaded the file; {shown(file)} was given."
    )


def get_file_path(file: FileHandle | str) -> Request[str]:
    """Ask where a file lies."""
    endpoint = rpc("files", "getLocalFileAbsolutePath", "Looking for the file")
    parameter = {"fileName": file_identifier(file)}
    return Request(endpoint, parameter, lambda answer: answers.text(answer, "path"))


def get_document_parser(file: FileHandle | str) -> Request[DocumentParser]:
    """Ask what would read a document."""
    endpoint = rpc("files", "getDocumentParsingLibrary", "Looking for the parser")
    return Request(endpoint, {"fileIdentifier": file_identifier(file)}, _parser)


def parse_document(
    file: FileHandle | str,
    parser: DocumentParser | None,
    on_progress: ParsingCallback | None,
    runner: CallbackRunner,
) -> Request[ParsedDocument]:
    """Ask for the text of a document."""
    check_callback("on_progress", on_progress, "progress")
    options: dict[str, Any] = {}
    if parser is not None:
        if not isinstance(parser, DocumentParser):
            raise LMStudioValueError(f"parser must be a DocumentParser; {shown(parser)} was given.")
        options["parserId"] = {"library": parser.library, "version": parser.version}

    def take(packet: dict[str, Any]) -> None:
        share = _share(packet.get("progress")) if packet["type"] == "progress" else None
        if on_progress is not None and share is not None:
            runner.run(on_progress, share)

    def read(packet: Any) -> ParsedDocument:
        content = answers.text(packet, "content")
        return ParsedDocument(content=content, parser=_parser(packet.get("parser")))

    endpoint = channel(
        "files", "parseDocument", "Parsing the document", "Document parsing", "result"
    )
    parameter = {"fileIdentifier": file_identifier(file), "parseOpts": options}
    return Request(endpoint, parameter, read, take)


def retrieve(
    query: str,
    files: Iterable[FileHandle],
    config: dict[str, Any],
    on_progress: RetrievalCallback | None,
    runner: CallbackRunner,
) -> Request[RetrievalResult]:
    """Ask for the pieces of files that fit a query; `config` is made by `retrieval_config`."""
    check_callback("on_progress", on_progress, "progress")
    is_one = isinstance(files, (str, bytes, os.PathLike)) or not isinstance(files, Iterable)
    sources: list[Any] = [files] if is_one else list(files)
    for file in sources:
        if not isinstance(file, FileHandle):
            raise _no_handle(file)
    parameter = {
        "query": check_text(query, "query"),
        "fileIdentifiers": [file.identifier for file in sources],
        "config": config,
    }

    told: list[RetrievalProgress] = []  # the last one: the end of a step says its 1.0 once more

    def take(packet: dict[str, Any]) -> None:
        progress = _progress(packet, sources)
        if on_progress is not None and progress is not None and told != [progress]:
            told[:] = [progress]
            runner.run(on_progress, progress)

    def read(packet: Any) -> RetrievalResult:
        found = answers.field(packet.get("result"), "entries")
        entries = answers.objects(found, "entries")
        return RetrievalResult(entries=[_entry(entry, sources) for entry in entries])

    endpoint = channel("files", "retrieve", "The retrieval", "Retrieval", "result", stop="stop")
    return Request(endpoint, parameter, read, take)


def retrieval_config(
    limit: int | None,
    embedding_model: str | None,
    chunk_size: int | None,
    chunk_overlap: int | None,
    database_file: str | None,
) -> dict[str, Any]:
    """Return the options of a retrieval as LM Studio takes them; None stands for its own.

    Raises:
        LMStudioValueError: One cannot be used.
    """
    values: dict[str, Any] = {}
    if limit is not None:
        values["retrieval.limit"] = check_count(limit, "limit")
    if embedding_model is not None:
        if not isinstance(embedding_model, str):
            raise LMStudioValueError(
                "embedding_model must be the key or the handle of an embedding model; "
                f"{shown(embedding_model)} was given."
            )
        values["retrieval.embeddingModel"] = embedding_model
    if chunk_size is not None or chunk_overlap is not None:
        size = _CHUNK_SIZE if chunk_size is None else check_count(chunk_size, "chunk_size")
        usual = min(_CHUNK_OVERLAP, size // 2)
        overlap = as_whole(usual if chunk_overlap is None else chunk_overlap)
        if overlap is None or not 0 <= overlap < size:
            raise LMStudioValueError(
                f"chunk_overlap must be at least 0 and smaller than a chunk ({size}), or None; "
                f"{shown(chunk_overlap)} was given."
            )
        method = {"type": "recursive-v1", "chunkSize": size, "chunkOverlap": overlap}
        values["retrieval.chunkingMethod"] = method
    if database_file is not None:
        values["retrieval.databaseFile"] = check_text(database_file, "database_file")
    return {"fields": [{"key": key, "value": value} for key, value in values.items()]}


def _parser(data: Any) -> DocumentParser:
    return structure(data, DocumentParser)


def _entry(entry: dict[str, Any], sources: Sequence[FileHandle]) -> RetrievalEntry:
    index = answers.count(entry, "sourceIndex")
    if index >= len(sources):
        raise LMStudioProtocolError(f"sourceIndex is {index}, of {len(sources)} files.")
    (score,) = answers.numbers({"score": [entry.get("score")]}, "score")
    return RetrievalEntry(
        content=answers.text(entry, "content"),
        score=score,
        source=sources[index],
        page_number=_place(entry.get("pageNumber")),
        line_number=_place(entry.get("lineNumber")),
    )


def _place(value: Any) -> int | tuple[int, int] | None:
    if type(value) is int:
        return value
    if isinstance(value, list) and len(value) == 2 and {type(part) for part in value} == {int}:
        return value[0], value[1]
    return None


def _progress(packet: dict[str, Any], sources: Sequence[FileHandle]) -> RetrievalProgress | None:
    """Return what a packet says of a step; None if it is about something else, or odd."""
    kind = str(packet["type"])
    if kind in ("onSearchingStart", "onSearchingEnd"):
        return RetrievalProgress(
            step="searching", progress=_STEPS[kind.removeprefix("onSearching")]
        )
    end = kind.removeprefix("onFileProcessingStep")
    share = _share(packet.get("progress")) if end == "Progress" else _STEPS.get(end)
    index: Any = packet.get("index")
    step = packet.get("step")
    if end == kind or share is None or not isinstance(step, str):
        return None
    if type(index) is not int or not 0 <= index < len(sources):
        return None
    return RetrievalProgress(step=step, progress=share, file=sources[index])


def _share(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= 1 else None
