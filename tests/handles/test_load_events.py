"""What is told while a model is loaded: which one it is, what had to go, how far it is."""

import asyncio
import json
import logging

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Model, Server

INFO = {"type": "llm", "modelKey": "qwen-2b", "path": "a/qwen-2b"}
INSTANCE = {**INFO, "identifier": "my-qwen"}


@pytest.fixture
def evicting():
    """A server that unloads what was loaded just in time, as LM Studio does."""
    models = [Model(key=key) for key in ("first", "second")]
    with Server(models=models, jit_evict=True, loaded=()) as server:
        yield server


def note(seen, name):
    return lambda *arguments: seen.append((name, *arguments))


def test_a_model_that_has_to_go_is_told_and_the_one_that_comes(evicting):
    seen = []
    with lms.Client(evicting.host) as client:
        client.llm.model("first")
        client.llm.model(
            "second",
            on_load_progress=note(seen, "progress"),
            on_load_resolved=note(seen, "resolved"),
            on_load_eviction=note(seen, "evicted"),
        )

    (_, gone), (_, come, ambiguous), *steps = seen
    assert [entry[0] for entry in seen[:2]] == ["evicted", "resolved"]
    assert isinstance(gone, lms.LlmInstanceInfo)
    assert gone.identifier == "first"
    assert isinstance(come, lms.LlmInfo)
    assert (come.model_key, ambiguous) == ("second", [])
    assert [step[0] for step in steps] == ["progress"] * len(steps)
    assert (steps[0][1], steps[-1][1]) == (0.0, 1.0)


def test_a_new_instance_is_resolved_first(server, client):
    seen = []
    client.embedding.load_new_instance(
        "test-embedding",
        on_load_progress=note(seen, "progress"),
        on_load_resolved=note(seen, "resolved"),
    )

    assert [entry[0] for entry in seen][:2] == ["resolved", "progress"]
    assert isinstance(seen[0][1], lms.EmbeddingModelInfo)
    assert seen[0][2] == []


def test_a_name_that_may_mean_several_models_is_told_and_logged(server, client, caplog):
    caplog.set_level(logging.INFO, "lmstudio")
    server.hold("loadModel")
    seen = []
    worker = Worker(
        lambda: client.llm.load_new_instance("qwen", on_load_resolved=note(seen, "resolved"))
    )
    call = server.expect("loadModel")
    call.packet({"type": "resolved", "info": INFO, "ambiguous": ["qwen-2b", "qwen-7b", 5]})
    call.packet({"type": "success", "info": INSTANCE})

    assert worker.result().identifier == "my-qwen"
    ((_, info, ambiguous),) = seen
    assert (info.model_key, ambiguous) == ("qwen-2b", ["qwen-2b", "qwen-7b"])
    (record,) = [r for r in caplog.records if "Ambiguous" in r.getMessage()]
    assert json.loads(record.getMessage()) == {
        "event": "Ambiguous model key",
        "model_key": "qwen",
        "ambiguous": ["qwen-2b", "qwen-7b"],
    }


def test_the_embedded_server_tells_the_models_that_a_name_may_mean():
    seen = []
    models = [Model(key=key) for key in ("lfm@f16", "lfm@bf16")]
    with Server(models=models, loaded=[]) as server, lms.Client(server.host) as client:
        model = client.llm.load_new_instance("lfm", on_load_resolved=note(seen, "resolved"))
        assert model.identifier == "lfm@f16"
    ((_, info, ambiguous),) = seen
    assert (info.model_key, ambiguous) == ("lfm@f16", ["lfm@f16", "lfm@bf16"])


@pytest.mark.parametrize("info", [None, 5, {}, {"type": "llm"}])
def test_an_event_that_is_none_ends_no_load(server, client, info):
    server.hold("getOrLoad")
    seen = []
    worker = Worker(
        lambda: client.llm.model(
            "qwen",
            on_load_resolved=note(seen, "resolved"),
            on_load_eviction=note(seen, "evicted"),
        )
    )
    call = server.expect("getOrLoad")
    call.packet({"type": "unloadingOtherJITModel", "info": info})
    call.packet({"type": "startLoading", "identifier": "qwen", "info": info})
    call.packet({"type": "somethingNew"})
    call.packet({"type": "loadSuccess", "info": INSTANCE})

    assert worker.result().identifier == "my-qwen"
    assert seen == []


def test_a_model_of_an_unknown_kind_may_have_to_go(server, client):
    server.hold("getOrLoad")
    seen = []
    worker = Worker(lambda: client.llm.model("qwen", on_load_eviction=seen.append))
    call = server.expect("getOrLoad")
    call.packet({"type": "unloadingOtherJITModel", "info": {"type": "tts", "modelKey": "voice"}})
    call.packet({"type": "loadSuccess", "info": INSTANCE})
    worker.result()

    assert [(type(info), info.model_key) for info in seen] == [(lms.UnknownModelInfo, "voice")]


def test_a_callback_that_raises_stops_the_load(server, client):
    server.hold("getOrLoad")

    def fail(*_):
        raise ZeroDivisionError

    worker = Worker(lambda: client.llm.model("qwen", on_load_resolved=fail))
    call = server.expect("getOrLoad")
    call.packet({"type": "startLoading", "identifier": "qwen", "info": INFO})

    assert isinstance(worker.error(), ZeroDivisionError)
    call.expect_cancel()


def test_a_callback_that_cannot_be_called_is_refused_before_anything_is_sent(server, client):
    with pytest.raises(lms.LMStudioValueError, match=r"on_load_resolved.*2 arguments"):
        client.llm.model("test-vlm", on_load_resolved=lambda info: None)
    with pytest.raises(lms.LMStudioValueError, match="on_load_eviction"):
        client.llm.load_new_instance("test-vlm", on_load_eviction=5)
    assert not server.received(type="channelCreate")


def test_listings_the_default_client_and_tasks_tell_as_well(server, client):
    seen = []
    (listing,) = [one for one in client.llm.list_downloaded() if one.model_key == "test-vlm"]
    listing.load_new_instance(on_load_resolved=note(seen, "listing"))
    lms.configure_default_client(server.host)
    try:
        lms.embedding_model("test-embedding", on_load_resolved=note(seen, "loaded already"))
        client.llm.unload("test-llm")
        lms.llm("test-llm", on_load_resolved=note(seen, "default client"))
    finally:
        lms.close_default_client()
        lms.configure_default_client()

    async def load():
        async with lms.AsyncClient(server.host) as other:
            await other.llm.load_new_instance("test-llm", on_load_resolved=note(seen, "task"))

    asyncio.run(load())
    assert [entry[0] for entry in seen] == ["listing", "default client", "task"]
