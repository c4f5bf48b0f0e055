"""The channels `loadModel` and `getOrLoad`, for LLMs and embedding models alike."""

from __future__ import annotations

import asyncio
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._core.registry import Instance
from .._engines.models_on_disk import Domain, Model
from .._protocol import errors as _errors
from .generation import ratio
from .predict import merge_layers

STEPS = 3


class Loading:
    """A model that is being loaded just in time; several channels may wait for it. Loop thread."""

    def __init__(self, core: Core, model: Model, identifier: str, parameter: dict[str, Any]):
        self._core = core
        self._parameter = parameter
        self.model = model
        self.identifier = identifier
        self.channels: set[Channel] = set()
        self.task = asyncio.ensure_future(self._load())

    def tell(self, packet: dict[str, Any]) -> None:
        """Send a packet to all that wait."""
        for channel in self.channels:
            channel.send(packet)

    def forget(self) -> None:
        """Have nobody join any more."""
        if self._core.loading.get(self.identifier) is self:
            del self._core.loading[self.identifier]

    async def _load(self) -> Instance:
        for step in range(STEPS + 1):
            if step:
                await asyncio.sleep(self._core.options.load_time / STEPS)
            self.tell({"type": "loadProgress", "progress": ratio(step, STEPS)})
        fields = merge_layers(self._parameter["loadConfigStack"])
        ttl = self._parameter.get("loadTtlMs")
        return self._core.registry.add(self.model, self.identifier, fields, ttl, jit=True)


async def load_model(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve `loadModel`: always a new instance. After a cancel the channel just closes."""
    registry = core.registry
    model = registry.model(parameter["modelKey"], domain_of(channel))
    wanted = parameter.get("identifier")
    if wanted is not None and registry.is_taken(wanted):
        raise _errors.identifier_taken(wanted)
    channel.send({"type": "resolved", "info": model.info()})
    for step in range(STEPS + 1):
        if await channel.sleep(core.options.load_time / STEPS if step else 0.0):
            return
        channel.send({"type": "progress", "progress": ratio(step, STEPS)})
    identifier = wanted or registry.free_identifier(model.key)
    fields = merge_layers(parameter["loadConfigStack"])
    instance = registry.add(model, identifier, fields, parameter.get("ttlMs"))
    channel.send({"type": "success", "info": instance.info()})


async def get_or_load(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve `getOrLoad`: an instance that is loaded, or a load just in time."""
    registry, domain, identifier = core.registry, domain_of(channel), parameter["identifier"]
    found = registry.get(identifier, domain)
    if found is not None:
        channel.send({"type": "alreadyLoaded", "info": found.info()})
        return
    loading = core.loading.get(identifier)
    if loading is None:
        model = registry.model(identifier, domain)
        _unload_others(core, channel, domain)
        loading = Loading(core, model, identifier, parameter)
        core.loading[identifier] = loading
        loading.task.add_done_callback(lambda done: loading.forget())
    info = loading.model.info()
    channel.send({"type": "startLoading", "identifier": identifier, "info": info})
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
            loading.forget()
            loading.task.cancel()


def domain_of(channel: Channel) -> Domain:
    """Return the kind of models that the channel's namespace serves."""
    return "embedding" if channel.namespace == "embedding" else "llm"


def _unload_others(core: Core, channel: Channel, domain: Domain) -> None:
    if not core.options.jit_evict:
        return
    for other in core.registry.loaded(domain):
        if other.jit and not other.running:
            channel.send({"type": "unloadingOtherJITModel", "info": other.info()})
            core.registry.remove(other)
