"""What a client may send, as data: the messages, and the parameters of every endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import json_checks as c

STRING = c.text()
NAME = c.name(1, 1024)
WHOLE = c.number(whole=True)
FILE_TYPE = c.literal(
    "image", "text/plain", "application/pdf", "application/word", "text/other", "unknown"
)
FORMAT = c.literal(
    "gguf", "safetensors", "onnx", "ggml", "pte", "mlx_placeholder", "torch_safetensors", "yuzu"
)
DEVICE = c.optional(c.nullable(STRING))
UNDEFINED = c.absent("undefined")
VOID = c.absent("void")
OPTIONAL_STRING = c.optional(STRING)
OPTIONAL_BOOL = c.optional(c.boolean)

QUERY = c.obj(
    domain=c.optional(c.literal("llm", "embedding", "drafter", "imageGen", "transcription", "tts")),
    deviceIdentifier=DEVICE,
    identifier=c.optional(NAME),
    path=c.optional(NAME),
    vision=OPTIONAL_BOOL,
)
SPECIFIER = c.tagged(
    "type",
    {"query": c.obj(query=QUERY), "instanceReference": c.obj(instanceReference=STRING)},
)
KV_CONFIG = c.obj(fields=c.array(c.obj(key=STRING, value=c.anything)))
LAYER_NAME = c.literal(
    "currentlyEditing",
    "currentlyLoaded",
    "apiOverride",
    "conversationSpecific",
    "conversationGlobal",
    "preset",
    "serverSession",
    "httpServerRequestOverride",
    "completeModeFormatting",
    "instance",
    "userModelDefault",
    "virtualModel",
    "modelDefault",
    "hardware",
)
KV_STACK = c.obj(layers=c.array(c.obj(layerName=LAYER_NAME, config=KV_CONFIG)))
TOOL_PARAMETERS = c.obj(
    properties=c.record,
    required=c.optional(c.array(STRING)),
    **{"$defs": c.optional(c.record)},
)
TOOL_FUNCTION = c.obj(
    name=STRING,
    description=OPTIONAL_STRING,
    parameters=c.optional(c.tagged("type", {"object": TOOL_PARAMETERS})),
)
TOOL = c.tagged("type", {"function": c.obj(function=TOOL_FUNCTION)})
TEXT_PART = c.obj(text=STRING)
FILE_PART = c.obj(name=STRING, identifier=STRING, sizeBytes=WHOLE, fileType=FILE_TYPE)
REQUEST = c.obj(id=OPTIONAL_STRING, arguments=c.optional(c.record), name=STRING)
CALL_PART = c.obj(toolCallRequest=c.tagged("type", {"function": REQUEST}))
RESULT_PART = c.obj(
    type=c.literal("toolCallResult"),
    content=STRING,
    toolCallId=OPTIONAL_STRING,
    name=OPTIONAL_STRING,
)
SAID = c.obj(content=c.array(c.tagged("type", {"text": TEXT_PART, "file": FILE_PART})))
ANSWERED = c.obj(
    content=c.array(
        c.tagged("type", {"text": TEXT_PART, "file": FILE_PART, "toolCallRequest": CALL_PART})
    )
)
HISTORY = c.obj(
    messages=c.array(
        c.tagged(
            "role",
            {
                "assistant": ANSWERED,
                "user": SAID,
                "system": SAID,
                "tool": c.obj(content=c.array(RESULT_PART)),
            },
        )
    )
)
SEARCH = c.obj(
    searchTerm=OPTIONAL_STRING,
    limit=c.optional(c.number(whole=True, above=0, maximum=25)),
    compatibilityTypes=c.optional(c.array(FORMAT)),
)
CANCEL = c.tagged("type", {"cancel": c.obj()})
STOP = c.tagged("type", {"stop": c.obj()})
PLUGIN_CONFIG = c.tagged(
    "type",
    {
        "direct": c.obj(config=KV_CONFIG, workingDirectoryPath=OPTIONAL_STRING),
        "predictionProcess": c.obj(pci=STRING, token=STRING),
    },
)
TOOL_SESSION = c.tagged(
    "type",
    {
        "callTool": c.obj(callId=c.number(), name=STRING, arguments=c.anything),
        "abortToolCall": c.obj(callId=c.number()),
        "discardSession": c.obj(),
    },
)

_MODEL_RPCS = {
    "unloadModel": c.obj(identifier=STRING, deviceIdentifier=DEVICE),
    "listLoaded": UNDEFINED,
    "getModelInfo": c.obj(specifier=SPECIFIER, throwIfNotFound=c.boolean),
    "getLoadConfig": c.obj(specifier=SPECIFIER),
    "getBasePredictionConfig": c.obj(specifier=SPECIFIER, ignoreServerSessionConfig=OPTIONAL_BOOL),
    "getInstanceProcessingState": c.obj(specifier=SPECIFIER, throwIfNotFound=c.boolean),
    "estimateModelUsage": c.obj(modelKey=STRING, loadConfigStack=KV_STACK, deviceIdentifier=DEVICE),
    "tokenize": c.obj(specifier=SPECIFIER, inputString=STRING),
    "countTokens": c.obj(specifier=SPECIFIER, inputString=STRING),
}
_TTL = c.optional(c.number(whole=True, minimum=1))
_MODEL_CHANNELS = {
    "loadModel": (
        c.obj(
            modelKey=STRING,
            identifier=OPTIONAL_STRING,
            deviceIdentifier=DEVICE,
            ttlMs=_TTL,
            loadConfigStack=KV_STACK,
        ),
        CANCEL,
    ),
    "getOrLoad": (
        c.obj(identifier=STRING, deviceIdentifier=DEVICE, loadTtlMs=_TTL, loadConfigStack=KV_STACK),
        CANCEL,
    ),
}

RPCS: dict[str, dict[str, c.Shape]] = {
    "llm": {
        **_MODEL_RPCS,
        "applyPromptTemplate": c.obj(
            specifier=SPECIFIER,
            history=HISTORY,
            predictionConfigStack=KV_STACK,
            opts=c.obj(
                omitBosToken=OPTIONAL_BOOL,
                omitEosToken=OPTIONAL_BOOL,
                toolDefinitions=c.optional(c.array(TOOL)),
            ),
        ),
        "preloadDraftModel": c.obj(specifier=SPECIFIER, draftModelKey=STRING),
    },
    "embedding": {
        **_MODEL_RPCS,
        "embedString": c.obj(modelSpecifier=SPECIFIER, inputString=STRING),
    },
    "system": {
        "listDownloadedModels": VOID,
        "listDownloadedModelVariants": c.obj(modelKey=STRING),
        "notify": c.obj(title=STRING, description=OPTIONAL_STRING, noAutoDismiss=OPTIONAL_BOOL),
        "version": VOID,
        "setExperimentFlag": c.obj(code=STRING, value=c.boolean),
        "getExperimentFlags": VOID,
        "startHttpServer": c.obj(
            port=c.optional(c.number(whole=True, minimum=1, maximum=65535)),
            cors=OPTIONAL_BOOL,
            networkInterface=OPTIONAL_STRING,
        ),
        "stopHttpServer": VOID,
        "info": VOID,
        "requestShutdown": VOID,
    },
    "diagnostics": {},
    "files": {
        "getLocalFileAbsolutePath": c.obj(fileName=STRING),
        "uploadFileBase64": c.obj(name=STRING, contentBase64=STRING),
        "getDocumentParsingLibrary": c.obj(fileIdentifier=STRING),
    },
    "repository": {
        "searchModels": c.obj(opts=SEARCH),
        "getModelDownloadOptions": c.obj(
            modelSearchResultIdentifier=c.tagged(
                "type", {"catalog": c.obj(identifier=STRING), "hf": c.obj(identifier=STRING)}
            )
        ),
        "lmLinkStatus": VOID,
        "lmLinkSetPreferredDevice": c.obj(deviceIdentifier=STRING),
    },
    "plugins": {},
}

CHANNELS: dict[str, dict[str, tuple[c.Shape, c.Shape]]] = {
    "llm": {
        **_MODEL_CHANNELS,
        "predict": (
            c.obj(
                modelSpecifier=SPECIFIER,
                history=HISTORY,
                predictionConfigStack=KV_STACK,
                fuzzyPresetIdentifier=OPTIONAL_STRING,
                ignoreServerSessionConfig=OPTIONAL_BOOL,
            ),
            CANCEL,
        ),
        "completeRawText": (
            c.obj(
                modelSpecifier=SPECIFIER,
                rawPrompt=STRING,
                predictionConfigStack=KV_STACK,
                fuzzyPresetIdentifier=OPTIONAL_STRING,
                ignoreServerSessionConfig=OPTIONAL_BOOL,
            ),
            CANCEL,
        ),
    },
    "embedding": _MODEL_CHANNELS,
    "system": {"alive": (VOID, VOID)},
    "diagnostics": {"streamLogs": (VOID, STOP)},
    "files": {
        "retrieve": (
            c.obj(query=STRING, fileIdentifiers=c.array(STRING), config=KV_CONFIG),
            STOP,
        ),
        "parseDocument": (
            c.obj(
                fileIdentifier=STRING,
                parseOpts=c.obj(parserId=c.optional(c.obj(library=STRING, version=STRING))),
            ),
            CANCEL,
        ),
    },
    "repository": {"downloadModel": (c.obj(downloadIdentifier=STRING), CANCEL)},
    "plugins": {
        "startToolUseSession": (
            c.obj(pluginIdentifier=STRING, pluginConfigSpecifier=PLUGIN_CONFIG),
            TOOL_SESSION,
        )
    },
}

# Endpoints that LM Studio has and this server does not serve: they draw their own warning.
UNHANDLED_RPCS: dict[str, frozenset[str]] = {
    "repository": frozenset(
        {
            "installPluginDependencies",
            "getLocalArtifactFiles",
            "getWritableArtifactOwners",
            "isAuthenticated",
            "getAuthenticationStatus",
            "deauthenticate",
            "loginAsComputeDevice",
            "loginWithPreAuthenticatedKeys",
            "installLocalPlugin",
            "getModelCatalog",
            "fuzzyFindStaffPicks",
            "lmLinkSetDisabled",
            "lmLinkUpdateDeviceName",
        }
    ),
    "plugins": frozenset(
        {
            "reindexPlugins",
            "processingHandleUpdate",
            "processingHandleRequest",
            "processingPullHistory",
            "processingGetOrLoadTokenSource",
            "processingHasStatus",
            "processingNeedsNaming",
            "processingSuggestName",
            "processingSetSenderName",
            "setConfigSchematics",
            "setGlobalConfigSchematics",
            "pluginInitCompleted",
            "reportError",
        }
    ),
}
UNHANDLED_CHANNELS: dict[str, frozenset[str]] = {
    "repository": frozenset(
        {"downloadArtifact", "pushArtifact", "ensureAuthenticated", "createDownloadPlan"}
    ),
    "plugins": frozenset(
        {
            "generateWithGenerator",
            "registerDevelopmentPlugin",
            "setPromptPreprocessor",
            "setPredictionLoopHandler",
            "setToolsProvider",
            "setGenerator",
        }
    ),
}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _may_be(good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is c.MISSING or good(value)


def _are_tags(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_Fields = dict[str, Callable[[Any], bool]]
_SUBSCRIBE: _Fields = {"endpoint": _is_text, "subscribeId": _is_whole}
_UNSUBSCRIBE: _Fields = {"subscribeId": _is_whole}


# The types of message, and the fields without which one is ignored.
MESSAGES: dict[str, _Fields] = {
    "keepAlive": {},
    "communicationWarning": {"warning": _is_text, "kind": _may_be(_is_text)},
    "rpcCall": {"endpoint": _is_text, "callId": _is_whole},
    "channelCreate": {"endpoint": _is_text, "channelId": _is_whole},
    "channelSend": {"channelId": _is_whole, "ackId": _may_be(_is_whole)},
    "channelAck": {"channelId": _is_whole, "ackId": _is_whole},
    "signalSubscribe": _SUBSCRIBE,
    "signalUnsubscribe": _UNSUBSCRIBE,
    "writableSignalSubscribe": _SUBSCRIBE,
    "writableSignalUnsubscribe": _UNSUBSCRIBE,
    "writableSignalUpdate": {
        "subscribeId": _is_whole,
        "patches": lambda value: isinstance(value, list),
        "tags": _are_tags,
    },
}
