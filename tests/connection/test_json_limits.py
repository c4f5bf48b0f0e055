"""How much JSON a message may hold: counted before it is parsed, whatever stands in its texts."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._connection import json_limits
from lmstudio._connection.json_limits import DEEPEST, MOST_OBJECTS, MOST_VALUES, SHORT, check_json

texts = st.text(alphabet='\\"[]{}:,aé😀\n\x00', max_size=12) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def counted(value):
    """Commas, lists and objects and fields, and the depth."""
    if not isinstance(value, (list, dict)):
        return 0, 0, 0
    is_object = isinstance(value, dict)
    parts = [counted(part) for part in (value.values() if is_object else value)]
    commas = max(0, len(parts) - 1) + sum(part[0] for part in parts)
    objects = 1 + len(parts) * is_object + sum(part[1] for part in parts)
    return commas, objects, 1 + max((part[2] for part in parts), default=0)


def is_refused(message, piece=json_limits._PIECE, **limits):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_PIECE": piece, **limits}.items():
            patch.setattr(json_limits, name, value)
        try:
            check_json(message)
        except lms.LMStudioProtocolError:
            return True
        return False


@given(values, st.integers(1, 9), st.booleans(), st.sampled_from([None, 2]))
def test_the_limits_are_exact_wherever_a_message_is_cut(value, piece, is_ascii, indent):
    message = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode(
        "utf-8", "surrogatepass"
    )
    commas, objects, depth = counted(value)
    looked_at = {"piece": piece, "MOST_VALUES": commas, "MOST_OBJECTS": objects, "DEEPEST": depth}

    # Messages that are short enough for these limits are let through without a closer look.
    assert not is_refused(message, **looked_at)
    if len(message) > objects:
        assert is_refused(message, **{**looked_at, "MOST_VALUES": commas - 1})
        assert objects == 0 or is_refused(message, **{**looked_at, "MOST_OBJECTS": objects - 1})
        assert depth == 0 or is_refused(message, **{**looked_at, "DEEPEST": depth - 1})


@given(st.binary(max_size=40) | st.text(alphabet='\\"[]{}:,a').map(str.encode), st.integers(1, 9))
def test_bytes_of_any_kind_are_let_through_or_refused(message, piece):
    is_refused(message, piece=piece, MOST_VALUES=3, MOST_OBJECTS=3, DEEPEST=2)


@pytest.mark.parametrize(
    "message",
    [
        b"[" + b"[]," * MOST_OBJECTS + b"0]",
        b"[" + b"{}," * MOST_OBJECTS + b"0]",
        b"{" + b'"a":1,' * MOST_OBJECTS + b'"b":1}',
        b"[" + b'{"a":1},' * (MOST_OBJECTS // 2) + b"0]",
        b"[" + b"1.5," * (MOST_VALUES + 1) + b"0]",
        b"[" + b'"",' * (MOST_VALUES + 1) + b"0]",
        b'["' + b"\\\\" * 100_000 + b'",' + b"[]," * MOST_OBJECTS + b"0]",
    ],
    ids=["lists", "objects", "fields", "objects with a field", "numbers", "texts", "after a text"],
)
def test_small_values_in_great_numbers_are_refused(message):
    with pytest.raises(lms.LMStudioProtocolError, match=r"more than 4,000,000 values.*500,000"):
        check_json(message)


@pytest.mark.parametrize("one", [b"[%b]", b'{"a":%b}', b'[{"a":%b}]'])
def test_what_is_nested_too_deeply_is_refused(one):
    message = b"0"
    while len(message) <= 100 * DEEPEST:
        message = one.replace(b"%b", message)

    with pytest.raises(lms.LMStudioProtocolError, match="nested more than 256 deep"):
        check_json(message)


def test_a_message_that_need_not_be_checked_can_exceed_nothing():
    deepest = b"[" * (SHORT // 2) + b"]" * (SHORT // 2)

    check_json(deepest)
    with pytest.raises(lms.LMStudioProtocolError):
        check_json(b"[" + deepest + b"]")
    assert min(MOST_VALUES, MOST_OBJECTS) > SHORT


@pytest.mark.parametrize("character", ["[", "{", ":", ",", '"', "\\", "[{:,\\\"'", "a"])
def test_a_long_text_may_hold_anything(character):
    text = character * (2 * MOST_VALUES // len(character))

    check_json(json.dumps({"type": "rpcResult", "result": {"formatted": text}}).encode())


def model(number):
    fields = {f"field{index}": index for index in range(30)}
    return {**fields, "modelKey": f"m{number}", "quantization": {"bits": 4}, "variants": ["a", "b"]}


@pytest.mark.parametrize(
    "result",
    [
        {"embedding": [number / 3 for number in range(100_000)]},
        {"tokens": list(range(1_000_000))},
        [model(number) for number in range(5_000)],
        {"fields": [{"key": f"k{number}", "value": [{"a": []}]} for number in range(10_000)]},
    ],
    ids=["a vector", "a million tokens", "five thousand models", "many fields"],
)
def test_the_biggest_answers_of_a_real_server_have_room(result):
    check_json(json.dumps({"type": "rpcResult", "callId": 1, "result": result}).encode())


def test_what_is_refused_costs_no_memory_and_no_parsing():
    message = b"[" + b"[]," * 5_000_000 + b"0]"
    blocks = sys.getallocatedblocks()

    assert is_refused(message)

    assert sys.getallocatedblocks() - blocks < 1000
