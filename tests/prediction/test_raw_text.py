"""Texts that are continued by the endpoint for raw text: what is sent, and what is refused."""

import asyncio
import threading

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Server

STOP_STRINGS = "llm.prediction.stopStrings"
TOOL = {"type": "function", "function": {"name": "add"}}


def request(server):
    (message,) = server.received("channelCreate", endpoint="completeRawText")
    return message["creationParameter"]


def fields_of(parameter):
    (layer,) = parameter["predictionConfigStack"]["layers"]
    assert layer["layerName"] == "apiOverride"
    return {field["key"]: field["value"] for field in layer["config"]["fields"]}


def test_the_text_is_sent_as_it_is_and_its_continuation_is_a_result(server, model):
    server.reply(" upon a time.")

    result = model.complete_raw_text("<s>Once", config={"temperature": 0.5})

    assert isinstance(result, lms.PredictionResult)
    assert (result.content, result.stats.stop_reason) == (" upon a time.", "eosFound")
    assert result.model_info.identifier == model.identifier
    parameter = request(server)
    assert parameter["modelSpecifier"] == {"type": "query", "query": {"identifier": "test-llm"}}
    assert parameter["rawPrompt"] == "<s>Once"
    assert set(parameter) == {"modelSpecifier", "rawPrompt", "predictionConfigStack"}
    assert server.predictions[0].prompt == "<s>Once"
    assert server.predictions[0].messages == []


def test_only_the_stop_strings_that_are_given_hold(server, model):
    model.complete_raw_text("Once")
    assert fields_of(request(server)) == {STOP_STRINGS: []}


def test_given_stop_strings_are_sent(server, model):
    server.reply(["one", " END", " two"])

    result = model.complete_raw_text("Count.", config={"stopStrings": ["END"]})

    assert fields_of(request(server)) == {STOP_STRINGS: ["END"]}
    assert (result.content, result.stats.stop_reason) == ("one ", "stopStringFound")


def test_a_preset_is_passed_on(server, model):
    with pytest.raises(lms.LMStudioPresetNotFoundError):
        model.complete_raw_text("Once", preset="no such preset")
    assert request(server)["fuzzyPresetIdentifier"] == "no such preset"


def test_a_reply_may_have_a_form(server, model):
    server.reply('{"title": "Ice"}')
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}

    result = model.complete_raw_text("A book:", response_format=schema)

    assert result.parsed == {"title": "Ice"}
    setting = {"type": "json", "jsonSchema": schema}
    assert fields_of(request(server))["llm.prediction.structured"] == setting


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rawTools": {"type": "toolArray", "tools": [TOOL]}}, "Tools are not supported"),
        ({"tool_choice": {"type": "generic", "mode": "auto"}}, "Tools are not supported"),
        ({"raw": {"llm.prediction.tools": {"type": "none"}}}, "Tools are not supported"),
        ({"reasoning_budget": 512}, "Reasoning budgets are not supported"),
    ],
)
def test_what_there_is_in_chats_only_is_refused(server, model, config, words):
    with pytest.raises(lms.LMStudioValueError, match=words):
        model.complete_raw_text_stream("Once", config=config)
    assert not server.received(endpoint="completeRawText")


def test_no_reasoning_budget_is_no_reasoning_budget(server, model):
    model.complete_raw_text("Once", config={"reasoning_budget": False})
    budget = fields_of(request(server))["llm.prediction.reasoning.budgetTokens"]
    assert budget == {"checked": False, "value": 1024}


@pytest.mark.parametrize("prompt", [None, 5, b"Once", lms.Chat()])
def test_anything_but_a_text_is_refused(server, model, prompt):
    with pytest.raises(lms.LMStudioValueError, match="A completion prompt is a string"):
        model.complete_raw_text(prompt)
    assert not server.received(endpoint="completeRawText")


def test_it_streams_and_tells_what_comes(server, model):
    server.reply(["a", "b"], prefill=0.001)
    told, progress, details = [], [], []

    stream = model.complete_raw_text_stream(
        "x",
        on_first_token=lambda: told.append("first"),
        on_prediction_fragment=lambda fragment: told.append(fragment.content),
        on_message=lambda message: told.append(message.text),
        on_prompt_processing_progress=progress.append,
        on_prompt_details=details.append,
    )

    assert [fragment.content for fragment in stream] == ["a", "b"]
    assert told == ["first", "a", "b", "ab"]
    assert progress[-1] == 1.0
    assert details[-1] == stream.result().prompt_details


def test_a_cancel_stops_the_model_and_leaves_what_came(server, model):
    server.reply("word " * 100_000, delay=0.001)
    stream = model.complete_raw_text_stream("Tell")
    taken = []
    for fragment in stream:
        taken.append(fragment.content)
        stream.cancel("enough")

    result = stream.result()

    assert (result.cancelled, result.cancel_reason) == (True, "enough")
    assert result.content == "".join(taken) == "word"
    assert result.stats.stop_reason == "userStopped"
    assert server.predictions[0].wait_finished().cancelled_after >= 1
    (packet,) = server.received("channelSend", endpoint="completeRawText")
    assert packet["message"] == {"type": "cancel"}


def test_an_event_stops_it_before_the_first_token(server, model):
    server.hold("completeRawText")
    stop = threading.Event()
    worker = Worker(lambda: model.complete_raw_text("Tell", cancel_event=stop))
    call = server.expect("completeRawText")

    stop.set()

    call.expect_cancel()
    call.success("userStopped")
    assert worker.result().cancelled


def test_a_server_that_does_not_know_it_says_so(server, model):
    server.hold("completeRawText")
    worker = Worker(model.complete_raw_text, "Once")
    call = server.expect("completeRawText")
    warning = "Received channelCreate for unknown endpoint, endpoint = completeRawText"
    kind = "channelEndpointUnknown"
    call.connection.post({"type": "communicationWarning", "kind": kind, "warning": warning})

    error = worker.error()

    assert isinstance(error, lms.LMStudioServerError)
    assert "does not accept the call" in str(error)


def test_it_runs_in_the_background(server, model):
    server.reply(["a", "b"])
    texts = []

    stream = model.complete_raw_text_stream("x")
    result = stream.run_in_background(on_text=texts.append).result(10)

    assert ("".join(texts), result.content) == ("ab", "ab")
    server.reply("c")
    assert lms.run_in_background(model.complete_raw_text, "x").result(10).content == "c"


def test_a_task_continues_a_raw_text_too():
    async def run(host):
        async with lms.AsyncClient(host) as client:
            model = await client.llm.model()
            stream = await model.complete_raw_text_stream("x")
            texts = [fragment.content async for fragment in stream]
            result = await model.complete_raw_text("y")
            with pytest.raises(lms.LMStudioValueError, match="Tools are not supported"):
                await model.complete_raw_text("z", config={"raw_tools": {"type": "none"}})
            return texts, result

    with Server() as server:
        server.reply(["a", "b"])
        server.reply("c")
        texts, result = asyncio.run(asyncio.wait_for(run(server.host), 20.0))
        prompts = [
            message["creationParameter"]["rawPrompt"]
            for message in server.received("channelCreate", endpoint="completeRawText")
        ]

    assert (texts, result.content) == (["a", "b"], "c")
    assert isinstance(result, lms.PredictionResult)
    assert prompts == ["x", "y"]
