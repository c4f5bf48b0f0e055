"""Folding fragments into a result, and what the result says after each kind of end."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.prediction_options import LlmPredictionConfig
from lmstudio._json.from_json import ValidationError
from lmstudio._json.json_schema import BaseModel
from lmstudio._prediction.accumulator import Accumulator
from lmstudio._values.model_info import LlmInstanceInfo
from lmstudio._values.results import (
    ActResult,
    LlmPredictionFragment,
    LlmPredictionStats,
    PredictionResult,
    PredictionRoundResult,
)
from lmstudio.errors import LMStudioProtocolError, LMStudioValueError

SUCCESS = {
    "type": "success",
    "stats": {"stopReason": "eosFound", "tokensPerSecond": 165.4, "predictedTokensCount": 3},
    "modelInfo": {"type": "llm", "modelKey": "m", "identifier": "m", "contextLength": 4096},
    "loadModelConfig": {"fields": [{"key": "llm.load.contextLength", "value": 4096}]},
    "predictionConfig": {"fields": [{"key": "llm.prediction.temperature", "value": 0.5}]},
}


def folded(*contents, **flags):
    accumulator = Accumulator()
    for content in contents:
        accumulator.fragment({"content": content, **flags})
    return accumulator


def stopped_by(reason):
    return {**SUCCESS, "stats": {"stopReason": reason}}


def result_of(
    accumulator, success=SUCCESS, *, cancelled=False, cancel_reason=None, structured=False, **more
):
    return accumulator.result(
        success=success,
        cancelled=cancelled,
        cancel_reason=cancel_reason,
        structured=structured,
        **more,
    )


def test_a_fragment_has_every_field_of_the_message():
    tokens = [{"text": "a", "id": 7, "logProb": -0.1}]
    packet = {
        "content": "a",
        "tokensCount": 2,
        "containsDrafted": True,
        "reasoningType": "reasoningStartTag",
        "isStructural": True,
        "tokens": tokens,
        "something": "new",
    }
    fragment = Accumulator().fragment(packet)
    assert attrs.astuple(fragment, recurse=False) == (
        "a", 2, True, "reasoningStartTag", True, tokens,
    )  # fmt: skip


def test_an_older_servers_fragment_gets_defaults():
    assert Accumulator().fragment({"content": "a"}) == LlmPredictionFragment(
        content="a",
        tokens_count=1,
        contains_drafted=False,
        reasoning_type="none",
        is_structural=False,
        tokens=None,
    )


@pytest.mark.parametrize("packet", [{}, {"content": None}, {"content": 5}, None, "a", ["content"]])
def test_a_fragment_without_text_is_an_error_and_leaves_no_trace(packet):
    accumulator = folded("a")
    with pytest.raises(LMStudioProtocolError):
        accumulator.fragment(packet)
    assert accumulator.content == "a"


def test_content_holds_everything_and_the_parts_split_it():
    accumulator = Accumulator()
    for content, reasoning_type, is_structural in [
        ("<think>", "reasoningStartTag", False),
        ("hm", "reasoning", False),
        ("</think>", "reasoningEndTag", False),
        ("[", "none", True),
        ("!", "reasoning", True),
        ("yes", "none", False),
        ("?", "something new", False),
    ]:
        packet = {"content": content, "reasoningType": reasoning_type}
        accumulator.fragment({**packet, "isStructural": is_structural})
    result = result_of(accumulator)
    assert result.content == accumulator.content == "<think>hm</think>[!yes?"
    assert result.reasoning_content == accumulator.reasoning_content == "hm"
    assert result.answer == accumulator.answer == "yes"


@given(st.lists(st.text()))
def test_content_is_the_fragments_joined(contents):
    accumulator = Accumulator()
    fragments = [accumulator.fragment({"content": content}) for content in contents]
    assert "".join(fragment.content for fragment in fragments) == result_of(accumulator).content


def test_a_success_fills_stats_model_info_and_configs():
    result = result_of(folded("a", "b"))
    assert (result.content, result.cancelled, result.acknowledged) == ("ab", False, True)
    assert result.stats == LlmPredictionStats(
        stop_reason="eosFound", tokens_per_second=165.4, predicted_tokens_count=3
    )
    assert isinstance(result.model_info, LlmInstanceInfo)
    assert result.model_info.context_length == 4096
    assert result.load_config == LlmLoadModelConfig(context_length=4096)
    assert result.prediction_config == LlmPredictionConfig(temperature=0.5)


@pytest.mark.parametrize("said", ["eosFound", "userStopped", "toolCalls", "sunset"])
def test_c4_a_cancelled_result_says_user_stopped_whatever_the_server_said(said):
    success = {**SUCCESS, "stats": {"stopReason": said, "predictedTokensCount": 3}}
    result = result_of(folded("a"), success, cancelled=True, cancel_reason="bored")
    assert (result.cancelled, result.cancel_reason, result.acknowledged) == (True, "bored", True)
    assert result.stats == LlmPredictionStats(stop_reason="userStopped", predicted_tokens_count=3)
    assert result.model_info is not None


def test_c4_without_the_servers_answer_only_the_stop_reason_is_known():
    result = result_of(folded("a"), None, cancelled=True)
    assert (result.content, result.cancelled, result.acknowledged) == ("a", True, False)
    assert result.stats == LlmPredictionStats(stop_reason="userStopped")
    assert (result.model_info, result.load_config, result.prediction_config) == (None, None, None)


def test_the_partial_result_of_an_error_has_the_stop_reason_failed():
    result = result_of(folded("a"), None, stop_reason="failed", structured=True)
    assert result.stats == LlmPredictionStats(stop_reason="failed")
    assert (result.cancelled, result.acknowledged, result.parsed) == (False, False, None)


def test_a_malformed_final_message_is_an_error_except_after_a_cancel():
    for broken in (
        {},
        {**SUCCESS, "stats": {}},
        {**SUCCESS, "stats": 5},
    ):
        with pytest.raises(LMStudioProtocolError):
            result_of(folded("a"), broken)
        result = result_of(folded("a"), broken, cancelled=True)
        assert (result.content, result.acknowledged) == ("a", False)
        assert result.stats == LlmPredictionStats(stop_reason="userStopped")


@pytest.mark.parametrize(
    ("key", "odd", "name"),
    [
        ("modelInfo", {"type": "llm"}, "model_info"),
        ("loadModelConfig", [], "load_config"),
        ("predictionConfig", {"fields": 5}, "prediction_config"),
    ],
)
def test_what_only_informs_of_the_end_may_be_odd(key, odd, name):
    result = result_of(folded("a"), {**SUCCESS, key: odd})
    names = ("model_info", "load_config", "prediction_config")
    assert [each for each in names if getattr(result, each) is None] == [name]
    assert (result.acknowledged, result.stats.stop_reason) == (True, "eosFound")


def test_oddities_in_the_final_message_do_not_cost_the_result():
    stats = {"stopReason": "eosFound", "tokensPerSecond": "NaN", "predictedTokensCount": 3}
    info = {**SUCCESS["modelInfo"], "ttlMs": "x"}
    load = {"fields": [{"key": "llm.load.contextLength", "value": "x"}]}
    success = {"stats": stats, "modelInfo": info, "loadModelConfig": load}
    result = result_of(folded("a"), success)
    assert result.stats == LlmPredictionStats(stop_reason="eosFound", predicted_tokens_count=3)
    assert (result.model_info.ttl_ms, result.model_info.extra) == (None, {"ttlMs": "x"})
    assert result.load_config == LlmLoadModelConfig(raw={"llm.load.contextLength": "x"})


def test_a_final_message_may_lack_model_info_and_configs():
    result = result_of(folded("a"), {"stats": {"stopReason": "eosFound"}})
    assert (result.acknowledged, result.model_info, result.load_config) == (True, None, None)


def test_an_unstructured_reply_is_parsed_as_its_own_text():
    result = result_of(folded('{"a": 1}'))
    assert result.parsed is result.content
    assert result.structured is False
    assert str(result) == '{"a": 1}'


def test_a_structured_reply_is_parsed_as_json():
    result = result_of(folded('{"b": 1,', ' "a": 2}'), structured=True)
    assert (result.parsed, result.structured) == ({"b": 1, "a": 2}, True)
    assert str(result) == '{\n  "a": 2,\n  "b": 1\n}'


@pytest.mark.parametrize("content", ["yes", "[1]", "5", "null", "", "[" * 100_000])
def test_a_structured_reply_that_is_no_json_object_stays_text(content):
    result = result_of(folded(content), structured=True)
    assert (result.parsed, result.structured) == (content, False)


@pytest.mark.parametrize("content", ['{"a": 1}', '{"a":', ""])
@pytest.mark.parametrize(
    "reason",
    ["maxPredictedTokensReached", "contextLengthReached", "userStopped", "failed", "modelUnloaded"],
)
def test_c15_a_structured_reply_that_was_cut_short_is_not_parsed(reason, content):
    result = result_of(folded(content), stopped_by(reason), structured=True)
    assert (result.parsed, result.structured) == (None, False)
    assert str(result) == content


@pytest.mark.parametrize(
    ("content", "parsed"),
    [
        ('{"name": "first', None),
        ("[1, ", None),
        ('{"name": "first"}', {"name": "first"}),
        ("[1, 2]", "[1, 2]"),
        ("yes", "yes"),  # of a grammar
    ],
)
def test_c15_a_structured_reply_that_a_stop_string_has_cut_is_not_parsed(content, parsed):
    result = result_of(folded(content), stopped_by("stopStringFound"), structured=True)
    assert result.parsed == parsed


@pytest.mark.parametrize("success", [SUCCESS, None])
def test_c15_a_structured_reply_that_was_cancelled_is_not_parsed(success):
    result = result_of(folded('{"a": 1}'), success, cancelled=True, structured=True)
    assert (result.parsed, result.structured) == (None, False)


class Book(BaseModel):
    title: str
    pages: int = 0


BOOK = '{"title": "T", "pages": 3}'


def typed_result(content, **more):
    return result_of(folded(content), structured=True, response_type=Book, **more)


def test_a_reply_becomes_an_instance_of_the_class_that_was_given():
    result = typed_result(BOOK)
    assert result.typed == Book("T", 3)
    assert result.typed is result.typed
    assert result.parsed == {"title": "T", "pages": 3}
    assert result.response_type is Book


def test_all_threads_get_the_same_instance():
    result = typed_result(BOOK)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(lambda _: result.typed, range(8))))) == 1


@pytest.mark.parametrize("structured", [True, False])
def test_without_a_class_there_is_no_typed_value(structured):
    assert result_of(folded(BOOK), structured=structured).typed is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"pages": "3"}', "title: missing"),
        ('{"title": "T", "pages": "3"}', "pages: expected integer, got '3'"),
        ("[]", r"expected object, got \[\]"),
        ("Once upon a time", "expected object, got 'Once upon a time'"),
    ],
)
def test_a_reply_that_does_not_fit_raises_when_its_typed_value_is_asked_for(content, problem):
    result = typed_result(content)
    assert result.content == content
    for _ in range(2):
        with pytest.raises(ValidationError, match="^The reply does not fit Book: .*" + problem):
            _ = result.typed
    assert issubclass(ValidationError, LMStudioValueError)


@pytest.mark.parametrize("success", [SUCCESS, None])
def test_c15_a_cancelled_reply_has_no_typed_value_and_raises_nothing(success):
    assert typed_result(BOOK, success=success, cancelled=True).typed is None


def test_c15_a_reply_that_was_cut_short_has_no_typed_value_and_raises_nothing():
    assert typed_result('{"ti', success=stopped_by("maxPredictedTokensReached")).typed is None
    assert typed_result('{"ti', success=None, stop_reason="failed").typed is None


def test_a_class_may_read_replies_that_are_no_objects():
    class Numbers:
        @classmethod
        def model_validate(cls, data):
            return sum(data)

    result = result_of(folded("[1, 2]"), structured=True, response_type=Numbers)
    assert (result.parsed, result.structured, result.typed) == ("[1, 2]", False, 3)


def test_a_reply_after_reasoning_is_parsed():
    accumulator = Accumulator()
    accumulator.fragment({"content": "<think>", "reasoningType": "reasoningStartTag"})
    accumulator.fragment({"content": '{"hm"}', "reasoningType": "reasoning"})
    accumulator.fragment({"content": "</think>", "reasoningType": "reasoningEndTag"})
    accumulator.fragment({"content": BOOK})
    result = result_of(accumulator, structured=True, response_type=Book)
    assert (result.parsed, result.structured) == ({"title": "T", "pages": 3}, True)
    assert result.typed == Book("T", 3)
    assert result.content.startswith("<think>")


def test_copies_and_pickles_keep_what_the_typed_value_is_made_from():
    result = typed_result(BOOK)
    assert result.typed.pages == 3
    for other in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert other == result
        assert other.typed == result.typed
    assert copy.deepcopy(result).parsed is not result.parsed


def test_copies_and_pickles_lack_a_class_that_cannot_be_found_by_its_name():
    class Local(BaseModel):
        title: str

    result = result_of(folded(BOOK), structured=True, response_type=Local)
    assert result.typed == Local("T")
    other = pickle.loads(pickle.dumps(result))
    assert (other, other.response_type, other.typed) == (result, None, None)


def test_a_round_result_has_the_typed_value_too():
    assert PredictionRoundResult.from_result(typed_result(BOOK), 1).typed == Book("T", 3)


def test_a_result_does_not_change_when_more_fragments_come():
    accumulator = folded("a")
    result = result_of(accumulator, None, cancelled=True)
    accumulator.fragment({"content": "b"})
    assert (result.content, result.answer) == ("a", "a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        result.content = "b"


def test_a_result_shows_its_content_and_can_be_copied_and_pickled():
    result = result_of(folded('{"a": 1}'), structured=True)
    assert repr(result) == """PredictionResult(content='{"a": 1}')"""
    assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result


def test_a_result_can_be_made_as_in_the_official_package():
    result = PredictionResult(
        content="x",
        parsed="x",
        stats=LlmPredictionStats(stop_reason="eosFound"),
        model_info=None,
        load_config=None,
        prediction_config=None,
    )
    assert (result.answer, result.cancelled, result.structured) == ("x", False, False)


def test_a_round_result_is_the_result_with_its_round():
    result = result_of(folded('{"a": 1}'), cancelled=True, cancel_reason="r", structured=True)
    turn = PredictionRoundResult.from_result(result, round_index=2)
    assert turn.round_index == 2
    for field in attrs.fields(PredictionResult):
        assert getattr(turn, field.name) == getattr(result, field.name)
    assert repr(turn).startswith("PredictionRoundResult(content=")


def test_an_act_result_says_whether_it_was_cancelled():
    result = ActResult(rounds=2, total_time_seconds=1.5)
    assert (result.cancelled, result.cancel_reason) == (False, None)
