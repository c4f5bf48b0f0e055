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
        {"type": "channelSend", "channelId": 1, "ackId": 1.5, "message": {"type": "cancel"}},
        {"type": "rpcCall", "endpoint": "listLoaded", "callId": 1.5},
        {"type": "signalSubscribe", "endpoint": "x"},
        {"type": "writableSignalUpdate", "subscribeId": 1, "patches": [], "tags": [1]},
        '{"type": "rpcCall", "endpoint": "listLoaded", "callId": NaN}',
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
    (
        {"type": "signalSubscribe", "endpoint": "wat", "subscribeId": 1},
        "signalEndpointUnknown",
        "Received signalSubscribe for unknown endpoint, endpoint = wat",
    ),
    (
        {"type": "writableSignalSubscribe", "endpoint": "wat", "subscribeId": 1},
        "writableSignalEndpointUnknown",
        "Received writableSignalSubscribe for unknown endpoint, endpoint = wat",
    ),
    (
        {"type": "writableSignalUpdate", "subscribeId": 1, "patches": [], "tags": []},
        "writableSignalUnknown",
        "Received writableSignalUpdate for unknown subscription, subscribeId = 1",
    ),
    (
        {"type": "rpcCall", "endpoint": "tokenize", "callId": 7, "parameter": "a\nb"},
        "rpcParameterTypeError",
        "Received invalid parameter for rpcCall, endpointName = tokenize, parameter = a\nb. "
        "Zod error:\n\n- parameter: Expected object, received string",
    ),
    (
        '{"type": "rpcCall", "endpoint": "tokenize", "callId": 7, "parameter": [1.0, 1.5]}',
        "rpcParameterTypeError",
        "Received invalid parameter for rpcCall, endpointName = tokenize, parameter = [1,1.5]. "
        "Zod error:\n\n- parameter: Expected object, received array",
    ),
]


@pytest.mark.parametrize(("message", "kind", "words"), WARNINGS, ids=[w[1] for w in WARNINGS])
def test_warnings_word_for_word(client, message, kind, words):
    client.send(message)
    assert client.recv() == {"type": "communicationWarning", "warning": words, "kind": kind}


NAME_PROBLEMS = [
    ("", "String must contain at least 1 character(s)"),
    ("a" * 1025, "String must contain at most 1024 character(s)"),
    ("__proto__", 'For security reasons, "__proto__" is not allowed'),
    ("a\nb", "Control characters are not allowed"),
    ("a\u200bb", "Control characters are not allowed"),
    ("a\ud83db", "Control characters are not allowed"),
]


@pytest.mark.parametrize("field", ["identifier", "path"])
@pytest.mark.parametrize(("name", "words"), NAME_PROBLEMS, ids=range(len(NAME_PROBLEMS)))
def test_names_that_no_model_may_have(client, field, name, words):
    specifier = {"type": "query", "query": {field: name}}
    warning = client.call("countTokens", {"specifier": specifier, "inputString": "a"})
    assert warning["kind"] == "rpcParameterTypeError"
    problems = f"Zod error:\n\n- parameter.specifier.query.{field}: {words}"
    assert warning["warning"].endswith(problems)


def test_a_tool_of_another_type_is_named(client):
    parameter = {
        "specifier": ANY,
        "history": {"messages": []},
        "predictionConfigStack": NO_CONFIG,
        "opts": {
            "toolDefinitions": [
                {"type": "plugin"},
                {"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}},
            ]
        },
    }
    at = "parameter.opts.toolDefinitions"
    assert client.call("applyPromptTemplate", parameter)["warning"].endswith(
        f". Zod error:\n\n- {at}.0.type: Invalid discriminator value. Expected 'function'\n"
        f"- {at}.1.function.parameters.type: Invalid discriminator value. Expected 'object'"
    )


def test_a_whole_number_may_be_written_with_a_point(client):
    client.send('{"type": "rpcCall", "endpoint": "listLoaded", "callId": 1.0}')
    answer = client.recv()
    assert answer["type"] == "rpcResult"
    assert answer["callId"] == 1
    assert isinstance(answer["callId"], int)


def test_the_end_of_a_subscription_is_taken_in_silence(client):
    client.send({"type": "signalUnsubscribe", "subscribeId": 1})
    client.send({"type": "writableSignalUnsubscribe", "subscribeId": 1})
    client.send({"type": "keepAlive"})
    assert client.recv() == {"type": "keepAliveAck"}


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
