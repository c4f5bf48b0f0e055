"""Whether a client is connected, and who is told of it; thread and clock are run by hand."""

import itertools

import pytest
from connection.by_hand import ByHand, told
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._connection.call import END
from lmstudio._connection.connection_state import _LONGEST_PAUSE, pause_after
from lmstudio._connection.port import SILENCE
from lmstudio._connection.transport import Transport


@pytest.fixture
def hand(monkeypatch):
    hand = ByHand(monkeypatch)
    yield hand
    hand.close()


@pytest.fixture
def peer(hand):
    """The server's end of the connection of one that listens, `hand.subscription`."""
    hand.subscription = hand.listen()
    peer = hand.connect()
    assert told(hand.subscription) == [True]
    return peer


def test_a_client_is_connected_while_any_of_its_websockets_is_open(hand):
    assert not hand.state.is_connected
    hand.call("llm")
    first = hand.connect()
    assert hand.state.is_connected
    hand.call("system")
    second = hand.connect()

    hand.lose(first)
    assert hand.state.is_connected
    hand.lose(second)
    assert not hand.state.is_connected
    assert len(hand.attempts) == 2  # nobody listens: nothing is opened again


def test_who_listens_has_a_connection_opened_with_a_channel_that_has_no_parameter(hand):
    line = hand.listen()
    assert [path for path, _, _ in hand.attempts] == ["system"]
    assert told(line) == []  # nothing is known yet

    peer = hand.connect()

    assert len(peer.created()) == 1  # without the key `creationParameter`, which it looks at
    assert told(line) == [True]
    assert not hand.dispatcher.open  # so no sweep, no limit of time and no `cancel_all()` finds it


def test_the_first_state_is_false_once_the_first_try_has_failed(hand):
    line = hand.listen()
    hand.refuse()

    assert told(line) == [False]
    for _ in range(3):  # only changes are told
        hand.next_try()
        hand.refuse()
    assert told(line) == []


def test_the_next_tries_come_after_growing_pauses(hand):
    hand.listen()
    for _ in range(12):
        hand.refuse()
        hand.next_try()

    times = [when for _, when, _ in hand.attempts]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    for number, pause in enumerate(pauses):
        longest = min(0.5 * 2**number, _LONGEST_PAUSE)
        assert longest / 2 - 1e-6 <= pause <= longest + 1e-6


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_pauses_are_never_longer_than_a_bound_and_are_not_the_same_for_all(failures, share):
    pause = pause_after(failures, share)
    assert 0.25 <= pause <= _LONGEST_PAUSE
    assert pause_after(failures, 1.0) == 2 * pause_after(failures, 0.0)
    assert pause <= pause_after(failures + 1, share)


def test_nobody_who_listens_means_no_more_tries(hand):
    line = hand.listen()
    hand.refuse()
    hand.leave(line)

    hand.run(3600)

    assert len(hand.attempts) == 1
    assert told(line) == [False, END]


def test_a_connection_that_is_lost_is_told_and_opened_again(hand, peer):
    hand.run(60)
    hand.lose(peer)
    assert told(hand.subscription) == [False]
    lost = hand.now

    hand.next_try()
    assert hand.now - lost <= 0.5
    second = hand.connect()

    assert told(hand.subscription) == [True]
    assert len(second.created()) == 1


def test_a_connection_that_is_lost_again_and_again_is_opened_ever_later(hand, peer):
    for _ in range(12):
        hand.lose(peer)
        lost = hand.now
        hand.next_try()
        peer = hand.connect()

    assert hand.now - lost >= _LONGEST_PAUSE / 2
    hand.run(10)  # but one that lasts counts as good
    hand.lose(peer)
    lost = hand.now
    hand.next_try()
    assert hand.now - lost <= 0.5


def test_a_server_that_others_have_reached_is_not_waited_for(hand):
    line = hand.listen()
    for _ in range(8):
        hand.refuse()
        hand.next_try()
    hand.refuse()
    told(line)
    hand.call("llm")
    count = len(hand.attempts)

    hand.connect()

    assert told(line) == [True]
    assert [path for path, _, _ in hand.attempts[count:]] == ["system"]  # at once


def test_a_second_one_who_listens_is_told_at_once_and_opens_nothing(hand, peer):
    second = hand.listen()

    assert told(second) == [True]
    assert len(peer.created()) == 1
    hand.leave(second)
    assert told(second) == [END]
    hand.lose(peer)
    assert told(hand.subscription) == [False]
    assert told(hand.listen()) == [False]  # in a pause between two tries, too


def test_a_channel_that_is_open_serves_whoever_listens_later(hand, peer):
    for _ in range(10):
        hand.leave(hand.subscription)
        hand.subscription = hand.listen()

    assert told(hand.subscription) == [True]
    assert len(peer.created()) == 1


def test_with_nobody_who_listens_the_connection_is_left_alone(hand, peer):
    hand.leave(hand.subscription)
    hand.run(SILENCE)
    pings = peer.pings

    hand.run(3600)

    assert peer.pings == pings
    line = hand.listen()  # then it is asked
    hand.run(1)
    assert peer.pings == pings + 1
    assert told(line) == [True]


def test_a_server_that_vanished_without_a_word_is_noticed(hand, peer):
    hand.run(60)
    assert told(hand.subscription) == []
    assert peer.pings in (3, 4)
    peer.answers_pings = False

    hand.run(2 * SILENCE + 1)

    assert told(hand.subscription) == [False]


def test_one_minute_wakes_the_thread_a_few_times(hand, peer):
    hand.run(120)
    hand.turns = 0

    hand.run(60)

    # Two turns for each ping, since time is judged by a second look at the sockets; one for its
    # answer; the rest is for the clock of this test and the look at all calls once in a minute.
    assert hand.turns <= 4 * 3 + 4
    assert not hand.dispatcher.open


def test_the_end_of_the_channel_says_that_the_server_is_about_to_go(hand, peer):
    (number,) = peer.created()
    peer.send(type="channelClose", channelId=number)
    hand.look()
    assert told(hand.subscription) == [False]
    assert not hand.state.is_connected

    hand.run(0.6)

    assert told(hand.subscription) == [True]  # it did not: the channel is open again
    assert len(peer.created()) == 2
    assert len(hand.attempts) == 1


def test_a_channel_that_fails_is_opened_again_ever_later(hand, peer):
    for count in range(1, 9):
        hand.run_until(lambda count=count: len(peer.created()) == count)
        number = peer.created()[-1]
        peer.send(type="channelError", channelId=number, error={"title": "no"})
        hand.look()
    failed = hand.now
    hand.run_until(lambda: len(peer.created()) == 9)

    assert hand.now - failed >= _LONGEST_PAUSE / 2
    assert told(hand.subscription) == [False, True] * 8


def test_pings_begin_again_after_a_connection_that_broke_when_the_channel_was_written(
    hand, peer, monkeypatch
):
    hand.lose(peer)
    hand.next_try()
    send = Transport.send_text

    def fail(transport, text):
        raise lms.LMStudioConnectionLostError("broken pipe")

    monkeypatch.setattr(Transport, "send_text", fail)
    hand.connect()
    monkeypatch.setattr(Transport, "send_text", send)
    hand.run(SILENCE * 2)  # without a connection meanwhile
    third = hand.connect()

    hand.run(60)

    assert third.pings in (3, 4)


@pytest.mark.parametrize("problem", ["Unknown", "Unhandled"])
def test_a_server_that_does_not_know_the_channel_is_judged_by_its_connection(hand, peer, problem):
    peer.send(
        type="communicationWarning",
        kind=f"channelEndpoint{problem}",
        warning="Received channelCreate for unknown endpoint, endpoint = alive",
    )
    hand.run(600)

    assert told(hand.subscription) == []
    assert hand.state.is_connected
    assert len(peer.created()) == 1  # each time would be a warning, and a server gives five
    assert peer.pings > 30
    hand.leave(hand.subscription)
    hand.subscription = hand.listen()
    assert len(peer.created()) == 1
    hand.lose(peer)
    assert told(hand.subscription) == [True, False]
    hand.next_try()
    assert len(hand.connect().created()) == 1


def test_a_server_that_refused_the_channel_and_went_while_nobody_listened_is_not_told_as_gone(
    hand, peer
):
    warning = "Received channelCreate for unknown endpoint, endpoint = alive"
    peer.send(type="communicationWarning", kind="channelEndpointUnknown", warning=warning)
    hand.look()
    hand.leave(hand.subscription)
    hand.lose(peer)

    line = hand.listen()
    assert told(line) == []  # nothing is known yet
    hand.connect()
    assert told(line) == [True]


def test_a_call_beside_the_channel_first_asks_for_a_sign_of_life_after_a_rest(hand, peer):
    hand.run(1)
    hand.dispatcher._ports["system"].heard -= 3600  # as after a sleep
    peer.answers_pings = False
    call = hand.call("system")
    assert not call.is_sent

    hand.run(4)

    assert told(hand.subscription) == [False]
    second = hand.connect()  # what was not written goes to a new connection
    assert call.is_sent
    assert len(second.created()) <= 1
    hand.run(1)
    assert len(second.created()) == 1
    assert told(hand.subscription) == [True]


def test_a_connection_that_ended_is_noticed_before_a_call_is_written_to_it(hand, peer):
    peer.sock.close()
    hand.peers.remove(peer)

    call = hand.call("system")

    assert call.outcome is None
    hand.connect()
    assert call.is_sent


def test_the_channel_is_opened_once_more_on_a_connection_that_takes_the_place_of_its_own(
    hand, peer
):
    for _ in range(5):
        peer.send(type="communicationWarning", kind="channelUnknown", warning="no such channel")
    hand.look()
    call = hand.call("system")  # the server has stopped warning: this needs a new connection

    second = hand.connect()

    assert call.is_sent
    assert len(second.created()) == 1
    assert told(hand.subscription) == []
    assert hand.state.is_connected


def test_a_thread_that_has_failed_leaves_nobody_with_a_green_light(hand, peer):
    hand.dispatcher.finish(lms.LMStudioRuntimeError("it failed"))

    assert told(hand.subscription) == [False, END]
    assert not hand.state.is_connected
    hand.run(100)
    assert len(hand.attempts) == 1


def test_a_client_that_is_closed_tells_nobody_anything(hand, peer):
    hand.state.close()
    hand.lose(peer)

    assert told(hand.subscription) == [END]
    assert told(hand.listen()) == [END]
    assert len(hand.attempts) == 1


def test_what_calls_run_beside_the_channel_is_nothing_to_it(hand, peer):
    call = hand.call("system")
    hand.finish(call)
    hand.call("system")
    hand.lose(peer)

    assert told(hand.subscription) == [False]
    assert len(hand.attempts) == 1  # the call failed; the channel comes back after its pause
