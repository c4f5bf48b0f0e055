"""LM Studio's SDK for threaded programs: stream, cancel from any thread, keep what arrived."""

import importlib
import os
import sys
from typing import TYPE_CHECKING

__version__ = "2.0.0.dev0"

if TYPE_CHECKING:
    from ._agent.tool_context import GuardToolCallController, ToolCallContext
    from ._agent.tools import RawFunctionTool, ToolDefinition, ToolFunctionDef, ToolFunctionDefDict
    from ._asyncio.batch import AsyncBatch
    from ._asyncio.client import AsyncClient
    from ._asyncio.downloaded import (
        AnyAsyncDownloadedModel,
        AsyncDownloadedEmbeddingModel,
        AsyncDownloadedLlm,
    )
    from ._asyncio.embedding_model import AsyncEmbeddingModel
    from ._asyncio.handle import AsyncModelHandle
    from ._asyncio.llm import AsyncLLM
    from ._asyncio.stream import AsyncPredictionStream
    from ._background.future import BackgroundCall
    from ._background.toolkits import QtDispatcher, TkDispatcher
    from ._batch.batch import Batch
    from ._client.client import Client
    from ._client.default_client import (
        close_default_client,
        configure_default_client,
        embedding_model,
        get_default_client,
        list_downloaded_models,
        list_loaded_models,
        llm,
        prepare_image,
    )
    from ._client.run_in_background import run_in_background
    from ._concurrency.cancel_token import CancelToken
    from ._config.option_dicts import (
        EmbeddingLoadModelConfigDict,
        LlmLoadModelConfigDict,
        LlmPredictionConfigDict,
    )
    from ._config.options import (
        AnyLoadConfig,
        EmbeddingLoadModelConfig,
        GpuSetting,
        LlmLoadModelConfig,
        LlmPredictionConfig,
        LlmStructuredPredictionSetting,
    )
    from ._config.to_wire import ResponseSchema
    from ._connection.limits import get_sync_api_timeout, set_sync_api_timeout
    from ._handles.downloaded import AnyDownloadedModel, DownloadedEmbeddingModel, DownloadedLlm
    from ._handles.embedding_model import EmbeddingModel
    from ._handles.handle import SyncModelHandle
    from ._handles.llm import LLM
    from ._json.converter import AnyLMStudioStruct, DictObject
    from ._json.from_json import ValidationError
    from ._json.json_schema import BaseModel, DictSchema, ModelSchema
    from ._prediction.callbacks import (
        PredictionFirstTokenCallback,
        PredictionFragmentCallback,
        PredictionMessageCallback,
        PromptProcessingCallback,
    )
    from ._prediction.stream import PredictionStream
    from ._requests.repository import DownloadFinalizedCallback, DownloadProgressCallback
    from ._values.chat import Chat
    from ._values.local_file import LocalFileInput
    from ._values.messages import (
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
    from ._values.model_info import (
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
    from ._values.results import (
        ActResult,
        LlmPredictionFragment,
        LlmPredictionStats,
        PredictionResult,
        PredictionRoundResult,
    )
    from .errors import (
        LMStudioCancelledError,
        LMStudioChannelClosedError,
        LMStudioClientError,
        LMStudioConnectionLostError,
        LMStudioError,
        LMStudioModelNotFoundError,
        LMStudioOptionWarning,
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

__all__ = [
    "LLM",
    "ActResult",
    "AnyAsyncDownloadedModel",
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AnyDownloadedModel",
    "AnyLMStudioStruct",
    "AnyLoadConfig",
    "AnyModelSpecifier",
    "AssistantResponse",
    "AssistantResponseContent",
    "AsyncBatch",
    "AsyncClient",
    "AsyncDownloadedEmbeddingModel",
    "AsyncDownloadedLlm",
    "AsyncEmbeddingModel",
    "AsyncLLM",
    "AsyncModelHandle",
    "AsyncPredictionStream",
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
    "LMStudioOptionWarning",
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
    home: names.split()
    for home, names in {
        "errors": """
            LMStudioCancelledError LMStudioChannelClosedError LMStudioClientError
            LMStudioConnectionLostError LMStudioError LMStudioModelNotFoundError
            LMStudioOptionWarning LMStudioOSError LMStudioPredictionError
            LMStudioPresetNotFoundError LMStudioProtocolError LMStudioRuntimeError
            LMStudioServerError LMStudioTimeoutError LMStudioUnknownMessageWarning
            LMStudioValueError LMStudioWebsocketError
            SerializedLMSExtendedError
        """,
        "_concurrency.cancel_token": "CancelToken",
        "_json.converter": "AnyLMStudioStruct DictObject",
        "_json.from_json": "ValidationError",
        "_json.json_schema": "BaseModel DictSchema ModelSchema",
        "_config.options": """
            AnyLoadConfig EmbeddingLoadModelConfig GpuSetting LlmLoadModelConfig
            LlmPredictionConfig LlmStructuredPredictionSetting
        """,
        "_config.option_dicts": """
            EmbeddingLoadModelConfigDict LlmLoadModelConfigDict LlmPredictionConfigDict
        """,
        "_config.to_wire": "ResponseSchema",
        "_connection.limits": "get_sync_api_timeout set_sync_api_timeout",
        "_values.chat": "Chat",
        "_values.local_file": "LocalFileInput",
        "_values.messages": """
            AnyChatMessage AnyChatMessageDict AssistantResponse AssistantResponseContent
            ChatHistoryData ChatHistoryDataDict FileHandle FileHandleDict FileHandleInput
            FileType SystemPrompt SystemPromptContent TextData TextDataDict ToolCallRequest
            ToolCallResultData ToolResultMessage UserMessage UserMessageContent UserMessageDict
        """,
        "_values.model_info": """
            AnyModelSpecifier DownloadProgressUpdate EmbeddingModelInfo
            EmbeddingModelInstanceInfo LlmInfo LlmInstanceInfo ModelInfo ModelInstanceInfo
            ModelLoadResult ModelQuery ModelQueryDict ModelSpecifier ModelSpecifierDict
        """,
        "_values.results": """
            ActResult LlmPredictionFragment LlmPredictionStats PredictionResult
            PredictionRoundResult
        """,
        "_requests.repository": "DownloadFinalizedCallback DownloadProgressCallback",
        "_background.toolkits": "QtDispatcher TkDispatcher",
        "_background.future": "BackgroundCall",
        "_prediction.callbacks": """
            PredictionFirstTokenCallback PredictionFragmentCallback PredictionMessageCallback
            PromptProcessingCallback
        """,
        "_prediction.stream": "PredictionStream",
        "_batch.batch": "Batch",
        "_agent.tool_context": "GuardToolCallController ToolCallContext",
        "_agent.tools": "RawFunctionTool ToolDefinition ToolFunctionDef ToolFunctionDefDict",
        "_asyncio.stream": "AsyncPredictionStream",
        "_asyncio.batch": "AsyncBatch",
        "_asyncio.handle": "AsyncModelHandle",
        "_asyncio.embedding_model": "AsyncEmbeddingModel",
        "_asyncio.llm": "AsyncLLM",
        "_asyncio.downloaded": """
            AnyAsyncDownloadedModel AsyncDownloadedEmbeddingModel AsyncDownloadedLlm
        """,
        "_asyncio.client": "AsyncClient",
        "_handles.downloaded": "AnyDownloadedModel DownloadedEmbeddingModel DownloadedLlm",
        "_handles.embedding_model": "EmbeddingModel",
        "_handles.handle": "SyncModelHandle",
        "_handles.llm": "LLM",
        "_client.client": "Client",
        "_client.default_client": """
            close_default_client configure_default_client embedding_model get_default_client
            list_downloaded_models list_loaded_models llm prepare_image
        """,
        "_client.run_in_background": "run_in_background",
    }.items()
}
# What programs seldom name, but pickles do, and those that import from modules of the official
# package.
_UNLISTED = {
    home: names.split()
    for home, names in {
        "_asyncio.downloaded": "AsyncDownloadedModel",
        "_asyncio.repository": "AsyncAvailableModel AsyncModelDownloadOption",
        "_asyncio.stream": "CancelAnswer",
        "_config.option_dicts": "GpuSettingDict LlmStructuredPredictionSettingDict",
        "_handles.downloaded": "DEFAULT_TTL DownloadedModel",
        "_handles.repository": "AvailableModel ModelDownloadOption",
        "_json.converter": "LMStudioStruct",
        "_requests.models": "ModelLoadingCallback",
        "_values.messages": """
            AnyAssistantResponseInput AnyChatMessageInput AnyUserMessageInput AssistantResponseDict
            AssistantResponseInput ChatMessageInput SystemPromptDict SystemPromptInput
            ToolCallRequestData ToolCallRequestDataDict ToolCallRequestDict ToolCallRequestInput
            ToolCallResultDataDict ToolCallResultInput ToolResultMessageDict UserMessageInput
        """,
        "_values.model_info": """
            ModelQuantization ModelSearchResultDownloadOptionData ModelSearchResultEntryData
            ModelSearchResultIdentifier ModelSearchResultIdentifierCatalog
            ModelSearchResultIdentifierHf ModelSpecifierInstanceReference ModelSpecifierQuery
            UnknownModelInfo UnknownModelSearchResultIdentifier
        """,
        "_values.results": "AnyPrediction",
    }.items()
}
_HOME = {
    name: home for homes in (_HOMES, _UNLISTED) for home, names in homes.items() for name in names
}
# Modules of the official package, which only hand these names on.
_OFFICIAL_PATHS = frozenset(
    ["_sdk_models", "async_api", "history", "json_api", "schemas", "sdk_api", "sync_api"]
)

# The official package has the same name. If its files lie among ours, who imports them is told.
if os.path.isfile(os.path.join(__path__[0], "_sdk_models", "__init__.py")):
    importlib.import_module("._other_package", __name__).guard()


def __dir__() -> list[str]:
    """List the public names, also those that were not used yet, and public modules that were."""
    own = [name for name in globals() if name.startswith("__")]
    modules = [name for name in globals() if f"{__name__}.{name}" in sys.modules and name[0] != "_"]
    return sorted({*__all__, *own, *modules})


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name):
        """Import a public name, once."""
        if name in _OFFICIAL_PATHS:  # `lmstudio.history.Chat` needs no import of its own
            return importlib.import_module(f".{name}", __name__)
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value
