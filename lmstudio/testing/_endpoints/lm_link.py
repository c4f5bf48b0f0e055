"""LM Link: the devices on which the models are; endpoints of the namespace `repository`."""

from __future__ import annotations

from typing import Any

from .._core.core import Core
from .._engines.models_on_disk import Domain
from .._protocol.errors import EndpointError
from .._protocol.json_checks import MISSING

OWN_DEVICE = "testing-device"  # that of the server itself


def status(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `lmLinkStatus`: it is online if there are models of another device."""
    devices = _devices(core)
    answer: dict[str, Any] = {
        "status": "online" if devices else "offline",
        "issues": [] if devices else ["notLoggedIn"],
        "peers": [
            {"deviceIdentifier": device, "deviceName": device, "status": "connected"}
            for device in devices
        ],
        "deviceIdentifier": OWN_DEVICE if devices else None,
        "deviceName": OWN_DEVICE,
    }
    if core.registry.preferred_device is not MISSING:
        answer["preferredDeviceIdentifier"] = core.registry.preferred_device or OWN_DEVICE
    return answer


def set_preferred_device(core: Core, domain: Domain, parameter: Any) -> Any:
    """Answer `lmLinkSetPreferredDevice`: models are looked for there first."""
    wanted = parameter["deviceIdentifier"]
    if wanted not in (OWN_DEVICE, *_devices(core)):
        raise EndpointError(
            f'Cannot find a device with identifier "{wanted}"',
            suggestion=(
                f"The devices: {', '.join((OWN_DEVICE, *_devices(core)))}. A test gives others by "
                "Server(models=[Model(key=..., device_identifier=...)])."
            ),
        )
    core.registry.preferred_device = None if wanted == OWN_DEVICE else wanted
    return MISSING


def _devices(core: Core) -> list[str]:
    """The other devices."""
    return sorted({one.device_identifier for one in core.registry.models if one.device_identifier})
