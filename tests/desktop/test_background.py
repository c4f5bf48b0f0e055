"""Streams in the background: callbacks in order and in their thread, one end, a future."""

import asyncio
import concurrent.futures
import gc
import threading

import pytest
from desktop.background import LIMIT, start_held
from helpers import Worker, eventually, time_passes

import lmstudio as lms
from lmstudio._background import seat
from lmstudio._concurrency import deadline as _deadline

pytestmark = pytest.mark.races


def test_text_progress_and_the_end_come_in_order_and_in_the_windows_thread(server, model, window):
    threads = set()

    def on_progress(share):
        threads.add(threading.get_ident())
        window.log.append(("progress", share))

    stream = model.respond_stream(
        "hi",
        on_first_token=lambda: window.log.append(("first", None)),
        on_message=lambda message: window.log.append(("message", message)),
    )
    future, call = start_held(server, stream, **window.callbacks(), on_progress=on_progress)
    call.progress(0.5)
    call.fragment("one ")
    call.fragment("two")
    call.success()
    assert future.result(LIMIT).content == "one two"
    window.run_until(window.has_ended)

    kinds = [kind for kind, _ in window.log]
    assert kinds[:4] == ["progress", "progress", "progress", "first"]  # 0, 0.5, 1
    assert kinds[-2:] == ["message", "done"]
    assert window.text() == "one two"
    assert window.log[-1] == ("done", future.result())
    assert threads == {threading.get_ident()}


def test_reasoning_and_answer_come_apart_and_without_marks(server, model, window):
    server.reply("It is green.", reasoning="Hm, a colour.")
    future = model.respond_stream("hi").run_in_background(
        **window.callbacks(),
        on_reasoning=lambda text: window.log.append(("reasoning", text)),
        on_answer=lambda text: window.log.append(("answer", text)),
    )
    window.run_until(window.has_ended)

    result = future.result(LIMIT)
    told = {
        kind: "".join(text for one, text in window.log if one == kind)
        for kind in ("text", "reasoning", "answer")
    }
    assert told == {
        "text": result.content,
        "reasoning": result.reasoning_content,
        "answer": result.answer,
    }
    assert told["reasoning"] == "Hm, a colour."
    assert "<think>" in told["text"]
    kinds = [kind for kind, _ in window.log]
    assert kinds.index("answer") > max(at for at, kind in enumerate(kinds) if kind == "reasoning")
    assert kinds[-1] == "done"


def test_a_busy_window_gets_each_change_between_reasoning_and_answer_in_order(
    server, model, window
):
    future, call = start_held(
        server,
        model.respond_stream("hi"),
        on_reasoning=lambda text: window.log.append(f"reasoning {text}"),
        on_answer=lambda text: window.log.append(f"answer {text}"),
        dispatch=window,
    )
    for text, kind in [("a", "reasoning"), ("b", "reasoning"), ("c", "none"), ("d", "reasoning")]:
        call.fragment(text, reasoning_type=kind)
    call.fragment("<end>", is_structural=True)
    call.fragment("e")
    call.success()
    future.result(LIMIT)
    window.run_until(lambda: "answer e" in window.log)

    assert "".join(window.log) == "".join(
        f"{word} {text}"
        for word, text in [
            ("reasoning", "ab"),
            ("answer", "c"),
            ("reasoning", "d"),
            ("answer", "e"),
        ]
    )


def test_a_busy_window_gets_all_that_came_meanwhile_as_one_text(server, model, window, monkeypatch):
    monkeypatch.setattr(seat, "_PATIENCE", LIMIT)  # its thread may be late
    stream = model.respond_stream("hi")
    future, call = start_held(server, stream, **window.callbacks(), interval=0.001)
    for number in range(200):
        call.fragment(f"{number} ")
    call.success()
    future.result(LIMIT)

    assert window.waiting.qsize() == 1  # one visit, however much there is
    window.run_until(window.has_ended)
    assert [kind for kind, _ in window.log] == ["text", "done"]
    assert window.text() == "".join(f"{number} " for number in range(200))


def test_cancel_before_the_first_token_ends_in_on_done(server, model, window):
    future, call = start_held(server, model.respond_stream("hi"), **window.callbacks())
    call.progress(0.5)
    assert future.cancel("stop button")
    assert not future.cancel("again")
    call.expect_cancel()
    call.success("userStopped")
    window.run_until(window.has_ended)

    ((kind, result),) = window.log
    assert (kind, result.cancelled, result.cancel_reason) == ("done", True, "stop button")
    assert future.result(LIMIT) is result
    assert not future.cancelled()  # it has a result


def test_cancel_in_the_middle_keeps_what_was_shown(server, model, window):
    stream = model.respond_stream("hi")
    future, call = start_held(server, stream, **window.callbacks())
    call.fragment("one ")
    window.run_until(window.text)
    stream.cancel()
    call.expect_cancel()
    call.fragment("two")
    call.success("userStopped")
    window.run_until(window.has_ended)

    assert window.text() == "one " == future.result(LIMIT).content


def test_a_stream_cancelled_before_its_start_sends_nothing_and_ends_in_on_done(
    server, model, window
):
    stream = model.respond_stream("hi")
    stream.cancel("too late")
    future = stream.run_in_background(**window.callbacks())
    window.run_until(window.has_ended)

    assert future.result(LIMIT).cancelled
    assert not server.predictions


def test_an_error_of_the_server_is_on_error_with_the_partial_result(server, model, window):
    future, call = start_held(server, model.respond_stream("hi"), **window.callbacks())
    call.fragment("one ")
    call.error("Out of memory")
    window.run_until(window.has_ended)

    assert [kind for kind, _ in window.log] == ["text", "error"]
    error = window.log[-1][1]
    assert isinstance(error, lms.LMStudioServerError)
    assert error.partial.content == "one "
    assert future.exception(LIMIT) is error


def test_a_lost_connection_and_a_time_limit_are_on_error(server, client, model, window):
    future, call = start_held(server, model.respond_stream("hi"), **window.callbacks())
    call.connection.drop()
    window.run_until(window.has_ended)
    assert isinstance(window.log[-1][1], lms.LMStudioConnectionLostError)

    window.log.clear()
    future, call = start_held(server, model.respond_stream("hi", timeout=30), **window.callbacks())
    time_passes(client, 40)
    window.run_until(window.has_ended)
    assert isinstance(future.exception(LIMIT), lms.LMStudioTimeoutError)
    call.expect_cancel()
    call.success("userStopped")


def test_an_exception_in_a_callback_stops_the_model_and_goes_to_on_error(server, model, window):
    def on_text(text):
        raise ZeroDivisionError(text)

    options = {**window.callbacks(), "on_text": on_text}
    future, call = start_held(server, model.respond_stream("hi"), **options)
    call.fragment("one")
    window.run_one()
    call.expect_cancel()
    call.fragment("two")
    call.success("userStopped")
    window.run_until(window.has_ended)

    assert [kind for kind, _ in window.log] == ["error"]
    assert isinstance(window.log[0][1], ZeroDivisionError)
    assert future.exception(LIMIT) is window.log[0][1]


def test_without_on_error_the_exception_of_a_callback_is_raised_where_it_ran(server, model, window):
    def on_text(text):
        raise ZeroDivisionError(text)

    future, call = start_held(server, model.respond_stream("hi"), on_text=on_text, dispatch=window)
    call.fragment("one")
    window.run_one()
    call.expect_cancel()
    call.success("userStopped")
    with pytest.raises(ZeroDivisionError):
        while True:
            window.run_one()
    assert isinstance(future.exception(LIMIT), ZeroDivisionError)


def test_an_exception_in_on_done_is_the_windows_own(server, model, window):
    def on_done(result):
        raise ZeroDivisionError

    options = {**window.callbacks(), "on_done": on_done}
    future, call = start_held(server, model.respond_stream("hi"), **options)
    call.success()
    with pytest.raises(ZeroDivisionError):
        window.run_one()
    assert future.result(LIMIT).content == ""
    assert not window.log


def test_a_dispatch_that_fails_stops_the_model_and_is_what_the_future_gets(server, model):
    def dispatch(function):
        raise RuntimeError("the window is gone")

    future, call = start_held(server, model.respond_stream("hi"), on_text=print, dispatch=dispatch)
    call.fragment("one")
    call.expect_cancel()
    call.success("userStopped")
    with pytest.raises(RuntimeError, match="the window is gone"):
        future.result(LIMIT)


def test_closing_the_window_stops_the_model_at_once_and_in_any_phase(server, model, window):
    future, call = start_held(server, model.respond_stream("hi"), **window.callbacks())
    window.closed.cancel("the window was closed")
    call.expect_cancel()
    call.success("userStopped")
    assert future.result(LIMIT).cancel_reason == "the window was closed"


def test_nothing_is_called_after_the_client_was_closed(server, window):
    client = lms.Client(server.host)
    stream = client.llm.model().respond_stream("hi")
    future, call = start_held(server, stream, **window.callbacks())
    call.fragment("one")
    function = window.waiting.get(timeout=LIMIT)
    client.close()
    function()  # it was under way already
    assert future.result(LIMIT).cancel_reason == "client closed"
    while not window.waiting.empty():
        window.run_one()
    assert not window.log


def test_closing_waits_for_a_slow_callback_no_longer_than_its_limit(server):
    client = lms.Client(server.host)
    inside, go_on = threading.Event(), threading.Event()

    def on_text(text):
        inside.set()
        assert go_on.wait(LIMIT)

    stream = client.llm.model().respond_stream("hi")
    _, call = start_held(server, stream, on_text=on_text)
    call.fragment("one")
    assert inside.wait(LIMIT)
    Worker(lambda: client.close(timeout=0.05)).result()  # though the callback still runs
    assert not go_on.is_set()
    go_on.set()
    assert stream.result().cancel_reason == "client closed"


def test_without_dispatch_callbacks_run_in_the_packages_thread(server, model):
    log, ended = [], threading.Event()

    def on_done(result):
        log.append(threading.current_thread().name)
        ended.set()

    _, call = start_held(server, model.respond_stream("hi"), on_text=log.append, on_done=on_done)
    call.fragment("one")
    call.success()
    assert ended.wait(LIMIT)
    assert log == ["one", "lmstudio-background"]


def test_one_thread_reads_many_streams_and_leaves_after_them(server, model):
    def readers():
        return sum(thread.name == "lmstudio-background" for thread in threading.enumerate())

    server.hold("predict")
    eventually(lambda: not readers())  # that of the test before has left
    before = set(threading.enumerate())
    streams = [model.respond_stream(str(number)) for number in range(50)]
    futures = [stream.run_in_background() for stream in streams]
    del streams
    gc.collect()  # a stream that runs in the background need not be kept
    calls = [server.expect("predict") for _ in futures]
    new = set(threading.enumerate()) - before  # the I/O thread runs since model()
    assert [thread.name for thread in new] == ["lmstudio-background"]
    for call in calls:
        call.success()
    done, _ = concurrent.futures.wait(futures, LIMIT)
    assert len(done) == 50
    assert set(concurrent.futures.as_completed(futures, LIMIT)) == set(futures)
    eventually(lambda: not readers())


def test_who_reads_in_the_background_is_named_to_others_and_result_waits(server, model):
    stream = model.respond_stream("hi")
    future, call = start_held(server, stream)
    with pytest.raises(lms.LMStudioRuntimeError, match="'lmstudio-background' is reading"):
        iter(stream)
    with pytest.raises(lms.LMStudioRuntimeError, match="'lmstudio-background' is reading"):
        stream.run_in_background()
    with pytest.raises(lms.LMStudioTimeoutError):
        stream.result(timeout=0)
    waiter = Worker(stream.result)
    call.fragment("one")
    call.success()
    assert waiter.result() is future.result(LIMIT)


def test_a_stream_that_somebody_iterates_is_not_taken_over(server, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    assert next(iterator).content
    with pytest.raises(lms.LMStudioRuntimeError, match="'MainThread' is reading"):
        stream.run_in_background()
    assert list(iterator)  # it goes on
    assert stream.run_in_background().result(LIMIT).content == stream.result().content


def test_a_callback_that_waits_for_its_own_end_is_told_so(server, model):
    errors, ended = [], threading.Event()

    def on_text(text):
        for wait in (stream.result, future.result):
            try:
                wait()
            except lms.LMStudioRuntimeError as error:
                errors.append(str(error))

    stream = model.respond_stream("hi")
    server.hold("predict")
    future = stream.run_in_background(on_text=on_text, on_done=lambda _: ended.set())
    call = server.expect("predict")
    call.fragment("one")
    eventually(lambda: len(errors) == 2)
    call.success()
    assert ended.wait(LIMIT)
    assert all("Use on_done" in error for error in errors)


def test_asyncio_awaits_it_and_stops_the_model_when_its_task_is_cancelled(
    server, model, monkeypatch
):
    monkeypatch.setattr(seat, "_PATIENCE", LIMIT)  # its thread may be late

    async def ask():
        loop, text = asyncio.get_running_loop(), []
        server.hold("predict")
        future = model.respond_stream("hi").run_in_background(
            on_text=text.append, dispatch=loop.call_soon_threadsafe
        )
        call = await loop.run_in_executor(None, server.expect, "predict")
        call.fragment("one")
        call.success()
        assert (await asyncio.wrap_future(future)).content == "one"
        await asyncio.sleep(0)
        assert text == ["one"]

        task = asyncio.ensure_future(
            asyncio.wrap_future(model.respond_stream("hi").run_in_background())
        )
        call = await loop.run_in_executor(None, server.expect, "predict")
        task.cancel()
        await loop.run_in_executor(None, call.expect_cancel)
        call.success("userStopped")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_text": 1}, "on_text must be a function; 1 was given"),
        ({"on_progress": "x"}, "on_progress must be a function"),
        ({"dispatch": 1}, "dispatch must be a function"),
        ({"interval": 0}, "interval must be more than 0 seconds"),
        ({"interval": None}, "interval must be more than 0 seconds"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_sent(server, model, options, words):
    stream = model.respond_stream("hi")
    with pytest.raises(lms.LMStudioValueError, match=words):
        stream.run_in_background(**options)
    assert not server.predictions
    assert stream.result().content  # it can still be used


def test_progress_can_be_asked_for_once_only(model):
    stream = model.respond_stream("hi", on_prompt_processing_progress=print)
    with pytest.raises(lms.LMStudioValueError, match="Use one of them"):
        stream.run_in_background(on_progress=print)


def test_a_closed_client_is_an_error_at_once(server):
    client = lms.Client(server.host)
    model = client.llm.model()
    client.close()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.respond_stream("hi").run_in_background()


@pytest.mark.parametrize("failure", [SystemExit, ZeroDivisionError])
def test_each_done_callback_of_a_future_is_called_whatever_another_one_raises(
    server, model, failure
):
    called, ended = [], threading.Event()
    future, call = start_held(server, model.respond_stream("hi"), on_done=lambda _: ended.set())

    def fail(_):
        called.append("fails")
        raise failure

    for callback in (fail, fail, lambda _: called.append("last")):
        future.add_done_callback(callback)
    call.success()
    assert ended.wait(LIMIT)
    assert called == ["fails", "fails", "last"]


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_wait_of_the_main_thread_may_be_cut_into_slices(server, model, monkeypatch, ask):
    monkeypatch.setattr(_deadline, "_SLICED", True)  # as on Windows before Python 3.14
    monkeypatch.setattr(_deadline, "_SLICE", 0.001)
    server.hold("predict")
    future = model.respond_stream("hi").run_in_background()
    call = server.expect("predict")

    with pytest.raises(concurrent.futures.TimeoutError):
        getattr(future, ask)(0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        getattr(future, ask)(0)

    call.fragment("a")
    call.success()
    got = getattr(future, ask)()
    assert future.result(LIMIT).content == "a"
    assert (got is None) == (ask == "exception")


def test_a_packet_that_cannot_be_read_is_told_without_waiting_for_the_servers_last_word(
    server, client, model
):
    client._session.cancel_grace = 60.0
    errors = []
    future, call = start_held(server, model.respond_stream("hi"), on_error=errors.append)
    call.packet({"type": "fragment", "fragment": None})
    assert isinstance(future.exception(LIMIT), lms.LMStudioProtocolError)
    eventually(lambda: errors)
    call.success("userStopped")
