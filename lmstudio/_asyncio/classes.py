"""The classes of the asyncio half: programs ask with `isinstance` whether they have got one."""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

from .._api.public import public
from ..errors import LMStudioRuntimeError


class _NotYet:
    """Cannot be made yet.

    Raises:
        LMStudioRuntimeError: Always, and says what to use instead.
    """

    def __new__(cls, *_arguments: Any, **_options: Any) -> NoReturn:
        """Say what to use instead."""
        raise LMStudioRuntimeError(
            f"{cls.__name__} is not there yet. From asyncio, use Client in a thread, as `await "
            "asyncio.to_thread(model.respond, chat, cancel_event=event)`, or in the background, as "
            "`await asyncio.wrap_future(model.respond_stream(chat).run_in_background())`."
        )


class AsyncClient(_NotYet):
    """A connection to one LM Studio server, for asyncio."""


class AsyncLLM(_NotYet):
    """A handle of a loaded language model, for asyncio."""


class AsyncEmbeddingModel(_NotYet):
    """A handle of a loaded embedding model, for asyncio."""


class AsyncDownloadedLlm(_NotYet):
    """A language model that is there for loading, for asyncio."""


class AsyncDownloadedEmbeddingModel(_NotYet):
    """An embedding model that is there for loading, for asyncio."""


class AsyncPredictionStream(_NotYet):
    """A prediction that is received bit by bit, for asyncio."""


AnyAsyncDownloadedModel: TypeAlias = AsyncDownloadedLlm | AsyncDownloadedEmbeddingModel

public(
    AsyncClient,
    AsyncLLM,
    AsyncEmbeddingModel,
    AsyncDownloadedLlm,
    AsyncDownloadedEmbeddingModel,
    AsyncPredictionStream,
)
