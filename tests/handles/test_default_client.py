"""The default client: made once, replaced by another one, and used by the module's functions."""

import pytest
from helpers import Worker, free_port

import lmstudio as lms
from lmstudio._connection import discovery as _discovery


def test_the_module_level_functions_use_the_default_client(server):
    lms.configure_default_client(server.host)
    try:
        assert lms.llm().identifier == "test-llm"
        assert lms.embedding_model("test-embedding").embed("a")
        assert [m.identifier for m in lms.list_loaded_models("llm")] == ["test-llm"]
        assert {m.model_key for m in lms.list_downloaded_models("embedding")} == {"test-embedding"}
    finally:
        lms.configure_default_client(None)


def test_the_default_client_is_made_once_and_may_be_reconfigured(server):
    lms.configure_default_client(server.host)
    try:
        workers = [Worker(lms.get_default_client) for _ in range(8)]
        clients = {id(worker.result()) for worker in workers}
        assert len(clients) == 1
        assert lms.llm().count_tokens("a b") == 2
        old = lms.get_default_client()
        lms.configure_default_client(f"http://{server.host}/", api_token=None)
        assert lms.get_default_client() is not old
        with pytest.raises(lms.LMStudioClientError, match="closed"):
            old.llm.list_loaded()
        assert lms.llm("test-llm").count_tokens("a b c") == 3
    finally:
        lms.configure_default_client(None)


def test_a_set_event_keeps_the_default_client_from_being_asked(monkeypatch):
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (free_port(),))
    token = lms.CancelToken()
    token.cancel("stop")

    with pytest.raises(lms.LMStudioCancelledError, match="stop"):
        lms.llm("test-llm", cancel_event=token)
    lms.close_default_client()
