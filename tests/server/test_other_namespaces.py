"""The other namespaces of the embedded server: system, files, repository."""

import base64
import os

import pytest
from server.raw_client import ABSENT, NO_CONFIG, RawClient
from websockets.exceptions import ConnectionClosed

import lmstudio as lms
from lmstudio.testing import Model, Server

FOREVER = 600.0  # seconds: never reached, for whatever waits so long is stopped before
PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.fixture
def files(server):
    with RawClient(server, "files") as client:
        yield client


@pytest.fixture
def repository(server):
    with RawClient(server, "repository") as client:
        yield client


@pytest.fixture
def system(server):
    with RawClient(server, "system") as client:
        yield client


def upload(client, name, content):
    encoded = base64.b64encode(content).decode()
    return client.result("uploadFileBase64", {"name": name, "contentBase64": encoded})


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", b"x", "image"),
        ("a.bin", PNG, "image"),
        ("a.bin", b"\xff\xd8\xff\xe0", "image"),
        ("a.bin", b"RIFF1234WEBP", "image"),
        ("a.txt", b"x", "text/plain"),
        ("a.PDF", b"x", "application/pdf"),
        ("a", b"%PDF-1.7", "application/pdf"),
        ("a.docx", b"x", "application/word"),
        ("a.py", b"x", "text/other"),
        ("a.bin", b"x", "unknown"),
    ],
)
def test_uploads_and_their_types(files, name, content, kind):
    answer = upload(files, name, content)
    assert answer["fileType"] == kind
    assert answer["sizeBytes"] == len(content)


def test_each_upload_has_an_identifier_of_its_own(files):
    one, two = (upload(files, "a.txt", b"x")["identifier"] for _ in range(2))
    assert one != two
    assert one.endswith(".txt")


def test_content_that_is_no_base64(files):
    error = files.error("uploadFileBase64", {"name": "a", "contentBase64": "%%%"})
    assert error["title"] == "The content is not valid base64."


def test_parse_document(files):
    identifier = upload(files, "a.txt", b"hello world")["identifier"]
    packets, end = files.rest(
        files.open("parseDocument", {"fileIdentifier": identifier, "parseOpts": {}})
    )
    parser = {"library": "testing", "version": "1.0.0"}
    assert packets[0] == {"type": "parserLoaded", "parser": parser}
    assert [p["progress"] for p in packets[1:-1]] == [0, 0.5, 1]
    assert packets[-1] == {"type": "result", "content": "hello world", "parser": parser}
    assert end["type"] == "channelClose"
    assert files.result("getDocumentParsingLibrary", {"fileIdentifier": identifier}) == parser
    path = files.result("getLocalFileAbsolutePath", {"fileName": identifier})["path"]
    assert path.endswith(identifier)


def test_a_file_that_is_not_there(files):
    _, end = files.rest(files.open("parseDocument", {"fileIdentifier": "x", "parseOpts": {}}))
    assert end["error"]["title"] == 'Cannot find a file with identifier "x"'
    assert files.error("getDocumentParsingLibrary", {"fileIdentifier": "x"})


def test_retrieve_finds_the_best_piece(files):
    texts = (b"cats sleep all day", b"dogs bark at the cats and the postman")
    identifiers = [upload(files, "a.txt", text)["identifier"] for text in texts]
    parameter = {
        "query": "postman dogs",
        "fileIdentifiers": identifiers,
        "config": {"fields": [{"key": "retrieval.limit", "value": 1}]},
    }
    packets, _ = files.rest(files.open("retrieve", parameter))
    assert packets[0] == {"type": "onFileProcessList", "indices": [0, 1]}
    assert packets[-1]["result"]["entries"] == [
        {"content": texts[1].decode(), "score": 1.0, "sourceIndex": 1}
    ]


def retrieval(files, identifiers, **config):
    fields = [{"key": f"retrieval.{key}", "value": value} for key, value in config.items()]
    parameter = {"query": "b", "fileIdentifiers": identifiers, "config": {"fields": fields}}
    return files.rest(files.open("retrieve", parameter))


@pytest.mark.parametrize(
    ("size", "overlap", "chunks"),
    [
        (4, 0, ["a b ", "c d ", "e"]),
        (4, 2, ["a b ", "b c ", "c d ", "d e"]),
        (512, 100, ["a b c d e"]),
    ],
)
def test_retrieve_cuts_files_into_the_chunks_asked_for(files, size, overlap, chunks):
    identifier = upload(files, "a.txt", b"a b c d e")["identifier"]
    method = {"type": "recursive-v1", "chunkSize": size, "chunkOverlap": overlap}
    packets, _ = retrieval(files, [identifier], chunkingMethod=method)
    found = [entry["content"] for entry in packets[-1]["result"]["entries"]]
    assert sorted(found) == sorted(chunks)


def test_chunks_that_are_nothing_but_overlap_are_refused(files):
    identifier = upload(files, "a.txt", b"a")["identifier"]
    method = {"type": "recursive-v1", "chunkSize": 5, "chunkOverlap": 5}
    packets, end = retrieval(files, [identifier], chunkingMethod=method)
    assert packets == []
    assert end["error"]["title"] == "Chunks of 5 cannot share 5."


def test_retrieve_of_an_empty_file_finds_nothing(files):
    identifier = upload(files, "a.txt", b"")["identifier"]
    assert retrieval(files, [identifier])[0][-1]["result"]["entries"] == []


@pytest.mark.parametrize("name", ["", "test-embedding", "TESTING/test-embedding", "mine"])
def test_retrieve_takes_the_embedding_models_that_there_are(server, files, name):
    server.load("test-embedding", "mine")
    identifier = upload(files, "a.txt", b"a b")["identifier"]
    packets, _ = retrieval(files, [identifier], embeddingModel=name)
    assert packets[-1]["type"] == "result"


@pytest.mark.parametrize(
    ("name", "code"), [("nobody", "pathNotFound"), ("test-llm", "domainMismatch")]
)
def test_retrieve_refuses_what_does_not_embed(files, name, code):
    packets, end = retrieval(files, [], embeddingModel=name)
    assert packets == []
    assert end["error"]["displayData"]["code"] == f"generic.{code}"


def test_search(repository):
    results = repository.result("searchModels", {"opts": {"searchTerm": "TINY llm", "limit": 5}})
    assert results["results"] == [
        {
            "name": "testing/tiny-llm",
            "identifier": {"type": "catalog", "identifier": "testing/tiny-llm"},
            "exact": False,
            "staffPick": True,
        }
    ]
    everything = repository.result("searchModels", {"opts": {}})["results"]
    assert len(everything) == 4
    assert repository.result("searchModels", {"opts": {"limit": 1}})["results"] == everything[:1]
    formats = {"opts": {"compatibilityTypes": ["safetensors"]}}
    (found,) = repository.result("searchModels", formats)["results"]
    assert found["name"] == "testing/test-vlm"


def test_a_limit_that_is_too_high(repository):
    warning = repository.call("searchModels", {"opts": {"limit": 26}})["warning"]
    assert warning.endswith("- parameter.opts.limit: Number must be less than or equal to 25")


def test_download(server, repository):
    identifier = {"type": "catalog", "identifier": "testing/tiny-llm"}
    options = repository.result(
        "getModelDownloadOptions", {"modelSearchResultIdentifier": identifier}
    )["results"]
    assert [option["quantization"] for option in options] == ["Q4_K_M", "Q8_0"]
    assert [option["recommended"] for option in options] == [True, False]
    channel = repository.open(
        "downloadModel", {"downloadIdentifier": options[0]["downloadIdentifier"]}
    )
    packets, end = repository.rest(channel)
    shares = [p["update"]["downloadedBytes"] for p in packets if p["type"] == "downloadProgress"]
    assert shares == [0, 25_000, 50_000, 75_000, 100_000]
    assert packets[-2:] == [
        {"type": "startFinalizing"},
        {"type": "success", "defaultIdentifier": "tiny-llm"},
    ]
    assert end["type"] == "channelClose"
    assert server.load("tiny-llm") == "tiny-llm"


def test_a_key_stands_for_one_model_also_after_a_download():
    models, hub = [Model(key="mine", params="1B")], [Model(key="Mine", params="2B")]
    with Server(models=models, hub=hub) as server, RawClient(server, "repository") as client:
        packets, _ = client.rest(client.open("downloadModel", {"downloadIdentifier": "Mine"}))
        assert packets[-1]["type"] == "success"
        with RawClient(server, "system") as system:
            (model,) = system.result("listDownloadedModels")
        assert model["paramsString"] == "1B"


def test_cancel_of_a_download():
    with Server(download_time=FOREVER) as server, RawClient(server, "repository") as client:
        channel = client.open("downloadModel", {"downloadIdentifier": "tiny-llm"})
        client.until(channel, "downloadProgress")
        client.cancel(channel)
        assert client.rest(channel) == ([], {"type": "channelClose", "channelId": channel})


def test_an_unknown_download(repository):
    _, end = repository.rest(repository.open("downloadModel", {"downloadIdentifier": "nope"}))
    assert end["error"]["displayData"]["code"] == "generic.pathNotFound"


def test_system(server, system):
    assert system.result("version") == {"version": "0.4.0", "build": 1}
    info = system.result("info")
    assert info == {"pid": os.getpid(), "isDaemon": True, "version": "0.4.0"}
    assert system.result("notify", {"title": "x"}) is ABSENT
    assert server.received(endpoint="notify")[0]["parameter"] == {"title": "x"}
    assert system.result("stopHttpServer") is ABSENT
    assert system.result("startHttpServer", {"port": 1234}) is ABSENT


def test_a_shutdown_ends_the_server_and_its_records_stay(server, system):
    server.reply("word " * 10_000, delay=0.001)
    with RawClient(server) as other:
        other.predict()
        server.wait_prediction().wait_tokens(1)
        assert server.listening

        assert system.result("requestShutdown") is ABSENT

        assert not server.listening
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                other.recv()
        assert closed.value.rcvd.code == 1001
    server.wait_for(lambda: not any(one.open for one in server.connections))
    with pytest.raises(OSError), RawClient(server):
        pass
    assert server.predictions[0].wait_finished().error == "connection lost"
    assert len(server.received(endpoint="requestShutdown")) == 1
    assert repr(server).endswith("closed>")
    server.close()


def test_a_shutdown_is_answered_also_where_somebody_reads_nothing(server, system):
    with RawClient(server) as other:
        server.reply("word " * 100_000)
        other.predict()  # and nobody reads what comes
        server.wait_prediction().wait_tokens(1)
        assert system.result("requestShutdown") is ABSENT
        assert not server.listening
        with pytest.raises(ConnectionClosed):  # `websockets` could wait for ever for a reader
            while True:
                other.recv()


def test_nothing_that_comes_after_a_shutdown_is_answered(server):
    with lms.Client(server.host) as client:
        model = client.llm.model()
        client.system.request_shutdown()
        with pytest.raises(lms.LMStudioWebsocketError):
            model.respond("Are you there?")
    assert server.predictions == []


def test_void_means_absent(system):
    warning = system.call("version", {})["warning"]
    assert warning.endswith("- parameter: Expected void, received object")


def test_experiment_flags(system):
    for code, value in (("a", True), ("b", True), ("a", False)):
        assert system.result("setExperimentFlag", {"code": code, "value": value}) is ABSENT
    assert system.result("getExperimentFlags") == ["b"]


def test_variants(system):
    variants = system.result("listDownloadedModelVariants", {"modelKey": "test-vlm"})
    assert [v["selectedVariant"] for v in variants] == ["test-vlm@8bit", "test-vlm@4bit"]
    (single,) = system.result("listDownloadedModelVariants", {"modelKey": "test-llm"})
    assert single["modelKey"] == "test-llm"


def test_alive_stays_open(server, system):
    system.open("alive")
    assert system.result("version")
    assert [message["type"] for message in server.connections[0].sent[1:]] == ["rpcResult"]


def test_the_description_of_a_model():
    model = Model(
        key="a",
        publisher="me",
        params="7B",
        quantization=("Q8_0", 8),
        variants=("a@q8", "a@q4"),
        trained_for_tool_use=True,
    )
    with Server(models=[model]) as server, RawClient(server) as client:
        (info,) = client.result("listLoaded")
        reference = info.pop("instanceReference")
        assert len(reference) == 16
        assert info == {
            "type": "llm",
            "modelKey": "a",
            "format": "gguf",
            "displayName": "a",
            "publisher": "me",
            "path": "me/a/a.gguf",
            "sizeBytes": 1_234_567,
            "indexedModelIdentifier": "me/a/a.gguf",
            "deviceIdentifier": None,
            "paramsString": "7B",
            "quantization": {"name": "Q8_0", "bits": 8},
            "variants": ["a@q8", "a@q4"],
            "selectedVariant": "a@q8",
            "vision": False,
            "trainedForToolUse": True,
            "maxContextLength": 131_072,
            "identifier": "a",
            "ttlMs": None,
            "lastUsedTime": None,
            "contextLength": 4096,
        }
        variant = client.open("loadModel", {"modelKey": "a@q4", "loadConfigStack": NO_CONFIG})
        assert client.rest(variant)[0][-1]["info"]["identifier"] == "a:2"


def test_the_log_tells_who_asks_for_it_of_predictions(server):
    with RawClient(server, "diagnostics") as client, RawClient(server) as other:
        server.reply("two words")
        other.rest(other.predict("before"))
        channel = client.open("streamLogs")
        server.wait_for(type="channelCreate", endpoint="streamLogs")
        server.reply("three more words")
        other.rest(other.predict("after"))
        given, answered = (client.packet(channel)["log"] for _ in range(2))
        client.cancel(channel, "stop")
        assert client.rest(channel) == ([], {"type": "channelClose", "channelId": channel})

    assert given["data"]["type"] == "llm.prediction.input"
    assert "after" in given["data"]["input"]
    assert given["data"]["modelPath"].endswith(".gguf")
    assert answered["data"]["output"] == "three more words"
    assert answered["data"]["stats"]["stopReason"] == "eosFound"
    assert given["timestamp"] <= answered["timestamp"]


def test_the_log_takes_no_parameter_and_no_cancel(server):
    with RawClient(server, "diagnostics") as client:
        client.open("streamLogs", None)
        assert "Expected void, received null" in client.recv()["warning"]
        client.cancel(client.open("streamLogs"))
        assert client.recv()["kind"] == "channelMessageTypeError"
