# Made by tests/api/make_asyncio.py out of _handles/system.py.
"""`AsyncClient.system`: what concerns the whole server."""

from __future__ import annotations

from collections.abc import Sequence

from .._api.backports import Unpack
from .._api.public import public
from .._connection.limits import CallLimits
from .._requests import models, system
from .._values.model_info import EmbeddingModelInfo, LlmInfo
from .._values.server_info import ServerInfo, ServerVersion
from .downloaded import AsyncDownloadedEmbeddingModel, AsyncDownloadedLlm
from .handle import namespace_text
from .namespaces import AsyncEmbeddingNamespace, AsyncLlmNamespace


class AsyncSystemNamespace:
    """What concerns the whole server, as `AsyncClient.system`.

    Every method also takes `cancel_event`, `timeout` and `idle_timeout`, as handles do.

    Thread safety: the tasks of one event loop.
    """

    def __init__(self, llm: AsyncLlmNamespace, embedding: AsyncEmbeddingNamespace) -> None:
        """Offer what is common to the models' namespaces."""
        self._llm = llm
        self._embedding = embedding
        self._session = llm._session

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._llm._find_host())

    async def list_downloaded_models(
        self, **limits: Unpack[CallLimits]
    ) -> Sequence[AsyncDownloadedLlm | AsyncDownloadedEmbeddingModel]:
        """Return all models that are there for loading; those of unknown kinds are left out.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        infos = await self._session.async_call(models.list_downloaded("llm", "embedding"), **limits)
        return [self._downloaded(info) for info in infos]

    async def list_downloaded_model_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> Sequence[AsyncDownloadedLlm | AsyncDownloadedEmbeddingModel]:
        """Return the variants of a model that are there for loading, each as a model.

        They differ in quantization or format, and each has a `model_key` of its own, by which it
        is loaded. A model without variants is the only one of the list.

        Args:
            model_key: The model's key.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioModelNotFoundError: There is no such model.
            LMStudioValueError: The key cannot be one.

        Endpoint: rpc ``system/listDownloadedModelVariants``.
        """
        request = models.list_variants(model_key, "llm", "embedding")
        infos = await self._session.async_call(request, **limits)
        return [self._downloaded(info) for info in infos]

    async def get_version(self, **limits: Unpack[CallLimits]) -> ServerVersion:
        """Return the version of LM Studio.

        Endpoint: rpc ``system/version``.
        """
        return await self._session.async_call(system.get_version(), **limits)

    async def get_info(self, **limits: Unpack[CallLimits]) -> ServerInfo:
        """Return what LM Studio runs as: its process, and whether it has a window.

        Raises:
            LMStudioServerError: The server is too old to say.

        Endpoint: rpc ``system/info``.
        """
        return await self._session.async_call(system.get_info(), **limits)

    async def notify(
        self,
        title: str,
        description: str | None = None,
        *,
        no_auto_dismiss: bool = False,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Show a notification in LM Studio's window.

        Args:
            title: Its title.
            description: Its text; None: only a title.
            no_auto_dismiss: Leave it there until somebody closes it.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: An argument cannot be used.

        Endpoint: rpc ``system/notify``.
        """
        await self._session.async_call(system.notify(title, description, no_auto_dismiss), **limits)

    async def start_http_server(
        self,
        port: int | None = None,
        *,
        cors: bool | None = None,
        network_interface: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Start LM Studio's HTTP server, as its Developer page and ``lms server start`` do.

        Programs of other computers, and those that speak HTTP, connect to it. A client that has
        found LM Studio on this computer by itself does not need it.

        Args:
            port: Its port, from 1 to 65535; None: as it is set in LM Studio.
            cors: Let every web page use it; None: as it is set.
            network_interface: The address that it listens on: ``127.0.0.1`` for programs of its own
                computer, ``0.0.0.0`` for those of others, too; None: as it is set.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioServerError: The server cannot do it, or is too old.
            LMStudioValueError: An argument cannot be used.

        Endpoint: rpc ``system/startHttpServer``.
        """
        await self._session.async_call(
            system.start_http_server(port, cors, network_interface), **limits
        )

    async def stop_http_server(self, **limits: Unpack[CallLimits]) -> None:
        """Stop LM Studio's HTTP server, if it runs.

        Clients that are connected by it lose their connections; this one too, if it is.

        Raises:
            LMStudioServerError: The server cannot do it, or is too old.
            LMStudioConnectionLostError: This client was connected by it.

        Endpoint: rpc ``system/stopHttpServer``.
        """
        await self._session.async_call(system.stop_http_server(), **limits)

    async def request_shutdown(self, **limits: Unpack[CallLimits]) -> None:
        """Ask the server to end, for all its clients.

        It returns when the server has agreed. What runs then fails as after any lost connection;
        close the client first where it should not.

        Raises:
            LMStudioServerError: The server refuses.
            LMStudioConnectionLostError: The server was gone before it answered.

        Endpoint: rpc ``system/requestShutdown``.
        """
        await self._session.async_call(system.request_shutdown(), **limits)

    def _downloaded(
        self, info: LlmInfo | EmbeddingModelInfo
    ) -> AsyncDownloadedLlm | AsyncDownloadedEmbeddingModel:
        if isinstance(info, LlmInfo):
            return self._llm._downloaded(info)
        return self._embedding._downloaded(info)


public(AsyncSystemNamespace)
