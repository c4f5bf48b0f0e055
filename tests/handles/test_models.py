"""Handles and namespaces: what can be asked of models, loaded and downloaded."""

import gc
import json
import pickle
import subprocess
import sys
import threading

import pytest
from helpers import Worker, eventually, time_passes

import lmstudio as lms
from lmstudio._handles import namespaces
from lmstudio.testing import Model, Server


@pytest.fixture
def embedder(client):
    return client.embedding.model()


def test_models_are_listed_by_kind(client):
    assert [m.identifier for m in client.llm.list_loaded()] == ["test-llm"]
    assert [m.identifier for m in client.embedding.list_loaded()] == ["test-embedding"]
    assert [m.identifier for m in client.list_loaded_models()] == ["test-llm", "test-embedding"]
    assert client.list_loaded_models("embedding") == client.embedding.list_loaded()
    assert {m.type for m in client.list_downloaded_models()} == {"llm", "embedding"}
    assert [m.model_key for m in client.list_downloaded_models("llm")] == ["test-llm", "test-vlm"]
    assert client.llm.list_downloaded()[0].path.endswith(".gguf")


def test_an_unknown_namespace_is_refused(client):
    for method in (client.list_loaded_models, client.list_downloaded_models):
        with pytest.raises(lms.LMStudioValueError, match="'llm' and 'embedding'"):
            method("llms")


def test_a_downloaded_model_is_loaded_through_its_listing(server, client):
    (listing,) = [m for m in client.list_downloaded_models() if m.model_key == "test-vlm"]
    progress = []

    model = listing.model(on_load_progress=progress.append, ttl=60, config={"contextLength": 512})
    second = listing.load_new_instance(instance_identifier="another", ttl=None)

    assert "test-vlm" in repr(listing)
    assert listing.info.vision
    assert (model.identifier, second.identifier) == ("test-vlm", "another")
    assert model.get_context_length() == 512
    assert progress[-1] == 1.0
    created = [m["creationParameter"] for m in server.received(type="channelCreate")]
    assert created[0]["loadTtlMs"] == 60_000
    assert "ttlMs" not in created[1]


def test_a_new_instance_has_a_name_of_its_own_and_can_be_unloaded(client):
    first = client.llm.load_new_instance("test-llm")
    second = client.llm.load_new_instance("test-llm", "mine", config={"context_length": 1024})
    names = {m.identifier for m in client.llm.list_loaded()}
    assert {first.identifier, "mine", "test-llm"} == names

    second.unload()
    client.llm.unload(first.identifier)

    assert [m.identifier for m in client.llm.list_loaded()] == ["test-llm"]
    with pytest.raises(lms.LMStudioModelNotFoundError):
        second.unload()
    with pytest.raises(lms.LMStudioModelNotFoundError):
        second.respond("hi")


def test_the_load_configuration_is_read_back_with_its_defaults(client):
    model = client.llm.load_new_instance("test-llm", "mine", config={"contextLength": 1024})

    config = model.get_load_config()

    assert isinstance(config, lms.LlmLoadModelConfig)
    assert config.context_length == 1024


def test_what_the_server_says_about_a_model_is_typed(client, model, embedder):
    info = model.get_info()
    assert isinstance(info, lms.LlmInstanceInfo)
    assert info.identifier == model.identifier
    assert info.context_length == model.get_context_length()
    assert isinstance(embedder.get_info(), lms.EmbeddingModelInstanceInfo)
    for specifier in (
        "test-llm",
        {"identifier": "test-llm"},
        lms.ModelQuery(identifier="test-llm"),
    ):
        assert client.llm.get_model_info(specifier) == info
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.get_model_info("missing")


def test_tokens_and_templates(model, embedder):
    tokens = model.tokenize("a b c")

    assert len(tokens) == model.count_tokens("a b c") == 3
    assert model.tokenize(["a b c", "a"]) == [tokens, tokens[:1]]
    assert model.tokenize([]) == []
    assert embedder.count_tokens("a b") == 2
    chat = lms.Chat("Be brief.")
    chat.add_user_message("How are you?")
    assert "How are you?" in model.apply_prompt_template(chat)
    assert "How are you?" in model.apply_prompt_template("How are you?", {"omitBosToken": True})


PARAMETERS = {"type": "object", "properties": {"my_name": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}


def test_options_of_a_template_are_sent_in_the_servers_spelling(server, model):
    opts = {"omit_bos_token": True, "omitEosToken": None, "tool_definitions": (TOOL,)}

    model.apply_prompt_template("Hi.", opts)

    (sent,) = server.received("rpcCall", endpoint="applyPromptTemplate")
    assert sent["parameter"]["opts"] == {"omitBosToken": True, "toolDefinitions": [TOOL]}


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (5, "opts of apply_prompt_template.* must be a dict; 5 was given"),
        ([("omitBosToken", True)], "must be a dict"),
        ({"omitBosToken": "yes"}, "omitBosToken must be True or False; 'yes' was given"),
        ({"omit_eos_token": 1}, "omitEosToken must be True or False"),
        ({"toolDefinitions": "add"}, "toolDefinitions must be a list"),
        ({"toolDefinitions": [TOOL, len]}, r"toolDefinitions\[1\] must be a dict like"),
        ({"toolDefinitions": [{"name": "add"}]}, r"toolDefinitions\[0\] must be a dict like"),
    ],
)
def test_a_wrong_option_of_a_template_is_an_error_before_anything_is_sent(
    server, model, opts, words
):
    with pytest.raises(lms.LMStudioValueError, match=words):
        model.apply_prompt_template("Hi.", opts)
    assert server.received("rpcCall", endpoint="applyPromptTemplate") == []


def test_an_unknown_option_of_a_template_is_told_and_left_out(server, model):
    with pytest.warns(lms.LMStudioOptionWarning, match="'omitBos' does not exist.*omitBosToken"):
        assert model.apply_prompt_template("Hi.", {"omitBos": True})
    with (
        lms.Client(server.host, strict_options=True) as client,
        pytest.raises(lms.LMStudioValueError, match="Unknown option 'omitBos'"),
    ):
        client.llm.model().apply_prompt_template("Hi.", {"omitBos": True})


def test_embeddings_of_a_text_and_of_several(embedder):
    one = embedder.embed("hello")

    assert all(isinstance(number, float) for number in one)
    assert embedder.embed(["hello", "world"])[0] == one
    assert embedder.embed(text for text in ("hello",)) == [one]


@pytest.mark.parametrize("wrong", [1, b"bytes", ["a", 1]])
def test_what_is_no_text_is_refused_before_anything_is_sent(server, model, embedder, wrong):
    count = len(server.received(type="rpcCall"))

    with pytest.raises(lms.LMStudioValueError, match="string"):
        embedder.embed(wrong)
    with pytest.raises(lms.LMStudioValueError, match="string"):
        model.tokenize(wrong)

    assert len(server.received(type="rpcCall")) == count


def test_a_list_is_sent_without_waiting_for_each_answer(server, embedder):
    server.hold("embedString")
    worker = Worker(embedder.embed, [str(number) for number in range(200)])
    calls = [server.expect("embedString") for _ in range(64)]
    assert [call.parameter["inputString"] for call in calls] == [str(n) for n in range(64)]
    for call in reversed(calls):
        call.result({"embedding": [float(call.parameter["inputString"])]})
    for _ in range(200 - 64):
        call = server.expect("embedString")
        call.result({"embedding": [float(call.parameter["inputString"])]})

    assert worker.result() == [[float(number)] for number in range(200)]


def test_an_error_in_a_list_cancels_the_rest_of_it(server, client, embedder):
    server.hold("embedString")
    worker = Worker(embedder.embed, ["a", "b", "c"])
    calls = [server.expect("embedString") for _ in range(3)]
    calls[0].result({"embedding": [1.0]})
    calls[1].error("out of memory")

    assert "out of memory" in str(worker.error())
    eventually(lambda: not client._session.dispatcher.open)


def test_a_list_is_cancelled_as_one(server, client, embedder):
    server.hold("embedString")
    event = threading.Event()
    worker = Worker(lambda: embedder.embed(["a"] * 100, cancel_event=event))
    server.expect("embedString")

    event.set()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    eventually(lambda: not client._session.dispatcher.open)


def test_a_time_limit_holds_for_the_whole_list(server, client, embedder):
    server.hold("embedString")
    worker = Worker(lambda: embedder.embed(["a"] * 100, timeout=30))
    server.expect("embedString")
    time_passes(client, 40)

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    eventually(lambda: not client._session.dispatcher.open)


@pytest.mark.parametrize("answer", [None, {}, [], {"tokenCount": "many"}, {"tokenCount": None}])
def test_a_malformed_answer_is_a_protocol_error(server, model, answer):
    server.hold("countTokens")
    worker = Worker(model.count_tokens, "a")
    server.expect("countTokens").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


@pytest.mark.parametrize("ttl", [0, -1, True, "long"])
def test_a_time_to_live_is_a_positive_number_of_seconds(client, ttl):
    with pytest.raises(lms.LMStudioValueError, match="ttl"):
        client.llm.model("test-llm", ttl=ttl)


def test_without_a_loaded_model_the_error_says_what_to_do():
    with Server(loaded=[]) as server, lms.Client(server.host) as client:
        with pytest.raises(lms.LMStudioModelNotFoundError, match="no language model is loaded"):
            client.llm.model()
        with pytest.raises(lms.LMStudioModelNotFoundError, match="no embedding model") as caught:
            client.embedding.model()
        assert caught.value.server_error.display_data["code"] == "generic.noModelMatchingQuery"


def without_a_loaded_model(client):
    with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
        client.llm.model()
    return str(caught.value)


def test_without_a_loaded_model_the_error_names_the_keys_that_there_are():
    with Server(loaded=[]) as server, lms.Client(server.host) as client:
        told = without_a_loaded_model(client)

    assert "client.llm.model('test-llm')" in told
    assert told.endswith("downloaded: 'test-llm', 'test-vlm'.")
    assert "client." not in told.splitlines()[0]  # which a window shows to whoever sits before it


def test_the_error_names_no_more_than_a_few_keys():
    models = [Model(key=f"model-{number}") for number in range(30)]
    with Server(loaded=[], models=models) as server, lms.Client(server.host) as client:
        told = without_a_loaded_model(client)

    assert told.endswith("'model-8', 'model-9' and 20 more.")


def test_where_nothing_is_downloaded_the_error_says_so():
    models = [Model(key="test-embedding", type="embedding")]
    with Server(loaded=[], models=models) as server, lms.Client(server.host) as client:
        assert "None is downloaded, either" in without_a_loaded_model(client)


@pytest.mark.parametrize("is_silent", [False, True])
def test_an_error_that_gets_no_keys_does_without(is_silent, monkeypatch):
    monkeypatch.setattr(namespaces, "_KEYS_WITHIN", 60.0)
    server = Server(loaded=[], hold=["listDownloadedModels"])
    with server, lms.Client(server.host) as client:
        worker = Worker(without_a_loaded_model, client)
        call = server.expect("listDownloadedModels")
        if is_silent:
            time_passes(client, 100)
        else:
            call.error("no")
        assert "Load one in LM Studio, or name one" in worker.result()


def test_keys_are_asked_for_only_where_an_error_names_them(server, client):
    client.llm.model()

    assert server.received(endpoint="listDownloadedModels") == []


def test_a_cancel_ends_the_search_for_keys_too():
    token = lms.CancelToken()
    server = Server(loaded=[], hold=["listDownloadedModels"])
    with server, lms.Client(server.host) as client:
        worker = Worker(lambda: client.llm.model(cancel_event=iter([token])))
        server.expect("listDownloadedModels")
        token.cancel("enough")
        assert worker.error().reason == "enough"


# -- handles as values ------------------------------------------------------------------------


def test_handles_compare_and_hash(server, client, model, embedder):
    with lms.Client(server.host) as other:
        assert other.llm.model() == model
        assert {other.llm.model(), model} == {model}
    assert model != client.llm.model("test-vlm")
    assert model != embedder
    assert model != "test-llm"


def test_handles_are_pickled_with_host_and_identifier_and_never_a_token(server, model, embedder):
    data = pickle.dumps([model, embedder])

    restored, restored_embedder = pickle.loads(data)

    assert restored == model
    assert restored.count_tokens("a b") == 2
    assert restored_embedder.embed("a") == embedder.embed("a")
    assert pickle.loads(data)[0]._session is restored._session
    assert b"guest" not in data
    line = restored._session
    restored = restored_embedder = None
    gc.collect()
    line.close(1)


def test_a_pickled_handle_works_in_another_process(server, model):
    code = (
        "import pickle, sys; model = pickle.loads(bytes.fromhex(sys.argv[1])); "
        "print(model.count_tokens('a b c'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, pickle.dumps(model).hex()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_a_client_refuses_to_be_pickled_and_names_what_works(client):
    for held in (client, client.llm, client.llm.model().respond_many(["hi"])):
        with pytest.raises(TypeError, match="A Client holds connections and cannot be pickled"):
            pickle.dumps(held)
    assert pickle.loads(pickle.dumps(client.llm.model())).identifier == "test-llm"


@pytest.mark.parametrize("wrong", [3, {"a": 1}, b"a", ["a", 3]])
def test_what_is_no_text_is_named_by_the_method(model, embedder, wrong):
    with pytest.raises(lms.LMStudioValueError, match=r"The input of embed\(\) must be a string"):
        embedder.embed(wrong)
    with pytest.raises(lms.LMStudioValueError, match=r"The input of tokenize\(\) must be a string"):
        model.tokenize(wrong)


def test_a_schema_that_cannot_be_followed_is_told_by_the_server(model):
    schema = {"type": "object", "properties": ["a"]}
    with pytest.raises(lms.LMStudioServerError, match="the JSON schema cannot be followed"):
        model.respond("hi", response_format=schema)


def test_a_model_that_makes_room_for_another_is_told_in_the_log(server, client, caplog):
    caplog.set_level("DEBUG", "lmstudio")
    server.hold("getOrLoad")
    worker = Worker(client.llm.model, "test-vlm")
    call = server.expect("getOrLoad")
    call.packet({"type": "unloadingOtherJITModel", "info": {"modelKey": "old", "type": "llm"}})
    call.success(info={"identifier": "test-vlm", "instanceReference": "x", "path": "y"})
    worker.result()
    told = [record for record in caplog.records if "Unloading other JIT" in record.getMessage()]
    assert [record.levelname for record in told] == ["INFO", "DEBUG"]
    info, debug = (json.loads(record.getMessage()) for record in told)
    assert (info["model_key"], info["unloaded_model_key"]) == ("test-vlm", "old")
    assert "disable this behavior" in info["suggestion"]
    assert debug["unloaded_model"] == {"modelKey": "old", "type": "llm"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"title": "Model load error: no room", "rootTitle": "Model load error"}, "no room"),
        ({"title": "Model load error: no room"}, "no room"),
        ({"title": "no room", "rootTitle": "no room"}, "no room"),
        ({"title": "no room", "rootTitle": "The engine failed"}, "The engine failed: no room"),
    ],
)
def test_nothing_that_a_server_says_is_said_twice(server, client, error, text):
    server.hold("loadModel")
    worker = Worker(client.llm.load_new_instance, "test-llm")
    title = error.pop("title")
    server.expect("loadModel").error(title, **error)
    assert str(worker.error()) == f"Model load error: {text}"


def test_the_time_limit_of_a_list_of_both_kinds_is_for_both(server, client):
    for namespace in ("llm", "embedding"):
        server.hold(f"{namespace}/listLoaded")
    token = lms.CancelToken()
    worker = Worker(lambda: client.list_loaded_models(timeout=30, cancel_event=iter([token])))
    first = server.expect("llm/listLoaded")
    (call,) = client._session.dispatcher.open.values()
    began = call.started
    first.proceed()
    server.expect("embedding/listLoaded")
    (call,) = client._session.dispatcher.open.values()
    assert call.started == began  # and it has the event, too
    token.cancel("enough")
    assert worker.error().reason == "enough"


@pytest.mark.parametrize(
    "wrong", [{"on_load_progress": 5}, {"ttl": "x"}, {"on_load_resolved": lambda: None}]
)
def test_what_cannot_be_used_is_refused_without_a_key_too(server, client, wrong):
    with pytest.raises(lms.LMStudioValueError):
        client.llm.model(**wrong)
    assert not server.received(endpoint="getModelInfo")


def test_a_model_that_is_loaded_already_is_told_as_loaded_without_a_key_too(client):
    told = []
    client.llm.model(on_load_progress=told.append)
    assert told == [1.0]
