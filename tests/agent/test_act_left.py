"""Other ways out of `act()`: exceptions, Ctrl-C, time limits, events that fail."""

import time

import pytest
from agent.act_cancelling import assert_acts_again, in_a_tool, start
from agent.acting import results
from helpers import BreakableEvent, cancels, creates, eventually, time_passes, valid_chat

import lmstudio as lms
from lmstudio._agent import act as _act

pytestmark = pytest.mark.races


def test_an_exception_in_a_callback_stops_the_prediction_and_the_tools(
    held, model, waiting_tools, chat
):
    def fail(fragment, index):
        raise KeyError("stop")

    worker = start(model, chat, waiting_tools, on_prediction_fragment=fail)
    call = held.expect("predict")
    call.tool_call("polite")
    waiting_tools.wait_started()
    call.fragment("So far")

    assert isinstance(worker.error(), KeyError)
    call.expect_cancel()
    call.success("userStopped")
    eventually(lambda: waiting_tools.log)  # the tool saw its token
    assert len(chat) == 1
    assert_acts_again(held, model, waiting_tools)


def test_ctrl_c_while_a_tool_is_stuck_leaves_at_once(held, model, waiting_tools, chat, monkeypatch):
    """Forged: the wait for tools is interrupted."""

    def interrupt(calls, deadline):
        waiting_tools.wait_started()
        raise KeyboardInterrupt

    monkeypatch.setattr(_act.ToolCalls, "wait", interrupt)
    worker = start(model, chat, waiting_tools)
    call = held.expect("predict")
    call.tool_call("stuck")
    call.success("toolCalls")

    assert isinstance(worker.error(), KeyboardInterrupt)
    monkeypatch.undo()
    assert len(chat) == 1
    assert_acts_again(held, model, waiting_tools)


def test_ctrl_c_while_generating_sends_one_cancel(held, model, waiting_tools, chat):
    def interrupt(fragment, index):
        raise KeyboardInterrupt

    worker = start(model, chat, waiting_tools, on_prediction_fragment=interrupt)
    call = held.expect("predict")
    call.fragment("So far")

    assert isinstance(worker.error(), KeyboardInterrupt)
    call.expect_cancel()
    call.success("userStopped")
    assert len(cancels(held)) == 1
    assert_acts_again(held, model, waiting_tools)


def test_the_time_limit_of_all_ends_a_generation_with_its_partial_text(
    held, model, waiting_tools, chat
):
    worker = start(model, chat, waiting_tools, timeout=1.5)
    call = held.expect("predict")
    call.fragment("So far")

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert error.partial.content == "So far"
    assert "timeout=1.5 s" in str(error)
    call.expect_cancel()
    call.success("userStopped")
    assert len(chat) == 1


def test_the_time_limit_of_all_ends_the_wait_for_a_tool(held, model, waiting_tools, chat):
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", timeout=1.5)

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert str(error) == "act() did not end within timeout=1.5 s: a tool was running."
    assert error.partial.content == "Let me."
    eventually(lambda: waiting_tools.log)
    assert len(chat) == 1
    assert_acts_again(held, model, waiting_tools)


def test_the_time_limit_counts_from_the_first_round(held, model, waiting_tools, chat, monkeypatch):
    begin = time.monotonic()
    monkeypatch.setattr(_act, "monotonic", lambda: begin - 100)  # act() began long ago
    worker = start(model, chat, waiting_tools, timeout=50)

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    assert not held.predictions  # there was no time left to ask


def test_silence_of_the_server_ends_a_round(held, client, model, waiting_tools, chat):
    worker = start(model, chat, waiting_tools, idle_timeout=30)
    call = held.expect("predict")
    time_passes(client, 40)

    assert "idle_timeout=30 s" in str(worker.error())
    call.expect_cancel()
    call.success("userStopped")


def test_a_tool_that_takes_too_long_is_told_to_stop_and_the_model_is_told_so(
    held, model, waiting_tools, chat
):
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", "stuck", "quick", tool_timeout=1)
    waiting_tools.wait_started()  # "stuck" runs after "polite" was given up
    second = held.expect("predict")
    second.fragment("I see.")
    second.success()

    assert worker.result().rounds == 2
    words = (
        "\"Unhandled Python exception: LMStudioTimeoutError('The tool did not end within "
        "tool_timeout=1 s.')\""
    )
    assert results(chat) == [words, words, '"quick"']
    assert ("polite", "1 s have passed") in waiting_tools.log
    assert valid_chat(chat)


def test_a_tool_may_run_longer_than_the_server_may_be_silent(held, model, waiting_tools, chat):
    """The server's silence is none while nothing is asked of it."""
    worker = in_a_tool(held, model, chat, waiting_tools, "stuck", idle_timeout=1.0)
    over = time.monotonic() + 1.1
    eventually(lambda: time.monotonic() > over)
    waiting_tools.release.set()
    call = held.expect("predict")
    call.success()
    assert worker.result().rounds == 2


def test_an_event_that_cannot_be_asked_fails_act(held, model, waiting_tools, chat):
    event = BreakableEvent()
    worker = start(model, chat, waiting_tools, cancel_event=event)
    call = held.expect("predict")
    event.is_broken = True
    call.expect_cancel()
    call.success("userStopped")

    error = worker.error()
    assert isinstance(error, lms.LMStudioRuntimeError)
    assert "the other process is gone" in str(error)


@pytest.mark.usefixtures("patient_first_look")
def test_an_event_that_cannot_be_asked_at_all_fails_act_before_anything_is_sent(server, model):
    class Broken:
        def is_set(self):
            raise OSError("the peer is gone")

    with pytest.raises(lms.LMStudioRuntimeError, match="the peer is gone"):
        model.act("?", [len_of], cancel_event=Broken())
    assert not creates(server)


def len_of(text: str) -> int:
    """Count."""
    return len(text)
