"""What the objects of both halves tell of themselves."""

import pickle

import pytest

import lmstudio as lms


def test_what_a_client_offers_is_shown_with_its_server(server, half):
    client = half.client
    for namespace in (client.llm, client.system, client.repository, client.files):
        assert repr(namespace).endswith(f"Namespace of {server.host}>")


def test_handles_are_equal_if_they_name_the_same_model_of_the_same_server(half):
    again = half.do(half.client.llm.model)
    other = half.do(half.client.embedding.model)
    assert again == half.model
    assert hash(again) == hash(half.model)
    assert other != half.model
    assert half.model != half.model.identifier
    assert repr(again) == repr(half.model)
    assert "identifier='test-llm'" in repr(again)


def test_a_handle_that_is_pickled_names_its_server_and_no_token(server, half):
    data = pickle.dumps(half.model)
    restored = pickle.loads(data)
    assert restored == half.model
    assert type(restored) is type(half.model)
    assert server.host.encode() in data


@pytest.mark.parametrize("what", ["client", "batch"])
def test_what_holds_connections_cannot_be_pickled(half, what):
    held = half.client
    if what == "batch":
        held = half.do(lambda: half.model.respond_many(["a"]))
    with pytest.raises(TypeError, match="holds connections and cannot be pickled"):
        pickle.dumps(held)


def test_a_downloaded_model_shows_what_tells_it_from_others(half):
    models = half.do(half.client.system.list_downloaded_models)
    names = [type(model).__name__.removeprefix("Async") for model in models]
    assert {"DownloadedLlm", "DownloadedEmbeddingModel"} == set(names)
    for model in models:
        assert f"model_key={model.model_key!r}" in repr(model)
        assert model.path == model.info.path


def test_without_a_loaded_model_one_is_told_to_name_or_load_one(server, half):
    server.unload("test-llm")
    with pytest.raises(lms.LMStudioModelNotFoundError, match="no language model is loaded"):
        half.do(half.client.llm.model)


def test_the_finds_of_a_search_show_what_the_server_said(half):
    (found, *_) = half.do(lambda: half.client.repository.search_models("test"))
    assert repr(found).startswith(f"{type(found).__name__}(name=")
    (option, *_) = half.do(found.get_download_options)
    assert "indexed_model_identifier=" in repr(option)


def test_a_prediction_is_started_once(server, half):
    stream = half.started()
    with pytest.raises(lms.LMStudioRuntimeError, match="was started before"):
        half.do(stream.start)
    half.result(stream)


@pytest.mark.parametrize("wrong", [3, b"a", {"a": 1}])
def test_what_is_no_text_cannot_be_embedded(half, wrong):
    model = half.do(half.client.embedding.model)
    with pytest.raises(lms.LMStudioValueError, match="must be a string or several"):
        half.do(lambda: model.embed(wrong))


def test_documents_may_be_searched_with_a_handle_of_an_embedding_model(half):
    model = half.do(half.client.embedding.model)
    file = half.do(lambda: half.client.files.prepare_file(b"The sky is blue.", "sky.txt"))
    found = half.do(lambda: half.client.files.retrieve("sky", [file], embedding_model=model))
    assert found.entries


@pytest.mark.parametrize("make", [lms.Client, lms.AsyncClient])
def test_a_client_without_a_host_has_none_to_tell_and_takes_no_proxy(make):
    with pytest.raises(lms.LMStudioRuntimeError, match="No server was looked for yet"):
        make().api_host  # noqa: B018
    with pytest.raises(lms.LMStudioValueError, match="A proxy needs an api_host"):
        make(proxy="http://localhost:9")


@pytest.mark.parametrize("kind", ["llm", "embedding", None])
def test_the_loaded_models_of_a_kind_are_listed(half, kind):
    models = half.do(lambda: half.client.list_loaded_models(kind))
    names = {model.identifier for model in models}
    assert names == {"llm": {"test-llm"}, "embedding": {"test-embedding"}}.get(
        kind, {"test-llm", "test-embedding"}
    )
