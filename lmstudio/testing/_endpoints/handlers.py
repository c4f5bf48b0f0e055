"""Which function answers which endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._engines.models_on_disk import Domain
from . import (
    files as _files,
)
from . import (
    load as _load,
)
from . import (
    models as _models,
)
from . import (
    predict as _predict,
)
from . import (
    repository as _repository,
)
from . import (
    system as _system,
)

# Returns the result, or an awaitable of it; MISSING for an endpoint that returns nothing.
Answer = Callable[[Core, Domain, Any], Any]
# Returns when the channel is to be closed.
Serve = Callable[[Core, Channel, Any], Awaitable[None]]

_MODEL_CALLS: dict[str, Answer] = {
    "unloadModel": _models.unload_model,
    "listLoaded": _models.list_loaded,
    "getModelInfo": _models.get_model_info,
    "getLoadConfig": _models.get_load_config,
    "getBasePredictionConfig": _models.get_base_prediction_config,
    "getInstanceProcessingState": _models.get_processing_state,
    "estimateModelUsage": _models.estimate_model_usage,
    "tokenize": _models.tokenize,
    "countTokens": _models.count_tokens,
}
_MODEL_CHANNELS: dict[str, Serve] = {
    "loadModel": _load.load_model,
    "getOrLoad": _load.get_or_load,
}

CALLS: dict[str, dict[str, Answer]] = {
    "llm": {
        **_MODEL_CALLS,
        "applyPromptTemplate": _models.apply_prompt_template,
        "preloadDraftModel": _models.preload_draft_model,
    },
    "embedding": {**_MODEL_CALLS, "embedString": _models.embed_string},
    "system": {
        "listDownloadedModels": _system.list_downloaded,
        "listDownloadedModelVariants": _system.list_variants,
        "notify": _system.nothing,
        "version": _system.version,
        "setExperimentFlag": _system.set_flag,
        "getExperimentFlags": _system.get_flags,
        "startHttpServer": _system.nothing,
        "stopHttpServer": _system.nothing,
        "info": _system.info,
        "requestShutdown": _system.nothing,
    },
    "files": {
        "getLocalFileAbsolutePath": _files.local_path,
        "uploadFileBase64": _files.upload,
        "getDocumentParsingLibrary": _files.parsing_library,
    },
    "repository": {
        "searchModels": _repository.search,
        "getModelDownloadOptions": _repository.download_options,
    },
}

CHANNELS: dict[str, dict[str, Serve]] = {
    "llm": {
        **_MODEL_CHANNELS,
        "predict": _predict.predict,
        "completeRawText": _predict.predict,
    },
    "embedding": _MODEL_CHANNELS,
    "system": {"alive": _system.alive},
    "files": {"retrieve": _files.retrieve, "parseDocument": _files.parse_document},
    "repository": {"downloadModel": _repository.download_model},
}


def answer(core: Core, namespace: str, endpoint: str, parameter: Any) -> Any:
    """Answer an rpc call: the result, or an awaitable of it."""
    domain: Domain = "embedding" if namespace == "embedding" else "llm"
    return CALLS[namespace][endpoint](core, domain, parameter)


def serve(core: Core, channel: Channel, parameter: Any) -> Awaitable[None]:
    """Serve a channel."""
    return CHANNELS[channel.namespace][channel.endpoint](core, channel, parameter)
