"""Messages to a server, good and bad: each parameter of each endpoint, and what may be wrong."""

import copy
import json

REQUEST = {"id": "1", "type": "function", "name": "add", "arguments": {"a": 1}}
FILE = {"type": "file", "name": "n", "identifier": "i", "sizeBytes": 3, "fileType": "image"}
RESULT = {"type": "toolCallResult", "content": "c", "toolCallId": "1", "name": "add"}
HISTORY = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, FILE]},
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "toolCallRequest", "toolCallRequest": REQUEST},
            ],
        },
        {"role": "tool", "content": [RESULT]},
    ]
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "$defs": {}}
TOOL = {"type": "function", "function": {"name": "add", "description": "d", "parameters": SCHEMA}}
FIELD = {"key": "llm.prediction.temperature", "value": 0.5}
STACK = {"layers": [{"layerName": "apiOverride", "config": {"fields": [FIELD]}}]}
QUERY = {"domain": "llm", "identifier": "m", "path": "a/b", "vision": False}
BY_QUERY = {"type": "query", "query": {**QUERY, "deviceIdentifier": None}}
BY_REFERENCE = {"type": "instanceReference", "instanceReference": "x"}
LOAD = {"identifier": "i", "deviceIdentifier": None, "loadConfigStack": STACK}
PREDICT = {
    "modelSpecifier": BY_QUERY,
    "predictionConfigStack": STACK,
    "fuzzyPresetIdentifier": "p",
    "ignoreServerSessionConfig": True,
}
NONE = object()
MODELS = [
    ("rpc", "listLoaded", NONE),
    ("rpc", "getModelInfo", {"specifier": BY_QUERY, "throwIfNotFound": True}),
    ("rpc", "getLoadConfig", {"specifier": BY_REFERENCE}),
    ("rpc", "getBasePredictionConfig", {"specifier": BY_QUERY, "ignoreServerSessionConfig": True}),
    ("rpc", "getInstanceProcessingState", {"specifier": BY_QUERY, "throwIfNotFound": False}),
    ("rpc", "estimateModelUsage", {"modelKey": "k", "loadConfigStack": STACK}),
    ("rpc", "tokenize", {"specifier": BY_QUERY, "inputString": "a"}),
    ("rpc", "countTokens", {"specifier": BY_QUERY, "inputString": "a"}),
    ("rpc", "unloadModel", {"identifier": "x", "deviceIdentifier": None}),
    ("channel", "loadModel", {**LOAD, "modelKey": "k", "ttlMs": 5}),
    ("channel", "getOrLoad", {**LOAD, "loadTtlMs": 1000}),
]
OPTIONS = {"omitBosToken": True, "omitEosToken": False, "toolDefinitions": [TOOL]}
TEMPLATE = {"specifier": BY_QUERY, "predictionConfigStack": STACK, "opts": OPTIONS}
RETRIEVE = {"query": "q", "fileIdentifiers": ["x"], "config": {"fields": [FIELD]}}
PARSE = {"parserId": {"library": "l", "version": "v"}}
SEARCH = {"searchTerm": "t", "limit": 5}
FOUND = {"type": "catalog", "identifier": "a/b"}
GOOD = {
    "llm": [
        *MODELS,
        ("rpc", "applyPromptTemplate", {**TEMPLATE, "history": HISTORY}),
        ("rpc", "preloadDraftModel", {"specifier": BY_QUERY, "draftModelKey": "k"}),
        ("channel", "predict", {**PREDICT, "history": HISTORY}),
        ("channel", "completeRawText", {**PREDICT, "rawPrompt": "x"}),
    ],
    "embedding": [
        *MODELS,
        ("rpc", "embedString", {"modelSpecifier": BY_QUERY, "inputString": "a"}),
    ],
    "system": [
        ("rpc", "listDownloadedModels", NONE),
        ("rpc", "listDownloadedModelVariants", {"modelKey": "k"}),
        ("rpc", "notify", {"title": "x", "description": "d", "noAutoDismiss": True}),
        ("rpc", "version", NONE),
        ("rpc", "setExperimentFlag", {"code": "c", "value": True}),
        ("rpc", "startHttpServer", {"port": 1234, "cors": True, "networkInterface": "x"}),
        ("channel", "alive", NONE),
    ],
    "files": [
        ("rpc", "uploadFileBase64", {"name": "a", "contentBase64": "aGk="}),
        ("rpc", "getLocalFileAbsolutePath", {"fileName": "x"}),
        ("rpc", "getDocumentParsingLibrary", {"fileIdentifier": "x"}),
        ("channel", "parseDocument", {"fileIdentifier": "x", "parseOpts": PARSE}),
        ("channel", "retrieve", RETRIEVE),
    ],
    "repository": [
        ("rpc", "searchModels", {"opts": SEARCH}),
        ("rpc", "getModelDownloadOptions", {"modelSearchResultIdentifier": FOUND}),
        ("rpc", "isAuthenticated", NONE),
        ("channel", "downloadModel", {"downloadIdentifier": "x"}),
        ("channel", "ensureAuthenticated", NONE),
    ],
}
OTHER = [
    {"type": "keepAlive"},
    {"type": "communicationWarning", "warning": "w", "kind": "k"},
    {"type": "channelSend", "channelId": 1, "message": {"type": "cancel"}, "ackId": 1},
    {"type": "channelSend", "channelId": 1, "message": "cancel"},
    {"type": "channelAck", "channelId": 1, "ackId": 2},
    {"type": "signalSubscribe", "endpoint": "e", "subscribeId": 1, "creationParameter": 1},
    {"type": "signalUnsubscribe", "subscribeId": 1},
    {"type": "writableSignalSubscribe", "endpoint": "e", "subscribeId": 1},
    {"type": "writableSignalUpdate", "subscribeId": 1, "patches": [1], "tags": ["a"]},
]
# The texts RAW... stand for a number that Python would write otherwise.
VALUES = [
    *(None, True, 0, -1, 1.5, "RAW1.0", "RAW1e3", 70_000, [], [1], {}, {"stack": "boo"}),
    *("", "a", "x y\nz", "__proto__", "a\u200bb", "a\u0000", "\ud83d", "ä\ud83d", "😀" * 600),
    *("a" * 1025, "llm", "image", "function", "plugin", "text", {"type": "query"}),
]


def conversation(random):
    """A namespace and the frames that a client sends on one connection."""
    namespace = random.choice(["llm", "llm", *GOOD])
    frames = []
    for _ in range(random.choice([1, 1, 2, 3])):
        message = _message(random, namespace)
        if random.random() < 0.85:
            _spoil(random, message)
        frames.append(json.dumps(message).replace('"RAW1.0"', "1.0").replace('"RAW1e3"', "1e3"))
    return {"namespace": namespace, "frames": frames}


def _message(random, namespace):
    if random.random() < 0.15:
        return copy.deepcopy(random.choice(OTHER))
    kind, endpoint, parameter = copy.deepcopy(random.choice(GOOD[namespace]))
    number = random.choice([1, 1, 2])
    message = {"type": "rpcCall", "endpoint": endpoint, "callId": number}
    if kind == "channel":
        message = {"type": "channelCreate", "endpoint": endpoint, "channelId": number}
    if random.random() < 0.05:
        message["endpoint"] = random.choice(["wat", "predict", "isAuthenticated", "__proto__"])
    if isinstance(parameter, dict):
        message["parameter" if kind == "rpc" else "creationParameter"] = parameter
    elif random.random() < 0.3:
        message["parameter"] = message["creationParameter"] = random.choice([None, {}, "a"])
    return message


def _spoil(random, message):
    places = list(_places(message))
    for _ in range(random.choice([1, 1, 2])):
        holder, key = random.choice(places)
        if isinstance(holder, dict) and random.random() < 0.25:
            holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = copy.deepcopy(random.choice(VALUES))


def _places(value):
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
