"""The repository: searching, download options, and the cancelling of both."""

import pickle
import threading

import pytest
from handles.downloading import OPTION
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._handles.repository import AvailableModel

IDENTIFIER = {"type": "catalog", "identifier": "testing/tiny-llm"}


def entries(client, server, *entries):
    """Search, with these results of the server."""
    server.hold("searchModels")
    worker = Worker(client.repository.search_models, "x")
    server.expect("searchModels").result({"results": list(entries)})
    return worker.result()


def options(model, server, *options):
    """Ask for download options, with this answer of the server."""
    server.hold("getModelDownloadOptions")
    worker = Worker(model.get_download_options)
    server.expect("getModelDownloadOptions").result({"results": list(options)})
    return worker.result()


# -- searching --------------------------------------------------------------------------------


def test_models_are_found_by_words_of_their_name(client):
    (model,) = client.repository.search_models("tiny")

    result = model.search_result
    assert (result.name, result.exact, result.staff_pick) == ("testing/tiny-llm", False, True)
    assert (result.identifier.type, result.identifier.identifier) == ("catalog", result.name)
    assert result.to_dict() == {
        "name": "testing/tiny-llm",
        "identifier": IDENTIFIER,
        "exact": False,
        "staffPick": True,
    }
    assert client.repository.search_models("no such model") == []


def test_lists_that_are_asked_for_again_have_equal_entries(server, client):
    for ask in (
        client.list_downloaded_models,
        lambda: client.repository.search_models("test"),
        lambda: client.repository.search_models("tiny")[0].get_download_options(),
    ):
        first, second = ask(), ask()
        assert [first.index(each) for each in second] == list(range(len(first)))
        assert {*first} == {*second}
        assert first[0] != first[0].__dict__
    models = client.list_downloaded_models()
    assert models[0] != models[1]
    with lms.Client(server.host) as other:
        assert models[0] not in other.list_downloaded_models()


def test_a_search_sends_what_was_given_and_nothing_else(server, client):
    repository = client.repository
    repository.search_models("test", 2, ["gguf"])
    repository.search_models(limit=1)
    repository.search_models(compatibility_types=(name for name in ("gguf", "safetensors")))
    repository.search_models("test", None, [])
    repository.search_models(limit=25, search_term="")

    assert [m["parameter"]["opts"] for m in server.received(endpoint="searchModels")] == [
        {"searchTerm": "test", "limit": 2, "compatibilityTypes": ["gguf"]},
        {"limit": 1},
        {"compatibilityTypes": ["gguf", "safetensors"]},
        {"searchTerm": "test"},
        {"limit": 25},
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "At least one search parameter must be specified: a search_term, a limit or"),
        ({"search_term": "", "compatibility_types": []}, "At least one search parameter"),
        ({"search_term": 5}, "search_term must be a string; 5 was given"),
        ({"limit": 0}, "limit must be a whole number from 1 to 25, or None; 0 was given"),
        ({"limit": -1}, "from 1 to 25"),
        ({"limit": 26}, "from 1 to 25"),
        ({"limit": 2.5}, "whole number"),
        ({"limit": "3"}, "whole number"),
        ({"limit": True}, "whole number"),
        ({"compatibility_types": "gguf"}, r"must be a list, as \['gguf'\]; 'gguf' was given"),
        ({"compatibility_types": 1}, "must be a list"),
        ({"compatibility_types": ["gguf", None]}, "Each of the compatibility_types must be a str"),
        ({"search_term": "x", "timeout": -1}, "timeout"),
        ({"search_term": "x", "cancel_event": "now"}, "cancel_event"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_before_anything_is_sent(
    server, client, arguments, words
):
    with pytest.raises(lms.LMStudioValueError, match=words):
        client.repository.search_models(**arguments)

    assert server.received() == []


def test_a_format_that_the_server_does_not_know_is_its_error(client):
    with pytest.raises(lms.LMStudioServerError, match=r"Searching for models failed.*compatib"):
        client.repository.search_models(compatibility_types=["punch cards"])


def test_what_a_newer_server_says_is_tolerated(server, client):
    identifier = {"type": "attic", "identifier": "box 7", "shelf": 3}
    new, old, odd = entries(
        client,
        server,
        {"name": "a", "identifier": identifier, "stars": 5},
        {"name": "b", "identifier": {"type": "hf", "identifier": "x/b"}, "exact": None},
        {"name": "c", "identifier": IDENTIFIER, "exact": "nearly", "staffPick": 1},
    )

    assert (new.search_result.identifier.type, new.search_result.extra) == ("attic", {"stars": 5})
    assert (old.search_result.identifier.type, old.search_result.exact) == ("hf", None)
    assert (odd.search_result.exact, odd.search_result.staff_pick) == (None, None)
    with pytest.raises(lms.LMStudioServerError, match="Listing the download options failed"):
        new.get_download_options()  # this server is not so new
    (request,) = server.received(endpoint="getModelDownloadOptions")
    assert request["parameter"] == {"modelSearchResultIdentifier": identifier}  # as it was given


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"results": None},
        {"results": {"name": "a"}},
        {"results": [1]},
        {"results": [{"identifier": IDENTIFIER}]},
        {"results": [{"name": 1, "identifier": IDENTIFIER}]},
        {"results": [{"name": "a"}]},
        {"results": [{"name": "a", "identifier": "b"}]},
        {"results": [{"name": "a", "identifier": None}]},
    ],
)
def test_a_malformed_answer_to_a_search_is_a_protocol_error(server, client, answer):
    server.hold("searchModels")
    worker = Worker(client.repository.search_models, "x")
    server.expect("searchModels").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


# -- download options -------------------------------------------------------------------------


def test_a_model_is_offered_in_several_forms(server, found):
    first, second = found.get_download_options()

    assert (first.info.quantization, second.info.quantization) == ("Q4_K_M", "Q8_0")
    assert (first.info.recommended, second.info.recommended) == (True, False)
    assert first.info.size_bytes == 100_000
    assert first.info.fit_estimation == "fullGPUOffload"
    assert first.info.compatibility_type == "gguf"
    (request,) = server.received(endpoint="getModelDownloadOptions")
    assert request["parameter"] == {"modelSearchResultIdentifier": IDENTIFIER}


def test_options_of_older_and_newer_servers_are_read(server, found):
    old, new, odd = options(
        found,
        server,
        OPTION,
        {**OPTION, "fitEstimation": "fitsTheMoon", "compatibilityType": "yuzu", "licence": "x"},
        {**OPTION, "sizeBytes": "huge", "recommended": "yes", "quantization": None},
    )

    assert (old.info.size_bytes, old.info.fit_estimation, old.info.recommended) == (0, "", None)
    assert (new.info.fit_estimation, new.info.compatibility_type) == ("fitsTheMoon", "yuzu")
    assert new.info.extra == {"licence": "x"}
    assert (odd.info.size_bytes, odd.info.recommended) == (0, None)
    assert odd.info.extra == {"sizeBytes": "huge", "recommended": "yes"}


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"results": 5}, {"results": ["a"]}, {"results": [{"name": "a"}]}],
)
def test_a_malformed_answer_about_options_is_a_protocol_error(server, found, answer):
    server.hold("getModelDownloadOptions")
    worker = Worker(found.get_download_options)
    server.expect("getModelDownloadOptions").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


def test_a_model_that_is_offered_no_more(client):
    gone = {"name": "gone", "identifier": {"type": "catalog", "identifier": "testing/gone"}}
    model = AvailableModel(gone, client._session)

    with pytest.raises(lms.LMStudioModelNotFoundError, match="Listing the download options failed"):
        model.get_download_options()


def test_what_is_shown_of_models_and_options(found):
    option = found.get_download_options()[0]

    assert repr(found) == (
        "AvailableModel(name='testing/tiny-llm', "
        "identifier=ModelSearchResultIdentifierCatalog(identifier='testing/tiny-llm'), "
        "exact=False, staff_pick=True)"
    )
    assert repr(option) == (
        "ModelDownloadOption(name='Tiny LLM 100M', "
        "download_identifier='testing/tiny-llm@q4_k_m', "
        "indexed_model_identifier='testing/tiny-llm/tiny-llm.gguf', recommended=True)"
    )


def test_what_the_server_says_is_values(found):
    infos = [found.search_result, found.get_download_options()[0].info]
    infos.append(lms.DownloadProgressUpdate(downloaded_bytes=1, total_bytes=2))

    for info in infos:
        assert pickle.loads(pickle.dumps(info)) == info == type(info).from_dict(info.to_dict())
        assert hash(info) == hash(pickle.loads(pickle.dumps(info)))


# -- cancelling questions ---------------------------------------------------------------------

QUESTIONS = {
    "searchModels": lambda client, **limits: client.repository.search_models("x", **limits),
    "getModelDownloadOptions": lambda client, **limits: AvailableModel(
        {"name": "x", "identifier": IDENTIFIER}, client._session
    ).get_download_options(**limits),
}
LABELS = {
    "searchModels": "Searching for models",
    "getModelDownloadOptions": "Listing the download options",
}


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_is_cancelled_while_the_server_thinks(server, client, endpoint):
    server.hold(endpoint)
    token = lms.CancelToken()
    worker = Worker(lambda: QUESTIONS[endpoint](client, cancel_event=token))
    server.expect(endpoint)

    token.cancel("too slow")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert (str(error), error.reason) == (f"{LABELS[endpoint]} was cancelled: too slow", "too slow")
    eventually(lambda: not client._session.dispatcher.open)


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_with_an_event_that_is_set_is_not_asked(server, client, endpoint):
    event = threading.Event()
    event.set()

    with pytest.raises(lms.LMStudioCancelledError):
        QUESTIONS[endpoint](client, cancel_event=event)

    assert server.received() == []


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_has_time_limits(server, client, endpoint, limit):
    server.hold(endpoint)

    with pytest.raises(lms.LMStudioTimeoutError, match=f"{LABELS[endpoint]}.*{limit}=0.05 s"):
        QUESTIONS[endpoint](client, **{limit: 0.05})


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_to_a_closed_client_is_refused(client, endpoint):
    client.close()

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        QUESTIONS[endpoint](client)
