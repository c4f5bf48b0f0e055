"""The namespace `system`: the downloaded models and the app itself."""

from __future__ import annotations

import os
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._engines.models_on_disk import Domain
from .._protocol.json_checks import MISSING


def list_downloaded(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `listDownloadedModels`."""
    return [model.info() for model in core.registry.models]


def list_variants(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `listDownloadedModelVariants`: one entry for each variant of the model."""
    model = core.registry.any_model(parameter["modelKey"]).model
    info = model.info()
    if not model.variants:
        return [info]
    return [{**info, "modelKey": name, "selectedVariant": name} for name in model.variants]


def version(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `version`."""
    return {"version": core.options.version, "build": 1}


def info(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `info`."""
    return {"pid": os.getpid(), "isDaemon": True, "version": core.options.version}


def nothing(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer an endpoint that has no effect here; the message itself is recorded."""
    return MISSING


def request_shutdown(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `requestShutdown`: the listener stops when the answer is on its way."""
    core.ending.set()
    return MISSING


def set_flag(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `setExperimentFlag`."""
    core.flags.pop(parameter["code"], None)
    if parameter["value"]:
        core.flags[parameter["code"]] = None
    return MISSING


def get_flags(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `getExperimentFlags`."""
    return list(core.flags)


async def alive(core: Core, channel: Channel, parameter: Any) -> None:
    """Serve `alive`: a channel that is open as long as the connection."""
    await channel.never()
