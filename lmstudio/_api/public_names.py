"""The public names, and in which file each of them is defined."""

# Where each name is defined. It is imported when it is used first, and so is this file: `import
# lmstudio` takes a millisecond, so that a program starts at once that may never need a model.
LISTED = {
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
        "_config.gpu_setting": "GpuSetting",
        "_config.prediction_options": "LlmPredictionConfig LlmStructuredPredictionSetting",
        "_config.llm_load_options": "LlmLoadModelConfig",
        "_config.embedding_load_options": "AnyLoadConfig EmbeddingLoadModelConfig",
        "_config.prediction_dicts": "LlmPredictionConfigDict",
        "_config.load_dicts": "EmbeddingLoadModelConfigDict LlmLoadModelConfigDict",
        "_config.to_wire": "ResponseSchema",
        "_connection.limits": "get_sync_api_timeout set_sync_api_timeout",
        "_connection.start_local": "start_local",
        "_values.chat": "Chat",
        "_values.documents": """
            DocumentParser ParsedDocument RetrievalEntry RetrievalProgress RetrievalResult
        """,
        "_values.lm_link": "LmLinkLastError LmLinkPeer LmLinkStatus",
        "_values.log_events": "DiagnosticsLogEvent DiagnosticsLogEventData",
        "_values.local_file": "LocalFileInput",
        "_values.messages": """
            AnyChatMessage AnyChatMessageDict AssistantResponse AssistantResponseContent
            ChatHistoryData ChatHistoryDataDict FileHandle FileHandleDict FileHandleInput
            FileType SystemPrompt SystemPromptContent TextData TextDataDict ToolCallRequest
            ToolCallResultData ToolResultMessage UserMessage UserMessageContent UserMessageDict
        """,
        "_values.model_info": """
            AnyModelSpecifier DownloadProgressUpdate EmbeddingModelInfo
            EmbeddingModelInstanceInfo EstimatedMemoryUsage EstimatedResourcesUsage LlmInfo
            LlmInstanceInfo ModelInfo ModelInstanceInfo ModelLoadResult ModelProcessingState
            ModelQuery ModelQueryDict ModelSpecifier ModelSpecifierDict
        """,
        "_values.results": """
            ActResult LlmPredictionFragment LlmPredictionStats PredictionResult
            PredictionRoundResult PromptProcessingDetails
        """,
        "_values.server_info": "ServerInfo ServerVersion",
        "_requests.repository": "DownloadFinalizedCallback DownloadProgressCallback",
        "_background.toolkits": "QtDispatcher TkDispatcher",
        "_background.future": "BackgroundCall",
        "_background.connection_watch": "ConnectionWatch",
        "_prediction.callbacks": """
            PredictionFirstTokenCallback PredictionFragmentCallback PredictionMessageCallback
            PromptProcessingCallback
        """,
        "_prediction.stream": "PredictionStream",
        "_batch.batch": "Batch",
        "_batch.journal": "BatchJournal",
        "_batch.numbers": "BatchNumbers",
        "_batch.outcome": "BatchOutcome",
        "_agent.tool_context": "GuardToolCallController ToolCallContext",
        "_agent.plugin_tool": "PluginTool",
        "_agent.tools": "RawFunctionTool ToolDefinition ToolFunctionDef ToolFunctionDefDict",
        "_asyncio.stream": "AsyncPredictionStream",
        "_asyncio.batch": "AsyncBatch",
        "_asyncio.handle": "AsyncModelHandle",
        "_asyncio.log_stream": "AsyncLogStream",
        "_asyncio.plugin_tools": "AsyncPluginTools",
        "_asyncio.embedding_model": "AsyncEmbeddingModel",
        "_asyncio.llm": "AsyncLLM",
        "_asyncio.downloaded": """
            AnyAsyncDownloadedModel AsyncDownloadedEmbeddingModel AsyncDownloadedLlm
        """,
        "_asyncio.client": "AsyncClient",
        "_handles.downloaded": "AnyDownloadedModel DownloadedEmbeddingModel DownloadedLlm",
        "_handles.embedding_model": "EmbeddingModel",
        "_handles.handle": "SyncModelHandle",
        "_handles.log_stream": "LogStream",
        "_handles.plugin_tools": "PluginTools",
        "_handles.llm": "LLM",
        "_handles.many": "respond_many",
        "_client.client": "Client",
        "_client.default_client": """
            close_default_client configure_default_client embedding_model get_default_client
            list_downloaded_models list_loaded_models llm prepare_image
        """,
        "_client.run_in_background": "run_in_background",
        "_clusters.respond": "respond_many_on_dask",
        "_clusters.task_token": "dask_cancel_token",
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
        "_config.prediction_dicts": "LlmStructuredPredictionSettingDict",
        "_config.load_dicts": "GpuSettingDict",
        "_handles.downloaded": "DEFAULT_TTL DownloadedModel",
        "_handles.repository": "AvailableModel ModelDownloadOption",
        "_json.converter": "LMStudioStruct",
        "_prediction.callbacks": "PromptDetailsCallback",
        "_requests.loading": "ModelEvictedCallback ModelLoadingCallback ModelResolvedCallback",
        "_requests.documents": "ParsingCallback RetrievalCallback",
        "_requests.plugins": "ToolReportCallback",
        "_requests.uploads": "UploadProgressCallback",
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
HOME = {
    name: home for homes in (LISTED, _UNLISTED) for home, names in homes.items() for name in names
}
