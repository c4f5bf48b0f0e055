"""Open calls: time limits, cancels that are owed, what was dropped; the thread is run by hand."""

import pytest
from concurrency.targets import interrupt
from robustness.hostile import Wire, text_frame

import lmstudio as lms
from lmstudio._concurrency import cancel_token
from lmstudio._concurrency.clock import monotonic
from lmstudio._concurrency.deadline import Deadline
from lmstudio._connection.call import END, Call, Outcome
from lmstudio._connection.endpoints import rpc
from lmstudio._prediction.request import PREDICT

pytestmark = pytest.mark.races


@pytest.fixture
def wire():
    with Wire() as wire:
        yield wire


@pytest.fixture
def prediction(wire):
    """The open call of the endpoint ``predict``."""
    return wire.calls[0]


def sent(wire):
    """How many messages that stop a channel the server has got."""
    wire.reactor.run_commands()
    wire._peer.setblocking(False)
    try:
        data = wire._peer.recv(1 << 20)
    except BlockingIOError:
        data = b""
    return len([1 for at in range(len(data)) if data[at : at + 2] in (b"\x81\xbf", b"\x81\xc0")])


def look_round(dispatcher, later=0.0):
    """What the thread does after a round, some seconds from now."""
    dispatcher.reactor.sweep_at = 0.0
    dispatcher.sweep(monotonic() + later)


def test_a_call_whose_time_is_over_ends_with_an_error_and_the_others_go_on(wire, prediction):
    prediction.timeout = 5.0

    look_round(wire.dispatcher, later=4.0)
    assert prediction.outcome is None
    look_round(wire.dispatcher, later=6.0)

    assert isinstance(prediction.outcome.error, lms.LMStudioTimeoutError)
    assert "timeout=5 s" in str(prediction.outcome.error)
    assert prediction.inbox.get_nowait() is END
    assert len(wire.dispatcher.open) == 3


def test_silence_counts_from_the_last_message(wire, prediction):
    prediction.idle_timeout = 5.0
    prediction.heard = monotonic() + 3.0

    look_round(wire.dispatcher, later=7.0)
    assert prediction.outcome is None
    look_round(wire.dispatcher, later=9.0)

    assert "idle_timeout=5 s" in str(prediction.outcome.error)


def test_the_next_look_is_at_the_next_time_limit(wire, prediction):
    prediction.timeout = 0.1
    look_round(wire.dispatcher)

    assert wire.reactor.sweep_at <= prediction.started + 0.1 + 0.01


def test_with_nothing_open_nobody_looks_for_long(wire):
    for call in wire.calls:
        wire.dispatcher.end(call, Outcome())
    look_round(wire.dispatcher)

    assert wire.reactor.sweep_at > monotonic() + 30


def test_a_claim_whose_wake_up_was_lost_is_found(wire, prediction):
    prediction.grace = 2.0
    prediction.claim.set("and then came Ctrl-C")

    look_round(wire.dispatcher)

    assert prediction.cancel_seen
    assert prediction.grace_ends is not None
    look_round(wire.dispatcher, later=3.0)  # the server's last word did not come
    assert (prediction.outcome.value, prediction.outcome.error) == (None, None)


def test_a_token_that_ctrl_c_interrupted_is_followed(wire, prediction, monkeypatch):
    monkeypatch.setattr(cancel_token, "_UNDER_WAY", 0.0)
    token = lms.CancelToken()
    prediction._follow(lms.CancelToken.any(token))
    assert interrupt(token, "half done")
    assert not prediction.is_cancelled

    look_round(wire.dispatcher)

    assert prediction.reason == "half done"


def test_many_cancels_of_a_call_owe_one_message(wire, prediction):
    prediction.grace = 2.0
    before = len(wire.calls)
    assert before == 4
    sent(wire)  # what was written until now
    for _ in range(5):
        prediction.cancel()

    wire.reactor.run_commands()
    look_round(wire.dispatcher)

    assert prediction.cancel_seen
    wire._peer.setblocking(False)
    data = wire._peer.recv(1 << 20)
    assert data[0] == 0x81
    assert len(data) == 6 + (data[1] & 0x7F)  # one frame, and nothing after it


def test_a_call_that_was_not_written_is_withdrawn(wire):
    call = Call(wire.dispatcher, PREDICT, {})
    wire.dispatcher.open[call.id] = call
    call.cancel()
    wire.reactor.post(wire.dispatcher.begin, call, call.text())

    wire.reactor.run_commands()

    assert call.outcome is not None
    assert not call.is_sent
    assert call.id not in wire.dispatcher.open


def test_a_call_that_begins_on_a_closed_client_is_refused(wire):
    wire.dispatcher.close(Deadline(5.0))
    call = Call(wire.dispatcher, rpc("llm", "countTokens"), {})
    wire.dispatcher.open[call.id] = call

    wire.dispatcher.begin(call, call.text())

    assert isinstance(call.outcome.error, lms.LMStudioClientError)


def test_closing_cancels_what_is_open_and_ends_at_its_deadline(wire):
    wire.dispatcher.close(Deadline(0.0))

    assert wire.dispatcher.is_done()
    assert all(call.reason == "client closed" for call in wire.calls)


def test_the_first_outcome_stays(wire, prediction):
    wire.dispatcher.end(prediction, Outcome("first"))
    wire.dispatcher.end(prediction, Outcome("second"))

    assert prediction.outcome.value == "first"
    assert prediction.inbox.qsize() == 1


def test_a_late_message_concerns_nobody(wire, prediction):
    wire.dispatcher.end(prediction, Outcome())
    packet = {"type": "fragment", "fragment": {"content": "late"}}

    assert wire.send(text_frame({"type": "channelSend", "channelId": 1, "message": packet}))

    assert prediction.inbox.qsize() == 1
