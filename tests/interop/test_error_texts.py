"""Errors begin with the words of the official package, by which programs tell them apart."""

import json

import pytest
from helpers import Worker

import lmstudio as lms

ERROR = {"title": "Out of memory", "rootTitle": "The engine failed", "cause": "too big"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


CALLS = {
    "Chat response": ("predict", lambda client, model: model.respond("hi")),
    "Chat response in act()": ("predict", lambda client, model: model.act("hi", [add])),
    "Completion": ("predict", lambda client, model: model.complete("hi")),
    "Model get/load": ("getOrLoad", lambda client, model: client.llm.model("test-llm")),
    "Model load": ("loadModel", lambda client, model: client.llm.load_new_instance("test-llm")),
    "RPC error: Tokenizing failed": ("tokenize", lambda client, model: model.tokenize("hi")),
}


@pytest.mark.parametrize("kind", CALLS)
def test_an_error_of_the_server_says_what_failed_and_its_title(server, client, model, kind):
    endpoint, action = CALLS[kind]
    server.hold(endpoint)
    worker = Worker(action, client, model)
    server.expect(endpoint).error("Out of memory", rootTitle="The engine failed", cause="too big")
    with pytest.raises(lms.LMStudioServerError) as caught:
        worker.result()
    lines = str(caught.value).splitlines()
    begin = kind if "error" in kind else f"{kind.partition(' in ')[0]} error"
    assert lines[0] == f"{begin}: The engine failed: Out of memory"
    assert "  Cause: too big" in lines


def test_an_error_packet_inside_a_prediction_ends_it_with_what_it_had(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("one ")
    call.packet({"type": "error", "error": ERROR})
    with pytest.raises(lms.LMStudioPredictionError) as caught:
        list(stream)
    assert str(caught.value).startswith("Prediction error: The engine failed: Out of memory")
    assert caught.value.partial.content == "one "
    assert stream.stats.stop_reason == "failed"
    call.expect_cancel()
    call.success("userStopped")


def test_a_refused_call_does_not_repeat_the_prompt(held, model):
    prompt = "secret " * 300_000
    stream = model.respond_stream(prompt, idle_timeout=5)
    stream.start()
    call = held.expect("predict")
    parameter = json.dumps(call.parameter)
    call.connection.post(
        {
            "type": "communicationWarning",
            "kind": "channelCreationParameterTypeError",
            "warning": "Received invalid creationParameter for channel: endpointName = predict, "
            f"creationParameter = {parameter}. Expected something else.",
        }
    )
    with pytest.raises(lms.LMStudioServerError) as caught:
        stream.result()
    assert len(str(caught.value)) < 600
    assert "does not accept the call" in str(caught.value)
    assert "characters)" in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [
        lambda model, big: model.respond(big),
        lambda model, big: model.complete(big),
        lambda model, big: model.respond("hi", config=[big]),
        lambda model, big: model.respond("hi", config={"temperature": big}),
        lambda model, big: model.respond("hi", timeout=big),
        lambda model, big: model.respond("hi", on_message=big),
        lambda model, big: model.respond("hi", response_format=big),
        lambda model, big: model.count_tokens(big),
        lambda model, big: model.tokenize(5 if isinstance(big, list) else big),
        lambda model, big: model.act("hi", [big]),
        lambda model, big: lms.Chat().append(big),
        lambda model, big: lms.Chat.from_history({"messages": [big]}),
    ],
)
def test_no_error_repeats_a_big_argument(model, action):
    big = {"no chat": "x" * 100_000}
    with pytest.raises(lms.LMStudioValueError) as caught:
        action(model, big)
    assert len(str(caught.value)) < 1000
