"""Running in the background: callbacks in order and in their thread, one end, a future."""

import asyncio
import concurrent.futures
import gc
import itertools
import queue
import threading
import time

import pytest
from child_process import posix, run
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._background import thread as _background
from lmstudio._background.callback_queue import Outbox
from lmstudio._concurrency.callback_gate import CallbackGate

pytestmark = pytest.mark.races

LIMIT = 10.0  # seconds


class Window:
    """A GUI without a screen: a thread that runs what is dispatched to it, when it is told to."""

    def __init__(self):
        self.waiting = queue.SimpleQueue()
        self.closed = lms.CancelToken()
        self.log = []

    def __call__(self, function):
        self.waiting.put(function)

    def run_one(self):
        self.waiting.get(timeout=LIMIT)()

    def run_until(self, condition):
        while not condition():
            self.run_one()

    def callbacks(self):
        return {
            "on_text": lambda text: self.log.append(("text", text)),
            "on_done": lambda result: self.log.append(("done", result)),
            "on_error": lambda error: self.log.append(("error", error)),
            "dispatch": self,
        }

    def has_ended(self):
        return bool(self.log) and self.log[-1][0] in ("done", "error")

    def text(self):
        return "".join(text for kind, text in self.log if kind == "text")


@pytest.fixture
def window():
    return Window()


def held(server, stream, **options):
    """A stream that runs in the background, and the server's side of it."""
    server.hold("predict")
    future = stream.run_in_background(**options)
    return future, server.expect("predict")


# -- streams ----------------------------------------------------------------------------------


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
    future, call = held(server, stream, **window.callbacks(), on_progress=on_progress)
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


def test_a_busy_window_gets_all_that_came_meanwhile_as_one_text(server, model, window):
    stream = model.respond_stream("hi")
    future, call = held(server, stream, **window.callbacks(), interval=0.001)
    for number in range(200):
        call.fragment(f"{number} ")
    call.success()
    future.result(LIMIT)

    assert window.waiting.qsize() == 1  # one visit, however much there is
    window.run_until(window.has_ended)
    assert [kind for kind, _ in window.log] == ["text", "done"]
    assert window.text() == "".join(f"{number} " for number in range(200))


def test_cancel_before_the_first_token_ends_in_on_done(server, model, window):
    future, call = held(server, model.respond_stream("hi"), **window.callbacks())
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
    future, call = held(server, stream, **window.callbacks())
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
    future, call = held(server, model.respond_stream("hi"), **window.callbacks())
    call.fragment("one ")
    call.error("Out of memory")
    window.run_until(window.has_ended)

    assert [kind for kind, _ in window.log] == ["text", "error"]
    error = window.log[-1][1]
    assert isinstance(error, lms.LMStudioServerError)
    assert error.partial.content == "one "
    assert future.exception(LIMIT) is error


def test_a_lost_connection_and_a_time_limit_are_on_error(server, model, window):
    future, call = held(server, model.respond_stream("hi"), **window.callbacks())
    call.connection.drop()
    window.run_until(window.has_ended)
    assert isinstance(window.log[-1][1], lms.LMStudioConnectionLostError)

    window.log.clear()
    future, call = held(server, model.respond_stream("hi", timeout=0.05), **window.callbacks())
    window.run_until(window.has_ended)
    assert isinstance(future.exception(LIMIT), lms.LMStudioTimeoutError)
    call.expect_cancel()
    call.success("userStopped")


def test_an_exception_in_a_callback_stops_the_model_and_goes_to_on_error(server, model, window):
    def on_text(text):
        raise ZeroDivisionError(text)

    options = {**window.callbacks(), "on_text": on_text}
    future, call = held(server, model.respond_stream("hi"), **options)
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

    future, call = held(server, model.respond_stream("hi"), on_text=on_text, dispatch=window)
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
    future, call = held(server, model.respond_stream("hi"), **options)
    call.success()
    with pytest.raises(ZeroDivisionError):
        window.run_one()
    assert future.result(LIMIT).content == ""
    assert not window.log


def test_a_dispatch_that_fails_stops_the_model_and_is_what_the_future_gets(server, model):
    def dispatch(function):
        raise RuntimeError("the window is gone")

    future, call = held(server, model.respond_stream("hi"), on_text=print, dispatch=dispatch)
    call.fragment("one")
    call.expect_cancel()
    call.success("userStopped")
    with pytest.raises(RuntimeError, match="the window is gone"):
        future.result(LIMIT)


def test_closing_the_window_stops_the_model_at_once_and_in_any_phase(server, model, window):
    future, call = held(server, model.respond_stream("hi"), **window.callbacks())
    window.closed.cancel("the window was closed")
    call.expect_cancel()
    call.success("userStopped")
    assert future.result(LIMIT).cancel_reason == "the window was closed"


def test_nothing_is_called_after_the_client_was_closed(server, window):
    client = lms.Client(server.host)
    stream = client.llm.model().respond_stream("hi")
    future, call = held(server, stream, **window.callbacks())
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
    _, call = held(server, stream, on_text=on_text)
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

    _, call = held(server, model.respond_stream("hi"), on_text=log.append, on_done=on_done)
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
    future, call = held(server, stream)
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


def test_asyncio_awaits_it_and_stops_the_model_when_its_task_is_cancelled(server, model):
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


# -- other calls ------------------------------------------------------------------------------


def test_a_load_reports_its_progress_and_gives_a_handle(server, client, window):
    options = {**window.callbacks(), "on_text": None}
    future = lms.run_in_background(
        client.llm.model,
        "test-vlm",
        on_load_progress=lambda share: window.log.append(("progress", share)),
        **options,
    )
    window.run_until(window.has_ended)

    assert window.log[0] == ("progress", 0.0)
    assert window.log[-2:] == [("progress", 1.0), ("done", future.result(LIMIT))]
    assert future.result().identifier == "test-vlm"


def test_a_load_is_stopped_by_its_future_by_an_event_and_by_the_window(server, client, window):
    stop = threading.Event()

    def load():
        server.hold("getOrLoad")
        future = lms.run_in_background(
            client.llm.model, "test-vlm", dispatch=window, cancel_event=stop
        )
        return future, server.expect("getOrLoad")

    for cancel in (
        lambda future: future.cancel("stop button"),
        lambda future: stop.set(),
        lambda future: window.closed.cancel("the window was closed"),
    ):
        future, call = load()
        cancel(future)
        call.expect_cancel()
        call.close()
        assert isinstance(future.exception(LIMIT), lms.LMStudioCancelledError)
        stop.clear()


def test_a_download_reports_its_progress_and_gives_a_key(server, client, window):
    (model, *_) = client.repository.search_models("tiny")
    option = model.get_download_options()[0]
    seen = []
    future = lms.run_in_background(
        option.download, on_progress=seen.append, on_done=window.log.append, dispatch=window
    )
    key = future.result(LIMIT)
    window.run_until(lambda: window.log)
    assert seen
    assert window.log == [key]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_act_gives_text_and_messages_in_order_in_the_windows_thread(server, model, window):
    server.reply("Let me see. ", tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}])
    server.reply("It is three.")
    chat = lms.Chat()
    chat.add_user_message("How much is 1 + 2?")
    future = lms.run_in_background(
        model.act,
        chat,
        [add],
        on_message=lambda message: window.log.append(("message", message.role)),
        **window.callbacks(),
    )
    assert future.result(LIMIT).rounds == 2
    window.run_until(window.has_ended)

    assert window.text() == "Let me see. It is three."
    kinds = [value if kind == "message" else kind for kind, value in window.log]
    merged = [kind for kind, _ in itertools.groupby(kinds)]
    assert merged == ["text", "assistant", "tool", "text", "assistant", "done"]


def test_the_text_of_act_comes_while_it_runs(server, model, window):
    server.hold("predict")
    future = lms.run_in_background(model.act, "hi", [add], **window.callbacks())
    call = server.expect("predict")
    call.fragment("one")
    window.run_until(window.text)
    assert not future.done()
    future.cancel("enough")
    call.expect_cancel()
    call.success("userStopped")
    window.run_until(window.has_ended)
    assert window.log[-1][1].cancel_reason == "enough"


def test_a_callback_of_act_that_fails_stops_it(server, model, window):
    def on_text(text):
        raise ZeroDivisionError

    server.hold("predict")
    options = {**window.callbacks(), "on_text": on_text}
    future = lms.run_in_background(model.act, "hi", [add], **options)
    call = server.expect("predict")
    call.fragment("one")
    window.run_one()
    call.expect_cancel()
    call.success("userStopped")
    window.run_until(window.has_ended)
    assert isinstance(window.log[-1][1], ZeroDivisionError)
    assert isinstance(future.exception(LIMIT), ZeroDivisionError)


def test_fragments_and_text_can_both_be_asked_for(server, model):
    pieces, text, ended = [], [], threading.Event()
    server.reply("one two")
    lms.run_in_background(
        model.respond,
        "hi",
        on_text=text.append,
        on_prediction_fragment=lambda fragment: pieces.append(fragment.content),
        on_done=lambda _: ended.set(),
    )
    assert ended.wait(LIMIT)
    assert "".join(pieces) == "one two" == "".join(text)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"on_mesage": print}, TypeError, "act.. got an unexpected keyword argument 'on_mesage'"),
        ({"on_message": 1}, lms.LMStudioValueError, "on_message must be a function; 1 was given"),
        ({"cancel_event": 1}, lms.LMStudioValueError, "cancel_event must be"),
    ],
)
def test_misspelt_options_are_errors_at_once(server, model, options, error, words):
    with pytest.raises(error, match=words):
        lms.run_in_background(model.act, "hi", [add], **options)
    assert not server.predictions


def test_a_function_of_your_own_runs_if_it_takes_an_event(server, client):
    def load_and_ask(question, cancel_event):
        model = client.llm.model(cancel_event=cancel_event)
        return model.respond(question, cancel_event=cancel_event).content

    server.reply("It is green.")
    assert lms.run_in_background(load_and_ask, "hi").result(LIMIT) == "It is green."


@pytest.mark.parametrize(
    ("call", "arguments", "error", "words"),
    [
        (lambda: None, (), TypeError, "takes no cancel_event, by which it would be stopped. Give"),
        (time.sleep, (0.1,), TypeError, r"sleep\(\) takes no cancel_event"),
        ("a reply", (), lms.LMStudioValueError, "must be a function with its arguments.*a str was"),
    ],
)
def test_what_cannot_be_stopped_or_called_is_refused(call, arguments, error, words):
    with pytest.raises(error, match=words):
        lms.run_in_background(call, *arguments)


def test_a_dispatcher_needs_a_widget():
    with pytest.raises(lms.LMStudioValueError, match="needs a widget of tkinter, not 3"):
        lms.TkDispatcher(3)


def test_nothing_of_a_call_is_told_after_the_client_was_closed(server, window):
    client = lms.Client(server.host)
    server.hold("getOrLoad")
    future = lms.run_in_background(
        client.llm.model, "test-vlm", on_error=window.log.append, dispatch=window
    )
    server.expect("getOrLoad")
    client.close()
    assert isinstance(future.exception(LIMIT), lms.LMStudioCancelledError)
    window.run_one()
    assert not window.log


# -- the outbox and the thread ----------------------------------------------------------------


def outbox(dispatch, log):
    return Outbox(
        CallbackGate(), dispatch, log.append, on_text=log.append, on_done=None, on_error=None
    )


def test_a_visit_leaves_what_comes_meanwhile_to_the_next_one(window):
    log = []
    box = outbox(window, log)
    box.run(lambda: box.run(log.append, "second"))
    window.run_one()
    assert log == []  # another visit is asked for, so that the window can do other things first
    window.run_one()
    assert log == ["second"]


def test_two_threads_without_dispatch_run_one_callback_at_a_time():
    log, inside, go_on = [], threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(LIMIT)
        log.append("slow")

    box = outbox(None, log)
    first = Worker(box.run, slow)
    assert inside.wait(LIMIT)
    box.run(log.append, "quick")  # returns at once: the first thread runs it
    assert log == []
    go_on.set()
    first.result()
    assert log == ["slow", "quick"]


def test_a_dispatch_that_calls_at_once_hides_no_exception(server, model, monkeypatch):
    seen = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.put(args.exc_value))
    future = model.respond_stream("hi").run_in_background(
        on_done=lambda _: 1 / 0, dispatch=lambda function: function()
    )
    assert isinstance(seen.get(timeout=LIMIT), ZeroDivisionError)
    assert future.result(LIMIT).content


def test_an_exception_in_the_last_callback_is_that_of_a_thread(server, model, monkeypatch):
    reported = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", reported.put)
    future = model.respond_stream("hi").run_in_background(on_done=lambda result: 1 / 0)
    assert reported.get(timeout=LIMIT).exc_type is ZeroDivisionError
    assert future.result(LIMIT).content


def test_a_job_that_fails_does_not_end_the_others(server, model):
    class Broken:
        call, interval = None, 0.01

        def turn(self):
            raise ZeroDivisionError

    _background.add(Broken())
    assert model.respond_stream("hi").run_in_background().result(LIMIT).content


@posix
def test_a_forked_child_has_a_background_of_its_own_and_leaves_the_parents_alone(server):
    server.reply("one two three", delay=0.2)
    server.reply("four")
    program = """
    begun = threading.Event()
    future = model.respond_stream("hi").run_in_background(on_text=lambda text: begun.set())
    assert begun.wait(10)
    pid = os.fork()
    if pid == 0:
        try:
            future.result()
        except lms.LMStudioRuntimeError as error:
            assert "forked child" in str(error)
        with lms.Client(sys.argv[1]) as own:
            print(own.llm.model().respond_stream("hi").run_in_background().result(10).content)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(future.result(10).content)
    """
    assert run(server, program) == ["four", "one", "two", "three"]


def test_a_program_may_end_while_something_runs_in_the_background(server):
    server.reply("word " * 1000, delay=0.01)
    program = """
    started = threading.Event()
    future = model.respond_stream("hi").run_in_background(on_text=lambda text: started.set())
    assert started.wait(10)
    """
    run(server, program)
    server.predictions[0].wait_finished()
    assert server.predictions[0].cancelled_after is not None
