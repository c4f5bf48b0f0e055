"""A name with several addresses: each gets its chance, beside the one before it."""

import socket
import sys

import pytest
from helpers import Worker, free_port

import lmstudio as lms
from lmstudio._connection import dial as _dial
from lmstudio._connection import discovery
from lmstudio._connection.dial import dial
from lmstudio._connection.wire import Attempt

LIMIT = 10.0  # seconds


def entry(host, port, family=socket.AF_INET):
    """One line of what a name lookup returns."""
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


@pytest.fixture
def lookup(monkeypatch):
    """A function that says which addresses "studio.example" has."""
    found = []
    real = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        return list(found) if host == "studio.example" else real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return found.extend


@pytest.fixture
def silent_port():
    """A function that makes a port of 127.0.0.2 silent; without an argument, any."""
    if sys.platform != "linux":
        pytest.skip("it needs Linux to make a port that drops what comes")
    open_sockets = []

    def make(port=0):
        hole = socket.socket()
        open_sockets.append(hole)
        hole.bind(("127.0.0.2", port))
        hole.listen(0)
        for _ in range(4):  # a queue that is full drops what else comes
            crowd = socket.socket()
            open_sockets.append(crowd)
            crowd.setblocking(False)
            crowd.connect_ex(hole.getsockname())
        return hole.getsockname()[1]

    yield make
    for sock in open_sockets:
        sock.close()


@pytest.fixture
def open_port():
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def closed_address():
    return entry("127.0.0.1", free_port())


def unsupported_address():
    return entry("127.0.0.1", 1, family=socket.AF_APPLETALK)


def test_a_silent_address_does_not_keep_the_next_from_its_chance(lookup, silent_port, open_port):
    lookup([entry("127.0.0.2", silent_port()), entry("127.0.0.1", open_port)])

    with dial("studio.example", 1, Attempt(LIMIT)) as sock:
        assert sock.getpeername() == ("127.0.0.1", open_port)


def test_an_address_that_refuses_is_followed_by_the_next_at_once(lookup, open_port, monkeypatch):
    monkeypatch.setattr(_dial, "_STAGGER", 1000)
    monkeypatch.setattr(_dial, "_LOCAL_STAGGER", 1000)
    lookup([unsupported_address(), closed_address(), entry("127.0.0.1", open_port)])

    with dial("studio.example", 1, Attempt(LIMIT)) as sock:
        assert sock.getpeername() == ("127.0.0.1", open_port)


def test_of_two_that_are_silent_none_is_waited_for_beyond_the_deadline(lookup, silent_port):
    lookup([entry("127.0.0.2", silent_port()), entry("127.0.0.2", silent_port())])

    with pytest.raises(TimeoutError):
        dial("studio.example", 1, Attempt(0.3))


def test_if_all_refuse_the_most_telling_refusal_is_told(lookup):
    lookup([unsupported_address(), closed_address()])

    with pytest.raises(ConnectionRefusedError, match="refused"):
        dial("studio.example", 1, Attempt(LIMIT))


def test_if_no_refusal_tells_anything_the_first_is_told(lookup):
    lookup([unsupported_address()])

    with pytest.raises(OSError, match=r"family|protocol|10047"):
        dial("studio.example", 1, Attempt(LIMIT))


def test_a_name_without_addresses_is_told(lookup):
    with pytest.raises(OSError, match="no address"):
        dial("studio.example", 1, Attempt(LIMIT))


def test_what_can_be_no_name_is_told():
    with pytest.raises(OSError, match="no name"):
        dial("a" * 64, 1, Attempt(LIMIT))


def test_an_attempt_that_is_given_up_ends_while_an_address_is_silent(lookup, silent_port):
    lookup([entry("127.0.0.2", silent_port())])
    attempt = Attempt(None)
    worker = Worker(dial, "studio.example", 1, attempt)

    attempt.abort()

    assert "given up" in str(worker.error())


def test_families_have_their_turns_and_the_first_is_what_the_system_wants(lookup):
    hosts = [("::1", 6), ("::2", 6), ("::3", 6), ("1.1.1.1", 4), ("2.2.2.2", 4)]
    lookup([entry(h, 1, socket.AF_INET6 if kind == 6 else socket.AF_INET) for h, kind in hosts])

    order = [address[4][0] for address in _dial._addresses("studio.example", 1)]

    assert order == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]


def test_an_address_of_ipv6_is_used_with_its_zone(lookup):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        address = listener.getsockname()  # with flow and zone
        lookup([(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)])
        with dial("studio.example", 1, Attempt(LIMIT)) as sock:
            assert sock.getpeername() == address


def test_a_server_is_found_and_used_at_its_second_address(server, lookup, silent_port, monkeypatch):
    monkeypatch.setattr(discovery, "_PROBE_SECONDS", 10.0)  # this machine may be busy
    port = silent_port(server.port)
    lookup([entry("127.0.0.2", port), entry("127.0.0.1", port)])

    assert lms.Client.is_valid_api_host(f"localhost:{port}")
    with lms.Client(f"localhost:{port}") as client:
        assert client.llm.list_loaded()


def test_a_proxy_is_reached_at_its_second_address(server, lookup, silent_port):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = silent_port(listener.getsockname()[1])
        lookup([entry("127.0.0.2", port), entry("127.0.0.1", port)])
        client = lms.Client(server.host, proxy=f"http://studio.example:{port}")
        worker = Worker(client.llm.list_loaded)
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(4096).startswith(f"CONNECT {server.host} ".encode())
            peer.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            assert "503" in str(worker.error())
        client.close()
