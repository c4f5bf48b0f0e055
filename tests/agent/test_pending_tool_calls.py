"""Tools without an implementation: their calls end the loop, and it goes on from their results."""

import threading

import pytest
from agent.acting import act, answer, call, results, unanswered
from helpers import Worker, creates

import lmstudio as lms

SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
}
ASK = lms.RawFunctionTool(name="ask", description="Ask the person.", parameters_json_schema=SCHEMA)
FUNCTION = {"name": "ask", "description": "Ask the person.", "parameters": SCHEMA}


def ask(question="Which?", **more):
    return {**call("ask", question=question), **more}


@pytest.mark.parametrize(
    "tool",
    [
        ASK,
        lms.RawFunctionTool(
            name="ask",
            description="Ask the person.",
            parameters_json_schema=SCHEMA,
            implementation=None,
        ),
        {"name": "ask", "description": "Ask the person.", "parameters_json_schema": SCHEMA},
        {"type": "function", "function": FUNCTION},
        {"type": "function", "function": {**FUNCTION, "strict": True}},
        lms.ToolFunctionDef(
            name="ask", description="Ask the person.", parameters={"question": str}
        ),
        {"name": "ask", "description": "Ask the person.", "parameters": {"question": str}},
    ],
    ids=["raw", "raw, none", "raw dict", "OpenAI", "OpenAI, strict", "typed", "typed dict"],
)
def test_a_call_of_a_tool_without_an_implementation_ends_the_loop(server, half, chat, tool):
    server.reply("Let me ask.", tool_calls=[ask(id="x1")])

    result = act(half, chat, [tool], on_message=chat.append)

    request = lms.ToolCallRequest(name="ask", id="x1", arguments={"question": "Which?"})
    assert result.pending_tool_calls == [request]
    assert (result.rounds, result.cancelled, result.cancel_reason) == (1, False, None)
    assert [message.role for message in chat] == ["user", "assistant"]
    assert chat[-1].tool_calls == [request]
    (create,) = creates(server)
    (layer,) = create["creationParameter"]["predictionConfigStack"]["layers"]
    value = {"type": "toolArray", "tools": [{"type": "function", "function": FUNCTION}]}
    assert layer["config"]["fields"] == [{"key": "llm.prediction.tools", "value": value}]


def test_a_tool_of_openai_needs_a_name_only(server, half, chat):
    server.reply(tool_calls=[call("now")])

    result = act(half, chat, [{"type": "function", "function": {"name": "now"}}])

    assert [request.name for request in result.pending_tool_calls] == ["now"]
    (create,) = creates(server)
    (layer,) = create["creationParameter"]["predictionConfigStack"]["layers"]
    (tool,) = layer["config"]["fields"][0]["value"]["tools"]
    schema = {"type": "object", "properties": {}}
    assert tool["function"] == {"name": "now", "description": "", "parameters": schema}


def test_the_loop_goes_on_from_the_results(server, half, chat):
    server.reply("Let me ask.", tool_calls=[ask("Which?", id="1"), ask("When?", id="2")])
    server.reply("And now?", tool_calls=[ask("Sure?", id="3")])
    server.reply("The red one, tomorrow.")
    asked = []

    for _ in range(5):
        result = act(half, chat, [ASK], on_message=chat.append)
        if not result.pending_tool_calls:
            break
        asked += [request.arguments["question"] for request in result.pending_tool_calls]
        chat.add_tool_results(answer(r, '"Yes."') for r in result.pending_tool_calls)

    assert asked == ["Which?", "When?", "Sure?"]
    roles = ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [message.role for message in chat] == roles
    assert unanswered(chat) == []
    assert result.pending_tool_calls == []
    histories = [create["creationParameter"]["history"] for create in creates(server)]
    assert histories == [chat[:1].to_dict(), chat[:3].to_dict(), chat[:5].to_dict()]


def test_tools_with_an_implementation_run_beside_it(server, half, tools, chat):
    server.reply(
        "Let me.",
        tool_calls=[
            {**call("add", a=1), "id": "1"},
            ask(id="2"),
            {**call("add", a=2), "id": "3"},
            {**call("nobody"), "id": "4"},
        ],
    )
    server.reply("Done.")

    result = act(half, chat, [tools.add, ASK], on_message=chat.append)

    assert [request.id for request in result.pending_tool_calls] == ["2"]
    assert tools.calls == [("add", 1, 10), ("add", 2, 10)]
    assert results(chat) == ["11", "12", "Cannot find tool with name nobody."]
    assert unanswered(chat) == ["2"]
    chat.add_tool_result(answer(result.pending_tool_calls[0], '"Red."'))
    assert unanswered(chat) == []
    assert act(half, chat, [tools.add, ASK], on_message=chat.append).pending_tool_calls == []
    history = creates(server)[1]["creationParameter"]["history"]
    assert history == chat[:4].to_dict()


def test_a_call_waits_for_the_tools_before_it_and_holds_up_none_after_it(server, half, tools, chat):
    server.reply(tool_calls=[ask(id="1"), call("add", a=1), ask(id="2"), call("add", a=2)])
    log = []

    result = act(
        half,
        chat,
        [tools.add, ASK],
        on_tool_call_request_finalized=lambda n, request, i: log.append((n, request.name)),
        on_tool_call_result=lambda n, part, i: log.append((n, part.content)),
    )

    assert [request.id for request in result.pending_tool_calls] == ["1", "2"]
    assert log == [(0, "ask"), (1, "add"), (1, "11"), (2, "ask"), (3, "add"), (3, "12")]


def test_arguments_that_do_not_fit_are_told_to_the_model_and_are_not_left_to_others(
    server, half, chat
):
    server.reply(tool_calls=[call("ask", question=5), call("ask")])
    server.reply("I see.")

    result = act(half, chat, [ASK], on_message=chat.append)

    assert (result.rounds, result.pending_tool_calls) == (2, [])
    assert results(chat) == [
        "Failed to parse arguments for tool ask: question: expected string, got 5",
        "Failed to parse arguments for tool ask: question: missing",
    ]


def test_the_guard_has_its_say(server, half, chat):
    def guard(controller):
        question = controller.tool_call_request.arguments["question"]
        if question == "Which?":
            controller.deny("Do not ask.")
        elif question == "When?":
            controller.allow_and_override_parameters({"question": "On which day?"})
        else:
            controller.allow()

    server.reply(tool_calls=[ask("Which?"), ask("When?"), ask("Sure?")])

    result = act(half, chat, [ASK], on_message=chat.append, guard_tool_call=guard)

    left = [request.arguments["question"] for request in result.pending_tool_calls]
    assert left == ["On which day?", "Sure?"]
    assert results(chat) == ['{"error": "Do not ask."}']
    assert [r.arguments["question"] for r in chat[1].tool_calls] == ["Which?", *left]


def test_a_guard_that_denies_all_lets_the_loop_go_on(server, half, chat):
    server.reply(tool_calls=[ask()])
    server.reply("Well, then not.")

    result = act(
        half, chat, [ASK], on_message=chat.append, guard_tool_call=lambda guarded: guarded.deny()
    )

    assert (result.rounds, result.pending_tool_calls) == (2, [])
    assert unanswered(chat) == []


def test_none_is_offered_in_the_last_round_that_is_allowed(server, half, chat):
    server.reply(tool_calls=[ask(id="1")])

    with pytest.raises(lms.LMStudioPredictionError, match="final prediction round"):
        act(half, chat, [ASK], on_message=chat.append, max_prediction_rounds=1)

    assert results(chat) == ["Cannot find tool with name ask."]


@pytest.mark.parametrize("order", [["ask", "polite"], ["polite", "ask"]])
def test_a_cancel_answers_them_too_and_leaves_none(held, model, waiting_tools, chat, order):
    token = lms.CancelToken()
    completed = threading.Event()  # both are heard then
    worker = Worker(
        lambda: model.act(
            chat,
            [ASK, waiting_tools.polite],
            cancel_event=token,
            max_parallel_tool_calls=None,
            on_message=chat.append,
            on_prediction_completed=lambda _: completed.set(),
        )
    )
    prediction = held.expect("predict")
    for name in order:
        prediction.tool_call(name, {"question": "Which?"} if name == "ask" else {}, id=name)
    prediction.success("toolCalls")
    assert completed.wait(10)
    waiting_tools.wait_started()

    token.cancel("enough")

    result = worker.result()
    assert (result.cancelled, result.cancel_reason) == (True, "enough")
    assert result.pending_tool_calls == []
    assert results(chat) == ["cancelled", "cancelled"]
    assert unanswered(chat) == []


def test_a_cancel_while_the_model_still_writes_answers_them_too(held, model, chat):
    token = lms.CancelToken()
    asked = threading.Event()
    worker = Worker(
        lambda: model.act(
            chat,
            [ASK],
            cancel_event=token,
            on_message=chat.append,
            on_tool_call_request_finalized=lambda *_: asked.set(),
        )
    )
    prediction = held.expect("predict")
    prediction.tool_call("ask", {"question": "Which?"})
    assert asked.wait(10)

    token.cancel("enough")

    prediction.expect_cancel()
    prediction.success("userStopped")
    result = worker.result()
    assert (result.cancelled, result.pending_tool_calls) == (True, [])
    assert results(chat) == ["cancelled"]


def test_a_cancel_after_the_round_comes_too_late(server, half, chat):
    token = lms.CancelToken()
    server.reply(tool_calls=[ask()])

    result = act(
        half, chat, [ASK], cancel_event=token, on_round_end=lambda index: token.cancel("late")
    )

    assert (result.cancelled, result.cancel_reason) == (False, None)
    assert len(result.pending_tool_calls) == 1


def test_the_result_of_an_act_can_be_hashed_and_compared():
    one = lms.ActResult(rounds=1, total_time_seconds=0.5)
    other = lms.ActResult(
        rounds=1, total_time_seconds=0.5, pending_tool_calls=[lms.ToolCallRequest(name="ask")]
    )
    assert hash(one) == hash(lms.ActResult(rounds=1, total_time_seconds=0.5)) == hash(other)
    assert one != other
