"""What the embedded server and our client send fits the published schemas of the protocol."""

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from interop import schemas
from server.raw_client import ABSENT, ANY, NO_CONFIG, RawClient, user

import lmstudio as lms
from lmstudio.testing import (
    Model,
    Server,
    Token,
    ToolCall,
)
from lmstudio.testing._engines.models_on_disk import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(
    schemas.missing() is not None, reason=f"did not run: {schemas.missing()}"
)


@pytest.fixture
def published():
    return schemas.Schemas()


def assert_fit(published, server, *, tolerated=None):
    """All that the server has sent fits, and all that was sent to it. For a closed server."""
    for connection in server.connections:
        assert published.problems(connection) == []
        problems = published.problems(connection, of_client=True)
        assert [one for one in problems if tolerated is None or tolerated not in one] == []


# -- our client ------------------------------------------------------------------------------

LOAD_OPTIONS = {
    "context_length": 2048,
    "gpu": {"ratio": 0.5, "main_gpu": 0, "split_strategy": "evenly", "disabled_gpus": [1]},
    "seed": 7,
    "rope_frequency_base": False,
    "flash_attention": True,
    "llama_k_cache_quantization_type": "q8_0",
    "llama_v_cache_quantization_type": False,
    "keep_model_in_memory": True,
    "num_experts": 2,
}
OPTIONS = {
    "max_tokens": 100,
    "temperature": 0.7,
    "stop_strings": ["END"],
    "tool_call_stop_strings": ["</tool>"],
    "context_overflow_policy": "rollingWindow",
    "seed": 3,
    "top_k_sampling": 20,
    "top_p_sampling": 0.9,
    "min_p_sampling": False,
    "repeat_penalty": 1.2,
    "presence_penalty": 0.5,
    "log_probs": 3,
    "enable_thinking": False,
    "reasoning_budget": False,
    "draft_model": "test-vlm",
    "raw": {"llm.prediction.llama.frequencyPenalty": {"checked": True, "value": 0.1}},
}
# Parts of the template of a completion, as the official Python client sends them too: older servers
# want them, newer ones ignore them.
FOR_OLDER_SERVERS = "('bosToken', 'eosToken', 'inputConfig' were unexpected)"
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def test_all_that_our_client_sends_fits_and_so_do_the_answers(published):
    with Server() as server, lms.Client(server.host) as client:
        use_models(client)
        use_chats(client.llm.model("test-llm"), server)
        use_tools(client.llm.model("test-llm"), server)
        use_repository(client)
        use_files(client, server)
        use_errors(client)

    assert_fit(published, server, tolerated=FOR_OLDER_SERVERS)
    driven = {endpoint for _, endpoint, what in published.seen if what == "parameter"}
    assert driven >= documented_endpoints()
    assert ("llm", "predict", "from client: cancel") in published.seen


def test_what_our_client_sends_to_stop_a_load_fits(published):
    stop = lms.CancelToken()
    stopped = pytest.raises(lms.LMStudioCancelledError)
    with Server(load_time=600.0) as server, lms.Client(server.host) as client, stopped:
        client.llm.model("test-vlm", cancel_event=stop, on_load_progress=lambda _: stop.cancel())

    assert_fit(published, server)
    assert ("llm", "getOrLoad", "from client: cancel") in published.seen


def test_what_our_client_sends_to_stop_a_download_fits(published):
    stop = lms.CancelToken()
    with Server(download_time=600.0) as server, lms.Client(server.host) as client:
        option = client.repository.search_models("tiny")[0].get_download_options()[0]
        with pytest.raises(lms.LMStudioCancelledError):
            option.download(lambda update: stop.cancel(), cancel_event=stop)

    assert_fit(published, server)
    assert ("repository", "downloadModel", "from client: cancel") in published.seen


def documented_endpoints():
    """The endpoints that the docstrings of our client name."""
    texts = [file.read_text() for file in Path(lms.__file__).parent.rglob("*.py")]
    lines = [line for text in texts for line in re.findall(r"Endpoint: (?:rpc|channel) .*", text)]
    names = {name for line in lines for name in re.findall(r"``(?:\w+/)?(\w+)``", line)}
    assert "predict" in names
    return names


def use_models(client):
    """Call all that there is about models."""
    client.llm.model("test-vlm", ttl=60, config=LOAD_OPTIONS, on_load_progress=lambda share: None)
    client.llm.model("test-vlm", ttl=None)
    client.list_downloaded_models()
    client.list_loaded_models()
    second = client.llm.load_new_instance("test-llm", "second", config={"contextLength": 1024})
    embedder = client.embedding.load_new_instance("test-embedding", config={"contextLength": 512})
    for model in (second, client.embedding.model(), embedder):
        model.get_info()
        model.get_load_config()
        model.get_context_length()
        model.count_tokens("a b c")
        model.tokenize(["a b", "c"])
    embedder.embed(["a", "b"])
    second.apply_prompt_template("Hi.")
    second.unload()
    embedder.unload()


def use_chats(model, server):
    """Predict in all the ways that there are."""
    chat = lms.Chat("You are brief.")
    chat.add_user_message(["Hi.", "How are you?"])
    chat.add_assistant_response(model.respond(chat, config=OPTIONS))
    chat.add_user_message("Go on.")
    model.respond(chat, response_format=SCHEMA)
    model.complete("Once upon", config={"maxTokens": 3})
    server.reply("word " * 100_000, delay=0.001)
    with model.respond_stream("Tell me a story.") as stream:
        next(iter(stream))
        stream.cancel("enough")
        stream.result()
    server.predictions[-1].wait_finished()


def use_tools(model, server):
    """Act with tools of all kinds, through a round, to the last one that is allowed."""

    def add(a: int, b: float = 1.5, *, how: Literal["fast", "slow"] = "fast") -> float:
        """Add two numbers."""
        return a + b

    raw = lms.RawFunctionTool(
        name="note",
        description="Take a note.",
        parameters_json_schema={"type": "object", "properties": {"text": {"type": "string"}}},
        implementation=lambda **arguments: arguments,
    )
    calls = [ToolCall("add", {"a": 1}), ToolCall("note", {"text": "x"}), ToolCall("nobody")]
    server.reply("Let me.", tool_calls=calls)
    server.reply("Done.")
    config = {"toolChoice": {"type": "generic", "mode": "required"}}
    assert model.act("Go.", [add, raw], max_prediction_rounds=2, config=config).rounds == 2


def use_repository(client):
    """Search with all options, and download."""
    (model,) = client.repository.search_models("tiny", 25, ["gguf", "safetensors"])
    for option in model.get_download_options():
        option.download(lambda update: None, lambda: None)


def use_files(client, server):
    """Put images into a chat, a big one among them."""
    chat = lms.Chat()
    images = [client.prepare_image(data) for data in (b"\x89PNG\r\n\x1a\n", bytes(200_000))]
    chat.add_user_message("What is this?", images=images)
    server.reply("An image.")
    client.llm.model("test-vlm").respond(chat)


def use_errors(client):
    """Draw the errors that the server can answer with."""
    model = client.llm.model()
    for call in (
        lambda: client.llm.model("no-such-model"),
        lambda: client.llm.model("test-embedding"),
        lambda: client.llm.unload("nobody"),
        lambda: model.respond("Hi.", preset="nonsense"),
    ):
        with pytest.raises(lms.LMStudioServerError):
            call()


# -- the server ------------------------------------------------------------------------------

NOBODY = {"type": "query", "query": {"identifier": "nobody"}}
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
        "requestShutdown": [ABSENT],
    },
}
IN_REPOSITORY = ("searchModels", "getModelDownloadOptions", "downloadModel")  # so far
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
    more = [Model(key=f"{kind}-{n}", type=kind) for kind in ("llm", "embedding") for n in (2, 3)]
    with Server(models=[*DEFAULT_MODELS, *more], jit_evict=True) as server:
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

    assert_fit(published, server)
    assert set(of_the_server(published)) - published.seen == set()


def of_the_server(published):
    """What the schemas describe and the server serves, as in `Schemas.seen`."""
    for namespace in ("llm", "embedding", "system", "files", "repository"):
        endpoints = published.namespaces[namespace]
        for kind in ("rpc", "channel"):
            for endpoint, schema in endpoints[kind].items():
                if namespace == "repository" and endpoint not in IN_REPOSITORY:
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
    attempt("getOrLoad", identifier=f"{kind}-2")
    attempt("getOrLoad", identifier=f"{kind}-3", loadTtlMs=60_000)  # instead of the one before
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


# -- these tests can fail --------------------------------------------------------------------


@pytest.fixture
def conversation():
    """A short conversation, to be spoiled: the messages of both sides, by what they are."""
    with Server() as server, RawClient(server) as client:
        client.result("listLoaded")
        client.call("getLoadConfig", {"specifier": NOBODY})
        client.result("getLoadConfig", {"specifier": ANY})
        server.reply(["a"])
        client.rest(client.predict("hi", temperature=1))
    (connection,) = server.connections
    copies = copy.deepcopy((connection.messages, connection.sent))
    return SimpleNamespace(path=connection.path, messages=copies[0], sent=copies[1])


def packet(conversation, kind):
    """The first packet of this type that the server sent."""
    packets = (message.get("message", {}) for message in conversation.sent)
    return next(packet for packet in packets if packet.get("type") == kind)


def answer(conversation, kind):
    """The last message of this type that the server sent."""
    return [message for message in conversation.sent if message.get("type") == kind][-1]


def field_of(config):
    return config["fields"][0]


SPOILED = {
    "a field is missing": (
        lambda c: packet(c, "fragment")["fragment"].pop("tokensCount"),
        "llm/predict: $.fragment: 'tokensCount' is a required property",
    ),
    "a field is one too many": (
        lambda c: packet(c, "fragment").update(logprobs=None),
        "$: Additional properties are not allowed ('logprobs' was unexpected)",
    ),
    "a value has the wrong type": (
        lambda c: packet(c, "success")["modelInfo"].update(sizeBytes="many"),
        "$.modelInfo.sizeBytes: 'many' is not of type 'integer'",
    ),
    "a value is none of those that there are": (
        lambda c: packet(c, "success")["stats"].update(stopReason="bored"),
        "$.stats.stopReason: 'bored' is not one of",
    ),
    "a packet has an unknown type": (
        lambda c: packet(c, "fragment").update(type="morsel"),
        "is not valid under any of the given schemas",
    ),
    "a message has an unknown type": (
        lambda c: answer(c, "channelClose").update(type="channelEnd"),
        "is not valid under any of the given schemas",
    ),
    "a message has a field too many": (
        lambda c: answer(c, "channelClose").update(reason="none"),
        "$: Additional properties are not allowed ('reason' was unexpected)",
    ),
    "a result is absent": (
        lambda c: c.sent[1].pop("result"),
        "llm/listLoaded: absent, but it must be there",
    ),
    "a configuration key is unknown": (
        lambda c: field_of(answer(c, "rpcResult")["result"]).update(key="llm.load.wisdom"),
        "there is no configuration key 'llm.load.wisdom'",
    ),
    "a configuration value is wrong": (
        lambda c: field_of(answer(c, "rpcResult")["result"]).update(value=-1),
        "llm.load.contextLength: -1 is less than or equal to the minimum of 0",
    ),
    "the code of an error is unknown": (
        lambda c: answer(c, "rpcError")["error"]["displayData"].update(code="generic.oops"),
        "is not valid under any of the given schemas",
    ),
    "the data of an error lacks something": (
        lambda c: answer(c, "rpcError")["error"]["displayData"].pop("query"),
        "$: 'query' is a required property",
    ),
    "the login is answered in another way": (
        lambda c: c.sent[0].update(success="yes"),
        "$.success: 'yes' is not of type 'boolean'",
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_wrong_message_of_the_server_is_found(published, conversation, what):
    spoil, words = SPOILED[what]
    assert published.problems(conversation) == []

    spoil(conversation)

    (problem, *_) = published.problems(conversation)
    assert words in problem


SPOILED_REQUESTS = {
    "a parameter where there must be none": (
        lambda c: c.messages[0].update(parameter=None),
        "llm/listLoaded: $: None should not be valid under",
    ),
    "no parameter where there must be one": (
        lambda c: c.messages[1].pop("parameter"),
        "llm/getLoadConfig: absent, but it must be there",
    ),
    "an endpoint that nobody has": (
        lambda c: c.messages[1].update(endpoint="getLoadConfiguration"),
        "False schema does not allow",
    ),
    "a wrong setting": (
        lambda c: field_of(
            c.messages[-1]["creationParameter"]["predictionConfigStack"]["layers"][0]["config"]
        ).update(value="hot"),
        "llm.prediction.temperature: 'hot' is not of type 'number'",
    ),
    "a message in a role that nobody plays": (
        lambda c: c.messages[-1]["creationParameter"]["history"]["messages"][0].update(role="bot"),
        "$.history.messages[0]: ",
    ),
}


@pytest.mark.parametrize("what", SPOILED_REQUESTS)
def test_a_wrong_message_of_a_client_is_found(published, conversation, what):
    spoil, words = SPOILED_REQUESTS[what]
    assert published.problems(conversation, of_client=True) == []

    spoil(conversation)

    (problem, *_) = published.problems(conversation, of_client=True)
    assert words in problem
