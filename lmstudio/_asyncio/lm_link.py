# Made by tests/api/make_asyncio.py out of _handles/lm_link.py.
"""`AsyncClient.repository.lm_link`: the devices that LM Link connects."""

from __future__ import annotations

from collections.abc import Callable

from .._api.backports import Unpack
from .._api.public import public
from .._connection.limits import CallLimits
from .._requests import repository
from .._values.lm_link import LmLinkStatus
from .handle import namespace_text
from .session import AsyncSession


class AsyncLmLinkNamespace:
    """The devices that LM Link connects, as `AsyncClient.repository.lm_link`.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: the tasks of one event loop.
    """

    def __init__(self, session: AsyncSession, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `AsyncClient` makes namespaces."""
        self._session = session
        self._find_host = find_host

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    async def get_status(self, **limits: Unpack[CallLimits]) -> LmLinkStatus:
        """Return how LM Link is, which devices there are, and which is preferred.

        Raises:
            LMStudioServerError: The server is too old to say.

        Endpoint: rpc ``repository/lmLinkStatus``.
        """
        return await self._session.async_call(repository.get_lm_link_status(), **limits)

    async def set_preferred_device(
        self, device_identifier: str, **limits: Unpack[CallLimits]
    ) -> None:
        """Let LM Studio look for models on a device first, for all its clients.

        Args:
            device_identifier: The device, as `get_status()` names it.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioServerError: The server does not know it, or is too old.
            LMStudioValueError: It is no identifier.

        Endpoint: rpc ``repository/lmLinkSetPreferredDevice``.
        """
        await self._session.async_call(repository.set_preferred_device(device_identifier), **limits)


public(AsyncLmLinkNamespace)
