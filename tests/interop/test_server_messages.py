"""What the embedded server sends fits the published schemas of the protocol."""

import pytest
from interop import schemas
from interop.schemas import assert_fit
from server.raw_client import ABSENT, ANY, NO_CONFIG, NOBODY, RawClient, user

from lmstudio.testing import Model, Plugin, Server, Token, Tool, ToolCall
from lmstudio.testing._engines.models_on_disk import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(
    schemas.missing() is not None, reason=f"did not run: {schemas.missing()}"
)

MODEL_CALLS = {
    "listLoaded": [ABSENT],
    "getModelInfo": [
        {"specifier": ANY, "throwIfNotFound": True},
        {"specifier": NOBODY, "throwIfNotFound": True},
        {"specifier": NOBODY, "throwIfNotFound": False},
    ],
    "getLoadConfig": [{"specifier": ANY}, {"specifier": NOBODY}],
    "getBasePredictionConfig": [{"specifier": ANY}],
    "getInstanceProcessingState": [{"specifier": ANY, "throwIfNotFound": True}],
    "tokenize": [{"specifier": ANY, "inputString": "a b"}],
    "countTokens": [{"specifier": ANY, "inputString": "a b"}],
}
TEMPLATE = {
    "specifier": ANY,
    "history": {"messages": [user("hi")]},
    "predictionConfigStack": NO_CONFIG,
    "opts": {},
}
CALLS = {
    "llm": {
        **MODEL_CALLS,
        "applyPromptTemplate": [TEMPLATE],
        "preloadDraftModel": [
            {"specifier": ANY, "draftModelKey": "test-vlm"},
            {"specifier": ANY, "draftModelKey": "test-embedding"},
        ],
        "estimateModelUsage": [{"modelKey": "test-llm", "loadConfigStack": NO_CONFIG}],
        "unloadModel": [{"identifier": "nobody"}, {"identifier": "test-llm"}],
    },
    "embedding": {
        **MODEL_CALLS,
        "embedString": [{"modelSpecifier": ANY, "inputString": "a b"}],
        "estimateModelUsage": [{"modelKey": "test-embedding", "loadConfigStack": NO_CONFIG}],
        "unloadModel": [{"identifier": "test-embedding"}],
    },
    "system": {
        "listDownloadedModels": [ABSENT],
        "listDownloadedModelVariants": [{"modelKey": "test-vlm"}, {"modelKey": "nothing"}],
        "notify": [{"title": "Hello"}],
        "version": [ABSENT],
        "info": [ABSENT],
        "setExperimentFlag": [{"code": "flag", "value": True}],
        "getExperimentFlags": [ABSENT],
        "startHttpServer": [{"port": 1234}],
        "stopHttpServer": [ABSENT],
    },
    "repository": {
        "lmLinkSetPreferredDevice": [
            {"deviceIdentifier": "testing-device"},
            {"deviceIdentifier": "nowhere"},
        ],
        "lmLinkStatus": [ABSENT],
    },
}
SO_FAR = {
    "repository": (
        "searchModels",
        "getModelDownloadOptions",
        "downloadModel",
        "lmLinkStatus",
        "lmLinkSetPreferredDevice",
    ),
    "plugins": ("startToolUseSession",),
}
PLUGIN = Plugin(
    identifier="mcp/sums",
    tools=[
        Tool(name="add", description="Add.", warnings=["w"], status=["s"], result={"sum": 3}),
        Tool(name="fail", error="Out of paper"),
        Tool(name="slow", delay=600.0),
    ],
)
PREDICTION = {"modelSpecifier": ANY, "predictionConfigStack": NO_CONFIG}
CHAT = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    user("hi"),
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me add."},
            {
                "type": "toolCallRequest",
                "toolCallRequest": {"id": "1", "type": "function", "name": "add", "arguments": {}},
            },
        ],
    },
    {"role": "tool", "content": [{"type": "toolCallResult", "content": "3", "toolCallId": "1"}]},
]


def test_every_endpoint_and_every_kind_of_packet_of_the_server_fits(published):
    more = [Model(key=f"{kind}-{n}", type=kind) for kind in ("llm", "embedding") for n in (2, 3, 4)]
    models = [*DEFAULT_MODELS, *more]
    with Server(models=models, jit_evict=True, plugins=[PLUGIN]) as server:
        for namespace in ("llm", "embedding"):
            with RawClient(server, namespace) as client:
                load(client, namespace)
        with RawClient(server, "llm") as client:
            predict(server, client)
        with RawClient(server, "files") as client:
            read_files(client)
        with RawClient(server, "repository") as client:
            download(client)
        for namespace, calls in CALLS.items():
            with RawClient(server, namespace) as client:
                for endpoint, parameters in calls.items():
                    for parameter in parameters:
                        client.call(endpoint, parameter)
        with RawClient(server, "system") as client:
            client.open("alive")
        with RawClient(server, "diagnostics") as client:
            read_logs(server, client)
        with RawClient(server, "plugins") as client:
            use_tools(server, client)
        with RawClient(server, "system") as client:
            client.call("requestShutdown", ABSENT)

    assert_fit(published, server)
    assert set(of_the_server(published)) - published.seen == set()


def of_the_server(published):
    """What the schemas describe and the server serves, as in `Schemas.seen`."""
    for namespace in sorted(set(published.namespaces) - {"runtime"}):
        endpoints = published.namespaces[namespace]
        for kind in ("rpc", "channel"):
            for endpoint, schema in endpoints[kind].items():
                if endpoint not in SO_FAR.get(namespace, endpoints[kind]):
                    continue
                yield namespace, endpoint, "parameter"
                if kind == "rpc":
                    yield namespace, endpoint, "result"
                for packet in schema.get("toClientPacket", {}).get("anyOf", ()):
                    name = packet["properties"]["type"]["const"]
                    yield namespace, endpoint, f"from server: {name}"


def load(client, kind):
    def attempt(endpoint, **parameter):
        client.rest(client.open(endpoint, {**parameter, "loadConfigStack": NO_CONFIG}))

    attempt("loadModel", modelKey=f"{kind}-2", identifier=f"my-{kind}", ttlMs=60_000)
    attempt("loadModel", modelKey=f"{kind}-2", identifier=f"my-{kind}")
    attempt("loadModel", modelKey="nothing")
    attempt("getOrLoad", identifier=f"my-{kind}")
    attempt("getOrLoad", identifier=f"{kind}-3")
    attempt("getOrLoad", identifier=f"{kind}-4", loadTtlMs=60_000)  # instead of the one before
    attempt("getOrLoad", identifier="test-llm" if kind == "embedding" else "test-embedding")


def predict(server, client):
    token = {"text": " odd", "id": 7, "logProb": -0.5}
    candidates = [{"text": " odd", "id": 7, "logProb": -0.5}]
    server.reply(
        ["plain", Token(" odd", tokens=[{**token, "candidates": candidates}])],
        reasoning="Hm",
        tool_calls=[ToolCall("add", {"a": 1}), ToolCall("add", failure="Not JSON")],
    )
    client.rest(client.open("predict", {**PREDICTION, "history": {"messages": CHAT}}))
    server.reply("one two", error_after=1)
    client.rest(client.predict())
    client.rest(client.predict(specifier=NOBODY))
    limit = {"checked": True, "value": 3}
    client.rest(client.predict("hi", temperature=0.5, maxPredictedTokens=limit))
    client.rest(client.open("completeRawText", {**PREDICTION, "rawPrompt": "Once"}))
    server.reply("word " * 100_000, delay=0.001)
    channel = client.predict()
    client.until(channel, "fragment")
    client.cancel(channel)
    client.rest(channel)


def read_files(client):
    upload = {"name": "notes.txt", "contentBase64": "aGVsbG8gd29ybGQ="}
    identifier = client.result("uploadFileBase64", upload)["identifier"]
    client.call("uploadFileBase64", {"name": "notes.txt", "contentBase64": "?"})
    for name in (identifier, "nothing"):
        client.call("getLocalFileAbsolutePath", {"fileName": name})
        client.call("getDocumentParsingLibrary", {"fileIdentifier": name})
        client.rest(client.open("parseDocument", {"fileIdentifier": name, "parseOpts": {}}))
        query = {"query": "hello", "fileIdentifiers": [name], "config": {"fields": []}}
        client.rest(client.open("retrieve", query))


def read_logs(server, client):
    channel = client.open("streamLogs")
    server.wait_for(type="channelCreate", endpoint="streamLogs")
    with RawClient(server, "llm") as other:
        other.rest(other.predict())
    client.until(channel, "log")
    client.cancel(channel, "stop")
    client.rest(channel)


def use_tools(server, client):
    specifier = {"type": "direct", "config": {"fields": []}, "workingDirectoryPath": "/"}
    parameter = {"pluginIdentifier": "mcp/nobody", "pluginConfigSpecifier": specifier}
    client.rest(client.open("startToolUseSession", parameter))
    channel = client.open("startToolUseSession", {**parameter, "pluginIdentifier": "mcp/sums"})
    client.packet(channel)
    for number, name in enumerate(["add", "fail", "nobody", "slow"]):
        packet = {"type": "callTool", "callId": number, "name": name, "arguments": {"a": 1}}
        client.send({"type": "channelSend", "channelId": channel, "message": packet})
    server.wait_tool_run(3)
    packet = {"type": "abortToolCall", "callId": 3}
    client.send({"type": "channelSend", "channelId": channel, "message": packet})
    client.cancel(channel, "discardSession")
    client.rest(channel)


def download(client):
    (found,) = client.result("searchModels", {"opts": {"searchTerm": "tiny"}})["results"]
    wanted = {"modelSearchResultIdentifier": found["identifier"]}
    option = client.result("getModelDownloadOptions", wanted)["results"][0]
    for identifier in (option["downloadIdentifier"], "nothing"):
        client.rest(client.open("downloadModel", {"downloadIdentifier": identifier}))


def test_what_a_test_sends_in_the_servers_place_fits(published):
    held = ["predict", "loadModel", "downloadModel", "countTokens"]
    with Server(hold=held) as server, RawClient(server) as client:
        client.predict("hi", temperature=1)
        call = server.expect("predict")
        call.progress(0.5, total_prompt_token_count=8)
        call.fragment("a", reasoning_type="reasoning")
        call.success("maxPredictedTokensReached", tokens_per_second=3.5)
        client.predict()
        server.expect("predict").error("Out of memory", cause="too big", suggestion="buy more")
        client.open("loadModel", {"modelKey": "test-vlm", "loadConfigStack": NO_CONFIG})
        call = server.expect("loadModel")
        call.progress(0.5)
        call.success()
        count = {"specifier": ANY, "inputString": "a"}
        message = {"type": "rpcCall", "endpoint": "countTokens", "callId": 99, "parameter": count}
        client.send(message)
        server.expect("countTokens").result({"tokenCount": 1})
        with RawClient(server, "repository") as repository:
            repository.open("downloadModel", {"downloadIdentifier": "testing/tiny-llm"})
            call = server.expect("downloadModel")
            call.progress(0.5)
            call.packet({"type": "startFinalizing"})
            call.success()

    assert_fit(published, server)
    assert ("repository", "downloadModel", "from server: success") in published.seen


def test_warnings_refusals_and_what_keeps_a_connection_alive_fit(published):
    with Server(token="sk-lm-abcdefgh:abcdefghij0123456789") as server:
        with RawClient(server, login=False) as client:
            assert client.login("a", "b")["success"] is False
        with RawClient(server, identity=("abcdefgh", "abcdefghij0123456789")) as client:
            client.send({"type": "keepAlive"})
            client.call("noSuchCall")
            client.call("listLoaded", {})
            client.open("noSuchChannel")
            for _ in range(2):  # two answers had been received, of the four
                client.recv()

    refused, welcome = server.connections
    assert published.problems(refused) == published.problems(welcome) == []
    kinds = {"rpcEndpointUnknown", "rpcParameterTypeError", "channelEndpointUnknown"}
    assert {message.get("kind") for message in welcome.sent} >= kinds
