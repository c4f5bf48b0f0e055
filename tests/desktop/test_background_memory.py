"""What has run in the background is not kept alive by it."""

import gc
import weakref

import pytest
from helpers import eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def test_an_ended_stream_is_let_go_though_its_next_poll_was_far_away(server, model):
    server.hold("predict")
    other = model.respond_stream("stays").run_in_background()  # keeps the thread alive
    held = server.expect("predict")
    with lms.Client(server.host) as client:
        stream = client.llm.model().respond_stream("hi")
        future = stream.run_in_background(interval=3600)
        call = server.expect("predict")
        call.fragment("a")
        call.success()
        assert future.result(timeout=10).content == "a"
        references = [weakref.ref(stream), weakref.ref(stream._session)]
    del stream, future, client, call

    eventually(lambda: gc.collect() >= 0 and not any(ref() for ref in references))
    held.success()
    other.result(timeout=10)


def test_a_stream_that_ran_in_the_background_needs_no_garbage_collector(server, model):
    gc.collect()
    gc.disable()
    try:
        stream = model.respond_stream("hi")
        stream.run_in_background().result(timeout=10)
        reference = weakref.ref(stream)
        del stream
        eventually(lambda: reference() is None)
    finally:
        gc.enable()
