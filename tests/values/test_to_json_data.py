"""Values of Python that JSON has no word for, in what a tool returns or a config holds."""

import datetime
import enum
import pathlib
import uuid

import attrs
import pydantic
import pytest

from lmstudio._json.annotations import to_json_data


class Color(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    when: datetime.date


@attrs.define
class Point:
    x: int
    y: Color


class Column:
    """A column of a table, as pandas has it."""

    def __init__(self, index):
        self.index = index

    def reset_index(self):
        return Table()

    def to_dict(self):
        raise AssertionError("a column is a list")

    def tolist(self):
        return [1, 2]


class Table:
    """A table, as pandas has it."""

    def to_dict(self, orient):
        return [{"index": "a", "value": 1}]


class RangeIndex:
    pass


DAY = datetime.date(2026, 1, 2)
NUMBER = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (Model(when=DAY), {"when": "2026-01-02"}),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Color.RED, "red"),
        (Point(1, Color.RED), {"x": 1, "y": "red"}),
        ({"a": frozenset([1])}, {"a": [1]}),
        (DAY, "2026-01-02"),
        (NUMBER, str(NUMBER)),
        (Column(RangeIndex()), [1, 2]),
        (Column(object()), [{"index": "a", "value": 1}]),
    ],
)
def test_a_value_has_the_form_that_json_can_hold(value, data):
    assert to_json_data(value) == data


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="JSON has no form for"):
        to_json_data(object())
