"""One open websocket, against the protocol of the `websockets` library at the other end."""

import socket
import ssl
import struct

import pytest
from helpers import Worker
from tls_proxy import AUTHORITY, trusting_context
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

import lmstudio as lms
from lmstudio._connection.frames import FrameReader
from lmstudio._connection.transport import Transport


class Peer:
    """The server's end."""

    def __init__(self, sock):
        self.socket = sock
        self.protocol = Protocol(Side.SERVER)

    def send(self):
        """Send what the protocol has made."""
        self.socket.sendall(b"".join(self.protocol.data_to_send()))

    def read(self):
        """The frames that have come, without waiting."""
        self.socket.setblocking(False)
        try:
            while data := self.socket.recv(65536):
                self.protocol.receive_data(data)
        except BlockingIOError:
            pass
        finally:
            self.socket.setblocking(True)
        return self.protocol.events_received()


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Transport(ours, FrameReader(1000)), Peer(theirs)


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_messages_arrive_whole_however_their_bytes_come(ends, size):
    transport, peer = ends
    peer.protocol.send_text("first äöü".encode())
    peer.protocol.send_text(b"x" * 300)
    data = b"".join(peer.protocol.data_to_send())

    received = []
    for at in range(0, len(data), size):
        peer.socket.sendall(data[at : at + size])
        received += transport.receive()

    assert received == ["first äöü".encode(), b"x" * 300]
    assert transport.failure is None


def test_nothing_to_read_is_no_failure(ends):
    transport, _ = ends

    assert transport.receive() == []
    assert transport.failure is None


def test_a_ping_is_answered_with_its_payload(ends):
    transport, peer = ends
    peer.protocol.send_ping(b"are you there?")
    peer.send()

    assert transport.receive() == []

    [pong] = peer.read()
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"are you there?")


def test_the_last_of_many_pings_is_answered_for_all(ends):
    """A server that sends nothing but pings must not keep the thread busy with answers."""
    transport, peer = ends
    for number in range(100):
        peer.protocol.send_ping(str(number).encode())
    peer.send()

    assert transport.receive() == []

    assert [pong.data for pong in peer.read()] == [b"99"]


def test_a_close_ends_it_after_the_messages_before_and_is_answered_once(ends):
    transport, peer = ends
    peer.protocol.send_text(b"last words")
    peer.protocol.send_close(1001, "going away")
    peer.send()

    assert transport.receive() == [b"last words"]

    assert isinstance(transport.failure, lms.LMStudioConnectionLostError)
    assert "(websocket close code 1001: going away)" in str(transport.failure)
    [close] = peer.read()
    assert close.opcode == Opcode.CLOSE


def test_the_end_of_the_connection_is_a_failure_without_a_code(ends):
    transport, peer = ends
    peer.socket.close()

    assert transport.receive() == []

    assert str(transport.failure).startswith("LM Studio closed the connection. ")


def test_bytes_that_are_no_frame_are_a_failure_after_the_messages_before(ends):
    transport, peer = ends
    peer.protocol.send_text(b"a word")
    peer.send()
    peer.socket.sendall(b"\x83\x00")  # a kind of frame that does not exist

    assert transport.receive() == [b"a word"]

    assert isinstance(transport.failure, lms.LMStudioProtocolError)


def test_what_the_socket_does_not_take_waits_and_keeps_its_order(ends):
    transport, peer = ends
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    texts = [str(number).encode() * 3000 for number in range(100, 200)]
    for text in texts:
        transport.send_text(text)
    assert transport.wants_to_write
    assert transport.is_busy

    received = []
    while transport.wants_to_write:
        received += peer.read()
        transport.flush()
    received += peer.read()

    assert [frame.data for frame in received] == texts
    assert not transport.is_busy


def test_a_server_that_never_reads_gets_no_more_answers_to_its_pings(ends):
    transport, peer = ends
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    while not transport.wants_to_write:
        transport.send_text(b"x" * 10_000)
    for _ in range(300):
        peer.protocol.send_ping(b"?")
        peer.send()
        transport.receive()

    pongs = []
    while transport.wants_to_write:
        pongs += [frame for frame in peer.read() if frame.opcode == Opcode.PONG]
        transport.flush()
    pongs += [frame for frame in peer.read() if frame.opcode == Opcode.PONG]
    assert 0 < len(pongs) < 150


def test_writing_to_a_connection_that_has_ended_says_so(ends):
    transport, peer = ends
    peer.socket.close()

    with pytest.raises(lms.LMStudioConnectionLostError, match="The next call connects again"):
        for _ in range(3):
            transport.send_text(b"hello")


def test_a_goodbye_is_a_close_without_a_complaint(ends):
    transport, peer = ends

    for _ in range(2):
        transport.say_goodbye()
        transport.send_text(b"nothing may follow it")
    transport.end_writing()

    [close] = peer.read()
    assert (close.opcode, close.data) == (Opcode.CLOSE, struct.pack("!H", 1000))


def test_after_a_goodbye_what_the_server_sends_is_still_read(ends):
    transport, peer = ends

    transport.say_goodbye()
    transport.end_writing()
    peer.protocol.send_text(b"a last word")
    peer.send()

    assert transport.receive() == [b"a last word"]


def test_after_a_goodbye_over_tls_what_the_server_sends_is_still_read():
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(server_side)
    ours, theirs = socket.socketpair()
    accepting = Worker(server_side.wrap_socket, theirs, True)
    ours = trusting_context().wrap_socket(ours, server_hostname="localhost")
    with ours, accepting.result() as theirs:
        transport, peer = Transport(ours, FrameReader(1000)), Peer(theirs)

        transport.say_goodbye()
        transport.end_writing()
        peer.protocol.send_text(b"a last word")
        peer.send()

        assert transport.receive() == [b"a last word"]
        assert transport.failure is None
