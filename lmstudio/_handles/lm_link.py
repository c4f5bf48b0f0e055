"""`Client.repository.lm_link`: the devices that LM Link connects."""

from __future__ import annotations

from collections.abc import Callable

from .._api.backports import Unpack
from .._api.public import public
from .._connection.limits import CallLimits
from .._connection.session import Session
from .._requests import repository
from .._values.lm_link import LmLinkStatus
from .handle import namespace_text


class LmLinkNamespace:
    """The devices that LM Link connects, as `Client.repository.lm_link`.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, session: Session, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `Client` makes namespaces."""
        self._session = session
        self._find_host = find_host

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    def get_status(self, **limits: Unpack[CallLimits]) -> LmLinkStatus:
        """Return how LM Link is, which devices there are, and which is preferred.

        Raises:
            LMStudioServerError: The server is too old to say.

        Endpoint: rpc ``repository/lmLinkStatus``.
        """
        return self._session.call(repository.get_lm_link_status(), **limits)

    def set_preferred_device(self, device_identifier: str, **limits: Unpack[CallLimits]) -> None:
        """Let LM Studio look for models on a device first, for all its clients.

        Args:
            device_identifier: The device, as `get_status()` names it.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioServerError: The server does not know it, or is too old.
            LMStudioValueError: It is no identifier.

        Endpoint: rpc ``repository/lmLinkSetPreferredDevice``.
        """
        self._session.call(repository.set_preferred_device(device_identifier), **limits)


public(LmLinkNamespace)
