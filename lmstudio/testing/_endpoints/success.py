"""The packet that completes a channel that the test answers itself."""

from __future__ import annotations

from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._core.prediction import Prediction
from .._core.registry import Instance
from .._engines.models_on_disk import Domain
from .._protocol.errors import EndpointError
from .._protocol.json_checks import MISSING
from .._protocol.names import PREDICTIONS
from .._protocol.packets import merge_layers
from .load import domain_of
from .predict import find_instance
from .repository import finish_download


def success_packet(
    core: Core,
    channel: Channel,
    parameter: dict[str, Any],
    record: Prediction | None,
    stop_reason: str,
    fields: dict[str, Any],
) -> dict[str, Any]:
    """Return the success packet of a channel's endpoint. Loop thread.

    Args:
        core: The server.
        channel: The channel.
        parameter: What the client has created it with.
        record: The prediction, if it is one and there is the model for it.
        stop_reason: Why the prediction stopped.
        fields: What the test wants in the packet (in the stats of a prediction).
    """
    endpoint = channel.endpoint
    if endpoint in PREDICTIONS:
        return _predicted(core, parameter, record, {"stopReason": stop_reason, **fields})
    if endpoint in ("loadModel", "getOrLoad"):
        kind = "loadSuccess" if endpoint == "getOrLoad" else "success"
        return {"type": kind, "info": _loaded(core, parameter, domain_of(channel)).info(), **fields}
    if endpoint == "downloadModel":
        identifier = finish_download(core, str(parameter["downloadIdentifier"]))
        return {"type": "success", "defaultIdentifier": identifier, **fields}
    return {"type": "success", **fields}


def _predicted(
    core: Core, parameter: dict[str, Any], record: Prediction | None, stats: dict[str, Any]
) -> dict[str, Any]:
    instance = find_instance(core, parameter) or next(iter(core.registry.loaded("llm")), None)
    if instance is None:
        raise AssertionError(
            "success() needs a loaded model to describe: load one, or use packet()"
        )
    sent = record.tokens_sent if record is not None else 0
    counts = {"promptTokensCount": 1, "predictedTokensCount": sent, "totalTokensCount": 1 + sent}
    return {
        "type": "success",
        "stats": {**counts, **stats},
        "modelInfo": instance.info(),
        "loadModelConfig": instance.load_config(),
        "predictionConfig": {"fields": merge_layers(parameter["predictionConfigStack"])},
    }


def _loaded(core: Core, parameter: dict[str, Any], domain: Domain) -> Instance:
    """The instance that the client asked for: really loaded, so that it can go on with it."""
    registry, key, identifier = (
        core.registry,
        parameter.get("modelKey"),
        parameter.get("identifier"),
    )
    name, device = str(key or identifier), parameter.get("deviceIdentifier", MISSING)
    if key is None:
        loaded = registry.named(name, domain, device)
    else:
        loaded = registry.get(str(identifier), domain)
    if loaded is not None:
        return loaded
    try:
        found = registry.model(name, domain, device)
    except EndpointError as problem:
        raise AssertionError(f"success() needs a downloaded model to describe: {problem}") from None
    if key is None:
        identifier = registry.free_identifier(found.identifier(name))
    elif identifier is None:
        identifier = registry.free_identifier(found.model.key)
    ttl = parameter.get("ttlMs", parameter.get("loadTtlMs"))
    fields = merge_layers(parameter["loadConfigStack"])
    return registry.add(found, identifier, fields, ttl)
