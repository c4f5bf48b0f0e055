"""The halves of a character that come in two fragments become one; all text can be encoded."""

import itertools
import math

import pytest
from helpers import Worker
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._json.whole import whole
from lmstudio._prediction.accumulator import Accumulator
from lmstudio._prediction.halves import Halves

texts = st.text(alphabet="a\u00e9\u4e2d\uff01\U0001f600\U0010ffff", max_size=8)
units = st.sampled_from(["a", "\u4e2d", "\uff01", "\U0001f600", "\ud83d", "\ude00", "\ud800\udfff"])


def cut(text, at):
    """A text as JavaScript has it, cut before each of these units."""
    data = text.encode("utf-16-le")
    edges = [0, *sorted(2 * min(place, len(data) // 2) for place in at), len(data)]
    return [
        data[start:end].decode("utf-16-le", "surrogatepass")
        for start, end in itertools.pairwise(edges)
    ]


@given(texts, st.lists(st.integers(0, 16), max_size=6))
def test_a_text_that_is_cut_anywhere_comes_together_again(text, at):
    accumulator = Accumulator()

    fragments = [accumulator.fragment({"content": part}).content for part in cut(text, at)]

    assert "".join(fragments) == accumulator.content == accumulator.answer == text
    for fragment in fragments:
        fragment.encode()


@given(st.lists(st.lists(units, max_size=4).map("".join), max_size=6))
def test_what_is_read_can_always_be_encoded(parts):
    accumulator, halves = Accumulator(), Halves()

    fragments = [accumulator.fragment({"content": part}).content for part in parts]

    assert fragments == [halves.join(part) for part in parts]
    assert "".join(fragments) == accumulator.content == accumulator.answer
    accumulator.content.encode()
    if "\ufffd" not in accumulator.content:  # only a half at the end may be missing
        text = "".join(parts).encode("utf-16-le", "surrogatepass")
        assert text.startswith(accumulator.content.encode("utf-16-le"))
        assert len(text) - 2 <= len(accumulator.content.encode("utf-16-le"))


def test_halves_in_another_kind_of_text_come_together_too():
    accumulator = Accumulator()

    accumulator.fragment({"content": "a\ud83d", "reasoningType": "reasoning"})
    accumulator.fragment({"content": "\ude00b"})

    assert (accumulator.reasoning_content, accumulator.answer) == ("a", "\U0001f600b")


@pytest.mark.parametrize("way", ["iterate", "callback", "result", "structured"])
def test_every_way_to_read_gives_whole_characters(server, model, way):
    parts = ['{"a": "Hi \ud83d', "\ude00", '!"}', "\ud83d"]
    server.reply(parts)
    seen = []
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    stream = model.respond_stream(
        "q",
        on_prediction_fragment=lambda fragment: seen.append(fragment.content),
        response_format=schema if way == "structured" else None,
    )

    joined = "".join(fragment.content for fragment in stream) if way == "iterate" else None
    result = stream.result()

    assert result.content == "".join(seen) == '{"a": "Hi \U0001f600!"}'
    assert joined in (None, result.content)
    if way == "structured":
        assert result.parsed == {"a": "Hi \U0001f600!"}


def test_the_arguments_of_a_tool_are_reported_in_whole_characters(held, client):
    fragments = []

    def note(call_id, text, round_index):
        fragments.append(text)

    worker = Worker(
        lambda: client.llm.model().act(
            "q",
            [shout],
            max_prediction_rounds=1,
            on_tool_call_request_argument_fragment_generated=note,
        )
    )
    call = held.expect("predict")
    packets = [
        {"type": "toolCallGenerationStart"},
        {"type": "toolCallGenerationNameReceived", "name": "shout"},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '{"text": "\ud83d'},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '\ude00"}'},
    ]
    held._core.loop.call(lambda: [call._channel.send(packet) for packet in packets])
    call.success()
    worker.result()

    assert fragments == ['{"text": "', '\U0001f600"}']


def test_a_half_that_stays_alone_is_replaced_in_requests_of_tools_too(held, client):
    names, requests, texts = [], [], []

    def echo(text: str) -> str:
        """Say it again."""
        texts.append(text)
        return text

    worker = Worker(
        lambda: client.llm.model().act(
            "q",
            [echo],
            on_tool_call_request_start=lambda number, call_id, index: names.append(call_id),
            on_tool_call_request_name_received=lambda number, name, index: names.append(name),
            on_tool_call_request_end=lambda number, request, index: requests.append(request),
        )
    )
    call = held.expect("predict")
    arguments = {"text": "a\ud83d", "\ude00": ["\ud83d\ude00"]}
    good, bad = (
        {"type": "function", "name": name, "id": "1\ud83d", "arguments": args}
        for name, args in (("echo", {"text": "a\ud83d"}), ("e\ude00", arguments))
    )
    packets = [
        {"type": "toolCallGenerationStart", "toolCallId": "1\ud83d"},
        {"type": "toolCallGenerationNameReceived", "name": "e\ude00"},
        {"type": "toolCallGenerationEnd", "toolCallRequest": good},
        {"type": "toolCallGenerationEnd", "toolCallRequest": bad},
    ]
    held._core.loop.call(lambda: [call._channel.send(packet) for packet in packets])
    call.success()
    answered = held.expect("predict")
    answered.success()
    worker.result()

    assert names == ["1\ufffd", "e\ufffd", "1\ufffd", "e\ufffd"]
    assert texts == ["a\ufffd"]
    assert requests[1].arguments == {"text": "a\ufffd", "\ufffd": ["\U0001f600"]}
    assert (requests[1].name, requests[1].id) == ("e\ufffd", "1\ufffd")


def test_what_a_server_says_of_an_error_can_be_printed(held, client):
    model = client.llm.model()
    worker = Worker(lambda: model.respond("q"))
    held.expect("predict").error("No \ud83d", cause="\ude00", errorData=["\ud83d"])
    with pytest.raises(lms.LMStudioServerError, match="No \ufffd") as caught:
        worker.result()
    str(caught.value).encode()
    assert caught.value.server_error.error_data == ["\ufffd"]


def test_a_half_that_a_structured_reply_has_as_an_escape_is_replaced(server, model):
    server.reply(r'{"a": "x\ud83d", "b": "\ud83d\ude00"}')

    result = model.respond("q", response_format={"type": "object", "properties": {}})

    assert result.parsed == {"a": "x\ufffd", "b": "\U0001f600"}
    assert result.content == r'{"a": "x\ud83d", "b": "\ud83d\ude00"}'


def shout(text: str) -> str:
    """Shout."""
    return text.upper()


def test_numbers_that_json_has_no_word_for_are_none_as_javascript_writes_them():
    assert whole({"a": [math.nan, -math.inf, 1.5]}) == {"a": [None, None, 1.5]}
