"""Classes of every kind that has a schema."""

import dataclasses
import enum
from typing import NewType, TypedDict

import attrs

from lmstudio._json.json_schema import BaseModel

Name = NewType("Name", str)


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
