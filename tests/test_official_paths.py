"""Modules of the official package that programs import: the same objects, under the same paths."""

import importlib
import subprocess
import sys

import pytest

import lmstudio as lms

# What programs were seen to import, but for the names in each module's own list.
NAMES = {
    "sync_api": "Client LLM PredictionStream PredictionResult AvailableModel ModelDownloadOption",
    "async_api": "AsyncClient AsyncLLM AsyncPredictionStream Chat",
    "history": "Chat ToolCallRequestData AnyChatMessageInput UserMessageInput FileHandle",
    "json_api": "LMStudioServerError PredictionResult AnyPrediction ToolDefinition DEFAULT_TTL",
    "sdk_api": "LMStudioError LMStudioRuntimeError",
    "schemas": "BaseModel DictObject ModelSchema",
    "_sdk_models": "GpuSetting LlmPredictionStats ModelSearchResultIdentifier",
}


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_there_is_a_module_for_each_of_the_official_package():
    assert set(NAMES) == lms._OFFICIAL_PATHS


@pytest.mark.parametrize("path", NAMES)
def test_a_module_hands_on_the_same_objects(path):
    module = importlib.import_module(f"lmstudio.{path}")
    names = {*module.__all__, *NAMES[path].split()}
    assert [name for name in names if getattr(module, name) is not getattr(lms, name)] == []
    assert not [name for name in module.__all__ if name.startswith("_")]
    assert dir(module) == module.__all__


@pytest.mark.parametrize("path", NAMES)
def test_a_module_may_be_imported_first_whole_or_name_by_name(path):
    names = ", ".join(NAMES[path].split())
    assert run(f"from lmstudio.{path} import {names}\nfrom lmstudio.{path} import *\nprint(1)")


def test_a_module_is_reached_without_importing_it_and_costs_nothing_before():
    code = """
import sys, lmstudio as lms
print([name for name in sys.modules if name.startswith("lmstudio.")])
print(lms.history.Chat is lms.Chat, lms.sync_api.LLM is lms.LLM, lms.json_api.__name__)
"""
    assert run(code) == ["[]", "True", "True", "lmstudio.json_api"]


def test_what_cannot_be_had_says_where_to_look():
    with pytest.raises(AttributeError, match=r"'ChatResponseEndpoint'.*docs/differences\.md"):
        lms.json_api.ChatResponseEndpoint  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("lmstudio.plugin")


@pytest.mark.parametrize("path", ["_sdk_models", "history", "json_api"])
def test_a_name_that_cannot_be_imported_says_where_to_look(path):
    with pytest.raises(ImportError, match=rf"'lmstudio\.{path}' .* docs/differences\.md") as caught:
        exec(f"from lmstudio.{path} import Missing")
    assert caught.value.name == f"lmstudio.{path}"
    module = importlib.import_module(f"lmstudio.{path}")
    assert not hasattr(module, "Missing")
    with pytest.raises(AttributeError, match=r"docs/differences\.md"):
        _ = module.Missing


def test_a_program_may_ask_whether_it_got_a_client_of_asyncio(client, model):
    for thing in (client, model, model.respond_stream("hi")):
        assert not isinstance(thing, (lms.AsyncClient, lms.AsyncLLM, lms.AsyncPredictionStream))
    for kind in (lms.AsyncClient, lms.AsyncLLM, lms.AsyncEmbeddingModel):
        assert not issubclass(kind, (lms.Client, lms.LLM, lms.EmbeddingModel))
