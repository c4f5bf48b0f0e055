"""References in a schema are put in place."""

import copy
import json
from typing import Annotated, Literal

import pytest

from lmstudio._json.dereference import dereference


def test_references_are_replaced_by_what_they_refer_to():
    given_schema = {
        "$defs": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
            "B": {"type": "string", "title": "B"},
        },
        "type": "array",
        "items": {"$ref": "#/$defs/A"},
        "contains": {"$ref": "#/$defs/B", "title": "other", "description": "a B"},
    }
    before = copy.deepcopy(given_schema)
    assert dereference(given_schema) == {
        "type": "array",
        "items": {"type": "object", "properties": {"b": {"type": "string", "title": "B"}}},
        "contains": {"type": "string", "title": "other", "description": "a B"},
    }
    assert given_schema == before


def test_the_top_of_a_schema_may_be_a_reference():
    target = {"type": "object", "properties": {"next": {"$ref": "#/definitions/N~0~1%20x"}}}
    schema = {"$ref": "#/definitions/N~0~1%20x", "definitions": {"N~/ x": target}}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N~0~1%20x"}}}
    (name, kept) = next(iter(dereference(schema)["$defs"].items()))
    assert kept == node
    assert {key: value for key, value in dereference(schema).items() if key != "$defs"} == node
    assert name == "N~/ x"  # where the pointer leads


def test_what_stands_beside_a_reference_holds_too():
    schema = {"$defs": {"A": {"minimum": 1, "maximum": 5}}, "$ref": "#/$defs/A", "minimum": 3}
    assert dereference(schema) == {"allOf": [{"minimum": 1, "maximum": 5}], "minimum": 3}
    schema = {"$defs": {"A": True}, "items": {"$ref": "#/$defs/A"}}
    assert dereference(schema) == {"items": {"allOf": [True]}}


def test_names_and_data_that_look_like_references_are_left_alone():
    schema = {
        "type": "object",
        "properties": {
            "$ref": {"type": "string"},
            "$defs": {"$ref": "#/properties/$ref"},
            "default": {"const": {"$ref": "#/nowhere"}},
        },
        "default": {"$ref": "#/nowhere"},
    }
    inlined = dereference(schema)
    assert inlined["properties"]["$defs"] == {"type": "string"}
    assert inlined["properties"]["default"] == schema["properties"]["default"]
    assert inlined["default"] == schema["default"]


def test_recursion_through_the_whole_schema_and_by_pointer():
    whole = {"type": "object", "properties": {"again": {"$ref": "#"}}}
    assert dereference(whole) == whole
    circle = {
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
        "$ref": "#/$defs/A",
    }
    assert dereference(circle)["$ref"].startswith("#/$defs/")
    first = {"anyOf": [{"type": "integer"}, {"items": {"$ref": "#/prefixItems/0"}}]}
    inlined = dereference({"prefixItems": [first]})
    assert inlined["$defs"] == {
        "0": {"anyOf": [{"type": "integer"}, {"items": {"$ref": "#/$defs/0"}}]}
    }


def test_two_recursive_parts_of_one_name_are_kept_apart():
    part = {"items": {"$ref": "#/$defs/A"}}
    other = {"contains": {"$ref": "#/definitions/A"}}
    schema = {
        "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/definitions/A"}],
        "$defs": {"A": part},
        "definitions": {"A": other},
    }
    assert dereference(schema) == {
        "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A_"}],
        "$defs": {"A": part, "A_": {"contains": {"$ref": "#/$defs/A_"}}},
    }


@pytest.mark.parametrize("ref", ["#/$defs/None", "#anchor", "#/type/x", "#/items/9"])
def test_a_schema_with_a_reference_that_leads_nowhere_is_left_as_it_is(ref):
    schema = {"type": "array", "items": [{"$ref": ref}], "$defs": {"A": {}}}
    assert dereference(schema) == schema


def test_a_reference_to_another_document_stays():
    schema = {"items": {"$ref": "https://example.com/a.json", "title": "x"}}
    assert dereference(schema) == schema


def test_a_discriminator_does_not_point_to_what_is_gone():
    pydantic = pytest.importorskip("pydantic")

    class Cat(pydantic.BaseModel):
        kind: Literal["cat"]

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"]
        discriminator: str

    class Pet(pydantic.BaseModel):
        pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]

    inlined = dereference(Pet.model_json_schema())

    assert "#/$defs" not in json.dumps(inlined)
    one, other = inlined["properties"]["pet"]["oneOf"]
    assert one["properties"]["kind"]["const"] == "cat"
    assert "discriminator" in other["properties"]
