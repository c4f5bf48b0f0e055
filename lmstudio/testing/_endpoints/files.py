"""The namespace `files`: uploads, their types, parsing and retrieval."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os.path
from typing import Any

from .._core.channel import Channel
from .._core.core import Core, StoredFile
from .._engines.models_on_disk import Domain
from .._protocol.errors import EndpointError

PARSER = {"library": "testing", "version": "1.0.0"}
_CHUNK, _OVERLAP, _LIMIT = 512, 100, 5  # LM Studio's own
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"%PDF-", "application/pdf"),
)
_EXTENSIONS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"),
    "text/plain": (".txt",),
    "application/pdf": (".pdf",),
    "application/word": (".docx", ".doc"),
    "text/other": (
        *(".md", ".csv", ".json", ".xml", ".html", ".yaml", ".yml", ".toml", ".log"),
        *(".py", ".js", ".ts", ".c", ".h", ".rs", ".go"),
    ),
}


def file_type(name: str, content: bytes) -> str:
    """Return the type of a file: by its first bytes, else by its name."""
    for magic, found in _MAGIC:
        if content.startswith(magic):
            return found
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image"
    extension = os.path.splitext(name)[1].lower()
    for kind, extensions in _EXTENSIONS.items():
        if extension in extensions:
            return kind
    return "unknown"


def upload(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `uploadFileBase64`: each upload has an identifier of its own."""
    name = parameter["name"]
    try:
        content = base64.b64decode(parameter["contentBase64"], validate=True)
    except (binascii.Error, ValueError) as problem:
        raise EndpointError("The content is not valid base64.", cause=str(problem)) from None
    extension = os.path.splitext(name)[1].lower()
    identifier = f"{hashlib.sha256(content).hexdigest()}-{len(core.files)}{extension}"
    stored = StoredFile(name, content, file_type(name, content))
    core.files[identifier] = stored
    return {"identifier": identifier, "fileType": stored.type, "sizeBytes": len(content)}


def local_path(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getLocalFileAbsolutePath`: where the app would keep the file."""
    name = parameter["fileName"]
    _stored(core, name)
    return {"path": f"/lmstudio-testing/user-files/{name}"}


def parsing_library(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getDocumentParsingLibrary`."""
    _stored(core, parameter["fileIdentifier"])
    return dict(PARSER)


async def parse_document(core: Core, channel: Channel, parameter: Any) -> None:
    """Serve `parseDocument`: the content of a file as text."""
    stored = _stored(core, parameter["fileIdentifier"])
    channel.send({"type": "parserLoaded", "parser": dict(PARSER)})
    for progress in (0, 0.5, 1):
        if await channel.sleep(0.0):
            return
        channel.send({"type": "progress", "progress": progress})
    channel.send({"type": "result", "content": stored.text(), "parser": dict(PARSER)})


async def retrieve(core: Core, channel: Channel, parameter: Any) -> None:
    """Serve `retrieve`: the pieces of the files that share most words with the query."""
    files = [_stored(core, identifier) for identifier in parameter["fileIdentifiers"]]
    config = {field["key"]: field.get("value") for field in parameter["config"]["fields"]}
    _check_embedding_model(core, config.get("retrieval.embeddingModel"))
    size, overlap = _chunking(config.get("retrieval.chunkingMethod"))
    channel.send({"type": "onFileProcessList", "indices": list(range(len(files)))})
    entries: list[dict[str, Any]] = []
    for index, stored in enumerate(files):
        channel.send({"type": "onFileProcessingStart", "index": index})
        for step in ("loading", "chunking", "embedding"):
            if await channel.sleep(0.0):
                return
            at = {"index": index, "step": step}
            channel.send({"type": "onFileProcessingStepStart", **at})
            channel.send({"type": "onFileProcessingStepProgress", **at, "progress": 1})
            channel.send({"type": "onFileProcessingStepEnd", **at})
        channel.send({"type": "onFileProcessingEnd", "index": index})
        entries.extend(_scored(_chunks(stored.text(), size, overlap), parameter["query"], index))
    channel.send({"type": "onSearchingStart"})
    limit = int(config.get("retrieval.limit") or _LIMIT)
    best = sorted(entries, key=lambda entry: -entry["score"])[:limit]
    channel.send({"type": "onSearchingEnd"})
    channel.send({"type": "result", "result": {"entries": best}})


def _stored(core: Core, identifier: str) -> StoredFile:
    stored = core.files.get(identifier)
    if stored is None:
        raise EndpointError(f'Cannot find a file with identifier "{identifier}"')
    return stored


def _check_embedding_model(core: Core, name: Any) -> None:
    """Accept a loaded embedding model, or one that could be loaded; none is the app's own."""
    if isinstance(name, str) and name and core.registry.named(name, "embedding") is None:
        core.registry.model(name, "embedding")


def _chunking(method: Any) -> tuple[int, int]:
    """Return the size of a chunk, and how much two of them share, in characters."""
    method = method if isinstance(method, dict) else {}
    size, overlap = method.get("chunkSize", _CHUNK), method.get("chunkOverlap", _OVERLAP)
    if not (isinstance(size, int) and isinstance(overlap, int) and 0 <= overlap < size):
        raise EndpointError(
            f"Chunks of {size} cannot share {overlap}.",
            cause="chunkOverlap must be at least 0 and smaller than chunkSize.",
        )
    return size, overlap


def _chunks(text: str, size: int, overlap: int) -> list[str]:
    if not text:
        return []
    ends = max(1, len(text) - overlap)  # what begins there lies in the chunk before
    return [text[at : at + size] for at in range(0, ends, size - overlap)]


def _scored(chunks: list[str], query: str, index: int) -> list[dict[str, Any]]:
    words = set(query.lower().split())
    return [
        {
            "content": chunk,
            "score": len(words & set(chunk.lower().split())) / max(1, len(words)),
            "sourceIndex": index,
        }
        for chunk in chunks
    ]
