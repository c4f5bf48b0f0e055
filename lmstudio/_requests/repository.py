"""Requests about the repository: searching for models, downloading them; LM Link."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .._api.callbacks import check_callback
from .._api.checks import check_count, check_text
from .._api.shown import shown
from .._concurrency.callback_gate import CallbackRunner
from .._connection.endpoints import channel, rpc
from .._connection.request import Request
from .._json.converter import structure
from .._values.lm_link import LmLinkStatus
from .._values.model_search import (
    DownloadProgressUpdate,
    ModelSearchResultDownloadOptionData,
    ModelSearchResultEntryData,
)
from ..errors import LMStudioProtocolError, LMStudioValueError
from . import answers

DownloadProgressCallback: TypeAlias = Callable[[DownloadProgressUpdate], Any]
"""Gets how far a download has come."""
DownloadFinalizedCallback: TypeAlias = Callable[[], Any]
"""Is called when all is downloaded, and is being put in its place."""

_MOST_RESULTS = 25  # LM Studio refuses to return more at once


def search_models(
    search_term: str | None, limit: int | None, compatibility_types: Iterable[str] | None
) -> Request[list[dict[str, Any]]]:
    """Search for models; the result is what the server says of each."""
    options: dict[str, Any] = {}
    if search_term is not None and check_text(search_term, "search_term"):
        options["searchTerm"] = search_term
    if limit is not None:
        options["limit"] = check_count(limit, "limit", most=_MOST_RESULTS)
    if compatibility_types is not None and (formats := _texts(compatibility_types)):
        options["compatibilityTypes"] = formats
    if not options:
        raise LMStudioValueError(
            "At least one search parameter must be specified: a search_term, a limit or "
            "compatibility_types."
        )
    endpoint = rpc("repository", "searchModels", "Searching for models")
    return Request(endpoint, {"opts": options}, _results_of(ModelSearchResultEntryData))


def get_download_options(identifier: Any) -> Request[list[dict[str, Any]]]:
    """Ask for the forms in which a model that was found is offered."""
    endpoint = rpc("repository", "getModelDownloadOptions", "Listing the download options")
    parameter = {"modelSearchResultIdentifier": identifier}
    return Request(endpoint, parameter, _results_of(ModelSearchResultDownloadOptionData))


def download(
    identifier: str,
    on_progress: DownloadProgressCallback | None,
    on_finalize: DownloadFinalizedCallback | None,
    runner: CallbackRunner,
) -> Request[str]:
    """Download a model; the result is the key by which it can be loaded."""
    check_callback("on_progress", on_progress, "update")
    check_callback("on_finalize", on_finalize)

    def take(packet: dict[str, Any]) -> None:
        if packet["type"] == "downloadProgress" and on_progress is not None:
            try:
                update = structure(packet.get("update"), DownloadProgressUpdate)
            except LMStudioProtocolError:
                return  # one report less: no reason to give up hours of downloading
            runner.run(on_progress, update)
        elif packet["type"] == "startFinalizing" and on_finalize is not None:
            runner.run(on_finalize)

    def read(packet: dict[str, Any]) -> str:
        key = packet.get("defaultIdentifier")
        if not isinstance(key, str):
            raise LMStudioProtocolError("the model is there, but it does not say its key.")
        return key

    endpoint = channel("repository", "downloadModel", "The download", "Model download", "success")
    return Request(endpoint, {"downloadIdentifier": identifier}, read, take)


def get_lm_link_status() -> Request[LmLinkStatus]:
    """Ask how LM Link is."""
    endpoint = rpc("repository", "lmLinkStatus", "Asking for the status of LM Link")
    return Request(endpoint, None, lambda status: structure(status, LmLinkStatus))


def set_preferred_device(device_identifier: str) -> Request[None]:
    """Let LM Studio look for models on a device first."""
    if not check_text(device_identifier, "device_identifier"):
        raise LMStudioValueError("device_identifier is empty.")
    endpoint = rpc("repository", "lmLinkSetPreferredDevice", "Preferring the device")
    return Request(endpoint, {"deviceIdentifier": device_identifier}, lambda _: None)


def _texts(formats: object) -> list[str]:
    if not isinstance(formats, Iterable) or isinstance(formats, (str, bytes, bytearray)):
        raise LMStudioValueError(
            f"compatibility_types must be a list, as ['gguf']; {shown(formats)} was given."
        )
    return [check_text(entry, "Each of the compatibility_types") for entry in formats]


def _results_of(cls: type) -> Callable[[Any], list[dict[str, Any]]]:
    """Return what reads a list of results, each of which has what the class needs."""

    def read(answer: Any) -> list[dict[str, Any]]:
        results = answers.objects(answers.field(answer, "results"), "results")
        for result in results:
            structure(result, cls)
        return results

    return read
