"""Opening a connection: the answer to the authentication, however its bytes come."""

import contextlib
import http.cookies
import json
import queue
import socket
import threading

import pytest
import websocket
from helpers import Worker
from robustness.hostile import frame, text_frame
from tls_proxy import trusting_context
from websocket import ABNF
from websockets.utils import accept_key

import lmstudio as lms
from lmstudio._connection.address import Address, Identity
from lmstudio._connection.connect import Attempt, Connected, Connector
from lmstudio._connection.route import Route

WELCOME = text_frame({"success": True})
ANSWER = object()  # among what a door says: first it reads what the client answers
LIMIT = 10.0  # seconds


class Door:
    """A server that shakes hands, takes the authentication, and then says what it is told."""

    def __init__(self, *pieces, stays=True, head=""):
        self.pieces, self.stays, self.head = pieces, stays, head
        self.request = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self.listener.getsockname()[1])
        self.left = threading.Event()
        self.answers = []
        self.worker = Worker(self._serve)

    def _serve(self):
        sock, _ = self.listener.accept()
        with self._leaving(), sock, contextlib.suppress(ConnectionError):
            head = b""
            while b"\r\n\r\n" not in head:
                part = sock.recv(4096)
                if not part:
                    return
                head += part
            self.request = head
            lines = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + self.head.encode()
                + f"Sec-WebSocket-Accept: {accept_key(lines['Sec-WebSocket-Key'])}\r\n\r\n".encode()
            )
            sock.recv(4096)  # the authentication
            for piece in self.pieces:
                if piece is ANSWER:
                    first, size, *key = sock.recv(6)
                    masked = sock.recv(size & 0x7F)
                    text = bytes(byte ^ key[at % 4] for at, byte in enumerate(masked))
                    self.answers.append((first & 0x0F, text))
                    continue
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(piece)
            while self.stays and sock.recv(4096):
                pass

    @contextlib.contextmanager
    def _leaving(self):
        yield
        self.left.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # If nobody has come: closing a listener wakes nobody.
        socket.create_connection(self.listener.getsockname()).close()
        self.worker.result(LIMIT)
        self.listener.close()


class HttpAnswer(Door):
    """A server that answers a request, and no more."""

    def __init__(self, answer):
        self.answer = answer
        super().__init__()

    def _serve(self):
        sock, _ = self.listener.accept()
        with self._leaving(), sock, contextlib.suppress(ConnectionError):
            if sock.recv(4096):
                sock.sendall(self.answer.encode())
                while sock.recv(4096):
                    pass


class Place:
    """Where somebody listens."""

    def __init__(self, listener):
        self.address = Address("127.0.0.1", listener.getsockname()[1])


def connect(door, seconds=5.0, attempt=None):
    """What came of one attempt: a connection or an error."""
    connector = Connector(
        find_address=lambda deadline: door.address,
        identity=Identity(),
        route=Route(),
        timeout=seconds,
    )
    outcomes = queue.SimpleQueue()
    connector.start("llm", attempt or Attempt(seconds), outcomes.put)
    return outcomes.get(timeout=LIMIT)


def opened(door):
    """The connection that was opened, closed again."""
    outcome = connect(door)
    assert isinstance(outcome, Connected), outcome
    outcome.socket.close()
    return outcome


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_welcome_may_come_in_pieces(size):
    pieces = [WELCOME[at : at + size] for at in range(0, len(WELCOME), size)]
    with Door(*pieces) as door:
        assert opened(door).reader.controls == []


def test_cookies_are_neither_kept_nor_sent():
    jar = websocket._handshake.CookieJar.jar
    for _ in range(2):
        with Door(WELCOME, head="Set-Cookie: a=b; Domain=127.0.0.1\r\n") as door:
            opened(door)
        assert b"cookie" not in door.request.lower()
        assert not jar


def test_a_cookie_that_another_part_of_the_program_got_is_not_sent(monkeypatch):
    cookie = http.cookies.SimpleCookie("a=b")
    monkeypatch.setitem(websocket._handshake.CookieJar.jar, ".127.0.0.1", cookie)
    with Door(WELCOME) as door:
        opened(door)
    assert b"cookie" not in door.request.lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 x\r\n\r\n",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ],
)
def test_who_cannot_shake_hands_gets_no_authentication(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = Worker(connect, Place(listener))
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(4096).startswith(b"GET /llm HTTP/1.1\r\n")
            peer.sendall(answer)

            assert "does not speak the websocket protocol" in str(worker.result())
            assert peer.recv(4096) == b""


def test_a_ping_before_the_welcome_is_answered():
    with Door(frame(b"hi", ABNF.OPCODE_PING), ANSWER, WELCOME) as door:
        assert opened(door).reader.controls == []
    assert door.answers == [(ABNF.OPCODE_PONG, b"hi")]


def test_what_comes_behind_the_welcome_is_kept():
    warning = text_frame({"type": "communicationWarning", "warning": "x"})
    with Door(WELCOME + warning[:5]) as door:
        assert opened(door).reader.feed(warning[5:]) == [
            json.dumps({"type": "communicationWarning", "warning": "x"}).encode()
        ]


def test_whole_messages_and_pings_behind_the_welcome_are_kept():
    ping = frame(b"hi", ABNF.OPCODE_PING)
    with Door(WELCOME + text_frame("a") + ping + text_frame("b")) as door:
        reader = opened(door).reader

        assert reader.feed(b"") == [b'"a"', b'"b"']
        assert reader.controls == [(ABNF.OPCODE_PING, b"hi")]


@pytest.mark.parametrize(
    "answer",
    [
        text_frame([]),
        frame(json.dumps({"success": True}).encode("utf-16")),
        text_frame({"greeting": "hello"}),
        frame(b"{", ABNF.OPCODE_TEXT),
        frame(b"\xff\xfe", ABNF.OPCODE_TEXT),
        frame(b"[" * 60_000),
        b"\xff\xff\xff\xff",
        frame(b"", ABNF.OPCODE_PING) * 40_000,
    ],
    ids=["list", "utf-16", "object", "half", "bytes", "deep", "no frame", "pings"],
)
def test_what_is_no_welcome_is_not_lm_studios_protocol(answer):
    with Door(answer) as door:
        outcome = connect(door)

        assert isinstance(outcome, lms.LMStudioProtocolError)
        assert "does not speak LM Studio's protocol" in str(outcome)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "it closed the connection."),
        (b"\x03\xf4", "it closed the connection (websocket close code 1012)."),
        (b"\x03\xf0No\xff.", "it closed the connection (websocket close code 1008: No\ufffd.)."),
    ],
    ids=["without a code", "a code", "a code and a reason"],
)
def test_a_server_that_closes_instead_of_a_welcome_is_not_reachable_and_says_why(payload, words):
    with Door(frame(payload, ABNF.OPCODE_CLOSE)) as door:
        outcome = connect(door)

        assert type(outcome) is lms.LMStudioWebsocketError
        assert str(outcome).partition(": ")[2].endswith(words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            "401 Unauthorized",
            "HTTP status 401: what stands before LM Studio lets nobody in. Client",
        ),
        ("307 Moved\r\nLocation: https://a.b/llm", "307, which leads to 'https://a.b/llm'. Give"),
        ("502 Bad Gateway", "HTTP status 502"),
    ],
)
def test_an_answer_that_is_no_handshake_is_told_with_what_to_do(answer, words):
    with HttpAnswer(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n") as door:
        outcome = connect(door)

        assert type(outcome) is lms.LMStudioWebsocketError
        assert words in str(outcome)


def test_a_refusal_without_words_says_so():
    with Door(text_frame({"success": False})) as door:
        outcome = connect(door)

        assert str(outcome).startswith("Authentication failed: no reason was given")


def test_a_server_that_hangs_up_is_not_reachable():
    with Door(stays=False) as door:
        outcome = connect(door)

        assert type(outcome) is lms.LMStudioWebsocketError
        assert "not reachable" in str(outcome)


def test_all_pieces_of_the_welcome_have_one_time_limit_together():
    with Door(WELCOME[:3]) as door:
        outcome = connect(door, seconds=0.2)

        assert "did not answer within connect_timeout" in str(outcome)


def test_a_refusal_says_what_to_do():
    with Door(text_frame({"success": False, "error": "Invalid passkey"})) as door:
        outcome = connect(door)

        assert isinstance(outcome, lms.LMStudioServerError)
        assert "Invalid passkey" in str(outcome)
        assert "LM_API_TOKEN" in str(outcome)


def test_an_attempt_that_was_given_up_before_it_began_opens_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = Attempt(5.0)
        attempt.abort()

        outcome = connect(Place(listener), attempt=attempt)

        assert isinstance(outcome, lms.LMStudioWebsocketError)
        assert "given up" in str(outcome)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_socket_of_an_attempt_that_is_given_up_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = Attempt(60.0)
        worker = Worker(connect, Place(listener), 60.0, attempt)
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(4096)  # the handshake, which nobody answers
            attempt.abort()

            assert isinstance(worker.result(), lms.LMStudioWebsocketError)
            assert peer.recv(4096) == b""


def test_an_attempt_that_is_given_up_is_noticed_though_nothing_wakes_its_thread():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = Attempt(60.0)
        worker = Worker(connect, Place(listener), 60.0, attempt)
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(4096)
            attempt.aborted = True  # as on Windows, where a shutdown may wake nobody

            assert isinstance(worker.result(), lms.LMStudioWebsocketError)


def test_nothing_is_sent_unencrypted_over_tls_by_an_attempt_that_is_given_up():
    mine, peer = socket.socketpair()
    sock = trusting_context().wrap_socket(
        mine, server_hostname="localhost", do_handshake_on_connect=False
    )
    with peer, sock:
        attempt = Attempt(5.0)
        attempt.adopt(sock)
        with_tls = sock._sslobj

        attempt.abort()  # while another thread sends

        assert sock._sslobj is with_tls is not None


@pytest.mark.parametrize(
    "error", [RecursionError(), MemoryError(), SystemExit(1), LookupError("x")]
)
def test_whatever_happens_while_connecting_is_told_to_who_waits(error):
    def find_address(deadline):
        raise error

    connector = Connector(find_address=find_address, identity=Identity(), route=Route())
    outcomes = queue.SimpleQueue()
    connector.start("llm", Attempt(5.0), outcomes.put)

    outcome = outcomes.get(timeout=LIMIT)
    assert type(outcome) is lms.LMStudioWebsocketError
    assert type(error).__name__ in str(outcome)
