"""Requests about models: finding, loading, listing, unloading them; what they do with texts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from .._api.callbacks import check_callback
from .._api.checks import check_key, check_text
from .._api.numbers import as_number
from .._api.shown import shown
from .._concurrency.callback_gate import CallbackRunner
from .._config.from_wire import kv_to_load_config
from .._config.options import AnyLoadConfig, EmbeddingLoadModelConfig, LlmLoadModelConfig
from .._config.template_options import template_options
from .._config.to_wire import ModelKind, config_stack, load_config_to_kv
from .._connection.endpoints import channel, rpc
from .._connection.request import Request
from .._json.converter import DictObject, structure
from .._values.model_info import (
    AnyModelSpecifier,
    EmbeddingModelInfo,
    LlmInfo,
    ModelInstanceInfo,
    named,
    specifier_to_wire,
)
from ..errors import LMStudioValueError
from . import answers

T = TypeVar("T")

logger = logging.getLogger(__name__)

ModelLoadingCallback: TypeAlias = Callable[[float], Any]
LoadConfig: TypeAlias = "LlmLoadModelConfig | EmbeddingLoadModelConfig | DictObject | None"


# -- a loaded model -----------------------------------------------------------------------------


def get_info(kind: ModelKind, specifier: AnyModelSpecifier) -> Request[ModelInstanceInfo]:
    """Ask what the server says about a loaded model."""
    parameter = {"specifier": specifier_to_wire(specifier), "throwIfNotFound": True}
    endpoint = rpc(kind, "getModelInfo", "Looking for the model")
    return Request(endpoint, parameter, lambda info: structure(info, ModelInstanceInfo))


def get_context_length(kind: ModelKind, identifier: str) -> Request[int]:
    """Ask how many tokens a loaded model takes at once; -1 if the server does not say."""
    parameter = {"specifier": named(identifier), "throwIfNotFound": True}

    def read(info: Any) -> int:
        said = answers.field(info, "contextLength") is not None
        return (said and answers.count(info, "contextLength")) or -1

    return Request(rpc(kind, "getModelInfo", "Looking for the model"), parameter, read)


def get_load_config(kind: ModelKind, identifier: str) -> Request[AnyLoadConfig]:
    """Ask for the configuration with which a model was loaded, defaults included."""
    return Request(
        rpc(kind, "getLoadConfig", "Reading the load configuration"),
        {"specifier": named(identifier)},
        lambda fields: kv_to_load_config(fields, kind, defaults=True),
    )


def unload(kind: ModelKind, identifier: str) -> Request[None]:
    """Ask to unload a model."""
    parameter = {"identifier": check_key(identifier, "A model identifier")}
    return Request(rpc(kind, "unloadModel", "Unloading the model"), parameter, lambda _: None)


def count_tokens(kind: ModelKind, identifier: str, text: str) -> Request[int]:
    """Ask how many tokens a text is."""
    check_text(text, "The input of count_tokens()")
    parameter = {"specifier": named(identifier), "inputString": text}
    endpoint = rpc(kind, "countTokens", "Counting tokens")
    return Request(endpoint, parameter, lambda answer: answers.count(answer, "tokenCount"))


def tokenize(kind: ModelKind, identifier: str, text: str) -> Request[list[int]]:
    """Ask for the tokens of a text."""
    check_text(text, "The input of tokenize()")
    parameter = {"specifier": named(identifier), "inputString": text}
    endpoint = rpc(kind, "tokenize", "Tokenizing")
    return Request(endpoint, parameter, lambda answer: answers.counts(answer, "tokens"))


def embed(identifier: str, text: str) -> Request[Sequence[float]]:
    """Ask for the vector of a text."""
    check_text(text, "The input of embed()")
    parameter = {"modelSpecifier": named(identifier), "inputString": text}
    endpoint = rpc("embedding", "embedString", "Embedding")
    return Request(endpoint, parameter, lambda answer: answers.numbers(answer, "embedding"))


def apply_prompt_template(
    identifier: str,
    history: dict[str, Any],
    opts: Mapping[str, Any] | None = None,
    is_strict: bool = False,
) -> Request[str]:
    """Ask for the text that a model would be given for a chat."""
    parameter = {
        "specifier": named(identifier),
        "history": history,
        "predictionConfigStack": {"layers": []},
        "opts": template_options(opts, is_strict),
    }
    endpoint = rpc("llm", "applyPromptTemplate", "Applying the prompt template")
    return Request(endpoint, parameter, lambda answer: answers.text(answer, "formatted"))


# -- loading ------------------------------------------------------------------------------------


class LoadProgress:
    """Reports each step of a load once, upwards, up to 1.

    Attributes:
        model_key: The model that is loaded, for the log.
    """

    def __init__(self, callback: ModelLoadingCallback | None, runner: CallbackRunner) -> None:
        """Report to a callback, if there is one, which `runner` calls.

        Raises:
            LMStudioValueError: It cannot be called so.
        """
        check_callback("on_load_progress", callback, "progress")
        self._callback = callback
        self._runner = runner
        self._last = -1.0
        self.model_key = ""

    def take(self, packet: dict[str, Any]) -> None:
        """Take a packet of the channel."""
        if packet["type"] == "startLoading":
            self.report(0.0)
        elif packet["type"] == "unloadingOtherJITModel":
            _log_eviction(self.model_key, packet.get("info"))
        elif packet["type"] in ("loadProgress", "progress"):
            self.report(packet.get("progress"))

    def report(self, progress: Any) -> None:
        """Report a step, unless it is behind the last one, or none at all."""
        # Of the type that JSON has: true is no 1.
        if type(progress) in (int, float) and self._last < progress <= 1:
            self._last = float(progress)
            if self._callback is not None:
                self._runner.run(self._callback, self._last)


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


def loaded_model(kind: ModelKind) -> Request[str]:
    """Ask for the identifier of any model that is loaded."""
    parameter = {"specifier": {"type": "query", "query": {}}, "throwIfNotFound": True}
    return Request(rpc(kind, "getModelInfo", "Looking for the model"), parameter, _identifier)


def get_or_load(
    kind: ModelKind,
    key: str,
    ttl: float | None,
    config: LoadConfig,
    progress: LoadProgress,
    *,
    is_strict: bool,
) -> Request[str]:
    """Ask for the identifier of a model, which is loaded if it is not yet."""
    progress.model_key = key
    parameter = _with_load_options({"identifier": key}, "loadTtlMs", kind, ttl, config, is_strict)
    endpoint = channel(
        kind, "getOrLoad", "Loading the model", "Model get/load", "alreadyLoaded", "loadSuccess"
    )
    return Request(endpoint, parameter, _identifier_in_packet, progress.take)


def load_new_instance(
    kind: ModelKind,
    key: str,
    identifier: str | None,
    ttl: float | None,
    config: LoadConfig,
    progress: LoadProgress,
    *,
    is_strict: bool,
) -> Request[str]:
    """Ask for the identifier of a new instance of a model."""
    parameter = {"modelKey": check_key(key, "A model key")}
    if identifier is not None:
        parameter["identifier"] = check_key(identifier, "instance_identifier")
    parameter = _with_load_options(parameter, "ttlMs", kind, ttl, config, is_strict)
    endpoint = channel(kind, "loadModel", "Loading the model", "Model load", "success")
    return Request(endpoint, parameter, _identifier_in_packet, progress.take)


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


def _identifier_in_packet(packet: Any) -> str:
    return _identifier(packet.get("info"))


def _identifier(info: Any) -> str:
    return answers.text(info, "identifier")


# -- lists --------------------------------------------------------------------------------------


def list_loaded(kind: ModelKind) -> Request[list[str]]:
    """Ask for the identifiers of the models of a kind that are loaded."""
    endpoint = rpc(kind, "listLoaded", "Listing the loaded models")
    return Request(endpoint, None, lambda infos: list(map(_identifier, _listed(infos))))


def list_downloaded(*kinds: ModelKind) -> Request[list[LlmInfo | EmbeddingModelInfo]]:
    """Ask for the models of these kinds that are there for loading."""

    def read(infos: Any) -> list[LlmInfo | EmbeddingModelInfo]:
        classes = {"llm": LlmInfo, "embedding": EmbeddingModelInfo}
        wanted = [info for info in _listed(infos) if info.get("type") in kinds]
        return [structure(info, classes[info["type"]]) for info in wanted]

    endpoint = rpc("system", "listDownloadedModels", "Listing the downloaded models")
    return Request(endpoint, None, read)


def _listed(infos: Any) -> list[dict[str, Any]]:
    return answers.objects(infos, "the answer")
