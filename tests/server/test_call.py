"""The test is the server: endpoints that are held, and what a test can do with their calls."""

import pytest
from server.raw_client import ABSENT, ANY, NO_CONFIG, RawClient, text_of, user

from lmstudio.testing import Server


@pytest.fixture
def held_call(server, client):
    """A prediction that the test answers, and the id of its channel."""
    server.hold("predict")
    channel = client.predict("hi", temperature=1)
    return server.expect("predict"), channel


def test_what_a_call_knows(server, held_call):
    call, channel = held_call
    assert call.endpoint == "predict"
    assert call.id == channel
    assert call.connection is server.connections[0]
    assert call.parameter["history"] == {"messages": [user("hi")]}
    assert call.message["creationParameter"] is call.parameter
    assert call.packets == []
    assert repr(call) == f"<Call llm/predict id {channel}, open>"


def test_a_whole_prediction_by_hand(server, client, held_call):
    call, channel = held_call
    call.progress(0.5, total_prompt_token_count=8, processedPromptTokenCount=4)
    prediction = server.predictions[0]
    assert prediction.phase == "prefill"
    call.fragment("Hel")
    call.fragment("lo", tokens_count=2, reasoning_type="reasoning")
    assert (prediction.phase, prediction.tokens_sent) == ("generating", 3)
    call.packet({"type": "toolCallGenerationStart"})
    call.success("stopStringFound", stop_string="x", predictedTokensCount=7)
    packets, end = client.rest(channel)
    assert packets[0]["progress"] == 0.5
    assert packets[0]["details"]["totalPromptTokenCount"] == 8
    assert packets[0]["details"]["processedPromptTokenCount"] == 4
    assert text_of(packets) == "Hello"
    assert packets[2]["fragment"]["reasoningType"] == "reasoning"
    assert packets[3] == {"type": "toolCallGenerationStart"}
    assert packets[4]["stats"]["stopReason"] == "stopStringFound"
    assert packets[4]["stats"]["stopString"] == "x"
    assert packets[4]["stats"]["predictedTokensCount"] == 7
    assert packets[4]["modelInfo"]["identifier"] == "test-llm"
    assert packets[4]["predictionConfig"]["fields"] == [
        {"key": "llm.prediction.temperature", "value": 1}
    ]
    assert end["type"] == "channelClose"
    assert prediction.stop_reason == "stopStringFound"
    assert prediction.finished


def test_cancel_is_seen(client, held_call):
    call, channel = held_call
    assert not call.cancelled
    call.expect_no_cancel()
    call.fragment("a")
    client.packet(channel)
    client.cancel(channel)
    call.expect_cancel()
    assert call.cancelled
    with pytest.raises(AssertionError, match=r"expected no cancel .* sent \[{'type': 'cancel'}\]"):
        call.expect_no_cancel()
    call.success("userStopped")
    assert call.record.cancelled_after == 1
    assert client.rest(channel)[0][-1]["stats"]["stopReason"] == "userStopped"


def test_cancel_that_does_not_come(held_call):
    call, channel = held_call
    words = f"expected a cancel of <Call llm/predict id {channel}, open>, but the client sent"
    with pytest.raises(AssertionError, match=words):
        call.expect_cancel(timeout=0.01)


def test_success_without_close(client, held_call):
    call, channel = held_call
    call.success(close=False)
    assert client.packet(channel)["type"] == "success"
    call.close()
    assert client.recv()["type"] == "channelClose"


def test_success_needs_a_model_to_describe(server, client, held_call):
    call, _ = held_call
    for model in ("test-llm", "test-embedding"):
        server.unload(model)
    with pytest.raises(AssertionError, match=r"success\(\) needs a loaded model to describe"):
        call.success()
    call.error("gone")


def test_close_without_success(server, client, held_call):
    call, channel = held_call
    call.close()
    assert client.rest(channel) == ([], {"type": "channelClose", "channelId": channel})
    assert server.predictions[0].error == "closed"


def test_error_by_hand(server, client, held_call):
    call, channel = held_call
    call.error("Boom", cause="because", display_data={"code": "generic.specificModelUnloaded"})
    _, end = client.rest(channel)
    assert end["type"] == "channelError"
    assert end["error"]["title"] == end["error"]["rootTitle"] == "Boom"
    assert end["error"]["cause"] == "because"
    assert end["error"]["displayData"] == {"code": "generic.specificModelUnloaded"}
    assert server.predictions[0].error == "Boom"


def test_nothing_after_the_end(held_call):
    call, _ = held_call
    call.success()
    for method in (call.close, call.success, lambda: call.fragment("a"), lambda: call.error("b")):
        with pytest.raises(AssertionError, match=r"after the end: <Call llm/predict id 1, closed>"):
            method()


def test_methods_for_the_other_kind_of_call(server, client, held_call):
    call, _ = held_call
    with pytest.raises(AssertionError, match=r"result\(\) answers an rpc call"):
        call.result({})
    server.hold("listLoaded")
    client.send({"type": "rpcCall", "endpoint": "listLoaded", "callId": 99})
    rpc = server.expect("listLoaded")
    with pytest.raises(AssertionError, match=r"fragment\(\) is for channels"):
        rpc.fragment("a")
    with pytest.raises(AssertionError, match=r"success\(\) is for channels"):
        rpc.success()


def test_rpc_by_hand(server, client):
    server.hold("llm/countTokens")
    parameter = {"specifier": ANY, "inputString": "a"}
    message = {"type": "rpcCall", "endpoint": "countTokens", "parameter": parameter}
    for number in range(3):
        client.send({**message, "callId": number})
    first, second, third = (server.expect("llm/countTokens") for _ in range(3))
    assert (first.id, first.parameter) == (0, parameter)
    second.result({"tokenCount": 7})
    first.error("No")
    third.finish()
    assert client.recv() == {"type": "rpcResult", "callId": 1, "result": {"tokenCount": 7}}
    assert client.recv()["error"]["title"] == "No"
    assert client.recv() == {"type": "rpcResult", "callId": 2}


def test_a_namespace_can_be_held_alone(server, client):
    server.hold("embedding/listLoaded")
    assert client.result("listLoaded")
    with RawClient(server, "embedding") as embedding:
        embedding.send({"type": "rpcCall", "endpoint": "listLoaded", "callId": 5})
        server.expect("embedding/listLoaded").result([])
        assert embedding.recv()["result"] == []


def test_expect_says_what_came_instead(server, client):
    client.result("listLoaded")
    words = (
        r"expected a call of 'predict', but none came: 1 message\(s\) came, the last: \[/llm rpc"
    )
    with pytest.raises(AssertionError, match=words):
        server.expect("predict", timeout=0.01)


def test_expect_holds_from_then_on(server, client):
    with pytest.raises(AssertionError):
        server.expect("predict", timeout=0)
    channel = client.predict()
    server.expect("predict").success()
    assert client.rest(channel)[1]["type"] == "channelClose"


def test_wrong_parameters_are_not_parked(server, client):
    server.hold("predict")
    client.open("predict", {})
    assert client.recv()["kind"] == "channelCreationParameterTypeError"


def test_release_answers_what_is_parked():
    with Server(hold=["predict", "listLoaded"]) as server, RawClient(server) as client:
        channel = client.predict()
        server.wait_prediction()
        server.release("predict")
        assert text_of(client.rest(channel)[0]) == "This is a reply of the test server."
        assert text_of(client.rest(client.predict())[0])
        assert len(server.predictions) == 2


def test_proceed_hands_a_call_to_the_server(server, client, held_call):
    call, channel = held_call
    call.proceed()
    assert text_of(client.rest(channel)[0]) == "This is a reply of the test server."
    server.hold("listLoaded")
    client.send({"type": "rpcCall", "endpoint": "listLoaded", "callId": 99})
    server.expect("listLoaded").proceed()
    assert client.recv()["result"][0]["identifier"] == "test-llm"


def test_a_cancel_before_proceed_counts(server, client, held_call):
    call, channel = held_call
    client.cancel(channel)
    call.expect_cancel()
    call.proceed()
    assert client.rest(channel)[0][-1]["stats"]["stopReason"] == "userStopped"
    assert server.predictions[0].wait_finished().cancelled_after == 0


def test_a_client_may_leave_when_it_has_its_success(server, monkeypatch):
    server.hold("predict")
    with RawClient(server) as client:
        channel = client.predict()
        call = server.expect("predict")
        end_channel = type(call)._end_channel

        def end_late(call, error):
            assert client.recv()["message"]["type"] == "success"
            client.close()
            server.wait_for(lambda: not call.connection.open)
            end_channel(call, error)

        monkeypatch.setattr(type(call), "_end_channel", end_late)
        call.success()
    assert (channel, call.record.stop_reason) == (call.id, "eosFound")
    assert "closed" in repr(call)
    with pytest.raises(ConnectionError, match="nothing can be sent any more"):
        call.connection.flush()  # so the close was lost


def test_a_lost_client(server):
    server.hold("predict")
    with RawClient(server) as client:
        client.predict()
        call = server.expect("predict")
    server.wait_for(lambda: not call.connection.open)
    with pytest.raises(ConnectionError, match="nothing can be sent any more"):
        call.fragment("a")
    assert server.predictions[0].wait_finished().error == "connection lost"


@pytest.mark.parametrize(
    ("endpoint", "parameter", "progress", "success"),
    [
        ("loadModel", {"modelKey": "test-vlm"}, "progress", "success"),
        ("getOrLoad", {"identifier": "test-vlm"}, "loadProgress", "loadSuccess"),
    ],
)
def test_loads_by_hand(server, client, endpoint, parameter, progress, success):
    server.hold(endpoint)
    channel = client.open(endpoint, {**parameter, "loadConfigStack": NO_CONFIG})
    call = server.expect(endpoint)
    call.progress(0.25)
    call.success()
    packets, _ = client.rest(channel)
    assert packets[0] == {"type": progress, "progress": 0.25}
    assert packets[1]["type"] == success
    assert packets[1]["info"]["identifier"] == "test-vlm"
    assert "test-vlm" in server.identifiers  # the client can go on with it


def test_download_by_hand(server):
    server.hold("downloadModel")
    with RawClient(server, "repository") as client:
        channel = client.open("downloadModel", {"downloadIdentifier": "testing/x"})
        call = server.expect("downloadModel")
        call.progress(0.5, total_bytes=10, downloadedBytes=5)
        client.cancel(channel)
        call.expect_cancel()
        call.success()
        packets, _ = client.rest(channel)
        assert packets[0]["update"] == {
            "downloadedBytes": 5,
            "totalBytes": 10,
            "speedBytesPerSecond": 1000,
        }
        assert packets[1] == {"type": "success", "defaultIdentifier": "testing/x"}


def test_what_was_downloaded_by_hand_can_be_loaded(server):
    server.hold("downloadModel")
    with RawClient(server, "repository") as client:
        channel = client.open("downloadModel", {"downloadIdentifier": "testing/tiny-llm@q8_0"})
        server.expect("downloadModel").success()
        packets, _ = client.rest(channel)
    assert packets == [{"type": "success", "defaultIdentifier": "tiny-llm"}]
    assert server.load("tiny-llm") == "tiny-llm"


def test_raw_completion_by_hand(server, client):
    server.hold("completeRawText")
    parameter = {"modelSpecifier": ANY, "rawPrompt": "once", "predictionConfigStack": NO_CONFIG}
    channel = client.open("completeRawText", parameter)
    call = server.expect("completeRawText")
    assert server.predictions[0].prompt == "once"
    call.fragment("a")
    call.success()
    assert text_of(client.rest(channel)[0]) == "a"


def test_an_absent_parameter(server, client):
    server.hold("listLoaded")
    client.send({"type": "rpcCall", "endpoint": "listLoaded", "callId": 1})
    call = server.expect("listLoaded")
    assert call.parameter is None
    assert ABSENT not in (call.message, call.parameter)
    call.result([])
    assert client.recv()["result"] == []
