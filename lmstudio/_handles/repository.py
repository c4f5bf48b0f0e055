"""The repository: search for models, see in which forms they are offered, download them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._api.backports import Unpack
from .._api.public import public
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._connection.session import Session
from .._json.converter import structure
from .._requests import repository
from .._requests.repository import DownloadFinalizedCallback, DownloadProgressCallback
from .._values.model_search import ModelSearchResultDownloadOptionData, ModelSearchResultEntryData
from .._values.told import Told
from .handle import namespace_text
from .lm_link import LmLinkNamespace


class RepositoryNamespace:
    """Models that can be downloaded, as `Client.repository`.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, session: Session, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `Client` makes namespaces."""
        self._session = session
        self._find_host = find_host
        self._lm_link = LmLinkNamespace(session, find_host)

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    @property
    def lm_link(self) -> LmLinkNamespace:
        """The devices that LM Link connects."""
        return self._lm_link

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
        request = repository.search_models(search_term, limit, compatibility_types)
        return [AvailableModel(e, self._session) for e in self._session.call(request, **limits)]


class AvailableModel(Told):
    """A model that can be downloaded. Two are equal if the same client was told the same.

    Thread safety: immutable; all methods may be called from several threads at once.

    Attributes:
        search_result: What the server says about it.
    """

    def __init__(self, search_result: dict[str, Any], session: Session) -> None:
        """Describe a model; `Client.repository.search_models()` makes these."""
        self.search_result: ModelSearchResultEntryData = structure(
            search_result, ModelSearchResultEntryData
        )
        self._told = self.search_result
        # As it came: a newer server may put more into it than the typed form can hold.
        self._identifier = search_result["identifier"]
        self._session = session

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
        request = repository.get_download_options(self._identifier)
        options = self._session.call(request, **limits)
        return [ModelDownloadOption(option, self._session) for option in options]


class ModelDownloadOption(Told):
    """A form in which a model can be downloaded.

    Two are equal if the same client was told the same.

    Thread safety: immutable; all methods may be called from several threads at once.

    Attributes:
        info: What the server says about it.
    """

    def __init__(self, info: dict[str, Any], session: Session) -> None:
        """Describe an option; `AvailableModel.get_download_options()` makes these."""
        self.info: ModelSearchResultDownloadOptionData = structure(
            info, ModelSearchResultDownloadOptionData
        )
        self._told = self.info
        self._session = session

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
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
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
                long while it stores a large model on a slow disk. For both, ``...`` is the client's
                own setting.

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
        request = repository.download(
            self.info.download_identifier, on_progress, on_finalize, self._session.callback_gate
        )
        return self._session.call(request, **call_limits(cancel_event, timeout, idle_timeout))


def _shown(owner: object, data: object, *names: str) -> str:
    fields = ", ".join(f"{name}={getattr(data, name)!r}" for name in names)
    return f"{type(owner).__name__}({fields})"


public(AvailableModel, ModelDownloadOption, RepositoryNamespace)
