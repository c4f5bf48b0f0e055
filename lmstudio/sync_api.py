"""The official package's module of this name: clients, handles and streams."""

import sys
from typing import TYPE_CHECKING

from ._api.official_path import SyncApi, hand_on

if TYPE_CHECKING:
    from . import *
    from ._handles.downloaded import *
    from ._handles.repository import *
    from ._requests.loading import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        AnyDownloadedModel Client DownloadedEmbeddingModel DownloadedLlm EmbeddingModel LLM
        PredictionStream SyncModelHandle configure_default_client embedding_model
        get_default_client get_sync_api_timeout list_downloaded_models list_loaded_models llm
        prepare_image set_sync_api_timeout
        """,
    )

sys.modules[__name__].__class__ = SyncApi
