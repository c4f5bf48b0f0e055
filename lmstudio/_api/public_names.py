"""The public names, and in which file each of them is defined."""

# Where each name is defined. It is imported when it is used first, and so is this file: `import
# lmstudio` takes a millisecond, so that a program starts at once that may never need a model.
LISTED = {
    home: names.split()
    for home, names in {
        "_agent.plugin_tool": "PluginTool",
        "_agent.rules": """
            ActMessageCallback GuardToolCallCallback InvalidToolRequestHandler
            ToolCallReportCallback ToolCallResultCallback
        """,
        "_agent.tool_context": "GuardToolCallController ToolCallContext",
        "_agent.tools": "RawFunctionTool ToolDefinition ToolFunctionDef ToolFunctionDefDict",
        "_asyncio.batch": "AsyncBatch",
        "_asyncio.client": "AsyncClient",
        "_asyncio.diagnostics": "AsyncDiagnosticsNamespace",
        "_asyncio.downloaded": """
            AnyAsyncDownloadedModel AsyncDownloadedEmbeddingModel AsyncDownloadedLlm
        """,
        "_asyncio.embedding_model": "AsyncEmbeddingModel",
        "_asyncio.files": "AsyncFilesNamespace",
        "_asyncio.handle": "AsyncModelHandle",
        "_asyncio.llm": "AsyncLLM",
        "_asyncio.lm_link": "AsyncLmLinkNamespace",
        "_asyncio.log_stream": "AsyncLogStream",
        "_asyncio.namespaces": "AsyncEmbeddingNamespace AsyncLlmNamespace",
        "_asyncio.plugin_tools": "AsyncPluginTools",
        "_asyncio.plugins": "AsyncPluginsNamespace",
        "_asyncio.repository": """
            AsyncAvailableModel AsyncModelDownloadOption AsyncRepositoryNamespace
        """,
        "_asyncio.stream": "AsyncPredictionStream CancelAnswer",
        "_asyncio.system": "AsyncSystemNamespace",
        "_background.connection_watch": "ConnectionWatch",
        "_background.future": "BackgroundCall",
        "_background.toolkits": "QtDispatcher TkDispatcher",
        "_batch.batch": "Batch",
        "_batch.journal": "BatchJournal",
        "_batch.numbers": "BatchNumbers",
        "_batch.options": "BatchOptions BatchProgress",
        "_batch.outcome": "BatchOutcome",
        "_client.client": "Client",
        "_client.default_client": """
            close_default_client configure_default_client embedding_model get_default_client
            list_downloaded_models list_loaded_models llm prepare_image
        """,
        "_client.run_in_background": "run_in_background",
        "_clusters.respond": "respond_many_on_dask",
        "_clusters.task_token": "dask_cancel_token",
        "_concurrency.callback_gate": "Dispatch",
        "_concurrency.cancel_token": "CancelEvent CancelToken",
        "_concurrency.watched": "EventLike",
        "_config.embedding_load_options": "AnyLoadConfig EmbeddingLoadModelConfig",
        "_config.gpu_setting": "GpuSetting",
        "_config.llm_load_options": "LlmLoadModelConfig",
        "_config.load_dicts": "EmbeddingLoadModelConfigDict GpuSettingDict LlmLoadModelConfigDict",
        "_config.prediction_dicts": """
            LlmPredictionConfigDict LlmReasoningParsingDict LlmStructuredPredictionSettingDict
        """,
        "_config.prediction_options": """
            LlmPredictionConfig LlmReasoningParsing LlmStructuredPredictionSetting
        """,
        "_config.to_wire": "ModelKind ResponseSchema",
        "_connection.limits": "CallLimits TimeLimit get_sync_api_timeout set_sync_api_timeout",
        "_connection.start_local": "start_local",
        "_handles.diagnostics": "DiagnosticsNamespace",
        "_handles.downloaded": "AnyDownloadedModel DownloadedEmbeddingModel DownloadedLlm",
        "_handles.embedding_model": "EmbeddingModel",
        "_handles.files": "FilesNamespace",
        "_handles.handle": "SyncModelHandle",
        "_handles.llm": "LLM",
        "_handles.lm_link": "LmLinkNamespace",
        "_handles.log_stream": "LogStream",
        "_handles.many": "respond_many",
        "_handles.namespaces": "EmbeddingNamespace LlmNamespace",
        "_handles.plugin_tools": "PluginTools",
        "_handles.plugins": "PluginsNamespace",
        "_handles.repository": "AvailableModel ModelDownloadOption RepositoryNamespace",
        "_handles.system": "SystemNamespace",
        "_json.converter": "AnyLMStudioStruct DictObject",
        "_json.from_json": "ValidationError",
        "_json.json_schema": "BaseModel DictSchema ModelSchema",
        "_prediction.callbacks": """
            PredictionFirstTokenCallback PredictionFragmentCallback PredictionMessageCallback
            PromptDetailsCallback PromptProcessingCallback ToolCallRequestArgumentFragmentCallback
            ToolCallRequestEndCallback ToolCallRequestFailureCallback ToolCallRequestNameCallback
            ToolCallRequestStartCallback
        """,
        "_prediction.stream": "PredictionStream",
        "_requests.documents": "ParsingCallback RetrievalCallback",
        "_requests.loading": "ModelEvictedCallback ModelLoadingCallback ModelResolvedCallback",
        "_requests.plugins": "ToolReportCallback",
        "_requests.repository": "DownloadFinalizedCallback DownloadProgressCallback",
        "_requests.uploads": "UploadProgressCallback",
        "_values.chat": "Chat",
        "_values.data_url": "data_url",
        "_values.devices": "DeviceIdentifier",
        "_values.documents": """
            DocumentParser ParsedDocument RetrievalEntry RetrievalProgress RetrievalResult
        """,
        "_values.lm_link": "LmLinkLastError LmLinkPeer LmLinkStatus",
        "_values.local_file": "LocalFileInput",
        "_values.log_events": "DiagnosticsLogEvent DiagnosticsLogEventData",
        "_values.messages": """
            AnyAssistantResponseInput AnyChatMessage AnyChatMessageDict AnyChatMessageInput
            AnyUserMessageInput AssistantResponse AssistantResponseContent AssistantResponseDict
            AssistantResponseInput ChatHistoryData ChatHistoryDataDict ChatMessageInput FileHandle
            FileHandleDict FileHandleInput FileType SystemPrompt SystemPromptContent
            SystemPromptDict SystemPromptInput TextData TextDataDict ToolCallRequest
            ToolCallRequestData ToolCallRequestDataDict ToolCallRequestDict ToolCallRequestInput
            ToolCallResultData ToolCallResultDataDict ToolCallResultInput ToolResultMessage
            ToolResultMessageDict UserMessage UserMessageContent UserMessageDict UserMessageInput
        """,
        "_values.model_info": """
            AnyModelSpecifier EmbeddingModelInfo EmbeddingModelInstanceInfo EstimatedMemoryUsage
            EstimatedResourcesUsage LlmInfo LlmInstanceInfo ModelInfo ModelInstanceInfo
            ModelLoadResult ModelProcessingState ModelQuantization ModelQuery ModelQueryDict
            ModelSpecifier ModelSpecifierDict ModelSpecifierInstanceReference ModelSpecifierQuery
            UnknownModelInfo
        """,
        "_values.model_search": """
            DownloadProgressUpdate ModelSearchResultDownloadOptionData ModelSearchResultEntryData
            ModelSearchResultIdentifier ModelSearchResultIdentifierCatalog
            ModelSearchResultIdentifierHf UnknownModelSearchResultIdentifier
        """,
        "_values.results": """
            ActResult LlmPredictionFragment LlmPredictionStats PredictionResult
            PredictionRoundResult PromptProcessingDetails
        """,
        "_values.server_info": "ServerInfo ServerVersion",
        "errors": """
            LMStudioCancelledError LMStudioChannelClosedError LMStudioClientError
            LMStudioConnectionLostError LMStudioError LMStudioModelNotFoundError
            LMStudioOptionWarning LMStudioOSError LMStudioPredictionError
            LMStudioPresetNotFoundError LMStudioProtocolError LMStudioRuntimeError
            LMStudioServerError LMStudioTimeoutError LMStudioUnknownMessageWarning
            LMStudioValueError LMStudioWebsocketError SerializedLMSExtendedError
        """,
    }.items()
}
# What programs seldom name, but those that import from modules of the official package do.
_UNLISTED = {
    home: names.split()
    for home, names in {
        "_agent.tools": "ParamDefDict ToolParamDefDict",
        "_asyncio.downloaded": "AsyncDownloadedModel",
        "_handles.downloaded": "DEFAULT_TTL DownloadedModel",
        "_json.converter": "LMStudioStruct",
        "_values.results": "AnyPrediction LlmPredictionStopReason",
    }.items()
}
HOME = {
    name: home for homes in (LISTED, _UNLISTED) for home, names in homes.items() for name in names
}
