"""Writes down what the official package tells a model of some functions, as data.

    python official_tools.py > official_tools.json

Run it with a Python that has the official `lmstudio` package. tests/agent/test_tools.py compares
what this package tells of the same functions.
"""

import dataclasses
import datetime
import decimal
import enum
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import lmstudio


class Unit(enum.Enum):
    METRE = "m"
    FOOT = "ft"


@dataclasses.dataclass
class Point:
    """A place."""

    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    limit: int


# ruff: noqa: B006, UP007, UP045
def nothing() -> None: ...


def scalars(a: int, b: float, c: str, d: bool, e: None) -> int: ...


def defaults(a: int = 1, b: float = 0.5, c: str = "x", d: bool = False, e: Any = 5): ...


def only_by_name(a: int, *, b: str, c: str = "ä"): ...


def optional(a: Optional[int], b: str | None = None, c: Optional[list[int]] = None): ...


def unions(a: Union[int, str], b: int | float | str = 1, c: list[int | None] | None = None): ...


def literals(a: Literal["z", "a"], b: Literal[2, 1] = 2): ...


def lists(a: list, b: list[str], c: list[list[float]], d: list[int] = []): ...


def tuples(a: tuple[int, str], b: tuple[int, ...], c: tuple[str, ...] = ()): ...


def sets(a: set[int], b: frozenset[str], c: set[str] = set()): ...


def dicts(a: dict, b: dict[str, int], c: dict[str, list[str]], d: dict[str, Any] = {}): ...


def abstract(a: Sequence[int], b: Mapping[str, float]): ...


def anything(a: Any, b: list[Any]): ...


def in_quotes(a: "int", b: "list[str] | None" = None) -> "str": ...


def with_format(a: datetime.date, b: uuid.UUID): ...


def required_after_default(*, a: int = 1, b: int, c: "Annotated[int, 5]"): ...


def enums(a: Unit, b: Unit = Unit.FOOT): ...


def classes(a: Point, b: list[Point], c: dict[str, Options]): ...


def times(a: datetime.datetime, b: datetime.time): ...


def decimals(a: decimal.Decimal): ...


def described(a: Annotated[int, "How many."]): ...


FUNCTIONS = (
    nothing,
    scalars,
    defaults,
    only_by_name,
    optional,
    unions,
    literals,
    lists,
    tuples,
    sets,
    dicts,
    abstract,
    anything,
    in_quotes,
    with_format,
    required_after_default,
    enums,
    classes,
    times,
    decimals,
    described,
)


def main():
    """Print all of it as JSON."""
    tools = {}
    for function in FUNCTIONS:
        definition = lmstudio.ToolFunctionDef.from_callable(function, description="Do it.")
        _, sent = definition._to_llm_tool_def()
        tools[function.__name__] = sent.to_dict()["function"]["parameters"]
    json.dump(
        {"version": lmstudio.__version__, "tools": tools}, sys.stdout, indent=1, sort_keys=True
    )
    print()


if __name__ == "__main__":
    main()
