"""Requests about models: finding, loading, listing, unloading them; what they do with texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from .._api.checks import check_key, check_text
from .._config.embedding_load_options import AnyLoadConfig
from .._config.from_wire import kv_by_key, kv_to_load_config, kv_to_prediction_config
from .._config.prediction_options import LlmPredictionConfig
from .._config.template_options import template_options
from .._config.to_wire import ModelKind
from .._connection.endpoints import rpc
from .._connection.request import Request
from .._json.converter import structure
from .._values.devices import DeviceIdentifier, on_device
from .._values.model_info import (
    AnyModelSpecifier,
    EmbeddingModelInfo,
    LlmInfo,
    ModelInstanceInfo,
    ModelProcessingState,
    specifier_to_wire,
)
from . import answers

T = TypeVar("T")
# The identifier of a loaded model, and the device that has it; None: the server itself.
Loaded: TypeAlias = tuple[str, str | None]
Specifier: TypeAlias = dict[str, Any]  # names a loaded model, as JSON data; `named` makes it

logger = logging.getLogger(__name__)

# -- a loaded model -----------------------------------------------------------------------------


def get_info(kind: ModelKind, specifier: AnyModelSpecifier) -> Request[ModelInstanceInfo]:
    """Ask what the server says about a loaded model."""
    parameter = {"specifier": specifier_to_wire(specifier), "throwIfNotFound": True}
    endpoint = rpc(kind, "getModelInfo", "Looking for the model")
    return Request(endpoint, parameter, lambda info: structure(info, ModelInstanceInfo))


def get_context_length(kind: ModelKind, model: Specifier) -> Request[int]:
    """Ask how many tokens a loaded model takes at once; -1 if the server does not say."""
    parameter = {"specifier": model, "throwIfNotFound": True}

    def read(info: Any) -> int:
        said = answers.field(info, "contextLength") is not None
        return (said and answers.count(info, "contextLength")) or -1

    return Request(rpc(kind, "getModelInfo", "Looking for the model"), parameter, read)


def get_load_config(kind: ModelKind, model: Specifier) -> Request[AnyLoadConfig]:
    """Ask for the configuration with which a model was loaded, defaults included."""
    return Request(
        rpc(kind, "getLoadConfig", "Reading the load configuration"),
        {"specifier": model},
        lambda fields: kv_to_load_config(fields, kind, defaults=True),
    )


def get_places(model: Specifier) -> Request[int | None]:
    """Ask how many predictions a loaded language model runs at once; the others are queued.

    None if the server does not say.
    """

    def read(fields: Any) -> int | None:
        places = kv_by_key(fields).get("llm.load.numParallelSessions")
        return places if type(places) is int and places > 0 else None

    endpoint = rpc("llm", "getLoadConfig", "Reading the load configuration")
    return Request(endpoint, {"specifier": model}, read)


def get_processing_state(kind: ModelKind, model: Specifier) -> Request[ModelProcessingState]:
    """Ask what a loaded model is doing."""
    parameter = {"specifier": model, "throwIfNotFound": True}

    def read(state: Any) -> ModelProcessingState:
        return ModelProcessingState(
            status=answers.text(state, "status"), queued=answers.count(state, "queued")
        )

    endpoint = rpc(kind, "getInstanceProcessingState", "Asking what the model is doing")
    return Request(endpoint, parameter, read)


def get_base_prediction_config(model: Specifier) -> Request[LlmPredictionConfig]:
    """Ask for the options of a prediction that gives none."""
    return _base_prediction_config("llm", model, kv_to_prediction_config)


def get_base_embedding_config(model: Specifier) -> Request[dict[str, Any]]:
    """Ask for the settings of an embedding model, which have no names here, by key."""
    return _base_prediction_config("embedding", model, kv_by_key)


def _base_prediction_config(
    kind: ModelKind, model: Specifier, read: Callable[[Any], T]
) -> Request[T]:
    endpoint = rpc(kind, "getBasePredictionConfig", "Reading the prediction configuration")
    return Request(endpoint, {"specifier": model}, read)


def preload_draft_model(model: Specifier, draft_model_key: str) -> Request[None]:
    """Ask to load the draft model that predictions of a model will use."""
    key = check_key(draft_model_key, "The key of a draft model")
    parameter = {"specifier": model, "draftModelKey": key}
    endpoint = rpc("llm", "preloadDraftModel", "Loading the draft model")
    return Request(endpoint, parameter, lambda _: None)


def unload(
    kind: ModelKind, identifier: str, device_identifier: DeviceIdentifier = ...
) -> Request[None]:
    """Ask to unload a model."""
    parameter: dict[str, Any] = {"identifier": check_key(identifier, "A model identifier")}
    parameter |= on_device(device_identifier)
    return Request(rpc(kind, "unloadModel", "Unloading the model"), parameter, lambda _: None)


def count_tokens(kind: ModelKind, model: Specifier, text: str) -> Request[int]:
    """Ask how many tokens a text is."""
    check_text(text, "The input of count_tokens()")
    parameter = {"specifier": model, "inputString": text}
    endpoint = rpc(kind, "countTokens", "Counting tokens")
    return Request(endpoint, parameter, lambda answer: answers.count(answer, "tokenCount"))


def tokenize(kind: ModelKind, model: Specifier, text: str) -> Request[list[int]]:
    """Ask for the tokens of a text."""
    check_text(text, "The input of tokenize()")
    parameter = {"specifier": model, "inputString": text}
    endpoint = rpc(kind, "tokenize", "Tokenizing")
    return Request(endpoint, parameter, lambda answer: answers.counts(answer, "tokens"))


def text_to_embed(text: object) -> str:
    """Return a text as it is.

    Raises:
        LMStudioValueError: It is none.
    """
    return check_text(text, "The input of embed()")


def embed(model: Specifier, text: str) -> Request[Sequence[float]]:
    """Ask for the vector of a text."""
    text_to_embed(text)
    parameter = {"modelSpecifier": model, "inputString": text}
    endpoint = rpc("embedding", "embedString", "Embedding")
    return Request(endpoint, parameter, lambda answer: answers.numbers(answer, "embedding"))


def apply_prompt_template(
    model: Specifier,
    history: dict[str, Any],
    opts: Mapping[str, Any] | None = None,
    is_strict: bool = False,
) -> Request[str]:
    """Ask for the text that a model would be given for a chat."""
    parameter = {
        "specifier": model,
        "history": history,
        "predictionConfigStack": {"layers": []},
        "opts": template_options(opts, is_strict),
    }
    endpoint = rpc("llm", "applyPromptTemplate", "Applying the prompt template")
    return Request(endpoint, parameter, lambda answer: answers.text(answer, "formatted"))


# -- lists --------------------------------------------------------------------------------------


def loaded_model(kind: ModelKind, device_identifier: DeviceIdentifier = ...) -> Request[Loaded]:
    """Ask for any model that is loaded."""
    specifier = {"type": "query", "query": on_device(device_identifier)}
    parameter = {"specifier": specifier, "throwIfNotFound": True}
    return Request(rpc(kind, "getModelInfo", "Looking for the model"), parameter, loaded)


def list_loaded(kind: ModelKind) -> Request[list[Loaded]]:
    """Ask for the models of a kind that are loaded."""
    endpoint = rpc(kind, "listLoaded", "Listing the loaded models")
    return Request(endpoint, None, lambda infos: list(map(loaded, _listed(infos))))


def list_downloaded(*kinds: ModelKind) -> Request[list[LlmInfo | EmbeddingModelInfo]]:
    """Ask for the models of these kinds that are there for loading."""
    endpoint = rpc("system", "listDownloadedModels", "Listing the downloaded models")
    return Request(endpoint, None, _infos_of(kinds))


def list_variants(key: str, *kinds: ModelKind) -> Request[list[LlmInfo | EmbeddingModelInfo]]:
    """Ask for the variants of a model that are there for loading, if it is of these kinds."""
    endpoint = rpc("system", "listDownloadedModelVariants", "Listing the variants")
    return Request(endpoint, {"modelKey": check_key(key, "A model key")}, _infos_of(kinds))


def _infos_of(kinds: Sequence[ModelKind]) -> Callable[[Any], list[LlmInfo | EmbeddingModelInfo]]:
    """Return what reads a list of models; those of other kinds are left out."""

    def read(infos: Any) -> list[LlmInfo | EmbeddingModelInfo]:
        classes = {"llm": LlmInfo, "embedding": EmbeddingModelInfo}
        wanted = [info for info in _listed(infos) if info.get("type") in kinds]
        return [structure(info, classes[info["type"]]) for info in wanted]

    return read


def loaded(info: Any) -> Loaded:
    """Return what names a loaded model, out of what the server says about it."""
    device = answers.field(info, "deviceIdentifier")
    return answers.text(info, "identifier"), device if isinstance(device, str) else None


def _listed(infos: Any) -> list[dict[str, Any]]:
    return answers.objects(infos, "the answer")
