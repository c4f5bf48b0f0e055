"""Programs whose tests stop the clock of the whole process: calls, limits and events go on."""

import threading

import pytest
from freezegun import freeze_time
from helpers import Worker

import lmstudio as lms

LIMIT = 10.0  # seconds

pytestmark = pytest.mark.parametrize("tick", [False, True], ids=["stopped", "ticking"])


def test_calls_of_a_client_made_before_or_in_it_are_answered(server, client, model, tick):
    with freeze_time("2030-01-01", tick=tick):
        assert Worker(model.respond, "hi").result(LIMIT).content
        with lms.Client(server.host) as other:
            assert Worker(other.llm.model().respond, "hi").result(LIMIT).content


def test_time_limits_hold(server, model, tick):
    server.hold("predict")
    with freeze_time("2030-01-01", tick=tick):
        error = Worker(lambda: model.respond("hi", timeout=0.05)).error(LIMIT)

    assert isinstance(error, lms.LMStudioTimeoutError)


def test_watched_events_and_times_act(server, tick):
    server.hold("predict")
    event = threading.Event()
    with lms.Client(server.host, cancel_grace=0.01) as client:
        model = client.llm.model()
        with freeze_time("2030-01-01", tick=tick):
            worker = Worker(lambda: model.respond("hi", cancel_event=[event, threading.Event()]))
            server.expect("predict")
            event.set()
            assert worker.result(LIMIT).cancelled

            token = lms.CancelToken.after(0.05)
            assert Worker(lambda: model.respond("hi", cancel_event=token)).result(LIMIT).cancelled
