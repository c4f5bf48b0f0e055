"""What the embedded server says to wrong messages: nothing, or LM Studio's own words."""

import pytest
from server.raw_client import ANY, NO_CONFIG, RawClient


@pytest.mark.parametrize(
    "message",
    [
        "{nope",
        "[]",
        "1",
        "[" * 100_000,
        {"type": "wat"},
        {"type": "channelClose", "channelId": 1},
        {"type": "rpcCall", "endpoint": 1, "callId": 1},
        {"type": "rpcCall", "endpoint": "listLoaded", "callId": "1"},
        {"type": "channelCreate", "endpoint": "predict"},
        {"type": "channelSend", "message": {"type": "cancel"}},
    ],
)
def test_malformed_messages_are_ignored_in_silence(server, client, message):
    client.send(message)
    client.send({"type": "keepAlive"})
    assert client.recv() == {"type": "keepAliveAck"}
    assert len(server.connections[0].malformed) == 1
    assert server.received() == [{"type": "keepAlive"}]


WARNINGS = [  # as LM Studio's own server classes word them
    (
        {"type": "rpcCall", "endpoint": "wat", "callId": 1},
        "rpcEndpointUnknown",
        "Received rpcCall for unknown endpoint, endpoint = wat",
    ),
    (
        {"type": "channelCreate", "endpoint": "wat", "channelId": 1},
        "channelEndpointUnknown",
        "Received channelCreate for unknown endpoint, endpoint = wat",
    ),
    (
        {
            "type": "rpcCall",
            "endpoint": "tokenize",
            "callId": 1,
            "parameter": {"specifier": 1},
        },
        "rpcParameterTypeError",
        "Received invalid parameter for rpcCall, endpointName = tokenize, parameter = "
        '{"specifier":1}. Zod error:\n\n- parameter.specifier: Expected object, received number\n'
        "- parameter.inputString: Required",
    ),
    (
        {"type": "rpcCall", "endpoint": "listLoaded", "callId": 7, "parameter": None},
        "rpcParameterTypeError",
        "Received invalid parameter for rpcCall, endpointName = listLoaded, parameter = null. "
        "Zod error:\n\n- parameter: Expected undefined, received null",
    ),
    (
        {"type": "rpcCall", "endpoint": "tokenize", "callId": 7},
        "rpcParameterTypeError",
        "Received invalid parameter for rpcCall, endpointName = tokenize, parameter = undefined. "
        "Zod error:\n\n- parameter: Required",
    ),
    (
        {
            "type": "channelCreate",
            "endpoint": "predict",
            "channelId": 1,
            "creationParameter": {},
        },
        "channelCreationParameterTypeError",
        "Received invalid creationParameter for channel, endpointName = predict, "
        "creationParameter = {}. Zod error:\n\n- creationParameter.modelSpecifier: Required\n"
        "- creationParameter.history: Required\n- creationParameter.predictionConfigStack: "
        "Required",
    ),
    (
        {"type": "channelSend", "channelId": 99, "message": {"type": "cancel"}},
        "channelUnknown",
        "Received channelSend for unknown channel, channelId = 99",
    ),
]


@pytest.mark.parametrize(("message", "kind", "words"), WARNINGS, ids=[w[1] for w in WARNINGS])
def test_warnings_word_for_word(client, message, kind, words):
    client.send(message)
    assert client.recv() == {"type": "communicationWarning", "warning": words, "kind": kind}


def test_a_bad_message_in_the_history_is_named(client):
    parameter = {
        "modelSpecifier": ANY,
        "history": {"messages": [{"role": "tool", "content": [{"type": "text", "text": "x"}]}]},
        "predictionConfigStack": NO_CONFIG,
    }
    client.open("predict", parameter)
    warning = client.recv()
    assert warning["kind"] == "channelCreationParameterTypeError"
    assert warning["warning"].endswith(
        ". Zod error:\n\n- creationParameter.history.messages.0.content.0.type: Invalid literal "
        'value, expected "toolCallResult"\n'
        "- creationParameter.history.messages.0.content.0.content: Required"
    )


def test_warnings_about_an_open_channel(server, client):
    server.hold("predict")
    channel = client.predict()
    client.ids = iter([channel])
    client.predict()
    assert client.recv()["warning"] == (
        f"Received channelCreate for already open channel, channelId = {channel}"
    )
    client.cancel(channel, "stop")
    assert client.recv() == {
        "type": "communicationWarning",
        "kind": "channelMessageTypeError",
        "warning": "Received invalid message for channel, endpointName = predict, message = "
        '{"type":"stop"}. Zod error:\n\n- message.type: Invalid discriminator value. '
        "Expected 'cancel'",
    }
    server.expect("predict").expect_no_cancel()


def test_an_endpoint_that_is_not_served_here(server):
    with RawClient(server, "repository") as client:
        assert client.call("isAuthenticated")["kind"] == "rpcEndpointUnhandled"
        client.open("ensureAuthenticated")
        assert client.recv()["kind"] == "channelEndpointUnhandled"


def test_only_five_warnings_on_a_connection(client):
    for number in range(8):
        client.send({"type": "rpcCall", "endpoint": f"wat{number}", "callId": number})
    client.send({"type": "keepAlive"})
    kinds = [client.recv()["type"] for _ in range(6)]
    assert kinds == ["communicationWarning"] * 5 + ["keepAliveAck"]


def test_extra_keys_do_not_matter(client):
    specifier = {"type": "query", "query": {"zzz": 1}}
    parameter = {"specifier": specifier, "inputString": "a b", "extra": 1}
    assert client.result("countTokens", parameter) == {"tokenCount": 2}
