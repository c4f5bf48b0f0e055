"""The namespaces of a client: finding, loading, listing and unloading models."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .._api.backports import Unpack
from .._api.checks import check_key
from .._api.public import public
from .._api.shown import shown
from .._concurrency.cancel_token import CancelEvent, check_events
from .._concurrency.clock import monotonic
from .._config.to_wire import ModelKind
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._connection.request import Request
from .._requests import loading, models
from .._requests.loading import (
    LoadEvents,
    ModelEvictedCallback,
    ModelLoadingCallback,
    ModelResolvedCallback,
)
from .._requests.models import Loaded
from .._values.devices import DeviceIdentifier
from .._values.model_info import (
    AnyModelSpecifier,
    EmbeddingModelInfo,
    EstimatedResourcesUsage,
    LlmInfo,
    ModelInfo,
    ModelInstanceInfo,
)
from ..errors import LMStudioCancelledError, LMStudioError, LMStudioModelNotFoundError
from .downloaded import (
    DEFAULT_TTL,
    AnyDownloadedModel,
    C,
    DownloadedEmbeddingModel,
    DownloadedLlm,
    EmbeddingLoadOptions,
    H,
    I,
    LlmLoadOptions,
)
from .embedding_model import EmbeddingModel
from .handle import Namespace
from .llm import LLM

D = TypeVar("D", bound=AnyDownloadedModel)

_KEYS_WITHIN = 2.0  # seconds of silence in which an error waits for the keys that it might name
_MOST_KEYS = 10  # that it names


class ModelNamespace(Namespace, ABC, Generic[H, C, I, D]):
    """The models of one kind.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: all methods may be called from several threads at once.
    """

    @abstractmethod
    def _handle(self, identifier: str, device_identifier: DeviceIdentifier = ...) -> H:
        """Return a handle of a loaded model."""

    def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        device_identifier: DeviceIdentifier = ...,
        on_load_progress: ModelLoadingCallback | None = None,
        on_load_resolved: ModelResolvedCallback | None = None,
        on_load_eviction: ModelEvictedCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> H:
        """Return a handle of a model, loading it if it is not loaded.

        Args:
            model_key: The model's key or identifier; None: any model that is loaded.
            ttl: Seconds that the model stays loaded when idle; None: for ever. Only for a model
                that is loaded now.
            config: Options for loading. A model that is loaded already is taken as it is.
            device_identifier: The device of LM Link that is to have it, as models' infos and
                `Client.repository.lm_link` name them; None: the server itself; ``...``: LM Studio
                looks at the preferred device, then at the server itself, then at the others.
            on_load_progress: Called in this thread with the share that is loaded, from 0 to 1.
            on_load_resolved: Called in this thread when the server begins to load, with what it
                says of the model, and the keys of all models that the name may mean, if it is
                ambiguous, which it says to `load_new_instance()` only; otherwise an empty list.
            on_load_eviction: Called in this thread with what the server says of a model that it
                unloads to make room, which it does with models that were loaded just in time.
            cancel_event: An event, or several, that stop the loading.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit. For both, ``...`` is the
                client's own setting.

        Raises:
            LMStudioModelNotFoundError: There is no such model, or none is loaded.
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed; the server was told to stop loading.
            LMStudioServerError: LM Studio could not load it.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``getOrLoad``; rpc ``getModelInfo`` without a key.
        """
        is_strict = self._session.strict_options
        events = LoadEvents(
            self._session.callback_gate, on_load_progress, on_load_resolved, on_load_eviction
        )
        if model_key is None:
            loading.check_load_options(self.kind, ttl, config, is_strict)
            limits = call_limits(check_events(cancel_event), timeout, idle_timeout)
            handle = self._any_loaded(device_identifier, limits)
            events.report(1.0)
            return handle
        limits = call_limits(cancel_event, timeout, idle_timeout)
        key = check_key(model_key, "A model key")
        request = loading.get_or_load(
            self.kind,
            key,
            ttl,
            config,
            events,
            device_identifier=device_identifier,
            is_strict=is_strict,
        )
        return self._load(request, events, device_identifier, limits)

    def _any_loaded(self, device_identifier: DeviceIdentifier, limits: CallLimits) -> H:
        """Return a handle of any model that is loaded.

        Raises:
            LMStudioModelNotFoundError: None is; it names the keys of those that could be.
        """
        since = monotonic()
        try:
            request = models.loaded_model(self.kind, device_identifier)
            found = self._session.call(request, **limits, since=since)
        except LMStudioModelNotFoundError as error:
            not_found = error
        else:
            return self._found(found, device_identifier)
        limits = {**limits, "idle_timeout": _KEYS_WITHIN}  # and within `timeout`, since then
        infos: Any
        try:
            infos = self._session.call(models.list_downloaded(self.kind), **limits, since=since)
        except LMStudioCancelledError:
            raise
        except LMStudioError:
            infos = None
        raise _nothing_loaded(self.kind, not_found, infos) from None

    def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        device_identifier: DeviceIdentifier = ...,
        on_load_progress: ModelLoadingCallback | None = None,
        on_load_resolved: ModelResolvedCallback | None = None,
        on_load_eviction: ModelEvictedCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> H:
        """Load a model once more, and return a handle of the new instance.

        `instance_identifier` is the name for it; None: the server chooses one. The other arguments
        and what is raised are those of `model()`.

        Endpoint: channel ``loadModel``.
        """
        events = LoadEvents(
            self._session.callback_gate, on_load_progress, on_load_resolved, on_load_eviction
        )
        request = loading.load_new_instance(
            self.kind,
            model_key,
            instance_identifier,
            ttl,
            config,
            events,
            device_identifier=device_identifier,
            is_strict=self._session.strict_options,
        )
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return self._load(request, events, device_identifier, limits)

    def _load(
        self,
        request: Request[Loaded],
        events: LoadEvents,
        device_identifier: DeviceIdentifier,
        limits: CallLimits,
    ) -> H:
        found = self._session.call(request, **limits)
        events.report(1.0)
        return self._found(found, device_identifier)

    def _found(self, found: Loaded, wanted: DeviceIdentifier = ...) -> H:
        """Return a handle of a model that was found: on another device, or where it was wanted."""
        identifier, device = found
        return self._handle(identifier, wanted if device is None else device)

    def list_loaded(self, **limits: Unpack[CallLimits]) -> Sequence[H]:
        """Return handles of the models that are loaded.

        Endpoint: rpc ``listLoaded``.
        """
        return self._list_loaded(limits)

    def _list_loaded(self, limits: CallLimits, since: float | None = None) -> Sequence[H]:
        """Return the same; `timeout` counts from `since`, on the monotonic clock."""
        found = self._session.call(models.list_loaded(self.kind), **limits, since=since)
        return list(map(self._found, found))

    def list_downloaded(self, **limits: Unpack[CallLimits]) -> Sequence[D]:
        """Return the models of this kind that are there for loading.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        infos: list[Any] = self._session.call(models.list_downloaded(self.kind), **limits)
        return [self._downloaded(info) for info in infos]

    def estimate_resources(
        self,
        model_key: str,
        config: C | None = None,
        *,
        device_identifier: DeviceIdentifier = ...,
        **limits: Unpack[CallLimits],
    ) -> EstimatedResourcesUsage:
        """Return how much memory a model would take, without loading it.

        Args:
            model_key: The key of a model that is there for loading.
            config: The options with which it would be loaded, as in `model()`.
            device_identifier: The device that would have it, as in `model()`.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioModelNotFoundError: There is no such model.
            LMStudioValueError: An argument cannot be used.

        Endpoint: rpc ``estimateModelUsage``.
        """
        request = loading.estimate_resources(
            self.kind,
            model_key,
            config,
            device_identifier=device_identifier,
            is_strict=self._session.strict_options,
        )
        return self._session.call(request, **limits)

    @abstractmethod
    def _downloaded(self, info: I) -> D:
        """Return a model that is there for loading."""

    def unload(
        self,
        model_identifier: str,
        *,
        device_identifier: DeviceIdentifier = ...,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Unload a model.

        Args:
            model_identifier: The identifier of a loaded model, exactly, as its handle has it: the
                other names by which `model()` finds a model do not do.
            device_identifier: The device that has it, as in `model()`.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioModelNotFoundError: No model of that identifier is loaded.

        Endpoint: rpc ``unloadModel``.
        """
        request = models.unload(self.kind, model_identifier, device_identifier)
        self._session.call(request, **limits)

    def get_model_info(
        self, model_specifier: AnyModelSpecifier, **limits: Unpack[CallLimits]
    ) -> ModelInstanceInfo:
        """Return what the server says about a loaded model.

        Args:
            model_specifier: An identifier, a query, or a specifier, as an object or a dict.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioModelNotFoundError: No loaded model fits.

        Endpoint: rpc ``getModelInfo``.
        """
        return self._session.call(models.get_info(self.kind, model_specifier), **limits)


class LlmNamespace(ModelNamespace[LLM, LlmLoadOptions, LlmInfo, DownloadedLlm]):
    """Language models, as `Client.llm`.

    Thread safety: all methods may be called from several threads at once.

    Attributes:
        kind: ``llm``.
    """

    kind: ModelKind = "llm"

    def _handle(self, identifier: str, device_identifier: DeviceIdentifier = ...) -> LLM:
        return LLM(identifier, self, device_identifier)

    def _downloaded(self, info: LlmInfo) -> DownloadedLlm:
        return DownloadedLlm(info, self)


class EmbeddingNamespace(
    ModelNamespace[
        EmbeddingModel,
        EmbeddingLoadOptions,
        EmbeddingModelInfo,
        DownloadedEmbeddingModel,
    ]
):
    """Embedding models, as `Client.embedding`.

    Thread safety: all methods may be called from several threads at once.

    Attributes:
        kind: ``embedding``.
    """

    kind: ModelKind = "embedding"

    def _handle(self, identifier: str, device_identifier: DeviceIdentifier = ...) -> EmbeddingModel:
        return EmbeddingModel(identifier, self, device_identifier)

    def _downloaded(self, info: EmbeddingModelInfo) -> DownloadedEmbeddingModel:
        return DownloadedEmbeddingModel(info, self)


def _nothing_loaded(
    name: ModelKind, error: LMStudioModelNotFoundError, infos: Sequence[ModelInfo] | None
) -> LMStudioModelNotFoundError:
    """Return an error that says what to do, with the keys of some models, if they are known."""
    kind = {"llm": "language model", "embedding": "embedding model"}[name]
    words = f"Could not get model handle in namespace {name}: no {kind} is loaded."
    if infos is None:
        hint = f"Load one in LM Studio, or name one: client.{name}.model('the-model-key')."
    elif not infos:
        hint = "None is downloaded, either: download one in LM Studio, or by `lmstudio download`."
    else:
        keys = [shown(info.model_key) for info in infos]
        more = f" and {len(keys) - _MOST_KEYS:,} more" if len(keys) > _MOST_KEYS else ""
        hint = f"client.{name}.model({keys[0]}) loads one; the keys of those that are downloaded: "
        hint += f"{', '.join(keys[:_MOST_KEYS])}{more}."
    clearer = LMStudioModelNotFoundError(f"{words}\n  Suggestion: {hint}")
    clearer.server_error = error.server_error
    return clearer


public(LlmNamespace, EmbeddingNamespace)
