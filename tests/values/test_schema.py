"""Structured output: schemas from types, `BaseModel`, references put in place, typed replies."""

import collections.abc as abc
import copy
import dataclasses
import datetime
import decimal
import enum
import pickle
import sys
import types
import uuid
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypedDict, TypeVar, Union

import attrs
import pytest
import typing_extensions
from hypothesis import given, reject
from hypothesis import strategies as st

from lmstudio._config.options import LlmPredictionConfig, LlmStructuredPredictionSetting
from lmstudio._config.to_wire import STRUCTURED_KEY, prediction_config_to_kv, wants_structured
from lmstudio._json.annotations import plain
from lmstudio._json.dereference import inline_refs
from lmstudio._json.from_json import from_json, response_class
from lmstudio._json.json_schema import (
    BaseModel,
    ModelSchema,
    ValidationError,
    class_schema,
    json_schema,
)
from lmstudio.errors import LMStudioError, LMStudioValueError

Name = NewType("Name", str)
T = TypeVar("T")


class Kind(enum.Enum):
    NOVEL = "novel"
    POEM = "poem"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Person(BaseModel):
    """Who wrote it."""

    full_name: str
    born: int | None = None


class Book(BaseModel):
    title: str
    author: Person
    tags: list[str] = []  # noqa: RUF012 (ours are copied)
    kind: Kind = Kind.NOVEL


class Node(BaseModel):
    value: int
    children: "list[Node]" = []  # noqa: RUF012


class Folder(BaseModel):
    files: "list[File]"


class File(BaseModel):
    parent: Folder | None


@attrs.define
class Point:
    x: float
    y: float = attrs.field(default=0.0, metadata={"description": "upwards"})


@dataclasses.dataclass
class Line:
    start: Point
    end: Point
    points: list[Point] = dataclasses.field(default_factory=list)
    width: int = dataclasses.field(default=1, metadata={"description": "in pixels"})


class Base(TypedDict):
    a: int


class Keys(Base, total=False):
    b: str


PERSON = {
    "title": "Person",
    "description": "Who wrote it.",
    "type": "object",
    "properties": {
        "full_name": {"type": "string"},
        "born": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    },
    "required": ["full_name"],
}


# ---- BaseModel ----


def test_a_model_is_made_by_position_or_keyword_and_shows_its_fields():
    person = Person("Ann", born=1900)
    assert person == Person(full_name="Ann", born=1900) != Person("Ann")
    assert repr(person) == "Person(full_name='Ann', born=1900)"
    person.born = 1901
    assert copy.deepcopy(person) == pickle.loads(pickle.dumps(person)) == person


def test_a_field_without_default_may_follow_one_with_a_default_and_is_given_by_name():
    class Late(BaseModel):
        a: int = 1
        b: int

    assert repr(Late(b=3)) == "Late(a=1, b=3)"
    assert json_schema(Late)["required"] == ["b"]
    with pytest.raises(TypeError):
        Late(2, 3)


def test_each_instance_has_its_own_copy_of_a_list_that_is_a_default():
    class Bag(BaseModel):
        items: list[str] = ["a"]  # noqa: RUF012
        more: dict[str, int] = attrs.field(default={})

    one, other = Bag(), Bag()
    one.items.append("b")
    one.more["b"] = 1
    assert (other.items, other.more, Bag().items) == (["a"], {}, ["a"])
    shown = Bag.model_json_schema()["properties"]
    assert (shown["items"]["default"], shown["more"]["default"]) == (["a"], {})


def test_a_subclass_has_the_fields_of_its_bases_and_may_change_them():
    class Poet(Person):
        """A poet."""

        born: int = 1900
        rhymes: bool

    assert list(Poet.model_json_schema()["properties"]) == ["full_name", "born", "rhymes"]
    assert Poet.model_json_schema()["description"] == "A poet."
    poet = Poet(full_name="Ann", rhymes=True)
    assert poet.born == 1900
    assert isinstance(poet, Person)


def test_a_subclass_does_not_repeat_the_description_of_its_base():
    class Poet(Person):
        pass

    assert Poet("Ann") != Person("Ann")
    assert {
        **Poet.model_json_schema(),
        "description": "Who wrote it.",
    } == {**PERSON, "title": "Poet"}


def test_options_of_the_class_statement_are_those_of_attrs():
    class Frozen(BaseModel, frozen=True):
        a: int

    assert {Frozen(1): "x"}[Frozen(1)] == "x"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Frozen(1).a = 2


def test_methods_class_variables_and_post_init_work_as_in_any_class():
    class Circle(BaseModel):
        kind = "round"
        radius: float

        def __post_init__(self):
            if self.radius < 0:
                raise ValueError("a negative radius")

        @property
        def diameter(self):
            return 2 * self.radius

    assert (Circle(2.0).diameter, Circle.kind) == (4.0, "round")
    assert list(Circle.model_json_schema()["properties"]) == ["radius"]
    with pytest.raises(ValidationError, match="a negative radius"):
        from_json({"radius": -1}, Circle)


def test_a_model_has_the_protocol_that_pydantic_models_have():
    assert issubclass(Person, ModelSchema)
    assert not issubclass(Point, ModelSchema)


SOURCE = """
from typing import ClassVar, Literal, Optional
from lmstudio import BaseModel

class Tree(BaseModel):
    count: ClassVar[int] = 0
    size: "int | None"
    kind: Literal["oak", "elm"] = "oak"
    leaves: "Optional[list[Leaf]]" = None

class Leaf(BaseModel):
    tree: "Tree | None" = None

def local():
    class Inner(BaseModel):
        x: int
        again: "list[Inner]" = []
    return Inner
"""


@pytest.fixture(params=["", "from __future__ import annotations"])
def module(request, monkeypatch):
    module = types.ModuleType("some_module")
    monkeypatch.setitem(sys.modules, "some_module", module)
    exec(compile(request.param + SOURCE, "some_module.py", "exec", dont_inherit=True), vars(module))
    return module


def test_annotations_may_be_lazy_and_name_later_classes(module):
    schema = module.Tree.model_json_schema()
    assert list(schema["properties"]) == ["size", "kind", "leaves"]
    assert schema["required"] == ["size"]
    data = {"size": None, "kind": "elm", "leaves": [{"tree": {"size": 3}}, {}]}
    tree = from_json(data, module.Tree)
    assert tree == module.Tree(None, "elm", [module.Leaf(module.Tree(3)), module.Leaf()])


def test_a_class_in_a_function_may_refer_to_itself(module):
    inner = module.local()
    assert from_json({"x": 1, "again": [{"x": 2}]}, inner) == inner(1, [inner(2)])
    assert "$defs" in inner.model_json_schema()


def test_an_annotation_that_cannot_be_evaluated_is_named():
    class Broken(BaseModel):
        x: "Nothing"  # noqa: F821

    with pytest.raises(LMStudioValueError, match=r"Broken.*'Nothing' is not defined"):
        Broken.model_json_schema()


# ---- schemas of types ----


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


# ---- references ----


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
    assert inline_refs(given_schema) == {
        "type": "array",
        "items": {"type": "object", "properties": {"b": {"type": "string", "title": "B"}}},
        "contains": {"type": "string", "title": "other", "description": "a B"},
    }
    assert given_schema == before


def test_the_top_of_a_schema_may_be_a_reference():
    target = {"type": "object", "properties": {"next": {"$ref": "#/definitions/N~0~1%20x"}}}
    schema = {"$ref": "#/definitions/N~0~1%20x", "definitions": {"N~/ x": target}}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N~0~1%20x"}}}
    (name, kept) = next(iter(inline_refs(schema)["$defs"].items()))
    assert kept == node
    assert {key: value for key, value in inline_refs(schema).items() if key != "$defs"} == node
    assert name == "N~/ x"  # where the pointer leads


def test_what_stands_beside_a_reference_holds_too():
    schema = {"$defs": {"A": {"minimum": 1, "maximum": 5}}, "$ref": "#/$defs/A", "minimum": 3}
    assert inline_refs(schema) == {"allOf": [{"minimum": 1, "maximum": 5}], "minimum": 3}
    schema = {"$defs": {"A": True}, "items": {"$ref": "#/$defs/A"}}
    assert inline_refs(schema) == {"items": {"allOf": [True]}}


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
    inlined = inline_refs(schema)
    assert inlined["properties"]["$defs"] == {"type": "string"}
    assert inlined["properties"]["default"] == schema["properties"]["default"]
    assert inlined["default"] == schema["default"]


def test_recursion_through_the_whole_schema_and_by_pointer():
    whole = {"type": "object", "properties": {"again": {"$ref": "#"}}}
    assert inline_refs(whole) == whole
    circle = {
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
        "$ref": "#/$defs/A",
    }
    assert inline_refs(circle)["$ref"].startswith("#/$defs/")
    first = {"anyOf": [{"type": "integer"}, {"items": {"$ref": "#/prefixItems/0"}}]}
    inlined = inline_refs({"prefixItems": [first]})
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
    assert inline_refs(schema) == {
        "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A_"}],
        "$defs": {"A": part, "A_": {"contains": {"$ref": "#/$defs/A_"}}},
    }


@pytest.mark.parametrize("ref", ["#/$defs/None", "#anchor", "#/type/x", "#/items/9"])
def test_a_schema_with_a_reference_that_leads_nowhere_is_left_as_it_is(ref):
    schema = {"type": "array", "items": [{"$ref": ref}], "$defs": {"A": {}}}
    assert inline_refs(schema) == schema


def test_a_reference_to_another_document_stays():
    schema = {"items": {"$ref": "https://example.com/a.json", "title": "x"}}
    assert inline_refs(schema) == schema


# ---- typed values ----

LEAVES = st.sampled_from(
    [
        *(bool, str, int, float, type(None), Kind, Level, Literal["a", 1], int | str, Name),
        *(datetime.date, datetime.datetime, datetime.time, uuid.UUID, set[int], frozenset[str]),
        *(Person, Book, Node, Point, Line, Keys, Point | None, list[int] | Point, Line | Point),
    ]
)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda tp: list[tp]),
        inner.map(lambda tp: dict[str, tp]),
        inner.map(lambda tp: tuple[tp, ...]),
        inner.map(lambda tp: tp | None),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
    ),
    max_leaves=3,
)
NAMES = st.sampled_from(["a", "first_name", "_private", "type", "extra"])


@given(st.dictionaries(NAMES, TYPES, min_size=1, max_size=3), st.data())
def test_a_value_that_became_json_fits_its_schema_and_becomes_the_value_again(fields, data):
    cls = type("Made", (BaseModel,), {"__annotations__": fields, "__module__": __name__})
    value = cls(**{field.alias: data.draw(st.from_type(field.type)) for field in attrs.fields(cls)})
    try:
        encoded = plain(value)
    except ValueError:
        reject()  # NaN or an infinity, which JSON does not have
    assert from_json(encoded, cls) == value
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(json_schema(cls)).validate(encoded)


@pytest.mark.parametrize(
    ("data", "tp", "value"),
    [
        (1, float, 1.0),
        (1.0, int, 1),
        ("novel", Kind, Kind.NOVEL),
        (2.0, Level, Level.HIGH),
        ("poem", Literal["a", Kind.POEM], Kind.POEM),
        ("03:04:05Z", datetime.time, datetime.time(3, 4, 5, tzinfo=datetime.timezone.utc)),
        ("1.50", decimal.Decimal, decimal.Decimal("1.50")),
        ({"1": "a"}, dict[int, str], {1: "a"}),
        ({"poem": 1}, dict[Kind, int], {Kind.POEM: 1}),
        ([[1]], list, [[1]]),
        ([1, 1], set[int], {1}),
        ([1, "a"], tuple[int, str], (1, "a")),
        ("2020", datetime.date | str, "2020"),
        (True, int | bool, True),
        ({"x": 1}, Annotated[Point, "where"], Point(1.0)),
        ({"x": 1, "unknown": 2}, Point, Point(1.0)),
        (None, Point | None, None),
    ],
)  # fmt: skip
def test_json_data_becomes_typed(data, tp, value):
    typed = from_json(data, tp)
    assert (typed, type(typed)) == (value, type(value))


@pytest.mark.parametrize(
    ("data", "tp", "problem"),
    [
        ("1", int, "expected integer, got '1'"),
        (True, int, "expected integer, got True"),
        (1, bool, "expected boolean, got 1"),
        (1.5, int, "expected integer, got 1.5"),
        (10**400, float, "int too large to convert to float"),
        (None, str, "expected string, got None"),
        ("ab", list[str], "expected array, got 'ab'"),
        ([1], dict, "expected object, got [1]"),
        ([1, "x"], list[int], "[1]: expected integer, got 'x'"),
        ([1], tuple[int, str], "expected array of length 2, got [1]"),
        ([[1]], set[list[int]], "unhashable type: 'list'"),
        ("essay", Kind, "expected one of 'novel', 'poem', got 'essay'"),
        (True, Literal[1], "expected one of 1, got True"),
        ({"x": {}}, dict[int, Any], "invalid literal for int() with base 10: 'x'"),
        (1.5, int | str, "expected int or str, got 1.5"),
        ("today", datetime.date, "Invalid isoformat string: 'today'"),
        (5, datetime.date, "expected string, got 5"),
        ("x", uuid.UUID, "badly formed hexadecimal UUID string"),
        ("Ann", Person, "expected object, got 'Ann'"),
        ({}, Person, "full_name: missing"),
        ({"title": "T", "author": {}}, Book, "author.full_name: missing"),
        ({"start": {"x": "0"}, "end": {}}, Line, "start.x: expected number, got '0'"),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_an_error_that_names_the_place(data, tp, problem):
    with pytest.raises(ValidationError) as caught:
        from_json(data, tp)
    assert str(caught.value) == problem


def test_a_type_that_json_has_no_form_for_cannot_be_read():
    with pytest.raises(LMStudioValueError, match="JSON has no form for <class 'bytes'>") as caught:
        from_json("x", bytes)
    assert not isinstance(caught.value, ValidationError)


def test_a_union_prefers_the_class_that_has_exactly_the_keys():
    @attrs.define
    class Small:
        x: float

    data = {"x": 1, "y": 2}
    assert from_json(data, Small | Point) == Point(1, 2)
    assert from_json({**data, "z": 3}, Small | Point) == Small(1)
    assert from_json([{"x": 1}], list[Point | Small]) == [Point(1)]


def test_a_validation_error_is_one_of_the_familys():
    assert issubclass(ValidationError, LMStudioValueError)
    assert issubclass(ValidationError, LMStudioError)
    assert issubclass(ValidationError, ValueError)


# ---- response_format ----


class Foreign:
    """What pydantic's models look like from outside."""

    @classmethod
    def model_json_schema(cls):
        return {
            "$defs": {"Item": {"type": "object", "properties": {}}},
            "type": "object",
            "properties": {"item": {"$ref": "#/$defs/Item"}},
        }

    @classmethod
    def model_validate(cls, data):
        if "item" not in data:
            raise KeyError("item")
        return ("made from", data)


FOREIGN = {"type": "object", "properties": {"item": {"type": "object", "properties": {}}}}


def sent(response_format):
    fields = prediction_config_to_kv(None, response_format)
    assert wants_structured(fields)
    (value,) = [field["value"] for field in fields if field["key"] == STRUCTURED_KEY]
    return value


@pytest.mark.parametrize("cls", [Person, Book, Node, Point, Line, Keys])
def test_a_class_may_be_the_form_of_a_reply(cls):
    assert sent(cls) == {"type": "json", "jsonSchema": json_schema(cls)}
    assert response_class(cls) is cls


def test_a_foreign_class_gives_its_schema_and_reads_its_replies_itself():
    assert sent(Foreign) == {"type": "json", "jsonSchema": FOREIGN}
    assert json_schema(list[Foreign]) == {"type": "array", "items": FOREIGN}
    assert response_class(Foreign) is Foreign
    assert from_json([{"item": 1}], list[Foreign]) == [("made from", {"item": 1})]
    with pytest.raises(ValidationError, match="item") as caught:
        from_json({}, Foreign)
    assert isinstance(caught.value.__cause__, KeyError)


class ForeignBranch:
    """A recursive class, as pydantic would describe it."""

    @classmethod
    def model_json_schema(cls):
        branch = {"type": "object", "properties": {"sub": {"$ref": "#/$defs/Branch"}}}
        return {"$defs": {"Branch": branch}, "$ref": "#/$defs/Branch"}


def test_a_recursive_foreign_class_may_be_a_field():
    tree = attrs.make_class(
        "Tree", {"a": attrs.field(type=ForeignBranch), "b": attrs.field(type=list[ForeignBranch])}
    )
    branch = {"type": "object", "properties": {"sub": {"$ref": "#/$defs/Branch"}}}
    schema = json_schema(tree)
    assert schema["properties"] == {"a": branch, "b": {"type": "array", "items": branch}}
    assert schema["$defs"] == {"Branch": branch}


def test_two_classes_of_one_name_are_an_error_if_the_foreign_one_is_recursive():
    class Branch(BaseModel):
        foreign: ForeignBranch

    with pytest.raises(LMStudioValueError, match="two classes Branch, one of them recursive"):
        json_schema(Branch)


def test_a_class_may_change_its_schema():
    class Strict(BaseModel):
        x: int

        @classmethod
        def model_json_schema(cls):
            return {**super().model_json_schema(), "additionalProperties": False}

    assert sent(Strict)["jsonSchema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "response_format",
    [
        Foreign.model_json_schema(),
        {"type": "json", "jsonSchema": Foreign.model_json_schema()},
        LlmStructuredPredictionSetting(type="json", json_schema=Foreign.model_json_schema()),
        {"$defs": {"F": FOREIGN}, "$ref": "#/$defs/F"},
    ],
)
def test_references_are_put_in_place_in_whatever_way_a_schema_is_given(response_format):
    before = copy.deepcopy(response_format)
    assert sent(response_format) == {"type": "json", "jsonSchema": FOREIGN}
    assert response_format == before


def test_references_are_put_in_place_in_the_config_too():
    setting = LlmStructuredPredictionSetting(type="json", json_schema=Foreign.model_json_schema())
    fields = prediction_config_to_kv(LlmPredictionConfig(structured=setting))
    assert fields == [{"key": STRUCTURED_KEY, "value": {"type": "json", "jsonSchema": FOREIGN}}]
    assert "$defs" in setting.json_schema


@pytest.mark.parametrize("nothing", [int, Kind, Person("Ann"), Foreign(), None, "text", list[int]])
def test_what_is_no_class_with_fields_has_no_class_schema(nothing):
    assert class_schema(nothing) is None
    assert response_class(nothing) is None


def test_a_class_that_only_gives_a_schema_cannot_be_made():
    class Described:
        @classmethod
        def model_json_schema(cls):
            return {"type": "object"}

    assert class_schema(Described) == {"type": "object"}
    assert response_class(Described) is None


# ---- pydantic ----


@pytest.fixture
def pydantic():
    return pytest.importorskip("pydantic")


def test_pydantic_models_give_schemas_without_references(pydantic):
    class Item(pydantic.BaseModel):
        name: str = pydantic.Field(description="what it is")

    class Order(pydantic.BaseModel):
        items: list[Item]
        first: Item | None = None

    schema = sent(Order)["jsonSchema"]
    assert "$" not in str(schema)
    assert schema["properties"]["items"]["items"]["properties"]["name"]["type"] == "string"
    assert from_json({"items": [{"name": "a"}]}, Order) == Order(items=[Item(name="a")])
    with pytest.raises(ValidationError, match=r"1 validation error for Order[^$]*items") as caught:
        from_json({}, Order)
    assert isinstance(caught.value.__cause__, pydantic.ValidationError)


def test_pydantic_models_nest_in_other_classes_and_may_be_recursive(pydantic):
    class Branch(pydantic.BaseModel):
        branches: "list[Branch]" = []  # noqa: RUF012

    Branch.model_rebuild(_types_namespace={"Branch": Branch})

    @attrs.define
    class Tree:
        root: Branch

    assert sent(Branch)["jsonSchema"]["type"] == "object"
    schema = json_schema(Tree)
    assert schema["properties"]["root"]["title"] == "Branch"
    assert schema["$defs"]["Branch"]["properties"]["branches"]["items"] == {
        "$ref": "#/$defs/Branch"
    }
    assert from_json({"root": {"branches": [{}]}}, Tree) == Tree(Branch(branches=[Branch()]))
