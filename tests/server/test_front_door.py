"""The embedded server's front door: HTTP and authentication."""

import asyncio
import contextlib
import json
import socket
import sys
import urllib.request

import pytest
from helpers import server_again
from server.raw_client import RawClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from lmstudio.testing import Server


def get(server, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{server.host}{path}", timeout=5) as answer:
        return answer.status, json.load(answer)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/lmstudio-greeting", {"lmstudio": True}),
        ("/lms-status", {"package": "lmstudio", "version": "0.4.0"}),
    ],
)
def test_http_endpoints(server, path, answer):
    assert get(server, path) == (200, answer)


def test_unknown_http_path_is_404(server):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(server, "/nope")
    caught.value.close()


def test_listens_on_loopback_only(server):
    assert server.host == f"127.0.0.1:{server.port}"


def test_many_servers_at_once():
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server()) for _ in range(20)]
        assert len({server.port for server in servers}) == 20
        for server in servers:
            client = stack.enter_context(RawClient(server, "system"))
            assert client.result("version")["version"] == "0.4.0"


def test_a_port_that_is_taken_is_an_error(server):
    with pytest.raises(OSError):
        Server(port=server.port)


def test_the_port_is_free_again_after_close():
    with Server() as first:
        port = first.port
    with server_again(port) as second, RawClient(second):
        assert second.port == port


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' loops do not list what they own")
def test_a_connection_that_was_accepted_as_the_server_closed_is_closed():
    server = Server()
    ours, theirs = socket.socketpair()

    async def accept():
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(asyncio.Protocol, ours)

    server._core.loop.run(accept(), 5)

    server.close()

    with theirs:
        theirs.settimeout(5)
        assert theirs.recv(1) == b""


def test_close_twice_and_then_use():
    server = Server()
    server.close()
    server.close()
    with pytest.raises(RuntimeError, match="closed"):
        server.load("test-vlm")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"auth": "maybe"}, "auth must be one of 'normal', 'refuse', 'silent', got 'maybe'"),
        ({"unknown_path": "500"}, "unknown_path must be one of '404', 'hang'"),
        ({"token": "secret"}, "token must be 'sk-lm-'"),
        ({"load_time": -1}, "load_time must be at least 0, got -1"),
        ({"parallel": 0}, "parallel must be at least 1, got 0"),
        ({"loaded": ["nope"]}, "Model not found: nope"),
    ],
)
def test_arguments_without_meaning_are_errors(arguments, words):
    with pytest.raises(ValueError, match=words):
        Server(**arguments)


@pytest.mark.parametrize("path", ["llm", "embedding", "system", "files", "repository"])
def test_every_namespace_authenticates(server, path):
    with RawClient(server, path, ("me", "mine")):
        (connection,) = server.connections
        assert connection.path == f"/{path}"
        assert connection.client_identifier == "me"


def test_unknown_namespace_is_404(server):
    with pytest.raises(InvalidStatus, match="404"), RawClient(server, "nope"):
        pass


def test_unknown_namespace_can_hang():
    with Server(unknown_path="hang") as server, pytest.raises(TimeoutError):
        connect(f"ws://{server.host}/nope", open_timeout=0.2).__enter__()


@pytest.mark.parametrize(
    "packet",
    [
        "{nope",
        "[]",
        {"authVersion": 2, "clientIdentifier": "a", "clientPasskey": "b"},
        {"authVersion": 1, "clientIdentifier": "a"},
        {"authVersion": 1, "clientIdentifier": "a", "clientPasskey": 1},
        {"authVersion": 1, "clientIdentifier": "a" * 257, "clientPasskey": "b"},
    ],
)
def test_bad_authentication_is_ignored_in_silence(server, packet):
    with RawClient(server, login=False) as client:
        client.send(packet)
        assert client.login("tester", "secret") == {"success": True}


def test_authentication_times_out_and_closes_without_a_code():
    with Server(auth_timeout=0) as server, RawClient(server, login=False) as client:
        assert client.recv() == {"success": False, "error": "Authentication timed out"}
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd.code == 1005


def test_another_passkey_for_a_connected_client_is_refused(server):
    with RawClient(server, identity=("same", "one")):
        with RawClient(server, login=False) as other:
            assert other.login("same", "two") == {
                "success": False,
                "error": 'Failed to validate client: Invalid client passkey for client "same"',
            }
        with RawClient(server, "system", ("same", "one")):
            pass


def test_a_client_without_connections_is_forgotten(server):
    with RawClient(server, identity=("same", "one")):
        pass
    server.wait_for(lambda: not server.connections[0].open)
    with RawClient(server, identity=("same", "two")):
        pass


def test_a_guest_whose_last_connection_has_closed_is_refused_for_good(server):
    guest, other = ("guest:a", "mine"), ("guest:b", "mine")
    with RawClient(server, identity=guest):
        with RawClient(server, "system", guest):
            pass
        server.wait_for(lambda: not server.connections[1].open)
        with RawClient(server, "system", guest):  # one is still open
            pass
    server.wait_for(lambda: not any(one.open for one in server.connections))
    for passkey in ("mine", "another"):
        with RawClient(server, login=False) as client:
            assert client.login("guest:a", passkey) == {
                "success": False,
                "error": "Client is already released!",
            }
    with RawClient(server, identity=other):
        pass


TOKEN = "sk-lm-abcdefgh:abcdefghij0123456789"


def test_who_has_a_token_comes_back_under_his_only_name():
    with Server(token=TOKEN) as server:
        for number in range(2):
            with RawClient(server, identity=("abcdefgh", "abcdefghij0123456789")):
                pass
            server.wait_for(lambda number=number: not server.connections[number].open)


def test_a_token_lets_in_who_has_it():
    with Server(token=TOKEN) as server:
        assert server.tokens == [TOKEN]
        with RawClient(server, identity=("abcdefgh", "abcdefghij0123456789")):
            pass
        with RawClient(server, login=False) as guest:
            assert guest.login("guest:x", "y")["success"] is False
            with pytest.raises(ConnectionClosed):
                guest.recv()


def test_everybody_can_be_refused():
    with Server(auth="refuse") as server, RawClient(server, login=False) as client:
        assert client.login("a", "b")["success"] is False


def test_authentication_can_be_silent():
    with Server(auth="silent") as server, RawClient(server, login=False) as client:
        client.send({"authVersion": 1, "clientIdentifier": "a", "clientPasskey": "b"})
        server.wait_for(lambda: [c for c in server.connections if c.client_identifier == "a"])
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
