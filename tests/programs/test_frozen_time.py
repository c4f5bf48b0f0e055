"""Programs whose tests stop the clock of the whole process: calls, limits and events go on."""

import threading

import freezegun
import pytest
from helpers import Worker

import lmstudio as lms

LIMIT = 10.0  # seconds


@pytest.fixture(scope="module", params=[False, True], ids=["stopped", "ticking"])
def frozen(request):
    with freezegun.freeze_time("2030-01-01", tick=request.param):
        yield


def test_calls_of_a_client_made_before_or_in_it_are_answered(server, client, model, frozen):
    assert Worker(model.respond, "hi").result(LIMIT).content
    with lms.Client(server.host) as other:
        assert Worker(other.llm.model().respond, "hi").result(LIMIT).content


def test_time_limits_hold(server, model, frozen):
    server.hold("predict")

    error = Worker(lambda: model.respond("hi", timeout=0.05)).error(LIMIT)

    assert isinstance(error, lms.LMStudioTimeoutError)


def test_watched_events_and_times_act(server, model, frozen):
    server.hold("predict")
    event = threading.Event()
    worker = Worker(lambda: model.respond("hi", cancel_event=[event, threading.Event()]))
    server.expect("predict")
    event.set()
    assert worker.result(LIMIT).cancelled

    worker = Worker(lambda: model.respond("hi", cancel_event=lms.CancelToken.after(0.05)))
    assert worker.result(LIMIT).cancelled
