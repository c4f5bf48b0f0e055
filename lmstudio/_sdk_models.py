"""The official package's module of this name: what goes over the wire."""

from typing import TYPE_CHECKING

from ._api.official_path import hand_on

if TYPE_CHECKING:
    from . import *
    from ._json.converter import *
    from ._values.messages import *
    from ._values.model_info import *
    from ._values.results import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        AssistantResponse AssistantResponseDict ChatHistoryData ChatHistoryDataDict
        DownloadProgressUpdate EmbeddingLoadModelConfig EmbeddingLoadModelConfigDict
        EmbeddingModelInfo EmbeddingModelInstanceInfo FileHandle FileHandleDict GpuSetting LlmInfo
        LlmInstanceInfo LlmLoadModelConfig LlmLoadModelConfigDict LlmPredictionConfig
        LlmPredictionConfigDict LlmPredictionFragment LlmPredictionStats LlmPredictionStopReason
        LlmReasoningParsing LlmStructuredPredictionSetting ModelQuery ModelQueryDict
        ModelSearchResultDownloadOptionData ModelSearchResultEntryData
        ModelSearchResultIdentifierCatalog ModelSearchResultIdentifierHf
        ModelSpecifierInstanceReference ModelSpecifierQuery SerializedLMSExtendedError SystemPrompt
        SystemPromptDict TextData TextDataDict ToolCallRequest ToolCallRequestData
        ToolCallRequestDataDict ToolCallRequestDict ToolCallResultData ToolCallResultDataDict
        ToolResultMessage ToolResultMessageDict UserMessage UserMessageDict
        """,
    )
