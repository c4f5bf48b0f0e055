"""JSON data in and out of attrs objects: spelling, leniency, and the one error that comes out."""

import subprocess
import sys
import threading

import attrs
import pytest

from lmstudio._json import converter as _converter
from lmstudio._json.converter import (
    LMStudioStruct,
    camel_case,
    camel_keys,
    structure,
    unstructure,
)
from lmstudio._values.messages import (
    ChatHistoryData,
    FileHandle,
    TextData,
    ToolCallRequest,
)
from lmstudio._values.results import LlmPredictionStats
from lmstudio.errors import LMStudioProtocolError, LMStudioValueError


@attrs.define(kw_only=True)
class Wheel(LMStudioStruct):
    tyre_size: int
    is_flat: bool = False
    last_change: float | None = None


@attrs.define(kw_only=True)
class Cart(LMStudioStruct):
    owner_name: str
    wheels: list[Wheel] = attrs.field(factory=list)
    extra: dict = attrs.field(factory=dict)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("temperature", "temperature"),
        ("max_tokens", "maxTokens"),
        ("min_p_sampling", "minPSampling"),
        ("use_fp16_for_kv_cache", "useFp16ForKVCache"),
        ("offload_kv_cache_to_gpu", "offloadKVCacheToGpu"),
        ("use_unified_kv_cache", "useUnifiedKvCache"),
        ("try_direct_io", "tryDirectIO"),
        ("maxTokens", "maxTokens"),
        ("HSA_OVERRIDE_GFX_VERSION", "HSA_OVERRIDE_GFX_VERSION"),
        ("_private", "_private"),
    ],
)
def test_an_attribute_name_becomes_a_camel_case_key(name, key):
    assert camel_case(name) == key


def test_nested_keys_are_respelled_except_those_that_are_the_users_own_names():
    data = {
        "stop_strings": [{"a_b": 1}],
        "json_schema": {"properties": {"my_name": {}}},
        "parameters": {"my_name": 1},
        "arguments": {"my_name": 1},
        "env_vars": {"my_name": "1"},
    }
    assert camel_keys(data) == {
        "stopStrings": [{"aB": 1}],
        "jsonSchema": {"properties": {"my_name": {}}},
        "parameters": {"my_name": 1},
        "arguments": {"my_name": 1},
        "envVars": {"my_name": "1"},
    }


def test_objects_come_out_with_camel_case_keys_and_without_nulls():
    cart = Cart(owner_name="Ann", wheels=[Wheel(tyre_size=3)])
    assert unstructure(cart) == {
        "ownerName": "Ann",
        "wheels": [{"tyreSize": 3, "isFlat": False}],
    }


def test_json_goes_in_with_defaults_for_what_is_absent_or_null():
    cart = structure({"ownerName": "Ann", "wheels": [{"tyreSize": 3, "isFlat": None}]}, Cart)
    assert cart == Cart(owner_name="Ann", wheels=[Wheel(tyre_size=3)])


def test_unknown_keys_are_ignored_or_kept_where_the_class_keeps_them():
    cart = structure({"ownerName": "Ann", "bell": None, "wheels": [{"tyreSize": 3, "x": 1}]}, Cart)
    assert cart.wheels == [Wheel(tyre_size=3)]
    assert cart.extra == {"bell": None}
    assert unstructure(cart)["bell"] is None


def test_a_whole_float_is_an_int_and_an_int_is_a_float():
    wheel = structure({"tyreSize": 3.0, "lastChange": 5}, Wheel)
    assert (wheel.tyre_size, type(wheel.tyre_size)) == (3, int)
    assert (wheel.last_change, type(wheel.last_change)) == (5.0, float)


@pytest.mark.parametrize(
    ("data", "cls", "message"),
    [
        ({}, Cart, "Cart.owner_name: field 'ownerName' is missing"),
        ({"ownerName": 1}, Cart, "Cart.owner_name: expected str, got int"),
        (
            {"ownerName": "", "wheels": [{"tyreSize": 1}, {"tyreSize": "3"}]},
            Cart,
            "Cart.wheels[1].tyre_size: expected int, got str",
        ),
        ({"tyreSize": True}, Wheel, "Wheel.tyre_size: expected int, got bool"),
        ({"tyreSize": 1.5}, Wheel, "Wheel.tyre_size: expected int, got float"),
        ({"tyreSize": 1, "isFlat": "no"}, Wheel, "Wheel.is_flat: expected bool, got str"),
        (None, Wheel, "Wheel: expected an object, got NoneType"),
        ([], Wheel, "Wheel: expected an object, got list"),
        ({"ownerName": "Ann", "wheels": ""}, Cart, "Cart: wheels: expected list, got str."),
        ({"messages": [{"role": "judge", "content": []}]}, ChatHistoryData, "'judge'"),
        ({"messages": [{"content": []}]}, ChatHistoryData, "ChatHistoryData.messages[0]"),
    ],
)
def test_data_that_does_not_fit_is_one_error_naming_class_and_field(data, cls, message):
    with pytest.raises(LMStudioProtocolError) as caught:
        structure(data, cls)
    assert message in str(caught.value)


def test_unknown_words_of_the_server_are_kept():
    assert structure({"stopReason": "sunset"}, LlmPredictionStats).stop_reason == "sunset"
    file = {"name": "n", "identifier": "i", "sizeBytes": 1, "fileType": "hologram"}
    assert structure(file, FileHandle).file_type == "hologram"


def test_a_tag_chooses_among_the_classes_of_a_union():
    data = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    history = structure(data, ChatHistoryData)
    assert history.messages[0].content == [TextData(text="hi")]
    assert unstructure(history) == data


def test_from_dict_takes_both_spellings_and_raises_a_value_error():
    assert Wheel.from_dict({"tyre_size": 1, "isFlat": True}) == Wheel(tyre_size=1, is_flat=True)
    with pytest.raises(LMStudioValueError, match=r"Wheel\.tyre_size: field 'tyreSize' is missing"):
        Wheel.from_dict({})


def test_values_print_as_the_call_that_makes_them():
    request = ToolCallRequest(name="add", arguments={"first_term": 1})
    assert (
        repr(request) == "ToolCallRequest(type='function', name='add', arguments={'first_term': 1})"
    )
    text = str(request)
    assert text.startswith("ToolCallRequest.from_dict({\n")
    printed = eval(text, {"ToolCallRequest": ToolCallRequest})
    assert printed == request


def test_threads_that_race_for_the_first_use_all_get_their_answer(monkeypatch):
    _converter._converter.cache_clear()
    barrier = threading.Barrier(8, timeout=10)
    answers = []

    def work():
        barrier.wait()
        answers.append(structure({"ownerName": "Ann", "wheels": [{"tyreSize": 3}]}, Cart))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [Cart(owner_name="Ann", wheels=[Wheel(tyre_size=3)])] * 8


def test_importing_the_package_does_not_import_cattrs():
    code = """
import sys
import lmstudio._values.chat, lmstudio._values.results
sys.exit("cattrs" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
