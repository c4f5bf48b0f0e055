"""The packet that completes a channel that the test answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.registry import Instance
from .._engines.models_on_disk import Domain
from .._protocol.errors import EndpointError
from .predict import merge_layers
from .repository import finish_download

if TYPE_CHECKING:
    from .._calls.call import Call
    from .._core.core import Core


def success_packet(
    core: Core, call: Call, namespace: str, stop_reason: str, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the success packet of a call's endpoint. Loop thread."""
    if call.endpoint in ("predict", "completeRawText"):
        return _predicted(core, call, stop_reason, fields)
    if call.endpoint in ("loadModel", "getOrLoad"):
        domain: Domain = "embedding" if namespace == "embedding" else "llm"
        kind = "loadSuccess" if call.endpoint == "getOrLoad" else "success"
        return {"type": kind, "info": _loaded(core, call.parameter, domain).info(), **fields}
    if call.endpoint == "downloadModel":
        identifier = finish_download(core, str(call.parameter["downloadIdentifier"]))
        return {"type": "success", "defaultIdentifier": identifier, **fields}
    return {"type": "success", **fields}


def _predicted(core: Core, call: Call, stop_reason: str, stats: dict[str, Any]) -> dict[str, Any]:
    instance = call.find_instance() or next(iter(core.registry.loaded("llm")), None)
    if instance is None:
        raise AssertionError(
            "success() needs a loaded model to describe: load one, or use packet()"
        )
    sent = call.record.tokens_sent if call.record is not None else 0
    return {
        "type": "success",
        "stats": {
            "stopReason": stop_reason,
            "promptTokensCount": 1,
            "predictedTokensCount": sent,
            "totalTokensCount": 1 + sent,
            **stats,
        },
        "modelInfo": instance.info(),
        "loadModelConfig": instance.load_config(),
        "predictionConfig": {"fields": merge_layers(call.parameter["predictionConfigStack"])},
    }


def _loaded(core: Core, parameter: dict[str, Any], domain: Domain) -> Instance:
    """The instance that the client asked for: really loaded, so that it can go on with it."""
    key = str(parameter.get("modelKey") or parameter.get("identifier"))
    identifier = str(parameter.get("identifier") or core.registry.free_identifier(key))
    found = core.registry.get(identifier, domain)
    if found is not None:
        return found
    try:
        model = core.registry.model(key, domain)
    except EndpointError as problem:
        raise AssertionError(f"success() needs a downloaded model to describe: {problem}") from None
    ttl = parameter.get("ttlMs", parameter.get("loadTtlMs"))
    fields = merge_layers(parameter["loadConfigStack"])
    return core.registry.add(model, identifier, fields, ttl)
