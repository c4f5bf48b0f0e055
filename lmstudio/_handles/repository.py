"""The repository: search for models, see in which forms they are offered, download them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .._concurrency.cancel_token import CancelEvent
from .._connection.endpoints import DOWNLOAD, rpc
from .._connection.session import CallLimits, Limit, Line
from .._json.converter import structure
from .._values.model_info import (
    DownloadProgressUpdate,
    ModelSearchResultDownloadOptionData,
    ModelSearchResultEntryData,
)
from ..errors import LMStudioProtocolError, LMStudioValueError
from .handle import text_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "AvailableModel",
    "DownloadFinalizedCallback",
    "DownloadProgressCallback",
    "ModelDownloadOption",
    "RepositoryNamespace",
]

DownloadProgressCallback: TypeAlias = Callable[[DownloadProgressUpdate], Any]
DownloadFinalizedCallback: TypeAlias = Callable[[], Any]

_MOST_RESULTS = 25  # LM Studio refuses to return more at once


class RepositoryNamespace:
    """Models that can be downloaded, as `Client.repository`.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, line: Line) -> None:
        """Offer what a line can reach; `Client` makes namespaces."""
        self._line = line

    def search_models(
        self,
        search_term: str | None = None,
        limit: int | None = None,
        compatibility_types: Iterable[str] | None = None,
        **limits: Unpack[CallLimits],
    ) -> Sequence[AvailableModel]:
        """Search for models that can be downloaded.

        At least one of the first three arguments is needed.

        Args:
            search_term: Words that the model's name has.
            limit: How many models are returned at most, from 1 to 25; None: as many as LM Studio
                finds right.
            compatibility_types: Only models of these formats, such as ``gguf`` and
                ``safetensors``.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed.
            LMStudioServerError: LM Studio could not search, or does not know a format.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.

        Endpoint: rpc ``searchModels``.
        """
        options: dict[str, Any] = {}
        if search_term is not None and text_of(search_term, "search_term"):
            options["searchTerm"] = search_term
        if limit is not None:
            options["limit"] = _checked_limit(limit)
        if compatibility_types is not None and (formats := _texts(compatibility_types)):
            options["compatibilityTypes"] = formats
        if not options:
            raise LMStudioValueError(
                "Say what to search for: a search_term, a limit or compatibility_types."
            )
        answer = self._line.call(rpc("repository", "searchModels"), {"opts": options}, **limits)
        return [AvailableModel(entry, self._line) for entry in _results(answer, "searchModels")]


class AvailableModel:
    """A model that can be downloaded.

    Thread safety: immutable; all methods may be called from several threads at once.

    Attributes:
        search_result: What the server says about it.
    """

    def __init__(self, search_result: dict[str, Any], line: Line) -> None:
        """Describe a model; `Client.repository.search_models()` makes these."""
        self.search_result: ModelSearchResultEntryData = structure(
            search_result, ModelSearchResultEntryData
        )
        # As it came: a newer server may put more into it than the typed form can hold.
        self._identifier = search_result["identifier"]
        self._line = line

    def __repr__(self) -> str:
        """Show what the server says about it."""
        return _shown(self, self.search_result, "name", "identifier", "exact", "staff_pick")

    def get_download_options(self, **limits: Unpack[CallLimits]) -> Sequence[ModelDownloadOption]:
        """Return the forms in which the model is offered, such as its quantizations.

        Args:
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioModelNotFoundError: The model is not offered any more.
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed.
            LMStudioServerError: LM Studio could not ask for them.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.

        Endpoint: rpc ``getModelDownloadOptions``.
        """
        name = "getModelDownloadOptions"
        parameter = {"modelSearchResultIdentifier": self._identifier}
        answer = self._line.call(rpc("repository", name), parameter, **limits)
        return [ModelDownloadOption(option, self._line) for option in _results(answer, name)]


class ModelDownloadOption:
    """A form in which a model can be downloaded.

    Thread safety: immutable; all methods may be called from several threads at once.

    Attributes:
        info: What the server says about it.
    """

    def __init__(self, info: dict[str, Any], line: Line) -> None:
        """Describe an option; `AvailableModel.get_download_options()` makes these."""
        self.info: ModelSearchResultDownloadOptionData = structure(
            info, ModelSearchResultDownloadOptionData
        )
        self._line = line

    def __repr__(self) -> str:
        """Show what tells it from others."""
        names = ("name", "download_identifier", "indexed_model_identifier", "recommended")
        return _shown(self, self.info, *names)

    def download(
        self,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        *,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> str:
        """Download the model, and return the key by which it can be loaded.

        Callbacks run in this thread. An exception in one of them stops the download, and is
        raised here.

        Args:
            on_progress: Called with each report of the server.
            on_finalize: Called without arguments when everything is there, and the server begins
                to check and store it.
            cancel_event: An event, or several, that stop the download.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit. It may be silent for
                long while it stores a large model on a slow disk.

        Raises:
            LMStudioCancelledError: `cancel_event` was set, or the client closed; the server was
                told to stop.
            LMStudioTimeoutError: A time limit passed; the server was told to stop.
            LMStudioModelNotFoundError: The model is not offered any more.
            LMStudioServerError: LM Studio could not download it.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``downloadModel``.
        """
        for name, callback in (("on_progress", on_progress), ("on_finalize", on_finalize)):
            if callback is not None and not callable(callback):
                raise LMStudioValueError(f"{name} must be a function; {callback!r} was given.")
        parameter = {"downloadIdentifier": self.info.download_identifier}
        call = self._line.new_call(DOWNLOAD, parameter, timeout=timeout, idle_timeout=idle_timeout)
        progress = _Progress(on_progress, on_finalize, self._line)
        packet = self._line.run(call, cancel_event, progress.take)
        identifier = packet.get("defaultIdentifier")
        if not isinstance(identifier, str):
            raise LMStudioProtocolError(
                "LM Studio has downloaded a model, but does not say how it is called."
            )
        return identifier


class _Progress:
    """Gives what the server tells about a download to the callbacks."""

    def __init__(
        self,
        on_progress: DownloadProgressCallback | None,
        on_finalize: DownloadFinalizedCallback | None,
        line: Line,
    ) -> None:
        self._on_progress = on_progress
        self._on_finalize = on_finalize
        self._gate = line.callbacks

    def take(self, packet: dict[str, Any]) -> None:
        if packet["type"] == "downloadProgress" and self._on_progress is not None:
            try:
                update = structure(packet.get("update"), DownloadProgressUpdate)
            except LMStudioProtocolError:
                return  # one report less: no reason to give up hours of downloading
            self._gate.run(self._on_progress, update)
        elif packet["type"] == "startFinalizing" and self._on_finalize is not None:
            self._gate.run(self._on_finalize)


def _checked_limit(limit: int) -> int:
    is_whole = isinstance(limit, int) and not isinstance(limit, bool)
    if not (is_whole and 1 <= limit <= _MOST_RESULTS):
        raise LMStudioValueError(
            f"limit must be a whole number from 1 to {_MOST_RESULTS}, or None, not {limit!r}."
        )
    return limit


def _texts(formats: object) -> list[str]:
    if not isinstance(formats, Iterable) or isinstance(formats, (str, bytes, bytearray)):
        raise LMStudioValueError(
            f"compatibility_types must be a list, as ['gguf']; {formats!r} was given."
        )
    return [text_of(entry, "Each of the compatibility_types") for entry in formats]


def _results(answer: Any, name: str) -> list[dict[str, Any]]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise LMStudioProtocolError(f"LM Studio's answer to {name} is malformed.")
    return results


def _shown(owner: object, data: object, *names: str) -> str:
    fields = ", ".join(f"{name}={getattr(data, name)!r}" for name in names)
    return f"{type(owner).__name__}({fields})"
