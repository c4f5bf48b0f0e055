"""Requests about loading models, and what is told while one is loaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from .._api.callbacks import check_callback
from .._api.checks import check_key
from .._api.numbers import as_number
from .._api.shown import shown
from .._concurrency.callback_gate import CallbackRunner
from .._config.embedding_load_options import EmbeddingLoadModelConfig
from .._config.llm_load_options import LlmLoadModelConfig
from .._config.to_wire import ModelKind, config_stack, load_config_to_kv
from .._connection.endpoints import channel, rpc
from .._connection.request import Request
from .._json.converter import DictObject, structure
from .._values.devices import DeviceIdentifier, on_device
from .._values.model_info import (
    EstimatedMemoryUsage,
    EstimatedResourcesUsage,
    ModelInfo,
    ModelInstanceInfo,
)
from ..errors import LMStudioProtocolError, LMStudioValueError
from . import answers
from .models import Loaded, loaded

logger: logging.Logger = logging.getLogger(__name__)

ModelLoadingCallback: TypeAlias = Callable[[float], Any]
"""Gets the share of a model that is loaded, from 0 to 1."""
ModelResolvedCallback: TypeAlias = Callable[[ModelInfo, list[str]], Any]
"""Gets what is known of the model that will be loaded, and the keys that fit as well."""
ModelEvictedCallback: TypeAlias = Callable[[ModelInstanceInfo], Any]
"""Gets what is known of a model that is unloaded to make room."""
LoadConfig: TypeAlias = "LlmLoadModelConfig | EmbeddingLoadModelConfig | DictObject | None"


class LoadEvents:
    """Tells what happens while a model is loaded; each step once, upwards, up to 1.

    Attributes:
        model_key: The model that is loaded, for the log.
    """

    def __init__(
        self,
        runner: CallbackRunner,
        on_progress: ModelLoadingCallback | None = None,
        on_resolved: ModelResolvedCallback | None = None,
        on_eviction: ModelEvictedCallback | None = None,
    ) -> None:
        """Tell callbacks, if there are any, which `runner` calls.

        Raises:
            LMStudioValueError: One cannot be called so.
        """
        check_callback("on_load_progress", on_progress, "progress")
        check_callback("on_load_resolved", on_resolved, "info", "ambiguous")
        check_callback("on_load_eviction", on_eviction, "info")
        self._on_progress = on_progress
        self._on_resolved = on_resolved
        self._on_eviction = on_eviction
        self._runner = runner
        self._last = -1.0
        self.model_key = ""

    def take(self, packet: dict[str, Any]) -> None:
        """Take a packet of the channel."""
        kind = packet["type"]
        if kind in ("loadProgress", "progress"):
            self.report(packet.get("progress"))
        elif kind == "startLoading":
            self._resolve(packet)
            self.report(0.0)
        elif kind == "resolved":
            self._resolve(packet)
        elif kind == "unloadingOtherJITModel":
            self._evict(packet.get("info"))

    def report(self, progress: Any) -> None:
        """Report a step, unless it is behind the last one, or none at all."""
        # Of the type that JSON has: true is no 1.
        if type(progress) in (int, float) and self._last < progress <= 1:
            self._last = float(progress)
            if self._on_progress is not None:
                self._runner.run(self._on_progress, self._last)

    def _resolve(self, packet: dict[str, Any]) -> None:
        info, keys = packet.get("info"), packet.get("ambiguous")
        ambiguous = [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
        if ambiguous:
            event = {"event": "Ambiguous model key", "model_key": self.model_key}
            logger.info("%s", json.dumps({**event, "ambiguous": ambiguous}))
        if self._on_resolved is not None:
            self._tell(self._on_resolved, info, ModelInfo, ambiguous)

    def _evict(self, info: Any) -> None:
        _log_eviction(self.model_key, info)
        if self._on_eviction is not None:
            self._tell(self._on_eviction, info, ModelInstanceInfo)

    def _tell(self, callback: Callable[..., Any], info: Any, cls: Any, *more: Any) -> None:
        try:
            told = structure(info, cls)
        except LMStudioProtocolError:
            return  # one event less: no reason to give up a load
        self._runner.run(callback, told, *more)


def _log_eviction(key: str, unloaded: Any) -> None:
    """Tell of a model that the server unloads to make room for the one that is loaded."""
    unloaded_key = unloaded.get("modelKey") if isinstance(unloaded, dict) else None
    event = {
        "event": "Unloading other JIT model",
        "model_key": key,
        "unloaded_model_key": unloaded_key,
    }
    suggestion = "LM Studio does so by itself; its Developer settings can disable this behavior"
    logger.info("%s", json.dumps({**event, "suggestion": suggestion}))
    logger.debug("%s", json.dumps({**event, "unloaded_model": unloaded}, default=str))


def get_or_load(
    kind: ModelKind,
    key: str,
    ttl: float | None,
    config: LoadConfig,
    events: LoadEvents,
    *,
    device_identifier: DeviceIdentifier = ...,
    is_strict: bool,
) -> Request[Loaded]:
    """Ask for a model, which is loaded if it is not yet."""
    events.model_key = key
    parameter = {"identifier": key, **on_device(device_identifier)}
    parameter = _with_load_options(parameter, "loadTtlMs", kind, ttl, config, is_strict)
    endpoint = channel(
        kind, "getOrLoad", "Loading the model", "Model get/load", "alreadyLoaded", "loadSuccess"
    )
    return Request(endpoint, parameter, _loaded_in, events.take)


def load_new_instance(
    kind: ModelKind,
    key: str,
    identifier: str | None,
    ttl: float | None,
    config: LoadConfig,
    events: LoadEvents,
    *,
    device_identifier: DeviceIdentifier = ...,
    is_strict: bool,
) -> Request[Loaded]:
    """Ask for a new instance of a model."""
    events.model_key = key
    parameter = {"modelKey": check_key(key, "A model key"), **on_device(device_identifier)}
    if identifier is not None:
        parameter["identifier"] = check_key(identifier, "instance_identifier")
    parameter = _with_load_options(parameter, "ttlMs", kind, ttl, config, is_strict)
    endpoint = channel(kind, "loadModel", "Loading the model", "Model load", "success")
    return Request(endpoint, parameter, _loaded_in, events.take)


def check_load_options(kind: ModelKind, ttl: object, config: LoadConfig, is_strict: bool) -> None:
    """Check what would be said of a model that was to be loaded.

    Raises:
        LMStudioValueError: It cannot be said.
    """
    _with_load_options({}, "ttlMs", kind, ttl, config, is_strict)


def _with_load_options(
    parameter: dict[str, Any],
    ttl_key: str,
    kind: ModelKind,
    ttl: object,
    config: LoadConfig,
    is_strict: bool,
) -> dict[str, Any]:
    parameter["loadConfigStack"] = config_stack(load_config_to_kv(config, kind, is_strict))
    if ttl is not None:
        seconds = as_number(ttl)
        if seconds is None or not 0 < seconds < 1e12:
            raise LMStudioValueError(
                f"ttl must be a positive number of seconds or None, not {shown(ttl)}."
            )
        parameter[ttl_key] = max(1, round(seconds * 1000))
    return parameter


def _loaded_in(packet: Any) -> Loaded:
    return loaded(packet.get("info"))


def estimate_resources(
    kind: ModelKind,
    key: str,
    config: LoadConfig,
    *,
    device_identifier: DeviceIdentifier = ...,
    is_strict: bool,
) -> Request[EstimatedResourcesUsage]:
    """Ask how much memory a model would take."""
    fields = load_config_to_kv(config, kind, is_strict)
    parameter = {
        "modelKey": check_key(key, "A model key"),
        "loadConfigStack": config_stack(fields),
        **on_device(device_identifier),
    }

    def read(usage: Any) -> EstimatedResourcesUsage:
        memory = answers.field(usage, "memory")
        return EstimatedResourcesUsage(
            memory=EstimatedMemoryUsage(
                confidence=answers.text(memory, "confidence"),
                model_vram_bytes=answers.size(memory, "modelVramBytes"),
                context_vram_bytes=answers.size(memory, "contextVramBytes"),
                total_vram_bytes=answers.size(memory, "totalVramBytes"),
                model_bytes=answers.size(memory, "modelBytes"),
                context_bytes=answers.size(memory, "contextBytes"),
                total_bytes=answers.size(memory, "totalBytes"),
            ),
            passes_guardrails=answers.flag(usage, "passesGuardrails"),
        )

    return Request(rpc(kind, "estimateModelUsage", "Estimating the memory"), parameter, read)
