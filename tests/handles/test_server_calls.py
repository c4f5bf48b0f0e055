"""What else can be asked of the server and its models: the frame that goes out, what comes back."""

import asyncio
import os

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Server

SPECIFIER = {"type": "query", "query": {"identifier": "test-llm"}}


@pytest.fixture
def embedder(client):
    return client.embedding.model()


def sent(server, endpoint, path=None):
    """The parameter of the one call of an endpoint; a frame without one has no such key."""
    (message,) = server.received("rpcCall", endpoint=endpoint, path=path)
    return message.get("parameter", "absent")


# -- variants -----------------------------------------------------------------------------------


def test_variants_of_a_downloaded_model_are_models_with_keys_of_their_own(server, client):
    variants = client.system.list_downloaded_model_variants("test-vlm")

    assert sent(server, "listDownloadedModelVariants", "system") == {"modelKey": "test-vlm"}
    assert all(isinstance(one, lms.DownloadedLlm) for one in variants)
    assert [one.model_key for one in variants] == ["test-vlm@8bit", "test-vlm@4bit"]
    assert variants[1].info.selected_variant == "test-vlm@4bit"
    assert variants[1].model().get_info().model_key == "test-vlm"


def test_a_listing_tells_its_variants(server, client):
    (llm,) = [one for one in client.llm.list_downloaded() if one.model_key == "test-vlm"]
    (embedding,) = client.embedding.list_downloaded()

    assert [one.model_key for one in llm.variants()] == ["test-vlm@8bit", "test-vlm@4bit"]
    assert [type(one) for one in embedding.variants()] == [lms.DownloadedEmbeddingModel]


def test_variants_of_a_model_that_is_not_there(client):
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.system.list_downloaded_model_variants("nobody")
    with pytest.raises(lms.LMStudioValueError, match="is empty"):
        client.system.list_downloaded_model_variants("")


def test_variants_of_another_kind_are_left_out(server, client):
    server.hold("listDownloadedModelVariants")
    worker = Worker(client.system.list_downloaded_model_variants, "new")
    call = server.expect("listDownloadedModelVariants")
    call.result([{"type": "tts", "modelKey": "new"}, {"type": "llm", "modelKey": "old"}])

    assert [one.model_key for one in worker.result()] == ["old"]


# -- what a model is doing ----------------------------------------------------------------------


def test_an_idle_model_says_so(server, client, model, embedder):
    state = model.get_processing_state()

    assert state == lms.ModelProcessingState(status="idle", queued=0)
    assert sent(server, "getInstanceProcessingState") == {
        "specifier": SPECIFIER,
        "throwIfNotFound": True,
    }
    assert embedder.get_processing_state() == state
    assert len(server.received(endpoint="getInstanceProcessingState", path="embedding")) == 1


def test_a_busy_model_says_what_it_does_and_how_many_wait():
    with Server(parallel=1) as server, lms.Client(server.host) as client:
        model = client.llm.model()
        server.reply("word " * 100_000, delay=0.001, repeat=3)
        streams = [model.respond_stream(f"{number}") for number in range(3)]
        for number, stream in enumerate(streams):
            stream.start()
            server.wait_prediction(number)
        server.predictions[0].wait_tokens(1)

        state = model.get_processing_state()

        assert state == lms.ModelProcessingState(status="generating", queued=2)
        for stream in streams:
            stream.cancel()
        for prediction in server.predictions:
            prediction.wait_finished()


@pytest.mark.parametrize("state", [{}, {"status": "idle"}, {"status": 1, "queued": 0}, None, []])
def test_a_state_that_is_none_is_an_error(server, model, state):
    server.hold("getInstanceProcessingState")
    worker = Worker(model.get_processing_state)
    server.expect("getInstanceProcessingState").result(state)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


def test_the_state_of_a_model_that_was_unloaded(client):
    second = client.llm.load_new_instance("test-llm", "second")
    second.unload()
    with pytest.raises(lms.LMStudioModelNotFoundError):
        second.get_processing_state()


# -- memory -------------------------------------------------------------------------------------


def test_memory_is_estimated_for_options_of_loading(server, client):
    usage = client.llm.estimate_resources("test-llm", {"context_length": 1024})

    parameter = sent(server, "estimateModelUsage")
    client.llm.model("test-vlm", config={"context_length": 1024})
    (load,) = server.received("channelCreate", endpoint="getOrLoad")
    stack = load["creationParameter"]["loadConfigStack"]
    assert parameter == {"modelKey": "test-llm", "loadConfigStack": stack}
    assert isinstance(usage, lms.EstimatedResourcesUsage)
    assert usage.passes_guardrails is True
    assert usage.memory == lms.EstimatedMemoryUsage(
        confidence="low",
        model_vram_bytes=0,
        context_vram_bytes=0,
        total_vram_bytes=0,
        model_bytes=1_234_567,
        context_bytes=1024 * 1024,
        total_bytes=1_234_567 + 1024 * 1024,
    )


def test_memory_of_embedding_models_and_of_none(server, client):
    config = lms.EmbeddingLoadModelConfig(context_length=512)
    usage = client.embedding.estimate_resources("test-embedding", config)

    assert usage.memory.context_bytes == 512 * 1024
    assert len(server.received(endpoint="estimateModelUsage", path="embedding")) == 1
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.estimate_resources("nobody")
    with pytest.raises(lms.LMStudioValueError):
        client.llm.estimate_resources("test-llm", {"context_length": "long"})


def test_sizes_are_whole_numbers_and_nothing_is_made_to_fit(server, client):
    server.hold("estimateModelUsage")
    sizes = ["modelVramBytes", "contextVramBytes", "totalVramBytes"]
    sizes += ["modelBytes", "contextBytes", "totalBytes"]
    memory = {"confidence": "high", **dict.fromkeys(sizes, 1.6)}
    worker = Worker(client.llm.estimate_resources, "test-llm")
    answer = {"memory": memory, "passesGuardrails": False}
    server.expect("estimateModelUsage").result(answer)

    usage = worker.result()
    assert (usage.memory.total_bytes, usage.passes_guardrails) == (2, False)
    for wrong in (
        {"memory": memory},
        {"memory": {**memory, "totalBytes": "many"}, "passesGuardrails": True},
        {"memory": {**memory, "totalBytes": True}, "passesGuardrails": True},
        {"memory": {**memory, "totalBytes": -1}, "passesGuardrails": True},
        {"memory": memory, "passesGuardrails": 1},
    ):
        worker = Worker(client.llm.estimate_resources, "test-llm")
        server.expect("estimateModelUsage").result(wrong)
        assert isinstance(worker.error(), lms.LMStudioProtocolError), wrong


# -- predictions start from ---------------------------------------------------------------------


def test_the_options_of_a_prediction_that_gives_none(server, model):
    config = model.get_base_prediction_config()

    assert sent(server, "getBasePredictionConfig") == {"specifier": SPECIFIER}
    assert isinstance(config, lms.LlmPredictionConfig)
    assert (config.temperature, config.top_k_sampling) == (0.8, 40)
    assert config.context_overflow_policy == "truncateMiddle"


def test_the_settings_of_an_embedding_model_come_by_their_keys(server, client, embedder):
    assert embedder.get_base_prediction_config() == {}
    (message,) = server.received(endpoint="getBasePredictionConfig", path="embedding")
    specifier = {"type": "query", "query": {"identifier": "test-embedding"}}
    assert message["parameter"] == {"specifier": specifier}

    server.hold("getBasePredictionConfig")
    for answer in ({"fields": [{"key": "a.b", "value": {"checked": True}}]}, {"fields": 5}, None):
        worker = Worker(embedder.get_base_prediction_config)
        server.expect("getBasePredictionConfig").result(answer)
        if answer and answer["fields"] != 5:
            assert worker.result() == {"a.b": {"checked": True}}
        else:
            assert isinstance(worker.error(), lms.LMStudioProtocolError)


def test_a_draft_model_is_loaded_beforehand(server, model):
    assert model.preload_draft_model("test-vlm") is None

    assert sent(server, "preloadDraftModel") == {
        "specifier": SPECIFIER,
        "draftModelKey": "test-vlm",
    }
    with pytest.raises(lms.LMStudioModelNotFoundError):
        model.preload_draft_model("nobody")
    with pytest.raises(lms.LMStudioValueError):
        model.preload_draft_model("")


def test_loading_a_draft_model_can_be_left(server, model):
    server.hold("preloadDraftModel")
    stop = lms.CancelToken()
    worker = Worker(lambda: model.preload_draft_model("test-vlm", cancel_event=stop))
    server.expect("preloadDraftModel")

    stop.cancel("enough")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert str(error) == "Loading the draft model was cancelled: enough"
    assert model.count_tokens("a") == 1  # the connection is as it was


# -- the server itself --------------------------------------------------------------------------


def test_a_notification_is_sent_with_what_was_given(server, client):
    client.system.notify("Ready")
    client.system.notify("Ready", "All 300 are done.", no_auto_dismiss=True)

    assert [m["parameter"] for m in server.received(endpoint="notify", path="system")] == [
        {"title": "Ready"},
        {"title": "Ready", "description": "All 300 are done.", "noAutoDismiss": True},
    ]
    for arguments, options in (((5,), {}), (("a", 5), {}), (("a",), {"no_auto_dismiss": "yes"})):
        with pytest.raises(lms.LMStudioValueError):
            client.system.notify(*arguments, **options)


def test_the_http_server_is_started_with_what_was_given_and_stopped(server, client):
    assert client.system.start_http_server() is None
    client.system.start_http_server(1234, cors=False, network_interface="0.0.0.0")
    assert client.system.stop_http_server() is None

    assert [m["parameter"] for m in server.received(endpoint="startHttpServer", path="system")] == [
        {},
        {"port": 1234, "cors": False, "networkInterface": "0.0.0.0"},
    ]
    assert sent(server, "stopHttpServer", "system") == "absent"
    for arguments in ({"port": 0}, {"port": 65536}, {"cors": 1}, {"network_interface": 5}):
        with pytest.raises(lms.LMStudioValueError, match=next(iter(arguments))):
            client.system.start_http_server(**arguments)


def test_a_port_that_is_taken_is_the_servers_error(server, client):
    server.hold("startHttpServer")
    worker = Worker(client.system.start_http_server, 1234)
    server.expect("startHttpServer").error("Port 1234 is in use")

    assert isinstance(worker.error(), lms.LMStudioServerError)
    assert "Port 1234 is in use" in str(worker.error())


def test_a_shutdown_is_asked_for_without_a_parameter(server, client):
    assert client.system.request_shutdown() is None

    assert sent(server, "requestShutdown", "system") == "absent"
    server.wait_for(lambda: not any(one.open for one in server.connections))
    with pytest.raises(lms.LMStudioWebsocketError):
        client.system.get_version()


def test_a_server_that_does_not_know_the_call_says_so(server, client):
    server.hold("requestShutdown")
    worker = Worker(client.system.request_shutdown)
    call = server.expect("requestShutdown")
    warning = "Received rpcCall for unknown endpoint, endpoint = requestShutdown"
    kind = "rpcEndpointUnknown"
    call.connection.post({"type": "communicationWarning", "kind": kind, "warning": warning})

    error = worker.error()
    assert isinstance(error, lms.LMStudioServerError)
    assert "The shutdown failed, since LM Studio does not accept the call" in str(error)


def test_the_server_says_what_it_is(server, client):
    info = client.system.get_info()

    assert client.system.get_version() == lms.ServerVersion(version="0.4.0", build=1)
    assert info == lms.ServerInfo(pid=os.getpid(), is_daemon=True, version="0.4.0")
    assert sent(server, "version", "system") == sent(server, "info", "system") == "absent"


@pytest.mark.parametrize("answer", [None, {}, {"version": "0.4.0"}, {"version": 4, "build": 1}])
def test_a_version_that_is_none_is_an_error(server, client, answer):
    server.hold("version")
    worker = Worker(client.system.get_version)
    server.expect("version").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


def test_where_a_file_lies_on_the_server(server, client):
    file = client.prepare_image(b"\x89PNG\r\n\x1a\n", "a.png")

    path = client.files.get_file_path(file)

    assert sent(server, "getLocalFileAbsolutePath", "files") == {"fileName": file.identifier}
    assert path.startswith("/")
    assert path.endswith(file.identifier)
    assert client.files.get_file_path(file.identifier) == path
    with pytest.raises(lms.LMStudioServerError, match="Cannot find a file"):
        client.files.get_file_path("nothing")
    with pytest.raises(lms.LMStudioValueError, match="prepare_file"):
        client.files.get_file_path(5)


# -- the asyncio half ---------------------------------------------------------------------------


def test_a_task_asks_all_the_same():
    async def ask(client):
        model = await client.llm.model("test-llm")
        variants = await client.system.list_downloaded_model_variants("test-vlm")
        (listing, *_) = await client.llm.list_downloaded()
        state = await model.get_processing_state()
        usage = await client.embedding.estimate_resources("test-embedding")
        config = await model.get_base_prediction_config()
        embedding = await client.embedding.model()
        settings = await embedding.get_base_prediction_config()
        await model.preload_draft_model("test-vlm")
        await client.system.notify("Ready", no_auto_dismiss=True)
        file = await client.prepare_image(b"\x89PNG\r\n\x1a\n")
        path = await client.files.get_file_path(file)
        version = await client.system.get_version()
        info = await client.system.get_info()
        variants_of_one = await listing.variants()
        await client.system.start_http_server(port=1234)
        await client.system.stop_http_server()
        await client.system.request_shutdown()
        return [
            [type(one) for one in variants] == [lms.AsyncDownloadedLlm] * 2,
            [type(one) for one in variants_of_one] == [lms.AsyncDownloadedLlm],
            state == lms.ModelProcessingState(status="idle", queued=0),
            usage.memory.total_bytes > 0,
            config.temperature == 0.8,
            settings == {},
            path.endswith(file.identifier),
            (info.version, version.build) == ("0.4.0", 1),
        ]

    async def run(host):
        async with lms.AsyncClient(host) as client:
            return await asyncio.wait_for(ask(client), 20.0)

    with Server() as server:
        assert all(asyncio.run(run(server.host)))
        assert len(server.received(endpoint="notify")) == 1
        assert len(server.received(endpoint="startHttpServer")) == 1
        assert len(server.received(endpoint="stopHttpServer")) == 1
        assert len(server.received(endpoint="requestShutdown")) == 1
