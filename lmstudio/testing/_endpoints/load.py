"""The channels `loadModel` and `getOrLoad`, for LLMs and embedding models alike."""

from __future__ import annotations

import asyncio
from typing import Any

from .._core.channel import Channel
from .._core.core import Core, Loading
from .._core.registry import Found, Instance
from .._engines.models_on_disk import Domain
from .._protocol import errors
from .._protocol.json_checks import MISSING
from .._protocol.packets import merge_layers, ratio

STEPS = 3
JIT_TTL_MS = 3_600_000  # what LM Studio gives a model that it loads just in time


async def load_model(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve `loadModel`: always a new instance. After a cancel the channel just closes."""
    registry = core.registry
    device = parameter.get("deviceIdentifier", MISSING)
    found = registry.model(parameter["modelKey"], domain_of(channel), device)
    wanted = parameter.get("identifier")
    if wanted is not None and registry.is_taken(wanted):
        raise errors.identifier_taken(wanted)
    resolved: dict[str, Any] = {"type": "resolved", "info": found.info()}
    if found.alike:
        resolved["ambiguous"] = list(found.alike)
    channel.send(resolved)
    for step in range(STEPS + 1):
        if await channel.sleep(core.options.load_time / STEPS if step else 0.0):
            return
        channel.send({"type": "progress", "progress": ratio(step, STEPS)})
    identifier = wanted or registry.free_identifier(found.model.key)
    fields = merge_layers(parameter["loadConfigStack"])
    instance = registry.add(found, identifier, fields, parameter.get("ttlMs"))
    channel.send({"type": "success", "info": instance.info()})


async def get_or_load(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve `getOrLoad`: an instance that is loaded, or a load just in time."""
    registry, domain, name = core.registry, domain_of(channel), parameter["identifier"]
    device = parameter.get("deviceIdentifier", MISSING)
    loaded = registry.named(name, domain, device)
    if loaded is not None:
        channel.send({"type": "alreadyLoaded", "info": loaded.info()})
        return
    found = registry.model(name, domain, device)
    loading = core.loading.get(found.which)
    if loading is None:
        _unload_others(core, channel)
        identifier = registry.free_identifier(found.identifier(name))
        loading = _start(core, found, identifier, parameter)
    info = found.info()
    channel.send({"type": "startLoading", "identifier": loading.identifier, "info": info})
    loading.channels.add(channel)
    cancelled = asyncio.ensure_future(channel.cancelled.wait())
    try:
        await asyncio.wait((loading.task, cancelled), return_when=asyncio.FIRST_COMPLETED)
        if not channel.cancelled.is_set():
            channel.send({"type": "loadSuccess", "info": loading.task.result().info()})
    finally:
        cancelled.cancel()
        loading.channels.discard(channel)
        if not loading.channels:
            # Nobody waits for it any more; who comes now starts anew.
            _forget(core, loading)
            loading.task.cancel()


def _start(core: Core, found: Found, identifier: str, parameter: dict[str, Any]) -> Loading:
    """Begin to load a model just in time; other channels may join while it lasts."""
    channels: set[Channel] = set()

    async def load() -> Instance:
        for step in range(STEPS + 1):
            if step:
                await asyncio.sleep(core.options.load_time / STEPS)
            for channel in channels:
                channel.send({"type": "loadProgress", "progress": ratio(step, STEPS)})
        fields = merge_layers(parameter["loadConfigStack"])
        ttl_ms = parameter.get("loadTtlMs", JIT_TTL_MS)
        return core.registry.add(found, identifier, fields, ttl_ms, jit=True)

    loading = Loading(found, identifier, channels, asyncio.ensure_future(load()))
    core.loading[found.which] = loading
    loading.task.add_done_callback(lambda done: _forget(core, loading))
    return loading


def _forget(core: Core, loading: Loading) -> None:
    if core.loading.get(loading.found.which) is loading:
        del core.loading[loading.found.which]


def domain_of(channel: Channel) -> Domain:
    """Return the kind of models that the channel's namespace serves."""
    return "embedding" if channel.namespace == "embedding" else "llm"


def _unload_others(core: Core, channel: Channel) -> None:
    if not core.options.jit_evict:
        return
    for other in core.registry.loaded():  # of both namespaces
        if other.jit and not other.running:
            channel.send({"type": "unloadingOtherJITModel", "info": other.info()})
            core.registry.remove(other)
