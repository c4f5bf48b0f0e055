"""`BaseModel`: how its classes are made, what they are given, and lazy annotations."""

import copy
import pickle
import sys
import types

import attrs
import pytest
from values.schema_classes import PERSON, Person, Point

from lmstudio._json.from_json import ValidationError, from_json
from lmstudio._json.json_schema import BaseModel, ModelSchema, json_schema
from lmstudio.errors import LMStudioValueError


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
