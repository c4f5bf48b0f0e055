"""JSON Schemas of types and classes."""

import collections.abc as abc
import datetime
import decimal
import uuid
from typing import Annotated, Any, Generic, Literal, Optional, TypedDict, TypeVar, Union

import attrs
import pytest
import typing_extensions
from values.schema_classes import PERSON, Keys, Kind, Level, Line, Name, Node, Person, Point

from lmstudio._json.from_json import from_json
from lmstudio._json.json_schema import BaseModel, json_schema
from lmstudio.errors import LMStudioValueError

T = TypeVar("T")


class Folder(BaseModel):
    files: "list[File]"


class File(BaseModel):
    parent: Folder | None


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (object, {}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list[Any], {"type": "array"}),
        (abc.Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
                "items": False,
            },
        ),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (abc.Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Literal["a", 1, None, Kind.POEM], {"enum": ["a", 1, None, "poem"]}),
        (Kind, {"title": "Kind", "enum": ["novel", "poem"]}),
        (Level, {"title": "Level", "enum": [1, 2]}),
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Annotated[Kind, "x"], {"title": "Kind", "enum": ["novel", "poem"], "description": "x"}),
        (Name, {"type": "string"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.date, {"type": "string", "format": "date"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (decimal.Decimal, {"type": "string"}),
        (Person, PERSON),
    ],
)  # fmt: skip
def test_types_and_their_schemas(tp, schema):
    assert json_schema(tp) == schema


def test_an_attrs_class_has_a_schema():
    assert json_schema(Point) == {
        "title": "Point",
        "type": "object",
        "properties": {
            "x": {"type": "number"},
            "y": {"type": "number", "default": 0.0, "description": "upwards"},
        },
        "required": ["x"],
    }


def test_a_dataclass_has_a_schema_with_nested_classes_in_place():
    point = json_schema(Point)
    assert json_schema(Line) == {
        "title": "Line",
        "type": "object",
        "properties": {
            "start": point,
            "end": point,
            "points": {"type": "array", "items": point, "default": []},
            "width": {"type": "integer", "default": 1, "description": "in pixels"},
        },
        "required": ["start", "end"],
    }


def test_a_typed_dict_has_a_schema_and_keys_that_need_not_be_there():
    schema = json_schema(Keys)
    assert (list(schema["properties"]), schema["required"]) == (["a", "b"], ["a"])
    assert from_json({"a": 1, "c": 2}, Keys) == {"a": 1}


def test_wrappers_and_aliases_of_types_are_looked_through():
    class Marked(TypedDict):
        a: typing_extensions.NotRequired[Annotated[int, "count"]]
        b: "typing_extensions.Required[str]"

    schema = json_schema(Marked)
    assert schema["properties"]["a"] == {"type": "integer", "description": "count"}
    assert schema["required"] == ["b"]
    assert from_json({"b": "x"}, Marked) == {"b": "x"}
    ids = typing_extensions.TypeAliasType("ids", list[int])
    assert json_schema(ids) == {"type": "array", "items": {"type": "integer"}}
    assert from_json([1], ids) == [1]


def test_defaults_that_are_no_json_or_made_anew_are_not_shown():
    class Odd(BaseModel):
        made: str = attrs.field(factory=lambda: pytest.fail("a factory was called"))
        raw: Any = b"x"
        huge: float = float("inf")
        kind: Kind = Kind.POEM
        point: Point = Point(1)
        day: datetime.date = datetime.date(2020, 1, 2)
        some: frozenset[int] = frozenset({1})

    schema = json_schema(Odd)
    shown = {
        name: part["default"] for name, part in schema["properties"].items() if "default" in part
    }
    assert shown == {
        "kind": "poem",
        "point": {"x": 1, "y": 0.0},
        "day": "2020-01-02",
        "some": [1],
    }
    assert schema["required"] == []


def test_a_generic_class_takes_anything_for_its_parameter():
    @attrs.define
    class Box(Generic[T]):
        content: T

    assert json_schema(Box[int])["properties"] == {"content": {}}
    assert from_json({"content": [1]}, Box[int]) == Box([1])


def test_two_classes_of_one_name_are_kept_apart():
    class Outer(BaseModel):
        class Person(BaseModel):
            age: int

        a: Person
        b: "Node"

    other = Outer.Person
    assert json_schema(tuple[other, Person])["prefixItems"] == [json_schema(other), PERSON]


def test_what_refers_to_itself_stays_a_reference_and_the_top_is_never_one():
    schema = json_schema(Node)
    children = {"type": "array", "items": {"$ref": "#/$defs/Node"}, "default": []}
    node = {
        "title": "Node",
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": children},
        "required": ["value"],
    }
    assert schema == {**node, "$defs": {"Node": node}}
    assert json_schema(list[Node])["items"] == {"$ref": "#/$defs/Node"}
    file = json_schema(File)
    assert list(file["$defs"]) == ["File"]
    assert from_json({"parent": {"files": [{"parent": None}]}}, File) == File(Folder([File(None)]))


@pytest.mark.parametrize("tp", [bytes, complex, abc.Callable[[], int], 5, type])
def test_a_type_that_json_has_no_form_for_is_an_error_that_names_the_field(tp):
    made = attrs.make_class("Made", {"good": attrs.field(type=int), "bad": attrs.field(type=tp)})
    with pytest.raises(LMStudioValueError, match=r"Made\.bad: there is no JSON Schema for"):
        json_schema(made)


def test_a_class_made_of_a_functions_parameters_has_a_schema():
    parameters = {"a": attrs.field(type=int), "b": attrs.field(type=list[Point], default=[])}
    schema = json_schema(attrs.make_class("AddParameters", parameters, kw_only=True))
    assert schema["properties"]["b"]["items"] == json_schema(Point)
    assert schema["properties"]["b"]["default"] == []
    assert schema["required"] == ["a"]
