"""Every configuration key of LM Studio: it reaches the wire, and what a server reports is kept."""

import json
import os
from pathlib import Path

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from interop import schemas
from values.config_fields import as_fields
from values.from_schema import values_of

from lmstudio._config.embedding_load_options import EmbeddingLoadModelConfig
from lmstudio._config.from_wire import kv_to_load_config, kv_to_prediction_config
from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.prediction_options import LlmPredictionConfig
from lmstudio._config.to_wire import GPU_SPLIT_KEY, load_config_to_kv, prediction_config_to_kv
from lmstudio._requests.documents import retrieval_config

pytestmark = pytest.mark.skipif(
    schemas.missing() is not None, reason=f"did not run: {schemas.missing()}"
)

EVERY = 95


def published(name):
    if schemas.VARIABLE not in os.environ:
        return []
    return json.loads((Path(os.environ[schemas.VARIABLE]) / name).read_text())


KEYS = {entry["key"]: entry["schema"] for entry in published("kv.json")}
JAVASCRIPT = dict(published("config-to-kv.json"))  # what that client sends for each option


def predicting(fields):
    return kv_to_prediction_config(fields)


def loading(fields):
    return kv_to_load_config(fields, "llm")


def loading_with_defaults(fields):
    return kv_to_load_config(fields, "llm", defaults=True)


def embedding(fields):
    return kv_to_load_config(fields, "embedding")


READERS = [predicting, loading, loading_with_defaults, embedding]


def as_sent(config):
    """The fields of a configuration, by key."""
    if isinstance(config, LlmPredictionConfig):
        fields = prediction_config_to_kv(config)
    else:
        kind = "embedding" if isinstance(config, EmbeddingLoadModelConfig) else "llm"
        fields = load_config_to_kv(config, kind)
    sent = {field["key"]: field["value"] for field in fields}
    assert len(sent) == len(fields), "a key is given twice"
    return sent


def assert_kept(fields, config):
    """Nothing of what was reported is lost or changed."""
    sent = as_sent(config)
    assert {key: sent.get(key, "lost") for key in fields} == fields
    return set(sent) - set(fields)


def test_every_key_has_an_option():
    named = {GPU_SPLIT_KEY}
    for cls in (LlmPredictionConfig, LlmLoadModelConfig, EmbeddingLoadModelConfig):
        for field in attrs.fields(cls):
            named |= set(field.metadata.get("keys", ()))
            named |= set(field.metadata.get("ratios", {}).values())
    retrieval = retrieval_config(1, "model", 2, 1, "file")
    named |= {field["key"] for field in retrieval["fields"]}

    print("without an option:", *sorted(set(KEYS) - named))
    assert (len(set(KEYS) & named), sorted(set(KEYS) - named)) == (EVERY, [])
    assert not named - set(KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
@given(st.data())
def test_what_is_reported_of_a_key_goes_back_as_it_was(key, data):
    fields = {key: data.draw(values_of(KEYS[key]))}
    for read in READERS:
        also = assert_kept(fields, read(as_fields(fields)))
        assert read is loading_with_defaults or not also


@given(st.fixed_dictionaries({}, optional={key: values_of(KEYS[key]) for key in sorted(KEYS)}))
def test_whatever_is_reported_together_goes_back_as_it_was(fields):
    for read in READERS:
        config = read(as_fields(fields))
        also = assert_kept(fields, config)
        assert read is loading_with_defaults or not also
        assert as_sent(read(as_fields(as_sent(config)))) == as_sent(config)


@pytest.mark.parametrize("kind", ["prediction", "load", "embedding"])
def test_the_javascript_client_sends_what_we_send(kind):
    read = {"prediction": predicting, "load": loading, "embedding": embedding}[kind]
    by_itself = {
        "gpu.ratio": "embedding",  # there it sends a split, and no ratio
        "gpu.disabledGpus": "load",  # read back it has a strategy, which is a choice by hand
        # These it refuses, too, before it comes to what it would send.
        "speculativeDraftSimple": "load",
        "speculativeDraftModel": "load",
    }
    for option, fields in JAVASCRIPT[kind].items():
        if by_itself.get(option) != kind:
            config = read({"fields": fields})
            sent = as_sent(attrs.evolve(config))  # as if made by hand
            assert sent == {field["key"]: field["value"] for field in fields}, option
            assert option.split(".")[0] in config.to_dict()


def test_the_javascript_client_switches_off_what_we_switch_off():
    for option, fields in JAVASCRIPT["falsey"].items():
        of_loading = option.startswith("load.")
        name = option.removeprefix("load.")
        cls = LlmLoadModelConfig if of_loading else LlmPredictionConfig
        sent = as_sent(cls.from_dict({name: False}))
        assert sent == {field["key"]: field["value"] for field in fields}, option


RETRIEVAL = [key for key in sorted(KEYS) if key.startswith("retrieval.")]


@given(st.data())
def test_the_options_of_a_retrieval_are_sent_as_they_are_given(data):
    values = {key: data.draw(values_of(KEYS[key])) for key in RETRIEVAL}
    method = values["retrieval.chunkingMethod"]
    assume(method["chunkSize"] > 0)
    method["chunkOverlap"] %= method["chunkSize"]  # two chunks share less than one

    config = retrieval_config(
        values["retrieval.limit"],
        values["retrieval.embeddingModel"],
        method["chunkSize"],
        method["chunkOverlap"],
        values["retrieval.databaseFile"],
    )

    assert {field["key"]: field["value"] for field in config["fields"]} == values
