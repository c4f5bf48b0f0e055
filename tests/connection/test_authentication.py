"""Tokens: let in, refused, and never shown."""

import logging

import pytest

import lmstudio as lms
from lmstudio.testing import Server

TOKEN = "sk-lm-abcdEFGH:abcdefghijklmnopqrst"


def test_a_token_opens_a_server_that_wants_one(monkeypatch):
    with Server(token=TOKEN) as server:
        with lms.Client(server.host, TOKEN) as client:
            assert client.llm.list_loaded()
        monkeypatch.setenv("LM_API_TOKEN", TOKEN)
        with lms.Client(server.host) as client:
            assert client.llm.list_loaded()
        assert {c.client_identifier for c in server.connections} == {"abcdEFGH"}


def test_a_refused_client_gets_the_words_of_the_server():
    with Server(auth="refuse") as server:
        client = lms.Client(server.host)

        with pytest.raises(
            lms.LMStudioServerError, match=r"(?s)Authentication failed.*If it wants an"
        ):
            client.llm.list_loaded()
        client.close()


def test_a_server_that_says_it_wants_a_token_is_told_how_to_give_one():
    with (
        Server(token=TOKEN) as server,
        lms.Client(server.host) as client,
        pytest.raises(lms.LMStudioServerError) as caught,
    ):
        client.llm.list_loaded()
    assert "Suggestion: Pass api_token=, or set LM_API_TOKEN." in str(caught.value)
    assert "If it wants" not in str(caught.value)


def test_a_token_that_is_refused_is_told_by_where_it_came_from(monkeypatch):
    refused = r"\(api_token was used\.\)"
    with Server(auth="refuse") as server, lms.Client(server.host, TOKEN) as client:
        with pytest.raises(lms.LMStudioServerError, match=refused) as caught:
            client.llm.list_loaded()
        assert TOKEN not in str(caught.value)
        monkeypatch.setenv("LM_API_TOKEN", TOKEN)
        with (
            lms.Client(server.host) as other,
            pytest.raises(lms.LMStudioServerError, match="variable LM_API_TOKEN was used"),
        ):
            other.llm.list_loaded()


def test_a_server_that_is_silent_about_the_authentication_is_given_up():
    with Server(auth="silent") as server:
        client = lms.Client(server.host, connect_timeout=0.2)

        with pytest.raises(lms.LMStudioWebsocketError, match="connect_timeout"):
            client.llm.list_loaded()
        client.close()


def test_a_token_is_in_no_log_repr_or_exception(caplog):
    caplog.set_level(logging.DEBUG)
    with Server(token=TOKEN[:-1] + "Z") as server:
        client = lms.Client(server.host, TOKEN)
        with pytest.raises(lms.LMStudioServerError) as caught:
            client.llm.list_loaded()
        client.close()

    secret = TOKEN.partition(":")[2]
    logged = [
        record.getMessage()
        for record in caplog.records
        if not record.name.startswith("lmstudio.testing")  # the server shows what it received
    ]
    shown = [repr(client), repr(client._session), repr(caught.value), str(caught.value), *logged]
    assert not any(secret in text for text in shown)
