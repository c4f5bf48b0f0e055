# Made by tests/api/make_asyncio.py out of _handles/downloaded.py.
"""Models that are there for loading, as the lists of downloaded models give them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import Self, Unpack
from .._api.public import public
from .._config.embedding_load_options import EmbeddingLoadModelConfig
from .._config.llm_load_options import LlmLoadModelConfig
from .._connection.limits import CallLimits
from .._requests import models
from .._requests.loading import (
    ModelEvictedCallback,
    ModelLoadingCallback,
    ModelResolvedCallback,
)
from .._values.devices import DeviceIdentifier
from .._values.model_info import EmbeddingModelInfo, LlmInfo
from .._values.told import Told
from .embedding_model import AsyncEmbeddingModel
from .handle import AsyncModelHandle, AsyncNamespace
from .llm import AsyncLLM

if TYPE_CHECKING:
    from .namespaces import AsyncModelNamespace

DEFAULT_TTL = 60 * 60
"""Seconds that an idle model stays loaded, unless a call says otherwise: an hour."""

H = TypeVar("H", bound=AsyncModelHandle)  # the handle of a loaded model
# The options of loading.
LlmLoadOptions: TypeAlias = "LlmLoadModelConfig | lmstudio.LlmLoadModelConfigDict"
EmbeddingLoadOptions: TypeAlias = "EmbeddingLoadModelConfig | lmstudio.EmbeddingLoadModelConfigDict"
C = TypeVar("C", bound=LlmLoadModelConfig | EmbeddingLoadModelConfig | Mapping[str, Any])
I = TypeVar("I", LlmInfo, EmbeddingModelInfo)  # noqa: E741


class AsyncDownloadedModel(Told, Generic[H, C, I]):
    """A model that is there for loading. Two are equal if the same client was told the same.

    Thread safety: immutable; the tasks of one event loop.

    Attributes:
        info: What the server says about it.
    """

    type: ClassVar[str]
    """Its kind: ``llm`` or ``embedding``."""

    def __init__(self, info: I, namespace: AsyncNamespace) -> None:
        """Describe a model; the lists of downloaded models make these."""
        self.info: I = info
        self._told: object = info
        self._namespace: AsyncModelNamespace[H, C, I, Any] = cast(Any, namespace)
        self._session = namespace._session

    def __repr__(self) -> str:
        """Show what tells it from others."""
        info: Any = self.info
        shown = f"model_key={info.model_key!r}, display_name={info.display_name!r}"
        vision = f", vision={info.vision!r}" if isinstance(info, LlmInfo) else ""
        return f"{type(self).__name__}({shown}, architecture={info.architecture!r}{vision})"

    @property
    def path(self) -> str:
        """Its path below the server's folder of models."""
        return str(self.info.path)

    @property
    def model_key(self) -> str:
        """The key by which it is loaded."""
        return str(self.info.model_key)

    async def model(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        device_identifier: DeviceIdentifier = ...,
        on_load_progress: ModelLoadingCallback | None = None,
        on_load_resolved: ModelResolvedCallback | None = None,
        on_load_eviction: ModelEvictedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Return a handle of this model, loading it if it is not loaded.

        See `AsyncClient.llm.model()` for the arguments and what it raises. A model of another
        device of
        LM Link is loaded there.
        """
        return await self._namespace.model(
            self.model_key,
            ttl=ttl,
            config=config,
            device_identifier=self._device(device_identifier),
            on_load_progress=on_load_progress,
            on_load_resolved=on_load_resolved,
            on_load_eviction=on_load_eviction,
            **limits,
        )

    async def load_new_instance(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        instance_identifier: str | None = None,
        config: C | None = None,
        device_identifier: DeviceIdentifier = ...,
        on_load_progress: ModelLoadingCallback | None = None,
        on_load_resolved: ModelResolvedCallback | None = None,
        on_load_eviction: ModelEvictedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Load this model once more, and return a handle of the new instance.

        See `AsyncClient.llm.load_new_instance()` for the arguments and what it raises. A model of
        another device of LM Link is loaded there.
        """
        return await self._namespace.load_new_instance(
            self.model_key,
            instance_identifier,
            ttl=ttl,
            config=config,
            device_identifier=self._device(device_identifier),
            on_load_progress=on_load_progress,
            on_load_resolved=on_load_resolved,
            on_load_eviction=on_load_eviction,
            **limits,
        )

    def _device(self, wanted: DeviceIdentifier) -> DeviceIdentifier:
        own = self.info.device_identifier
        return own if wanted is ... and own is not None else wanted

    async def variants(self, **limits: Unpack[CallLimits]) -> Sequence[Self]:
        """Return the variants of this model that are there for loading, each as a model.

        They differ in quantization or format, and each has a `model_key` of its own, by which it
        is loaded. A model without variants is the only one of the list.

        Raises:
            LMStudioModelNotFoundError: The model is not there any more.

        Endpoint: rpc ``system/listDownloadedModelVariants``.
        """
        request = models.list_variants(self.model_key, self._namespace.kind)
        infos: list[Any] = await self._session.async_call(request, **limits)
        return [cast(Any, self._namespace._downloaded(info)) for info in infos]


class AsyncDownloadedLlm(AsyncDownloadedModel[AsyncLLM, LlmLoadOptions, LlmInfo]):
    """A language model that is there for loading."""

    type: ClassVar[Literal["llm"]] = "llm"


class AsyncDownloadedEmbeddingModel(
    AsyncDownloadedModel[AsyncEmbeddingModel, EmbeddingLoadOptions, EmbeddingModelInfo]
):
    """An embedding model that is there for loading."""

    type: ClassVar[Literal["embedding"]] = "embedding"


AnyAsyncDownloadedModel: TypeAlias = AsyncDownloadedModel[Any, Any, Any]
"""A model of either kind that is there for loading."""


public(AsyncDownloadedModel, AsyncDownloadedLlm, AsyncDownloadedEmbeddingModel)
