# Made by tests/api/make_asyncio.py out of _handles/embedding_model.py.
"""`AsyncEmbeddingModel`: a handle of a loaded embedding model."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import Unpack
from .._api.public import public
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import CallLimits, Limit, call_limits
from .._requests import models
from .handle import AsyncModelHandle

if TYPE_CHECKING:
    from .._connection.call import Call
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
        inputs: Iterable[str] | AsyncIterable[str],
        *,
        max_parallel: int | None = None,
        ordered: bool = False,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
        progress: Literal["rich", "tqdm"] | Callable[[int, int | None], Any] | None = None,
    ) -> lmstudio.AsyncBatch[Sequence[float]]:
        """Return an iterator over the vectors of many texts, which are read as they are needed.

        For a list that fits into memory, `embed()` is quicker. See `AsyncLLM.respond_many()` for
        the
        arguments, and `AsyncBatch` for what comes.

        Endpoint: rpc ``embedString``.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
        """
        # Not needed by most programs.
        from .._batch.calls import call_in_background
        from .batch import AsyncBatch

        specifier = self._specifier  # one that is refused is told here, not for each input

        def start(
            text: Any, scope: CancelScope
        ) -> tuple[Call, lmstudio.BackgroundCall[Sequence[float]]]:
            request = models.embed(specifier, text)
            return call_in_background(
                self._session, request, scope, timeout=timeout, idle_timeout=idle_timeout
            )

        return AsyncBatch(
            self._session,
            start,
            inputs,
            max_parallel=max_parallel,
            ordered=ordered,
            limits=call_limits(cancel_event, timeout, idle_timeout),
            progress=progress,
        )


public(AsyncEmbeddingModel)
