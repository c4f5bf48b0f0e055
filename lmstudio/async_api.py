"""The official package's module of this name: the asyncio half."""

from typing import TYPE_CHECKING

from ._api.official_path import hand_on

if TYPE_CHECKING:
    from . import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        AnyAsyncDownloadedModel AsyncClient AsyncDownloadedEmbeddingModel AsyncDownloadedLlm
        AsyncEmbeddingModel AsyncLLM AsyncPredictionStream
        """,
    )
