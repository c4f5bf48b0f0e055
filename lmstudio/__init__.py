"""LM Studio's SDK for threaded programs: stream, cancel from any thread, keep what arrived."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "2.0.0.dev0"

if TYPE_CHECKING:
    from ._background import BackgroundCall
    from ._batch import Batch
    from ._chat_messages import (
        AnyChatMessage,
        AnyChatMessageDict,
        AssistantResponse,
        AssistantResponseContent,
        ChatHistoryData,
        ChatHistoryDataDict,
        FileHandle,
        FileHandleDict,
        FileHandleInput,
        FileType,
        SystemPrompt,
        SystemPromptContent,
        TextData,
        TextDataDict,
        ToolCallRequest,
        ToolCallResultData,
        ToolResultMessage,
        UserMessage,
        UserMessageContent,
        UserMessageDict,
    )
    from ._converter import AnyLMStudioStruct, DictObject
    from ._default_client import (
        close_default_client,
        configure_default_client,
        embedding_model,
        get_default_client,
        list_downloaded_models,
        list_loaded_models,
        llm,
        prepare_image,
    )
    from ._kv import ResponseSchema
    from ._line import get_sync_api_timeout, set_sync_api_timeout
    from ._llm import LLM
    from ._reader import (
        PredictionFirstTokenCallback,
        PredictionFragmentCallback,
        PredictionMessageCallback,
        PromptProcessingCallback,
    )
    from .background import run_in_background
    from .cancellation import CancelToken
    from .catalog import AnyDownloadedModel, DownloadedEmbeddingModel, DownloadedLlm
    from .chat import Chat
    from .client import Client
    from .config import (
        AnyLoadConfig,
        EmbeddingLoadModelConfig,
        EmbeddingLoadModelConfigDict,
        GpuSetting,
        LlmLoadModelConfig,
        LlmLoadModelConfigDict,
        LlmPredictionConfig,
        LlmPredictionConfigDict,
        LlmStructuredPredictionSetting,
    )
    from .dispatchers import QtDispatcher, TkDispatcher
    from .errors import (
        LMStudioCancelledError,
        LMStudioChannelClosedError,
        LMStudioClientError,
        LMStudioConnectionLostError,
        LMStudioError,
        LMStudioModelNotFoundError,
        LMStudioOSError,
        LMStudioPredictionError,
        LMStudioPresetNotFoundError,
        LMStudioProtocolError,
        LMStudioRuntimeError,
        LMStudioServerError,
        LMStudioTimeoutError,
        LMStudioUnknownMessageWarning,
        LMStudioValueError,
        LMStudioWebsocketError,
        SerializedLMSExtendedError,
    )
    from .files import LocalFileInput
    from .info import (
        AnyModelSpecifier,
        DownloadProgressUpdate,
        EmbeddingModelInfo,
        EmbeddingModelInstanceInfo,
        LlmInfo,
        LlmInstanceInfo,
        ModelInfo,
        ModelInstanceInfo,
        ModelLoadResult,
        ModelQuery,
        ModelQueryDict,
        ModelSpecifier,
        ModelSpecifierDict,
    )
    from .models import EmbeddingModel, SyncModelHandle
    from .prediction import PredictionStream
    from .repository import DownloadFinalizedCallback, DownloadProgressCallback
    from .results import (
        ActResult,
        LlmPredictionFragment,
        LlmPredictionStats,
        PredictionResult,
        PredictionRoundResult,
    )
    from .schema import BaseModel, DictSchema, ModelSchema, ValidationError
    from .tools import (
        GuardToolCallController,
        RawFunctionTool,
        ToolCallContext,
        ToolDefinition,
        ToolFunctionDef,
        ToolFunctionDefDict,
    )

__all__ = [
    "LLM",
    "ActResult",
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AnyDownloadedModel",
    "AnyLMStudioStruct",
    "AnyLoadConfig",
    "AnyModelSpecifier",
    "AssistantResponse",
    "AssistantResponseContent",
    "BackgroundCall",
    "BaseModel",
    "Batch",
    "CancelToken",
    "Chat",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "Client",
    "DictObject",
    "DictSchema",
    "DownloadFinalizedCallback",
    "DownloadProgressCallback",
    "DownloadProgressUpdate",
    "DownloadedEmbeddingModel",
    "DownloadedLlm",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingModel",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "FileType",
    "GpuSetting",
    "GuardToolCallController",
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioConnectionLostError",
    "LMStudioError",
    "LMStudioModelNotFoundError",
    "LMStudioOSError",
    "LMStudioPredictionError",
    "LMStudioPresetNotFoundError",
    "LMStudioProtocolError",
    "LMStudioRuntimeError",
    "LMStudioServerError",
    "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning",
    "LMStudioValueError",
    "LMStudioWebsocketError",
    "LlmInfo",
    "LlmInstanceInfo",
    "LlmLoadModelConfig",
    "LlmLoadModelConfigDict",
    "LlmPredictionConfig",
    "LlmPredictionConfigDict",
    "LlmPredictionFragment",
    "LlmPredictionStats",
    "LlmStructuredPredictionSetting",
    "LocalFileInput",
    "ModelInfo",
    "ModelInstanceInfo",
    "ModelLoadResult",
    "ModelQuery",
    "ModelQueryDict",
    "ModelSchema",
    "ModelSpecifier",
    "ModelSpecifierDict",
    "PredictionFirstTokenCallback",
    "PredictionFragmentCallback",
    "PredictionMessageCallback",
    "PredictionResult",
    "PredictionRoundResult",
    "PredictionStream",
    "PromptProcessingCallback",
    "QtDispatcher",
    "RawFunctionTool",
    "ResponseSchema",
    "SerializedLMSExtendedError",
    "SyncModelHandle",
    "SystemPrompt",
    "SystemPromptContent",
    "TextData",
    "TextDataDict",
    "TkDispatcher",
    "ToolCallContext",
    "ToolCallRequest",
    "ToolCallResultData",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolResultMessage",
    "UserMessage",
    "UserMessageContent",
    "UserMessageDict",
    "ValidationError",
    "close_default_client",
    "configure_default_client",
    "embedding_model",
    "get_default_client",
    "get_sync_api_timeout",
    "list_downloaded_models",
    "list_loaded_models",
    "llm",
    "prepare_image",
    "run_in_background",
    "set_sync_api_timeout",
]

# Where each name is defined. It is imported when it is used first: `import lmstudio` itself takes a
# millisecond, so that a program starts at once that may never need a model.
_HOMES = {
    "_background": ["BackgroundCall"],
    "_batch": ["Batch"],
    "_chat_messages": [
        "AnyChatMessage",
        "AnyChatMessageDict",
        "AssistantResponse",
        "AssistantResponseContent",
        "ChatHistoryData",
        "ChatHistoryDataDict",
        "FileHandle",
        "FileHandleDict",
        "FileHandleInput",
        "FileType",
        "SystemPrompt",
        "SystemPromptContent",
        "TextData",
        "TextDataDict",
        "ToolCallRequest",
        "ToolCallResultData",
        "ToolResultMessage",
        "UserMessage",
        "UserMessageContent",
        "UserMessageDict",
    ],
    "_converter": [
        "AnyLMStudioStruct",
        "DictObject",
    ],
    "_default_client": [
        "close_default_client",
        "configure_default_client",
        "embedding_model",
        "get_default_client",
        "list_downloaded_models",
        "list_loaded_models",
        "llm",
        "prepare_image",
    ],
    "_kv": ["ResponseSchema"],
    "_line": [
        "get_sync_api_timeout",
        "set_sync_api_timeout",
    ],
    "_llm": ["LLM"],
    "_reader": [
        "PredictionFirstTokenCallback",
        "PredictionFragmentCallback",
        "PredictionMessageCallback",
        "PromptProcessingCallback",
    ],
    "background": ["run_in_background"],
    "cancellation": ["CancelToken"],
    "catalog": [
        "AnyDownloadedModel",
        "DownloadedEmbeddingModel",
        "DownloadedLlm",
    ],
    "chat": ["Chat"],
    "client": ["Client"],
    "config": [
        "AnyLoadConfig",
        "EmbeddingLoadModelConfig",
        "EmbeddingLoadModelConfigDict",
        "GpuSetting",
        "LlmLoadModelConfig",
        "LlmLoadModelConfigDict",
        "LlmPredictionConfig",
        "LlmPredictionConfigDict",
        "LlmStructuredPredictionSetting",
    ],
    "dispatchers": [
        "QtDispatcher",
        "TkDispatcher",
    ],
    "errors": [
        "LMStudioCancelledError",
        "LMStudioChannelClosedError",
        "LMStudioClientError",
        "LMStudioConnectionLostError",
        "LMStudioError",
        "LMStudioModelNotFoundError",
        "LMStudioOSError",
        "LMStudioPredictionError",
        "LMStudioPresetNotFoundError",
        "LMStudioProtocolError",
        "LMStudioRuntimeError",
        "LMStudioServerError",
        "LMStudioTimeoutError",
        "LMStudioUnknownMessageWarning",
        "LMStudioValueError",
        "LMStudioWebsocketError",
        "SerializedLMSExtendedError",
    ],
    "files": ["LocalFileInput"],
    "info": [
        "AnyModelSpecifier",
        "DownloadProgressUpdate",
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
        "LlmInfo",
        "LlmInstanceInfo",
        "ModelInfo",
        "ModelInstanceInfo",
        "ModelLoadResult",
        "ModelQuery",
        "ModelQueryDict",
        "ModelSpecifier",
        "ModelSpecifierDict",
    ],
    "models": [
        "EmbeddingModel",
        "SyncModelHandle",
    ],
    "prediction": ["PredictionStream"],
    "repository": [
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
    ],
    "results": [
        "ActResult",
        "LlmPredictionFragment",
        "LlmPredictionStats",
        "PredictionResult",
        "PredictionRoundResult",
    ],
    "schema": [
        "BaseModel",
        "DictSchema",
        "ModelSchema",
        "ValidationError",
    ],
    "tools": [
        "GuardToolCallController",
        "RawFunctionTool",
        "ToolCallContext",
        "ToolDefinition",
        "ToolFunctionDef",
        "ToolFunctionDefDict",
    ],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name, once."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, also those that were not used yet."""
    return sorted({*globals(), *__all__})
