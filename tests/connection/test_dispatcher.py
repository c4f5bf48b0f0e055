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


def to_a_model(wire, name):
    """A call for a model that waits for its turn; nothing was heard of it yet."""
    parameter = {"modelSpecifier": {"type": "query", "query": {"identifier": name}}}
    call = Call(wire.dispatcher, PREDICT, parameter, idle_timeout=5.0)
    wire.dispatcher.open[call.id] = call
    return call


def test_a_call_that_queues_is_not_silent_while_its_model_answers_others(wire):
    running, queued, other = (to_a_model(wire, name) for name in ("a", "a", "b"))
    running.heard = monotonic() + 4.0

    look_round(wire.dispatcher, later=7.0)

    assert (running.outcome, queued.outcome) == (None, None)
    assert isinstance(other.outcome.error, lms.LMStudioTimeoutError)  # another model's silence
    look_round(wire.dispatcher, later=10.0)
    assert isinstance(queued.outcome.error, lms.LMStudioTimeoutError)


def test_a_call_that_queues_has_its_whole_time_from_the_end_of_the_one_before(wire):
    before, queued = to_a_model(wire, "a"), to_a_model(wire, "a")
    before.heard = monotonic() + 4.0
    wire.dispatcher.end(before, Outcome("an answer"))

    look_round(wire.dispatcher, later=7.0)
    assert queued.outcome is None
    look_round(wire.dispatcher, later=10.0)
    assert isinstance(queued.outcome.error, lms.LMStudioTimeoutError)


def test_that_others_begin_is_no_word_of_their_model(wire):
    first, second = to_a_model(wire, "a"), to_a_model(wire, "a")
    second.sent = second.started = monotonic() + 4.0

    look_round(wire.dispatcher, later=7.0)

    assert isinstance(first.outcome.error, lms.LMStudioTimeoutError)
    assert second.outcome is None


def test_of_the_models_nothing_is_kept_when_nobody_waits(wire):
    calls = [to_a_model(wire, f"m{number}") for number in range(10)]
    for call in calls:
        call.heard = monotonic()
    for call in list(wire.dispatcher.open.values()):
        wire.dispatcher.end(call, Outcome())

    assert not wire.dispatcher._heard_models._ended


def test_time_in_which_the_thread_could_not_run_is_no_silence(wire, prediction):
    prediction.idle_timeout = 5.0
    prediction.sent -= 100.0  # it was started long ago, and then the process was stopped

    wire.dispatcher.was_away(98.0)
    look_round(wire.dispatcher, later=1.0)
    assert prediction.outcome is None

    look_round(wire.dispatcher, later=4.0)
    assert isinstance(prediction.outcome.error, lms.LMStudioTimeoutError)


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_call_without_any_time_is_never_sent(wire, limit):
    call = Call(wire.dispatcher, PREDICT, {}, **{limit: 0.0})
    wire.dispatcher.open[call.id] = call

    wire.dispatcher.begin(call, call.text())

    assert isinstance(call.outcome.error, lms.LMStudioTimeoutError)
    assert not call.is_sent


def test_exit_waits_until_the_server_has_ended_what_is_cancelled(wire, prediction):
    done = []
    wire.dispatcher.send_cancels(lambda: done.append(True))
    wire.dispatcher.after_each_turn()
    assert not done
    assert prediction.inbox.empty()  # nobody is woken

    for number in (1, 2):  # the two channels
        wire.send(text_frame({"type": "channelClose", "channelId": number}))

    wire.dispatcher.after_each_turn()
    assert done == [True]


def test_the_next_look_is_at_the_next_time_limit(wire, prediction):
    prediction.timeout = 0.1
    wire.reactor.sweep_at = 0.0
    wire.dispatcher.sweep(prediction.started)

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


def test_no_last_word_is_awaited_of_a_channel_that_nothing_stops(wire, prediction):
    prediction.grace, prediction.stop = 2.0, None
    sent(wire)

    prediction.cancel()
    wire.reactor.run_commands()

    assert prediction.outcome is not None
    with pytest.raises(BlockingIOError):
        wire._peer.recv(1)


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
