"""Model information: today's server, older ones, newer ones, and how requests name a model."""

import attrs
import pytest

from lmstudio._json.converter import structure
from lmstudio._values.model_info import (
    EmbeddingModelInfo,
    EmbeddingModelInstanceInfo,
    LlmInfo,
    LlmInstanceInfo,
    ModelInfo,
    ModelInstanceInfo,
    ModelQuantization,
    ModelQuery,
    ModelSpecifierInstanceReference,
    ModelSpecifierQuery,
    UnknownModelInfo,
    specifier_to_wire,
)
from lmstudio.errors import LMStudioProtocolError, LMStudioValueError

# As LM Studio 0.4 sends it.
LOADED_LLM = {
    "type": "llm",
    "modelKey": "test-llm",
    "format": "gguf",
    "displayName": "Test LLM 1B",
    "publisher": "sim",
    "path": "sim/test-llm/test-llm-Q4_K_M.gguf",
    "sizeBytes": 1234567,
    "indexedModelIdentifier": "sim/test-llm/test-llm-Q4_K_M.gguf",
    "deviceIdentifier": None,
    "paramsString": "1B",
    "architecture": "llama",
    "quantization": {"name": "Q4_K_M", "bits": 4},
    "variants": ["test-llm@q4", "test-llm@q8"],
    "selectedVariant": "test-llm@q4",
    "vision": False,
    "trainedForToolUse": True,
    "maxContextLength": 131072,
    "identifier": "test-llm",
    "instanceReference": "+blsnux3353tA6BQ",
    "ttlMs": 3600000,
    "lastUsedTime": None,
    "contextLength": 4096,
}
INSTANCE_KEYS = {"identifier", "instanceReference", "ttlMs", "lastUsedTime", "contextLength"}
DOWNLOADED_LLM = {key: value for key, value in LOADED_LLM.items() if key not in INSTANCE_KEYS}


def test_every_field_of_todays_server_has_an_attribute():
    info = structure(LOADED_LLM, ModelInstanceInfo)
    assert type(info) is LlmInstanceInfo
    assert info.extra == {}
    assert info.quantization == ModelQuantization(name="Q4_K_M", bits=4)
    assert (info.device_identifier, info.last_used_time, info.ttl_ms) == (None, None, 3600000)
    assert (info.type, info.identifier, info.context_length) == ("llm", "test-llm", 4096)
    assert info.variants == ["test-llm@q4", "test-llm@q8"]
    assert info.to_dict() == {key: value for key, value in LOADED_LLM.items() if value is not None}


def test_a_downloaded_model_is_no_instance():
    info = structure(DOWNLOADED_LLM, ModelInfo)
    assert type(info) is LlmInfo
    assert info.trained_for_tool_use is True


def test_an_embedding_model_has_its_own_classes():
    data = {"type": "embedding", "modelKey": "nomic", "maxContextLength": 2048}
    assert type(structure(data, ModelInfo)) is EmbeddingModelInfo
    assert type(structure(data, ModelInstanceInfo)) is EmbeddingModelInstanceInfo


def test_an_older_server_leaves_fields_out():
    info = structure({"type": "llm", "modelKey": "old"}, ModelInfo)
    assert (info.model_key, info.publisher, info.size_bytes, info.vision) == ("old", None, 0, False)


def test_a_newer_server_may_add_fields_formats_and_kinds_of_models():
    new = {**DOWNLOADED_LLM, "format": "yuzu", "isQuantum": True, "nested": {"x_y": [1]}}
    info = structure(new, ModelInfo)
    assert (info.format, info.extra) == ("yuzu", {"isQuantum": True, "nested": {"x_y": [1]}})
    assert info.to_dict()["isQuantum"] is True
    voice = structure({"type": "tts", "modelKey": "kokoro", "voices": 3}, ModelInfo)
    assert voice == UnknownModelInfo(type="tts", model_key="kokoro", extra={"voices": 3})
    listed = structure([LOADED_LLM, {"type": "tts", "modelKey": "k"}], list[ModelInstanceInfo])
    assert [type(info) for info in listed] == [LlmInstanceInfo, UnknownModelInfo]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", []),
        ("ttlMs", "x"),
        ("sizeBytes", 1.5),
        ("variants", "ab"),
        ("variants", ["a", 5]),
        ("vision", 1),
        ("quantization", "Q4"),
        ("quantization", {"bits": 4}),
    ],
)
def test_an_optional_field_of_another_type_keeps_its_default(field, value):
    without = {key: other for key, other in LOADED_LLM.items() if key != field}
    expected = structure(without, ModelInstanceInfo)
    info = structure({**LOADED_LLM, field: value}, ModelInstanceInfo)
    assert info == attrs.evolve(expected, extra={field: value})
    assert info.to_dict()[field] == value


def test_a_quantization_keeps_what_it_cannot_name():
    data = {"name": "Q", "bits": 4.5, "groups": 32}
    info = structure({**LOADED_LLM, "quantization": data}, ModelInstanceInfo)
    assert info.quantization == ModelQuantization(name="Q", extra={"bits": 4.5, "groups": 32})
    assert info.quantization.to_dict() == data
    assert hash(info.quantization) == hash(ModelQuantization(name="Q"))


@pytest.mark.parametrize("kind", [None, 5, [], "tts"])
def test_a_model_of_no_known_kind_is_an_unknown_one(kind):
    info = structure({"type": kind, "modelKey": "k"}, ModelInfo)
    assert type(info) is UnknownModelInfo


def test_a_model_without_a_key_is_an_error():
    with pytest.raises(LMStudioProtocolError, match="modelKey"):
        structure({"type": "llm"}, ModelInfo)


@pytest.mark.parametrize(
    "specifier",
    [
        "m",
        ModelQuery(identifier="m"),
        ModelSpecifierQuery(query=ModelQuery(identifier="m")),
        {"identifier": "m"},
        {"type": "query", "query": {"identifier": "m"}},
    ],
)
def test_a_model_may_be_named_by_identifier_or_query(specifier):
    assert specifier_to_wire(specifier) == {"type": "query", "query": {"identifier": "m"}}


@pytest.mark.parametrize(
    "specifier",
    [
        ModelSpecifierInstanceReference(instance_reference="r"),
        {"type": "instanceReference", "instance_reference": "r"},
    ],
)
def test_a_model_may_be_named_by_the_reference_of_an_instance(specifier):
    wire = {"type": "instanceReference", "instanceReference": "r"}
    assert specifier_to_wire(specifier) == wire


def test_a_model_cannot_be_named_by_a_number():
    with pytest.raises(LMStudioValueError, match="not 5"):
        specifier_to_wire(5)
