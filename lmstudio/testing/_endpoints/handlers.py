"""Which function answers which endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._engines.models_on_disk import Domain
from . import diagnostics, files, lm_link, load, models, plugins, predict, repository, system

# Returns the result, or an awaitable of it; MISSING for an endpoint that returns nothing.
Answer = Callable[[Core, Domain, Any], Any]
# Returns when the channel is to be closed.
Serve = Callable[[Core, Channel, Any], Awaitable[None]]

_MODEL_CALLS: dict[str, Answer] = {
    "unloadModel": models.unload_model,
    "listLoaded": models.list_loaded,
    "getModelInfo": models.get_model_info,
    "getLoadConfig": models.get_load_config,
    "getBasePredictionConfig": models.get_base_prediction_config,
    "getInstanceProcessingState": models.get_processing_state,
    "estimateModelUsage": models.estimate_model_usage,
    "tokenize": models.tokenize,
    "countTokens": models.count_tokens,
}
_MODEL_CHANNELS: dict[str, Serve] = {
    "loadModel": load.load_model,
    "getOrLoad": load.get_or_load,
}

CALLS: dict[str, dict[str, Answer]] = {
    "llm": {
        **_MODEL_CALLS,
        "applyPromptTemplate": models.apply_prompt_template,
        "preloadDraftModel": models.preload_draft_model,
    },
    "embedding": {**_MODEL_CALLS, "embedString": models.embed_string},
    "system": {
        "listDownloadedModels": system.list_downloaded,
        "listDownloadedModelVariants": system.list_variants,
        "notify": system.nothing,
        "version": system.version,
        "setExperimentFlag": system.set_flag,
        "getExperimentFlags": system.get_flags,
        "startHttpServer": system.nothing,
        "stopHttpServer": system.nothing,
        "info": system.info,
        "requestShutdown": system.request_shutdown,
    },
    "diagnostics": {},
    "files": {
        "getLocalFileAbsolutePath": files.local_path,
        "uploadFileBase64": files.upload,
        "getDocumentParsingLibrary": files.parsing_library,
    },
    "repository": {
        "searchModels": repository.search,
        "getModelDownloadOptions": repository.download_options,
        "lmLinkStatus": lm_link.status,
        "lmLinkSetPreferredDevice": lm_link.set_preferred_device,
    },
    "plugins": {},
}

CHANNELS: dict[str, dict[str, Serve]] = {
    "llm": {
        **_MODEL_CHANNELS,
        "predict": predict.predict,
        "completeRawText": predict.predict,
    },
    "embedding": _MODEL_CHANNELS,
    "system": {"alive": system.alive},
    "diagnostics": {"streamLogs": diagnostics.stream_logs},
    "files": {"retrieve": files.retrieve, "parseDocument": files.parse_document},
    "repository": {"downloadModel": repository.download_model},
    "plugins": {"startToolUseSession": plugins.start_tools},
}


def answer(core: Core, namespace: str, endpoint: str, parameter: Any) -> Any:
    """Answer an rpc call: the result, or an awaitable of it."""
    domain: Domain = "embedding" if namespace == "embedding" else "llm"
    return CALLS[namespace][endpoint](core, domain, parameter)


def serve(core: Core, channel: Channel, parameter: Any) -> Awaitable[None]:
    """Serve a channel."""
    return CHANNELS[channel.namespace][channel.endpoint](core, channel, parameter)
