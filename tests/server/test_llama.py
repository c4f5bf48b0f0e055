"""The embedded server with a real model. On shape, never on content: the model is small."""

import json

import pytest
from server.raw_client import ANY, RawClient, text_of

from lmstudio.testing import LlamaEngine, Server, find_smollm2

LONG_PROMPT = "Tell me more about this. " * 60
# Whoever is to be stopped must not be done first.
ENDLESS = {"type": "gbnf", "gbnfGrammar": "root ::= [a-z ] root"}


@pytest.fixture(scope="module")
def engine():
    engine = LlamaEngine(find_smollm2())
    # Both before the tests: the sockets that llama.cpp opens now are no leak of the first one.
    engine.load()
    engine.embed(engine.models[1], "x")
    yield engine
    engine.close()


@pytest.fixture
def server(engine):
    with Server(engine=engine) as server:
        yield server


def limit(tokens):
    return {"checked": True, "value": tokens}


@pytest.mark.model
def test_a_reply_with_progress_and_stats(server, client):
    assert server.identifiers == ["smollm2-135m-instruct", "smollm2-135m-instruct-embedding"]
    packets, _ = client.rest(client.predict("Hello!", maxPredictedTokens=limit(8)))
    shares = [p["progress"] for p in packets if p["type"] == "promptProcessingProgress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    stats = packets[-1]["stats"]
    assert stats["stopReason"] in ("maxPredictedTokensReached", "eosFound")
    assert 0 < stats["predictedTokensCount"] <= 8
    assert stats["totalTokensCount"] == stats["promptTokensCount"] + stats["predictedTokensCount"]
    assert stats["tokensPerSecond"] > 0
    assert 0 < stats["timeToFirstTokenSec"] <= stats["totalTimeSec"]
    assert server.predictions[0].prompt.startswith("<|im_start|>system")


@pytest.mark.model
def test_cancel_in_the_middle(server, client):
    channel = client.predict("Tell me a long story.", structured=ENDLESS)
    client.until(channel, "fragment")
    client.cancel(channel)
    packets, _ = client.rest(channel)
    assert packets[-1]["stats"]["stopReason"] == "userStopped"
    prediction = server.predictions[0].wait_finished()
    assert prediction.cancelled_after >= 1


@pytest.mark.model
def test_cancel_while_the_prompt_is_processed(server, client):
    channel = client.predict(LONG_PROMPT)
    client.until(channel, "promptProcessingProgress")
    client.cancel(channel)
    packets, _ = client.rest(channel)
    assert not text_of(packets)
    assert packets[-1]["stats"]["stopReason"] == "userStopped"
    assert server.predictions[0].wait_finished().cancelled_after == 0
    assert server.predictions[0].tokens_sent == 0


@pytest.mark.model
def test_queued_predictions_can_be_cancelled(server, client):
    first, second = client.predict(LONG_PROMPT, structured=ENDLESS), client.predict("x")
    client.until(first, "promptProcessingProgress")
    assert server.wait_prediction(1).phase == "queued"
    client.cancel(second)
    while (message := client.recv())["channelId"] != second:
        pass
    assert message["message"]["stats"]["stopReason"] == "userStopped"
    client.cancel(first)
    server.predictions[0].wait_finished()


@pytest.mark.model
def test_a_json_schema_is_kept(client):
    schema = {
        "type": "object",
        "properties": {  # bounded: the model would write digits for ever
            "name": {"type": "string", "maxLength": 10},
            "age": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    channel = client.predict("A person", structured={"type": "json", "jsonSchema": schema})
    found = json.loads(text_of(client.rest(channel)[0]))
    assert set(found) == {"name", "age"}
    assert isinstance(found["age"], int)


@pytest.mark.model
def test_a_grammar_is_kept(client):
    grammar = {"type": "gbnf", "gbnfGrammar": 'root ::= "yes" | "no"'}
    assert text_of(client.rest(client.predict("Is it?", structured=grammar))[0]) in ("yes", "no")


@pytest.mark.model
def test_a_named_tool_is_called(client):
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["a"],
    }
    function = {"name": "double", "parameters": parameters}
    tools = {"type": "toolArray", "tools": [{"type": "function", "function": function}]}
    packets, _ = client.rest(client.predict("double 4", tools=tools))
    (end,) = [p for p in packets if p["type"] == "toolCallGenerationEnd"]
    assert end["toolCallRequest"]["name"] == "double"
    assert isinstance(end["toolCallRequest"]["arguments"]["a"], int)
    assert packets[-1]["stats"]["stopReason"] == "eosFound"
    packets, _ = client.rest(client.predict("Hi", tools=tools, maxPredictedTokens=limit(2)))
    assert not [p for p in packets if p["type"].startswith("toolCall")]


@pytest.mark.model
def test_log_probabilities(client):
    fields = {"logProbs": {"checked": True, "value": 2}, "maxPredictedTokens": limit(2)}
    packets, _ = client.rest(client.predict("Hi", **fields))
    fragment = next(p["fragment"] for p in packets if p["type"] == "fragment")
    (token,) = fragment["tokens"]
    assert token["text"] == fragment["content"]
    assert token["logProb"] <= 0
    assert len(token["candidates"]) == 2


@pytest.mark.model
def test_tokens_are_the_models_own(client):
    parameter = {"specifier": ANY, "inputString": "Hello world"}
    tokens = client.result("tokenize", parameter)["tokens"]
    assert client.result("countTokens", parameter)["tokenCount"] == len(tokens) == 2


@pytest.mark.model
def test_embeddings(server):
    with RawClient(server, "embedding") as client:
        parameter = {"modelSpecifier": ANY, "inputString": "a cat"}
        assert len(client.result("embedString", parameter)["embedding"]) == 576


@pytest.mark.model
def test_a_prompt_that_is_too_long_is_an_error(client):
    _, end = client.rest(client.predict("word " * 3000))
    assert "exceeds the available context size" in end["error"]["title"]


@pytest.mark.model
def test_two_servers_share_an_engine(engine, server):
    with Server(engine=engine) as other, RawClient(server) as one, RawClient(other) as two:
        first = one.predict(LONG_PROMPT, structured=ENDLESS)
        one.until(first, "promptProcessingProgress")
        second = two.predict("x")
        other.wait_prediction().wait_phase("prefill")
        two.cancel(second)
        assert two.rest(second)[0][-1]["stats"]["stopReason"] == "userStopped"
        one.cancel(first)
        one.rest(first)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        LlamaEngine("/nowhere.gguf")


def test_the_library_is_named_when_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    model = tmp_path / "some-model-1B.Q8_0.gguf"
    model.write_bytes(b"GGUF")
    with pytest.raises(ImportError, match="pip install xllamacpp"):
        LlamaEngine(str(model)).load()
    llm, embedding = LlamaEngine(str(model)).models
    assert (llm.key, llm.params, llm.quantization) == ("some-model-1b", "1B", ("Q8_0", 8))
    assert embedding.key == "some-model-1b-embedding"
