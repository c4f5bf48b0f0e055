"""What `act()` tells of each tool call once the model has written it, and in which order."""

import threading

import pytest
from agent.acting import act, call, results
from helpers import Worker

import lmstudio as lms


class Log:
    """Notes all callbacks of tool calls."""

    def __init__(self):
        self.lines = []
        self.callbacks = {
            "on_tool_call_request_end": lambda n, request, i: self.note("end", n, request.name, i),
            "on_tool_call_request_dequeued": lambda n, i: self.note("dequeued", n, i),
            "on_tool_call_request_finalized": lambda n, request, i: self.note(
                "finalized", n, request.arguments, i
            ),
            "on_tool_call_success": lambda n, part, i: self.note("success", n, part.content, i),
            "on_tool_call_result": lambda n, part, i: self.note("result", n, part, i),
            "on_message": lambda message: self.note(message.role),
            "on_round_end": lambda i: self.note("round end", i),
        }

    def note(self, *what):
        self.lines.append(what)

    def of(self, number):
        return [line[0] for line in self.lines if line[1:2] == (number,) and len(line) > 2]


@pytest.fixture
def log():
    return Log()


def told(content, name, tool_call_id):
    return lms.ToolCallResultData(content=content, tool_call_id=tool_call_id, name=name)


def test_each_comes_once_and_in_order_for_tools_that_run_one_after_another(held, half, log):
    release = lms.CancelToken()

    def slow() -> str:
        """Wait."""
        release.wait(10)
        return "slow"

    def guard(controller):
        log.note("guard", controller.call_id, controller.round_index, "")
        controller.allow()

    def answer():
        first = held.expect("predict")
        first.tool_call("slow", id="a")
        first.tool_call("slow", id="b")
        first.success("toolCalls")
        second = held.expect("predict")
        second.tool_call("slow", id="c")
        second.success("toolCalls")
        held.expect("predict").success()

    end = log.callbacks["on_tool_call_request_end"]

    def noted(number, request, index):
        end(number, request, index)
        if number == 1:  # the first tool runs until the second call was asked for
            release.cancel()

    log.callbacks["on_tool_call_request_end"] = noted
    worker = Worker(answer)
    act(half, "Go.", [slow], guard_tool_call=guard, **log.callbacks)
    worker.result()

    start = log.lines.index(("finalized", 0, {}, 0))
    assert log.lines[:start] == [("end", 0, "slow", 0), ("guard", 0, 0, "")]
    assert log.lines[start:] == [
        ("finalized", 0, {}, 0),
        ("end", 1, "slow", 0),
        ("success", 0, '"slow"', 0),
        ("result", 0, told('"slow"', "slow", "a"), 0),
        ("dequeued", 1, 0),
        ("guard", 1, 0, ""),
        ("finalized", 1, {}, 0),
        ("success", 1, '"slow"', 0),
        ("result", 1, told('"slow"', "slow", "b"), 0),
        *[("assistant",), ("tool",), ("round end", 0)],
        ("end", 2, "slow", 1),
        ("guard", 2, 1, ""),
        ("finalized", 2, {}, 1),
        ("success", 2, '"slow"', 1),
        ("result", 2, told('"slow"', "slow", "c"), 1),
        *[("assistant",), ("tool",), ("round end", 1)],
        *[("assistant",), ("round end", 2)],
    ]


def test_what_runs_at_once_was_never_queued(server, half, tools, log):
    server.reply(tool_calls=[call("add", a=n) for n in range(3)])
    server.reply("Done.")

    act(half, "Go.", [tools.add], max_parallel_tool_calls=None, **log.callbacks)

    assert not [line for line in log.lines if line[0] == "dequeued"]
    for number in range(3):
        assert log.of(number) == ["end", "finalized", "success", "result"]


def test_a_result_is_told_for_whatever_the_model_is_told(server, half, tools, chat, log):
    def fail() -> None:
        """Fail."""
        raise ValueError("no such file")

    def guard(controller):
        if controller.tool_call_request.arguments.get("a") == 3:
            controller.deny("too much")
        elif controller.tool_call_request.arguments.get("a") == 4:
            controller.allow_and_override_parameters({"a": 40})
        else:
            controller.allow()

    server.reply(
        tool_calls=[
            *[call("nobody"), call("add", a="many"), call("fail")],
            *[call("add", a=3), call("add", a=4)],
        ]
    )
    server.reply("I see.")
    parts = {}
    log.callbacks["on_message"] = chat.append
    log.callbacks["on_tool_call_result"] = lambda n, part, i: (
        parts.setdefault(n, part),
        log.note("result", n, part.content, i),
    )

    act(
        half,
        chat,
        [tools.add, fail],
        max_parallel_tool_calls=None,
        guard_tool_call=guard,
        **log.callbacks,
    )

    assert [log.of(number) for number in range(5)] == [
        ["end", "result"],
        ["end", "result"],
        ["end", "finalized", "result"],
        ["end", "result"],
        ["end", "finalized", "success", "result"],
    ]
    assert ("finalized", 4, {"a": 40}, 0) in log.lines
    assert [parts[number] for number in range(5)] == chat[2].content


def test_after_a_cancel_each_call_is_answered_once(held, model, waiting_tools, chat, log):
    token = lms.CancelToken()
    log.callbacks["on_message"] = chat.append
    completed = threading.Event()  # all three are heard then
    worker = Worker(
        lambda: model.act(
            chat,
            [waiting_tools.polite, waiting_tools.quick],
            cancel_event=token,
            on_prediction_completed=lambda _: completed.set(),
            **log.callbacks,
        )
    )
    prediction = held.expect("predict")
    for name in ("quick", "polite", "quick"):
        prediction.tool_call(name, id=name)
    prediction.success("toolCalls")
    assert completed.wait(10)
    waiting_tools.wait_started()

    token.cancel("enough")

    assert worker.result().cancelled
    assert results(chat) == ['"quick"', "cancelled", "cancelled"]
    told = [line for line in log.lines if line[0] == "result"]
    assert sorted((number, part.content) for _, number, part, _ in told) == [
        (0, '"quick"'),
        (1, "cancelled"),
        (2, "cancelled"),
    ]
    assert log.of(2) == ["end", "result"]


@pytest.mark.parametrize(
    "name",
    [
        "on_tool_call_request_dequeued",
        "on_tool_call_request_finalized",
        "on_tool_call_success",
        "on_tool_call_result",
    ],
)
def test_what_one_raises_ends_act(held, half, tools, chat, name):
    release = lms.CancelToken()

    def wait() -> None:
        """Wait until another call waits for its turn."""
        release.wait(10)

    def answer():
        prediction = held.expect("predict")
        prediction.tool_call("wait")
        prediction.tool_call("wait")
        return prediction.expect_cancel()

    def fail(*arguments):
        raise KeyError(name)

    def noted(number, request, index):
        if number == 1:
            release.cancel()

    worker = Worker(answer)
    with pytest.raises(KeyError, match=name):
        act(
            half,
            chat,
            [wait],
            on_message=chat.append,
            on_tool_call_request_end=noted,
            **{name: fail},
        )
    release.cancel()
    worker.result()

    assert len(chat) == 1


@pytest.mark.parametrize("name", ["on_tool_call_request_dequeued", "on_tool_call_result"])
def test_one_that_cannot_be_called_is_refused_before_anything_is_sent(server, model, tools, name):
    with pytest.raises(lms.LMStudioValueError, match=f"{name} is called with"):
        model.act("Go.", [tools.add], **{name: lambda: None})

    assert server.predictions == []


def test_a_callback_may_cancel_what_it_is_told_of(server, half, tools, chat):
    token = lms.CancelToken()
    server.reply(tool_calls=[call("add", a=1)])

    result = act(
        half,
        chat,
        [tools.add],
        cancel_event=token,
        on_message=chat.append,
        on_tool_call_request_finalized=lambda *_: token.cancel("not this one"),
    )

    assert (result.cancelled, result.cancel_reason) == (True, "not this one")
    assert tools.calls == []
    assert results(chat) == ["cancelled"]
