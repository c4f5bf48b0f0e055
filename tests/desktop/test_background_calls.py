"""Loads, downloads, `act()` and functions of your own in the background."""

import asyncio
import functools
import itertools
import queue
import threading
import time
import warnings

import pytest
from desktop.background import LIMIT
from helpers import BreakableEvent

import lmstudio as lms

pytestmark = pytest.mark.races


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


def test_on_progress_is_the_name_of_every_calls_progress(server, client, model, window):
    def told(call, *arguments):
        shares = []
        lms.run_in_background(call, *arguments, on_progress=shares.append).result(LIMIT)
        return shares

    assert told(client.llm.model, "test-vlm")[-1] == 1.0
    assert told(client.prepare_image, b"image")[-1] == 1.0
    assert told(model.respond, "hi")[-1] == 1.0

    with pytest.raises(lms.LMStudioValueError, match="on_progress and on_load_progress are one"):
        lms.run_in_background(
            client.llm.model, "test-vlm", on_progress=print, on_load_progress=print
        )


def test_a_function_of_the_users_gets_on_progress_by_its_name():
    def work(*, on_progress, cancel_event):
        on_progress(0.5)

    shares = []
    lms.run_in_background(work, on_progress=shares.append).result(LIMIT)

    assert shares == [0.5]


def test_a_runs_reasoning_and_answer_come_apart(server, model, window):
    server.reply("I will add.", reasoning="Hm.", tool_calls=[{"name": "add", "arguments": {}}])
    server.reply("It is 3.", reasoning="So.")
    reasoning, answer = [], []

    def add() -> int:
        """Add."""
        return 3

    done = queue.SimpleQueue()
    lms.run_in_background(
        model.act,
        "hi",
        [add],
        on_reasoning=reasoning.append,
        on_answer=answer.append,
        on_done=done.put,
    )
    done.get(timeout=LIMIT)  # not the future, whose last text another thread may be giving

    assert "".join(reasoning) == "Hm.So."
    assert "".join(answer) == "I will add.It is 3."


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


def test_a_callback_of_another_signature_is_refused_before_anything_is_sent(server, model):
    call = lms.run_in_background(model.act, "hi", [add], on_message=lambda: None)
    with pytest.raises(lms.LMStudioValueError, match=r"on_message is called with 1 argument"):
        call.result(LIMIT)
    with pytest.raises(lms.LMStudioValueError, match=r"on_done is called with 1 argument"):
        lms.run_in_background(model.act, "hi", [add], on_done=lambda: None)
    assert not server.predictions


def _calls_with_a_misspelt_option(client):
    model = client.llm.model()
    downloaded = client.llm.list_downloaded()[0]
    wrong, load = {"config": {"topP": 0.5}}, {"config": {"gpu": {"ration": 0.5}}}
    form = {"type": "json", "jsonSchema": {"type": "object"}, "strict": True}
    run = lms.run_in_background
    return [
        lambda: run(model.respond, "hi", **wrong),
        lambda: run(model.complete_stream, "hi", **wrong),
        lambda: run(model.act, "hi", [add], **wrong),
        lambda: run(functools.partial(model.respond, "hi", **wrong)),
        lambda: run(lms.LLM.respond, model, "hi", **wrong),
        lambda: run(model.respond, "hi", response_format=form),
        lambda: run(client.llm.model, "test-llm", **load),
        lambda: run(client.llm.load_new_instance, "test-llm", **load),
        lambda: run(client.embedding.load_new_instance, "test-embedding", **load),
        lambda: run(downloaded.load_new_instance, **load),
    ]


@pytest.fixture
def default_client(server):
    lms.configure_default_client(server.host)
    yield lms.get_default_client()
    lms.close_default_client()


def test_an_option_that_does_not_exist_is_told_once_where_the_call_began(server, default_client):
    calls = _calls_with_a_misspelt_option(default_client)
    load = {"config": {"ration": 0.5}}
    calls += [
        lambda: lms.run_in_background(lms.llm, "test-llm", **load),
        lambda: lms.run_in_background(lms.embedding_model, "test-embedding", **load),
    ]
    for call in calls:
        with pytest.warns(lms.LMStudioOptionWarning, match="topP|ration|strict") as caught:
            future = call()
        assert [warning.filename for warning in caught] == [__file__]
        future.result(LIMIT)  # a warning in its thread, outside of the block, would be an error


def test_a_filter_that_makes_errors_of_warnings_stops_the_call_before_it_begins(server, client):
    for call in _calls_with_a_misspelt_option(client):
        with warnings.catch_warnings():
            warnings.simplefilter("error", lms.LMStudioOptionWarning)
            with pytest.raises(lms.LMStudioOptionWarning, match="does not exist"):
                call()
    assert not server.received(type="channelCreate")


def test_a_strict_client_refuses_an_option_that_does_not_exist_at_the_call(server):
    with lms.Client(server.host, strict_options=True) as client:
        for call in _calls_with_a_misspelt_option(client):
            with pytest.raises(lms.LMStudioValueError, match="Unknown option"):
                call()
    assert not server.received(type="channelCreate")


def test_a_configuration_is_read_in_the_thread_of_the_caller_and_never_again(server, model):
    class Config(dict):
        def items(self):
            readers.append(threading.get_ident())
            return super().items()

    readers = []
    config = Config(maxTokens=3)
    future = lms.run_in_background(model.respond, "hi", config=config)
    config["maxTokens"] = "many"
    future.result(LIMIT)
    assert readers == [threading.get_ident()]
    limit = server.predictions[-1].config["llm.prediction.maxPredictedTokens"]
    assert limit == {"checked": True, "value": 3}


def test_what_a_server_reported_of_a_load_goes_back_as_it_is(server, client):
    reported = client.llm.model().get_load_config()
    client.llm.load_new_instance("test-vlm", config=reported)
    lms.run_in_background(client.llm.load_new_instance, "test-vlm", config=reported).result(LIMIT)
    (here, there) = server.received("channelCreate", endpoint="loadModel")
    stack = "loadConfigStack"
    assert there["creationParameter"][stack] == here["creationParameter"][stack]


def test_a_function_of_your_own_reads_its_own_config(server, model):
    def ask(model, config, cancel_event):
        return model.respond(config["question"], cancel_event=cancel_event).content

    server.reply("fine")
    future = lms.run_in_background(ask, model, config={"question": "hi"})
    assert future.result(LIMIT) == "fine"


def test_what_your_own_function_misspells_is_told_at_the_line_that_began_the_call(server, model):
    def ask(cancel_event):
        return model.respond("hi", config={"topP": 0.5}, cancel_event=cancel_event)

    with pytest.warns(lms.LMStudioOptionWarning, match="topP") as caught:
        lms.run_in_background(ask).result(LIMIT)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_stop_iteration_does_not_leave_a_future_or_what_wraps_it_unfinished(server, model):
    def call(cancel_event):
        raise StopIteration("of the call")

    async def wait(future):
        return await asyncio.wait_for(asyncio.wrap_future(future), LIMIT)

    for future in (
        lms.run_in_background(call, on_error=repr),
        lms.run_in_background(
            model.act, "hi", [add], on_round_start=lambda _: next(iter(())), on_error=repr
        ),
        model.respond_stream("hi").run_in_background(
            on_text=print, dispatch=lambda _: next(iter(()))
        ),
    ):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            asyncio.run(wait(future))


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


def test_nothing_of_a_function_is_told_after_the_default_client_was_closed(server, window):
    lms.configure_default_client(server.host)
    server.hold("getOrLoad")
    future = lms.run_in_background(lms.llm, "test-vlm", on_error=window.log.append, dispatch=window)
    server.expect("getOrLoad")
    lms.close_default_client()
    assert isinstance(future.exception(LIMIT), lms.LMStudioCancelledError)
    window.run_one()
    assert not window.log


def test_text_comes_once_in_an_interval_though_there_is_a_callback_for_each_fragment(server, model):
    server.hold("predict")
    texts, pieces, ended = [], queue.SimpleQueue(), threading.Event()
    future = lms.run_in_background(
        model.respond,
        "hi",
        on_text=texts.append,
        on_prediction_fragment=lambda fragment: pieces.put(fragment.content),
        on_done=lambda _: ended.set(),
        interval=3600,
    )
    call = server.expect("predict")
    for piece in "abc":
        call.fragment(piece)
        assert pieces.get(timeout=LIMIT) == piece
    assert texts == []
    call.success()
    assert future.result(LIMIT).content == "abc"
    assert ended.wait(LIMIT)
    assert texts == ["abc"]


def calls_of(client):
    listed = client.list_downloaded_models
    yield listed
    yield client.system.list_downloaded_models
    yield functools.partial(client.repository.search_models, "tiny")
    yield client.llm.list_downloaded
    yield functools.partial(functools.partial(listed), "llm")
    yield functools.partial(lms.Client.list_downloaded_models, client)
    yield client.llm.model().count_tokens, "a"
    yield lms.LLM.count_tokens, client.llm.model(), "a"
    yield client.llm.model


@pytest.mark.parametrize("at", range(9))
def test_nothing_is_called_after_close_however_the_call_is_given(server, window, at):
    with lms.Client(server.host) as client:
        what = list(calls_of(client))[at]
        call, *arguments = what if isinstance(what, tuple) else (what,)
        called = []
        lms.run_in_background(call, *arguments, on_done=called.append, dispatch=window).result(
            LIMIT
        )
        first = window.waiting.get(timeout=LIMIT)
        client.close()
        first()
        assert called == []


def test_nothing_of_a_function_of_the_package_is_called_after_close(server, window):
    lms.configure_default_client(server.host)
    called = []
    options = {"on_done": called.append, "dispatch": window}
    for call in (lms.list_downloaded_models, functools.partial(lms.llm, "test-llm")):
        lms.run_in_background(call, **options).result(LIMIT)
    visits = [window.waiting.get(timeout=LIMIT) for _ in range(2)]
    lms.close_default_client()
    for visit in visits:
        visit()
    assert called == []
    lms.configure_default_client()


def test_a_coroutine_function_is_refused():
    async def work(cancel_event=None):
        """Never run."""

    with pytest.raises(lms.LMStudioValueError, match="a coroutine function: await it"):
        lms.run_in_background(work)


def test_each_who_waits_for_a_call_that_failed_gets_an_error_of_his_own(client):
    call = lms.run_in_background(client.llm.get_model_info, "nothing")
    errors = []
    for _ in range(2):
        with pytest.raises(lms.LMStudioModelNotFoundError, match="nothing") as caught:
            call.result(LIMIT)
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    assert errors[0].args == errors[1].args
    assert errors[0].server_error is errors[1].server_error


def test_each_task_that_awaits_a_call_that_failed_gets_an_error_of_its_own(client):
    call = lms.run_in_background(client.llm.get_model_info, "nothing")

    async def wait():
        return await call

    async def wait_twice():
        return await asyncio.gather(wait(), wait(), return_exceptions=True)

    first, second = asyncio.run(wait_twice())
    assert type(first) is type(second) is lms.LMStudioModelNotFoundError
    assert first is not second
    assert first.args == second.args


def test_a_function_of_ones_own_gets_one_event(server):
    seen, go_on = [], threading.Event()

    def work(count, *, cancel_event):
        seen.append(count)
        assert cancel_event.wait(10)
        return cancel_event.reason, cancel_event.is_set()

    future = lms.run_in_background(work, 3, cancel_event=[go_on, threading.Event()])
    go_on.set()
    assert future.result(LIMIT) == ("cancel_event was set", True)
    assert seen == [3]


def test_only_who_stopped_a_call_is_told_so(server, model):
    future = lms.run_in_background(model.respond, "hi")
    assert future.result(LIMIT).content
    assert future.cancel("late") is False

    server.hold("predict")
    event = threading.Event()
    future = lms.run_in_background(model.respond, "hi", cancel_event=event)
    call = server.expect("predict")
    event.set()
    call.expect_cancel()
    assert future.cancel("later than the event") is False
    call.success("userStopped")
    assert future.result(LIMIT).cancel_reason == "cancel_event was set"


def test_an_event_that_breaks_while_a_function_runs_is_told():
    event, started = BreakableEvent(), threading.Event()

    def work(*, cancel_event):
        started.set()
        return cancel_event.wait(10)

    future = lms.run_in_background(work, cancel_event=event)
    assert started.wait(LIMIT)
    event.is_broken = True
    with pytest.raises(lms.LMStudioRuntimeError, match="gone"):
        future.result(LIMIT)


def test_on_progress_of_an_agent_is_told_the_progress_alone(server, model):
    def add(a: int) -> int:
        """Add."""
        return a

    shares = []
    lms.run_in_background(model.act, "hi", [add], on_progress=shares.append).result(LIMIT)
    assert shares[-1] == 1.0
