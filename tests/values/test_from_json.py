"""JSON becomes typed values, or an error that names the place."""

import datetime
import decimal
import uuid
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from values.schema_classes import Book, Keys, Kind, Level, Line, Name, Node, Person, Point

from lmstudio._json.annotations import to_json_data
from lmstudio._json.from_json import ValidationError, from_json
from lmstudio._json.json_schema import BaseModel, json_schema
from lmstudio.errors import LMStudioError, LMStudioValueError

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
        encoded = to_json_data(value)
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


def test_what_can_be_in_no_set_is_told_in_the_words_of_python():  # which differ by version
    with pytest.raises(ValidationError, match="unhashable type: 'list'"):
        from_json([[1]], set[list[int]])


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
