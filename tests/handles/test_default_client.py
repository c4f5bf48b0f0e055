"""The default client: made once, replaced by another one, and used by the module's functions."""

import gc
import json
import threading
import weakref
from pathlib import Path

import pytest
from helpers import Worker, eventually, free_port

import lmstudio as lms
from lmstudio._client import default_client as _default_client
from lmstudio._connection import discovery as _discovery
from lmstudio.testing import Server


def test_the_module_level_functions_use_the_default_client(server):
    lms.configure_default_client(server.host)
    try:
        assert lms.llm().identifier == "test-llm"
        assert lms.embedding_model("test-embedding").embed("a")
        assert [m.identifier for m in lms.list_loaded_models("llm")] == ["test-llm"]
        assert {m.model_key for m in lms.list_downloaded_models("embedding")} == {"test-embedding"}
    finally:
        lms.close_default_client()


TOKEN = "sk-lm-abcdefgh:abcdefghijklmnopqrst"


@pytest.fixture
def default(server):
    """The port of a server to which the default client belongs."""
    lms.configure_default_client(server.api_host)
    yield server.api_host.rpartition(":")[2]
    lms.close_default_client()
    lms.configure_default_client()


def test_the_default_client_is_made_once(default):
    workers = [Worker(lms.get_default_client) for _ in range(8)]
    assert len({id(worker.result()) for worker in workers}) == 1
    assert lms.llm().count_tokens("a b") == 2


@pytest.mark.parametrize(
    "host",
    [
        *("localhost:{}", "127.0.0.1:{}", "[::1]:{}", "LocalHost:{}/", "http://localhost:{}"),
        *("ws://127.0.0.1:{}/", "http://localhost:{}/v1", " http://localhost.:{}/api/v0/ "),
    ],
)
def test_the_same_server_in_other_words_leaves_the_default_client_as_it_is(default, host):
    client = lms.get_default_client()
    lms.configure_default_client(host.format(default))
    assert lms.get_default_client(host.format(default)) is client
    assert lms.get_default_client() is client


@pytest.mark.parametrize(
    "host", ["localhost:1", "https://localhost:{}", "localhost:{}/prefix", "nowhere.invalid:{}"]
)
def test_another_server_makes_a_new_default_client(default, host):
    client = lms.get_default_client()
    lms.configure_default_client(host.format(default))
    with pytest.raises(lms.LMStudioWebsocketError):
        lms.get_default_client()
    assert client.llm.model().count_tokens("a b") == 2  # nothing of it was closed


def test_a_server_that_was_found_by_itself_is_the_same_as_its_address(server, monkeypatch):
    port = int(server.api_host.rpartition(":")[2])
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (port,))
    monkeypatch.setattr(_discovery, "lm_studio_home", lambda: Path("nowhere"))
    client = lms.get_default_client()
    lms.configure_default_client()
    lms.configure_default_client(f"http://localhost:{port}/v1")
    assert lms.get_default_client() is client
    lms.close_default_client()


def test_another_token_makes_a_new_default_client_and_the_same_one_does_not(default, monkeypatch):
    guest = lms.get_default_client()
    lms.configure_default_client(f"localhost:{default}", "")
    assert lms.get_default_client() is guest  # still a guest
    lms.configure_default_client(f"localhost:{default}", TOKEN)
    client = lms.get_default_client()
    assert client is not guest
    monkeypatch.setenv("LM_API_TOKEN", TOKEN)
    lms.configure_default_client(f"localhost:{default}")
    assert lms.get_default_client() is client
    lms.configure_default_client(f"localhost:{default}", " ")
    assert lms.get_default_client() is not client


def test_a_token_that_was_given_is_kept_though_the_environment_forgets_it(default, monkeypatch):
    monkeypatch.setenv("LM_API_TOKEN", TOKEN)
    lms.configure_default_client(f"localhost:{default}")
    client = lms.get_default_client()
    lms.configure_default_client(f"localhost:{default}", TOKEN)
    assert lms.get_default_client() is client
    monkeypatch.delenv("LM_API_TOKEN")
    lms.close_default_client()
    assert lms.get_default_client()._identity.is_same(client._identity)


def test_a_reply_in_another_thread_is_not_cut_when_the_program_configures_another_server(
    default, server
):
    server.hold("predict")
    reply = Worker(lambda: lms.llm().respond("hi"))
    call = server.expect("predict")
    call.fragment("one ")
    with Server() as other:
        lms.configure_default_client(other.api_host)
        assert lms.llm().count_tokens("a b c") == 3
        assert other.received(endpoint="countTokens")
        call.fragment("two")
        call.success()
        result = reply.result()
        assert (result.content, result.cancelled) == ("one two", False)
        lms.close_default_client()


def test_the_old_default_client_ends_with_the_last_that_holds_it(default, server):
    model = lms.llm()
    session = weakref.ref(model._session)
    lms.configure_default_client("localhost:1")
    gc.collect()
    assert model.count_tokens("a b") == 2
    del model
    gc.collect()
    assert session() is None
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "lmstudio-io"])


def test_a_default_client_that_a_program_closed_is_made_anew(default):
    with lms.get_default_client() as client:
        assert lms.llm().count_tokens("a") == 1
    assert lms.llm().count_tokens("a") == 1
    assert lms.get_default_client() is not client


def test_what_cannot_be_read_changes_nothing(default):
    client = lms.get_default_client()
    for wrong in ({"api_host": "ftp://x"}, {"api_token": "secret"}):
        with pytest.raises(lms.LMStudioValueError):
            lms.configure_default_client(**wrong)
    assert lms.get_default_client() is client


def test_a_set_event_keeps_the_default_client_from_being_asked(monkeypatch):
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (free_port(),))
    token = lms.CancelToken()
    token.cancel("stop")

    with pytest.raises(lms.LMStudioCancelledError, match="stop"):
        lms.llm("test-llm", cancel_event=token)
    lms.close_default_client()


@pytest.mark.parametrize("inner", [lms.get_default_client, lms.close_default_client])
def test_a_finaliser_may_come_in_while_the_default_client_is_made(default, monkeypatch, inner):
    """As a signal handler may: nothing waits for what its own thread is in the middle of."""
    made = []

    class Interrupted(lms.Client):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)
            if len(made) == 1:
                inner()

    monkeypatch.setattr(_default_client, "Client", Interrupted)

    client = Worker(lms.get_default_client).result()

    assert client is lms.get_default_client()
    assert client.llm.model().identifier == "test-llm"


def test_closing_the_default_client_while_another_thread_configures_one_loses_nothing(default):
    for number in range(50):
        host = f"127.0.0.1:{default}" if number % 2 else f"localhost:{int(default) + 1}"
        both = threading.Barrier(2)
        workers = [
            Worker(lambda both=both: (both.wait(5), lms.close_default_client())),
            Worker(lambda both=both, host=host: (both.wait(5), lms.configure_default_client(host))),
        ]
        for worker in workers:
            worker.result()
        assert _default_client._setting().host.reveal() == host


def test_a_server_that_was_found_and_then_named_is_kept_when_another_one_is_to_be_found(
    monkeypatch, tmp_path
):
    file = tmp_path / "http-server.json"
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(file))
    with Server() as first, Server() as second:
        file.write_text(json.dumps({"port": first.port}))
        assert lms.llm()  # found
        client = lms.get_default_client()
        lms.configure_default_client(first.host)  # and named
        assert lms.get_default_client() is client
        file.write_text(json.dumps({"port": second.port}))
        lms.close_default_client()
        assert lms.get_default_client().api_host == first.host
        first.drop_all()
        first.close()
        with pytest.raises(lms.LMStudioWebsocketError):
            lms.llm()
    lms.close_default_client()
    lms.configure_default_client()


def test_a_token_goes_to_no_server_but_the_one_it_was_given_for(default, server):
    with Server() as other:
        lms.configure_default_client(server.host, TOKEN)
        assert lms.get_default_client(server.host)._identity.client_identifier == "abcdefgh"
        client = lms.get_default_client(other.host)
        assert client._identity.client_identifier != "abcdefgh"
        assert client.llm.model()
        lms.close_default_client()
