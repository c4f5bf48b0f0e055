"""The sans-I/O protocol: what each message of the server means, whatever the server sends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio._connection import protocol as _protocol
from lmstudio._connection.call import Call
from lmstudio._connection.endpoints import rpc
from lmstudio._connection.protocol import Kind, Protocol
from lmstudio._prediction.request import PREDICT


def open_call(protocol, endpoint, parameter=None):
    call = Call(None, endpoint, parameter)
    protocol.calls[call.id] = call
    return call


@pytest.fixture
def protocol():
    return Protocol()


@pytest.fixture
def prediction(protocol):
    return open_call(protocol, PREDICT, {"history": {}})


@pytest.fixture
def count(protocol):
    return open_call(protocol, rpc("llm", "countTokens"), {"inputString": "a"})


def test_a_packet_goes_to_its_channel(protocol, prediction):
    packet = {"type": "fragment", "fragment": {"content": "a"}}
    message = {"type": "channelSend", "channelId": prediction.id, "message": packet}

    assert protocol.receive(message) == (Kind.PACKET, prediction, packet)


def test_the_final_packet_is_the_outcome(protocol, prediction):
    packet = {"type": "success", "stats": {}}
    message = {"type": "channelSend", "channelId": prediction.id, "message": packet}

    assert protocol.receive(message) == (Kind.OUTCOME, prediction, packet)


def test_an_rpc_result_without_a_result_key_is_a_result_of_none(protocol, count):
    assert protocol.receive({"type": "rpcResult", "callId": count.id}) == (
        Kind.OUTCOME,
        count,
        None,
    )


def test_errors_and_closes_are_told_apart(protocol, prediction, count):
    error = {"title": "no"}

    received = [
        protocol.receive({"type": "channelError", "channelId": prediction.id, "error": error}),
        protocol.receive({"type": "channelClose", "channelId": prediction.id}),
        protocol.receive({"type": "rpcError", "callId": count.id, "error": error}),
    ]

    assert received == [
        (Kind.ERROR, prediction, error),
        (Kind.CLOSED, prediction, None),
        (Kind.ERROR, count, error),
    ]


def test_an_answer_of_the_wrong_kind_for_an_id_is_dropped(protocol, prediction, count):
    packet = {"type": "fragment"}

    received = [
        protocol.receive({"type": "rpcResult", "callId": prediction.id}),
        protocol.receive({"type": "channelClose", "channelId": count.id}),
        protocol.receive({"type": "channelSend", "channelId": count.id, "message": packet}),
    ]

    assert received == [None] * 3


@pytest.mark.parametrize("kind", ["rpcEndpointUnknown", "rpcEndpointUnhandled"])
@pytest.mark.parametrize("word", ["endpoint", "endpointName"])
def test_a_warning_about_an_endpoint_concerns_all_its_unanswered_calls(protocol, kind, word):
    calls = [open_call(protocol, rpc("llm", "countTokens"), {"n": n}) for n in range(3)]
    open_call(protocol, rpc("llm", "listLoaded"))
    open_call(protocol, PREDICT)
    text = f"Received rpcCall for unknown endpoint, {word} = countTokens"

    received, call, warned = protocol.receive(
        {"type": "communicationWarning", "kind": kind, "warning": text}
    )

    assert (received, call, warned.calls) == (Kind.REFUSED, calls[0], calls)


def parameter_warning(parameter, kind="rpcParameterTypeError", name="countTokens"):
    echo = json.dumps(parameter, separators=(",", ":"))
    text = (
        f"Received invalid parameter for rpcCall, endpointName = {name}, "
        f"parameter = {echo}. Zod error:\n\n- parameter: Required"
    )
    return {"type": "communicationWarning", "kind": kind, "warning": text}


def test_a_warning_about_a_parameter_concerns_the_call_whose_parameter_it_repeats(protocol):
    calls = [open_call(protocol, rpc("llm", "countTokens"), {"n": n, "t": "a, b"}) for n in (1, 2)]

    _, _, warned = protocol.receive(parameter_warning({"n": 2, "t": "a, b"}))

    assert warned.calls == [calls[1]]


def test_without_an_equal_parameter_it_concerns_the_sole_unanswered_call(protocol, count):
    _, _, warned = protocol.receive(parameter_warning({"something": "else"}))

    assert warned.calls == [count]


def test_without_an_equal_parameter_and_with_several_calls_it_concerns_none(protocol, count):
    open_call(protocol, rpc("llm", "countTokens"), {"inputString": "b"})

    assert protocol.receive(parameter_warning({"something": "else"})) is None


@pytest.mark.parametrize("kind", ["channelUnknown", "channelMessageTypeError", "new kind", None])
def test_other_warnings_concern_nobody_but_are_counted(protocol, prediction, kind):
    text = "Received channelSend for unknown channel, channelId = 99, endpoint = predict"

    for _ in range(_protocol.MAX_WARNINGS):
        message = {"type": "communicationWarning", "kind": kind, "warning": text}
        assert protocol.receive(message) is None

    assert protocol.is_mute


def test_a_packet_without_a_type_fails_its_channel_only(protocol, prediction, count):
    for packet in (None, "text", [], {}, {"type": []}):
        message = {"type": "channelSend", "channelId": prediction.id, "message": packet}
        assert protocol.receive(message) == (Kind.MALFORMED, prediction, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
message_types = st.sampled_from(
    [
        "channelSend",
        "channelClose",
        "channelError",
        "rpcResult",
        "rpcError",
        "communicationWarning",
        "keepAliveAck",
        "signalUpdate",
        "new",
    ]
)


@given(
    st.fixed_dictionaries(
        {"type": message_types},
        optional={
            "channelId": st.integers(0, 5) | json_values,
            "callId": st.integers(0, 5) | json_values,
            "message": st.fixed_dictionaries({"type": json_values}) | json_values,
            "error": json_values,
            "result": json_values,
            "warning": json_values,
            "kind": st.sampled_from(sorted(_protocol._ENDPOINT_KINDS)) | json_values,
        },
    )
    | json_values
)
def test_nothing_that_a_server_sends_raises(message):
    protocol = Protocol()
    for number, endpoint in enumerate([PREDICT, rpc("llm", "countTokens")]):
        call = Call(None, endpoint)
        call.id = number
        protocol.calls[number] = call

    received = protocol.receive(message)

    assert received is None or isinstance(received[1], Call)


@pytest.mark.parametrize("number", [True, 1.0, "1", None, [1], {"id": 1}, 1 + 0j])
def test_what_only_equals_an_id_is_none(prediction, count, number):
    message = {"type": "fragment", "fragment": {"content": "a"}}
    for call in (prediction, count):
        protocol = Protocol()
        protocol.calls[1] = call
        for received in (
            {"type": "channelSend", "channelId": number, "message": message},
            {"type": "channelSend", "channelId": number, "message": {"type": "success"}},
            {"type": "channelSend", "channelId": number, "message": "no packet"},
            {"type": "channelClose", "channelId": number},
            {"type": "channelError", "channelId": number, "error": {}},
            {"type": "rpcResult", "callId": number, "result": 5},
            {"type": "rpcError", "callId": number, "error": {}},
        ):
            assert protocol.receive(received) is None
