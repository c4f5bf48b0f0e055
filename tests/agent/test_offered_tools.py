"""`respond()` with tools that nobody runs: what is sent, and the calls in the result."""

import pickle

import pytest
from agent.acting import answer, call, results, unanswered
from helpers import Worker, creates, valid_chat

import lmstudio as lms


def now(context: lms.ToolCallContext) -> str:
    """Tell the time."""
    raise AssertionError("nobody runs it")


async def later(n: int) -> int:
    """Do it later."""
    raise AssertionError("nobody runs it")


ASK = lms.RawFunctionTool(name="ask", description="Ask.", parameters_json_schema={})
OPENAI = {"type": "function", "function": {"name": "look", "description": "Look."}}


def respond(half, *arguments, **options):
    return half.do(lambda: half.model.respond(*arguments, **options))


def sent(server, at=-1):
    """The settings of the last prediction that are about tools."""
    (layer,) = creates(server)[at]["creationParameter"]["predictionConfigStack"]["layers"]
    fields = {field["key"]: field["value"] for field in layer["config"]["fields"]}
    return {
        key.rpartition(".")[2]: value
        for key, value in fields.items()
        if key in ("llm.prediction.tools", "llm.prediction.toolChoice")
    }


def names(server):
    return [tool["function"]["name"] for tool in sent(server)["tools"]["tools"]]


def choice(mode):
    return {"type": "generic", "mode": mode}


# -- what is sent -----------------------------------------------------------------------------


def test_tools_of_all_kinds_are_described_and_not_run(server, half, tools):
    server.reply("Let me.", tool_calls=[call("now"), call("add", a=1)])

    result = respond(half, "Go.", tools=[tools.add, now, later, ASK, OPENAI])

    assert names(server) == ["add", "now", "later", "ask", "look"]
    described = [tool["function"] for tool in sent(server)["tools"]["tools"]]
    assert described[0] == {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 10}},
            "required": ["a"],
        },
    }
    assert described[1]["parameters"]["properties"] == {}
    assert "toolChoice" not in sent(server)
    assert tools.calls == []
    assert result.content == "Let me."
    assert [request.name for request in result.tool_calls] == ["now", "add"]


def test_act_and_respond_describe_a_tool_alike(server, model, tools):
    model.act("Go.", [tools.add, ASK, OPENAI])
    model.respond("Go.", tools=[tools.add, ASK, OPENAI])

    assert sent(server, 0) == sent(server, 1)


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_the_model_may_be_told_whether_to_call_one(server, half, tools, mode):
    respond(half, "Go.", tools=[tools.add], tool_choice=mode)

    assert sent(server)["toolChoice"] == choice(mode)
    assert names(server) == ["add"]


def test_a_choice_in_the_configuration_stays(server, half, tools):
    respond(half, "Go.", tools=[tools.add], config={"toolChoice": choice("required")})

    assert sent(server)["toolChoice"] == choice("required")


@pytest.mark.parametrize("tool_choice", [None, "auto", "none"])
def test_an_empty_list_offers_none(server, half, tool_choice):
    respond(half, "Go.", tools=[], tool_choice=tool_choice)

    assert sent(server) == {"tools": {"type": "none"}, "toolChoice": choice("auto")}


def test_without_tools_nothing_is_said_of_them(server, half):
    respond(half, "Go.")

    assert sent(server) == {}


def test_each_prediction_of_a_batch_offers_them(server, half):
    server.reply(tool_calls=[call("ask")], repeat=2)

    def batch():
        return half.model.respond_many(["a", "b"], tools=[ASK], tool_choice="required")

    async def all_of_it():
        return [pair async for pair in batch()]

    pairs = half.do(all_of_it if half.name == "asyncio" else lambda: list(batch()))

    assert [[r.name for r in result.tool_calls] for _, result in pairs] == [["ask"], ["ask"]]
    assert [sent(server, at)["toolChoice"] for at in (0, 1)] == [choice("required")] * 2
    assert names(server) == ["ask"]


def test_a_call_in_the_background_offers_them(server, model):
    server.reply(tool_calls=[call("ask")])
    texts = []

    future = lms.run_in_background(model.respond, "Go.", tools=[ASK], on_text=texts.append)

    assert [request.name for request in future.result(10).tool_calls] == ["ask"]
    server.reply("Hm.", tool_calls=[call("ask")])
    stream = model.respond_stream("Go.", tools=[ASK]).run_in_background(on_text=texts.append)
    assert [request.name for request in stream.result(10).tool_calls] == ["ask"]
    assert names(server) == ["ask"]


RAW_TOOLS = {"type": "toolArray", "tools": []}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": {"rawTools": RAW_TOOLS}}, "both tools in the call and rawTools in its config"),
        (
            {"config": lms.LlmPredictionConfig(raw_tools=RAW_TOOLS)},
            "both tools in the call and rawTools in its config",
        ),
        (
            {"config": {"raw": {"llm.prediction.tools": RAW_TOOLS}}},
            "both tools in the call and rawTools in its config",
        ),
        (
            {"config": {"toolChoice": choice("auto")}, "tool_choice": "auto"},
            "both tool_choice in the call and toolChoice in its config",
        ),
        ({"tools": None, "tool_choice": "auto"}, "tools of tools=, and there are none"),
        ({"tools": [], "tool_choice": "required"}, "needs a tool; tools=.. has none"),
        ({"tool_choice": "any"}, "one of auto, none, required, not 'any'"),
        ({"tool_choice": {"type": "function"}}, "no way to require a certain tool"),
        ({"tools": ASK}, "given as a list"),
        ({"tools": [5]}, "A tool is a function"),
        ({"tools": [ASK, ASK]}, "two tools with the name 'ask'"),
    ],
)
@pytest.mark.parametrize("name", ["respond", "respond_stream", "respond_many"])
def test_contradictions_and_what_is_no_tool_are_refused(server, model, name, options, words):
    arguments = {"tools": [ASK], **options}
    with pytest.raises(lms.LMStudioValueError, match=words):
        getattr(model, name)(["Go."] if name == "respond_many" else "Go.", **arguments)
    assert server.predictions == []


# -- the calls in the result --------------------------------------------------------------------


def test_the_calls_are_in_the_result_as_the_model_wrote_them(server, half):
    server.reply("Let me.", tool_calls=[{**call("add", a=1), "id": "x"}, {"name": "ask"}])

    result = respond(half, "Go.", tools=[ASK])

    first, second = result.tool_calls
    assert first == lms.ToolCallRequest(name="add", id="x", arguments={"a": 1})
    assert (second.name, second.arguments) == ("ask", {})
    assert pickle.loads(pickle.dumps(result)) == result


def test_tools_of_the_configuration_are_found_there_too(server, half):
    server.reply(tool_calls=[call("add", a=1)])

    result = respond(half, "Go.", config={"rawTools": RAW_TOOLS})

    assert [request.name for request in result.tool_calls] == ["add"]


def test_a_reply_without_calls_has_none(server, half):
    server.reply("Hello.")
    assert respond(half, "Go.", tools=[ASK]).tool_calls == []
    server.reply(tool_calls=[{**call("add"), "failure": "Torn."}])
    assert respond(half, "Go.", tools=[ASK]).tool_calls == []


def test_the_text_of_a_stream_is_what_it_is_without_tools(held, half):
    stream = half.started(tools=[ASK])
    iterator = half.iterate(stream)
    prediction = held.expect("predict")
    prediction.fragment("a")
    prediction.tool_call("ask", {"n": 1})
    prediction.fragment("b")
    prediction.success("toolCalls")

    assert [half.next(iterator) for _ in range(3)] == ["a", "b", None]
    result = half.result(stream)
    assert (result.content, result.stats.stop_reason) == ("ab", "toolCalls")
    assert [request.arguments for request in result.tool_calls] == [{"n": 1}]


def test_a_cancelled_reply_has_those_that_were_whole(held, half):
    stream = half.started(tools=[ASK])
    iterator = half.iterate(stream)
    prediction = held.expect("predict")
    prediction.fragment("a")
    prediction.tool_call("ask", {"n": 1}, id="1")
    prediction.fragment("b")
    assert [half.next(iterator) for _ in range(2)] == ["a", "b"]
    prediction.tool_call("ask", {"n": 2}, id="2")  # unread, or not here yet

    assert stream.cancel("enough")

    prediction.expect_cancel()
    prediction.success("userStopped")
    result = half.result(stream)
    assert (result.cancelled, result.content) == (True, "ab")
    assert [request.id for request in result.tool_calls] == ["1"]


def test_a_call_whose_end_comes_after_the_cancel_is_told_of_by_nobody(held, model):
    """Forged: the cancel comes when the packet is out of the inbox, and before it is taken."""
    ended = []
    stream = model.respond_stream("Go.", on_tool_call_request_end=lambda *a: ended.append(a))
    stream.start()
    prediction = held.expect("predict")
    prediction.fragment("a")
    iterator = iter(stream)
    next(iterator)

    stream.cancel("enough")
    request = {"type": "function", "name": "ask", "id": "1", "arguments": {}}
    stream._reader._take_other({"type": "toolCallGenerationEnd", "toolCallRequest": request})

    prediction.expect_cancel()
    prediction.success("userStopped")
    assert (stream.result().tool_calls, ended) == ([], [])


def test_an_error_carries_those_that_were_whole(held, half):
    stream = half.started(tools=[ASK])
    prediction = held.expect("predict")
    prediction.tool_call("ask", {"n": 1})
    prediction.error("Out of memory")

    with pytest.raises(lms.LMStudioServerError) as caught:
        half.result(stream)

    assert [request.arguments for request in caught.value.partial.tool_calls] == [{"n": 1}]


def test_each_round_of_act_tells_its_own(server, half, tools):
    server.reply(tool_calls=[call("add", a=1), call("add", a=2)])
    server.reply("Done.")
    rounds = []

    half.do(lambda: half.model.act("Go.", [tools.add], on_prediction_completed=rounds.append))

    assert [[r.arguments["a"] for r in result.tool_calls] for result in rounds] == [[1, 2], []]


# -- a loop of one's own --------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["on_message", "by hand"])
def test_a_loop_of_ones_own_keeps_the_chat_valid(server, half, tools, chat, way):
    server.reply("Let me.", tool_calls=[call("add", a=1), call("add", a=2)])
    server.reply("Once more.", tool_calls=[call("add", a=3)])
    server.reply("Done.")

    while True:
        options = {"on_message": chat.append} if way == "on_message" else {}
        result = respond(half, chat, tools=[tools.add], **options)
        if way == "by hand":
            chat.add_assistant_response(result, result.tool_calls)
        if not result.tool_calls:
            break
        chat.add_tool_results(answer(r, str(tools.add(**r.arguments))) for r in result.tool_calls)

    assert results(chat) == ["11", "12", "13"]
    assert chat[-1].text == "Done."
    assert unanswered(chat) == []
    assert valid_chat(chat)
    last = creates(server)[-1]["creationParameter"]["history"]
    assert last == chat[:-1].to_dict()


def test_a_message_without_calls_is_its_text(server, half, chat):
    server.reply("Hello.")

    respond(half, chat, on_message=chat.append)

    assert chat[-1].content == [lms.TextData(text="Hello.")]


def test_the_message_of_a_cancelled_reply_has_the_calls_that_were_whole(held, model, chat):
    token = lms.CancelToken()
    worker = Worker(
        lambda: model.respond(
            chat,
            cancel_event=token,
            on_message=chat.append,
            on_tool_call_request_end=lambda *_: token.cancel("enough"),
        )
    )
    prediction = held.expect("predict")
    prediction.fragment("a")
    prediction.tool_call("ask", {}, id="1")
    prediction.expect_cancel()
    prediction.success("userStopped")

    result = worker.result()

    assert result.cancelled
    assert chat[-1].tool_calls == result.tool_calls
    assert unanswered(chat) == ["1"]
