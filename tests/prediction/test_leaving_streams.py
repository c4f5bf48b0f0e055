"""Leaving a stream in the middle stops the model; and a stream has one reader."""

import copy
import gc
import sys
import threading

import pytest
from helpers import Worker, assert_usable, cancels, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


# -- ways of leaving --------------------------------------------------------------------------


def test_break_stops_the_model_and_keeps_the_partial_result_and_the_stats(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(held.expect, "predict")
    stream.start()
    iterator = iter(stream)
    call = worker.result()
    call.fragment("a")
    call.fragment("b")
    for fragment in iterator:
        assert fragment.content == "a"
        break
    del iterator

    call.expect_cancel()
    call.success("userStopped", predicted_tokens_count=2)
    result = stream.result()

    assert (result.content, result.cancelled) == ("a", True)
    assert result.stats.predicted_tokens_count == 2
    assert stream.stats.predicted_tokens_count == 2
    assert len(cancels(held)) == 1


def test_break_in_a_loop_over_a_stream_nobody_keeps(server, model):
    server.reply("many words " * 500, delay=0.001)

    for _ in model.respond_stream("hi"):
        break

    server.predictions[-1].wait_finished()
    assert server.predictions[-1].cancelled_after < 600
    assert server.predictions[-1].stop_reason == "userStopped"


def test_result_notices_a_dropped_iterator_at_once(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    next(iterator)
    del iterator
    worker = Worker(stream.result)
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().content == "a"


def test_an_exception_in_the_loop_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")

    with pytest.raises(ZeroDivisionError):
        for _ in stream:
            1 / 0  # noqa: B018

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().content == "a"


def test_leaving_with_stops_the_model(held, model):
    with model.respond_stream("hi") as stream:
        call = held.expect("predict")

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().cancelled


def test_close_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")

    stream.close()

    call.expect_cancel()


def test_dropping_the_stream_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")

    del stream
    gc.collect()

    call.expect_cancel()


def test_a_stream_that_ended_by_itself_is_left_without_a_cancel(server, model):
    server.reply("Hello.")
    with model.respond_stream("hi") as stream:
        assert stream.result().content == "Hello."
    stream.close()
    del stream
    model.count_tokens("a round trip")

    assert not cancels(server)


@pytest.mark.parametrize(
    "name", ["on_first_token", "on_prediction_fragment", "on_prompt_processing_progress"]
)
@pytest.mark.parametrize("way", ["respond", "iterate"])
def test_an_exception_in_a_callback_stops_the_model_and_comes_out(held, model, name, way):
    class Enough(Exception):
        pass

    def callback(*_):
        raise Enough

    stream = model.respond_stream("hi", **{name: callback})
    worker = Worker(stream.result if way == "respond" else lambda: list(stream))
    call = held.expect("predict")
    call.progress(0.5)
    call.fragment("a")

    assert isinstance(worker.error(), Enough)
    call.expect_cancel()
    call.success("userStopped")
    result = stream.result()
    assert result.cancelled
    assert result.content == ("" if name == "on_prompt_processing_progress" else "a")
    assert_usable(held, model)


def test_cancel_from_a_callback_ends_the_prediction_normally(held, model):
    stream = model.respond_stream(
        "hi", on_prediction_fragment=lambda fragment: stream.cancel("seen enough")
    )
    worker = Worker(stream.result)
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    call.expect_cancel()
    call.success("userStopped")

    result = worker.result()

    assert (result.content, result.cancel_reason) == ("a", "seen enough")


def test_the_message_callback_gets_what_was_taken_of_a_cancelled_reply(held, model):
    messages = []
    stream = model.respond_stream("hi", on_message=messages.append)
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    next(iterator)
    stream.cancel()
    assert list(iterator) == []
    call.success("userStopped")
    stream.result()

    assert [message.content[0].text for message in messages] == ["a"]


def test_the_stats_are_there_at_once_in_another_thread_and_complete_in_the_one_that_read(
    held, model
):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    for _ in stream:
        assert (stream.stats, stream.model_info) == (None, None)  # while it is read
        stream.cancel("seen enough")
    elsewhere = Worker(lambda: (stream.stats, stream.model_info)).result()
    assert (elsewhere[0].stop_reason, elsewhere[1]) == ("userStopped", None)

    call.expect_cancel()
    answering = Worker(call.success, "userStopped")
    stats, info = stream.stats, stream.model_info
    answering.result()

    assert stats.predicted_tokens_count is not None
    assert info.identifier
    assert Worker(lambda: stream.stats).result() is stats is stream.result().stats


@pytest.mark.parametrize("leave", ["break", "cancel", "exception", "dropped elsewhere"])
def test_however_a_loop_was_left_there_are_stats_though_the_server_is_silent(held, leave):
    with lms.Client(held.api_host, cancel_grace=0.05) as client:
        stream = client.llm.model().respond_stream("hi")
        stream.start()
        held.expect("predict").fragment("a")
        iterator = iter(stream)
        next(iterator)
        if leave == "cancel":
            stream.cancel()
            list(iterator)
        elif leave == "exception":
            with pytest.raises(KeyError):
                stream.add_done_callback(lambda _: {}["no"])
                stream.cancel()
                list(iterator)
        del iterator
        for look in (Worker(lambda: stream.stats).result, lambda: stream.stats):
            assert look().stop_reason == "userStopped"
        assert stream.model_info is None


def test_after_an_error_the_stats_say_that_it_failed(held, model):
    stream = model.respond_stream("hi")
    assert stream.stats is None
    stream.start()
    held.expect("predict").error("out of memory")
    with pytest.raises(lms.LMStudioServerError):
        list(stream)
    assert stream.stats.stop_reason == "failed"
    assert Worker(lambda: stream.stats.stop_reason).result() == "failed"
    assert stream.model_info is None


def test_looking_at_the_stats_runs_no_callback(held, model):
    told = []
    stream = model.respond_stream("hi", on_message=told.append)
    stream.add_done_callback(told.append)
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    for _ in stream:
        break
    call.expect_cancel()
    call.success("userStopped")
    assert stream.stats.stop_reason == "userStopped"
    assert told == []
    stream.result()
    assert len(told) == 2


def test_the_stats_of_a_stream_that_never_started_do_not_wait(model):
    stream = model.respond_stream("hi")
    assert stream.stats is None
    stream.cancel()
    assert stream.stats.stop_reason == "userStopped"


def test_a_thread_with_the_number_of_an_ended_reader_is_another_one(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    ended = Worker(lambda: None)
    ended.result()
    # What the loser leaves: an earlier reader with this thread's number, that has ended.
    stream._reader.right.last = (threading.get_ident(), ended)
    iterator = iter(stream)
    assert next(iterator).content == "a"
    waiting = Worker(stream.result)
    call.fragment("b")
    assert next(iterator).content == "b"  # the waiting thread has taken nothing
    call.success()
    assert list(iterator) == []
    assert waiting.result().content == "ab"

    stream._reader.right.last = (threading.get_ident(), ended)
    assert not stream._reader.right.was_read_here()


def test_a_stream_and_its_iterator_are_not_copied(model):
    stream = model.respond_stream("hi")
    for thing in (stream, iter(stream)):
        with pytest.raises(TypeError, match="cannot be copied"):
            copy.copy(thing)


# -- an iterator that was not advanced (C12) --------------------------------------------------


def test_asking_for_an_iterator_and_dropping_it_neither_starts_nor_cancels(server, model):
    stream = model.respond_stream("hi")
    for _ in range(3):
        iter(stream)
    gc.collect()
    assert not server.received(type="channelCreate")
    assert not stream.cancelled()
    assert "".join(fragment.content for fragment in stream) == stream.result().content != ""
    assert not cancels(server)


def test_asking_for_an_iterator_and_dropping_it_leaves_a_running_stream_alone(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    iter(stream)
    call.fragment("a")
    call.success()
    assert stream.result().content == "a"
    assert not cancels(held)


def test_of_two_iterators_the_first_that_is_advanced_reads_and_the_other_is_refused(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    late, first = iter(stream), iter(stream)
    call.fragment("a")
    assert next(first).content == "a"
    with pytest.raises(lms.LMStudioRuntimeError, match="'MainThread' is reading"):
        next(late)
    with pytest.raises(lms.LMStudioRuntimeError, match="'MainThread' is reading"):
        iter(stream)
    del late
    gc.collect()
    call.expect_no_cancel()
    call.fragment("b")
    call.success()
    assert [fragment.content for fragment in first] == ["b"]


def test_who_is_refused_has_not_taken_the_right_to_read_for_a_moment(held, model, monkeypatch):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    first, late = iter(stream), iter(stream)
    next(first)
    takers = []

    class Watched(type(stream._reader.right)):
        def setdefault(self, key, value):
            takers.append(value)
            return super().setdefault(key, value)

    stream._reader.right = Watched()
    for attempt in (lambda: next(late), lambda: iter(stream), stream.run_in_background):
        with pytest.raises(lms.LMStudioRuntimeError):
            attempt()
    assert not takers
    stream.cancel()
    call.expect_cancel()
    call.success("userStopped")


def test_a_first_step_beside_a_thread_in_result_is_refused_and_gives_its_place_back(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    waiting = Worker(stream.result)
    call = held.expect("predict")
    eventually(lambda: stream._reader.right)
    with pytest.raises(lms.LMStudioRuntimeError, match="'worker' is reading"):
        next(iterator)
    del iterator
    gc.collect()
    call.expect_no_cancel()
    call.fragment("a")
    call.success()
    assert waiting.result().content == "a"


def test_a_step_that_is_refused_beside_a_first_one_leaves_that_its_place(held, model, monkeypatch):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    begin, begins, may_begin = lms.PredictionStream._begin, threading.Event(), threading.Event()

    def begin_late(stream):
        if not begins.is_set():
            begins.set()
            assert may_begin.wait(10)
        begin(stream)

    monkeypatch.setattr(lms.PredictionStream, "_begin", begin_late)
    loop = Worker(lambda: [fragment.content for fragment in iterator])
    assert begins.wait(10)
    with pytest.raises(lms.LMStudioRuntimeError, match="'worker' is reading"):
        next(iterator)
    assert stream._is_read_by_another()  # so result() only waits
    waiting = Worker(stream.result)
    may_begin.set()
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    call.success()

    assert loop.result() == ["a", "b"]
    assert waiting.result().content == "ab"


def test_a_stream_that_was_left_ends_a_second_loop_at_once(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    for _ in stream:
        break
    assert list(stream) == []
    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().content == "a"


# -- one reader (C12) -------------------------------------------------------------------------


def test_a_second_iterator_is_refused_naming_the_thread_and_cancels_nothing(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: [fragment.content for fragment in stream])
    call = held.expect("predict")

    with pytest.raises(lms.LMStudioRuntimeError, match="'worker'"):
        iter(stream)

    call.expect_no_cancel()
    call.fragment("a")
    call.success()
    assert worker.result() == ["a"]


def test_a_concurrent_next_is_refused_and_cancels_nothing(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    worker = Worker(lambda: [fragment.content for fragment in iterator])
    call = held.expect("predict")
    eventually(lambda: stream._reader.right)

    with pytest.raises(lms.LMStudioRuntimeError, match="'worker'"):
        next(iterator)

    call.expect_no_cancel()
    call.fragment("a")
    call.success()
    assert worker.result() == ["a"]


def test_an_iterator_may_pass_from_one_thread_to_another(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    call.success()

    assert next(iterator).content == "a"
    assert Worker(lambda: [f.content for f in iterator]).result() == ["b"]
    assert stream.result().content == "ab"


def test_a_result_beside_a_thread_of_python_does_not_ask_for_all_threads(held, model, monkeypatch):
    # Before 3.11.9 that question may freeze the process.
    monkeypatch.setattr(sys, "_current_frames", lambda: pytest.fail("it asked"))
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    taken, go_on = threading.Event(), threading.Event()

    def iterate():
        for _ in stream:
            taken.set()
            go_on.wait(10)

    worker = Worker(iterate)
    assert taken.wait(10)
    with pytest.raises(lms.LMStudioTimeoutError):
        stream.result(timeout=0.01)
    go_on.set()
    call.success()
    worker.result()
    assert stream.result().content == "a"


def test_result_reads_on_when_the_iterating_thread_has_ended(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    Worker(lambda: next(iterator)).result()
    call.fragment("b")
    call.success()

    assert stream.result(timeout=10).content == "ab"
