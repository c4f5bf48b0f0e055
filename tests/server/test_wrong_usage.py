"""What the embedded server says to a test that uses it wrongly: never nothing, never nonsense."""

import math
import re

import pytest
from server.raw_client import ANY, NO_CONFIG, RawClient, text_of

import lmstudio as lms
from lmstudio.testing import (
    Engine,
    GeneratedEngine,
    Model,
    Plugin,
    Reply,
    ScriptedEngine,
    Server,
    Token,
    Tool,
    ToolCall,
)


@pytest.fixture
def call(server, client):
    """A prediction that the test answers."""
    server.hold("predict")
    client.predict()
    return server.expect("predict")


# -- replies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"delayy": 5}, "no argument or entry of the stats 'delayy'; the nearest is 'delay'"),
        ({"tokens_per_secnd": 5}, "'tokens_per_secnd'; the nearest is 'tokensPerSecond'"),
        ({"silent_afer": 5}, "'silent_afer'; the nearest is 'silent_after'"),
        ({"zzz": 5}, "'zzz'; there is tokens, reasoning, tool_calls, delay"),
        ({"text": "x"}, r"no argument 'text'; give it first, as reply\('x'\), or as tokens="),
        ({"delay": -1}, "delay must be at least 0, got -1"),
        ({"prefill": math.inf}, "prefill must be a finite number, got inf"),
        ({"slow_stop": -0.5}, "slow_stop must be at least 0, got -0.5"),
        ({"error_after": -1}, "error_after must be at least 0, got -1"),
        ({"repeat": 0}, "repeat must be at least 1, got 0"),
        ({"stop_reason": "eosfound"}, "no stop reason 'eosfound'; the nearest is 'eosFound'"),
        ({"error": "Out of memory"}, "error='Out of memory' needs error_after="),
        ({"tool_calls": [{"nmae": "add"}]}, "field of tool_calls.0. 'nmae'; the nearest is 'name'"),
        ({"tool_calls": [{"arguments": {}}]}, "tool_calls.0. needs the name of a tool"),
        ({"predicted_tokens_count": -1}, "predicted_tokens_count must be at least 0, got -1"),
    ],
)
def test_a_reply_with_an_argument_without_meaning_is_refused(server, arguments, words):
    with pytest.raises(ValueError, match=words):
        server.reply("x", **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"delay": "x"}, r"delay must be a number, got 'x' \(str\)"),
        ({"delay": None}, r"delay must be a number, got None"),
        ({"prefill": True}, r"prefill must be a number, got True \(bool\)"),
        ({"drop_after": 1.5}, r"drop_after must be a whole number, got 1.5 \(float\)"),
        ({"repeat": "3"}, r"repeat must be a whole number, got '3'"),
        ({"stop_reason": 5}, r"stop_reason must be a text, got 5"),
        ({"error": 5, "error_after": 1}, r"error must be a text, got 5"),
        ({"reasoning": 5}, r"reasoning must be a text, or a list whose .* a text, got 5"),
        ({"reasoning": [Token("a")]}, r"reasoning\[0\] must be a text, got Token"),
        ({"tool_calls": {"name": "a"}}, r"tool_calls must be a list of ToolCalls or dicts, got"),
        ({"tool_calls": ["add"]}, r"tool_calls\[0\] must be a ToolCall or a dict, got 'add'"),
        ({"tool_calls": [{"name": 5}]}, r"tool_calls\[0\].name must be a text, got 5"),
        ({"tool_calls": [ToolCall("a", "{}")]}, r"tool_calls\[0\].arguments must be a dict"),
        ({"tool_calls": [ToolCall("a", {"b": {1}})]}, r"arguments must be fit for JSON: .*set"),
        ({"stop_string": 5}, r"stop_string must be a text, got 5"),
    ],
)
def test_a_reply_with_a_value_of_the_wrong_type_is_refused(server, arguments, words):
    with pytest.raises(TypeError, match=words):
        server.reply("x", **arguments)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (5, r"tokens must be a text, or a list whose entries are each a text or .*, got 5 \(int\)"),
        (None, "tokens must be .*, got None"),
        (b"x", "tokens must be .*, got b'x'"),
        (["a", 5], r"tokens\[1\] must be a text or a Token, got 5"),
    ],
)
def test_tokens_are_texts(server, tokens, words):
    with pytest.raises(TypeError, match=words):
        server.reply(tokens)


def test_a_refused_reply_is_not_queued(server, client):
    with pytest.raises(ValueError, match="delayy"):
        server.reply("x", delayy=5)
    assert text_of(client.rest(client.predict())[0]) == "This is a reply of the test server."


def test_stats_may_be_written_as_in_python_or_as_on_the_wire(server, client):
    server.reply("x", tokens_per_second=7, numGpuLayers=-1)
    stats = client.rest(client.predict())[0][-1]["stats"]
    assert (stats["tokensPerSecond"], stats["numGpuLayers"]) == (7, -1)


# -- endpoints and messages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("predikt", "there is no endpoint 'predikt'; the nearest is 'predict'"),
        ("list_loaded", "there is no endpoint 'list_loaded'; the nearest is 'listLoaded'"),
        ("llm/predikt", "there is no endpoint 'llm/predikt'; the nearest is 'llm/predict'"),
        ("system/predict", "there is no endpoint 'system/predict'"),
        ("isAuthenticated", "there is no endpoint 'isAuthenticated'"),  # it is only warned about
    ],
)
def test_only_endpoints_that_there_are_can_be_held(server, endpoint, words):
    for use in (server.hold, server.release, server.expect):
        with pytest.raises(ValueError, match=words):
            use(endpoint)
    with pytest.raises(ValueError, match=words):
        Server(hold=[endpoint])


def test_an_endpoint_is_a_text(server):
    with pytest.raises(TypeError, match="the endpoint must be a text, got None"):
        server.hold(None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"type": "rpccall"}, "there is no type of message 'rpccall'; the nearest is 'rpcCall'"),
        ({"endpoint": "predikt"}, "there is no endpoint 'predikt'; the nearest is 'predict'"),
        ({"path": "/lm"}, "there is no namespace 'lm'; the nearest is 'llm'"),
    ],
)
def test_nothing_is_not_what_a_typo_has_received(server, arguments, words):
    with pytest.raises(ValueError, match=words):
        server.received(**arguments)
    with pytest.raises(ValueError, match=words):
        server.wait_for(**arguments, timeout=0)


def test_an_endpoint_that_only_the_client_knows_can_be_looked_for(server, client):
    assert server.received(endpoint="isAuthenticated") == []
    with pytest.raises(ValueError, match="there is no endpoint 'brandNew'"):
        server.received(endpoint="brandNew")
    client.send({"type": "rpcCall", "endpoint": "brandNew", "callId": 1})
    client.recv()
    assert len(server.received(endpoint="brandNew")) == 1


def test_messages_are_found_by_endpoint_with_the_namespace(server, client):
    client.result("listLoaded")
    assert len(server.received(endpoint="llm/listLoaded")) == 1
    assert server.received(endpoint="embedding/listLoaded") == []


def test_waiting_for_nonsense_ends_at_once(server, client):
    client.predict()
    with pytest.raises(ValueError, match="there is no phase 'prefil'; the nearest is 'prefill'"):
        server.wait_prediction().wait_phase("prefil")
    with pytest.raises(TypeError, match="the predicate must be a function, got 'rpcCall'"):
        server.wait_for("rpcCall")
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        server.wait_for(count=0)
    with pytest.raises(ValueError, match="index must be at least 0, got -1"):
        server.wait_prediction(-1)
    with pytest.raises(TypeError, match="timeout must be a number, got 'x'"):
        server.wait_prediction(0, "x")
    server.predictions[0].wait_finished()


# -- calls that the test answers -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda call: call.fragment(5), TypeError, "the fragment must be a text, got 5"),
        (lambda call: call.fragment("a", token_count=2), ValueError, "nearest is 'tokensCount'"),
        (lambda call: call.fragment("a", tokens_count="x"), TypeError, "tokens_count must be a wh"),
        (lambda call: call.fragment("a", reasoning_type="x"), ValueError, "must be one of 'none'"),
        (lambda call: call.progress(2.0), ValueError, "progress must be from 0 to 1, got 2.0"),
        (lambda call: call.progress("x"), TypeError, "progress must be a number, got 'x'"),
        (lambda call: call.progress(0.5, total=5), ValueError, "predict's progress 'total'"),
        (lambda call: call.success("userstopped"), ValueError, "nearest is 'userStopped'"),
        (lambda call: call.success(None), TypeError, "stop_reason must be a text, got None"),
        (lambda call: call.success(predicted=3), ValueError, "no entry of the stats 'predicted'"),
        (lambda call: call.error({"title": "a"}), TypeError, "the title of the error must be a t"),
        (lambda call: call.error("a", caus="b"), ValueError, "the nearest is 'cause'"),
    ],
)
def test_a_wrong_answer_is_refused_and_the_call_stays_open(call, answer, error, words):
    with pytest.raises(error, match=words):
        answer(call)
    call.fragment("a")
    call.success()
    assert call.record.tokens_sent == 1


def test_what_the_protocol_does_not_know_goes_as_a_packet(client, call):
    call.packet({"type": "success", "stats": {"stopReason": "brandNew"}})
    assert client.packet(call.id)["stats"]["stopReason"] == "brandNew"
    call.close()


def test_details_of_progress_belong_to_the_endpoint(server, client):
    server.hold("completeRawText")
    server.hold("loadModel")
    parameter = {"modelSpecifier": ANY, "rawPrompt": "once", "predictionConfigStack": NO_CONFIG}
    client.open("completeRawText", parameter)
    server.expect("completeRawText").progress(0.5, total_prompt_token_count=3)
    client.open("loadModel", {"modelKey": "test-vlm", "loadConfigStack": NO_CONFIG})
    with pytest.raises(ValueError, match="no detail of loadModel's progress 'total_bytes'"):
        server.expect("loadModel").progress(0.5, total_bytes=3)


def test_a_call_that_came_before_anything_held_it_is_told(server, client):
    client.result("listLoaded")
    with pytest.raises(
        AssertionError,
        match=r"none came: .* 1 of that endpoint came before expect.*hold\('listLoaded'\) before",
    ):
        server.expect("listLoaded", timeout=0)
    with pytest.raises(AssertionError) as caught:
        server.expect("listLoaded", timeout=0)  # it is held now
    assert "before" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("It is green.", r"it is no JSON \(Expecting value: line 1"),
        ('{"name": 5}', "'name' is not of the type 'string'"),
        ("[]", "the reply is not of the type 'object'"),
        ("{}", "the reply has no 'name'"),
        ('{"name": "a", "tags": ["x", 5]}', "entry 1 of 'tags' is not of the type 'string'"),
        ('{"name": "a", "size": "XL"}', "'size' is none of"),
        ('{"name": "a", "age": true}', "'age' is not of the type 'integer' or 'null'"),
        ('{"name": "a", "age": 3.0, "tags": [], "size": "S", "more": 5}', None),
    ],
)
def test_a_scripted_reply_that_no_model_would_give_is_told_in_the_log(
    server, client, caplog, reply, words
):
    properties = {
        "name": {"type": "string"},
        "age": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "size": {"enum": ["S", "M"]},
        "other": {"$ref": "#/$defs/other"},
    }
    schema = {"type": "object", "properties": properties, "required": ["name"]}
    server.reply(reply)
    packets, _ = client.rest(client.predict(structured={"type": "json", "jsonSchema": schema}))
    assert text_of(packets) == reply
    told = [r.getMessage() for r in caplog.records if "does not fit" in r.getMessage()]
    assert len(told) == (words is not None)
    if words:
        assert re.search(f"{words}.* Script one that fits", told[0])


@pytest.mark.parametrize(
    "schema", [None, 5, {"type": 5}, {"type": {}}, {"required": 5}, {"enum": 5}]
)
def test_a_schema_that_is_none_breaks_no_reply(server, client, schema):
    server.reply("{}")
    packets, _ = client.rest(client.predict(structured={"type": "json", "jsonSchema": schema}))
    assert text_of(packets) == "{}"


# -- servers, models and engines -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": ["x"]}, r"models\[0\] must be a Model, as Model\(key='mine'\), got 'x'"),
        ({"models": "x"}, "models must be a list of Model objects, got 'x'"),
        ({"hub": 5}, r"hub must be a list of Model objects, got 5 \(int\)"),
        ({"engine": "llama"}, r"engine must be an Engine, as ScriptedEngine\(\) or .* 'llama'"),
        ({"engine": ScriptedEngine}, "engine must be an Engine"),
        ({"load_time": "x"}, "load_time must be a number, got 'x'"),
        ({"load_time": None}, "load_time must be a number, got None"),
        ({"port": "x"}, "port must be a whole number, got 'x'"),
        ({"hold": "predict"}, "hold must be a list of endpoints, as .*, got 'predict'"),
        ({"hold": 5}, "hold must be a list of endpoints"),
        ({"loaded": "test-llm"}, "loaded must be a list of the keys of models, got 'test-llm'"),
        ({"loaded": [5]}, r"loaded\[0\] must be a text, got 5"),
        ({"presets": "brief"}, "presets must be a list of texts, got 'brief'"),
        ({"token": 5}, "token must be a text or texts, got 5"),
        ({"token": [5]}, "token must be a text, got 5"),
        ({"jit_evict": "no"}, "jit_evict must be True or False, got 'no'"),
        ({"parallel": 1.5}, "parallel must be a whole number, got 1.5"),
        ({"version": 1}, "version must be a text, got 1"),
        ({"lode_time": 1}, r"Server\(\) has no argument 'lode_time'; the nearest is 'load_time'"),
        ({"bogus": 1}, r"Server\(\) has no argument 'bogus'; there is port, engine, models"),
    ],
)
def test_a_server_with_a_setting_of_the_wrong_type_does_not_start(arguments, words):
    with pytest.raises(TypeError, match=words):
        Server(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"port": 99999}, "port must be from 0 to 65535, got 99999"),
        ({"download_time": math.nan}, "download_time must be a finite number, got nan"),
        ({"loaded": ["x"]}, r"Model not found: x \(the downloaded models: test-llm, test-vlm, "),
        (
            {"models": [Model(key="a"), Model(key="A", type="embedding")]},
            r"models\[1\] has the key",
        ),
        ({"hub": [Model(key="a")] * 2}, r"hub\[1\] has the key of hub\[0\], 'a': each model needs"),
        ({"token": "abc"}, "token must be 'sk-lm-', 8 letters .*, as 'sk-lm-abcdefgh:abcdefghij01"),
    ],
)
def test_a_server_with_a_setting_without_meaning_does_not_start(arguments, words):
    with pytest.raises(ValueError, match=words):
        Server(**arguments)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Model(key=5), TypeError, "key must be a text, got 5"),
        (
            lambda: Model(key="a", vison=True),
            TypeError,
            "Model.. has no argument 'vison'; the near",
        ),
        (lambda: ScriptedEngine(dealy=1), TypeError, "ScriptedEngine.. has no argument 'dealy'"),
        (lambda: GeneratedEngine(rat=1), TypeError, "GeneratedEngine.. has no argument 'rat'"),
        (lambda: ToolCall("a", args={}), TypeError, "ToolCall.. has no argument 'args'"),
        (lambda: Token("a", drafted=True), TypeError, "no argument 'drafted'; the nearest is 'co"),
        (lambda: Reply(token=["a"]), TypeError, "Reply.. has no argument 'token'; the nearest is"),
        (lambda: Model(key="a", type="drafter"), ValueError, "type must be one of 'llm', 'emb"),
        (lambda: Model(key="a", quantization="Q4"), TypeError, "quantization must be a name and"),
        (lambda: Model(key="a", variants="a@q4"), TypeError, "variants must be a list of texts"),
        (lambda: ScriptedEngine(delay=-1), ValueError, "delay must be at least 0, got -1"),
        (lambda: ScriptedEngine(tokens=0), ValueError, "tokens must be at least 1, got 0"),
        (lambda: ScriptedEngine().add("a"), TypeError, "the reply must be a Reply, as Reply"),
        (lambda: GeneratedEngine("x"), TypeError, "rate must be a number, got 'x'"),
        (lambda: GeneratedEngine(prefill=-1), ValueError, "prefill must be at least 0, got -1"),
    ],
)
def test_models_and_engines_check_what_they_are_made_of(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_server_takes_anything_that_can_be_looped_over():
    with (
        Server(hold=(one for one in ["predict"]), loaded={"test-vlm": 1}.keys()) as server,
        RawClient(server) as client,
    ):
        assert server.identifiers == ["test-vlm"]
        client.predict()
        server.expect("predict").success()


class Failing(Engine):
    """Raises what is no Exception, as `pytest.fail()` does, wherever it is asked."""

    def __init__(self, error):
        self.error = error

    def generate(self, request):
        yield "a"
        raise self.error

    def tokenize(self, model, text):
        raise self.error


def now(error):
    def generate(request):
        raise error

    return generate


ODD = [SystemExit("x"), KeyboardInterrupt("x"), GeneratorExit("x"), pytest.fail.Exception("x")]


@pytest.mark.parametrize(
    "error", [*ODD, StopIteration("x")], ids=lambda error: type(error).__name__
)
def test_what_is_no_exception_fails_the_call_and_nothing_else(error):
    engine = Failing(error)
    if isinstance(error, StopIteration):
        engine.generate = now(error)
    with Server(engine=engine) as server, lms.Client(server.host) as client:
        model = client.llm.model()
        with pytest.raises(lms.LMStudioServerError, match="x"):
            model.respond("hi", idle_timeout=20)
        with pytest.raises(lms.LMStudioServerError, match=r"x|StopIteration"):
            model.tokenize("hi", idle_timeout=20)
        assert server.predictions[0].wait_finished().error == "x"
        assert client.llm.list_loaded(idle_timeout=20)  # the server goes on


def test_a_tool_may_raise_what_is_no_exception():
    def tool():
        """Fail."""
        pytest.fail("unexpected call")

    plugin = Plugin(identifier="mcp/odd", tools=[Tool(name="odd", implementation=tool)])
    with (
        Server(plugins=[plugin]) as server,
        lms.Client(server.host) as client,
        client.plugins.tools("mcp/odd") as tools,
        pytest.raises(lms.LMStudioServerError, match="unexpected call"),
    ):
        tools.call_tool("odd", idle_timeout=20)


def test_an_engine_that_runs_nothing_at_once_is_refused():
    class Idle(Engine):
        parallel = 0

        def generate(self, request):
            yield "a"

    with pytest.raises(ValueError, match=r"Engine\.parallel must be at least 1"):
        Server(engine=Idle())


def test_what_is_waited_for_has_a_place(server, client):
    with pytest.raises(ValueError, match="index must be at least 0"):
        server.wait_tool_run(-1)
    with pytest.raises(TypeError, match="index must be a whole number"):
        server.wait_tool_run("a")
    client.rest(client.predict())
    with pytest.raises(ValueError, match="count must be at least 0"):
        server.predictions[0].wait_tokens(-1)
    with pytest.raises(ValueError, match="identifier must not be empty"):
        server.load("test-llm", "")
