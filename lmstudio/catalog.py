"""What a client offers by namespace: finding, loading and listing models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ._endpoints import get_or_load, rpc
from ._kv import config_stack, load_config_to_kv
from ._line import Limit
from .cancellation import CancelEvent
from .config import LlmLoadModelConfig
from .errors import LMStudioProtocolError, LMStudioValueError
from .models import LLM, ModelNamespace

__all__ = ["DEFAULT_TTL", "LlmNamespace", "ModelLoadingCallback"]

DEFAULT_TTL = 60 * 60  # seconds that an idle model stays loaded

ModelLoadingCallback: TypeAlias = Callable[[float], Any]


class LlmNamespace(ModelNamespace):
    """Language models, as `Client.llm`.

    Thread safety: all methods may be called from several threads at once.
    """

    name = "llm"

    def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: LlmLoadModelConfig | dict[str, Any] | None = None,
        on_load_progress: ModelLoadingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> LLM:
        """Return a handle of a model, loading it if it is not loaded.

        Endpoint: channel ``getOrLoad``; rpc ``getModelInfo`` without a key.

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
        """
        line = self.line
        if model_key is None:
            info = line.call(
                rpc(self.name, "getModelInfo"),
                {"specifier": {"type": "query", "query": {}}, "throwIfNotFound": True},
                cancel_event=cancel_event,
                timeout=timeout,
                idle_timeout=idle_timeout,
            )
            return LLM(_identifier(info), self)
        if not isinstance(model_key, str):
            raise LMStudioValueError(f"A model key is a string; {model_key!r} was given.")
        parameter: dict[str, Any] = {
            "identifier": model_key,
            "loadConfigStack": config_stack(load_config_to_kv(config, "llm")),
        }
        if ttl is not None:
            parameter["loadTtlMs"] = round(ttl * 1000)
        call = line.new_call(
            get_or_load(self.name), parameter, timeout=timeout, idle_timeout=idle_timeout
        )
        progress = _LoadProgress(on_load_progress)
        packet = line.run(call, cancel_event, progress.take)
        progress.report(1.0)
        return LLM(_identifier(packet.get("info")), self)

    def list_loaded(
        self,
        *,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> list[LLM]:
        """Return handles of the language models that are loaded.

        Endpoint: rpc ``listLoaded``.

        Args:
            cancel_event: An event, or several, that stop the call.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds of silence of the server; None: no limit.

        Raises:
            LMStudioCancelledError: `cancel_event` was set, or the client closed.
            LMStudioTimeoutError: A time limit passed.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
        """
        infos = self.line.call(
            rpc(self.name, "listLoaded"),
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        )
        return [LLM(_identifier(info), self) for info in infos]


class _LoadProgress:
    """Reports each step of a load once, upwards, up to 1."""

    def __init__(self, callback: ModelLoadingCallback | None) -> None:
        self._callback = callback
        self._last = -1.0

    def take(self, packet: dict[str, Any]) -> None:
        if packet["type"] == "startLoading":
            self.report(0.0)
        elif packet["type"] in ("loadProgress", "progress"):
            self.report(packet.get("progress"))

    def report(self, progress: Any) -> None:
        if isinstance(progress, (int, float)) and progress > self._last:
            self._last = float(progress)
            if self._callback is not None:
                self._callback(self._last)


def _identifier(info: Any) -> str:
    try:
        identifier = info["identifier"]
    except (KeyError, TypeError):
        identifier = None
    if not isinstance(identifier, str):
        raise LMStudioProtocolError("LM Studio described a loaded model without its identifier.")
    return identifier
