"""Classes of every kind that a tool may ask for."""

import dataclasses
import enum

import attrs
import typing_extensions

import lmstudio as lms


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@attrs.define
class Box:
    corner: Point


class Options(typing_extensions.TypedDict, total=False):
    limit: int


class Book(lms.BaseModel):
    """A book."""

    title: str
    tags: list[str] = []  # noqa: RUF012 (ours are copied)
