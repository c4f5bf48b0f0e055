"""Public classes say their public path: in their names, in pickles, and for type hints."""

import importlib
import inspect
import pickle
import pickletools
import pkgutil
import subprocess
import sys
import types
import typing

import attrs
import pytest

import lmstudio as lms
from lmstudio._api import public_names

# An alias like dict[str, int] is an instance of `type` before Python 3.11.
CLASSES = [
    name
    for name in sorted({*lms.__all__, *public_names.HOME})
    if isinstance(getattr(lms, name), type)
    and not isinstance(getattr(lms, name), types.GenericAlias)
]
TEXT = lms.TextData(text="hi")
FILE = lms.FileHandle(name="a.png", identifier="1", size_bytes=3, file_type="image")
REQUEST = lms.ToolCallRequest(name="add", id="1", arguments={"a": 1})
STATS = lms.LlmPredictionStats(stop_reason="eosFound")
RESULT = lms.PredictionResult(
    content="{}",
    parsed={"a": 1},
    stats=STATS,
    model_info=lms.LlmInstanceInfo(model_key="m", identifier="m"),
    load_config=lms.LlmLoadModelConfig(context_length=5),
    prediction_config=lms.LlmPredictionConfig(temperature=0.1),
)
VALUES = [
    TEXT,
    FILE,
    REQUEST,
    lms.ToolCallRequestData(tool_call_request=REQUEST),
    lms.ToolCallResultData(content="2", tool_call_id="1"),
    lms.SystemPrompt(content=[TEXT]),
    lms.UserMessage(content=[TEXT, FILE]),
    lms.AssistantResponse(content=[TEXT]),
    lms.ToolResultMessage(content=[lms.ToolCallResultData(content="2")]),
    lms.ChatHistoryData(messages=[lms.UserMessage(content=[TEXT])]),
    lms.Chat.from_history("hi"),
    lms.GpuSetting(ratio=0.5),
    lms.LlmStructuredPredictionSetting(type="json"),
    lms.LlmPredictionConfig(max_tokens=5),
    lms.LlmLoadModelConfig(gpu=lms.GpuSetting(ratio="max")),
    lms.EmbeddingLoadModelConfig(context_length=5),
    lms.LlmPredictionFragment("a"),
    STATS,
    RESULT,
    lms.PredictionRoundResult.from_result(RESULT, 2),
    lms.ActResult(rounds=1, total_time_seconds=0.5),
    lms.LlmInfo(model_key="m", quantization=lms.ModelQuantization(name="Q4")),
    lms.LlmInstanceInfo(model_key="m", identifier="m"),
    lms.EmbeddingModelInfo(model_key="m"),
    lms.EmbeddingModelInstanceInfo(model_key="m", identifier="m"),
    lms.UnknownModelInfo(model_key="m", type="tts"),
    lms.ModelLoadResult(identifier="m", instance_reference="1", path="p"),
    lms.ModelQuery(identifier="m"),
    lms.ModelSpecifierQuery(query=lms.ModelQuery(identifier="m")),
    lms.ModelSpecifierInstanceReference(instance_reference="1"),
    lms.ModelSearchResultEntryData(
        name="m", identifier=lms.ModelSearchResultIdentifierCatalog(identifier="m")
    ),
    lms.ModelSearchResultIdentifierHf(identifier="m"),
    lms.UnknownModelSearchResultIdentifier(type="x"),
    lms.ModelSearchResultDownloadOptionData(name="m", download_identifier="1"),
    lms.DownloadProgressUpdate(downloaded_bytes=1, total_bytes=2),
    lms.ParsedDocument(content="x", parser=lms.DocumentParser(library="a", version="1")),
    lms.RetrievalResult(
        entries=[lms.RetrievalEntry(content="x", score=0.5, source=FILE, line_number=(1, 2))]
    ),
    lms.RetrievalProgress(step="loading", progress=0.5, file=FILE),
    lms.ServerVersion(version="0.4.0", build=1),
    lms.ServerInfo(pid=1, is_daemon=True, version="0.4.0"),
    lms.PromptProcessingDetails(
        cached_token_count=1,
        total_prompt_token_count=3,
        processed_prompt_token_count=2,
        unprocessed_prompt_token_count=1,
    ),
    lms.ModelProcessingState(status="idle", queued=0),
    lms.EstimatedResourcesUsage(
        memory=lms.EstimatedMemoryUsage(
            confidence="low",
            model_vram_bytes=1,
            context_vram_bytes=1,
            total_vram_bytes=1,
            model_bytes=1,
            context_bytes=1,
            total_bytes=1,
        ),
        passes_guardrails=True,
    ),
    lms.DiagnosticsLogEvent(data=lms.DiagnosticsLogEventData(type="server.log", content="x")),
    lms.SerializedLMSExtendedError(title="no"),
]
ERRORS = [getattr(lms, name)("no") for name in CLASSES if issubclass(getattr(lms, name), Exception)]


def modules_named_in(data):
    """The modules of this package that a pickle names."""
    texts = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    return {text for text in texts if text.partition(".")[0] == "lmstudio"}


def classes_of(module):
    """The classes that the files of the package define and say to be of `module`."""
    names = {found.name for found in pkgutil.walk_packages(lms.__path__, "lmstudio.")}
    names = [name for name in names if not name.endswith("__main__")]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return {
        value
        for value in values
        if type(value) is not types.GenericAlias
        and isinstance(value, type)
        and value.__module__ == module
    }


def test_a_class_that_names_the_package_as_its_module_is_found_there():
    found = classes_of("lmstudio")

    assert len(found) > 50
    assert [cls for cls in found if getattr(lms, cls.__name__, None) is not cls] == []


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_names_the_package_as_its_module(name):
    assert getattr(lms, name).__module__ == "lmstudio"


@pytest.mark.parametrize("name", CLASSES)
def test_the_type_hints_of_a_public_class_can_be_read(name):
    hints = typing.get_type_hints(getattr(lms, name))

    assert not [key for key, hint in hints.items() if isinstance(hint, str)]


def test_pickles_of_values_name_the_package_only_and_open_in_a_fresh_process():
    data = pickle.dumps(VALUES)

    assert modules_named_in(data) == {"lmstudio"}
    code = "import pickle, sys; print(repr(pickle.load(sys.stdin.buffer)))"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert (done.stderr, done.stdout.decode().rstrip()) == (b"", repr(VALUES))
    for there, here in zip(pickle.loads(data), VALUES, strict=True):
        assert list(there) == list(here) if isinstance(here, lms.Chat) else there == here


def test_pickles_of_errors_name_the_package_only_and_keep_the_partial_result():
    for error in ERRORS:
        error.partial = RESULT
    data = pickle.dumps(ERRORS)

    assert modules_named_in(data) == {"lmstudio"}
    code = (
        "import pickle, sys; print([(repr(e), e.partial) for e in pickle.load(sys.stdin.buffer)])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert done.stderr == b""
    assert done.stdout.decode().rstrip() == repr([(repr(e), RESULT) for e in ERRORS])


def test_pickles_of_handles_name_the_package_only_and_open_in_a_fresh_process(server, client):
    handles = [client.llm.model(), client.embedding.model("test-embedding")]
    data = pickle.dumps(handles)

    assert modules_named_in(data) == {"lmstudio"}
    code = (
        "import pickle, sys; llm, embedder = pickle.load(sys.stdin.buffer); "
        "print(llm.count_tokens('a b'), len(embedder.embed('a')) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert (done.stderr, done.stdout.split()) == (b"", [b"2", b"True"])


@pytest.mark.parametrize(
    "name", [type(value).__name__ for value in VALUES if attrs.has(type(value))]
)
def test_every_value_class_that_is_pickled_is_public(name):
    assert hasattr(lms, name)


def test_one_option_of_every_configuration_reaches_the_server(server, client):
    model = client.llm.load_new_instance("test-llm", config={"gpu": {"ratio": 0.5}, "seed": 3})
    structured = {"type": "json", "jsonSchema": {"type": "object"}}
    model.respond("hi", config={"temperature": 0.1, "structured": structured})
    client.embedding.load_new_instance("test-embedding", config={"contextLength": 512})

    def keys(endpoint, stack):
        (message, *_) = server.received(endpoint=endpoint)
        (layer, *_) = message["creationParameter"][stack]["layers"]
        return {field["key"] for field in layer["config"]["fields"]}

    assert keys("predict", "predictionConfigStack") == {
        "llm.prediction.temperature",
        "llm.prediction.structured",
    }
    loads = server.received(endpoint="loadModel")
    found = [m["creationParameter"]["loadConfigStack"]["layers"][0] for m in loads]
    sent = {field["key"] for layer in found for field in layer["config"]["fields"]}
    assert "llm.load.llama.acceleration.offloadRatio" in sent
    assert "embedding.load.contextLength" in sent


PARTS = ["llm", "embedding", "system", "diagnostics", "repository", "plugins", "files"]


@pytest.mark.parametrize("part", PARTS)
def test_help_of_a_part_of_the_client_names_what_it_has(part):
    client = lms.Client("localhost:1234")  # nothing is connected for it
    methods = {n for n in dir(getattr(client, part)) if not n.startswith("_") and n != "kind"}
    told = inspect.getdoc(getattr(lms.Client, part))
    assert [name for name in methods if f"`{name}" not in told] == []
