"""Tool calls as a model writes them, in `respond()` too: reported, read, or refused."""

import pytest
from agent.acting import call
from helpers import Worker

import lmstudio as lms


def test_respond_reports_tool_calls_as_they_are_written(server, model):
    server.reply("Let me.", tool_calls=[{**call("add", a=1), "id": "x"}])
    log = []

    result = model.respond(
        "?",
        config={"rawTools": {"type": "toolArray", "tools": []}},
        on_tool_call_request_start=lambda *a: log.append(a),
        on_tool_call_request_name_received=lambda *a: log.append(a),
        on_tool_call_request_argument_fragment_generated=lambda *a: log.append(a),
        on_tool_call_request_end=lambda call_id, request: log.append((call_id, request.arguments)),
    )

    assert log == [(0, "x"), (0, "add"), (0, '{"a"'), (0, ":1}"), (0, {"a": 1})]
    assert result.content == "Let me."
    assert result.stats.stop_reason == "eosFound"


def test_respond_reports_a_tool_call_that_cannot_be_read_and_goes_on(server, model):
    server.reply("Hm.", tool_calls=[{**call("add"), "failure": "Not JSON."}])
    failed = []

    result = model.respond("?", on_tool_call_request_failure=lambda *a: failed.append(a))

    ((call_id, error),) = failed
    assert (call_id, result.content) == (0, "Hm.")
    assert "Not JSON." in str(error)


def test_a_tool_call_that_is_no_protocol_fails_the_prediction_with_what_came_before(server, model):
    server.hold("predict")
    stream = model.respond_stream("?")
    stream.start()
    held = server.expect("predict")
    held.fragment("so far")
    held.packet({"type": "toolCallGenerationEnd", "toolCallRequest": {"name": 3}})

    with pytest.raises(lms.LMStudioProtocolError) as caught:
        stream.result()

    assert caught.value.partial.content == "so far"
    held.expect_cancel()
    held.success()


def test_arguments_that_are_no_object_fail_the_prediction(server, model, tools):
    server.hold("predict")
    worker = Worker(model.act, "?", [tools.add])
    held = server.expect("predict")
    request = {"type": "function", "name": "add", "id": "x", "arguments": [1]}
    held.packet({"type": "toolCallGenerationEnd", "toolCallRequest": request})

    error = worker.error()
    assert isinstance(error, lms.LMStudioProtocolError)
    assert "arguments is no object" in str(error)
    held.expect_cancel()
    held.success()
