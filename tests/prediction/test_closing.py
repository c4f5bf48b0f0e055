"""What `cancel_all()` and `close()` of a client do to predictions, clause C13."""

import contextlib
import threading

import pytest
from helpers import Worker, assert_usable, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def test_cancel_all_stops_what_runs_and_the_client_stays_usable(held, client, model):
    streams = [model.respond_stream(str(number)) for number in range(3)]
    for stream in streams:
        stream.start()
    calls = [held.expect("predict") for _ in streams]

    client.cancel_all("stop button")

    for call in calls:
        call.expect_cancel()
        call.success("userStopped")
    assert [s.result().cancel_reason for s in streams] == ["stop button"] * 3
    assert_usable(held, model)


def test_close_ends_predictions_normally_and_other_calls_with_an_error(held, client, model):
    held.hold("countTokens")
    stream = model.respond_stream("hi")
    iterating = Worker(lambda: [fragment.content for fragment in stream])
    prediction = held.expect("predict")
    prediction.fragment("a")
    eventually(lambda: stream._reader._has_fragment)
    counting = Worker(model.count_tokens, "a")
    held.expect("countTokens")

    client.close()

    assert iterating.result() == ["a"]
    result = stream.result()
    assert (result.content, result.cancel_reason) == ("a", "client closed")
    assert isinstance(counting.error(), lms.LMStudioCancelledError)
    prediction.expect_cancel()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.respond("too late")
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.count_tokens("too late")
    client.close()  # any number of times


def test_close_is_bounded_when_the_server_has_stopped_reading(held, client, model):
    stream = model.respond_stream("x" * 8_000_000)
    stream.start()
    held.wait_for(lambda: held.connections)
    held.connections[0].pause()
    worker = Worker(client.close, 0.1)

    worker.result(timeout=5)

    assert stream.result().cancelled


def test_no_callback_starts_after_close_and_one_that_runs_is_awaited(held, client, model):
    in_callback, go_on, seen = threading.Event(), threading.Event(), []

    def on_fragment(fragment):
        seen.append(fragment.content)
        in_callback.set()
        go_on.wait(10)

    worker = Worker(lambda: model.respond("hi", on_prediction_fragment=on_fragment))
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    assert in_callback.wait(5)
    closing = Worker(client.close, 10)
    call.expect_cancel()
    assert closing.is_alive()  # it waits for the callback
    go_on.set()
    closing.result()

    assert worker.result().content == "a"
    assert seen == ["a"]


def test_close_from_a_callback_does_not_wait_for_itself(held, client, model):
    worker = Worker(lambda: model.respond("hi", on_prediction_fragment=lambda f: client.close(10)))
    with contextlib.suppress(ConnectionError):  # closed before the server could look
        held.expect("predict").fragment("a")

    assert worker.result(timeout=8).cancel_reason == "client closed"


def test_a_client_that_was_never_used_closes(server):
    client = lms.Client(server.host)

    client.close()

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        client.llm.list_loaded()
