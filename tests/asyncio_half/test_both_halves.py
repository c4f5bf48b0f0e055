"""The contract of cancelling, which holds in both halves."""

import asyncio
import gc
import threading

import pytest
from asyncio_half.halves import Loop, Threads, in_the_middle
from helpers import BreakableEvent, Worker, cancels, creates, eventually, time_passes

import lmstudio as lms

pytestmark = pytest.mark.races


class ObjectEvent:
    """Anything with `is_set()`."""

    def __init__(self):
        self._is_set = False

    def set(self):
        self._is_set = True

    def is_set(self):
        return self._is_set


# -- cancel() ---------------------------------------------------------------------------------


def test_exactly_one_of_many_cancelling_threads_wins_and_one_cancel_is_sent(held, half):
    stream, iterator, call = in_the_middle(held, half)
    barrier = threading.Barrier(8)

    def cancel(reason):
        barrier.wait(10)
        return bool(stream.cancel(reason))

    winners = [Worker(cancel, reason) for reason in range(8)]
    won = [worker.result() for worker in winners]
    call.expect_cancel()
    call.success("userStopped")
    result = half.result(stream)

    assert won.count(True) == 1
    assert result.cancel_reason == won.index(True)
    assert half.next(iterator) is None
    assert len(cancels(held)) == 1


def test_a_cancel_before_the_start_sends_nothing(held, half):
    stream = half.stream()

    assert stream.cancel("never mind")

    assert half.next(half.iterate(stream)) is None
    result = half.result(stream)
    assert (result.content, result.cancelled, result.cancel_reason) == ("", True, "never mind")
    assert not creates(held)


def test_a_cancel_before_the_first_token_releases_the_waiter(held, half):
    stream = half.started()
    call = held.expect("predict")
    worker = Worker(half.result, stream)
    call.progress(0.5)

    assert stream.cancel()

    call.expect_cancel()
    call.success("userStopped")
    assert worker.result().content == ""
    assert worker.result().acknowledged


def test_a_cancel_wins_with_the_whole_reply_unread_and_none_of_it_is_taken(held, half):
    stream, iterator, call = in_the_middle(held, half)
    for _ in range(200):
        call.fragment("b")
    call.success()
    eventually(stream.done)

    assert stream.cancel()

    assert half.next(iterator) is None
    result = half.result(stream)
    assert (result.content, result.cancelled) == ("a", True)
    assert result.stats.stop_reason == "userStopped"
    assert not cancels(held)


def test_a_cancel_after_the_end_does_nothing(server, half):
    server.reply("Hello.")
    stream = half.stream()
    assert half.result(stream).content == "Hello."

    assert not stream.cancel()

    assert not stream.cancelled()
    assert not half.result(stream).cancelled
    assert not cancels(server)


def test_what_the_loop_got_is_what_the_result_has(server, half):
    server.reply(["a", "b", "c", "d"] * 30)
    stream = half.stream()
    iterator, texts = half.iterate(stream), []
    while (text := half.next(iterator)) is not None:
        texts.append(text)
        if len(texts) == 7:
            stream.cancel()

    assert "".join(texts) == half.result(stream).content == "abcdabc"


def test_late_messages_are_dropped_in_silence(held, half, capfd):
    stream, iterator, call = in_the_middle(held, half)
    stream.cancel()
    call.expect_cancel()
    for _ in range(5):
        call.fragment("late")
    call.success("userStopped")

    assert half.next(iterator) is None
    assert half.result(stream).content == "a"
    half.do(lambda: half.model.count_tokens("on the same connection"))
    assert capfd.readouterr() == ("", "")


# -- texts() ----------------------------------------------------------------------------------


def in_the_middle_of_texts(held, half):
    stream = half.started()
    call = held.expect("predict")
    call.fragment("<think>", is_structural=True)
    call.fragment("Hm.", reasoning_type="reasoning")
    call.fragment("a")
    texts = stream.texts()
    assert half.next_text(texts) == "a"
    return texts, stream, call


def test_texts_are_the_answer_and_may_be_all_of_it(server, half):
    for reasoning in (False, True):
        server.reply("It is green.", reasoning="Hm.")
        stream = half.stream()
        texts = stream.texts(reasoning=reasoning)
        read = ""
        while (text := half.next_text(texts)) is not None:
            read += text
        result = half.result(stream)
        assert read == (result.content if reasoning else result.answer)


def test_dropping_the_texts_stops_the_model(held, half):
    texts, stream, call = in_the_middle_of_texts(held, half)

    del texts
    gc.collect()

    call.expect_cancel()
    call.success("userStopped")
    assert half.result(stream).answer == "a"
    assert len(cancels(held)) == 1


def test_the_speed_is_known_after_the_second_token(held, half):
    texts, stream, call = in_the_middle_of_texts(held, half)
    for _ in range(20):
        call.fragment("b")
    for _ in range(20):
        assert half.next_text(texts) == "b"

    assert stream.tokens_per_second > 0
    call.success(tokens_per_second=7)
    assert half.next_text(texts) is None
    half.result(stream)
    assert stream.tokens_per_second == 7


# -- waiting ----------------------------------------------------------------------------------


def test_a_wait_may_end_before_the_prediction_which_goes_on(held, half):
    stream = half.started()
    call = held.expect("predict")

    with pytest.raises(lms.LMStudioTimeoutError):
        half.result(stream, 0.01)

    call.fragment("a")
    call.success()
    assert half.result(stream).content == "a"
    assert not cancels(held)


@pytest.mark.parametrize("make", [Threads, Loop], ids=lambda half: half.name)
def test_after_a_cancel_a_silent_server_is_waited_for_as_long_as_the_grace(held, make):
    half = make(held, cancel_grace=0.05)
    stream, _, call = in_the_middle(held, half)
    stream.cancel("enough")

    result = half.result(stream)

    assert (result.content, result.acknowledged, result.model_info) == ("a", False, None)
    call.expect_cancel()
    call.success("userStopped")
    assert half.result(stream) is result
    half.end()


def test_each_waiter_gets_an_error_of_its_own_with_what_was_received(held, half):
    stream, _iterator, call = in_the_middle(held, half)
    call.error("no memory")

    errors = []
    for _ in range(2):
        with pytest.raises(lms.LMStudioServerError) as caught:
            half.result(stream)
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    assert [error.partial.content for error in errors] == ["a", "a"]
    assert not cancels(held)


def test_in_the_middle_of_its_own_loop_one_may_read_the_rest(held, half):
    stream, iterator, call = in_the_middle(held, half)
    call.fragment("b")
    call.success()

    assert half.result(stream).content == "ab"
    assert half.next(iterator) is None
    assert not cancels(held)


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_time_limit_stops_the_model(held, half, limit):
    stream, _, call = in_the_middle(held, half, **{limit: 30})
    time_passes(half.client, 40)

    with pytest.raises(lms.LMStudioTimeoutError) as caught:
        half.result(stream)

    assert caught.value.partial.content == "a"
    call.expect_cancel()
    call.success("userStopped")
    assert len(cancels(held)) == 1


def test_one_reader_and_any_number_of_waiters(held, half):
    read = threading.Event()
    stream = half.started(on_prediction_fragment=lambda _: read.set())
    call = held.expect("predict")
    reader = Worker(half.read, stream)
    call.fragment("a")
    assert read.wait(10)
    waiters = [Worker(half.result, stream) for _ in range(3)]
    with pytest.raises(lms.LMStudioRuntimeError):
        half.next(half.iterate(stream))
    call.fragment("b")
    call.success()

    assert reader.result() == ["a", "b"]
    assert [waiter.result().content for waiter in waiters] == ["ab"] * 3
    assert not cancels(held)


# -- events -----------------------------------------------------------------------------------


EVENTS = [asyncio.Event, threading.Event, ObjectEvent, lms.CancelToken]


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@pytest.mark.parametrize("phase", ["set already", "nobody reads", "first token", "middle"])
def test_an_event_stops_a_prediction_in_every_phase(held, half, kind, phase):
    event = half.do(kind)
    if phase == "set already":
        event.set()
        result = half.result(half.stream(cancel_event=[event]))
        assert (result.cancelled, result.content) == (True, "")
        assert not creates(held)
        return
    stream = half.started(cancel_event=event)
    call = held.expect("predict")
    worker = Worker(half.result, stream) if phase != "nobody reads" else None
    if phase == "middle":
        call.fragment("a")

    half.set(event)

    call.expect_cancel()
    call.success("userStopped")
    assert (worker.result() if worker else half.result(stream)).cancelled
    assert len(cancels(held)) == 1


def test_an_is_set_that_raises_fails_its_call_and_no_other(held, half):
    event = BreakableEvent()
    broken = half.started(cancel_event=event)
    call = held.expect("predict")
    event.is_broken = True
    call.expect_cancel()
    other = half.started()
    call = held.expect("predict")
    call.fragment("a")
    call.success()

    with pytest.raises(lms.LMStudioRuntimeError):
        half.result(broken)
    assert half.result(other).content == "a"


def test_an_event_cancels_an_rpc_with_its_reason(server, half):
    server.hold("countTokens")
    token = lms.CancelToken()
    worker = Worker(half.do, lambda: half.model.count_tokens("a", cancel_event=token))
    server.expect("countTokens")

    token.cancel("too slow")

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    assert worker.error().reason == "too slow"
    server.release("countTokens")
    assert half.do(lambda: half.model.count_tokens("a b")) > 0


def test_an_event_cancels_a_load_and_the_server_is_told(server, half):
    server.hold("getOrLoad")
    event = half.do(half.event)
    worker = Worker(half.do, lambda: half.client.llm.model("test-vlm", cancel_event=event))
    call = server.expect("getOrLoad")

    half.set(event)

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    call.expect_cancel()
    call.close()


def test_a_result_without_time_is_that_of_a_stream_which_is_done(held, half):
    stream = half.started()
    call = held.expect("predict")
    for _ in range(300):
        call.fragment("a")
    call.success()
    eventually(stream.done)

    assert half.result(stream, timeout=0).content == "a" * 300
