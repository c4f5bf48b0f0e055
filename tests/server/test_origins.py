"""Web pages of other sites cannot connect to the embedded server: a browser says whose they are."""

import json
import socket

import pytest
from server.raw_client import RawClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import lmstudio as lms
from lmstudio.testing import Server


def status(server, path="/llm", **headers):
    """What a websocket's request gets: 101, or the refusal and its words."""
    try:
        # `Host` is added, so that there are two: each of them must be right.
        with connect(f"ws://{server.host}{path}", additional_headers=headers):
            return 101, ""
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body)["error"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://[::1",
        "http://192.168.1.5:8080",
        "http://0.0.0.0",
        "null",
        "file://",
        "app://.",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/llm", "/lmstudio-greeting", "/nope"])
def test_a_page_of_another_site_is_refused(server, path, origin):
    code, words = status(server, path, Origin=origin)

    assert code == 403
    assert f"a web page of {origin!a}" in words
    assert "allow_origins=" in words
    assert words.isprintable()
    assert server.connections == []


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://127.0.0.1:8443",
        "http://[::1]:3000",
        "tauri://localhost",
        "http://tauri.localhost",
    ],
)
def test_a_page_of_this_machine_may_connect(server, origin):
    assert status(server, Origin=origin) == (101, "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:1234", "localhost.evil", "[::2]"])
@pytest.mark.parametrize("path", ["/llm", "/lmstudio-greeting"])
def test_a_name_that_a_site_has_given_our_address_is_refused(server, path, host):
    code, words = status(server, path, Host=host)

    assert (code, words) == (
        403,
        f"The request is for the host {host!r}: this server is only localhost.",
    )


def test_this_packages_client_may_use_any_name_of_the_machine(server, monkeypatch):
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **more: lookup("127.0.0.1", *rest))

    with lms.Client(f"studio.example:{server.port}") as client:
        assert client.llm.model().count_tokens("a b") == 2


def test_origins_can_be_allowed():
    with Server(allow_origins=["https://app.example", "app://studio"]) as server:
        assert status(server, Origin="https://app.example", Host="app.example:1234")[0] == 101
        assert status(server, Origin="app://studio")[0] == 101
        assert status(server, Origin="http://app.example")[0] == 403
        assert status(server, Origin="https://app.example:8443")[0] == 403


def test_a_server_for_other_computers_is_called_by_an_address_or_by_this_machines_name():
    with Server(host="0.0.0.0") as server:
        assert server.host == f"127.0.0.1:{server.port}"
        name = socket.gethostname()
        for host in ("192.168.1.5:1234", "[fe80::1]:1234", f"{name}:1234", "localhost"):
            assert status(server, Host=host) == (101, "")
        assert status(server, Host="evil.example")[0] == 403
        assert status(server, Origin="http://192.168.1.5:1234")[0] == 403


def test_an_empty_address_is_none():
    with pytest.raises(ValueError, match="host must be an address of this machine"):
        Server(host="")


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "*", "https://"])
def test_what_is_no_origin_cannot_be_allowed(origin):
    with pytest.raises(ValueError, match=r"allow_origins\[0\] must be an origin"):
        Server(allow_origins=[origin])


def test_a_text_is_no_list_of_origins():
    with pytest.raises(TypeError, match=r"allow_origins must be a list of origins"):
        Server(allow_origins="https://app.example")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_programs_say_nothing_of_an_origin_and_come_in(server, name):
    with lms.Client(f"{name}:{server.port}") as client, RawClient(server):
        assert client.llm.model().count_tokens("a b") == 2
