"""Hosts as users write them, and tokens that are never shown."""

import pytest

from lmstudio._connection.address import Address, Identity, parse_api_host
from lmstudio.errors import LMStudioValueError

TOKEN = "sk-lm-abcdEFGH:abcdefghijklmnopqrst"


@pytest.fixture(autouse=True)
def no_token_in_the_environment(monkeypatch):
    monkeypatch.delenv("LM_API_TOKEN", raising=False)
    monkeypatch.delenv("LMSTUDIO_API_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:1234", Address("localhost", 1234)),
        ("localhost", Address("localhost", 1234)),
        ("127.0.0.1:41343", Address("127.0.0.1", 41343)),
        ("[::1]:1234", Address("::1", 1234)),
        (" http://127.0.0.1:1234/ ", Address("127.0.0.1", 1234)),
        ("http://127.0.0.1:1234/v1", Address("127.0.0.1", 1234)),
        ("http://127.0.0.1:1234/api/v0/", Address("127.0.0.1", 1234)),
        ("ws://127.0.0.1:1234/llm", Address("127.0.0.1", 1234)),
        ("http://example.test", Address("example.test", 80)),
        ("https://example.test", Address("example.test", 443, secure=True)),
        ("wss://example.test:8443/lm", Address("example.test", 8443, secure=True, prefix="/lm")),
        ("https://example.test/lm/v1", Address("example.test", 443, secure=True, prefix="/lm")),
    ],
)
def test_a_host_is_read_as_users_write_it(text, address):
    assert parse_api_host(text) == address


@pytest.mark.parametrize(
    "text", ["", "  ", "ftp://a:1", "a:b", "a:0", "a:70000", "http://a/?q", "a b"]
)
def test_what_is_no_host_is_refused_with_an_example(text):
    with pytest.raises(LMStudioValueError, match="localhost:1234"):
        parse_api_host(text)


@pytest.mark.parametrize(
    "text", ["a\r\nb:1", "http://a\n:1", "a\x00", "a\x7f", "a\u200b", "a\u0085b"]
)
def test_a_host_with_characters_that_are_not_seen_is_refused_and_not_repeated(text):
    with pytest.raises(LMStudioValueError, match="not seen") as caught:
        parse_api_host(text)
    assert text not in str(caught.value)


def test_a_token_in_the_place_of_the_host_is_not_repeated():
    with pytest.raises(LMStudioValueError, match="api_token") as caught:
        parse_api_host(TOKEN)
    assert "abcd" not in str(caught.value)


def test_a_host_and_a_path_in_any_script_become_what_can_be_sent():
    address = parse_api_host("https://b\u00fccher.example/l\u00e4den")

    assert address == Address("xn--bcher-kva.example", 443, secure=True, prefix="/l%C3%A4den")


@pytest.mark.parametrize("text", ["http://[fe80::1%eth0]:1", "http://[fe80::1%25eth0]:1"])
def test_the_zone_of_an_address_of_ipv6_is_not_told_to_the_server(text):
    address = parse_api_host(text)

    assert address.host == "fe80::1%eth0"
    assert address.server_name == "fe80::1"
    assert address.host_field == "[fe80::1]:1"
    assert parse_api_host(f"http://{address.api_host}") == address


def test_a_servers_usual_port_is_not_told():
    assert parse_api_host("https://h").host_field == "h"
    assert parse_api_host("http://h").host_field == "h"
    assert parse_api_host("http://h:443").host_field == "h:443"


def test_a_password_in_a_host_is_refused_and_not_repeated():
    with pytest.raises(LMStudioValueError, match="api_token") as caught:
        parse_api_host("http://user:secret@host:1234")

    assert "secret" not in str(caught.value)


def test_the_websocket_url_keeps_scheme_and_prefix():
    assert Address("h", 1).websocket_url("llm") == "ws://h:1/llm"
    assert Address("::1", 1, True, "/lm").websocket_url("llm") == "wss://[::1]:1/lm/llm"


def test_without_a_token_we_are_a_guest_of_our_own():
    first, second = Identity().auth_packet(), Identity().auth_packet()

    assert first["authVersion"] == 1
    assert first["clientIdentifier"].startswith("guest:")
    assert first["clientIdentifier"] != second["clientIdentifier"]


@pytest.mark.parametrize("variable", ["LM_API_TOKEN", "LMSTUDIO_API_TOKEN"])
def test_a_token_comes_from_the_argument_or_the_environment(monkeypatch, variable):
    monkeypatch.setenv(variable, f" {TOKEN}\n")

    for identity in (Identity(), Identity(TOKEN)):
        packet = identity.auth_packet()
        assert packet["clientIdentifier"] == "abcdEFGH"
        assert packet["clientPasskey"] == "abcdefghijklmnopqrst"


def test_a_malformed_token_is_refused_without_repeating_it(monkeypatch):
    with pytest.raises(LMStudioValueError, match="Developer page") as caught:
        Identity("sk-lm-secret")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("LM_API_TOKEN", "sk-lm-secret")

    with pytest.raises(LMStudioValueError, match="LM_API_TOKEN") as caught:
        Identity()

    assert "secret" not in str(caught.value)


def test_an_identity_shows_nothing_of_its_token():
    assert "abcd" not in repr(Identity(TOKEN))


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_token_is_that_of_a_guest_who_ignores_the_environment(monkeypatch, empty):
    monkeypatch.setenv("LM_API_TOKEN", TOKEN)

    assert Identity(empty).auth_packet()["clientIdentifier"].startswith("guest:")
