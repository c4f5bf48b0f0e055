"""Calls with an event that hangs or raises, or with a long chain of tokens: all limits hold."""

import threading

import pytest
from helpers import Worker

import lmstudio as lms


class HangingEvent:
    """An event whose looks hang until it is let go."""

    def __init__(self):
        self.go_on = threading.Event()

    def is_set(self):
        assert self.go_on.wait(20)
        return False


class BreakingEvent:
    """An event that raises once it is broken."""

    def __init__(self, error=None):
        self.error = error

    def is_set(self):
        if self.error is not None:
            raise self.error
        return False


@pytest.fixture
def hanging():
    event = HangingEvent()
    yield event
    event.go_on.set()


def test_another_event_stops_a_prediction_whose_first_event_hangs(held, model, hanging):
    button = threading.Event()
    worker = Worker(lambda: model.respond("hi", cancel_event=[hanging, button]))
    call = held.expect("predict")

    button.set()
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().cancelled


def test_a_token_that_is_set_with_an_event_that_hangs_sends_nothing(server, model, hanging):
    token = lms.CancelToken()
    token.cancel("enough")

    assert model.respond("hi", cancel_event=[hanging, token]).cancel_reason == "enough"
    assert not server.predictions


@pytest.mark.parametrize("call", ["respond", "complete", "count_tokens"])
def test_a_time_limit_holds_though_an_event_hangs(server, model, hanging, call):
    server.hold("predict")
    server.hold("countTokens")

    worker = Worker(lambda: getattr(model, call)("hi", cancel_event=hanging, timeout=0.01))

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)


def test_a_run_of_act_ends_at_its_limit_though_an_event_hangs(held, model, hanging):
    def tool() -> str:
        """Do nothing."""
        return ""

    worker = Worker(lambda: model.act("hi", [tool], cancel_event=hanging, timeout=0.01))

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)


def test_cancel_all_stops_a_prediction_whose_event_hangs(held, client, model, hanging):
    worker = Worker(lambda: model.respond("hi", cancel_event=hanging))
    call = held.expect("predict")

    client.cancel_all("enough")
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().cancel_reason == "enough"


def test_closing_stops_a_prediction_whose_event_hangs(held, client, model, hanging):
    worker = Worker(lambda: model.respond("hi", cancel_event=hanging))
    held.expect("predict")

    client.close()

    assert worker.result().cancelled


def test_of_many_calls_that_share_an_event_that_hangs_each_keeps_its_limits(held, model, hanging):
    workers = [
        Worker(lambda: model.respond("hi", cancel_event=hanging, timeout=0.01)) for _ in range(8)
    ]

    for worker in workers:
        assert isinstance(worker.error(), lms.LMStudioTimeoutError)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_event_that_breaks_fails_its_call_alone(held, model, error):
    event = BreakingEvent()
    broken = Worker(lambda: model.respond("hi", cancel_event=event))
    first = held.expect("predict")
    other = Worker(lambda: model.respond("hi", cancel_event=BreakingEvent()))
    second = held.expect("predict")

    event.error = error("the other process is gone")
    first.expect_cancel()
    second.fragment("Hello.")
    second.success()

    failure = broken.error()
    assert isinstance(failure, lms.LMStudioRuntimeError)
    assert f"is_set() raised {error.__name__}('the other process is gone')" in str(failure)
    assert other.result().content == "Hello."


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_with_an_event_that_is_broken_already_nothing_is_sent(server, model, error):
    for event in (BreakingEvent(error("gone")), [threading.Event(), BreakingEvent(error("gone"))]):
        with pytest.raises(lms.LMStudioRuntimeError, match="cancel_event cannot be watched"):
            model.respond("hi", cancel_event=event)
    assert not server.predictions


def test_a_prediction_at_the_end_of_a_long_chain_of_tokens_is_stopped_by_its_beginning(held, model):
    button, stop = lms.CancelToken(), lms.CancelToken()
    token = stop
    for _ in range(5000):  # a chat that makes one for each turn
        token = lms.CancelToken.any(token, button)
    worker = Worker(lambda: model.respond("hi", cancel_event=token))
    call = held.expect("predict")
    look_at_open_calls(model)

    stop.cancel("enough")
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().cancel_reason == "enough"
    assert model.count_tokens("a b") == 2


def look_at_open_calls(model):
    """Wait until the I/O thread has gone round the open calls once."""
    dispatcher, done = model._session.dispatcher, threading.Event()

    def look():
        dispatcher.reactor.sweep_at = 0.0
        dispatcher.reactor.commands.append((done.set, ()))

    dispatcher.reactor.post(look)
    assert done.wait(10)
