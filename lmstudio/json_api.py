"""The official package's module of this name: configurations, results and errors."""

from typing import TYPE_CHECKING

from ._api.official_path import hand_on

if TYPE_CHECKING:
    from . import *
    from ._requests.loading import *
    from ._values.results import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        ActResult AnyLoadConfig AnyModelSpecifier DownloadFinalizedCallback DownloadProgressCallback
        DownloadProgressUpdate EmbeddingLoadModelConfig EmbeddingLoadModelConfigDict
        EmbeddingModelInfo EmbeddingModelInstanceInfo LMStudioCancelledError
        LMStudioChannelClosedError LMStudioClientError LMStudioModelNotFoundError
        LMStudioPredictionError LMStudioPresetNotFoundError LMStudioServerError LMStudioTimeoutError
        LMStudioUnknownMessageWarning LMStudioWebsocketError LlmInfo LlmInstanceInfo
        LlmLoadModelConfig LlmLoadModelConfigDict LlmPredictionConfig LlmPredictionConfigDict
        LlmPredictionFragment LlmPredictionStats ModelInfo ModelInstanceInfo ModelLoadResult
        ModelQuery ModelQueryDict ModelSpecifier ModelSpecifierDict ParamDefDict
        PredictionFirstTokenCallback PredictionFragmentCallback PredictionMessageCallback
        PredictionResult PredictionRoundResult PromptProcessingCallback ResponseSchema
        SerializedLMSExtendedError ToolDefinition ToolFunctionDef ToolFunctionDefDict
        ToolParamDefDict
        """,
    )
