"""JSON data against JSON Schemas: what is told of what does not fit, and hostile schemas."""

import random

import pytest

from lmstudio._json.schema_check import schema_problems as problems

NODE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["next"],
}
OLD_TUPLE = {"items": [{"type": "string"}], "additionalItems": {"type": "integer"}}
TOO_MUCH = ["nested too deeply, or too much to be checked"]


@pytest.mark.parametrize(
    ("schema", "fits", "others"),
    [
        ({"type": "integer"}, [1, 1.0, -(10**30)], [1.5, True, "1", None]),
        ({"type": "number"}, [1, 1.5], [True, "1", float("nan"), float("inf")]),
        ({"type": "boolean"}, [True, False], [0, "true"]),
        ({"type": ["string", "null"]}, ["", None], [0, []]),
        ({"type": "array"}, [[]], [{}, "a"]),
        ({"type": "object"}, [{}], [[], None]),
        ({"enum": ["a", 1, None]}, ["a", 1, 1.0, None], ["b", True, 0]),
        ({"const": {"a": 1}}, [{"a": 1}], [{"a": 2}, {}]),
        ({"const": True}, [True], [1]),
        ({"minimum": 1, "maximum": 3}, [1, 3, "x"], [0, 3.5]),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3]),
        ({"minimum": 1, "exclusiveMinimum": True}, [1.5], [1]),
        ({"maximum": 3, "exclusiveMaximum": True}, [2.5], [3]),
        ({"minLength": 2, "maxLength": 3}, ["ab", "abc", 5], ["a", "abcd"]),
        ({"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"pattern": "^a+$"}, ["aa", 5], ["ab"]),
        ({"required": ["a"]}, [{"a": None}, "x"], [{}]),
        ({"properties": {"a": {"type": "string"}}}, [{}, {"a": "x", "b": 1}], [{"a": 1}]),
        (
            {"properties": {"a": True}, "additionalProperties": False},
            [{}, {"a": 1}],
            [{"b": 1}],
        ),
        ({"additionalProperties": {"type": "string"}}, [{"a": "x"}], [{"a": 1}]),
        (
            {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False},
            [{"x-a": "b"}],
            [{"x-a": 1}, {"a": "b"}],
        ),
        ({"items": {"type": "string"}}, [[], ["a"]], [["a", 1]]),
        ({"prefixItems": [{"type": "string"}], "items": False}, [[], ["a"]], [[1], ["a", "b"]]),
        (OLD_TUPLE, [["a"], ["a", 1]], [[1], ["a", "b"]]),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
        ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["a", 3], [1]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, [1, 3.5], [4]),
        ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, [{"next": None}], [{"next": {}}]),
        ({"definitions": {"a/b": {"type": "null"}}, "$ref": "#/definitions/a~1b"}, [None], [1]),
        (
            {"properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
            [{"a": {}}],
            [{"b": 1}],
        ),
        (False, [], [1, None]),
        (True, [1, None], []),
        ({"type": "string", "nullable": True}, ["a", None], [1]),
        ({"pattern": r"^\w+$"}, ["abc", "Müller"], ["a b"]),
        ({"pattern": r"^\d+$"}, ["12", "١٢"], ["a"]),
        ({"pattern": "^[]a]$"}, ["]", "a"], []),
        ({"pattern": "^a{,3}$"}, ["aa"], []),
    ],
)
def test_data_fits_a_schema_or_does_not(schema, fits, others):
    assert [data for data in fits if problems(data, schema)] == []
    assert [data for data in others if not problems(data, schema)] == []


@pytest.mark.parametrize(
    ("schema", "data", "told"),
    [
        ({"type": "integer"}, "many", "expected integer, got 'many'"),
        ({"type": ["integer", "null"]}, "x", "expected integer or null, got 'x'"),
        ({"items": {"items": {"type": "null"}}}, [[5]], "[0][0]: expected null, got 5"),
        ({"properties": {"a": {"required": ["b"]}}}, {"a": {}}, "a.b: missing"),
        ({"additionalProperties": False}, {"z": 1}, "z: not allowed"),
        ({"enum": ["x", 5]}, "y", "expected one of 'x', 5, got 'y'"),
        ({"const": "x"}, "y", "expected 'x', got 'y'"),
        ({"minimum": 1}, 0, "expected at least 1, got 0"),
        ({"maximum": 1}, 2, "expected at most 1, got 2"),
        ({"exclusiveMinimum": 1}, 1, "expected more than 1, got 1"),
        ({"exclusiveMaximum": 1}, 1, "expected less than 1, got 1"),
        ({"maxLength": 2}, "abc", "expected at most 2 characters, got 3"),
        ({"minItems": 2}, [1], "expected at least 2 items, got 1"),
        ({"pattern": "^a$"}, "b", "expected a text with the pattern '^a$', got 'b'"),
        ({"anyOf": [{"type": "array"}, {"type": "null"}]}, 5, "expected array or null, got 5"),
        ({"oneOf": [{"required": ["a"]}, {"type": "null"}]}, {}, "a: missing"),
        ({"oneOf": [{}, {"type": "string"}]}, "x", "fits more than one of what it may be"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(schema, data, told):
    assert problems(data, schema) == [told]


def test_each_problem_is_told_once_and_a_great_many_are_cut():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]}
    assert problems({"a": "x"}, schema) == ["b: missing", "a: expected integer, got 'x'"]
    assert problems({"a": "x"}, {"allOf": [schema] * 5}) == problems({"a": "x"}, schema)
    many = problems(["x"] * 100, {"items": {"type": "integer"}})
    assert (len(many), many[9], many[10]) == (11, "[9]: expected integer, got 'x'", "and more")


def test_two_places_of_one_name_are_two_places():
    leaf = {"type": "object", "properties": {"b": {"$ref": "#/$defs/a"}}}
    schema = {
        "$defs": {"a": {"type": "integer"}},
        "properties": {"a": leaf, "a.b": {"$ref": "#/$defs/a"}},
    }
    assert problems({"a.b": 1, "a": {"b": "x"}}, schema) == ["a.b: expected integer, got 'x'"]


@pytest.mark.parametrize(
    "schema",
    [
        *[None, 5, "string", [], {"type": "any"}, {"type": ["string", "any"]}, {"type": {}}],
        *[{"properties": []}, {"required": "a"}, {"required": [5]}, {"items": 5}, {"enum": "ab"}],
        *[{"minimum": "1"}, {"maxLength": None}, {"minItems": float("nan")}, {"pattern": "("}],
        *[{"pattern": 5}, {"patternProperties": {"(?=a)": False}}, {"anyOf": {}}, {"anyOf": []}],
        *[{"$ref": 5}, {"$ref": "#/nowhere"}, {"$ref": "#name"}, {"$ref": "https://x.org/y"}],
        *[
            {"$ref": "#/enum/" + "9" * 5000, "enum2": []},
            {"format": "email"},
            {"not": {}},
            {"if": 1},
        ],
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#/allOf/1"}]}]},
    ],
)
def test_what_is_not_known_is_ignored(schema):
    for data in ("text", 5, 1.5, True, None, [1, "a"], {"a": [1]}):
        assert problems(data, schema) == []


@pytest.mark.parametrize(
    ("one", "other", "data"),
    [
        ({"multipleOf": 3}, {"multipleOf": 5}, 3),
        ({"not": {"required": ["a"]}}, {"required": ["a"]}, {"a": 1}),
        ({"pattern": "^(?=a)"}, {"pattern": "^(?=b)"}, "a"),
        ({"items": {"format": "date"}}, {"items": {"format": "time"}}, ["2026-01-31"]),
        ({"$ref": "https://x.org/y"}, {"type": "string"}, "a"),
        ({"type": "any"}, {"type": "string"}, "a"),
        ({"patternProperties": {"(?=a)": False}}, {"required": ["a"]}, {"a": 1}),
    ],
)
def test_of_choices_that_exclude_one_another_in_unknown_ways_one_that_fits_will_do(
    one, other, data
):
    assert problems(data, {"oneOf": [one, other]}) == []
    assert problems(data, {"oneOf": [other, one]}) == []
    assert problems(data, {"oneOf": [one, {"const": data}, True]}) != []  # two that surely fit


def choices(depth):
    """Each refers to the next one five times."""
    named = {
        str(at): {key: [{"$ref": f"#/$defs/{at + 1}"}] * 5 for key in ("anyOf", "allOf")}
        for at in range(depth)
    }
    return {"$ref": "#/$defs/0", "$defs": {**named, str(depth): {"type": "string"}}}


def test_choices_among_choices_take_no_exponential_time():
    assert problems("x", choices(60)) == []
    assert problems(5, choices(60)) == ["expected string, got 5"]


def nested(depth, wrap, inner):
    for _ in range(depth):
        inner = wrap(inner)
    return inner


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (nested(5000, lambda inner: {"allOf": [inner]}, {"type": "string"}), 5),
        (choices(5000), 5),
        ({"items": {"$ref": "#"}}, nested(5000, lambda inner: [inner], 5)),
        ({"items": {"allOf": [{"minimum": n} for n in range(2000)]}}, list(range(2000))),
        ({"items": {"enum": [[0, n] for n in range(2000)]}}, [[0, -1]] * 2000),
        ({"items": {"pattern": "(a*)*b"}}, ["a" * 5000] * 500),
        ({"patternProperties": {f"^{n}$": {} for n in range(5000)}}, {"a": 1}),
        ({"items": {"patternProperties": dict.fromkeys("abcdefgh" * 9, True)}}, [{"": 0}] * 90_000),
        ({"items": {"required": ["a"] * 100_000}}, [{"a": n} for n in range(50)]),
        ({"items": {"type": ["number"] * 100_000}}, list(range(50))),
        ({"items": {"allOf": [True] * 100_000}}, list(range(20))),
        ({"items": {"anyOf": [False] * 99_999 + [True]}}, list(range(20))),
        ({"items": {"oneOf": [True] * 100_000}}, list(range(20))),
        ({"items": {"$ref": "#/" + "%41" * 100_000}}, list(range(50))),
        ({"items": {"const": dict.fromkeys(map(str, range(99_999)))}}, list(range(20))),
        ({"items": {"enum": [dict.fromkeys(map(str, range(99_999)))]}}, list(range(20))),
    ],
    ids=[
        *["deep", "long way", "deep data", "many", "values", "pattern", "patterns", "no text"],
        *["required", "types", "all", "any", "one", "reference", "const", "enum"],
    ],
)
def test_the_work_that_a_schema_can_make_has_a_limit(schema, data):
    assert problems(data, schema) == TOO_MUCH


def test_long_names_and_lists_of_types_are_not_told_in_full():
    long = "a" * 100_000
    for schema, data in (
        ({"required": [long]}, {}),
        ({"type": ["integer", "null"] * 50_000}, "a"),
        ({"additionalProperties": {"items": {"type": "null"}}}, {long: [1, 2, 3]}),
    ):
        assert 0 < len("".join(problems(data, schema))) < 1000


def any_data(rnd, depth):
    """Any JSON data, small enough that it meets `any_schema()` often."""
    kind = rnd.randrange(6 if depth == 0 else 8)
    if kind < 6:
        return rnd.choice([0, 1, 1.0, 2.5, True, False, None, "", "a", "ab"])
    if kind == 6:
        return [any_data(rnd, depth - 1) for _ in range(rnd.randrange(3))]
    return {rnd.choice("abc"): any_data(rnd, depth - 1) for _ in range(rnd.randrange(3))}


def any_schema(rnd, depth):
    """Any schema that has a meaning."""

    def some(least=1):
        return [any_schema(rnd, depth - 1) for _ in range(least + rnd.randrange(2))]

    def by_name(names):
        return {rnd.choice(names): any_schema(rnd, depth - 1) for _ in range(rnd.randrange(3))}

    flat = {
        "type": lambda: rnd.choice(
            [
                "integer",
                "number",
                "string",
                "object",
                "array",
                "null",
                "boolean",
                ["string", "null"],
            ]
        ),
        "enum": lambda: [any_data(rnd, 1) for _ in range(2)],
        "const": lambda: any_data(rnd, 1),
        "minimum": lambda: 1,
        "exclusiveMaximum": lambda: 2,
        "minLength": lambda: 1,
        "maxItems": lambda: 1,
        "minProperties": lambda: 1,
        "pattern": lambda: rnd.choice(["^a", "b$", "[^a]"]),
        "required": lambda: [rnd.choice("abc")],
        "$ref": lambda: "#/$defs/x",
    }
    deep = {
        "properties": lambda: by_name("abc"),
        "patternProperties": lambda: by_name(["^a", "b"]),
        "additionalProperties": lambda: any_schema(rnd, depth - 1),
        "items": lambda: any_schema(rnd, depth - 1),
        "prefixItems": some,
        "allOf": some,
        "anyOf": some,
        "oneOf": lambda: some(2),
    }
    if rnd.random() < 0.1:
        return rnd.choice([True, False])
    makers = flat if depth == 0 else {**flat, **deep}
    return {name: makers[name]() for name in rnd.sample(list(makers), rnd.randrange(1, 4))}


def test_it_says_what_another_implementation_says():
    jsonschema = pytest.importorskip("jsonschema", reason="did not run: jsonschema is not here")
    rnd = random.Random(11)
    fitting = 0
    for _ in range(4000):
        target = {key: value for key, value in any_object(rnd, 0).items() if key != "$ref"}
        schema = {**any_object(rnd, 3), "$defs": {"x": target}}
        data = any_data(rnd, 3)
        expected = jsonschema.Draft202012Validator(schema).is_valid(data)
        assert (problems(data, schema) == []) is expected, (schema, data)
        fitting += expected
    assert 1000 < fitting < 3000


def any_object(rnd, depth):
    schema = any_schema(rnd, depth)
    return schema if isinstance(schema, dict) else any_object(rnd, depth)
