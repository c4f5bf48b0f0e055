"""`act()`: rounds, tools, callbacks, and what a tool is told."""

import attrs
import pytest
from agent.acting import call, results
from helpers import Worker, creates, valid_chat

import lmstudio as lms


def offered(message):
    """The tools of one request of a prediction: their names, or the type of the setting."""
    (layer,) = message["creationParameter"]["predictionConfigStack"]["layers"]
    values = {field["key"]: field["value"] for field in layer["config"]["fields"]}
    setting = values.get("llm.prediction.tools")
    if setting is None or setting["type"] != "toolArray":
        return setting
    return [tool["function"]["name"] for tool in setting["tools"]]


# -- rounds -----------------------------------------------------------------------------------


def test_the_model_gets_what_the_tools_returned_and_answers(server, model, tools, chat):
    server.reply("Let me see.", tool_calls=[call("add", a=1, b=2), call("shout", text="hi")])
    server.reply("Three.")

    result = model.act(chat, [tools.add, tools.shout], on_message=chat.append)

    assert (result.rounds, result.cancelled, result.cancel_reason) == (2, False, None)
    assert result.total_time_seconds > 0
    assert tools.calls == [("add", 1, 2), ("shout", "hi")]
    assert [message.role for message in chat] == ["user", "assistant", "tool", "assistant"]
    assert results(chat) == ["3", '"HI"']
    assert valid_chat(chat)
    first, second = creates(server)
    assert offered(first) == offered(second) == ["add", "shout"]
    history = second["creationParameter"]["history"]
    assert history == chat[:3].to_dict()


def test_the_chat_that_was_given_is_not_changed(server, model, tools, chat):
    server.reply("", tool_calls=[call("add", a=1)])
    server.reply("11.")

    model.act(chat, [tools.add])

    assert list(chat) == list(lms.Chat.from_history("How much is it?"))
    assert tools.calls == [("add", 1, 10)]


def test_callbacks_come_in_order_with_the_index_of_their_round(server, model, tools):
    server.reply(["Let", " me"], tool_calls=[{**call("add", a=1), "id": "x7"}])
    server.reply(["11."])
    log = []

    def note(name):
        return lambda *arguments: log.append((name, *arguments))

    model.act(
        "How much?",
        [tools.add],
        on_round_start=note("start"),
        on_round_end=note("end"),
        on_first_token=note("first"),
        on_prompt_processing_progress=note("progress"),
        on_prediction_fragment=lambda fragment, index: log.append((fragment.content, index)),
        on_prediction_completed=lambda result: log.append((result.content, result.round_index)),
        on_message=lambda message: log.append(message.role),
        on_tool_call_request_start=note("call"),
        on_tool_call_request_name_received=note("name"),
        on_tool_call_request_argument_fragment_generated=note("arguments"),
        on_tool_call_request_end=lambda call_id, request, index: log.append(
            ("called", call_id, request.arguments, index)
        ),
    )

    assert log == [
        *[("start", 0), ("progress", 0.0, 0), ("progress", 1.0, 0), ("first", 0)],
        *[("Let", 0), (" me", 0), ("call", 0, "x7", 0), ("name", 0, "add", 0)],
        *[("arguments", 0, '{"a"', 0), ("arguments", 0, ":1}", 0), ("called", 0, {"a": 1}, 0)],
        *[("Let me", 0), "assistant", "tool", ("end", 0)],
        *[("start", 1), ("progress", 0.0, 1), ("progress", 1.0, 1), ("first", 1), ("11.", 1)],
        *[("11.", 1), "assistant", ("end", 1)],
    ]


def test_names_and_arguments_are_reported_before_the_end_even_if_the_server_skips_them(
    server, model, tools
):
    server.hold("predict")
    log = []

    def answer():
        first = server.expect("predict")
        request = {"type": "function", "name": "add", "arguments": {"a": 1}}
        first.packet({"type": "toolCallGenerationEnd", "toolCallRequest": request})
        first.success("toolCalls")
        second = server.expect("predict")
        second.success()

    worker = Worker(answer)
    chat = lms.Chat()
    model.act(
        "How much?",
        [tools.add],
        on_message=chat.append,
        on_tool_call_request_start=lambda *a: log.append(("start", *a)),
        on_tool_call_request_name_received=lambda *a: log.append(("name", *a)),
        on_tool_call_request_argument_fragment_generated=lambda *a: log.append(("part", *a)),
        on_tool_call_request_end=lambda call_id, request, index: log.append("end"),
    )
    worker.result()

    assert log == [("start", 0, None, 0), ("name", 0, "add", 0), ("part", 0, '{"a": 1}', 0), "end"]
    (result,) = chat[1].content
    assert (result.content, result.name) == ("11", "add")  # by name, for want of an id


def test_numbers_of_tool_calls_go_on_over_the_rounds(server, model, tools):
    server.reply("", tool_calls=[call("add", a=1), call("add", a=2)])
    server.reply("", tool_calls=[call("add", a=3)])
    server.reply("Done.")
    numbers = []

    model.act("?", [tools.add], on_tool_call_request_end=lambda n, r, i: numbers.append((n, i)))

    assert numbers == [(0, 0), (1, 0), (2, 1)]


def test_the_last_round_offers_no_tools_and_requires_none(server, model, tools, chat):
    server.reply("", tool_calls=[call("add", a=1)])
    server.reply("Eleven.")
    config = {"toolChoice": {"type": "generic", "mode": "required"}}

    result = model.act(
        chat, [tools.add], max_prediction_rounds=2, config=config, on_message=chat.append
    )

    assert result.rounds == 2
    first, last = creates(server)
    assert offered(first) == ["add"]
    assert offered(last) == {"type": "none"}
    (layer,) = last["creationParameter"]["predictionConfigStack"]["layers"]
    choice = {"type": "generic", "mode": "auto"}
    assert {"key": "llm.prediction.toolChoice", "value": choice} in layer["config"]["fields"]
    assert chat[-1].content[0].text == "Eleven."


def test_a_single_round_sends_what_javascript_sends(server, model, tools):
    server.reply("Eleven.")

    model.act("How much?", [tools.add], max_prediction_rounds=1)

    (only,) = creates(server)
    (layer,) = only["creationParameter"]["predictionConfigStack"]["layers"]
    assert layer["config"]["fields"] == [
        {"key": "llm.prediction.tools", "value": {"type": "none"}},
        {"key": "llm.prediction.toolChoice", "value": {"type": "generic", "mode": "auto"}},
    ]


def test_each_result_names_its_tool(server, model, tools, chat):
    calls = [call("add", a=1), call("nobody"), call("shout", text=5), call("shout", text="a")]
    for number, request in enumerate(calls):
        request["id"] = f"id-{number}"
    server.reply("", tool_calls=calls)
    server.reply("Done.")

    def guard(controller):
        if controller.tool_call_request.name == "add":
            controller.deny("Not now.")
        else:
            controller.allow()

    model.act(chat, [tools.add, tools.shout], on_message=chat.append, guard_tool_call=guard)

    _, last = creates(server)
    answered = last["creationParameter"]["history"]["messages"][-1]["content"]
    assert [part["name"] for part in answered] == ["add", "nobody", "shout", "shout"]
    assert [part["toolCallId"] for part in answered] == ["id-0", "id-1", "id-2", "id-3"]


def test_a_tool_call_in_the_last_round_is_an_error_and_leaves_the_chat_valid(
    server, model, tools, chat
):
    server.reply("Let me.", tool_calls=[call("add", a=1)])
    told = []

    with pytest.raises(lms.LMStudioPredictionError, match="final prediction round"):
        model.act(
            chat,
            [tools.add],
            max_prediction_rounds=1,
            on_message=chat.append,
            handle_invalid_tool_request=lambda error, request: told.append(
                request and request.name
            ),
        )

    assert tools.calls == []
    assert told == ["add", None]
    assert results(chat) == ["Cannot find tool with name add."]
    assert valid_chat(chat)


def test_results_stand_in_the_order_of_the_requests(server, model):
    started = []
    release = lms.CancelToken()

    def slow() -> str:
        """Come last."""
        started.append("slow")
        release.wait(10)
        return "slow"

    def fast() -> str:
        """Come first."""
        started.append("fast")
        release.set()
        return "fast"

    server.reply("", tool_calls=[call("slow"), call("fast")])
    server.reply("Done.")
    chat = lms.Chat()
    chat.add_user_message("Go.")

    model.act(chat, [slow, fast], max_parallel_tool_calls=None, on_message=chat.append)

    assert sorted(started) == ["fast", "slow"]
    assert results(chat) == ['"slow"', '"fast"']


def test_tools_run_one_after_another_unless_told_otherwise(server, model):
    running, most = [], []

    def tool(n: int) -> int:
        """Count."""
        running.append(n)
        most.append(len(running))
        running.remove(n)
        return n

    server.reply("", tool_calls=[call("tool", n=n) for n in range(8)])
    server.reply("Done.")

    model.act("?", [tool])

    assert most == [1] * 8


def test_a_tool_starts_while_the_model_still_generates(server, model):
    server.hold("predict")
    has_run = lms.CancelToken()

    def note() -> None:
        """Note it."""
        has_run.set()

    worker = Worker(model.act, "?", [note])
    first = server.expect("predict")
    first.tool_call("note")
    assert has_run.wait(10)
    first.fragment("and more")
    first.success("toolCalls")
    server.expect("predict").success()

    assert worker.result().rounds == 2


def test_results_of_any_type_that_json_has_a_form_for_are_told(server, model):
    @attrs.define
    class Point:
        x: int

    def where() -> Point:
        """Tell."""
        return Point(3)

    server.reply("", tool_calls=[call("where")])
    server.reply("Done.")
    chat = lms.Chat("s")
    chat.add_user_message("?")

    model.act(chat, [where], on_message=chat.append)

    assert results(chat) == ['{"x": 3}']


# -- what a tool is told ----------------------------------------------------------------------


def test_a_tool_may_ask_for_its_context_and_speak_through_it(server, model):
    seen, said = [], []

    def search(query: str, context: lms.ToolCallContext) -> str:
        """Search."""
        seen.append((context.call_id, context.round_index, context.cancel_token.is_set()))
        context.status("reading")
        context.warn("slow disk")
        return query

    server.reply("", tool_calls=[call("search", query="q")])
    server.reply("Done.")

    model.act(
        "?",
        [search],
        on_tool_call_status=lambda *a: said.append(("status", *a)),
        on_tool_call_warning=lambda *a: said.append(("warning", *a)),
    )

    assert seen == [(0, 0, False)]
    assert said == [("status", 0, "reading", 0), ("warning", 0, "slow disk", 0)]
    (layer,) = creates(server)[0]["creationParameter"]["predictionConfigStack"]["layers"]
    (tool,) = layer["config"]["fields"][0]["value"]["tools"]
    assert list(tool["function"]["parameters"]["properties"]) == ["query"]
