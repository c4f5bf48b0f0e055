"""How a request names one of the devices that LM Link connects."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, TypeAlias

from .._api.checks import check_text
from ..errors import LMStudioValueError

DeviceIdentifier: TypeAlias = str | EllipsisType | None
"""A device of LM Link; None: the server itself; ``...``, where it is the default: any.

Any means first the preferred device, then the server itself, then the others.
"""


def on_device(device_identifier: DeviceIdentifier) -> dict[str, Any]:
    """Return the field of a request that names a device; for any device, there is none.

    Raises:
        LMStudioValueError: It is no identifier.
    """
    if device_identifier is ...:
        return {}
    if device_identifier is not None and not check_text(device_identifier, "device_identifier"):
        raise LMStudioValueError("device_identifier is empty; None is the server itself.")
    return {"deviceIdentifier": device_identifier}
