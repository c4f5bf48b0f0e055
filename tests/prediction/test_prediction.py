"""Predictions that run to their end: streams, results, callbacks, configuration."""

import functools
import inspect
import json
import queue
import threading
from decimal import Decimal
from fractions import Fraction
from unittest.mock import Mock

import pytest
from helpers import Worker

import lmstudio as lms


def last_prediction_request(server):
    return server.received(endpoint="predict")[-1]["creationParameter"]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def print_one(text):
    print(text)


def config_fields(server, layer=0):
    layers = last_prediction_request(server)["predictionConfigStack"]["layers"]
    return {field["key"]: field["value"] for field in layers[layer]["config"]["fields"]}


def test_parts_of_the_end_that_only_inform_may_be_odd(held, model):
    worker = Worker(lambda: model.respond("q"))
    call = held.expect("predict")
    call.fragment("All is well.")
    odd = {"modelInfo": {"path": 5}, "loadModelConfig": {"x": 1}, "predictionConfig": "new"}
    call.packet({"type": "success", "stats": {"stopReason": "eosFound"}, **odd})
    call.close()

    result = worker.result()
    assert (result.content, result.stats.stop_reason) == ("All is well.", "eosFound")
    assert (result.model_info, result.load_config, result.prediction_config) == (None, None, None)


def test_a_stream_gives_fragments_and_then_the_result(server, model):
    server.reply(["Hel", "lo", "!"])

    stream = model.respond_stream("Say hello.")
    fragments = list(stream)

    assert [f.content for f in fragments] == ["Hel", "lo", "!"]
    assert all(isinstance(f, lms.LlmPredictionFragment) for f in fragments)
    result = stream.result()
    assert result.content == str(result) == result.parsed == "Hello!"
    assert not result.structured
    assert result.stats.stop_reason == "eosFound"
    assert result.stats.predicted_tokens_count == 3
    assert result.model_info.identifier == model.identifier
    assert result.acknowledged
    assert not result.cancelled
    assert result is stream.result() is stream.wait_for_result()
    assert stream.stats == result.stats
    assert stream.model_info == result.model_info
    assert stream.done()
    assert not stream.cancelled()


def test_respond_returns_the_result(server, model):
    server.reply("A short reply.")

    assert model.respond("Say something.").content == "A short reply."


def test_result_of_an_unstarted_stream_starts_it(server, model):
    server.reply("Hello.")

    assert model.respond_stream("hi").result().content == "Hello."


def test_result_after_a_few_fragments_reads_the_rest_in_the_thread_that_iterates(server, model):
    server.reply(["a", "b", "c", "d"])
    stream = model.respond_stream("hi")
    taken = []

    for fragment in stream:
        taken.append(fragment.content)
        if len(taken) == 2:
            assert stream.result().content == "abcd"

    assert taken == ["a", "b"]


def test_result_beside_an_iterating_thread_only_waits(server, model):
    server.hold("predict")
    stream = model.respond_stream("hi")
    iterating = Worker(lambda: [fragment.content for fragment in stream])
    call = server.expect("predict")
    call.fragment("a")
    waiting = Worker(stream.result)
    call.fragment("b")
    call.success()

    assert iterating.result() == ["a", "b"]
    assert waiting.result().content == "ab"


def test_the_time_limit_of_result_bounds_the_wait_and_the_prediction_goes_on(server, model):
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    call = server.expect("predict")
    call.fragment("a")

    with pytest.raises(lms.LMStudioTimeoutError, match="it goes on"):
        stream.result(timeout=0.01)

    call.expect_no_cancel()
    assert not stream.done()
    call.fragment("b")
    call.success()
    assert stream.result(timeout=5).content == "ab"


def test_callbacks_run_in_the_reading_thread_and_in_order(server, model):
    server.hold("predict")
    seen = []

    def note(name):
        return lambda *arguments: seen.append((name, *arguments, threading.current_thread().name))

    chat = lms.Chat()
    chat.add_user_message("hi")
    worker = Worker(
        lambda: model.respond(
            chat,
            on_message=note("message"),
            on_first_token=note("first"),
            on_prediction_fragment=note("fragment"),
            on_prompt_processing_progress=note("progress"),
        )
    )
    call = server.expect("predict")
    call.progress(0.5)
    call.progress(0.5)
    call.progress(0.25)
    call.fragment("a")
    call.fragment("b")
    call.success()
    worker.result()

    names = [entry[0] for entry in seen]
    assert names == ["progress"] * 3 + ["first", "fragment", "fragment", "message"]
    assert [entry[1] for entry in seen if entry[0] == "progress"] == [0.0, 0.5, 1.0]
    assert [entry[1].content for entry in seen if entry[0] == "fragment"] == ["a", "b"]
    assert {entry[-1] for entry in seen} == {"worker"}
    chat.append(seen[-1][1])
    assert [message.role for message in chat] == ["user", "assistant"]


def test_chat_append_can_be_the_message_callback(server, model):
    server.reply("Fine.")
    chat = lms.Chat("Be brief.")
    chat.add_user_message("How are you?")

    model.respond(chat, on_message=chat.append)

    assert last_prediction_request(server)["history"]["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "How are you?"}]},
    ]
    assert chat[-1].content[0].text == "Fine."


@pytest.mark.parametrize(
    "history",
    ["hi", {"messages": [{"role": "user", "content": "hi"}]}, lms.Chat.from_history("hi")],
)
def test_a_history_is_a_text_a_dict_or_a_chat(server, model, history):
    model.respond(history)

    messages = last_prediction_request(server)["history"]["messages"]
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


@pytest.mark.parametrize(
    "config",
    [
        {"maxTokens": 5, "temperature": 0.5},
        {"max_tokens": 5, "temperature": 0.5},
        lms.LlmPredictionConfig(max_tokens=5, temperature=0.5),
    ],
)
def test_the_configuration_is_a_dict_or_an_object_in_either_case(server, model, config):
    result = model.respond("Tell me a story.", config=config)

    assert config_fields(server) == {
        "llm.prediction.maxPredictedTokens": {"checked": True, "value": 5},
        "llm.prediction.temperature": 0.5,
    }
    assert result.stats.stop_reason == "maxPredictedTokensReached"
    assert result.stats.predicted_tokens_count == 5


def test_an_option_that_does_not_exist_is_told_at_the_line_of_the_program_and_not_sent(
    server, model
):
    config = {"topP": 0.5, "maxTokens": 5}
    for call in (
        lambda: model.respond("hi", config=config),
        lambda: model.respond_stream("hi", config=config).result(),
        lambda: model.complete("hi", config=config),
        lambda: list(model.respond_many(["hi"], config=config)),
        lambda: model.act("hi", [add], config=config),
    ):
        with pytest.warns(lms.LMStudioOptionWarning, match="did you mean 'topPSampling'") as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]
        assert "topP" not in json.dumps(server.received(endpoint="predict")[-1])
        assert config_fields(server)["llm.prediction.maxPredictedTokens"]["value"] == 5


def test_a_strict_client_sends_nothing_with_an_option_that_does_not_exist(server):
    with lms.Client(server.api_host, strict_options=True) as client:
        model = client.llm.model()
        for call in (
            lambda: model.respond("hi", config={"topP": 0.5}),
            lambda: model.complete_many(["hi"], config={"topP": 0.5}),
            lambda: model.act("hi", [add], config={"topP": 0.5}),
            lambda: model.respond("hi", response_format={"type": "json", "jsonSchema": {}, "x": 1}),
            lambda: client.llm.model("test-llm", config={"temperature": 0.5}),
            lambda: client.llm.load_new_instance("test-llm", config={"gpu": {"ration": 0.5}}),
        ):
            with pytest.raises(lms.LMStudioValueError, match="Unknown option"):
                call()
    assert not server.received(type="channelCreate")


@pytest.mark.parametrize("value", [-1, -1.0, False])
def test_minus_one_tokens_is_no_limit_and_never_sent_as_a_number(server, model, value):
    for config in ({"maxTokens": value}, lms.LlmPredictionConfig(max_tokens=value)):
        model.respond("hi", config=config)
        assert config_fields(server)["llm.prediction.maxPredictedTokens"] == {
            "checked": False,
            "value": 1,
        }


def test_numbers_of_other_classes_are_numbers_wherever_the_package_takes_one(server, client):
    seconds, three = Fraction(20), Decimal(3)
    model = client.llm.model("test-llm", ttl=seconds, timeout=seconds)
    assert server.received(endpoint="getOrLoad")[-1]["creationParameter"]["loadTtlMs"] == 20_000
    raw = {"some.key": [Fraction(1, 4)]}
    assert model.respond("hi", config={"raw": raw}, timeout=seconds, idle_timeout=seconds).content
    assert config_fields(server)["some.key"] == [0.25]
    assert len(list(model.respond_many(["a", "b"], max_parallel=three))) == 2
    assert not lms.CancelToken.after(seconds).wait(Fraction(0))
    client.close(timeout=seconds)


def test_a_callback_that_cannot_be_called_is_refused_before_anything_is_sent(server, model):
    with pytest.raises(lms.LMStudioValueError, match="on_first_token must be a function"):
        model.respond_stream("hi", on_first_token=5)

    assert not server.received(endpoint="predict")


@pytest.mark.parametrize(
    ("name", "callback", "words"),
    [
        ("on_message", lambda: None, r"1 argument \(message\)"),
        (
            "on_first_token",
            lambda token: None,
            "no arguments.*missing.*'token'",
        ),
        ("on_prediction_fragment", lambda a, b: None, r"1 argument \(fragment\)"),
        ("on_prompt_processing_progress", threading.Event().set, r"1 argument \(progress\)"),
        ("on_tool_call_request_end", print_one, r"2 arguments \(call_id and request\); print_one"),
    ],
)
def test_a_callback_of_another_signature_is_told_what_it_would_get(
    server, model, name, callback, words
):
    with pytest.raises(lms.LMStudioValueError, match=f"{name} is called with {words}"):
        model.respond_stream("hi", **{name: callback})
    assert not server.received(endpoint="predict")


@pytest.mark.parametrize(
    "callback",
    [[].append, queue.Queue().put, print, lambda *_: None, lambda fragment, more=1: None, Mock()],
)
def test_whatever_can_be_called_with_a_fragment_is_taken(server, model, callback):
    assert model.respond("hi", on_prediction_fragment=callback).content


def test_a_decorated_callback_is_judged_by_what_is_called(server, model):
    taken = []

    @functools.wraps(print_one)
    def without_arguments(*_):
        taken.append(1)

    model.respond("hi", on_first_token=without_arguments)
    assert taken == [1]


def test_a_callback_that_says_nothing_true_of_itself_is_taken(server, model):
    taken = []

    class Proxy:  # as werkzeug's, of something that is not there yet
        def __getattr__(self, name):
            raise RuntimeError("out of context")

        def __call__(self, *arguments):
            taken.append(arguments)

    def decorated(*arguments):
        taken.append(arguments)

    decorated.__signature__ = inspect.signature(add)
    for callback in (Proxy(), decorated):
        model.respond("hi", on_message=callback)
    assert [len(arguments) for arguments in taken] == [1, 1]


@pytest.mark.parametrize("name", ["on_prediction_fragment", "on_first_token", "on_message"])
@pytest.mark.parametrize("way", ["iterate", "result", "background"])
def test_a_stop_iteration_of_a_callback_does_not_look_like_the_end(server, model, name, way):
    stream = model.respond_stream("hi", **{name: lambda *_: next(iter(()))})
    read = {"iterate": lambda: list(stream), "result": stream.result}.get(way)
    if read is None:
        read = functools.partial(stream.run_in_background(on_error=repr).result, 10)
    with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
        read()
    assert isinstance(caught.value.__cause__, StopIteration)


def test_a_failed_stream_raises_again_when_it_is_iterated_again(server, model):
    server.reply("abc", error_after=1)
    stream = model.respond_stream("hi")

    for _ in range(2):
        with pytest.raises(lms.LMStudioServerError):
            list(stream)


def test_a_preset_is_passed_on(server, model):
    with pytest.raises(lms.LMStudioPresetNotFoundError):
        model.respond("hi", preset="no such preset")

    assert last_prediction_request(server)["fuzzyPresetIdentifier"] == "no such preset"


def test_complete_continues_a_text_without_a_chat_template(server, model):
    server.reply(" upon a time.")

    result = model.complete("Once", config={"maxTokens": 50})

    assert result.content == " upon a time."
    request = last_prediction_request(server)
    assert [layer["layerName"] for layer in request["predictionConfigStack"]["layers"]] == [
        "apiOverride",
        "completeModeFormatting",
    ]
    assert "llm.prediction.promptTemplate" in config_fields(server, layer=1)


def test_complete_stream_streams(server, model):
    server.reply(["a", "b"])

    assert [f.content for f in model.complete_stream("x")] == ["a", "b"]


def test_reasoning_and_answer_are_told_apart(server, model):
    server.reply("Four.", reasoning="Two and two.")

    result = model.respond("2 + 2?")

    assert result.answer == "Four."
    assert result.reasoning_content == "Two and two."
    assert "Two and two." in result.content
    assert result.content.endswith("Four.")


def test_done_callbacks_are_called_once_by_the_thread_that_reads_the_end(server, model):
    server.reply("Hello.")
    stream = model.respond_stream("hi")
    seen = []
    stream.add_done_callback(lambda s: seen.append((s, s.result().content)))

    for _ in stream:
        assert not seen
    stream.result()

    assert seen == [(stream, "Hello.")]
    stream.add_done_callback(lambda s: seen.append("late"))
    assert seen[1:] == ["late"]


@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("read", [list, lms.PredictionStream.result], ids=["loop", "result"])
def test_each_done_callback_is_called_whatever_another_one_raises(server, model, failure, read):
    called = []

    def fail(_):
        called.append("fails")
        raise failure

    stream = model.respond_stream("hi")
    for callback in (fail, fail, lambda _: called.append("last")):
        stream.add_done_callback(callback)
    with pytest.raises(failure):
        read(stream)
    assert called == ["fails", "fails", "last"]
    assert stream.result().content  # they are called once


def test_done_callbacks_are_called_after_an_error_too(server, model):
    server.reply("abc", error_after=1)
    stream = model.respond_stream("hi")
    seen = []
    stream.add_done_callback(seen.append)

    with pytest.raises(lms.LMStudioServerError):
        stream.result()

    assert seen == [stream]


def test_a_stream_starts_once(model):
    stream = model.respond_stream("hi")
    stream.start()

    with pytest.raises(lms.LMStudioRuntimeError, match="started before"):
        stream.start()
    assert stream.result().content


def test_an_ended_stream_iterates_over_nothing(server, model):
    server.reply("Hello.")
    stream = model.respond_stream("hi")
    assert list(stream)

    assert list(stream) == []
    assert stream.result().content == "Hello."


def test_a_server_error_carries_the_partial_result_and_is_new_each_time(server, model):
    server.reply(["a", "b", "c"], error_after=2, error="Out of memory")
    stream = model.respond_stream("hi")
    taken = []

    with pytest.raises(lms.LMStudioServerError, match="Out of memory") as in_loop:
        for fragment in stream:
            taken.append(fragment.content)
    with pytest.raises(lms.LMStudioServerError, match="Out of memory") as first:
        stream.result()
    with pytest.raises(lms.LMStudioServerError) as second:
        stream.result()

    assert taken == ["a", "b"]
    assert first.value.partial.content == "ab"
    assert first.value.partial.stats.stop_reason == "failed"
    assert first.value.partial.model_info is None
    assert len({id(caught.value) for caught in (in_loop, first, second)}) == 3


def test_a_channel_closed_without_a_result_is_an_error_and_no_hang(server, model):
    server.reply(["a", "b"], close_after=1)

    with pytest.raises(lms.LMStudioChannelClosedError) as caught:
        model.respond("hi")

    assert caught.value.partial.content == "a"


def test_a_model_that_is_gone_is_a_clear_error(server, client):
    with pytest.raises(lms.LMStudioModelNotFoundError):
        client.llm.model("no-such-model")


def test_the_end_of_a_structured_reply_that_was_cut_short_is_not_parsed(server, model):
    server.reply('{"a": 1, "b"', stop_reason="maxPredictedTokensReached")

    result = model.respond("hi", response_format={"type": "object"})

    assert result.parsed is None
    assert not result.structured


def test_a_structured_reply_is_parsed(server, model):
    server.reply('{"a": 1}')

    result = model.respond("hi", response_format={"type": "object"})

    assert result.parsed == {"a": 1}
    assert result.structured


def test_a_structured_reply_that_a_model_gives_within_its_reasoning_is_found(server, model):
    server.reply("", reasoning='{"a": 1}')

    result = model.respond("hi", response_format={"type": "object"})

    assert result.parsed == {"a": 1}


def test_unknown_packets_and_missing_optional_fields_are_tolerated(server, model):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    call.packet({"type": "somethingNew", "data": 1})
    call.packet({"type": "promptProcessingProgress", "progress": 0.5})
    call.packet({"type": "fragment", "fragment": {"content": "a", "reasoningType": "novel"}})
    call.packet({"type": "success", "stats": {"stopReason": "brandNew", "extra": 1}})

    result = worker.result()

    assert result.content == "a"
    assert result.stats.stop_reason == "brandNew"


@pytest.mark.parametrize("fragment", [None, 1, "a", [], {}, {"content": 1}])
def test_a_malformed_fragment_fails_its_prediction_only(server, model, fragment):
    server.hold("predict")
    bad, good = Worker(model.respond, "bad"), None
    call = server.expect("predict")
    good = Worker(model.respond, "good")
    other = server.expect("predict")
    call.fragment("a")
    call.packet({"type": "fragment", "fragment": fragment})
    call.expect_cancel()

    error = bad.error()

    assert isinstance(error, lms.LMStudioProtocolError)
    assert error.partial.content == "a"
    other.fragment("b")
    other.success()
    assert good.result().content == "b"


def test_several_predictions_of_one_client_do_not_mix(server, model):
    server.hold("predict")
    workers = [Worker(model.respond, str(number)) for number in range(8)]
    calls = [server.expect("predict") for _ in workers]
    for step in "xyz":
        for call in calls:
            prompt = call.parameter["history"]["messages"][0]["content"][0]["text"]
            call.fragment(f"{prompt}{step} ")
    for call in reversed(calls):
        call.success()

    contents = [worker.result().content for worker in workers]

    assert contents == [f"{number}x {number}y {number}z " for number in range(8)]
    assert len([c for c in server.connections if c.path == "/llm"]) == 1
