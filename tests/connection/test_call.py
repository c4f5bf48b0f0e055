"""What the waiter of a call and the I/O thread share."""

import gc
import json
import queue
import types
from collections import deque

import pytest

import lmstudio as lms
from lmstudio._concurrency import fork
from lmstudio._connection.call import END, WAKE, Call, Outcome
from lmstudio._connection.endpoints import rpc

pytestmark = pytest.mark.races


@pytest.fixture
def call():
    """A call that nobody looks after but the test."""
    reactor = types.SimpleNamespace(commands=deque(), wake=lambda: None)
    dispatcher = types.SimpleNamespace(
        reactor=reactor, dropped=deque(), cancelled="cancelled", open={}
    )
    return Call(dispatcher, rpc("llm", "countTokens", "Counting tokens"), {"n": 1})


def test_a_cancel_before_the_start_leaves_nothing_to_do(call):
    for _ in range(100):
        call.cancel("a")

    assert not call.dispatcher.reactor.commands


def test_every_cancel_wakes_the_reader_and_the_io_thread_and_one_was_first(call):
    call.dispatcher.open[call.id] = call
    assert [call.cancel("a"), call.cancel("b")] == [True, False]

    assert (call.is_cancelled, call.end_is_taken, call.reason) == (True, False, "a")
    assert [call.inbox.get_nowait(), call.inbox.get_nowait()] == [WAKE, WAKE]
    assert list(call.dispatcher.reactor.commands) == [("cancelled", (call,))] * 2


def test_after_the_end_was_taken_a_cancel_does_nothing(call):
    assert call.claim_end()
    assert call.claim_end()  # whoever took it may ask again

    assert not call.cancel("late")
    assert (call.is_cancelled, call.end_is_taken, call.reason) == (False, True, None)


def test_after_a_cancel_the_end_cannot_be_taken(call):
    call.cancel("first")

    assert not call.claim_end()
    call.outcome = Outcome("an answer")
    with pytest.raises(lms.LMStudioCancelledError, match="Counting tokens was cancelled: first"):
        call.answer()


def test_each_waiter_gets_an_error_of_its_own(call):
    error = lms.LMStudioServerError("no", {"title": "broken"})
    error.partial = "something"
    call.outcome = Outcome(error=error)

    caught = []
    for _ in range(2):
        with pytest.raises(lms.LMStudioServerError) as info:
            call.answer()
        caught.append(info.value)

    assert len({id(one) for one in (*caught, error)}) == 3
    assert {(str(one), one.partial, one.server_error) for one in caught} == {
        (str(error), "something", error.server_error)
    }


def test_a_token_lets_go_of_a_call_whose_end_was_taken(call):
    token = lms.CancelToken()
    call._follow(token)
    assert call.claim_end()

    token.cancel()

    assert not call.is_cancelled
    assert not call.tokens


def test_an_owner_that_is_dropped_is_noted_unless_the_call_has_ended(call):
    class Owner:
        pass

    first, second = Owner(), Owner()
    call.cancel_when_dropped(first)
    del first
    gc.collect()
    assert [reference.call for reference in call.dispatcher.dropped] == [call]

    call.outcome = Outcome()
    call.cancel_when_dropped(second)
    del second
    gc.collect()
    assert len(call.dispatcher.dropped) == 1
    assert not call.owners


def test_everybody_who_waits_is_woken_each_time(call):
    waiters = [queue.SimpleQueue() for _ in range(3)]
    call.waiters.extend(waiters)

    call.notify()
    call.notify()

    assert [waiter.qsize() for waiter in waiters] == [2, 2, 2]


def test_what_json_has_no_word_for_is_refused_before_anything_is_sent(call):
    call.parameter = {"n": float("nan")}

    with pytest.raises(lms.LMStudioValueError, match="cannot be written as JSON"):
        call.text()
    assert END is not WAKE


def test_what_is_sent_into_a_call_is_handed_to_the_io_thread_in_order(call):
    call.dispatcher.process = fork.current
    call.dispatcher.send = "send"
    posted = call.dispatcher.reactor.commands
    call.dispatcher.reactor.post = lambda command, *arguments: posted.append((command, arguments))

    call.send({"type": "first"})
    call.send({"type": "second"}, stop="end")

    texts = [json.loads(text) for _, (_, text, _) in posted]
    assert [text["message"] for text in texts] == [{"type": "first"}, {"type": "second"}]
    assert [(name, stop) for name, (_, _, stop) in posted] == [("send", None), ("send", "end")]
    assert {text["channelId"] for text in texts} == {call.id}


def test_nothing_is_sent_into_a_call_of_the_parent_process(call):
    call.dispatcher.process = object()

    with pytest.raises(lms.LMStudioRuntimeError, match="fork"):
        call.send({"type": "first"})
