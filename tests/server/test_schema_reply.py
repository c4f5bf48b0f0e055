"""A reply that nobody wrote, but that fits the schema it was asked for."""

import json

import pytest

from lmstudio.testing._engines.schema_reply import fit

SCHEMAS = [
    {},
    {"type": "string", "maxLength": 2},
    {"type": "string", "format": "date"},
    {"type": ["number", "null"], "exclusiveMinimum": 3},
    {"type": "integer", "minimum": 7, "multipleOf": 5},
    {"type": "integer", "maximum": -3},
    {"type": "number", "minimum": 0.1, "exclusiveMaximum": 0.3},
    {"type": "boolean"},
    {"type": "null"},
    {"type": "array", "items": {"type": "string"}, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    {"type": "array", "maxItems": 0},
    {"oneOf": [{"const": 1}, {"const": 2}]},
    {"default": "x"},
    {
        "allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"$ref": "#/$defs/b"},
        ],
        "$defs": {"b": {"properties": {"b": {"type": "string"}}, "required": ["b"]}},
    },
    {"type": "object", "required": ["x"]},
    {  # a tree: it must end somewhere
        "$ref": "#/definitions/node",
        "definitions": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/definitions/node"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/definitions/node"}},
                },
                "required": ["name", "next"],
            }
        },
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
def test_a_text_that_fits_a_schema(schema):
    text = fit(schema)
    assert len(text) < 3000
    value = json.loads(text)
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema)
    assert [problem.message for problem in validator.iter_errors(value)] == []
