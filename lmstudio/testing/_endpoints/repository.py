"""The namespace `repository`: searching and downloading models."""

from __future__ import annotations

from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._engines.models_on_disk import Domain, Model
from .._protocol.errors import EndpointError, path_not_found

STEPS = 4
_DEFAULT_LIMIT = 10


def search(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `searchModels`: the models of the hub whose name has all words of the term."""
    options = parameter["opts"]
    words = options.get("searchTerm", "").lower().split()
    formats = options.get("compatibilityTypes")
    found = [
        model
        for model in core.hub
        if all(word in _name(model).lower() for word in words)
        and (formats is None or model.format in formats)
    ]
    term = options.get("searchTerm")
    results = [
        {
            "name": _name(model),
            "identifier": {"type": "catalog", "identifier": _name(model)},
            "exact": term in (model.key, _name(model)),
            "staffPick": True,
        }
        for model in found[: options.get("limit", _DEFAULT_LIMIT)]
    ]
    return {"results": results}


def download_options(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getModelDownloadOptions`: one option for each variant."""
    wanted = parameter["modelSearchResultIdentifier"]["identifier"]
    model = _find(core, wanted)
    options = []
    for at, variant in enumerate(model.variants or (model.key,)):
        option = {
            "name": model.display_name or model.key,
            "sizeBytes": model.size_bytes,
            "fitEstimation": "fullGPUOffload",
            "recommended": at == 0,
            "downloadIdentifier": f"{model.publisher}/{variant}",
            "indexedModelIdentifier": model.file_path(),
            "compatibilityType": model.format,
        }
        if "@" in variant:
            option["quantization"] = variant.split("@")[1].upper()
        elif model.quantization is not None:
            option["quantization"] = model.quantization[0]
        options.append(option)
    return {"results": options}


async def download_model(core: Core, channel: Channel, parameter: Any) -> None:
    """Serve `downloadModel`: then the model can be loaded. A cancel just closes the channel."""
    model = _find(core, parameter["downloadIdentifier"].split("@")[0])
    for step in range(STEPS + 1):
        if await channel.sleep(core.options.download_time / STEPS if step else 0.0):
            return
        update = {
            "downloadedBytes": model.size_bytes * step // STEPS,
            "totalBytes": model.size_bytes,
            "speedBytesPerSecond": model.size_bytes / max(core.options.download_time, 0.001),
        }
        channel.send({"type": "downloadProgress", "update": update})
    channel.send({"type": "startFinalizing"})
    channel.send({"type": "success", "defaultIdentifier": finish_download(core, _name(model))})


def finish_download(core: Core, name: str) -> str:
    """Let a model of the hub be loaded from now on; return the key to load it with.

    A name that the hub does not have is returned as it is: a test may make one up. Loop thread.
    """
    try:
        model = _find(core, name.split("@")[0])
    except EndpointError:
        return name
    # Also one of other fields: a key stands for one model.
    if model.key.lower() not in (one.key.lower() for one in core.registry.models):
        core.registry.models.append(model)
    return model.key


def _name(model: Model) -> str:
    return f"{model.publisher}/{model.key}"


def _find(core: Core, name: str) -> Model:
    for model in core.hub:
        if name in (model.key, _name(model)):
            return model
    raise path_not_found(name, [_name(model) for model in core.hub])
