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


CAN_BE_ALLOWED = {
    "https://evil.example": True,
    "http://localhost.evil.example": True,
    "http://127.0.0.1.evil.example": True,
    "http://localhost@evil.example": False,
    "http://[::1": False,
    "http://192.168.1.5:8080": True,
    "http://0.0.0.0": True,
    "null": False,
    "file://": False,
    "app://.": True,
    "": False,
}


@pytest.mark.parametrize("origin", CAN_BE_ALLOWED)
@pytest.mark.parametrize("path", ["/llm", "/lmstudio-greeting", "/nope"])
def test_a_page_of_another_site_is_refused(server, path, origin):
    code, words = status(server, path, Origin=origin)

    assert code == 403
    assert f"a web page of {origin!a}" in words
    if CAN_BE_ALLOWED.get(origin):
        assert f"allow_origins=[{origin!r}]" in words
        assert f"--allow-origin {origin!r}" in words
    else:
        assert "cannot be allowed" in words
        assert "serve yours from http://localhost" in words
        assert "allow_origins" not in words
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

    assert code == 403
    assert words.startswith(f"The request is for the host {host!r}: this server is only localhost.")
    assert "Call it by localhost or 127.0.0.1" in words


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


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("app.example", "it needs a scheme"),
        ("https://app.example/", "no part of an origin"),
        ("https://app.example?x", "no part of an origin"),
        ("*", "no wildcards"),
        ("https://*.example", "no wildcards"),
        ("https://", "it needs a host"),
        ("file://", "it needs a host"),
        ("https://:8443", "it needs a host"),
        ("https://ada@app.example", "no such characters"),
        ("https://app .example", "no such characters"),
        ("https://app.example:99999", "[Pp]ort"),
        ("https://[::1", "IPv6"),
        ("https://\xe9..example", "this is no host"),
        ("null", "it cannot be allowed"),
        ("", "it needs a scheme"),
    ],
)
def test_what_no_browser_sends_cannot_be_allowed(origin, why):
    with pytest.raises(ValueError, match=rf"allow_origins\[0\] must be an origin, as .*: .*{why}"):
        Server(allow_origins=[origin])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("HTTPS://App.Example:8443", "https://app.example:8443"),
        ("https://b\xfccher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
        ("app://studio", "app://studio"),
    ],
)
def test_an_origin_is_allowed_as_a_browser_writes_it(given, sent):
    with Server(allow_origins=[given]) as server:
        assert status(server, Origin=sent)[0] == 101


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("", ""),
        ("http://127.0.0.1", "without a scheme"),
        ("127.0.0.1:1234", "without brackets and port"),
        ("[::1]", "without brackets and port"),
        ("a b", ""),
        ("192.0.2.1", ""),  # nobody's
        ("\xfc" * 70, ""),
    ],
)
def test_a_wrong_address_says_what_is_one(host, why):
    with pytest.raises(ValueError, match=f"host must be an address .*'127.0.0.1'.*got .*{why}"):
        Server(host=host)


def test_a_port_that_is_taken_says_what_to_do(server):
    with pytest.raises(OSError, match=rf"port {server.port} of 127.0.0.1 is taken; give another"):
        Server(port=server.port)


def test_a_text_is_no_list_of_origins():
    with pytest.raises(TypeError, match=r"allow_origins must be a list of origins"):
        Server(allow_origins="https://app.example")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_programs_say_nothing_of_an_origin_and_come_in(server, name):
    with lms.Client(f"{name}:{server.port}") as client, RawClient(server):
        assert client.llm.model().count_tokens("a b") == 2
