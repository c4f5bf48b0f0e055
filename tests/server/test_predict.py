"""Predictions of the embedded server: scripts, cancels, faults, and the record of each."""

import json
import re
import threading

import pytest
from server.raw_client import ANY, NO_CONFIG, RawClient, text_of, user

from lmstudio.testing import Server, Token

FOREVER = 600.0  # seconds: never reached, for whatever waits so long is stopped before


def limit(tokens):
    return {"checked": True, "value": tokens}


def test_packets_in_order(server, client):
    server.reply(["Hel", "lo"])
    channel = client.predict("one two", temperature=0.5)
    packets, end = client.rest(channel)
    total = packets[0]["details"]["totalPromptTokenCount"]
    progress = [
        {
            "type": "promptProcessingProgress",
            "progress": share,
            "details": {
                "cachedTokenCount": 0,
                "totalPromptTokenCount": total,
                "processedPromptTokenCount": total * share,
                "unprocessedPromptTokenCount": total - total * share,
            },
        }
        for share in (0, 1)
    ]
    fragments = [
        {
            "type": "fragment",
            "fragment": {
                "content": text,
                "tokensCount": 1,
                "containsDrafted": False,
                "reasoningType": "none",
                "isStructural": False,
            },
        }
        for text in ("Hel", "lo")
    ]
    assert packets[:-1] == progress + fragments
    success = packets[-1]
    assert success["type"] == "success"
    assert success["stats"]["stopReason"] == "eosFound"
    assert success["stats"]["promptTokensCount"] == total
    assert success["stats"]["predictedTokensCount"] == 2
    assert success["stats"]["totalTokensCount"] == total + 2
    assert success["stats"]["numGpuLayers"] == -1
    assert 0 < success["stats"]["timeToFirstTokenSec"] <= success["stats"]["totalTimeSec"]
    assert success["modelInfo"]["identifier"] == "test-llm"
    assert success["modelInfo"]["lastUsedTime"] > 0
    assert success["loadModelConfig"]["fields"]
    assert success["predictionConfig"] == {
        "fields": [{"key": "llm.prediction.temperature", "value": 0.5}]
    }
    assert end == {"type": "channelClose", "channelId": channel}


def test_the_record_of_a_prediction(server, client):
    client.rest(client.predict("hello there", temperature=0.5))
    (prediction,) = server.predictions
    assert prediction is server.wait_prediction().wait_finished()
    assert prediction.identifier == "test-llm"
    assert "hello there" in prediction.prompt
    assert prediction.messages == [user("hello there")]
    assert prediction.config == {"llm.prediction.temperature": 0.5}
    assert prediction.phase == "finished"
    assert prediction.finished
    assert prediction.stop_reason == "eosFound"
    assert prediction.error is None
    assert prediction.cancelled_after is None
    assert prediction.tokens_sent == 9
    assert repr(prediction) == ("<Prediction on 'test-llm': finished, 9 token(s) sent, eosFound>")


def test_a_short_default_reply_and_a_story(client):
    assert text_of(client.rest(client.predict("hi"))[0]) == "This is a reply of the test server."
    packets, _ = client.rest(client.predict("a story", maxPredictedTokens=limit(50)))
    assert text_of(packets).startswith("Once upon a time")
    assert packets[-1]["stats"]["predictedTokensCount"] == 50
    assert packets[-1]["stats"]["stopReason"] == "maxPredictedTokensReached"


def test_default_reply_fits_a_json_schema(client):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 6},
            "age": {"type": "integer", "minimum": 18},
            "kind": {"enum": ["b", "a"]},
            "pets": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/pet"}},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["name", "age", "kind", "pets"],
        "$defs": {"pet": {"type": "object", "properties": {"legs": {"const": 4}}}},
    }
    channel = client.predict("x", structured={"type": "json", "jsonSchema": schema})
    assert json.loads(text_of(client.rest(channel)[0])) == {
        "name": "textxx",
        "age": 18,
        "kind": "b",
        "pets": [{"legs": 4}, {"legs": 4}],
        "note": None,
    }


def test_replies_are_used_one_a_prediction(server, client):
    server.reply("first")
    server.reply("again", repeat=2)
    texts = [text_of(client.rest(client.predict())[0]) for _ in range(4)]
    assert texts == ["first", "again", "again", "This is a reply of the test server."]


def test_cancel_between_two_tokens(server, client):
    server.reply(["a", Token("b"), "c"], delay=FOREVER)
    server.reply(["a", "b", "c"])
    channel = client.predict()
    prediction = server.wait_prediction().wait_phase("prefill")
    client.until(channel, "promptProcessingProgress")
    client.cancel(channel)
    packets, end = client.rest(channel)
    assert packets[-1]["stats"]["stopReason"] == "userStopped"
    assert end["type"] == "channelClose"
    assert prediction.wait_finished().cancelled_after == 0
    assert prediction.tokens_sent == 0
    assert "cancelled after 0, userStopped" in repr(prediction)
    with pytest.raises(AssertionError, match="expected the phase 'generating', but it ended"):
        prediction.wait_phase("generating")


def test_cancel_while_the_prompt_is_processed(server, client):
    server.reply("never", prefill=FOREVER)
    channel = client.predict()
    assert client.packet(channel)["progress"] == 0
    prediction = server.wait_prediction()
    assert prediction.phase == "prefill"
    client.cancel(channel)
    packets, _ = client.rest(channel)
    assert [packet["type"] for packet in packets] == ["success"]
    assert packets[0]["stats"]["stopReason"] == "userStopped"
    assert prediction.wait_finished().cancelled_after == 0


def test_prefill_reports_progress_in_steps(server, client):
    server.reply("x", prefill=0.01)
    packets, _ = client.rest(client.predict("one two three four five six seven eight nine ten"))
    shares = [p["progress"] for p in packets if p["type"] == "promptProcessingProgress"]
    assert len(shares) == 11
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_cancel_while_queued(client):
    with Server(parallel=1) as server, RawClient(server) as client:
        server.reply("x", delay=FOREVER)
        first, second = client.predict(), client.predict()
        queued = server.wait_prediction(1)
        assert queued.phase == "queued"
        state = client.until(first, "promptProcessingProgress") and {"specifier": ANY}
        client.recv()  # the prompt is done
        assert client.result("getInstanceProcessingState", {**state, "throwIfNotFound": True}) == {
            "status": "processingPrompt",
            "queued": 1,
        }
        client.cancel(second)
        packets, _ = client.rest(second)
        assert packets[-1]["stats"]["stopReason"] == "userStopped"
        assert packets[-1]["stats"]["predictedTokensCount"] == 0
        assert queued.wait_finished().cancelled_after == 0
        client.cancel(first)
        client.rest(first)


def test_a_client_that_leaves_while_queued():
    with Server(parallel=1) as server, RawClient(server) as client:
        server.reply("x", delay=FOREVER)
        first = client.predict()
        server.wait_prediction()
        with RawClient(server) as other:
            other.predict()
            server.wait_prediction(1)
        assert server.predictions[1].wait_finished().error == "connection lost"
        client.until(first, "promptProcessingProgress")
        client.packet(first)
        client.cancel(first)
        client.rest(first)
        assert text_of(client.rest(client.predict())[0])  # its place was given back


def test_queued_predictions_run_in_order():
    with Server(parallel=1) as server, RawClient(server) as client:
        server.reply("x", delay=FOREVER)
        first = client.predict()
        channels = [client.predict() for _ in range(3)]
        server.wait_prediction(3)
        client.until(first, "promptProcessingProgress")
        client.recv()
        client.cancel(first)
        client.rest(first)
        assert [client.rest(channel)[1]["channelId"] for channel in channels] == channels


def test_a_late_cancel_draws_a_warning(client):
    channel = client.predict()
    client.rest(channel)
    client.cancel(channel)
    assert client.recv()["kind"] == "channelUnknown"


def test_slow_stop_goes_on_after_a_cancel(server, client):
    server.reply(["x"] * 1_000_000, delay=0.001, slow_stop=FOREVER)
    channel = client.predict()
    client.until(channel, "fragment")
    client.cancel(channel)
    (prediction,) = server.predictions
    server.wait_for(lambda: prediction.cancelled_after is not None)
    prediction.wait_tokens(prediction.cancelled_after + 5)


def test_a_slow_stop_ends_as_any_other(server, client):
    server.reply(["x"] * 1_000_000, delay=0.001, slow_stop=0.05)
    channel = client.predict()
    client.until(channel, "fragment")
    client.cancel(channel)
    packets, _ = client.rest(channel)
    assert packets[-1]["stats"]["stopReason"] == "userStopped"


@pytest.mark.parametrize(
    ("strings", "text", "found"),
    [
        (["lo w"], "hel", "lo w"),
        (["world!", "hello"], "", "hello"),
        (["ld?", "zzz"], "hello world", None),
        (["d"], "hello worl", "d"),
    ],
)
def test_stop_strings_across_tokens(server, client, strings, text, found):
    server.reply(["he", "l", "lo", " wor", "ld"])
    packets, _ = client.rest(client.predict(stopStrings=strings))
    assert text_of(packets) == text
    assert packets[-1]["stats"].get("stopString") == found
    reason = "eosFound" if found is None else "stopStringFound"
    assert packets[-1]["stats"]["stopReason"] == reason


@pytest.mark.parametrize(
    ("strings", "count"), [([";"], 1), (["; "], 1), (["x"], 4), (["4"], 0), ([" 5"], 2)]
)
def test_the_tokens_of_a_stop_string_do_not_count(server, client, strings, count):
    server.reply(["4", ";", " ", "5"])
    packets, _ = client.rest(client.predict(stopStrings=strings))
    assert packets[-1]["stats"]["predictedTokensCount"] == count
    assert server.predictions[0].wait_finished().tokens_sent == count


@pytest.mark.parametrize(
    "config",
    [{}, {"stopStrings": [" three"]}, {"maxPredictedTokens": limit(1)}],
    ids=["whole", "stop string", "limit"],
)
def test_scripted_stats_are_there_whatever_ends_the_reply(server, client, config):
    server.reply("one two three", predicted_tokens_count=7, tokens_per_second=3.5)
    stats = client.rest(client.predict(**config))[0][-1]["stats"]
    assert (stats["predictedTokensCount"], stats["tokensPerSecond"]) == (7, 3.5)


PARSING = {"enabled": True, "startString": "sis", "endString": "es"}
TYPES = {"reasoningStartTag": "start", "reasoning": "reasoning", "reasoningEndTag": "end"}


@pytest.mark.parametrize(
    ("tokens", "parsing", "parts"),
    [
        (  # as in LM Studio's own snapshot of it
            ["Assistant", " message", " ", "2"],
            PARSING,
            [
                *(("As", "none"), ("sis", "start"), ("tant", "reasoning"), (" m", "reasoning")),
                *(("es", "end"), ("sage", "none"), (" ", "none"), ("2", "none")),
            ],
        ),
        (
            ["<", "think", ">", "a<", "b", "</", "think>c", "<"],
            None,
            [
                *(("<think>", "start"), ("a", "reasoning"), ("<", "reasoning")),
                *(("b", "reasoning"), ("</think>", "end"), ("c", "none"), ("<", "none")),
            ],
        ),
        (["a sis b"], {**PARSING, "enabled": False}, [("a sis b", "none")]),
        (["sis", "e"], PARSING, [("sis", "start"), ("e", "reasoning")]),
        (["<think"], None, [("<think", "none")]),
    ],
)
def test_reasoning_is_split_at_its_tags(server, client, tokens, parsing, parts):
    server.reply(tokens)
    config = {} if parsing is None else {"reasoning.parsing": parsing}
    packets, _ = client.rest(client.predict(**config))
    fragments = [p["fragment"] for p in packets if p["type"] == "fragment"]
    kinds = [(f["content"], TYPES.get(f["reasoningType"], "none")) for f in fragments]
    assert kinds == parts
    assert sum(f["tokensCount"] for f in fragments) == len(tokens)
    assert packets[-1]["stats"]["predictedTokensCount"] == len(tokens)


DRAFT = "speculativeDecoding.draftModel"


@pytest.mark.parametrize(
    ("name", "title", "more"),
    [
        ("nope", 'Cannot find model "nope"', "as the draft model.*such as: test-llm, test-vlm"),
        (
            "test-embedding",
            '"test-embedding" cannot be the draft model: it is an embedding model.',
            "Name a downloaded LLM",
        ),
    ],
)
def test_a_draft_model_that_is_none_is_refused_and_the_error_says_so(client, name, title, more):
    packets, end = client.rest(client.predict(**{DRAFT: name}))
    assert packets == []
    preload = client.error("preloadDraftModel", {"specifier": ANY, "draftModelKey": name})
    for error in (end["error"], preload):
        assert error["title"] == title
        assert re.search(more, f"{error.get('cause')} {error['suggestion']}")


def test_with_a_draft_model_the_stats_tell_of_its_guesses(server, client):
    packets, _ = client.rest(client.predict(**{DRAFT: "TESTING/test-vlm"}))
    fragments = [packet["fragment"] for packet in packets if packet["type"] == "fragment"]
    assert [one["containsDrafted"] for one in fragments] == [False, *[True] * (len(fragments) - 1)]
    guessed = len(fragments) - 1
    stats = {key: packets[-1]["stats"][key] for key in DRAFT_STATS}
    assert list(stats.values()) == ["test-vlm", guessed, guessed, 0, 0]

    server.reply(
        [Token("a"), Token("b", contains_drafted=True, count=2)], rejectedDraftTokensCount=5
    )
    stats = client.rest(client.predict(**{DRAFT: "test-vlm"}))[0][-1]["stats"]
    assert [stats[key] for key in DRAFT_STATS] == ["test-vlm", 2, 2, 5, 0]

    for config in ({}, {DRAFT: ""}):
        stats = client.rest(client.predict(**config))[0][-1]["stats"]
        assert not any(key in stats for key in DRAFT_STATS)


DRAFT_STATS = (
    "usedDraftModelKey",
    *(f"{what}DraftTokensCount" for what in ("total", "accepted", "rejected", "ignored")),
)


def test_an_image_for_a_model_without_vision_is_an_error(server, client):
    image = {"type": "file", "name": "a.png", "identifier": "x", "sizeBytes": 1}
    message = {"role": "user", "content": [{**image, "fileType": "image"}]}
    parameter = {
        "modelSpecifier": {"type": "query", "query": {"vision": False}},
        "history": {"messages": [message]},
        "predictionConfigStack": NO_CONFIG,
    }
    packets, end = client.rest(client.open("predict", parameter))
    assert packets == []
    assert end["error"]["title"].startswith("Model does not support images.")
    assert re.search("have it: test-vlm.*vision=True", end["error"]["suggestion"])
    server.load("test-vlm")
    parameter["modelSpecifier"] = {"type": "query", "query": {"vision": True}}
    assert client.rest(client.open("predict", parameter))[0][-1]["type"] == "success"


def test_a_limit_of_tokens(server, client):
    server.reply("one two three")
    packets, _ = client.rest(client.predict(maxPredictedTokens=limit(2)))
    assert text_of(packets) == "one two"
    server.reply("one two three")
    unchecked = {"checked": False, "value": 1}
    packets, _ = client.rest(client.predict(maxPredictedTokens=unchecked))
    assert text_of(packets) == "one two three"


def test_a_full_context_stops(server, client):
    server.reply("one two three", repeat=2)
    layer = {"config": {"fields": [{"key": "llm.load.contextLength", "value": 12}]}}
    loading = client.open(
        "loadModel",
        {
            "modelKey": "test-llm",
            "identifier": "small",
            "loadConfigStack": {"layers": [{"layerName": "apiOverride", **layer}]},
        },
    )
    client.rest(loading)
    small = {"type": "query", "query": {"identifier": "small"}}
    channel = client.predict("hi", small, contextOverflowPolicy="stopAtLimit")
    packets, _ = client.rest(channel)
    assert packets[-1]["stats"]["stopReason"] == "contextLengthReached"
    assert packets[-1]["stats"]["totalTokensCount"] == 12


def test_a_lost_connection_ends_the_generation(server):
    server.reply("x", delay=FOREVER)
    with RawClient(server) as client:
        client.until(client.predict(), "promptProcessingProgress")
    assert server.wait_prediction().wait_finished().error == "connection lost"


def test_unloading_ends_the_generation(server, client):
    server.reply("x", delay=FOREVER)
    channel = client.predict()
    client.until(channel, "promptProcessingProgress")
    server.unload("test-llm")
    packets, _ = client.rest(channel)
    assert packets[-1]["stats"]["stopReason"] == "modelUnloaded"


def test_close_ends_all_generations_and_threads():
    before = set(threading.enumerate())
    with Server() as server, RawClient(server) as client:
        server.reply("x", delay=FOREVER, repeat=5)
        for _ in range(5):
            client.predict()
        for number in range(5):
            server.wait_prediction(number).wait_phase("prefill")
        names = {thread.name for thread in set(threading.enumerate()) - before}
        assert len([name for name in names if "lmstudio-testing-prediction" in name]) == 5
        server.close()
        left = {thread.name for thread in set(threading.enumerate()) - before}
        assert not [name for name in left if name.startswith("lmstudio-testing")]
    assert all(prediction.finished for prediction in server.predictions)


def test_old_style_completion(server, client):
    template = {"type": "jinja", "jinjaPromptTemplate": {"template": "x"}, "stopStrings": []}
    field = {"key": "llm.prediction.promptTemplate", "value": template}
    layer = {"layerName": "completeModeFormatting", "config": {"fields": [field]}}
    channel = client.open(
        "predict",
        {
            "modelSpecifier": ANY,
            "history": {"messages": [user("once upon")]},
            "predictionConfigStack": {"layers": [layer]},
        },
    )
    client.rest(channel)
    assert server.predictions[0].prompt == "once upon"


def test_raw_completion(server, client):
    channel = client.open(
        "completeRawText",
        {"modelSpecifier": ANY, "rawPrompt": "a story", "predictionConfigStack": NO_CONFIG},
    )
    client.until(channel, "fragment")
    client.cancel(channel)
    client.rest(channel)
    prediction = server.predictions[0].wait_finished()
    assert (prediction.prompt, prediction.messages) == ("a story", [])


def test_a_later_layer_overrides_an_earlier_one(server, client):
    layers = [
        {
            "layerName": name,
            "config": {"fields": [{"key": "llm.prediction.temperature", "value": value}]},
        }
        for name, value in (("apiOverride", 1), ("instance", 2))
    ]
    channel = client.open(
        "predict",
        {
            "modelSpecifier": ANY,
            "history": {"messages": []},
            "predictionConfigStack": {"layers": layers},
        },
    )
    packets, _ = client.rest(channel)
    assert packets[-1]["predictionConfig"] == layers[1]["config"]


def test_presets():
    with Server(presets=["mine"]) as server, RawClient(server) as client:
        for preset, end in (("mine", "channelClose"), ("yours", "channelError")):
            parameter = {
                "modelSpecifier": ANY,
                "history": {"messages": []},
                "predictionConfigStack": NO_CONFIG,
                "fuzzyPresetIdentifier": preset,
            }
            _, last = client.rest(client.open("predict", parameter))
            assert last["type"] == end
        assert last["error"]["displayData"] == {
            "code": "generic.presetNotFound",
            "specifiedFuzzyPresetIdentifier": "yours",
            "availablePresetsSample": [{"identifier": "mine", "name": "mine"}],
            "totalAvailablePresets": 1,
        }


def test_a_query_that_matches_nothing(client):
    _, end = client.rest(client.predict(specifier={"type": "query", "query": {"path": "zzz"}}))
    assert end["error"]["displayData"] == {
        "code": "generic.noModelMatchingQuery",
        "query": {"path": "zzz"},
        "loadedModelsSample": ["test-llm"],
        "totalLoadedModels": 1,
    }
