"""One request and its answer: every form that an answer may have, and every way to be no answer."""

import contextlib
import socket

import pytest
from helpers import Worker

from lmstudio._api.secret import Secret
from lmstudio._concurrency.deadline import Deadline
from lmstudio._connection.http_exchange import Answer, send_request
from lmstudio._connection.wire import Attempt, Wire

OK = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def wire(answer=b"", seconds=10.0, stays=False):
    """A wire, at whose other end an answer was sent, and perhaps an end."""
    mine, peer = socket.socketpair()
    with mine, peer:
        sender = Worker(send, peer, answer, stays)
        yield Wire(mine, Attempt(seconds)), peer
        mine.close()
        sender.result()


def send(peer, answer, stays):
    with contextlib.suppress(OSError):
        peer.sendall(answer)
        if not stays:
            peer.shutdown(socket.SHUT_WR)


def body(answer, most=4096, stays=False):
    with wire(answer, stays=stays) as (here, _):
        return Answer(here).body(most)


def test_a_request_has_each_field_once_and_the_users_come_first():
    with wire() as (here, peer):
        send_request(here, "GET", "/x", {"Host": "h:1", "A": "b"}, Secret({"HOST": "other"}))

        assert peer.recv(4096) == (
            b"GET /x HTTP/1.1\r\nUser-Agent: lmstudio-python\r\nA: b\r\nHOST: other\r\n\r\n"
        )


def test_a_head_is_read_up_to_its_end():
    with wire(b"HTTP/1.0 404 Not Found\r\nA: b\r\nSet-X: 1\r\nset-x:2\r\n\r\nrest") as (here, _):
        answer = Answer(here)

        assert answer.status == 404
        assert answer.fields == {"a": "b", "set-x": "1, 2"}
        assert answer.rest == b"rest"


def test_a_word_before_the_answer_is_passed_over():
    with wire(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"\r\n") as (here, _):
        assert Answer(here).status == 200


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabcdef", b"abc"),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + b"a" * 4095 + b"\r\n2\r\nbc", None),
        (OK + b"Content-Length: 99999\r\n\r\n" + b"a" * 5000, None),
    ],
)
def test_a_body_ends_where_the_server_says_or_where_it_is_long_enough(answer, expected):
    found = body(answer, stays=True)  # nothing else ends it

    assert found == expected if expected else len(found) == 4096


@pytest.mark.parametrize("length", [b"", b"Content-Length: -1\r\n", b"Content-Length: x\r\n"])
def test_a_body_of_unknown_length_ends_with_the_connection(length):
    assert body(OK + length + b"\r\nabc") == b"abc"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "does not speak HTTP"),
        (b"HTTP/2 200\r\n\r\n", "does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02F\n", "does not speak HTTP"),
        (b"", "lost"),
        (OK, "lost"),
        (b"a" * 100_000, "too long"),
        (OK + b"A: " + b"a" * 100_000, "too long"),
        (OK + b"A: a\r\n" * 100_000, "too long"),
    ],
)
def test_what_is_no_answer_is_told(answer, words):
    with wire(answer) as (here, _), pytest.raises(OSError, match=words):
        Answer(here)


class Dripping(Wire):
    """A wire with a byte at a time, until the time is over."""

    __slots__ = ("left", "peer")

    def receive(self, most):
        self.left -= 1
        if self.left == 0:
            self._attempt.deadline = Deadline(0)
        self.peer.sendall(b"x")
        return super().receive(1)


def test_a_server_that_sends_a_byte_now_and_then_has_one_time_limit_for_all():
    with wire(stays=True) as (here, peer):
        peer.sendall(OK)
        dripping = Dripping(here.socket, here._attempt)
        dripping.left, dripping.peer = 100, peer

        with pytest.raises(TimeoutError):
            Answer(dripping)
    assert dripping.left == 0
