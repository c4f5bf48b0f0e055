"""Tools that misbehave while `act()` is cancelled."""

import functools
import threading

import pytest
from agent.act_cancelling import assert_cancelled, in_a_tool
from agent.acting import results
from concurrency.targets import interrupt
from helpers import Worker

import lmstudio as lms

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
    options = {"cancel_event": token} if how == "cancel" else {"timeout": 0.3}
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
def test_nothing_happens_with_a_tools_token_once_the_tool_has_ended(server, model, options):
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
    assert not tokens[0].wait(0.1)  # the time of the tool passes meanwhile
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
