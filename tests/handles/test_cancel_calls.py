"""Loads and short calls are cancelled, clause C8; and how a load tells its progress."""

import threading

import pytest
from helpers import Worker, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def test_a_cancelled_load_raises_with_the_reason_and_tells_the_server(server, client):
    server.hold("getOrLoad")
    token, progress = lms.CancelToken(), []
    worker = Worker(
        lambda: client.llm.model("test-vlm", cancel_event=token, on_load_progress=progress.append)
    )
    call = server.expect("getOrLoad")
    call.progress(0.5)
    eventually(lambda: progress == [0.5])

    token.cancel("too slow")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert error.reason == "too slow"
    assert "too slow" in str(error)
    call.expect_cancel()
    call.close()
    assert client.llm.model().count_tokens("still usable") > 0


def test_a_cancelled_rpc_raises_and_its_late_answer_is_dropped(server, model):
    server.hold("countTokens")
    event = threading.Event()
    worker = Worker(lambda: model.count_tokens("a b", cancel_event=event))
    call = server.expect("countTokens")

    event.set()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    call.result({"tokenCount": 7})
    again = Worker(model.count_tokens, "a b")
    server.expect("countTokens").result({"tokenCount": 2})
    assert again.result() == 2


def test_progress_of_a_load_is_reported_upwards_once_and_up_to_one(server, client):
    server.hold("getOrLoad")
    progress = []
    worker = Worker(lambda: client.llm.model("test-vlm", on_load_progress=progress.append))
    call = server.expect("getOrLoad")
    for step in (0.25, 0.25, 0.1, 0.75):
        call.progress(step)
    call.packet({"type": "loadSuccess", "info": {"identifier": "test-vlm"}})
    call.close()

    assert worker.result().identifier == "test-vlm"
    assert progress == [0.25, 0.75, 1.0]


def test_an_exception_in_a_progress_callback_stops_the_load_and_comes_out(server, client):
    server.hold("getOrLoad")
    worker = Worker(lambda: client.llm.model("test-vlm", on_load_progress=lambda p: 1 / 0))
    call = server.expect("getOrLoad")
    call.progress(0.5)

    assert isinstance(worker.error(), ZeroDivisionError)
    call.expect_cancel()
