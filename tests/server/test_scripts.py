"""How the embedded server is told what to reply: scripts, faults, engines."""

import json
import time

import pytest
from server.raw_client import RawClient, text_of
from websockets.exceptions import ConnectionClosed

from lmstudio.testing import (
    Engine,
    Fault,
    Finish,
    GeneratedEngine,
    Reply,
    ScriptedEngine,
    Server,
    Token,
    ToolCall,
)


def test_a_scripted_end(server, client):
    server.reply("x", stop_reason="contextLengthReached", tokensPerSecond=7, numGpuLayers=3)
    packets, _ = client.rest(client.predict())
    stats = packets[-1]["stats"]
    assert stats["stopReason"] == "contextLengthReached"
    assert (stats["tokensPerSecond"], stats["numGpuLayers"]) == (7, 3)


def test_reasoning_comes_first(server, client):
    server.reply("4", reasoning="2 and 2")
    packets, _ = client.rest(client.predict())
    fragments = [p["fragment"] for p in packets if p["type"] == "fragment"]
    assert [(one["content"], one["reasoningType"]) for one in fragments] == [
        ("<think>", "reasoningStartTag"),
        ("2", "reasoning"),
        (" and", "reasoning"),
        (" 2", "reasoning"),
        ("</think>", "reasoningEndTag"),
        ("4", "none"),
    ]


def test_fields_of_a_token(server, client):
    detail = {"text": "a", "id": 1, "logProb": -0.5}
    server.reply([Token("ab", is_structural=True, contains_drafted=True, count=2, tokens=[detail])])
    packets, _ = client.rest(client.predict())
    (fragment,) = [p["fragment"] for p in packets if p["type"] == "fragment"]
    assert fragment == {
        "content": "ab",
        "tokensCount": 2,
        "containsDrafted": True,
        "reasoningType": "none",
        "isStructural": True,
        "tokens": [detail],
    }
    assert server.predictions[0].wait_finished().tokens_sent == 2


def test_tool_calls_end_the_round(server, client):
    server.reply(
        "I add.",
        tool_calls=[
            {"name": "add", "arguments": {"a": 1, "b": 2}, "id": "mine"},
            ToolCall("add", {"a": 3}, pieces=1),
            ToolCall("bad", failure="No JSON"),
        ],
    )
    packets, _ = client.rest(client.predict())
    calls = [p for p in packets if p["type"].startswith("toolCall")]
    assert calls[:5] == [
        {"type": "toolCallGenerationStart", "toolCallId": "mine"},
        {"type": "toolCallGenerationNameReceived", "name": "add"},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '{"a":1,'},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '"b":2}'},
        {
            "type": "toolCallGenerationEnd",
            "toolCallRequest": {
                "id": "mine",
                "type": "function",
                "arguments": {"a": 1, "b": 2},
                "name": "add",
            },
            "rawContent": '{"a":1,"b":2}',
        },
    ]
    assert calls[8]["toolCallRequest"]["id"] == calls[5]["toolCallId"] != "mine"
    assert calls[-1]["type"] == "toolCallGenerationFailed"
    assert calls[-1]["error"]["title"] == "No JSON"
    assert packets[-1]["stats"]["stopReason"] == "eosFound"


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_before_or_after_tokens(server, client, after):
    server.reply("one two three", error_after=after, error="Out of memory")
    packets, end = client.rest(client.predict())
    assert len([p for p in packets if p["type"] == "fragment"]) == after
    assert end["type"] == "channelError"
    assert end["error"]["title"] == end["error"]["rootTitle"] == "Out of memory"
    prediction = server.predictions[0].wait_finished()
    assert (prediction.error, prediction.stop_reason) == ("Out of memory", None)
    assert prediction.tokens_sent == after


def test_a_drop_in_the_middle(server, client):
    server.reply("one two three", drop_after=1)
    channel = client.predict()
    with pytest.raises(ConnectionClosed) as caught:
        client.rest(channel)
    assert caught.value.rcvd is None  # no closing handshake
    prediction = server.predictions[0].wait_finished()
    assert (prediction.error, prediction.tokens_sent) == ("drop", 1)
    assert not server.connections[0].open


def test_a_channel_that_closes_without_a_result(server, client):
    server.reply("one two three", close_after=1)
    packets, end = client.rest(client.predict())
    assert text_of(packets) == "one"
    assert packets[-1]["type"] == "fragment"
    assert end["type"] == "channelClose"


def test_silence_in_the_middle(server, client):
    server.reply("one two three", silent_after=1)
    channel = client.predict()
    client.until(channel, "fragment")
    assert server.predictions[0].wait_finished().error == "silence"
    client.cancel(channel)
    client.send({"type": "keepAlive"})
    assert client.recv() == {"type": "keepAliveAck"}


def test_garbage_in_the_middle(server, client):
    server.reply("one two three", garbage_after=1)
    channel = client.predict()
    client.until(channel, "fragment")
    with pytest.raises(json.JSONDecodeError):
        client.recv()


def test_only_one_fault_at_a_time(server):
    with pytest.raises(ValueError, match="at most one"):
        server.reply("x", drop_after=1, silent_after=2)


def test_the_generated_engine_goes_on_until_stopped():
    with Server(engine=GeneratedEngine(rate=10_000)) as server, RawClient(server) as client:
        channel = client.predict()
        server.wait_prediction().wait_tokens(100)
        client.cancel(channel)
        packets, _ = client.rest(channel)
        sent = server.predictions[0].wait_finished().tokens_sent
        assert text_of(packets).split() == [f"word{number}" for number in range(sent)]
        assert packets[-1]["stats"]["stopReason"] == "userStopped"
        with pytest.raises(TypeError, match="needs a ScriptedEngine"):
            server.reply("x")


def test_every_token_arrives():
    with Server(engine=GeneratedEngine()) as server, RawClient(server) as client:
        channel = client.predict()
        prediction = server.wait_prediction().wait_tokens(1000)
        client.cancel(channel)
        packets, _ = client.rest(channel)
        assert len(packets) == prediction.wait_finished().tokens_sent + 3


def test_a_reader_that_does_not_read_does_not_fill_the_memory():
    with Server(engine=GeneratedEngine()) as server, RawClient(server) as client:
        channel = client.predict()
        (connection,) = server.connections
        prediction = server.wait_prediction()
        deadline = time.monotonic() + 30
        while len(connection._outbox) <= 256:  # until the sockets take no more
            assert time.monotonic() < deadline
            prediction.wait_tokens(prediction.tokens_sent)
        assert len(connection._outbox) < 300
        connection.drop()
        assert prediction.wait_finished().error == "connection lost"
        with pytest.raises(ConnectionClosed):
            client.rest(channel)


def test_wait_tokens_says_what_came(server, client):
    client.rest(client.predict())
    with pytest.raises(AssertionError, match=r"expected 10 token\(s\), but it ended before: .*9 t"):
        server.predictions[0].wait_tokens(10)


class Own(Engine):
    """An engine as a user would write it."""

    def generate(self, request):
        request.report_progress(5, 10, 2)
        if "crash" in request.last_user_text:
            raise ZeroDivisionError("own trouble")
        yield from request.last_user_text.upper().split()
        if "fault" in request.last_user_text:
            yield Fault("error", "own fault", {"cause": "x"})
        yield Finish(stats={"numGpuLayers": 9})


def test_an_engine_of_ones_own():
    with Server(engine=Own()) as server, RawClient(server) as client:
        packets, _ = client.rest(client.predict("a b"))
        assert packets[0]["progress"] == 0.5
        assert packets[0]["details"]["cachedTokenCount"] == 2
        assert text_of(packets) == "AB"
        assert packets[-1]["stats"]["numGpuLayers"] == 9
        _, end = client.rest(client.predict("crash"))
        assert end["error"]["title"] == "own trouble"
        _, end = client.rest(client.predict("fault"))
        assert (end["error"]["title"], end["error"]["cause"]) == ("own fault", "x")
        assert server.predictions[1].wait_finished().error == "own trouble"


def test_replies_can_be_made_elsewhere():
    engine = ScriptedEngine()
    engine.add(Reply(tokens=["a", "b"]))
    with Server(engine=engine) as server, RawClient(server) as client:
        assert text_of(client.rest(client.predict())[0]) == "ab"


def test_a_default_reply_of_a_given_length():
    with (
        Server(engine=ScriptedEngine(tokens=7, delay=0.001)) as server,
        RawClient(server) as client,
    ):
        packets, _ = client.rest(client.predict())
        assert packets[-1]["stats"]["predictedTokensCount"] == 7


def test_concurrent_predictions_get_their_replies_in_order(server, client):
    count = 30
    for number in range(count):
        server.reply([str(number)])
    channels = [client.predict() for _ in range(count)]
    texts, closed = {}, 0
    while closed < count:
        message = client.recv()
        closed += message["type"] == "channelClose"
        packet = message.get("message", {})
        if packet.get("type") == "fragment":
            texts[message["channelId"]] = packet["fragment"]["content"]
    assert [texts[channel] for channel in channels] == [str(number) for number in range(count)]
