"""Tools that misbehave while `act()` is cancelled."""

import functools
import threading

import pytest
from agent.act_cancelling import assert_cancelled, in_a_tool
from agent.acting import results
from concurrency.targets import interrupt
from desktop.background import Window
from helpers import Worker, eventually, outcome

import lmstudio as lms
from lmstudio._agent.tool_calls import ToolCalls

pytestmark = pytest.mark.races


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_tool_that_never_stops_talking_does_not_hold_act_up(server, how):
    started, stop = threading.Event(), threading.Event()

    def chatty(context: lms.ToolCallContext) -> None:
        """Talk."""
        while not stop.is_set():
            context.status("still here")
            started.set()

    token = lms.CancelToken()
    options = {"cancel_event": token} if how == "cancel" else {"timeout": 1.5}
    server.reply("", tool_calls=[{"name": "chatty", "arguments": {}}])
    with lms.Client(server.host, cancel_grace=0.05) as client:
        worker = Worker(lambda: client.llm.model().act("Go.", [chatty], **options))
        assert started.wait(10)
        if how == "cancel":
            token.cancel("enough")
        worker.join(10)
        is_over = not worker.is_alive()
        stop.set()

    assert is_over


def test_reports_leave_no_markers_behind(server, monkeypatch):
    rounds, told = [], []
    make = ToolCalls.__init__
    monkeypatch.setattr(ToolCalls, "__init__", lambda *a: (rounds.append(a[0]), make(*a))[1])
    # A tool is quicker than what takes its reports.
    may_take, most = threading.Event(), []

    def note(_call_id, text, _round):
        assert may_take.wait(10)
        told.append(int(text))
        most.append(rounds[0].inbox.qsize())

    def talk(context: lms.ToolCallContext) -> None:
        """Talk, and then let the first report be taken."""
        for number in range(10_000):
            context.status(str(number))
        may_take.set()

    server.reply("", tool_calls=[{"name": "talk", "arguments": {}}])
    with lms.Client(server.host) as client:
        client.llm.model().act("Go.", [talk], on_tool_call_status=note)

    assert told == list(range(10_000))
    assert max(most) < 100


@pytest.mark.parametrize("how", ["cancel", "timeout", "callback"])
def test_what_an_abandoned_tool_reports_is_not_kept(server, how, monkeypatch):
    contexts, go_on, rounds = [], threading.Event(), []

    def stuck(context: lms.ToolCallContext) -> None:
        """Wait."""
        contexts.append(context)
        go_on.wait(10)
        for _ in range(1000):
            context.status("still here")

    make = ToolCalls.__init__
    monkeypatch.setattr(ToolCalls, "__init__", lambda *a: (rounds.append(a[0]), make(*a))[1])
    token = lms.CancelToken()

    def fail(*_):
        raise ZeroDivisionError

    options = {
        "cancel": {"cancel_event": token},
        "timeout": {"timeout": 1.5},
        "callback": {"on_tool_call_status": fail},
    }[how]
    server.reply("", tool_calls=[{"name": "stuck", "arguments": {}}])
    with lms.Client(server.host, cancel_grace=0.05) as client:
        worker = Worker(outcome, lambda: client.llm.model().act("Go.", [stuck], **options))
        eventually(lambda: contexts)
        if how == "cancel":
            token.cancel("enough")
        if how == "callback":
            contexts[0].status("now")
            assert isinstance(worker.error(), ZeroDivisionError)
        else:
            worker.result()
        go_on.set()
        eventually(lambda: not any(t.name == "lmstudio-tool" for t in threading.enumerate()))

    (calls,) = rounds
    assert not calls._reports
    assert calls.inbox.qsize() < 10


def test_ctrl_c_in_a_windows_thread_leaves_no_request_without_results(server, model):
    window = Window()
    server.reply(tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}])
    chat = lms.Chat()
    chat.add_user_message("hi")

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    def append(message):
        chat.append(message)
        if message.role == "assistant":
            raise KeyboardInterrupt

    future = lms.run_in_background(model.act, chat, [add], on_message=append, dispatch=window)
    with pytest.raises(KeyboardInterrupt):
        window.run_until(lambda: False)
    assert isinstance(future.exception(10), KeyboardInterrupt)
    assert [message.role for message in chat] == ["user", "assistant", "tool"]


def test_a_tool_that_cancels_its_own_token_fails_like_any_other(server, model, chat):
    def give_up(context: lms.ToolCallContext) -> None:
        """Give up."""
        context.cancel_token.cancel("too hard")
        context.cancel_token.raise_if_cancelled()

    server.reply("", tool_calls=[{"name": "give_up", "arguments": {}}])
    server.reply("I see.")

    assert not model.act(chat, [give_up], on_message=chat.append).cancelled
    assert "too hard" in results(chat)[0]


@pytest.mark.parametrize("options", [{}, {"tool_timeout": 0.05}])
def test_nothing_happens_with_a_tools_token_once_the_tool_has_ended(server, model, options, alarm):
    fired, tokens = [], []

    def work(context: lms.ToolCallContext) -> None:
        """Work."""
        tokens.append(context.cancel_token)
        context.cancel_token.on_cancel(lambda: fired.append("late"))

    token = lms.CancelToken()
    server.reply("", tool_calls=[{"name": "work", "arguments": {}}])
    server.reply("Done.")
    model.act("Go.", [work], cancel_event=token, **options)

    token.cancel("much later")
    alarm.set()  # the time of the tool passes
    assert not tokens[0].wait(0.1)
    assert not fired


@pytest.mark.parametrize("how", ["token", "event", "close"])
def test_a_slow_callback_of_a_tool_does_not_hold_act_up(server, waiting_tools, how):
    server.hold("predict")
    client = lms.Client(server.host, cancel_grace=0.05)
    token, event, registered = lms.CancelToken(), threading.Event(), threading.Event()

    def work(context: lms.ToolCallContext) -> None:
        """Work."""
        context.cancel_token.on_cancel(lambda: waiting_tools.release.wait(20))
        registered.set()
        waiting_tools.release.wait(20)

    worker = Worker(lambda: client.llm.model().act("Go.", [work], cancel_event=[token, event]))
    call = server.expect("predict")
    call.tool_call("work")
    call.success("toolCalls")
    assert registered.wait(10)
    closing = functools.partial(client.close, 0.3)
    stop = {"token": token.cancel, "event": event.set, "close": closing}[how]
    stopping = Worker(stop)

    assert worker.result().cancelled
    if how != "token":  # that one runs the callback
        stopping.result()
    waiting_tools.release.set()
    stopping.result()
    client.close()


def test_a_cancel_that_ctrl_c_interrupted_is_noticed_all_the_same(held, model, waiting_tools, chat):
    token = lms.CancelToken()
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", cancel_event=token)

    assert interrupt(token, "half done")

    assert_cancelled(worker.result(), "half done")
    assert results(chat) == ["cancelled"]
