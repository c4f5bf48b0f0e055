"""Models on the embedded server: loading, identifiers, queries, idle limits, tokens, embeddings."""

import asyncio
import math

import pytest
from helpers import eventually
from server.raw_client import ABSENT, ANY, NO_CONFIG, RawClient, text_of, user

from lmstudio.testing import Engine, Model, Server
from lmstudio.testing._core.registry import Registry

FOREVER = 600.0  # seconds: never reached, for whatever waits so long is stopped before


@pytest.fixture
def embedding(server):
    with RawClient(server, "embedding") as client:
        yield client


def named(identifier):
    return {"type": "query", "query": {"identifier": identifier}}


def load(client, key, **fields):
    channel = client.open("loadModel", {"modelKey": key, "loadConfigStack": NO_CONFIG, **fields})
    return client.rest(channel)


def get_or_load(client, identifier, **fields):
    parameter = {"identifier": identifier, "loadConfigStack": NO_CONFIG, **fields}
    return client.open("getOrLoad", parameter)


def test_default_models(server, client):
    assert server.identifiers == ["test-llm", "test-embedding"]
    (loaded,) = client.result("listLoaded")
    assert loaded["modelKey"] == loaded["identifier"] == "test-llm"
    with RawClient(server, "system") as system:
        models = system.result("listDownloadedModels")
    assert [(m["modelKey"], m["type"], m.get("vision")) for m in models] == [
        ("test-llm", "llm", False),
        ("test-vlm", "llm", True),
        ("test-embedding", "embedding", None),
    ]


def test_models_of_ones_own():
    models = [Model(key="a"), Model(key="b", type="embedding"), Model(key="c")]
    with Server(models=models, loaded=["c", "c"]) as server:
        assert server.identifiers == ["c", "c:2"]


def test_load_with_progress(server, client):
    packets, end = load(client, "test-vlm", ttlMs=60_000)
    kinds = [packet["type"] for packet in packets]
    assert kinds == ["resolved", *["progress"] * 4, "success"]
    assert "identifier" not in packets[0]["info"]
    assert [packet["progress"] for packet in packets[1:-1]] == [0, 1 / 3, 2 / 3, 1]
    info = packets[-1]["info"]
    assert (info["identifier"], info["ttlMs"], info["lastUsedTime"]) == ("test-vlm", 60_000, None)
    assert end["type"] == "channelClose"
    assert client.result("getModelInfo", {"specifier": named("test-vlm"), "throwIfNotFound": True})


def test_load_config(client):
    field = {"key": "llm.load.contextLength", "value": 1234}
    layer = {"layerName": "apiOverride", "config": {"fields": [field]}}
    packets, _ = load(client, "test-vlm", loadConfigStack={"layers": [layer]})
    assert packets[-1]["info"]["contextLength"] == 1234
    assert client.result("getLoadConfig", {"specifier": named("test-vlm")}) == {"fields": [field]}


def test_identifiers_of_further_instances(server, client):
    infos = [load(client, "test-llm")[0][-1]["info"] for _ in range(2)]
    infos.append(load(client, "test-llm", identifier="mine")[0][-1]["info"])
    assert [info["identifier"] for info in infos] == ["test-llm:2", "test-llm:3", "mine"]
    _, end = load(client, "test-llm", identifier="mine")
    assert end["error"]["title"] == 'Model load error: the identifier "mine" already exists.'
    assert "Choose another identifier" in end["error"]["suggestion"]


def test_cancel_of_a_load_closes_without_success():
    with Server(load_time=FOREVER) as server, RawClient(server) as client:
        channel = client.open("loadModel", {"modelKey": "test-vlm", "loadConfigStack": NO_CONFIG})
        assert client.until(channel, "progress")
        client.cancel(channel)
        assert client.rest(channel) == ([], {"type": "channelClose", "channelId": channel})
        assert "test-vlm" not in server.identifiers


def test_get_or_load_of_a_loaded_model(client):
    (packet,), end = client.rest(get_or_load(client, "test-llm"))
    assert packet["type"] == "alreadyLoaded"
    assert packet["info"]["identifier"] == "test-llm"
    assert end["type"] == "channelClose"


def test_get_or_load_just_in_time(client):
    packets, _ = client.rest(get_or_load(client, "test-vlm", loadTtlMs=60_000))
    assert [packet["type"] for packet in packets] == [
        "startLoading",
        *["loadProgress"] * 4,
        "loadSuccess",
    ]
    assert packets[0]["identifier"] == packets[0]["info"]["modelKey"] == "test-vlm"
    assert packets[-1]["info"]["ttlMs"] == 60_000


def test_a_load_just_in_time_without_a_limit_has_an_hour(client):
    packets, _ = client.rest(get_or_load(client, "test-vlm"))
    assert packets[-1]["info"]["ttlMs"] == 3_600_000


LLAMA = Model(
    key="llama-3.2-1b",
    publisher="someone",
    path="someone/Llama-3.2-1B-GGUF/llama-3.2-1b.Q8_0.gguf",
    variants=("llama-3.2-1b@q8_0",),
)
NAMES = [
    "llama-3.2-1b",
    "Llama-3.2-1B",
    "someone/llama-3.2-1b",
    "someone/llama-3.2-1b-gguf",
    "someone/Llama-3.2",
    "someone/Llama-3.2-1B-GGUF/llama-3.2-1b.Q8_0.gguf",
    "llama-3.2-1b@q8_0",
]


PATH = LLAMA.file_path()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_found_by_all_its_names_and_then_not_loaded_again(name):
    with Server(models=[Model(key="other"), LLAMA], loaded=[]) as server:
        with RawClient(server) as client:
            packets, _ = client.rest(get_or_load(client, name))
            assert packets[-1]["info"]["modelKey"] == LLAMA.key
            for again in NAMES:
                (packet,), _ = client.rest(get_or_load(client, again))
                assert packet["type"] == "alreadyLoaded"
                info = {"specifier": named(again), "throwIfNotFound": True}
                assert client.result("getModelInfo", info)["modelKey"] == LLAMA.key
        # LM Studio's own tests expect the path of the file, where a load is asked for by that.
        assert server.identifiers == [PATH if name == PATH else LLAMA.key]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_loaded_by_any_of_its_names_has_its_key_as_identifier(name):
    with Server(models=[LLAMA], loaded=[name]) as server, RawClient(server) as client:
        assert server.load(name) == f"{LLAMA.key}:2"
        assert load(client, name)[0][-1]["info"]["identifier"] == f"{LLAMA.key}:3"
        assert server.identifiers == [LLAMA.key, f"{LLAMA.key}:2", f"{LLAMA.key}:3"]


QWEN = Model(key="qwen", variants=("qwen@q4", "qwen@q8", "qwen@f16"))


def test_a_variant_is_not_another_variant_that_is_loaded():
    with Server(models=[QWEN], loaded=["qwen@q8"]) as server, RawClient(server) as client:
        (loaded,) = client.result("listLoaded")
        assert (loaded["modelKey"], loaded["selectedVariant"]) == ("qwen", "qwen@q8")
        for name in ("qwen", "qwen@q8", "testing/QWEN@Q8", "testing/qwen"):
            (packet,), _ = client.rest(get_or_load(client, name))
            assert packet["type"] == "alreadyLoaded"

        for name in ("qwen@q4", "testing/qwen@f16"):
            info = {"specifier": named(name), "throwIfNotFound": False}
            assert client.result("getModelInfo", info) is ABSENT
            packets, _ = client.rest(get_or_load(client, name))
            assert packets[0]["info"]["selectedVariant"] == name.removeprefix("testing/")
            assert packets[-1]["info"]["selectedVariant"] == name.removeprefix("testing/")
            assert client.result("getModelInfo", info) == packets[-1]["info"]
        assert server.identifiers == ["qwen", "qwen:2", "qwen:3"]


def test_two_variants_of_a_model_are_loaded_side_by_side():
    with Server(models=[QWEN], loaded=[], load_time=FOREVER) as server:
        for name in ("qwen@q4", "qwen@q8"):
            with RawClient(server) as client:
                (packet,) = client.until(get_or_load(client, name), "startLoading")
                assert packet["info"]["selectedVariant"] == name


def test_a_name_that_several_models_bear_is_ambiguous_and_the_first_is_loaded():
    keys = ["lfm@f16", "lfm@bf16", "lfm-large"]
    models = [Model(key=key, path=f"liquid/lfm-GGUF/{key}.gguf") for key in keys]
    with Server(models=models, loaded=[]) as server, RawClient(server) as client:
        for name, ambiguous in [
            ("lfm", keys[:2]),
            ("liquid/lfm-GGUF", keys),
            ("Liquid/lfm-g", keys),
            ("lfm@bf16", None),
            ("liquid/lfm-GGUF/lfm-large", None),
        ]:
            packets, _ = load(client, name)
            assert packets[0].get("ambiguous") == ambiguous
            first = keys[0] if ambiguous else name.rpartition("/")[2]
            assert packets[0]["info"]["modelKey"] == first
            assert packets[-1]["info"]["modelKey"] == first


@pytest.mark.parametrize("name", ["someone", "llama", "someone/other", "1b", "/"])
def test_half_a_name_is_none(name):
    with Server(models=[LLAMA]) as server, RawClient(server) as client:
        _, end = client.rest(get_or_load(client, name))
        assert end["error"]["displayData"]["code"] == "generic.pathNotFound"


def test_a_whole_name_goes_before_the_beginning_of_another():
    models = [Model(key="m-large"), Model(key="m")]
    with Server(models=models, loaded=["m-large", "m"]) as server, RawClient(server) as client:
        for name in ("testing/m", "testing/M", "m"):
            info = {"specifier": named(name), "throwIfNotFound": True}
            assert client.result("getModelInfo", info)["identifier"] == "m"
            assert load(client, name)[0][-1]["info"]["modelKey"] == "m"


def test_two_names_of_a_model_wait_for_one_load():
    with Server(load_time=FOREVER) as server, RawClient(server) as one, RawClient(server) as two:
        first = get_or_load(one, "test-vlm")
        one.until(first, "startLoading")
        second = get_or_load(two, "testing/test-vlm")
        assert two.until(second, "startLoading")[-1]["identifier"] == "test-vlm"
        (loading,) = server._core.loading.values()
        eventually(lambda: len(loading.channels) == 2)


def test_two_clients_wait_for_one_load():
    with Server(load_time=0.03) as server, RawClient(server) as one, RawClient(server) as two:
        first = get_or_load(one, "test-vlm")
        one.until(first, "startLoading")
        second = get_or_load(two, "test-vlm")
        infos = [c.rest(ch)[0][-1]["info"] for c, ch in ((one, first), (two, second))]
        assert infos[0]["instanceReference"] == infos[1]["instanceReference"]


def test_a_load_ends_when_nobody_waits_for_it_any_more():
    with Server(load_time=FOREVER) as server, RawClient(server) as one, RawClient(server) as two:
        channels = [(c, get_or_load(c, "test-vlm")) for c in (one, two)]
        for client, channel in channels:
            client.until(channel, "startLoading")
            client.cancel(channel)
            packets, end = client.rest(channel)
            assert {p["type"] for p in packets} <= {"loadProgress"}
            assert end["type"] == "channelClose"
        assert "test-vlm" not in server.identifiers
        one.until(get_or_load(one, "test-vlm"), "startLoading")


def test_a_load_just_in_time_can_unload_the_ones_before():
    models = [Model(key="a"), Model(key="b")]
    with Server(models=models, loaded=[], jit_evict=True) as server, RawClient(server) as client:
        client.rest(get_or_load(client, "a"))
        packets, _ = client.rest(get_or_load(client, "b"))
        assert packets[0]["type"] == "unloadingOtherJITModel"
        assert packets[0]["info"]["identifier"] == "a"
        assert server.identifiers == ["b"]


def test_what_was_loaded_by_hand_stays():
    models = [Model(key=key) for key in "abcd"]
    with Server(models=models, loaded=["a"], jit_evict=True) as server, RawClient(server) as client:
        server.load("b")
        load(client, "c")
        for _ in range(2):
            client.rest(get_or_load(client, "d"))
        assert server.identifiers == ["a", "b", "c", "d"]


def test_a_load_just_in_time_unloads_models_of_the_other_namespace_too():
    models = [Model(key="a"), Model(key="e", type="embedding")]
    with (
        Server(models=models, loaded=[], jit_evict=True) as server,
        RawClient(server, "embedding") as embedding,
        RawClient(server) as client,
    ):
        embedding.rest(get_or_load(embedding, "e"))
        packets, _ = client.rest(get_or_load(client, "a"))
        assert packets[0]["info"]["identifier"] == "e"
        assert server.identifiers == ["a"]


def test_idle_models_are_unloaded(server, client):
    load(client, "test-vlm", ttlMs=1)
    assert server.wait_for(lambda: "test-vlm" not in server.identifiers)


def test_a_model_in_use_is_not_idle():
    async def use():
        registry = Registry([Model(key="a")], lambda: None)
        instance = registry.add(registry.any_model("a"), "a", [], ttl_ms=60_000)
        assert instance.timer is not None
        registry.use(instance)
        instance.running.add(object())
        registry.rest(instance)  # another use is over, this one is not
        assert instance.timer is None
        instance.running.clear()
        registry.rest(instance)
        assert instance.timer is not None
        registry.remove(instance)
        assert registry.loaded() == []

    asyncio.run(use())


def test_unload(server, client):
    assert client.result("unloadModel", {"identifier": "test-llm"}) is ABSENT
    assert server.identifiers == ["test-embedding"]
    assert client.error("unloadModel", {"identifier": "test-llm"})["displayData"] == {
        "code": "generic.noModelMatchingQuery",
        "query": {"identifier": "test-llm"},
        "loadedModelsSample": ["test-embedding"],
        "totalLoadedModels": 1,
    }


def test_models_of_the_other_kind_are_not_there(server, client, embedding):
    assert client.error("unloadModel", {"identifier": "test-embedding"})
    assert embedding.error("countTokens", {"specifier": named("test-llm"), "inputString": "x"})
    _, end = client.rest(get_or_load(client, "test-embedding"))
    assert end["error"]["displayData"] == {
        "code": "generic.domainMismatch",
        "path": "test-embedding",
        "actualDomain": "embedding",
        "expectedDomain": "llm",
    }


@pytest.mark.parametrize("endpoint", ["getOrLoad", "loadModel"])
def test_an_unknown_key(client, endpoint):
    name = "identifier" if endpoint == "getOrLoad" else "modelKey"
    _, end = client.rest(client.open(endpoint, {name: "nope", "loadConfigStack": NO_CONFIG}))
    assert end["type"] == "channelError"
    assert end["error"]["title"] == "Model not found: nope"
    assert end["error"]["displayData"] == {
        "code": "generic.pathNotFound",
        "path": "nope",
        "availablePathsSample": ["test-llm", "test-vlm", "test-embedding"],
        "totalModels": 3,
    }


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("tset-llm", 'Did you mean "test-llm"?'),
        ("Test-Embeding", 'Did you mean "test-embedding"?'),
        ("zzz", "Download it, or name one that there is."),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(client, key, hint):
    _, end = client.rest(client.open("loadModel", {"modelKey": key, "loadConfigStack": NO_CONFIG}))
    assert end["error"]["suggestion"] == hint


def test_instance_references(client):
    (info,) = client.result("listLoaded")
    specifier = {"type": "instanceReference", "instanceReference": info["instanceReference"]}
    parameter = {"specifier": specifier, "inputString": "a b"}
    assert client.result("countTokens", parameter) == {"tokenCount": 2}
    client.result("unloadModel", {"identifier": "test-llm"})
    load(client, "test-llm")
    error = client.error("countTokens", parameter)
    assert error["displayData"] == {"code": "generic.specificModelUnloaded"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "test-llm"),
        ({"vision": True}, "test-vlm"),
        ({"domain": "llm", "vision": False}, "test-llm"),
        ({"path": "test-vlm"}, "test-vlm"),
        ({"path": "testing/test-vlm"}, "test-vlm"),
        ({"identifier": "test-vlm", "vision": True}, "test-vlm"),
        ({"identifier": "test-vlm", "vision": False}, None),
        ({"domain": "embedding"}, None),
    ],
)
def test_queries(client, query, found):
    load(client, "test-vlm")
    specifier = {"type": "query", "query": query}
    result = client.result("getModelInfo", {"specifier": specifier, "throwIfNotFound": False})
    assert (None if result is ABSENT else result["identifier"]) == found


def test_the_model_used_last_is_the_default(client):
    load(client, "test-vlm")
    client.rest(client.predict(specifier=named("test-vlm")))
    info = client.result("getModelInfo", {"specifier": ANY, "throwIfNotFound": True})
    assert info["identifier"] == "test-vlm"


def test_nothing_found_is_an_error_if_asked(client):
    error = client.error("getModelInfo", {"specifier": named("x"), "throwIfNotFound": True})
    assert error["displayData"]["code"] == "generic.noModelMatchingQuery"


def test_processing_state(client):
    parameter = {"specifier": ANY, "throwIfNotFound": True}
    state = client.result("getInstanceProcessingState", parameter)
    assert state == {"status": "idle", "queued": 0}


def test_tokens(client):
    parameter = {"specifier": ANY, "inputString": "a b, a"}
    tokens = client.result("tokenize", parameter)["tokens"]
    assert len(tokens) == 4
    assert all(isinstance(token, int) for token in tokens)
    assert client.result("countTokens", parameter) == {"tokenCount": 4}


def test_an_embedding_model_tokenizes_with_its_two_special_tokens(embedding):
    parameter = {"specifier": ANY, "inputString": "a b"}
    tokens = embedding.result("tokenize", parameter)["tokens"]
    assert (len(tokens), tokens[0], tokens[-1]) == (4, 101, 102)
    assert embedding.result("countTokens", parameter) == {"tokenCount": 2}


ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "ho"}]}
TOOL = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("options", "formatted"),
    [
        ({}, "<s><|user|>hi\n<|assistant|>ho</s>\n<|assistant|>"),
        ({"omitBosToken": True}, "<|user|>hi\n<|assistant|>ho</s>\n<|assistant|>"),
        ({"omitEosToken": True}, "<s><|user|>hi\n<|assistant|>ho\n<|assistant|>"),
        (
            {"omitBosToken": True, "omitEosToken": True, "toolDefinitions": [TOOL]},
            '<|system|>Tools: [{"type":"function","function":{"name":"add"}}]\n'
            "<|user|>hi\n<|assistant|>ho\n<|assistant|>",
        ),
    ],
)
def test_a_prompt_template_follows_its_options(client, options, formatted):
    parameter = {
        "specifier": ANY,
        "history": {"messages": [user("hi"), ANSWER]},
        "predictionConfigStack": NO_CONFIG,
        "opts": options,
    }
    assert client.result("applyPromptTemplate", parameter) == {"formatted": formatted}


def test_other_model_calls(client):
    assert client.result("getBasePredictionConfig", {"specifier": ANY})["fields"]
    parameter = {"modelKey": "test-vlm", "loadConfigStack": NO_CONFIG}
    usage = client.result("estimateModelUsage", parameter)
    assert usage["passesGuardrails"] is True
    assert usage["memory"]["totalBytes"] > usage["memory"]["modelBytes"] > 0
    draft = {"specifier": ANY, "draftModelKey": "test-vlm"}
    assert client.result("preloadDraftModel", draft) is ABSENT


def test_embeddings_of_texts_that_share_words_are_near(embedding):
    texts = ("the cat sleeps", "the cat eats", "stocks fell sharply")
    a, b, c = (
        embedding.result("embedString", {"modelSpecifier": ANY, "inputString": text})["embedding"]
        for text in texts
    )
    assert math.isclose(sum(x * x for x in a), 1, rel_tol=1e-3)
    near, far = (sum(x * y for x, y in zip(a, other, strict=True)) for other in (b, c))
    assert near > 0.5 > far
    assert embedding.result("listLoaded")[0]["lastUsedTime"] > 0


def test_load_and_unload_by_hand(server, client):
    assert server.load("test-llm") == "test-llm:2"
    assert server.load("test-llm", "mine") == "mine"
    server.unload("test-llm")
    assert {info["identifier"] for info in client.result("listLoaded")} == {"test-llm:2", "mine"}
    with pytest.raises(ValueError, match="no model 'nope' is loaded; the identifiers: test-emb"):
        server.unload("nope")
    with pytest.raises(ValueError, match=r"already exists.* \(the loaded ones: test-embedding, "):
        server.load("test-llm", "mine")
    with pytest.raises(TypeError, match="key must be a text, got 5"):
        server.load(5)
    with pytest.raises(TypeError, match="identifier must be a text, got 5"):
        server.load("test-llm", 5)


@pytest.mark.parametrize("name", ["TEST-LLM", "testing/test-llm"])
def test_a_model_is_unloaded_by_its_identifier_alone(server, client, name):
    assert client.result("getModelInfo", {"specifier": named(name), "throwIfNotFound": True})
    error = client.error("unloadModel", {"identifier": name})
    assert error["suggestion"].endswith("The identifiers: test-llm, test-embedding")
    with pytest.raises(ValueError, match="is loaded; the identifiers: test-llm"):
        server.unload(name)
    assert "test-llm" in server.identifiers


class SlowEngine(Engine):
    """An engine whose calls are made in threads of their own, and fail."""

    blocking = True

    def generate(self, request):
        yield "x"

    def tokenize(self, model, text):
        raise ValueError(f"cannot tokenize {text!r} for {model.key}")


def test_calls_of_a_slow_engine():
    with Server(engine=SlowEngine()) as server, RawClient(server) as client:
        assert text_of(client.rest(client.predict())[0]) == "x"
        error = client.error("countTokens", {"specifier": ANY, "inputString": "a"})
        assert error["title"] == "cannot tokenize 'a' for test-llm"
