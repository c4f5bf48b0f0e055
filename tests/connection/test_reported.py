"""Errors that a server reports say what to do about them."""

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio._connection.call import Call
from lmstudio._connection.endpoints import channel, rpc
from lmstudio._connection.reported import reported

KEYS = ["qwen/qwen3-4b", "google/gemma-3-4b", "openai/gpt-oss-20b"]


def not_found(path, keys=KEYS, total=3):
    return {
        "title": f"Model not found: {path}",
        "displayData": {
            "code": "generic.pathNotFound",
            "path": path,
            "availablePathsSample": keys,
            "totalModels": total,
        },
    }


def not_loaded(identifier, loaded):
    return {
        "title": "No loaded model satisfies all requirements specified in the query.",
        "displayData": {
            "code": "generic.noModelMatchingQuery",
            "query": {"identifier": identifier},
            "loadedModelsSample": loaded,
            "totalLoadedModels": len(loaded),
        },
    }


class _NoDispatcher:
    process = None


def text_of(endpoint, details, parameter=None):
    return str(reported(Call(_NoDispatcher(), endpoint, parameter), details))


def test_the_keys_that_there_are_come_nearest_first():
    text = text_of(rpc("llm", "x"), not_found("gemma3-4b"))

    assert text.splitlines()[-1] == f"  Downloaded: {KEYS[1]}, {KEYS[0]}, {KEYS[2]}."


def test_of_many_keys_it_says_how_many_more_there_are():
    text = text_of(rpc("llm", "x"), not_found("gemma3-4b", KEYS[:2], total=40))

    assert text.endswith(f"Downloaded: {KEYS[1]}, {KEYS[0]} and 38 more.")


def test_where_there_are_none_it_says_so():
    assert text_of(rpc("llm", "x"), not_found("a", [], 0)).endswith("Downloaded: none.")


def test_a_preset_that_there_is_not_is_told_with_those_that_there_are():
    presets = [{"identifier": name, "name": name.title()} for name in ("long", "brief")]
    data = {
        "code": "generic.presetNotFound",
        "specifiedFuzzyPresetIdentifier": "brif",
        "availablePresetsSample": presets,
        "totalAvailablePresets": 5,
    }
    text = text_of(rpc("llm", "x"), {"title": "No.", "displayData": data})

    assert text.endswith("Presets: brief, long and 3 more.")


@pytest.mark.parametrize("keys", [None, "text", [5], [{}], {"a": 1}])
def test_details_of_an_odd_shape_are_shown_as_they_are(keys):
    text = text_of(rpc("llm", "x"), not_found("a", keys))

    assert 'Details: {"code": "generic.pathNotFound"' in text


@pytest.mark.parametrize("parameter", [None, 5, {"specifier": 5}, {"modelSpecifier": {"query": 5}}])
def test_a_parameter_of_an_odd_shape_gives_no_hint(parameter):
    text = text_of(rpc("llm", "x"), not_loaded("a", ["b"]), parameter)

    assert text.endswith("Loaded: b.")


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("embedding", "It is an embedding model, which is loaded by client.embedding.model('k')."),
        ("llm", "It is a language model, which is loaded by client.llm.model('k')."),
        ("imageGen", 'Details: {"code"'),
    ],
)
def test_a_model_of_another_kind_is_told_where_it_belongs(domain, words):
    data = {"code": "generic.domainMismatch", "path": "k", "actualDomain": domain}

    assert words in text_of(rpc("llm", "x"), {"title": "No.", "displayData": data})


def test_words_with_which_a_title_begins_are_not_doubled():
    endpoint = channel("llm", "loadModel", "Loading the model", "Model load", "success")
    title = 'Model load error: the identifier "a" already exists.'

    assert text_of(endpoint, {"title": title, "rootTitle": "Model load error"}) == title


# -- of calls ---------------------------------------------------------------------------------


@pytest.fixture
def gone(client):
    """Handles of a language model and an embedding model that are not loaded any more."""
    handles = [
        client.llm.load_new_instance("test-vlm", "talker"),
        client.embedding.load_new_instance("test-embedding", "embedder"),
    ]
    for handle in handles:
        handle.unload()
    return handles


@pytest.mark.parametrize(
    ("number", "action"),
    [
        (0, lambda model: model.respond("hi")),
        (0, lambda model: model.tokenize(["a", "b"])),
        (0, lambda model: model.get_info()),
        (0, lambda model: model.apply_prompt_template("hi")),
        (0, lambda model: model.preload_draft_model("test-llm")),
        (1, lambda model: model.embed("hi")),
        (1, lambda model: model.get_load_config()),
    ],
)
def test_the_handle_of_an_unloaded_model_says_how_to_load_it(gone, number, action):
    path, name = (("llm", "talker"), ("embedding", "embedder"))[number]
    with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
        action(gone[number])
    assert str(caught.value).splitlines()[-1] == (
        f"  '{name}' is not loaded; client.{path}.model('{name}') loads it, if that is its key."
    )


def test_a_draft_model_that_is_not_there_is_not_taken_for_the_model(model):
    with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
        model.preload_draft_model("test-lm")
    assert str(caught.value).splitlines()[-1] == (
        "  Downloaded: test-llm, test-vlm, test-embedding."
    )


def test_a_file_that_was_not_uploaded_says_how_to_upload_it(client):
    with pytest.raises(lms.LMStudioServerError, match=r"client\.files\.prepare_file\('a.pdf'\)"):
        client.files.parse_document("a.pdf")


@pytest.mark.parametrize("path", ["/home/me/a.pdf", "docs/a.pdf", r"C:\docs\a.pdf"])
def test_a_path_is_no_file_on_the_server_and_nothing_is_sent(server, client, path):
    for call in (
        client.files.parse_document,
        client.files.get_document_parser,
        client.files.get_file_path,
        lambda file: client.files.retrieve("cats", [file]),
        lambda file: client.files.retrieve("cats", file),
    ):
        with pytest.raises(lms.LMStudioValueError, match=r"client\.files\.prepare_file\('"):
            call(path)
    assert not server.connections


def test_an_rpc_says_what_failed_at_once(server, client, model):
    server.hold("countTokens")
    worker = Worker(model.count_tokens, "hi")
    server.expect("countTokens").error("Out of memory")

    with pytest.raises(lms.LMStudioServerError) as caught:
        worker.result()
    assert str(caught.value) == "RPC error: Counting tokens failed: Out of memory"
