"""The form of a reply: classes of every kind, schemas, and pydantic models."""

import copy

import attrs
import pytest
from values.schema_classes import Book, Keys, Kind, Line, Node, Person, Point

from lmstudio._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from lmstudio._config.to_wire import STRUCTURED_KEY, prediction_config_to_kv, wants_structured
from lmstudio._json.from_json import ValidationError, from_json, response_class
from lmstudio._json.json_schema import BaseModel, class_schema, json_schema
from lmstudio.errors import LMStudioValueError

# -- response_format --------------------------------------------------------------------------


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


# -- pydantic ---------------------------------------------------------------------------------


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
