"""Arguments of tools: what a model wrote becomes what a function takes, or an error it can use."""

import datetime
import decimal
import enum
import json
import math
import uuid
from typing import Any, Literal

import pytest
import typing_extensions
from agent.tool_classes import Book, Box, Colour, Options, Point
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._agent.tools import prepare_tools
from lmstudio._json.annotations import json_default


class Node(lms.BaseModel):
    value: int
    children: "list[Node]" = []  # noqa: RUF012 (ours are copied)


class Strict(lms.BaseModel):
    even: int

    def __post_init__(self):
        if self.even % 2:
            raise KeyError("odd")


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Keys(typing_extensions.TypedDict):
    a: int
    b: typing_extensions.NotRequired[str]


def tool_of(**parameters):
    """A tool with these parameters, as act() uses it."""
    (tool,) = prepare_tools(
        [
            lms.ToolFunctionDef(
                name="tool", description="Do it.", parameters=parameters, implementation=print
            )
        ]
    ).values()
    return tool


def read(data, tp):
    """A value of a type, read as an argument."""
    return tool_of(a=tp).read({"a": data})["a"]


def problem(arguments, **parameters):
    """What a model is told of arguments that do not fit."""
    with pytest.raises(lms.LMStudioValueError) as caught:
        tool_of(**parameters).read(arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "tp", "value"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        (3.0, int, 3),
        (3, float, 3.0),
        ("2.5", float, 2.5),
        ("1e3", float, 1000.0),
        (3, str, "3"),
        (2.5, str, "2.5"),
        ("true", bool, True),
        ("False", bool, False),
        ("3", int | None, 3),
        (None, int | None, None),
        ("3", int | str, "3"),
        (3, int | str, 3),
        ("3", Any, "3"),
        ("red", Colour, Colour.RED),
        (1.0, Literal[1, "a"], 1),
        (["1", 2], list[int], [1, 2]),
        (["1", 2], tuple[int, str], (1, "2")),
        (["1", 1], set[int], {1}),
        ({"1": "2"}, dict[int, int], {1: 2}),
        ({"x": "1"}, Point, Point(1.0)),
        ([{"x": 1}, {"x": 2, "y": 3, "z": 4}], list[Point], [Point(1.0), Point(2.0, 3.0)]),
        ({"corner": {"x": 1}}, Box, Box(Point(1.0))),
        ({"limit": "5", "z": 1}, Options, {"limit": 5}),
        ({"title": 1984}, Book, Book("1984")),
        ("2024-02-03", datetime.date, datetime.date(2024, 2, 3)),
    ],
)
def test_small_mistakes_of_a_model_are_borne(data, tp, value):
    got = read(data, tp)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("data", "tp", "words"),
    [
        ("x", int, "a: expected integer, got 'x'"),
        ("", int, "a: expected integer, got ''"),
        ("3.5", int, "a: expected integer, got '3.5'"),
        (3.5, int, "a: expected integer, got 3.5"),
        (True, int, "a: expected integer, got True"),
        (None, int, "a: expected integer, got None"),
        (math.nan, int, "a: expected integer, got nan"),
        (math.nan, float, "a: expected number, got nan"),
        (-math.inf, float, "a: expected number, got -inf"),
        (math.nan, str, "a: expected string, got nan"),
        ("nan", float, "a: expected number, got 'nan'"),
        ("Infinity", float, "a: expected number, got 'Infinity'"),
        ("1e999", float, "a: expected number, got '1e999'"),
        (10**400, float, "a: int too large to convert to float"),
        (False, float, "a: expected number, got False"),
        ([], str, "a: expected string, got []"),
        (True, str, "a: expected string, got True"),
        (None, str, "a: expected string, got None"),
        (1, bool, "a: expected boolean, got 1"),
        ("yes", bool, "a: expected boolean, got 'yes'"),
        ("[1]", list[int], "a: expected array, got '[1]'"),
        ("a", list, "a: expected array, got 'a'"),
        ({"0": 1}, list, "a: expected array, got {'0': 1}"),
        ([1], dict, "a: expected object, got [1]"),
        ("{}", Point, "a: expected object, got '{}'"),
        ("green", Colour, "a: expected one of 'red', 'blue', got 'green'"),
        (True, Literal[1, 2], "a: expected one of 1, 2, got True"),
        ("x", int | bool, "a: expected int or bool, got 'x'"),
        ("x", int | None, "a: expected integer, got 'x'"),
        ([1, "x"], list[int], "a[1]: expected integer, got 'x'"),
        ([1], tuple[int, str], "a: expected array of length 2, got [1]"),
        ({"k": [{}]}, dict[str, list[Point]], "a.k[0].x: missing"),
        ({"x": "up"}, Point, "a.x: expected number, got 'up'"),
        ({"corner": {}}, Box, "a.corner.x: missing"),
        ({"limit": "many"}, Options, "a.limit: expected integer, got 'many'"),
        ({"tags": []}, Book, "a.title: missing"),
        ({"even": 1}, Strict, "a: 'odd'"),
        ("soon", datetime.date, "a: Invalid isoformat string: 'soon'"),
        ("x" * 500, int, "a: expected integer, got 'xxxxxxxxxxxx...xxxxxxxxxxxxx'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(data, tp, words):
    assert problem({"a": data}, a=tp) == words


def test_all_arguments_that_do_not_fit_are_named():
    parameters = {"a": int, "b": list[str], "c": float, "d": {"type": int, "default": 1}}
    words = "a: expected integer, got 'x'; b[0]: expected string, got None; c: missing"
    assert problem({"a": "x", "b": [None]}, **parameters) == words
    assert problem(None, **parameters) == "a: missing; b: missing; c: missing"


def test_a_name_like_a_placeholder_is_told_as_it_is():
    assert problem({"a": "$ of {a}"}, a=int) == "a: expected integer, got '$ of {a}'"


def test_what_a_class_of_the_users_raised_is_the_cause():
    with pytest.raises(lms.LMStudioValueError) as caught:
        tool_of(a=Strict).read({"a": {"even": 1}})
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


@pytest.mark.parametrize("arguments", [[], [1], "a", 5, True])
def test_arguments_must_be_an_object(arguments):
    expected = f"expected an object with arguments, got {arguments!r}"
    assert problem(arguments, a={"type": int, "default": 1}) == expected


def test_what_nests_without_end_is_refused_in_words():
    data: dict[str, Any] = {"value": 0}
    for _ in range(2000):
        data = {"value": 0, "children": [data]}
    assert problem({"a": data}, a=Node) == "a: nested too deeply"


def test_defaults_are_filled_in_and_unknown_arguments_left_out():
    tool = tool_of(a=int, b={"type": str, "default": "x"}, c={"type": Colour, "default": None})
    assert tool.read({"a": 1, "z": 5, "context": {}}) == {"a": 1, "b": "x", "c": None}
    assert tool.read({"a": 1, "b": "y", "c": "red"}) == {"a": 1, "b": "y", "c": Colour.RED}


def test_null_may_be_written_where_none_is_the_default():
    tool = tool_of(a={"type": int, "default": None}, b={"type": int, "default": 1})
    assert tool.read({"a": None}) == {"a": None, "b": 1}
    assert problem({"b": None}, b={"type": int, "default": 1}).endswith("integer, got None")


def test_no_arguments_are_those_of_an_empty_object():
    assert tool_of().read(None) == tool_of().read({}) == tool_of().read({"z": 1}) == {}
    assert tool_of(a={"type": int, "default": 1}).read(None) == {"a": 1}


def test_a_pydantic_model_reads_its_own_data():
    pydantic = pytest.importorskip("pydantic")

    class Paper(pydantic.BaseModel):
        pages: int = pydantic.Field(ge=1)

    assert read([{"pages": "3"}], list[Paper]) == [Paper(pages=3)]
    words = problem({"a": [{"pages": 0}]}, a=list[Paper])
    assert words.startswith("a[0]: 1 validation error for Paper\npages\n  Input should be greater")


# ---- what fits the schema can be read ----

TYPES = st.recursive(
    st.sampled_from(
        [
            *(bool, str, int, float, type(None), Colour, Literal["a", 1], int | str, Any),
            *(set[int], frozenset[str], Point, Box, Options, Book, Node, Keys),
            *(Point | None, list[int] | Point, Box | Point | str, list, dict),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(lambda tp: list[tp]),
        inner.map(lambda tp: dict[str, tp]),
        inner.map(lambda tp: tuple[tp, ...]),
        inner.map(lambda tp: tp | None),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
    ),
    max_leaves=3,
)
NAMES = st.sampled_from(["a", "first_name", "_private", "type", "self", "class"])
WHOLE = st.integers(-(2**53), 2**53)
ANY = st.recursive(
    st.none()
    | st.booleans()
    | WHOLE
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def fitting(schema, definitions):
    """JSON data that fits a schema, with what else it allows: 3.0 for 3, further keys."""
    if "$ref" in schema:
        return st.deferred(
            lambda: fitting(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([fitting(one, definitions) for one in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return st.tuples(*[fitting(one, definitions) for one in schema["prefixItems"]]).map(
                list
            )
        items = fitting(schema.get("items", {}), definitions)
        return st.lists(items, max_size=3, unique=schema.get("uniqueItems", False))
    if kind == "object":
        given_keys = schema.get("properties", {})
        strategies = {key: fitting(one, definitions) for key, one in given_keys.items()}
        required = schema.get("required", [])
        further = fitting(schema.get("additionalProperties", {}), definitions)
        return st.builds(
            lambda more, known: {**more, **known},
            st.dictionaries(st.text(), further, max_size=2),
            st.fixed_dictionaries(
                {key: strategies[key] for key in required},
                optional={key: one for key, one in strategies.items() if key not in required},
            ),
        )
    scalars = {
        "null": st.none(),
        "boolean": st.booleans(),
        "string": st.text(),
        "integer": WHOLE | WHOLE.map(float),
        "number": WHOLE | st.floats(allow_nan=False, allow_infinity=False),
    }
    return scalars.get(kind, ANY)


@given(st.dictionaries(NAMES, TYPES, min_size=1, max_size=3), st.data())
def test_what_fits_the_schema_is_read_and_becomes_the_same_json_again(parameters, data):
    jsonschema = pytest.importorskip("jsonschema")
    tool = tool_of(**parameters)
    schema = tool.definition["function"]["parameters"]
    arguments = data.draw(fitting(schema, schema.get("$defs", {})))
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(arguments)

    values = tool.read(arguments)

    assert list(values) == list(parameters)
    again = json.loads(json.dumps(values, default=json_default, allow_nan=False))
    validator.validate(again)
    assert tool.read(again) == values


@given(st.dictionaries(NAMES, TYPES, max_size=3), st.dictionaries(NAMES, ANY) | ANY)
def test_whatever_a_model_writes_is_read_or_refused_in_words(parameters, arguments):
    tool = tool_of(**parameters)
    try:
        assert tool.read(arguments).keys() == parameters.keys()
    except lms.LMStudioValueError as error:
        assert str(error).startswith(("expected an object with arguments", *parameters))


def test_formats_are_read():
    when = datetime.datetime(2024, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    key = uuid.UUID(int=5)
    tool = tool_of(a=datetime.datetime, b=uuid.UUID)
    assert tool.read({"a": "2024-02-03T04:05:00Z", "b": str(key)}) == {"a": when, "b": key}


@pytest.mark.parametrize(
    ("data", "tp", "value"),
    [
        ("2", Level, Level.HIGH),
        ("2", Literal[1, 2], 2),
        (2, Literal["1", "2"], "2"),
        ("true", Literal[True], True),
        (2.5, decimal.Decimal, decimal.Decimal("2.5")),
        (3, decimal.Decimal | None, decimal.Decimal(3)),
    ],
)
def test_a_number_written_as_a_text_is_read_wherever_a_number_is_meant(data, tp, value):
    got = read(data, tp)
    assert (got, type(got)) == (value, type(value))


def test_what_is_no_member_is_told_with_those_that_there_are():
    assert problem({"a": "3"}, a=Level) == "a: expected one of 1, 2, got '3'"
    assert "expected one of 1, 2" in problem({"a": True}, a=Literal[1, 2])
