"""What LM Studio tells of LM Link, which connects the LM Studios of several devices."""

from typing import Any, ClassVar

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct


@attrs.frozen(kw_only=True, repr=False)
class LmLinkPeer(LMStudioStruct):
    """Another device.

    Attributes:
        device_identifier: what names it in requests, as in ``device_identifier=``.
        device_name: its name, for people.
        status: ``connected``, ``disconnected``, or what a newer server may name.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    device_identifier: str
    device_name: str = ""
    status: str = ""


@attrs.frozen(kw_only=True, repr=False)
class LmLinkLastError(LMStudioStruct):
    """The last problem of LM Link.

    Attributes:
        message: what it was.
        timestamp: when, in milliseconds since 1970; None if the server does not say.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    message: str
    timestamp: int | None = None


@attrs.frozen(kw_only=True, repr=False)
class LmLinkStatus(LMStudioStruct):
    """How LM Link is.

    Attributes:
        status: ``offline``, ``starting``, ``online``, ``stopping``, or what a newer server names.
        issues: what keeps it from starting: ``deviceDisabled``, ``notLoggedIn``, ``noAccess``,
            ``badVersion``, or what a newer server may name.
        peers: the other devices.
        device_identifier: the server's own device; None if it has no name there yet.
        device_name: its name, for people.
        preferred_device_identifier: the device where LM Studio looks for models first; None: none
            is preferred.
        reconnect_in_seconds: when it tries again; None: it does not wait for that.
        last_error: the last problem; None: there was none.
        extra: what the server said beyond this, by its JSON keys.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    status: str
    issues: list[str] = attrs.field(factory=list)
    peers: list[LmLinkPeer] = attrs.field(factory=list)
    device_identifier: str | None = None
    device_name: str = ""
    preferred_device_identifier: str | None = None
    reconnect_in_seconds: int | None = None
    last_error: LmLinkLastError | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


public_module(globals())
