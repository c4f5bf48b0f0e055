"""The tests against the published schemas can fail: each wrong message is found."""

import copy
from types import SimpleNamespace

import pytest
from interop import schemas
from server.raw_client import ANY, NOBODY, RawClient

from lmstudio.testing import Server

pytestmark = pytest.mark.skipif(
    schemas.missing() is not None, reason=f"did not run: {schemas.missing()}"
)


@pytest.fixture
def conversation():
    """A short conversation, to be spoiled: the messages of both sides, by what they are."""
    with Server() as server, RawClient(server) as client:
        client.result("listLoaded")
        client.call("getLoadConfig", {"specifier": NOBODY})
        client.result("getLoadConfig", {"specifier": ANY})
        server.reply(["a"])
        client.rest(client.predict("hi", temperature=1))
    (connection,) = server.connections
    copies = copy.deepcopy((connection.messages, connection.sent))
    return SimpleNamespace(path=connection.path, messages=copies[0], sent=copies[1])


def packet(conversation, kind):
    """The first packet of this type that the server sent."""
    packets = (message.get("message", {}) for message in conversation.sent)
    return next(packet for packet in packets if packet.get("type") == kind)


def answer(conversation, kind):
    """The last message of this type that the server sent."""
    return [message for message in conversation.sent if message.get("type") == kind][-1]


def field_of(config):
    return config["fields"][0]


SPOILED = {
    "a field is missing": (
        lambda c: packet(c, "fragment")["fragment"].pop("tokensCount"),
        "llm/predict: $.fragment: 'tokensCount' is a required property",
    ),
    "a field is one too many": (
        lambda c: packet(c, "fragment").update(logprobs=None),
        "$: Additional properties are not allowed ('logprobs' was unexpected)",
    ),
    "a value has the wrong type": (
        lambda c: packet(c, "success")["modelInfo"].update(sizeBytes="many"),
        "$.modelInfo.sizeBytes: 'many' is not of type 'integer'",
    ),
    "a value is none of those that there are": (
        lambda c: packet(c, "success")["stats"].update(stopReason="bored"),
        "$.stats.stopReason: 'bored' is not one of",
    ),
    "a packet has an unknown type": (
        lambda c: packet(c, "fragment").update(type="morsel"),
        "is not valid under any of the given schemas",
    ),
    "a message has an unknown type": (
        lambda c: answer(c, "channelClose").update(type="channelEnd"),
        "is not valid under any of the given schemas",
    ),
    "a message has a field too many": (
        lambda c: answer(c, "channelClose").update(reason="none"),
        "$: Additional properties are not allowed ('reason' was unexpected)",
    ),
    "a result is absent": (
        lambda c: c.sent[1].pop("result"),
        "llm/listLoaded: absent, but it must be there",
    ),
    "a configuration key is unknown": (
        lambda c: field_of(answer(c, "rpcResult")["result"]).update(key="llm.load.wisdom"),
        "there is no configuration key 'llm.load.wisdom'",
    ),
    "a configuration value is wrong": (
        lambda c: field_of(answer(c, "rpcResult")["result"]).update(value=-1),
        "llm.load.contextLength: -1 is less than or equal to the minimum of 0",
    ),
    "the code of an error is unknown": (
        lambda c: answer(c, "rpcError")["error"]["displayData"].update(code="generic.oops"),
        "is not valid under any of the given schemas",
    ),
    "the data of an error lacks something": (
        lambda c: answer(c, "rpcError")["error"]["displayData"].pop("query"),
        "$: 'query' is a required property",
    ),
    "the login is answered in another way": (
        lambda c: c.sent[0].update(success="yes"),
        "$.success: 'yes' is not of type 'boolean'",
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_wrong_message_of_the_server_is_found(published, conversation, what):
    spoil, words = SPOILED[what]
    assert published.problems(conversation) == []

    spoil(conversation)

    (problem, *_) = published.problems(conversation)
    assert words in problem


SPOILED_REQUESTS = {
    "a parameter where there must be none": (
        lambda c: c.messages[0].update(parameter=None),
        "llm/listLoaded: $: None should not be valid under",
    ),
    "no parameter where there must be one": (
        lambda c: c.messages[1].pop("parameter"),
        "llm/getLoadConfig: absent, but it must be there",
    ),
    "an endpoint that nobody has": (
        lambda c: c.messages[1].update(endpoint="getLoadConfiguration"),
        "False schema does not allow",
    ),
    "a wrong setting": (
        lambda c: field_of(
            c.messages[-1]["creationParameter"]["predictionConfigStack"]["layers"][0]["config"]
        ).update(value="hot"),
        "llm.prediction.temperature: 'hot' is not of type 'number'",
    ),
    "a message in a role that nobody plays": (
        lambda c: c.messages[-1]["creationParameter"]["history"]["messages"][0].update(role="bot"),
        "$.history.messages[0]: ",
    ),
}


@pytest.mark.parametrize("what", SPOILED_REQUESTS)
def test_a_wrong_message_of_a_client_is_found(published, conversation, what):
    spoil, words = SPOILED_REQUESTS[what]
    assert published.problems(conversation, of_client=True) == []

    spoil(conversation)

    (problem, *_) = published.problems(conversation, of_client=True)
    assert words in problem
