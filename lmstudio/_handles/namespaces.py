"""The namespaces of a client: finding, loading, listing and unloading models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from .._concurrency.cancel_token import CancelEvent
from .._config.options import EmbeddingLoadModelConfig, LlmLoadModelConfig
from .._config.to_wire import config_stack, load_config_to_kv
from .._connection.endpoints import (
    Endpoint,
    get_or_load,
    load_model,
    rpc,
)
from .._connection.session import CallLimits, Limit
from .._json.converter import structure
from .._values.model_info import (
    AnyModelSpecifier,
    EmbeddingModelInfo,
    LlmInfo,
    ModelInstanceInfo,
)
from ..errors import LMStudioModelNotFoundError, LMStudioProtocolError, LMStudioValueError
from .handle import (
    EmbeddingModel,
    Namespace,
    SyncModelHandle,
    get_model_info,
    text_of,
)
from .llm import LLM

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "DEFAULT_TTL",
    "AnyDownloadedModel",
    "DownloadedEmbeddingModel",
    "DownloadedLlm",
    "EmbeddingNamespace",
    "LlmNamespace",
    "ModelLoadingCallback",
    "SystemNamespace",
]

DEFAULT_TTL = 60 * 60  # seconds that an idle model stays loaded

ModelLoadingCallback: TypeAlias = Callable[[float], Any]
H = TypeVar("H", bound=SyncModelHandle)  # the handle of a loaded model
C = TypeVar("C", LlmLoadModelConfig, EmbeddingLoadModelConfig)
I = TypeVar("I", LlmInfo, EmbeddingModelInfo)  # noqa: E741


class ModelNamespace(Namespace, ABC, Generic[H, C, I]):
    """The models of one kind.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: all methods may be called from several threads at once.
    """

    name: Literal["llm", "embedding"]

    @abstractmethod
    def _handle(self, identifier: str) -> H:
        """Return a handle of a loaded model."""

    def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | dict[str, Any] | None = None,
        on_load_progress: ModelLoadingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> H:
        """Return a handle of a model, loading it if it is not loaded.

        Args:
            model_key: The model's key or identifier; None: any model that is loaded.
            ttl: Seconds that the model stays loaded when idle; None: for ever. Only for a model
                that is loaded now.
            config: Options for loading. A model that is loaded already is taken as it is.
            on_load_progress: Called in this thread with the share that is loaded, from 0 to 1.
            cancel_event: An event, or several, that stop the loading.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit.

        Raises:
            LMStudioModelNotFoundError: There is no such model, or none is loaded.
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed; the server was told to stop loading.
            LMStudioServerError: LM Studio could not load it.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``getOrLoad``; rpc ``getModelInfo`` without a key.
        """
        limits: CallLimits = {
            "cancel_event": cancel_event,
            "timeout": timeout,
            "idle_timeout": idle_timeout,
        }
        if model_key is None:
            load_config_to_kv(config, self.name)  # not needed, but a misspelt option is an error
            query = {"specifier": {"type": "query", "query": {}}, "throwIfNotFound": True}
            try:
                info = self._line.call(rpc(self.name, "getModelInfo"), query, **limits)
            except LMStudioModelNotFoundError as error:
                raise _nothing_loaded(self.name, error) from None
            return self._handle(_identifier(info))
        parameter = {"identifier": text_of(model_key, "A model key")}
        endpoint = get_or_load(self.name)
        return self._load(endpoint, parameter, "loadTtlMs", ttl, config, on_load_progress, limits)

    def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | dict[str, Any] | None = None,
        on_load_progress: ModelLoadingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> H:
        """Load a model once more, and return a handle of the new instance.

        `instance_identifier` is the name for it; None: the server chooses one. The other arguments
        and what is raised are those of `model()`.

        Endpoint: channel ``loadModel``.
        """
        parameter = {"modelKey": text_of(model_key, "A model key")}
        if instance_identifier is not None:
            parameter["identifier"] = text_of(instance_identifier, "instance_identifier")
        limits: CallLimits = {
            "cancel_event": cancel_event,
            "timeout": timeout,
            "idle_timeout": idle_timeout,
        }
        endpoint = load_model(self.name)
        return self._load(endpoint, parameter, "ttlMs", ttl, config, on_load_progress, limits)

    def _load(
        self,
        endpoint: Endpoint,
        parameter: dict[str, Any],
        ttl_key: str,
        ttl: int | None,
        config: C | dict[str, Any] | None,
        on_load_progress: ModelLoadingCallback | None,
        limits: CallLimits,
    ) -> H:
        parameter["loadConfigStack"] = config_stack(load_config_to_kv(config, self.name))
        if ttl is not None:
            parameter[ttl_key] = _milliseconds(ttl)
        call = self._line.new_call(
            endpoint, parameter, timeout=limits["timeout"], idle_timeout=limits["idle_timeout"]
        )
        progress = _LoadProgress(on_load_progress, self)
        packet = self._line.run(call, limits["cancel_event"], progress.take)
        progress.report(1.0)
        return self._handle(_identifier(packet.get("info")))

    def list_loaded(self, **limits: Unpack[CallLimits]) -> Sequence[H]:
        """Return handles of the models that are loaded.

        Endpoint: rpc ``listLoaded``.
        """
        infos = self._line.call(rpc(self.name, "listLoaded"), **limits)
        return [self._handle(_identifier(info)) for info in _listed(infos)]

    def list_downloaded(self, **limits: Unpack[CallLimits]) -> Sequence[Any]:
        """Return the models of this kind that are there for loading.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        infos = self._line.call(rpc("system", "listDownloadedModels"), **limits)
        return [self._downloaded(info) for info in _listed(infos) if info.get("type") == self.name]

    @abstractmethod
    def _downloaded(self, info: dict[str, Any]) -> Any:
        """Return a model that is there for loading."""

    def unload(self, model_identifier: str, **limits: Unpack[CallLimits]) -> None:
        """Unload a model.

        Raises:
            LMStudioModelNotFoundError: No model of that name is loaded.

        Endpoint: rpc ``unloadModel``.
        """
        parameter = {"identifier": text_of(model_identifier, "A model identifier")}
        self._line.call(rpc(self.name, "unloadModel"), parameter, **limits)

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
        return get_model_info(self, model_specifier, limits)


class DownloadedModel(Generic[H, C, I]):
    """A model that is there for loading.

    Thread safety: immutable; all methods may be called from several threads at once.

    Attributes:
        info: What the server says about it.
    """

    def __init__(self, info: I, namespace: ModelNamespace[H, C, I]) -> None:
        """Describe a model; the lists of downloaded models make these."""
        self.info: I = info
        self._namespace: ModelNamespace[H, C, I] = namespace
        self._line = namespace._line

    def __repr__(self) -> str:
        """Show what tells it from others."""
        info: Any = self.info
        shown = f"model_key={info.model_key!r}, display_name={info.display_name!r}"
        vision = f", vision={info.vision!r}" if isinstance(info, LlmInfo) else ""
        return f"{type(self).__name__}({shown}, architecture={info.architecture!r}{vision})"

    @property
    def type(self) -> str:
        """Its kind: ``llm`` or ``embedding``."""
        return self._namespace.name

    @property
    def path(self) -> str:
        """Its path below the server's folder of models."""
        return str(self.info.path)

    @property
    def model_key(self) -> str:
        """The key by which it is loaded."""
        return str(self.info.model_key)

    def model(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | dict[str, Any] | None = None,
        on_load_progress: ModelLoadingCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Return a handle of this model, loading it if it is not loaded.

        See `Client.llm.model()` for the arguments and what it raises.
        """
        return self._namespace.model(
            self.model_key, ttl=ttl, config=config, on_load_progress=on_load_progress, **limits
        )

    def load_new_instance(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        instance_identifier: str | None = None,
        config: C | dict[str, Any] | None = None,
        on_load_progress: ModelLoadingCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Load this model once more, and return a handle of the new instance.

        See `Client.llm.load_new_instance()` for the arguments and what it raises.
        """
        return self._namespace.load_new_instance(
            self.model_key,
            instance_identifier,
            ttl=ttl,
            config=config,
            on_load_progress=on_load_progress,
            **limits,
        )


class DownloadedLlm(DownloadedModel[LLM, LlmLoadModelConfig, LlmInfo]):
    """A language model that is there for loading."""


class DownloadedEmbeddingModel(
    DownloadedModel[EmbeddingModel, EmbeddingLoadModelConfig, EmbeddingModelInfo]
):
    """An embedding model that is there for loading."""


AnyDownloadedModel: TypeAlias = DownloadedModel[Any, Any, Any]


class LlmNamespace(ModelNamespace[LLM, LlmLoadModelConfig, LlmInfo]):
    """Language models, as `Client.llm`."""

    name = "llm"

    def _handle(self, identifier: str) -> LLM:
        return LLM(identifier, self)

    def _downloaded(self, info: dict[str, Any]) -> DownloadedLlm:
        return DownloadedLlm(structure(info, LlmInfo), self)


class EmbeddingNamespace(
    ModelNamespace[EmbeddingModel, EmbeddingLoadModelConfig, EmbeddingModelInfo]
):
    """Embedding models, as `Client.embedding`."""

    name = "embedding"

    def _handle(self, identifier: str) -> EmbeddingModel:
        return EmbeddingModel(identifier, self)

    def _downloaded(self, info: dict[str, Any]) -> DownloadedEmbeddingModel:
        return DownloadedEmbeddingModel(structure(info, EmbeddingModelInfo), self)


class SystemNamespace:
    """What concerns the whole server, as `Client.system`.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, llm: LlmNamespace, embedding: EmbeddingNamespace) -> None:
        """Offer what is common to the models' namespaces."""
        self._llm = llm
        self._embedding = embedding

    def list_downloaded_models(
        self, **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]:
        """Return all models that are there for loading; those of unknown kinds are left out.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        infos = self._llm._line.call(rpc("system", "listDownloadedModels"), **limits)
        models: list[DownloadedLlm | DownloadedEmbeddingModel] = []
        for info in _listed(infos):
            if info.get("type") == "llm":
                models.append(self._llm._downloaded(info))
            elif info.get("type") == "embedding":
                models.append(self._embedding._downloaded(info))
        return models


class _LoadProgress:
    """Reports each step of a load once, upwards, up to 1."""

    def __init__(self, callback: ModelLoadingCallback | None, namespace: Namespace) -> None:
        self._callback = callback
        self._gate = namespace._line.callbacks
        self._last = -1.0

    def take(self, packet: dict[str, Any]) -> None:
        if packet["type"] == "startLoading":
            self.report(0.0)
        elif packet["type"] in ("loadProgress", "progress"):
            self.report(packet.get("progress"))

    def report(self, progress: Any) -> None:
        if isinstance(progress, (int, float)) and self._last < progress <= 1:
            self._last = float(progress)
            if self._callback is not None:
                self._gate.run(self._callback, self._last)


def _milliseconds(ttl: object) -> int:
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 < ttl < 1e12:
        raise LMStudioValueError(f"ttl must be a positive number of seconds or None, not {ttl!r}.")
    return max(1, round(ttl * 1000))


def _nothing_loaded(name: str, error: LMStudioModelNotFoundError) -> LMStudioModelNotFoundError:
    kind = {"llm": "language model", "embedding": "embedding model"}[name]
    clearer = LMStudioModelNotFoundError(
        f"No {kind} is loaded. Load one in LM Studio, or name one: model('the-model-key')."
    )
    clearer.server_error = error.server_error
    return clearer


def _identifier(info: Any) -> str:
    identifier = info.get("identifier") if isinstance(info, dict) else None
    if not isinstance(identifier, str):
        raise LMStudioProtocolError("LM Studio described a loaded model without its identifier.")
    return identifier


def _listed(infos: Any) -> list[dict[str, Any]]:
    if not isinstance(infos, list) or not all(isinstance(info, dict) for info in infos):
        raise LMStudioProtocolError("LM Studio's list of models is malformed.")
    return infos
