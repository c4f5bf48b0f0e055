"""The messages that start a call of an endpoint."""

from lmstudio._connection.endpoints import call_inside, channel, rpc


def test_a_channel_is_created_with_its_parameter_and_ends_with_one_of_its_packets():
    predict = channel("llm", "predict", "The prediction", "Chat response", "success", "error")

    assert predict.start_message(7, {"history": {}}) == {
        "type": "channelCreate",
        "endpoint": "predict",
        "channelId": 7,
        "creationParameter": {"history": {}},
    }
    assert predict.finals == {"success", "error"}


def test_a_channel_without_a_parameter_has_no_such_key():
    watch = channel("llm", "watch", "Watching", "Watch")
    assert watch.start_message(1, None) == {
        "type": "channelCreate",
        "endpoint": "watch",
        "channelId": 1,
    }


def test_a_channel_is_stopped_by_a_cancel_unless_it_says_otherwise():
    stops = [
        channel("llm", "predict", "The prediction", "Chat response", "success").stop,
        channel("diagnostics", "streamLogs", "The logs", "Logs", stop="stop").stop,
        channel("system", "alive", "Watching", "Alive", stop=None).stop,
        rpc("llm", "listLoaded").stop,
    ]
    assert stops == ["cancel", "stop", None, None]


def test_a_channel_that_calls_are_made_inside_of_says_when_it_is_ready():
    session = channel("plugins", "start", "Starting", "Tools", stop="discard", ready="isReady")
    assert (session.ready, session.stop, session.finals) == ("isReady", "discard", frozenset())
    assert channel("llm", "predict", "The prediction", "Chat response").ready is None


def test_a_call_inside_a_channel_is_no_channel():
    call = call_inside("plugins", "callTool", "The call", "done", "failed", stop="abort")
    assert (call.channel, call.finals, call.stop) == (False, {"done", "failed"}, "abort")


def test_a_procedure_is_called_with_its_parameter():
    count = rpc("llm", "countTokens", "Counting tokens")

    assert count.start_message(7, {"inputString": "a"}) == {
        "type": "rpcCall",
        "endpoint": "countTokens",
        "callId": 7,
        "parameter": {"inputString": "a"},
    }


def test_a_procedure_without_a_parameter_has_no_such_key():
    assert "parameter" not in rpc("llm", "listLoaded").start_message(7, None)


def test_a_parameter_that_is_false_is_a_parameter():
    assert rpc("system", "setExperimentFlags").start_message(7, False)["parameter"] is False


def test_an_endpoint_without_words_of_its_own_is_told_by_its_name():
    assert rpc("llm", "listLoaded").label == "The call of listLoaded"
