"""The rpc endpoints of the namespaces `llm` and `embedding`."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from .._core.core import Core
from .._core.registry import Instance
from .._engines.models_on_disk import Domain
from .._protocol import errors
from .._protocol.json_checks import MISSING
from .._protocol.packets import merge_layers

# What BERT's vocabulary calls [CLS] and [SEP].
_START, _END = 101, 102


def list_loaded(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `listLoaded`."""
    return [instance.info() for instance in core.registry.loaded(domain)]


def get_model_info(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getModelInfo`: no result at all if nothing matches and that is no error."""
    instance = _find(core, domain, parameter)
    return MISSING if instance is None else instance.info()


def get_load_config(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getLoadConfig`."""
    return core.registry.find(domain, parameter["specifier"]).load_config()


def get_base_prediction_config(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getBasePredictionConfig`: the config in force before a call adds its own."""
    core.registry.find(domain, parameter["specifier"])
    if domain == "embedding":
        return {"fields": []}
    return {
        "fields": [
            {"key": "llm.prediction.temperature", "value": 0.8},
            {"key": "llm.prediction.topKSampling", "value": 40},
            {"key": "llm.prediction.contextOverflowPolicy", "value": "truncateMiddle"},
        ]
    }


def get_processing_state(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getInstanceProcessingState`."""
    instance = _find(core, domain, parameter)
    if instance is None:
        return MISSING
    return {"status": instance.status(), "queued": instance.queued}


def estimate_model_usage(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `estimateModelUsage`: the file's size, and 1 KB for each token of context."""
    device = parameter.get("deviceIdentifier", MISSING)
    found = core.registry.model(parameter["modelKey"], domain, device)
    model = found.model
    fields = merge_layers(parameter["loadConfigStack"])
    context = Instance(found, model.key, fields, None, False).context_length * 1024
    return {
        "memory": {
            "confidence": "low",
            "modelVramBytes": 0,
            "contextVramBytes": 0,
            "totalVramBytes": 0,
            "modelBytes": model.size_bytes,
            "contextBytes": context,
            "totalBytes": model.size_bytes + context,
        },
        "passesGuardrails": True,
    }


def unload_model(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `unloadModel`."""
    device = parameter.get("deviceIdentifier", MISSING)
    core.registry.unload(parameter["identifier"], domain, device)
    return MISSING


def tokenize(core: Core, domain: Domain, parameter: Any) -> Awaitable[Any]:
    """Answer `tokenize`: those of an embedding model stand between its special tokens."""
    instance = core.registry.find(domain, parameter["specifier"])

    async def answer() -> Any:
        text = parameter["inputString"]
        tokens = await core.slow(lambda: core.engine.tokenize(instance.model, text))
        return {"tokens": [_START, *tokens, _END] if domain == "embedding" else tokens}

    return answer()


def count_tokens(core: Core, domain: Domain, parameter: Any) -> Awaitable[Any]:
    """Answer `countTokens`: the special tokens of an embedding model do not count."""
    answer = tokenize(core, domain, parameter)

    async def count() -> Any:
        special = 2 if domain == "embedding" else 0
        return {"tokenCount": len((await answer)["tokens"]) - special}

    return count()


def apply_prompt_template(core: Core, domain: Domain, parameter: Any) -> Awaitable[Any]:
    """Answer `applyPromptTemplate`, with the tools, and without the tokens that are omitted."""
    instance = core.registry.find(domain, parameter["specifier"])
    engine, options = core.engine, parameter["opts"]
    bos = "" if options.get("omitBosToken") else engine.bos_token
    eos = "" if options.get("omitEosToken") else engine.eos_token
    messages = [_ended(message, eos) for message in parameter["history"]["messages"]]
    if options.get("toolDefinitions"):
        text = f"Tools: {json.dumps(options['toolDefinitions'], separators=(',', ':'))}"
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": text}]})

    async def answer() -> Any:
        formatted = await core.slow(lambda: engine.apply_template(instance.model, messages))
        return {"formatted": bos + formatted}

    return answer()


def _ended(message: dict[str, Any], eos: str) -> dict[str, Any]:
    if message["role"] != "assistant" or not eos:
        return message
    return {**message, "content": [*message["content"], {"type": "text", "text": eos}]}


def preload_draft_model(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `preloadDraftModel`: nothing to preload, but the names must be right."""
    core.registry.find(domain, parameter["specifier"])
    core.registry.draft(parameter["draftModelKey"], with_code=True)
    return MISSING


def embed_string(core: Core, domain: Domain, parameter: Any) -> Awaitable[Any]:
    """Answer `embedString`."""
    instance = core.registry.find(domain, parameter["modelSpecifier"])
    text = parameter["inputString"]

    async def answer() -> Any:
        core.registry.use(instance)
        instance.embedding += 1
        try:
            vector = await core.slow(lambda: core.engine.embed(instance.model, text))
        finally:
            instance.embedding -= 1
            core.registry.rest(instance)
        return {"embedding": vector}

    return answer()


def _find(core: Core, domain: Domain, parameter: Any) -> Instance | None:
    try:
        return core.registry.find(domain, parameter["specifier"])
    except errors.EndpointError:
        if parameter["throwIfNotFound"]:
            raise
        return None
