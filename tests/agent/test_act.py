"""`act()`: rounds, tools, callbacks, the guard, and its ways out by errors."""

import attrs
import pytest
from helpers import Worker, creates, valid_chat

import lmstudio as lms


class Tools:
    """Two tools that remember their calls."""

    def __init__(self):
        self.calls = []

    def add(self, a: int, b: int = 10) -> int:
        """Add two numbers."""
        self.calls.append(("add", a, b))
        return a + b

    def shout(self, text: str) -> str:
        """Say it in capital letters."""
        self.calls.append(("shout", text))
        return text.upper()


@pytest.fixture
def tools():
    return Tools()


@pytest.fixture
def chat():
    return lms.Chat.from_history("How much is it?")


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def results(chat):
    return [part.content for message in chat if message.role == "tool" for part in message.content]


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

    assert chat == lms.Chat.from_history("How much is it?")
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


# -- requests that cannot be met --------------------------------------------------------------


def test_the_model_is_told_of_unknown_tools_bad_arguments_and_failures(server, model, tools, chat):
    def fail() -> None:
        """Fail."""
        raise ValueError("no such file")

    calls = [call("nobody"), call("add", a="many"), call("fail"), call("add", a="2")]
    server.reply("", tool_calls=calls)
    server.reply("I see.")

    model.act(chat, [tools.add, fail], on_message=chat.append)

    assert results(chat) == [
        "Cannot find tool with name nobody.",
        "Failed to parse arguments for tool add: a: expected integer, got 'many'",
        "\"Unhandled Python exception: ValueError('no such file')\"",
        "12",
    ]
    assert valid_chat(chat)


def test_the_handler_of_invalid_requests_may_say_something_else(server, model, tools, chat):
    def fail() -> None:
        """Fail."""
        raise ValueError("secret")

    server.reply("", tool_calls=[call("nobody"), call("fail")])
    server.reply("I see.")
    seen = []

    def handle(error, request):
        seen.append((str(error), type(error.__cause__), request.name))
        return "Try again." if request.name == "fail" else None

    model.act(chat, [fail], on_message=chat.append, handle_invalid_tool_request=handle)

    assert seen == [
        ("Cannot find tool with name nobody.", type(None), "nobody"),
        ("Unhandled Python exception: ValueError('secret')", ValueError, "fail"),
    ]
    assert results(chat) == ["Cannot find tool with name nobody.", '"Try again."']


def test_what_the_handler_raises_ends_act_and_the_prediction(server, model, tools, chat):
    server.reply(["a"] * 5, tool_calls=[call("nobody")])

    def handle(error, request):
        raise KeyError(request.name)

    with pytest.raises(KeyError, match="nobody"):
        model.act(chat, [tools.add], on_message=chat.append, handle_invalid_tool_request=handle)

    assert chat == lms.Chat.from_history("How much is it?")
    (prediction,) = server.predictions
    prediction.wait_finished()


def test_a_tool_call_that_cannot_be_read_is_an_error_that_the_handler_hears_of(
    server, model, tools, chat
):
    failed, handled = [], []
    server.reply("", tool_calls=[{**call("add"), "failure": "Not JSON."}])

    with pytest.raises(lms.LMStudioPredictionError, match="Failed to parse tool call request"):
        model.act(
            chat,
            [tools.add],
            on_message=chat.append,
            on_tool_call_request_failure=lambda *a: failed.append(a),
            handle_invalid_tool_request=lambda error, request: handled.append(request),
        )

    ((call_id, error, index),) = failed
    assert (call_id, index, handled) == (0, 0, [None])
    assert "Not JSON." in str(error)
    assert len(chat) == 1


def test_a_tool_that_raises_something_else_than_an_exception_ends_act(server, model, chat):
    def leave() -> None:
        """Leave."""
        raise SystemExit(3)

    server.reply("", tool_calls=[call("leave")])

    with pytest.raises(SystemExit):
        model.act(chat, [leave], on_message=chat.append)

    assert len(chat) == 1


# -- the guard --------------------------------------------------------------------------------


def test_a_guard_may_allow_change_and_deny(server, model, tools, chat):
    server.reply("", tool_calls=[call("add", a=1), call("add", a=2), call("add", a=3)])
    server.reply("Done.")
    seen = []

    def guard(controller):
        a = controller.tool_call_request.arguments["a"]
        seen.append((a, controller.call_id, controller.round_index))
        if a == 1:
            controller.allow()
        elif a == 2:
            controller.allow_and_override_parameters({"a": "20"})
        else:
            controller.deny("too much")

    model.act(chat, [tools.add], on_message=chat.append, guard_tool_call=guard)

    assert seen == [(1, 0, 0), (2, 1, 0), (3, 2, 0)]
    assert tools.calls == [("add", 1, 10), ("add", 20, 10)]
    assert results(chat) == ["11", "30", '{"error": "too much"}']
    requests = [part.tool_call_request.arguments for part in chat[1].content[1:]]
    assert requests == [{"a": 1}, {"a": "20"}, {"a": 3}]


@pytest.mark.parametrize(
    ("guard", "error", "words"),
    [
        (lambda controller: None, lms.LMStudioRuntimeError, "without a decision"),
        (lambda c: (c.allow(), c.deny()), lms.LMStudioRuntimeError, "decided before"),
        (
            lambda c: c.allow_and_override_parameters({"a": "x"}),
            lms.LMStudioValueError,
            "do not fit add: a: expected integer",
        ),
        (lambda c: c.allow_and_override_parameters(3), lms.LMStudioValueError, "dict"),
        (lambda c: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_a_guard_that_is_wrong_ends_act_before_the_tool_runs(
    server, model, tools, chat, guard, error, words
):
    server.reply("", tool_calls=[call("add", a=1)])

    with pytest.raises(error, match=words):
        model.act(chat, [tools.add], on_message=chat.append, guard_tool_call=guard)

    assert tools.calls == []
    assert len(chat) == 1


# -- errors of the server, and wrong use ------------------------------------------------------


def test_an_error_of_the_server_ends_act_with_what_was_received(server, model, tools, chat):
    server.reply(["a", "b", "c"], error_after=2)

    with pytest.raises(lms.LMStudioServerError) as caught:
        model.act(chat, [tools.add], on_message=chat.append)

    assert caught.value.partial.content == "ab"
    assert len(chat) == 1


def test_a_lost_connection_ends_act_and_the_next_one_works(server, model, tools, chat):
    server.reply(["a", "b"], drop_after=1)
    server.reply("Fine.")

    with pytest.raises(lms.LMStudioConnectionLostError) as caught:
        model.act(chat, [tools.add], on_message=chat.append)
    assert caught.value.partial.content == "a"

    assert model.act(chat, [tools.add], on_message=chat.append).rounds == 1
    assert chat[-1].content[0].text == "Fine."


def test_a_connection_that_is_lost_while_a_tool_runs_is_opened_again(server, model, chat):
    def cut() -> str:
        """Cut the connection."""
        server.drop_all()
        return "cut"

    server.reply("", tool_calls=[call("cut")])
    server.reply("Done.")

    assert model.act(chat, [cut], on_message=chat.append).rounds == 2
    assert results(chat) == ['"cut"']


@pytest.mark.parametrize("name", ["on_message", "on_round_end", "on_prediction_completed"])
def test_what_a_callback_raises_ends_act(server, model, tools, chat, name):
    server.reply("", tool_calls=[call("add", a=1)])

    with pytest.raises(ZeroDivisionError):
        model.act(chat, [tools.add], **{name: lambda argument: 1 / 0})

    assert len(creates(server)) == 1


def test_results_follow_their_requests_though_the_first_callback_raised(server, model, tools, chat):
    server.reply("", tool_calls=[call("add", a=1)])

    def keep(message):
        chat.append(message)
        if message.role == "assistant":
            raise KeyError("stop")

    with pytest.raises(KeyError):
        model.act(chat, [tools.add], on_message=keep)

    assert valid_chat(chat)
    assert results(chat) == ["11"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": []}, "at least one tool"),
        ({"tools": None}, "given as a list"),
        ({"max_prediction_rounds": 0}, "max_prediction_rounds must be at least 1"),
        ({"max_parallel_tool_calls": 0}, "max_parallel_tool_calls must be at least 1"),
        ({"tool_timeout": -1}, "tool_timeout must be a number of seconds"),
        ({"on_message": 3}, "on_message must be a function"),
        ({"guard_tool_call": "no"}, "guard_tool_call must be a function"),
        ({"handle_invalid_tool_request": 1}, "handle_invalid_tool_request must be a function"),
        ({"cancel_event": 3}, "cancel_event must be"),
        ({"timeout": "1"}, "timeout must be a number of seconds"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(server, model, tools, options, words):
    arguments = {"tools": [tools.add], **options}

    with pytest.raises(lms.LMStudioValueError, match=words):
        model.act("?", **arguments)

    assert not creates(server)


# -- respond() with tools that the caller calls -----------------------------------------------


def test_respond_reports_tool_calls_as_they_are_written(server, model):
    server.reply("Let me.", tool_calls=[{**call("add", a=1), "id": "x"}])
    log = []

    result = model.respond(
        "?",
        config={"rawTools": {"type": "toolArray", "tools": []}},
        on_tool_call_request_start=lambda *a: log.append(a),
        on_tool_call_request_name_received=lambda *a: log.append(a),
        on_tool_call_request_argument_fragment_generated=lambda *a: log.append(a),
        on_tool_call_request_end=lambda call_id, request: log.append((call_id, request.arguments)),
    )

    assert log == [(0, "x"), (0, "add"), (0, '{"a"'), (0, ":1}"), (0, {"a": 1})]
    assert result.content == "Let me."
    assert result.stats.stop_reason == "toolCalls"


def test_respond_reports_a_tool_call_that_cannot_be_read_and_goes_on(server, model):
    server.reply("Hm.", tool_calls=[{**call("add"), "failure": "Not JSON."}])
    failed = []

    result = model.respond("?", on_tool_call_request_failure=lambda *a: failed.append(a))

    ((call_id, error),) = failed
    assert (call_id, result.content) == (0, "Hm.")
    assert "Not JSON." in str(error)


def test_a_tool_call_that_is_no_protocol_fails_the_prediction_with_what_came_before(server, model):
    server.hold("predict")
    stream = model.respond_stream("?")
    stream.start()
    held = server.expect("predict")
    held.fragment("so far")
    held.packet({"type": "toolCallGenerationEnd", "toolCallRequest": {"name": 3}})

    with pytest.raises(lms.LMStudioProtocolError) as caught:
        stream.result()

    assert caught.value.partial.content == "so far"
    held.expect_cancel()
    held.success()


def test_results_follow_their_requests_though_the_client_was_closed_in_between(
    server, client, model, tools, chat
):
    server.reply("", tool_calls=[call("add", a=1)])

    def keep(message):
        chat.append(message)
        client.close()

    model.act(chat, [tools.add], on_message=keep)

    assert results(chat) == ["11"]
    assert valid_chat(chat)


def test_arguments_that_are_no_object_fail_the_prediction(server, model, tools):
    server.hold("predict")
    worker = Worker(model.act, "?", [tools.add])
    held = server.expect("predict")
    request = {"type": "function", "name": "add", "id": "x", "arguments": [1]}
    held.packet({"type": "toolCallGenerationEnd", "toolCallRequest": request})

    error = worker.error()
    assert isinstance(error, lms.LMStudioProtocolError)
    assert "arguments is no object" in str(error)
    held.expect_cancel()
    held.success()
