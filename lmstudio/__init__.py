"""LM Studio's SDK for threaded programs: stream, cancel from any thread, keep what arrived.

    import lmstudio as lms

    model = lms.llm()  # the model that is loaded; or its key: lms.llm("qwen3-4b")
    stream = model.respond_stream("Tell me a story.")
    for fragment in stream:
        print(fragment.content, end="", flush=True)
    # Meanwhile, in any other thread: stream.cancel()

What there is, by what it is for; `help(lmstudio.LLM)` explains `LLM`, and so on. Begin with
`llm()`, `LLM`, `PredictionStream`, `Chat` and `Client`. (Names of types for annotations, such as
`CancelEvent` or those that end in Callback or Input, are explained by editors and the reference.)

Connect:
    llm, embedding_model, Client, get_default_client, configure_default_client,
    close_default_client, start_local, ConnectionWatch

Find, load and list models:
    list_downloaded_models, list_loaded_models, LlmNamespace, EmbeddingNamespace, LLM,
    EmbeddingModel, SyncModelHandle, DownloadedLlm, DownloadedEmbeddingModel, AnyDownloadedModel,
    ModelInfo, ModelInstanceInfo, LlmInfo, LlmInstanceInfo, EmbeddingModelInfo,
    EmbeddingModelInstanceInfo, UnknownModelInfo, ModelQuantization, ModelKind,
    ModelProcessingState, ModelLoadResult, EstimatedResourcesUsage, EstimatedMemoryUsage,
    ModelQuery, ModelSpecifier, ModelSpecifierQuery, ModelSpecifierInstanceReference,
    AnyModelSpecifier, ModelQueryDict, ModelSpecifierDict, DeviceIdentifier, ModelLoadingCallback,
    ModelResolvedCallback, ModelEvictedCallback

Predict:
    PredictionStream, PredictionResult, LlmPredictionFragment, LlmPredictionStats,
    PromptProcessingDetails, PredictionFirstTokenCallback, PredictionFragmentCallback,
    PredictionMessageCallback, PromptProcessingCallback, PromptDetailsCallback

Cancel, and limit the time:
    CancelToken, CancelEvent, EventLike, CallLimits, TimeLimit, get_sync_api_timeout,
    set_sync_api_timeout

Chats:
    Chat, AnyChatMessage, SystemPrompt, UserMessage, AssistantResponse, ToolResultMessage, TextData,
    FileHandle, ToolCallRequest, ToolCallRequestData, ToolCallResultData, SystemPromptContent,
    UserMessageContent, AssistantResponseContent, SystemPromptInput, UserMessageInput,
    AnyUserMessageInput, AssistantResponseInput, AnyAssistantResponseInput, ToolCallRequestInput,
    ToolCallResultInput, ChatMessageInput, AnyChatMessageInput, ChatHistoryData,
    ChatHistoryDataDict, AnyChatMessageDict, SystemPromptDict, UserMessageDict,
    AssistantResponseDict, ToolResultMessageDict, TextDataDict, FileHandleDict, ToolCallRequestDict,
    ToolCallRequestDataDict, ToolCallResultDataDict

Structured replies:
    BaseModel, ModelSchema, DictSchema, ResponseSchema, LlmStructuredPredictionSetting,
    LlmStructuredPredictionSettingDict, ValidationError

Tools, and act():
    ActResult, PredictionRoundResult, ToolDefinition, ToolFunctionDef, ToolFunctionDefDict,
    RawFunctionTool, ToolCallContext, GuardToolCallController, ActMessageCallback,
    GuardToolCallCallback, InvalidToolRequestHandler, ToolCallReportCallback,
    ToolCallResultCallback, ToolCallRequestStartCallback, ToolCallRequestNameCallback,
    ToolCallRequestArgumentFragmentCallback, ToolCallRequestEndCallback,
    ToolCallRequestFailureCallback, PluginsNamespace, PluginTools, PluginTool, ToolReportCallback

Files and documents:
    prepare_image, data_url, FilesNamespace, LocalFileInput, FileHandleInput, FileType,
    UploadProgressCallback, ParsedDocument, DocumentParser, ParsingCallback, RetrievalResult,
    RetrievalEntry, RetrievalProgress, RetrievalCallback

Batches:
    respond_many, respond_many_on_dask, dask_cancel_token, Batch, BatchOutcome, BatchNumbers,
    BatchJournal, BatchOptions, BatchProgress

Windows, and work in the background:
    run_in_background, BackgroundCall, TkDispatcher, QtDispatcher, Dispatch

The server: search, download, log, devices:
    RepositoryNamespace, AvailableModel, ModelDownloadOption, DownloadProgressUpdate,
    DownloadProgressCallback, DownloadFinalizedCallback, ModelSearchResultEntryData,
    ModelSearchResultDownloadOptionData, ModelSearchResultIdentifier,
    ModelSearchResultIdentifierCatalog, ModelSearchResultIdentifierHf,
    UnknownModelSearchResultIdentifier, SystemNamespace, ServerInfo, ServerVersion, LmLinkNamespace,
    LmLinkStatus, LmLinkPeer, LmLinkLastError, DiagnosticsNamespace, LogStream, DiagnosticsLogEvent,
    DiagnosticsLogEventData

Configuration:
    LlmPredictionConfig, LlmPredictionConfigDict, LlmLoadModelConfig, LlmLoadModelConfigDict,
    EmbeddingLoadModelConfig, EmbeddingLoadModelConfigDict, AnyLoadConfig, GpuSetting,
    GpuSettingDict, LlmReasoningParsing, LlmReasoningParsingDict, AnyLMStudioStruct, DictObject

asyncio:
    AsyncClient, AsyncLLM, AsyncEmbeddingModel, AsyncModelHandle, AsyncPredictionStream,
    CancelAnswer, AsyncBatch, AsyncLlmNamespace, AsyncEmbeddingNamespace, AsyncFilesNamespace,
    AsyncPluginsNamespace, AsyncPluginTools, AsyncRepositoryNamespace, AsyncAvailableModel,
    AsyncModelDownloadOption, AsyncSystemNamespace, AsyncLmLinkNamespace, AsyncDiagnosticsNamespace,
    AsyncLogStream, AsyncDownloadedLlm, AsyncDownloadedEmbeddingModel, AnyAsyncDownloadedModel

Errors and warnings:
    LMStudioError, LMStudioServerError, LMStudioModelNotFoundError, LMStudioPresetNotFoundError,
    LMStudioPredictionError, LMStudioChannelClosedError, LMStudioClientError,
    LMStudioCancelledError, LMStudioTimeoutError, LMStudioWebsocketError,
    LMStudioConnectionLostError, LMStudioProtocolError, LMStudioValueError, LMStudioRuntimeError,
    LMStudioOSError, LMStudioOptionWarning, LMStudioUnknownMessageWarning,
    SerializedLMSExtendedError

Tests without LM Studio: `help("lmstudio.testing")`. The terminal programs: ``python -m lmstudio``.
"""

import atexit
import importlib
import os
import sys
import types
from typing import TYPE_CHECKING

__version__ = "2.0.0.dev0"

# Several names in a line, since each of them stands here twice.
# fmt: off
# isort: off
if TYPE_CHECKING:
    from ._agent.plugin_tool import PluginTool
    from ._agent.rules import (
        ActMessageCallback, GuardToolCallCallback, InvalidToolRequestHandler,
        ToolCallReportCallback, ToolCallResultCallback,
    )
    from ._agent.tool_context import GuardToolCallController, ToolCallContext
    from ._agent.tools import RawFunctionTool, ToolDefinition, ToolFunctionDef, ToolFunctionDefDict
    from ._asyncio.batch import AsyncBatch
    from ._asyncio.client import AsyncClient
    from ._asyncio.diagnostics import AsyncDiagnosticsNamespace
    from ._asyncio.downloaded import (
        AnyAsyncDownloadedModel, AsyncDownloadedEmbeddingModel, AsyncDownloadedLlm,
    )
    from ._asyncio.embedding_model import AsyncEmbeddingModel
    from ._asyncio.files import AsyncFilesNamespace
    from ._asyncio.handle import AsyncModelHandle
    from ._asyncio.llm import AsyncLLM
    from ._asyncio.lm_link import AsyncLmLinkNamespace
    from ._asyncio.log_stream import AsyncLogStream
    from ._asyncio.namespaces import AsyncEmbeddingNamespace, AsyncLlmNamespace
    from ._asyncio.plugin_tools import AsyncPluginTools
    from ._asyncio.plugins import AsyncPluginsNamespace
    from ._asyncio.repository import (
        AsyncAvailableModel, AsyncModelDownloadOption, AsyncRepositoryNamespace,
    )
    from ._asyncio.stream import AsyncPredictionStream, CancelAnswer
    from ._asyncio.system import AsyncSystemNamespace
    from ._background.connection_watch import ConnectionWatch
    from ._background.future import BackgroundCall
    from ._background.toolkits import QtDispatcher, TkDispatcher
    from ._batch.batch import Batch
    from ._batch.journal import BatchJournal
    from ._batch.numbers import BatchNumbers
    from ._batch.options import BatchOptions, BatchProgress
    from ._batch.outcome import BatchOutcome
    from ._client.client import Client
    from ._client.default_client import (
        close_default_client, configure_default_client, embedding_model, get_default_client,
        list_downloaded_models, list_loaded_models, llm, prepare_image,
    )
    from ._client.run_in_background import run_in_background
    from ._clusters.respond import respond_many_on_dask
    from ._clusters.task_token import dask_cancel_token
    from ._concurrency.callback_gate import Dispatch
    from ._concurrency.cancel_token import CancelEvent, CancelToken
    from ._concurrency.watched import EventLike
    from ._config.embedding_load_options import AnyLoadConfig, EmbeddingLoadModelConfig
    from ._config.gpu_setting import GpuSetting
    from ._config.llm_load_options import LlmLoadModelConfig
    from ._config.load_dicts import (
        EmbeddingLoadModelConfigDict, GpuSettingDict, LlmLoadModelConfigDict,
    )
    from ._config.prediction_dicts import (
        LlmPredictionConfigDict, LlmReasoningParsingDict, LlmStructuredPredictionSettingDict,
    )
    from ._config.prediction_options import (
        LlmPredictionConfig, LlmReasoningParsing, LlmStructuredPredictionSetting,
    )
    from ._config.to_wire import ModelKind, ResponseSchema
    from ._connection.limits import (
        CallLimits, TimeLimit, get_sync_api_timeout, set_sync_api_timeout,
    )
    from ._connection.start_local import start_local
    from ._handles.diagnostics import DiagnosticsNamespace
    from ._handles.downloaded import AnyDownloadedModel, DownloadedEmbeddingModel, DownloadedLlm
    from ._handles.embedding_model import EmbeddingModel
    from ._handles.files import FilesNamespace
    from ._handles.handle import SyncModelHandle
    from ._handles.llm import LLM
    from ._handles.lm_link import LmLinkNamespace
    from ._handles.log_stream import LogStream
    from ._handles.many import respond_many
    from ._handles.namespaces import EmbeddingNamespace, LlmNamespace
    from ._handles.plugin_tools import PluginTools
    from ._handles.plugins import PluginsNamespace
    from ._handles.repository import AvailableModel, ModelDownloadOption, RepositoryNamespace
    from ._handles.system import SystemNamespace
    from ._json.converter import AnyLMStudioStruct, DictObject
    from ._json.from_json import ValidationError
    from ._json.json_schema import BaseModel, DictSchema, ModelSchema
    from ._prediction.callbacks import (
        PredictionFirstTokenCallback, PredictionFragmentCallback, PredictionMessageCallback,
        PromptDetailsCallback, PromptProcessingCallback, ToolCallRequestArgumentFragmentCallback,
        ToolCallRequestEndCallback, ToolCallRequestFailureCallback, ToolCallRequestNameCallback,
        ToolCallRequestStartCallback,
    )
    from ._prediction.stream import PredictionStream
    from ._requests.documents import ParsingCallback, RetrievalCallback
    from ._requests.loading import ModelEvictedCallback, ModelLoadingCallback, ModelResolvedCallback
    from ._requests.plugins import ToolReportCallback
    from ._requests.repository import DownloadFinalizedCallback, DownloadProgressCallback
    from ._requests.uploads import UploadProgressCallback
    from ._values.chat import Chat
    from ._values.data_url import data_url
    from ._values.devices import DeviceIdentifier
    from ._values.documents import (
        DocumentParser, ParsedDocument, RetrievalEntry, RetrievalProgress, RetrievalResult,
    )
    from ._values.lm_link import LmLinkLastError, LmLinkPeer, LmLinkStatus
    from ._values.local_file import LocalFileInput
    from ._values.log_events import DiagnosticsLogEvent, DiagnosticsLogEventData
    from ._values.messages import (
        AnyAssistantResponseInput, AnyChatMessage, AnyChatMessageDict, AnyChatMessageInput,
        AnyUserMessageInput, AssistantResponse, AssistantResponseContent, AssistantResponseDict,
        AssistantResponseInput, ChatHistoryData, ChatHistoryDataDict, ChatMessageInput, FileHandle,
        FileHandleDict, FileHandleInput, FileType, SystemPrompt, SystemPromptContent,
        SystemPromptDict, SystemPromptInput, TextData, TextDataDict, ToolCallRequest,
        ToolCallRequestData, ToolCallRequestDataDict, ToolCallRequestDict, ToolCallRequestInput,
        ToolCallResultData, ToolCallResultDataDict, ToolCallResultInput, ToolResultMessage,
        ToolResultMessageDict, UserMessage, UserMessageContent, UserMessageDict, UserMessageInput,
    )
    from ._values.model_info import (
        AnyModelSpecifier, EmbeddingModelInfo, EmbeddingModelInstanceInfo, EstimatedMemoryUsage,
        EstimatedResourcesUsage, LlmInfo, LlmInstanceInfo, ModelInfo, ModelInstanceInfo,
        ModelLoadResult, ModelProcessingState, ModelQuantization, ModelQuery, ModelQueryDict,
        ModelSpecifier, ModelSpecifierDict, ModelSpecifierInstanceReference, ModelSpecifierQuery,
        UnknownModelInfo,
    )
    from ._values.model_search import (
        DownloadProgressUpdate, ModelSearchResultDownloadOptionData, ModelSearchResultEntryData,
        ModelSearchResultIdentifier, ModelSearchResultIdentifierCatalog,
        ModelSearchResultIdentifierHf, UnknownModelSearchResultIdentifier,
    )
    from ._values.results import (
        ActResult, LlmPredictionFragment, LlmPredictionStats, PredictionResult,
        PredictionRoundResult, PromptProcessingDetails,
    )
    from ._values.server_info import ServerInfo, ServerVersion
    from .errors import (
        LMStudioCancelledError, LMStudioChannelClosedError, LMStudioClientError,
        LMStudioConnectionLostError, LMStudioError, LMStudioModelNotFoundError,
        LMStudioOptionWarning, LMStudioOSError, LMStudioPredictionError,
        LMStudioPresetNotFoundError, LMStudioProtocolError, LMStudioRuntimeError,
        LMStudioServerError, LMStudioTimeoutError, LMStudioUnknownMessageWarning,
        LMStudioValueError, LMStudioWebsocketError, SerializedLMSExtendedError,
    )

__all__ = [
    "LLM", "ActMessageCallback", "ActResult", "AnyAssistantResponseInput",
    "AnyAsyncDownloadedModel", "AnyChatMessage", "AnyChatMessageDict", "AnyChatMessageInput",
    "AnyDownloadedModel", "AnyLMStudioStruct", "AnyLoadConfig", "AnyModelSpecifier",
    "AnyUserMessageInput", "AssistantResponse", "AssistantResponseContent", "AssistantResponseDict",
    "AssistantResponseInput", "AsyncAvailableModel", "AsyncBatch", "AsyncClient",
    "AsyncDiagnosticsNamespace", "AsyncDownloadedEmbeddingModel", "AsyncDownloadedLlm",
    "AsyncEmbeddingModel", "AsyncEmbeddingNamespace", "AsyncFilesNamespace", "AsyncLLM",
    "AsyncLlmNamespace", "AsyncLmLinkNamespace", "AsyncLogStream", "AsyncModelDownloadOption",
    "AsyncModelHandle", "AsyncPluginTools", "AsyncPluginsNamespace", "AsyncPredictionStream",
    "AsyncRepositoryNamespace", "AsyncSystemNamespace", "AvailableModel", "BackgroundCall",
    "BaseModel", "Batch", "BatchJournal", "BatchNumbers", "BatchOptions", "BatchOutcome",
    "BatchProgress", "CallLimits", "CancelAnswer", "CancelEvent", "CancelToken", "Chat",
    "ChatHistoryData", "ChatHistoryDataDict", "ChatMessageInput", "Client", "ConnectionWatch",
    "DeviceIdentifier", "DiagnosticsLogEvent", "DiagnosticsLogEventData", "DiagnosticsNamespace",
    "DictObject", "DictSchema", "Dispatch", "DocumentParser", "DownloadFinalizedCallback",
    "DownloadProgressCallback", "DownloadProgressUpdate", "DownloadedEmbeddingModel",
    "DownloadedLlm", "EmbeddingLoadModelConfig", "EmbeddingLoadModelConfigDict", "EmbeddingModel",
    "EmbeddingModelInfo", "EmbeddingModelInstanceInfo", "EmbeddingNamespace",
    "EstimatedMemoryUsage", "EstimatedResourcesUsage", "EventLike", "FileHandle", "FileHandleDict",
    "FileHandleInput", "FileType", "FilesNamespace", "GpuSetting", "GpuSettingDict",
    "GuardToolCallCallback", "GuardToolCallController", "InvalidToolRequestHandler",
    "LMStudioCancelledError", "LMStudioChannelClosedError", "LMStudioClientError",
    "LMStudioConnectionLostError", "LMStudioError", "LMStudioModelNotFoundError", "LMStudioOSError",
    "LMStudioOptionWarning", "LMStudioPredictionError", "LMStudioPresetNotFoundError",
    "LMStudioProtocolError", "LMStudioRuntimeError", "LMStudioServerError", "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning", "LMStudioValueError", "LMStudioWebsocketError", "LlmInfo",
    "LlmInstanceInfo", "LlmLoadModelConfig", "LlmLoadModelConfigDict", "LlmNamespace",
    "LlmPredictionConfig", "LlmPredictionConfigDict", "LlmPredictionFragment", "LlmPredictionStats",
    "LlmReasoningParsing", "LlmReasoningParsingDict", "LlmStructuredPredictionSetting",
    "LlmStructuredPredictionSettingDict", "LmLinkLastError", "LmLinkNamespace", "LmLinkPeer",
    "LmLinkStatus", "LocalFileInput", "LogStream", "ModelDownloadOption", "ModelEvictedCallback",
    "ModelInfo", "ModelInstanceInfo", "ModelKind", "ModelLoadResult", "ModelLoadingCallback",
    "ModelProcessingState", "ModelQuantization", "ModelQuery", "ModelQueryDict",
    "ModelResolvedCallback", "ModelSchema", "ModelSearchResultDownloadOptionData",
    "ModelSearchResultEntryData", "ModelSearchResultIdentifier",
    "ModelSearchResultIdentifierCatalog", "ModelSearchResultIdentifierHf", "ModelSpecifier",
    "ModelSpecifierDict", "ModelSpecifierInstanceReference", "ModelSpecifierQuery",
    "ParsedDocument", "ParsingCallback", "PluginTool", "PluginTools", "PluginsNamespace",
    "PredictionFirstTokenCallback", "PredictionFragmentCallback", "PredictionMessageCallback",
    "PredictionResult", "PredictionRoundResult", "PredictionStream", "PromptDetailsCallback",
    "PromptProcessingCallback", "PromptProcessingDetails", "QtDispatcher", "RawFunctionTool",
    "RepositoryNamespace", "ResponseSchema", "RetrievalCallback", "RetrievalEntry",
    "RetrievalProgress", "RetrievalResult", "SerializedLMSExtendedError", "ServerInfo",
    "ServerVersion", "SyncModelHandle", "SystemNamespace", "SystemPrompt", "SystemPromptContent",
    "SystemPromptDict", "SystemPromptInput", "TextData", "TextDataDict", "TimeLimit",
    "TkDispatcher", "ToolCallContext", "ToolCallReportCallback", "ToolCallRequest",
    "ToolCallRequestArgumentFragmentCallback", "ToolCallRequestData", "ToolCallRequestDataDict",
    "ToolCallRequestDict", "ToolCallRequestEndCallback", "ToolCallRequestFailureCallback",
    "ToolCallRequestInput", "ToolCallRequestNameCallback", "ToolCallRequestStartCallback",
    "ToolCallResultCallback", "ToolCallResultData", "ToolCallResultDataDict", "ToolCallResultInput",
    "ToolDefinition", "ToolFunctionDef", "ToolFunctionDefDict", "ToolReportCallback",
    "ToolResultMessage", "ToolResultMessageDict", "UnknownModelInfo",
    "UnknownModelSearchResultIdentifier", "UploadProgressCallback", "UserMessage",
    "UserMessageContent", "UserMessageDict", "UserMessageInput", "ValidationError",
    "close_default_client", "configure_default_client", "dask_cancel_token", "data_url",
    "embedding_model", "get_default_client", "get_sync_api_timeout", "list_downloaded_models",
    "list_loaded_models", "llm", "prepare_image", "respond_many", "respond_many_on_dask",
    "run_in_background", "set_sync_api_timeout", "start_local",
]
# isort: on
# fmt: on

# By public name, in which file it is defined; read from there when the first name is used.
_HOME: dict[str, str] = {}
# Modules of the official package, which only hand these names on.
_OFFICIAL_PATHS = frozenset(
    ["_sdk_models", "async_api", "history", "json_api", "schemas", "sdk_api", "sync_api"]
)

# The official package has the same name. If its files lie among ours, who imports them is told.
if os.path.isfile(os.path.join(__path__[0], "_sdk_models", "__init__.py")):
    importlib.import_module("._other_package", __name__).guard()


@atexit.register  # here, since exit hooks that come later, of the importer's, run before this one
def _end_program() -> None:
    """Have the modules that need it do what they do as the program ends."""
    if (program_end := sys.modules.get(f"{__name__}._api.program_end")) is not None:
        program_end.run()


def _name_all_modules() -> None:
    """Say to what packs programs (Nuitka, cx_Freeze, PyInstaller) which files belong to them.

    It is never called: they look for imports, and the names below are imported without one. What
    is not here is imported by one of these.
    """
    from . import (  # noqa: F401
        _other_package,
        _sdk_models,
        async_api,
        history,
        json_api,
        schemas,
        sdk_api,
        sync_api,
    )
    from ._api import public_names  # noqa: F401
    from ._asyncio import client  # noqa: F401
    from ._client import run_in_background  # noqa: F401
    from ._clusters import respond  # noqa: F401
    from ._config import load_dicts, prediction_dicts  # noqa: F401
    from ._connection import start_local  # noqa: F401
    from ._handles import many  # noqa: F401
    from ._values import data_url  # noqa: F401


def __dir__() -> list[str]:
    """List the public names, also those that were not used yet, and public modules that were."""
    own = [name for name in globals() if name.startswith("__")]
    if _is_for_help(sys._getframe(1)):
        return own  # the docstring has the overview; all of all classes would be 17,000 lines
    modules = [name for name in globals() if f"{__name__}.{name}" in sys.modules and name[0] != "_"]
    return sorted({*__all__, *own, *modules})


def _is_for_help(frame: types.FrameType | None) -> bool:
    """Return whether it is `help()` that asks for the names, a few frames above."""
    for _ in range(4):
        if frame is None:
            break
        if frame.f_globals.get("__name__") == "pydoc":
            return isinstance(frame.f_locals.get("self"), frame.f_globals["TextDoc"])
        frame = frame.f_back
    return False


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name):
        """Import a public name, once."""
        if name in _OFFICIAL_PATHS:  # `lmstudio.history.Chat` needs no import of its own
            return importlib.import_module(f".{name}", __name__)
        if not _HOME:
            _HOME.update(importlib.import_module("._api.public_names", __name__).HOME)
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value
