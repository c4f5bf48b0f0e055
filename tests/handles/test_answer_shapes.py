"""Answers of the wrong shape fail their call, and the error names the endpoint."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._concurrency.callback_gate import CallbackGate
from lmstudio._requests import models, repository, uploads
from lmstudio._requests.models import LoadProgress

HUGE = 10**400  # JSON has numbers that no float holds
MODEL = {"type": "llm", "modelKey": "m", "identifier": "m"}
FOUND = {"name": "n", "identifier": {"type": "catalog", "identifier": "a/b"}}
OPTION = {"name": "n", "downloadIdentifier": "a/b@q4"}


def loading():
    return LoadProgress(None, CallbackGate())


REQUESTS = {
    "countTokens": models.count_tokens("llm", "m", "a"),
    "tokenize": models.tokenize("llm", "m", "a"),
    "embedString": models.embed("m", "a"),
    "applyPromptTemplate": models.apply_prompt_template("m", {}, {}),
    "listLoaded": models.list_loaded("llm"),
    "listDownloadedModels": models.list_downloaded("llm"),
    "getModelInfo": models.get_info("llm", "m"),
    "getModelInfo of any": models.loaded_model("llm"),
    "getModelInfo for the length": models.get_context_length("llm", "m"),
    "getLoadConfig": models.get_load_config("llm", "m"),
    "getOrLoad": models.get_or_load("llm", "m", None, None, loading(), is_strict=False),
    "loadModel": models.load_new_instance("llm", "m", None, None, None, loading(), is_strict=False),
    "searchModels": repository.search_models("a", None, None),
    "getModelDownloadOptions": repository.get_download_options("a"),
    "downloadModel": repository.download("a", None, None, CallbackGate()),
    "uploadFileBase64": uploads.upload_request("a.png"),
}
NUMBERS_OF_OTHER_TYPES = [True, 1.0, "1", None, [1], {"1": 1}, float("nan"), float("inf"), -1, HUGE]
TEXTS_OF_OTHER_TYPES = [5, True, None, ["a"], {"a": 1}]
NO_LISTS = ["12", {"0": 1}, None, 5, True]
WRONG = {
    "countTokens": [{"tokenCount": value} for value in NUMBERS_OF_OTHER_TYPES],
    "tokenize": [
        {"tokens": value}
        for value in [*NO_LISTS, *([7, token] for token in NUMBERS_OF_OTHER_TYPES)]
    ],
    "embedString": [
        {"embedding": value}
        for value in [*NO_LISTS, ["1"], [True], [None], [[0.5]], [{}]]
        + [[0.5, part] for part in (float("nan"), float("inf"), -HUGE)]
    ],
    "applyPromptTemplate": [{"formatted": value} for value in TEXTS_OF_OTHER_TYPES],
    "listLoaded": [{}, "m", [None], ["m"], [[]], *([{"identifier": i}] for i in (None, 5, ["m"]))],
    "listDownloadedModels": [{}, "m", ["m"], [None], [[]], [{"type": "llm", "modelKey": 5}]],
    "getModelInfo": [[], [MODEL], "m", 5, {**MODEL, "modelKey": ["m"]}],
    "getModelInfo of any": [[], "m", {"identifier": 5}],
    "getModelInfo for the length": [[], "m", *({"contextLength": v} for v in ("8", True, 0.5, -1))],
    "getLoadConfig": [[], "m", {"fields": "abc"}, {"fields": {}}, {"fields": 5}],
    "getOrLoad": [{"info": value} for value in ("m", [MODEL], {"identifier": 5})],
    "loadModel": [{"info": value} for value in ("m", [MODEL], {"identifier": ["m"]})],
    "searchModels": [
        {"results": value}
        for value in ["n", {"n": FOUND}, ["n"], [[FOUND]], [{**FOUND, "identifier": "a/b"}]]
    ],
    "getModelDownloadOptions": [
        {"results": value}
        for value in ["n", {"n": OPTION}, ["n"], [{**OPTION, "downloadIdentifier": 5}]]
    ],
    "downloadModel": [{"defaultIdentifier": value} for value in TEXTS_OF_OTHER_TYPES],
    "uploadFileBase64": [
        [],
        "a",
        {"identifier": "a", "fileType": "image", "sizeBytes": True},
        {"identifier": "a", "fileType": "image", "sizeBytes": "9"},
        {"identifier": ["a"], "fileType": "image", "sizeBytes": 9},
        {"identifier": "a", "fileType": {"image": 1}, "sizeBytes": 9},
    ],
}


def test_every_request_has_its_wrong_answers():
    assert WRONG.keys() == REQUESTS.keys()


@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, answers in WRONG.items() for answer in [*answers, {}, None]],
    ids=lambda value: value if isinstance(value, str) else ascii(value)[:40],
)
def test_an_answer_of_the_wrong_shape_fails_its_call(name, answer):
    if (name, answer) == ("getModelInfo for the length", {}):
        return  # a server need not say it
    endpoint = name.partition(" ")[0]

    with pytest.raises(lms.LMStudioProtocolError, match=f"^LM Studio's answer to {endpoint} is "):
        REQUESTS[name].result(answer)


def test_the_error_says_what_was_wrong_and_stays_short_and_on_one_line():
    with pytest.raises(lms.LMStudioProtocolError) as caught:
        REQUESTS["tokenize"].result({"tokens": "\x1b[2J\n" + "x" * 10_000})

    text = str(caught.value)
    assert re.search(r"tokenize is malformed: tokens should be a list of whole numbers", text)
    assert len(text) < 250
    assert text.isprintable()


@given(st.lists(st.integers(0, 2**53 - 1)))
def test_tokens_are_returned_as_they_came(tokens):
    assert REQUESTS["tokenize"].result({"tokens": tokens}) == tokens


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)))
def test_a_vector_is_a_list_of_floats(vector):
    read = REQUESTS["embedString"].result(json.loads(json.dumps({"embedding": vector})))

    assert read == [float(part) for part in vector]
    assert {type(part) for part in read} <= {float}


@pytest.mark.parametrize("progress", [True, False, "0.5", [0.5], None, float("nan"), HUGE, -HUGE])
def test_a_report_of_progress_that_is_no_share_is_not_passed_on(progress):
    reports = []
    taker = LoadProgress(reports.append, CallbackGate())

    taker.take({"type": "loadProgress", "progress": progress})

    assert reports == []


def test_an_answer_that_is_nested_more_deeply_than_the_stack_allows_is_malformed():
    value = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(lms.LMStudioProtocolError, match="getLoadConfig is malformed"):
        REQUESTS["getLoadConfig"].result({"fields": [{"key": "a", "value": value}]})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_statistic_that_is_no_number_is_left_out(number):
    stats = {"stopReason": "eosFound", "tokensPerSecond": number}

    with pytest.raises(lms.LMStudioValueError):
        lms.DownloadProgressUpdate.from_dict({"downloadedBytes": number, "totalBytes": 1})
    assert lms.LlmPredictionStats.from_dict(stats).tokens_per_second is None
