"""One namespace's websocket: opened when needed, replaced when lost. The thread is run by hand."""

import contextlib
import json
import math
import socket
import struct
import types

import pytest
from robustness.hostile import frame, text_frame
from websocket import ABNF

import lmstudio as lms
from lmstudio._concurrency import fork
from lmstudio._concurrency.clock import monotonic
from lmstudio._connection.call import Call, Outcome
from lmstudio._connection.connect import Connected
from lmstudio._connection.dispatcher import Dispatcher, closed_error
from lmstudio._connection.endpoints import channel, rpc
from lmstudio._connection.frames import FrameReader
from lmstudio._connection.port import SILENCE, ClientPort
from lmstudio._connection.reactor import Reactor


class Bench:
    """A port, its connector, and what came of its calls."""

    timeout = 5.0  # of the connector

    def __init__(self):
        self.reactor = Reactor(self)
        self.reactor._open_waker()
        self.port = ClientPort("llm", self.reactor, self, self.end, lambda: None)
        self.attempts, self.ended, self.peers = [], [], []
        self.dispatcher = types.SimpleNamespace(
            reactor=self.reactor,
            process=fork.current,
            open={},
            _port_of=lambda call: self.port,
        )
        self.dispatcher.send = types.MethodType(Dispatcher.send, self.dispatcher)

    def start(self, path, attempt, done):
        """An attempt begins: the test says how it ends."""
        self.attempts.append((attempt, done))

    def end(self, call, outcome):
        if call.outcome is None:
            call.outcome = outcome
            self.ended.append(call)
            self.port.forget(call)

    def connect(self, *early):
        """Let the last attempt succeed; `early` bytes came together with the welcome."""
        ours, peer = socket.socketpair()
        self.peers.append(peer)
        reader = FrameReader(1 << 16)
        for data in early:
            reader.feed(data)
        self.attempts[-1][1](Connected(ours, reader))
        self.reactor.run_commands()
        return peer

    def call(self, endpoint="countTokens"):
        return self.begin(rpc("llm", endpoint), {"n": 1})

    def begin(self, endpoint, parameter=None):
        call = Call(self.dispatcher, endpoint, parameter)
        self.port.start(call, call.text())
        return call


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.port.close(closed_error(), flush=False)
    bench.reactor._close_waker()
    for peer in bench.peers:
        peer.close()


def ready(port):
    port.on_ready(1, monotonic())


def test_the_first_call_opens_the_connection_and_others_wait_for_it(bench):
    calls = [bench.call() for _ in range(3)]
    assert len(bench.attempts) == 1
    assert not any(call.is_sent for call in calls)

    bench.connect()

    assert all(call.is_sent for call in calls)
    assert list(bench.port.protocol.calls) == [call.id for call in calls]


def test_a_connection_that_cannot_be_opened_fails_those_who_wait(bench):
    call = bench.call()
    bench.attempts[-1][1](lms.LMStudioWebsocketError("no"))
    bench.reactor.run_commands()

    assert isinstance(call.outcome.error, lms.LMStudioWebsocketError)
    bench.call()
    assert len(bench.attempts) == 2


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (lms.LMStudioWebsocketError("not answered"), 2),
        (lms.LMStudioServerError("Authentication failed"), 1),
        (lms.LMStudioProtocolError("that is no welcome"), 1),
    ],
)
def test_an_attempt_during_which_nobody_listened_is_repeated_unless_it_was_answered(
    bench, error, attempts
):
    call = bench.call()
    bench.port.was_away(0.2)
    bench.attempts[-1][1](error)
    bench.reactor.run_commands()

    assert len(bench.attempts) == attempts
    assert (call.outcome is None) == (attempts == 2)


def test_who_waits_for_a_connection_when_all_ends_learns_why(bench):
    call = bench.call()
    error = lms.LMStudioRuntimeError("the thread failed")

    assert not bench.port.close(error, flush=True)

    assert call.outcome.error is error


def test_the_outcome_of_an_attempt_that_expired_is_dropped(bench):
    call = bench.call()
    attempt, done = bench.attempts[-1]
    bench.port._attempt_expired(attempt, monotonic())
    assert "connect_timeout=5 s" in str(call.outcome.error)
    ours, peer = socket.socketpair()

    done(Connected(ours, FrameReader(1)))
    bench.reactor.run_commands()

    with peer:
        assert peer.recv(1) == b""  # ours was closed
    assert bench.port.transport is None


def test_an_attempt_that_ends_long_after_its_time_is_made_again(bench):
    """As after the process was stopped: nobody knows whether the server would have answered."""
    call = bench.call()
    attempt, done = bench.attempts[-1]
    attempt.deadline.at = monotonic() - 100.0

    done(lms.LMStudioWebsocketError("it did not answer"))
    bench.reactor.run_commands()
    bench.port._attempt_expired(attempt, monotonic())  # this one is over

    assert call.outcome is None
    assert len(bench.attempts) == 2
    bench.connect()
    assert call.is_sent


def test_an_attempt_during_which_nobody_listened_is_made_again(bench):
    """Also if the stop was over shortly after its time."""
    call = bench.call()
    _, done = bench.attempts[-1]
    bench.port.was_away(2.0)

    done(lms.LMStudioWebsocketError("it did not answer"))
    bench.reactor.run_commands()

    assert call.outcome is None
    done = bench.attempts[-1][1]
    done(lms.LMStudioWebsocketError("it did not answer"))  # to this one somebody listened
    bench.reactor.run_commands()
    assert len(bench.attempts) == 2
    assert isinstance(call.outcome.error, lms.LMStudioWebsocketError)


def test_who_is_always_late_makes_an_attempt_a_few_times_only(bench):
    call = bench.call()
    while call.outcome is None:
        assert len(bench.attempts) < 10
        attempt, _ = bench.attempts[-1]
        attempt.deadline.at = monotonic() - 100.0
        bench.port._attempt_expired(attempt, monotonic())

    assert isinstance(call.outcome.error, lms.LMStudioWebsocketError)
    assert len(bench.attempts) == 4


def test_a_connection_that_comes_when_the_thread_has_ended_is_closed(bench):
    bench.call()
    bench.port.close(closed_error(), flush=False)
    bench.reactor.has_ended = True
    ours, peer = socket.socketpair()

    bench.attempts[-1][1](Connected(ours, FrameReader(1)))

    with peer:
        assert peer.recv(1) == b""


def leave(port):
    """Say goodbye; return whether the port still reads or writes."""
    return port.close(closed_error(), flush=True)


def test_who_leaves_reads_on_until_the_server_has_closed(bench, monkeypatch):
    """A socket that is closed with something unread in it is reset, and the goodbye with it."""
    monkeypatch.setattr("lmstudio._connection.port._LINGER", 60.0)
    call = bench.call()
    peer = bench.connect()
    peer.sendall(text_frame({"type": "rpcResult", "callId": call.id, "result": 5}))

    assert leave(bench.port)
    ready(bench.port)
    assert call.outcome.value == 5
    assert leave(bench.port)  # the server has not closed

    peer.close()
    ready(bench.port)
    assert not leave(bench.port)
    assert bench.port.transport is None


def test_a_server_that_never_closes_is_not_waited_for_long(bench):
    bench.call()
    bench.connect()
    assert leave(bench.port)

    bench.port._leaves_at = monotonic()

    assert not leave(bench.port)
    assert bench.port.transport is None


def test_nothing_is_written_after_the_goodbye(bench):
    call = bench.call()
    peer = bench.connect()
    leave(bench.port)
    peer.recv(1 << 16)

    bench.port.send_cancel(call)
    peer.sendall(frame(b"", ABNF.OPCODE_PING))
    ready(bench.port)

    assert peer.recv(1) == b""  # the end, and nothing before it


def test_time_in_which_nobody_listened_gives_the_server_more_for_its_sign_of_life(bench):
    bench.call()
    bench.connect()
    bench.port._ask(monotonic() - 100.0, 15.0)  # the answer was due long ago
    overdue = bench.port._plan

    bench.port.was_away(90.0)
    bench.port._look_for_life(overdue, monotonic())
    assert bench.port.transport is not None

    bench.port._look_for_life(bench.port._plan, monotonic())
    assert bench.port.transport is None


def test_bytes_that_came_with_the_welcome_are_seen_at_once(bench):
    call = bench.call()
    closing = frame(b"\x03\xe9", ABNF.OPCODE_CLOSE)

    bench.connect(closing)

    assert isinstance(call.outcome.error, lms.LMStudioConnectionLostError)
    assert call.outcome.error.close_code == 1001
    assert len(bench.attempts) == 1  # or it would be opened again and again


def test_a_lost_connection_ends_its_calls_and_the_next_call_connects_again(bench):
    call = bench.call()
    bench.connect().close()

    ready(bench.port)

    assert isinstance(call.outcome.error, lms.LMStudioConnectionLostError)
    second = bench.call()
    bench.connect()
    assert second.is_sent


def test_a_call_is_not_written_to_a_connection_whose_end_nobody_has_seen_yet(bench):
    call = bench.call()
    peer = bench.connect()
    peer.sendall(text_frame({"type": "rpcResult", "callId": call.id}))
    ready(bench.port)
    peer.shutdown(socket.SHUT_WR)

    later = bench.call()

    assert not later.is_sent
    assert len(bench.attempts) == 2
    bench.connect()
    assert later.is_sent


@pytest.mark.parametrize("written", ["a call", "a cancel", "a ping", "the rest of a call"])
def test_a_connection_to_which_nothing_can_be_written_is_read_to_its_end_first(bench, written):
    answered, lost = bench.call(), bench.begin(WATCH)
    plan = bench.begin(PLAN)
    peer = bench.connect()
    if written == "the rest of a call":
        bench.begin(PLAN, "x" * 2_000_000)
        assert bench.port.transport.is_busy
    # The answer is more than one look at the socket takes, and fits into what it holds.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    for _ in range(3):
        peer.sendall(text_frame({"type": "nothing", "of": "x" * 40_000}))
    peer.sendall(text_frame({"type": "rpcResult", "callId": answered.id, "result": 5}))
    peer.sendall(frame(struct.pack("!H", 1009), ABNF.OPCODE_CLOSE))
    bench.port.transport.end_writing()  # forged: what is written from now on fails

    if written == "a call":
        bench.call()
    elif written == "a cancel":
        plan.claim.set("enough")
        bench.port.send_cancel(plan)
    elif written == "a ping":
        bench.port._ask(monotonic(), 1.0)
    else:
        bench.port.write_on()

    assert answered.outcome.value == 5
    assert isinstance(lost.outcome.error, lms.LMStudioConnectionLostError)
    assert lost.outcome.error.close_code == 1009
    assert bench.port.transport is None


def test_a_cancel_that_cannot_be_written_loses_nothing_that_was_read_behind_its_cause(bench):
    odd, other = bench.begin(PLAN), bench.call()
    peer = bench.connect()
    answers = [
        {"type": "channelSend", "channelId": odd.id, "message": {"without": "a type"}},
        {"type": "rpcResult", "callId": other.id, "result": 5},
    ]
    peer.sendall(b"".join(map(text_frame, answers)))
    bench.port.transport.end_writing()

    ready(bench.port)
    bench.reactor.run_commands()

    assert other.outcome.value == 5
    assert isinstance(odd.outcome.error, lms.LMStudioProtocolError)
    assert bench.port.transport is None


def test_a_packet_without_a_type_cancels_no_channel_that_is_closed_right_behind_it(bench):
    odd = bench.begin(PLAN)
    peer = bench.connect()
    packet = {"type": "channelSend", "channelId": odd.id, "message": {"without": "a type"}}
    close = {"type": "channelClose", "channelId": odd.id}
    peer.sendall(text_frame(packet) + text_frame(close))
    ready(bench.port)
    bench.reactor.run_commands()

    assert isinstance(odd.outcome.error, lms.LMStudioProtocolError)
    assert b"cancelPlan" not in peer.recv(4096)
    assert not bench.port.protocol.ending


def test_a_packet_without_a_type_cancels_nothing_on_a_new_connection(bench):
    odd = bench.begin(PLAN)
    peer = bench.connect()
    packet = {"type": "channelSend", "channelId": odd.id, "message": {"without": "a type"}}
    peer.sendall(text_frame(packet))
    ready(bench.port)
    bench.port.fail(lms.LMStudioConnectionLostError("lost"))
    bench.reactor.run_commands()
    bench.call()
    new_peer = bench.connect()

    assert b"cancel" not in new_peer.recv(4096)
    assert not bench.port.protocol.ending


def test_what_cannot_be_handled_in_the_rest_of_a_connection_is_told(bench):
    call = bench.call()
    peer = bench.connect()
    peer.sendall(frame(b"{no json"))
    bench.port.transport.end_writing()

    bench.call()

    assert isinstance(call.outcome.error, lms.LMStudioProtocolError)


def test_a_look_for_life_that_comes_at_its_very_time_is_not_planned_for_then_again(bench):
    bench.call()
    bench.connect()
    bench.reactor.sweep_at = math.inf
    bench.port.heard = heard = 1.4000000000000001  # so that (heard + SILENCE) - heard < SILENCE
    bench.port._look_at(heard + SILENCE)

    bench.reactor._judge_time(heard + SILENCE)  # or it would go round for ever

    assert bench.port._answer_due is not None


def test_a_cancelled_call_that_waits_is_never_written(bench):
    call = bench.call()
    call.claim.set("changed my mind")
    peer = bench.connect()

    assert call in bench.ended
    assert not call.is_sent
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)


def test_an_answer_ends_the_call_it_is_for(bench):
    first, second = bench.call(), bench.call()
    peer = bench.connect()
    peer.sendall(text_frame({"type": "rpcResult", "callId": second.id, "result": 5}))

    ready(bench.port)

    assert (first.outcome, second.outcome.value) == (None, 5)


def test_a_server_that_has_long_been_silent_is_asked_first(bench):
    call = bench.call()
    peer = bench.connect()
    peer.sendall(text_frame({"type": "rpcResult", "callId": call.id}))
    ready(bench.port)
    peer.recv(4096)
    bench.port.heard -= SILENCE + 1

    later = bench.call()

    assert not later.is_sent
    assert peer.recv(4096)[0] & 0x0F == ABNF.OPCODE_PING
    peer.sendall(frame(b"", ABNF.OPCODE_PONG))
    ready(bench.port)
    assert later.is_sent


def test_garbage_fails_the_connection_and_what_runs_on_it(bench):
    call = bench.call()
    peer = bench.connect()
    peer.sendall(frame(b"{no json"))

    ready(bench.port)

    assert isinstance(call.outcome.error, lms.LMStudioProtocolError)
    assert bench.port.transport is None


# -- what is sent into a channel ----------------------------------------------------------------

PLAN = channel("repository", "createDownloadPlan", "The plan", "Plan", stop="cancelPlan")
WATCH = channel("system", "alive", "Watching", "Watch", stop=None)


def received(peer):
    """What the server got, in order: the types of messages, and of the packets in them."""
    return types_in(taken(peer))


def taken(peer):
    """The bytes that the server got."""
    peer.setblocking(False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := peer.recv(1 << 20):
            data += chunk
    return data


def types_in(data):
    return [(text["type"], text.get("message", {}).get("type")) for text in texts_in(data)]


def texts_in(data):
    """The messages in masked frames; those with frames of 10 KB and more are left out."""
    at, text = 0, b""
    while at < len(data):
        first, size, start = data[at], data[at + 1] & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        key, start = data[start : start + 4], start + 4
        body = data[start : start + size]
        text += bytes(byte ^ key[i % 4] for i, byte in enumerate(body)) if size < 10_000 else b""
        at = start + size
        if first & 0x80:
            if text.endswith(b"}") and text.startswith(b"{"):
                yield json.loads(text)
            text = b""


def test_a_packet_goes_into_a_channel_and_may_change_what_stops_it(bench):
    plan = bench.begin(PLAN)
    peer = bench.connect()

    plan.send({"type": "setSelectedDownloadOptionIndex"})
    bench.reactor.run_commands()
    assert plan.stop == "cancelPlan"
    plan.send({"type": "commit"}, stop="cancelDownload")
    bench.reactor.run_commands()
    bench.port.send_cancel(plan)

    assert received(peer) == [
        ("channelCreate", None),
        ("channelSend", "setSelectedDownloadOptionIndex"),
        ("channelSend", "commit"),
        ("channelSend", "cancelDownload"),
    ]


def test_a_packet_waits_until_what_starts_the_channel_is_written(bench):
    plan = bench.begin(PLAN)
    for number in range(3):
        plan.send({"type": f"packet {number}"})
    bench.reactor.run_commands()

    peer = bench.connect()

    assert received(peer) == [
        ("channelCreate", None),
        *(("channelSend", f"packet {number}") for number in range(3)),
    ]


def test_a_packet_waits_for_the_end_of_a_big_beginning(bench):
    bench.call()
    peer = bench.connect()
    plan = bench.begin(PLAN, "x" * 2_000_000)
    assert not plan.has_begun
    plan.send({"type": "commit"}, stop="cancelDownload")
    bench.reactor.run_commands()
    assert (len(plan.unsent), plan.stop) == (1, "cancelPlan")

    data = b""
    while bench.port.transport.is_busy:
        data += taken(peer)
        bench.port.write_on()

    assert types_in(data + taken(peer))[-1] == ("channelSend", "commit")
    assert (plan.unsent, plan.stop) == ([], "cancelDownload")


@pytest.mark.parametrize("end", ["cancel", "outcome"])
def test_nothing_follows_a_cancel_or_the_end(bench, end):
    plan = bench.begin(PLAN)
    peer = bench.connect()
    if end == "cancel":
        plan.claim.set("enough")
        bench.port.send_cancel(plan)
    else:
        bench.end(plan, Outcome())

    plan.send({"type": "commit"}, stop="cancelDownload")
    bench.reactor.run_commands()

    sent = received(peer)
    assert ("channelSend", "commit") not in sent
    assert sent[-1][1] == ("cancelPlan" if end == "cancel" else None)


def test_a_cancel_withdraws_what_waits_with_the_beginning(bench):
    plan = bench.begin(PLAN)
    plan.send({"type": "commit"})
    bench.reactor.run_commands()
    plan.claim.set("enough")

    peer = bench.connect()

    assert received(peer) == []


def test_a_channel_that_nothing_stops_is_forgotten_here(bench):
    watch = bench.begin(WATCH)
    peer = bench.connect()

    assert bench.port.send_cancel(watch)
    bench.end(watch, Outcome())

    assert received(peer) == [("channelCreate", None)]
    assert not bench.port.protocol.ending  # exit waits for no answer
    assert watch.id not in bench.port.protocol.calls


def test_the_clock_of_silence_begins_anew_when_something_is_sent(bench):
    plan = bench.begin(PLAN)
    bench.connect()
    plan.sent -= 100.0
    before = plan.sent

    plan.send({"type": "commit"})
    bench.reactor.run_commands()

    assert plan.sent > before + 50.0


def test_what_json_has_no_word_for_is_refused_where_it_is_sent(bench):
    plan = bench.begin(PLAN)
    with pytest.raises(lms.LMStudioValueError, match="cannot be written as JSON"):
        plan.send({"type": "callTool", "arguments": {"n": float("nan")}})
