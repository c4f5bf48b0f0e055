"""What the embedded server's real model is asked for, so that its JSON texts end."""

import threading

import pytest

from lmstudio.testing import GenerationRequest, Model
from lmstudio.testing._engines.llama_request import completion_body

CITY = {"type": "object", "properties": {"name": {"type": "string"}}}


def body_of(schema=None, max_tokens=None, tool=None, **config):
    config = {f"llm.prediction.{key}": value for key, value in config.items()}
    if schema is not None:
        config["llm.prediction.structured"] = {"type": "json", "jsonSchema": schema}
    request = GenerationRequest(
        model=Model(key="m"),
        messages=[],
        prompt="x",
        raw=False,
        config=config,
        context_length=2048,
        stop=threading.Event(),
        abandoned=threading.Event(),
        report_progress=lambda *counts: None,
    )
    return completion_body(request, max_tokens, tool)


def test_an_object_has_no_further_properties_at_any_depth():
    closed = {**CITY, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {
            "properties": {"type": "string"},  # a property of that name
            "cities": {"type": "array", "items": CITY},
            "home": {"anyOf": [CITY, {"$ref": "#/$defs/city"}]},
            "open": {**CITY, "additionalProperties": {"type": "number"}},
            "kind": {"enum": [{"properties": 1}]},
        },
        "$defs": {"city": CITY},
    }
    sent = body_of(schema)["json_schema"]
    assert sent["additionalProperties"] is False
    assert set(sent["properties"]) == set(schema["properties"])
    assert sent["properties"]["cities"]["items"] == closed
    assert sent["properties"]["home"]["anyOf"][0] == closed
    assert sent["properties"]["open"] == schema["properties"]["open"]
    assert sent["properties"]["kind"] == schema["properties"]["kind"]
    assert sent["$defs"] == {"city": closed}
    assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"schema": CITY}, 256),
        ({"schema": {}}, 256),
        ({"schema": CITY, "max_tokens": 7}, 7),
        ({"schema": CITY, "maxPredictedTokens": {"checked": True, "value": 600}}, 600),
        ({}, -1),
    ],
)
def test_a_json_text_has_a_limit_if_nobody_gives_one(options, limit):
    assert body_of(**options)["n_predict"] == limit
