"""Devices of LM Link: where a model is, is loaded, and is asked; and the link itself."""

import asyncio
import pickle

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Model, Server
from lmstudio.testing._engines.models_on_disk import DEFAULT_MODELS

FAR = "workstation"
MODELS = [
    *DEFAULT_MODELS,
    Model(key="far-llm", device_identifier=FAR),
    Model(key="far-embedding", type="embedding", device_identifier=FAR),
    Model(key="both", size_bytes=1),
    Model(key="both", size_bytes=2, device_identifier=FAR),
]


@pytest.fixture
def server():
    with Server(models=MODELS) as server:
        yield server


def sent(server, endpoint, path=None):
    """The parameters of all calls of an endpoint."""
    return [
        message.get("parameter", message.get("creationParameter"))
        for message in server.received(endpoint=endpoint, path=path)
        if message["type"] != "channelSend"
    ]


def query(identifier, **device):
    return {"type": "query", "query": {"identifier": identifier, **device}}


def use(model):
    """Ask a language model in several ways."""
    model.respond("hi")
    model.complete_raw_text("hi")
    model.count_tokens("a b")
    model.tokenize("a b")
    model.apply_prompt_template("hi")
    model.get_load_config()
    model.get_base_prediction_config()
    model.get_context_length()
    model.get_processing_state()
    model.preload_draft_model("test-vlm")
    list(model.respond_many(["hi"], max_parallel=1))


def specifiers(server):
    """How all requests about loaded models have named them."""
    parameters = [
        message.get("parameter") or message.get("creationParameter") or {}
        for message in server.received(path="llm")
    ]
    named = [one.get("specifier") or one.get("modelSpecifier") for one in parameters]
    return [one for one in named if one is not None]


# -- where a model is ---------------------------------------------------------------------------


def test_without_a_device_nothing_of_one_is_sent(server, client):
    model = client.llm.model("test-llm")
    use(model)
    model.unload()
    client.llm.estimate_resources("test-llm")

    assert sent(server, "getOrLoad")[0].keys() == {"identifier", "loadTtlMs", "loadConfigStack"}
    assert sent(server, "unloadModel") == [{"identifier": "test-llm"}]
    assert "deviceIdentifier" not in sent(server, "estimateModelUsage")[0]
    assert all(one == query("test-llm") for one in specifiers(server))


def test_a_model_that_was_found_on_another_device_is_asked_there(server, client):
    model = client.llm.model("far-llm")
    use(model)

    assert model.get_info().device_identifier == FAR
    assert repr(model) == "LLM(identifier='far-llm', device_identifier='workstation')"
    assert all(one == query("far-llm", deviceIdentifier=FAR) for one in specifiers(server))
    assert len(specifiers(server)) > 10
    model.unload()
    assert sent(server, "unloadModel") == [{"identifier": "far-llm", "deviceIdentifier": FAR}]
    with pytest.raises(lms.LMStudioModelNotFoundError):
        model.count_tokens("a")


def test_an_embedding_model_of_another_device_is_asked_there(server, client):
    model = client.embedding.model("far-embedding", device_identifier=FAR)
    model.embed(["a", "b"])
    list(model.embed_many(["c"]))

    assert sent(server, "getOrLoad", "embedding")[0]["deviceIdentifier"] == FAR
    named = [one["modelSpecifier"] for one in sent(server, "embedString")]
    assert named == [query("far-embedding", deviceIdentifier=FAR)] * 3


@pytest.mark.parametrize(("device", "size"), [(None, 1), (FAR, 2)])
def test_the_device_decides_which_of_two_models_it_is(server, client, device, size):
    for model in (
        client.llm.model("both", device_identifier=device),
        client.llm.load_new_instance("both", "mine", device_identifier=device),
    ):
        assert model.get_info().size_bytes == size
        assert model.get_info().device_identifier == device
        assert specifiers(server)[-1] == query(model.identifier, deviceIdentifier=device)
    assert sent(server, "getOrLoad")[0]["deviceIdentifier"] == device
    assert sent(server, "loadModel")[0]["deviceIdentifier"] == device
    client.llm.unload("mine", device_identifier=device)
    assert sent(server, "unloadModel") == [{"identifier": "mine", "deviceIdentifier": device}]


def test_the_default_client_names_a_device_too(server):
    lms.configure_default_client(server.host)
    try:
        assert lms.llm("both", device_identifier=FAR).get_info().size_bytes == 2
        assert lms.embedding_model("far-embedding", device_identifier=FAR)._device == FAR
    finally:
        lms.close_default_client()
        lms.configure_default_client()


def test_memory_is_estimated_for_a_device(server, client):
    sizes = [
        client.llm.estimate_resources("both", device_identifier=device).memory.model_bytes
        for device in (None, FAR)
    ]

    assert sizes == [1, 2]
    assert [one["deviceIdentifier"] for one in sent(server, "estimateModelUsage")] == [None, FAR]


def test_any_model_of_a_device(server, client):
    client.llm.model("far-llm")

    assert client.llm.model(device_identifier=FAR).identifier == "far-llm"
    assert client.llm.model(device_identifier=None).identifier == "test-llm"
    assert [one["specifier"]["query"] for one in sent(server, "getModelInfo")] == [
        {"deviceIdentifier": FAR},
        {"deviceIdentifier": None},
    ]


def test_a_model_that_is_elsewhere_is_not_found(client):
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.model("far-llm", device_identifier=None)
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.load_new_instance("test-llm", device_identifier=FAR)
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.unload("test-llm", device_identifier=FAR)
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.model(device_identifier="nowhere")


@pytest.mark.parametrize("wrong", [5, "", b"workstation", True])
def test_what_is_no_device_is_refused(server, client, wrong):
    for call in (
        lambda: client.llm.model("both", device_identifier=wrong),
        lambda: client.llm.model(device_identifier=wrong),
        lambda: client.llm.load_new_instance("both", device_identifier=wrong),
        lambda: client.llm.estimate_resources("both", device_identifier=wrong),
        lambda: client.llm.unload("both", device_identifier=wrong),
        lambda: lms.LLM("both", client.llm, wrong).respond("hi"),
    ):
        with pytest.raises(lms.LMStudioValueError, match="device_identifier"):
            call()
    assert not server.received(path="llm")


def test_lists_say_where_models_are_and_go_on_there(server, client):
    client.llm.model("far-llm")
    loaded = {model.identifier: model for model in client.list_loaded_models("llm")}
    downloaded = {
        (model.model_key, model.info.device_identifier): model
        for model in client.llm.list_downloaded()
    }

    assert loaded["far-llm"] == client.llm.model("far-llm")
    assert loaded["test-llm"] == lms.LLM("test-llm", client.llm)
    far, near = downloaded["both", FAR], downloaded["both", None]
    assert far.load_new_instance().get_info().size_bytes == 2
    assert far.model(device_identifier=None).get_info().size_bytes == 1
    assert near.load_new_instance().get_info().size_bytes == 1
    assert [one.get("deviceIdentifier", "any") for one in sent(server, "loadModel")] == [FAR, "any"]
    assert sent(server, "getOrLoad")[-1]["deviceIdentifier"] is None


def test_a_handle_keeps_its_device_when_it_is_compared_and_pickled(client):
    handles = [lms.LLM("both", client.llm, device) for device in (..., None, FAR)]

    assert len(set(handles)) == 3
    for handle in handles:
        copy = pickle.loads(pickle.dumps(handle))
        assert copy == handle
        assert copy._specifier == handle._specifier
        copy._session.close(1.0)


def test_a_query_may_name_a_device(server, client):
    client.llm.model("far-llm")
    for specifier in (
        lms.ModelQuery(device_identifier=FAR),
        {"device_identifier": FAR},
        {"type": "query", "query": {"deviceIdentifier": FAR}},
    ):
        assert client.llm.get_model_info(specifier).identifier == "far-llm"
    assert client.llm.get_model_info({"device_identifier": None}).identifier == "test-llm"
    assert sent(server, "getModelInfo")[-1]["specifier"]["query"] == {"deviceIdentifier": None}


# -- LM Link itself -----------------------------------------------------------------------------


def test_the_link_says_how_it_is_and_which_devices_there_are(server, client):
    status = client.repository.lm_link.get_status()

    assert sent(server, "lmLinkStatus", "repository") == [None]
    assert status == lms.LmLinkStatus(
        status="online",
        peers=[lms.LmLinkPeer(device_identifier=FAR, device_name=FAR, status="connected")],
        device_identifier="testing-device",
        device_name="testing-device",
    )
    assert repr(client.repository.lm_link) == f"<LmLinkNamespace of {server.host}>"


def test_without_other_devices_the_link_is_offline():
    with Server() as server, lms.Client(server.host) as client:
        status = client.repository.lm_link.get_status()

    assert (status.status, status.issues, status.peers) == ("offline", ["notLoggedIn"], [])
    assert (status.device_identifier, status.preferred_device_identifier) == (None, None)


def test_the_preferred_device_is_looked_at_first(server, client):
    link = client.repository.lm_link
    assert client.llm.load_new_instance("both").get_info().size_bytes == 1

    assert link.set_preferred_device(FAR) is None

    assert sent(server, "lmLinkSetPreferredDevice") == [{"deviceIdentifier": FAR}]
    assert link.get_status().preferred_device_identifier == FAR
    assert client.llm.load_new_instance("both").get_info().size_bytes == 2
    link.set_preferred_device("testing-device")
    assert link.get_status().preferred_device_identifier == "testing-device"
    assert client.llm.load_new_instance("both").get_info().size_bytes == 1


def test_a_device_that_is_not_there_cannot_be_preferred(server, client):
    with pytest.raises(lms.LMStudioServerError, match="Cannot find a device"):
        client.repository.lm_link.set_preferred_device("nowhere")
    for wrong in (None, 5, ""):
        with pytest.raises(lms.LMStudioValueError, match="device_identifier"):
            client.repository.lm_link.set_preferred_device(wrong)
    assert len(sent(server, "lmLinkSetPreferredDevice")) == 1


def status_of(server, client, answer):
    server.hold("lmLinkStatus")
    worker = Worker(client.repository.lm_link.get_status)
    server.expect("lmLinkStatus").result(answer)
    return worker


def test_all_that_the_link_says_is_typed_and_what_is_new_is_kept(server, client):
    answer = {
        "status": "resting",
        "issues": ["noAccess", "newIssue"],
        "peers": [{"deviceIdentifier": "a", "deviceName": "A", "status": "asleep"}],
        "deviceIdentifier": "b",
        "deviceName": "B",
        "preferredDeviceIdentifier": "a",
        "reconnectInSeconds": 7,
        "lastError": {"message": "no network", "timestamp": 1_700_000_000_000},
        "new": 1,
    }

    assert status_of(server, client, answer).result() == lms.LmLinkStatus(
        status="resting",
        issues=["noAccess", "newIssue"],
        peers=[lms.LmLinkPeer(device_identifier="a", device_name="A", status="asleep")],
        device_identifier="b",
        device_name="B",
        preferred_device_identifier="a",
        reconnect_in_seconds=7,
        last_error=lms.LmLinkLastError(message="no network", timestamp=1_700_000_000_000),
        extra={"new": 1},
    )


@pytest.mark.parametrize("answer", [None, {}, [], {"status": 5}])
def test_a_status_that_is_none_is_an_error(server, client, answer):
    assert isinstance(status_of(server, client, answer).error(), lms.LMStudioProtocolError)


# -- the asyncio half ---------------------------------------------------------------------------


def test_a_task_names_devices_too(server):
    async def ask(client):
        model = await client.llm.model("both", device_identifier=FAR)
        info = await model.get_info()
        usage = await client.llm.estimate_resources("both", device_identifier=None)
        second = await client.llm.load_new_instance("both", device_identifier=None)
        embedding = await client.embedding.model("far-embedding")
        await client.repository.lm_link.set_preferred_device(FAR)
        status = await client.repository.lm_link.get_status()
        await second.unload()
        await client.llm.unload("both", device_identifier=FAR)
        return [
            (info.size_bytes, usage.memory.model_bytes) == (2, 1),
            embedding._device == FAR,
            isinstance(status, lms.LmLinkStatus),
            status.preferred_device_identifier == FAR,
        ]

    async def run():
        async with lms.AsyncClient(server.host) as client:
            return await asyncio.wait_for(ask(client), 20.0)

    assert asyncio.run(run()) == [True] * 4
    assert [one["deviceIdentifier"] for one in sent(server, "unloadModel")] == [None, FAR]


def test_a_model_that_only_another_device_has_is_told_with_the_device(server):
    with lms.Client(server.host) as client:
        with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
            client.llm.model("far-llm", device_identifier=None)
        assert f'The server itself has no model with this key; "{FAR}" has one.' in str(
            caught.value
        )
        with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
            client.llm.estimate_resources("both", device_identifier="phone")
        assert f'"phone" has no model with this key; "{FAR}" and the server' in str(caught.value)
        with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
            client.llm.unload("test-llm", device_identifier=FAR)
        assert "The identifiers: (no model is loaded)" in str(caught.value)


def test_a_device_that_there_is_not_is_told_with_those_that_there_are(server):
    with lms.Client(server.host) as client, pytest.raises(lms.LMStudioServerError) as caught:
        client.repository.lm_link.set_preferred_device("phone")
    assert f"The devices: testing-device, {FAR}." in str(caught.value)
