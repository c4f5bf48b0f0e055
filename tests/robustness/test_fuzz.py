"""Hostile servers: any messages into the protocol, any bytes, cut anywhere, into the line."""

import itertools
import socket
import tracemalloc
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from robustness.hostile import ENDPOINTS, Wire, frame, messages, packets, streams, text_frame
from websocket import ABNF

from lmstudio._connection.call import Call
from lmstudio._connection.frames import FrameReader
from lmstudio._connection.protocol import Kind, Protocol
from lmstudio._connection.transport import MAX_MESSAGE_BYTES, Transport


class ProtocolMachine(RuleBasedStateMachine):
    """A server that says anything at any time, against a book of the calls that are open."""

    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self.protocol = Protocol()
        self.open = {}
        self.outcomes = Counter()

    def receive(self, message):
        """Do as the I/O thread does: forget what has ended."""
        received = self.protocol.receive(message)
        if received is None:
            return None
        kind, call, data = received
        if kind is Kind.REFUSED:
            assert call is data.calls[0]
            ended = data.calls
        else:
            key = "channelId" if call.endpoint.channel else "callId"
            assert self.open[call.id] is call
            assert message[key] == call.id
            ended = [] if kind is Kind.PACKET else [call]
        for one in ended:
            self.end(one)
        return received

    def end(self, call):
        self.outcomes[call] += 1
        assert self.open.pop(call.id) is call
        del self.protocol.calls[call.id]

    @rule(target=calls, endpoint=st.sampled_from(ENDPOINTS), number=st.integers(0, 2))
    def start(self, endpoint, number):
        call = Call(None, endpoint, {"n": number})
        call.id = len(self.open) + len(self.outcomes) + 1  # small, so that hostile ids hit it
        self.open[call.id] = self.protocol.calls[call.id] = call
        return call

    @rule(call=calls)
    def give_up(self, call):
        """A time limit passes, or nobody waits for the server's last word after a cancel."""
        if call.id in self.open:
            self.end(call)

    @rule(message=messages)
    def say_anything(self, message):
        self.receive(message)

    @rule(call=calls, packet=packets)
    def send_a_packet(self, call, packet):
        message = {"type": "channelSend", "channelId": call.id, "message": packet}
        is_for_it = call.id in self.open and call.endpoint.channel

        received = self.receive(message)

        if not is_for_it:
            assert received is None
        elif isinstance(packet, dict) and isinstance(packet.get("type"), str):
            is_final = packet["type"] in call.endpoint.finals
            assert received == (Kind.OUTCOME if is_final else Kind.PACKET, call, packet)
        elif received is not None and received[0] is Kind.MALFORMED:
            assert received[1] is call

    @rule(
        call=calls, kind=st.sampled_from(["channelClose", "channelError", "rpcResult", "rpcError"])
    )
    def answer_twice(self, call, kind):
        is_channel = kind.startswith("channel")
        message = {"type": kind, "channelId" if is_channel else "callId": call.id}
        is_for_it = call.id in self.open and call.endpoint.channel is is_channel
        means = {"channelClose": Kind.CLOSED, "rpcResult": Kind.OUTCOME}.get(kind, Kind.ERROR)

        assert self.receive(message) == ((means, call, None) if is_for_it else None)
        assert self.receive(message) is None

    @rule(call=calls)
    def refuse(self, call):
        kind = "channelEndpointUnknown" if call.endpoint.channel else "rpcEndpointUnhandled"
        text = f"Received what is for nobody, endpoint = {call.endpoint.name}"
        warning = {"type": "communicationWarning", "kind": kind, "warning": text}
        same = [one for one in self.open.values() if one.endpoint == call.endpoint]

        received = self.receive(warning)

        if same:
            assert (received[0], received[2].calls) == (Kind.REFUSED, same)
        else:
            assert received is None

    @invariant()
    def both_know_the_same_calls(self):
        assert self.protocol.calls == self.open
        assert set(self.outcomes.values()) <= {1}

    def teardown(self):
        for call in list(self.open.values()):
            self.end(call)
        assert not self.protocol.calls


test_whatever_comes_a_call_gets_its_own_packets_and_one_outcome = ProtocolMachine.TestCase


# -- bytes --------------------------------------------------------------------------------------


def received(data, sizes):
    """What came of each call, the bytes being cut into pieces of these sizes, used in turn."""
    # Not too many pieces: a system that takes its time for each would take a minute for all. And no
    # more in one than a socket takes while nobody reads.
    most = 60_000
    rest = itertools.repeat(most, len(data) // most + 1)
    sizes = [*itertools.islice(itertools.cycle(sizes), 1000), *rest]
    with Wire() as wire:
        position = 0
        for size in sizes:
            if position >= len(data) or not wire.send(data[position : position + size]):
                break
            position += size
        return wire.outcomes()


SUCCESS = text_frame({"type": "channelSend", "channelId": 1, "message": {"type": "success"}})
FRAGMENT = {"type": "fragment", "fragment": {"content": "a"}}


@given(data=streams(), sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5))
@example(data=b"\x81", sizes=[1])
@example(data=SUCCESS + SUCCESS, sizes=[len(SUCCESS) + 1])
@example(data=frame(b"\x03", ABNF.OPCODE_CLOSE) + SUCCESS, sizes=[3])
@example(data=frame(b"[" * 60_000), sizes=[50_000])
def test_any_bytes_end_calls_in_a_documented_way_wherever_they_are_cut(data, sizes):
    whole = received(data, [60_000])

    assert received(data, sizes) == whole
    assert not any("cannot be handled" in text for *_, text in whole)  # each case is foreseen


def test_valid_messages_have_their_outcomes_however_they_are_cut():
    data = b"".join(
        text_frame(message)
        for message in (
            {"type": "channelSend", "channelId": 1, "message": FRAGMENT},
            {"type": "rpcResult", "callId": 3, "result": {"tokenCount": 1}},
            {"type": "channelSend", "channelId": 1, "message": {"type": "success"}},
            {"type": "channelSend", "channelId": 1, "message": FRAGMENT},  # late
            {"type": "channelClose", "channelId": 2},
        )
    )
    outcomes = [received(data, [size]) for size in (1, 7, len(data))]

    predicted, loaded, counted, listed = outcomes[0]
    assert outcomes == [outcomes[0]] * 3
    assert predicted[:2] == (repr([FRAGMENT]), repr({"type": "success"}))
    assert counted[:2] == ("[]", repr({"tokenCount": 1}))
    assert [loaded[2].__name__, listed[2].__name__] == [
        "LMStudioChannelClosedError",
        "LMStudioConnectionLostError",
    ]


# -- memory -------------------------------------------------------------------------------------

WIRE_BYTES = 200_000
HELD = 500_000  # bytes; for so many on the wire


def held_after(feed, piece):
    """Bytes that are held after a flood of a piece."""
    tracemalloc.start()
    try:
        for _ in range(WIRE_BYTES // len(piece)):
            feed(piece)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", [b"", b"ab"])
def test_a_message_in_very_many_parts_takes_no_more_memory_than_its_bytes(part):
    reader = FrameReader(MAX_MESSAGE_BYTES)
    reader.feed(frame(b"", final=False))

    assert held_after(reader.feed, frame(part, ABNF.OPCODE_CONT, final=False) * 10_000) < HELD
    assert reader.error is None


def test_a_peer_that_pings_and_never_reads_is_not_answered_without_end():
    ours, peer = socket.socketpair()
    transport = Transport(ours, FrameReader(MAX_MESSAGE_BYTES))

    def feed(piece):
        peer.sendall(piece)
        transport.receive()

    with ours, peer:
        assert held_after(feed, frame(b"", ABNF.OPCODE_PING) * 10_000) < HELD
        assert transport.failure is None
