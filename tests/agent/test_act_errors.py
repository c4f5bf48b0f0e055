"""`act()`: requests that cannot be met, the guard, and its ways out by errors."""

import threading

import pytest
from agent.acting import call, results
from helpers import creates, valid_chat

import lmstudio as lms

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

    assert list(chat) == list(lms.Chat.from_history("How much is it?"))
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
    completed = threading.Event()

    def cut() -> str:
        """Cut the connection."""
        assert completed.wait(10)  # a tool may begin before the server has ended the prediction
        server.drop_all()
        return "cut"

    server.reply("", tool_calls=[call("cut")])
    server.reply("Done.")

    result = model.act(
        chat, [cut], on_message=chat.append, on_prediction_completed=lambda _: completed.set()
    )
    assert result.rounds == 2
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
        ({"max_prediction_rounds": 0}, "Max prediction rounds must be at least 1"),
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
