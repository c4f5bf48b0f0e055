"""Limits of time: of silence, of a whole call, and those of the client."""

import threading

import pytest
from helpers import Worker, eventually, in_io_thread, time_passes

import lmstudio as lms


def test_silence_ends_a_prediction_and_tells_the_server(server, client, model):
    server.hold("predict")
    arrived = threading.Event()
    worker = Worker(lambda: model.respond("hi", idle_timeout=30, on_first_token=arrived.set))
    call = server.expect("predict")
    call.fragment("a")
    assert arrived.wait(10)
    time_passes(client, 40)
    call.expect_cancel()

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert isinstance(error, TimeoutError)
    assert "idle_timeout=30" in str(error)
    assert error.partial.content == "a"
    assert error.partial.stats.stop_reason == "failed"


def test_the_whole_time_limit_holds_though_the_server_goes_on_talking(server, client, model):
    server.reply("word " * 30_000, delay=0.001)
    arrived = threading.Event()
    worker = Worker(lambda: model.respond("hi", timeout=30, on_first_token=arrived.set))
    assert arrived.wait(10)
    time_passes(client, 40)

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert "within timeout=30 s" in str(error)
    assert error.partial.content.startswith("word")
    server.predictions[-1].wait_finished()
    assert server.predictions[-1].stop_reason == "userStopped"


def test_a_time_limit_acts_with_nobody_reading_and_the_backlog_comes_first(server, client, model):
    server.hold("predict")
    stream = model.respond_stream("hi", idle_timeout=30)
    stream.start()
    call = server.expect("predict")
    call.fragment("a")
    eventually(stream._call.inbox.qsize)
    time_passes(client, 40)
    call.expect_cancel()
    taken = []

    with pytest.raises(lms.LMStudioTimeoutError):
        for fragment in stream:
            taken.append(fragment.content)

    assert taken == ["a"]


def test_a_slow_reader_causes_no_timeout(server, client, model):
    server.reply(["a", "b", "c"])
    stream = model.respond_stream("hi", timeout=30, idle_timeout=30)
    stream.start()
    eventually(stream.done)
    call = stream._call
    call.started, call.sent, call.heard = (t - 40 for t in (call.started, call.sent, call.heard))
    time_passes(client, 40)
    in_io_thread(client, lambda: None)  # it has looked

    assert stream.result().content == "abc"


def test_progress_counts_as_a_sign_of_life(server, model):
    server.hold("predict")
    worker = Worker(lambda: model.respond("hi", idle_timeout=30))
    call = server.expect("predict")
    loop = model._session.dispatcher
    (pending,) = loop.open.values()
    heard = pending.heard
    call.progress(0.5)

    eventually(lambda: pending.heard > heard)
    call.success()
    assert worker.result().content == ""


def test_the_default_limit_of_silence_is_set_for_all(server, client, model):
    server.hold("predict")
    before = lms.get_sync_api_timeout()
    assert before == 60
    lms.set_sync_api_timeout(30)
    try:
        worker = Worker(model.respond, "hi")
        call = server.expect("predict")
        time_passes(client, 40)
        call.expect_cancel()
        assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    finally:
        lms.set_sync_api_timeout(before)


def test_the_limits_of_the_client_hold_where_the_call_sets_none(server):
    server.hold("countTokens")
    with lms.Client(server.host, timeout=30) as client:
        model = client.llm.model()
        worker = Worker(model.count_tokens, "a")
        server.expect("countTokens")
        time_passes(client, 40)

        assert isinstance(worker.error(), lms.LMStudioTimeoutError)


@pytest.mark.parametrize("value", [-1, float("nan"), "5", True])
def test_a_limit_that_is_no_number_of_seconds_is_refused(server, client, value):
    model = lms.LLM("test-llm", client.llm)

    with pytest.raises(lms.LMStudioValueError, match="timeout must be a number of seconds"):
        model.respond_stream("hi", timeout=value)
