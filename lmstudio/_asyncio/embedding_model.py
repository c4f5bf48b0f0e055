# Made by tests/api/make_asyncio.py out of _handles/embedding_model.py.
"""`AsyncEmbeddingModel`: a handle of a loaded embedding model."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import Unpack
from .._api.checks import check_count
from .._api.public import public
from .._batch.options import PLACES, BatchOptions, BatchProgress, BatchSettings, check_places
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._requests import models
from .handle import AsyncModelHandle

if TYPE_CHECKING:
    from .._connection.scope import CancelScope


class AsyncEmbeddingModel(AsyncModelHandle):
    """A handle of a loaded embedding model.

    Thread safety: the tasks of one event loop.
    """

    @overload
    async def embed(  # type: ignore[overload-overlap]  # a text is an iterable of texts, too
        self, input: str, **limits: Unpack[CallLimits]
    ) -> Sequence[float]: ...
    @overload
    async def embed(
        self, input: Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[Sequence[float]]: ...
    async def embed(
        self, input: str | Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[float] | Sequence[Sequence[float]]:
        """Return the vector of a text, or a list of those of each of several texts.

        Several texts are sent without waiting for each answer.

        Endpoint: rpc ``embedString``.
        """
        request = functools.partial(models.embed, self._specifier)
        return await self._for_texts(request, input, "embed", limits)

    async def get_base_prediction_config(self, **limits: Unpack[CallLimits]) -> dict[str, Any]:
        """Return the settings with which texts are embedded, by LM Studio's keys.

        Those are the model's own, and what is set for it in LM Studio; usually there are none.

        Endpoint: rpc ``getBasePredictionConfig``.
        """
        request = models.get_base_embedding_config(self._specifier)
        return await self._session.async_call(request, **limits)

    def embed_many(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        max_parallel: int | None = None,
        chunk: int = 16,
        ordered: bool = False,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        progress: BatchProgress = None,
        **options: Unpack[BatchOptions],
    ) -> lmstudio.AsyncBatch[Sequence[float]]:
        """Return an iterator over the vectors of many texts, which are read as they are needed.

        See `AsyncLLM.respond_many()` for the arguments, and `AsyncBatch` for what comes. Texts are
        short
        work: each of the `max_parallel` places has `chunk` of them under way.

        Endpoint: rpc ``embedString``.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
        """
        # Not needed by most programs.
        from .._batch.calls import RequestRun, Work
        from .._batch.hosts import Host
        from .batch import AsyncBatch

        specifier = self._specifier  # one that is refused is told here, not for each input
        limits = call_limits(cancel_event, timeout, idle_timeout)
        places = check_places(max_parallel) or PLACES
        places *= check_count(chunk, "chunk", or_none=False)

        def begin(text: Any, scope: CancelScope) -> RequestRun[Sequence[float]]:
            request = models.embed(specifier, text)
            own: CallLimits = {**limits, "cancel_event": scope}
            return RequestRun(self._session, request, own)

        return AsyncBatch(
            [Host(self._session, self._host, places, begin, refill=max(1, places // 2))],
            Work("embed", models.text_to_embed),
            inputs,
            BatchSettings(ordered=ordered, **options),
            limits=limits,
            progress=progress,
        )


public(AsyncEmbeddingModel)
