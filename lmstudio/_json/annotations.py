"""What Python types are made of, as far as JSON has a form for them."""

from __future__ import annotations

import collections.abc as abc
import copy
import dataclasses
import enum
import functools
import json
import os
import types
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from .._api.numbers import as_bool, as_number
from .._api.shown import shown
from ..errors import LMStudioValueError

# What JSON Schema calls them.
SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
# What to make of a JSON array.
ARRAYS: dict[Any, Any] = {
    **dict.fromkeys((list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable), list),
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    frozenset: frozenset,
    tuple: tuple,
}
OBJECTS = (dict, abc.Mapping, abc.MutableMapping)
# Strings in JSON, and their formats; by name, so that uuid and decimal need not be imported.
FORMATS: dict[str, str | None] = {
    "datetime.datetime": "date-time",
    "datetime.date": "date",
    "datetime.time": "time",
    "uuid.UUID": "uuid",
    "decimal.Decimal": None,  # some servers refuse a format that they do not know
}


class Field(NamedTuple):
    """A field of an attrs class, a dataclass or a TypedDict."""

    name: str
    argument: str  # of __init__
    type: Any
    is_required: bool
    default: Any  # attrs.NOTHING: none, or none that can be told in advance
    description: str | None = None


_EMPTY = (list, dict, set, frozenset, tuple)
_FACTORY: Any = attrs.Factory  # mypy takes it for a function


class CopyOf:
    """A factory of copies of one value: what a default that may change has to be."""

    def __init__(self, value: Any) -> None:
        """Keep the value, which nobody else gets."""
        self._value = value

    def __call__(self) -> Any:
        """Return a copy."""
        return copy.deepcopy(self._value)


def has_fields(cls: Any) -> bool:
    """Tell whether this is an attrs class, a dataclass or a TypedDict."""
    is_record = attrs.has(cls) or dataclasses.is_dataclass(cls)
    return is_record or hasattr(cls, "__required_keys__")  # a TypedDict, typing_extensions' too


def is_any(tp: Any) -> bool:
    """Tell whether any value is of this type."""
    return tp is Any or tp is object or isinstance(tp, TypeVar)


def is_union(tp: Any) -> bool:
    """Tell whether this is a union of types, in either spelling."""
    return get_origin(tp) in (Union, types.UnionType)


@functools.lru_cache(maxsize=256)
def fields_of(cls: Any) -> tuple[Field, ...]:
    """Return the fields that ``__init__`` takes, or the keys of a TypedDict.

    Raises:
        LMStudioValueError: An annotation cannot be evaluated.
    """
    hints = type_hints(cls)
    if attrs.has(cls):
        return tuple(
            _field(f, f.alias or f.name, hints.get(f.name, f.type or Any), f.default)
            for f in attrs.fields(cls)
            if f.init
        )
    if dataclasses.is_dataclass(cls):
        return tuple(
            _field(f, f.name, hints[f.name], _dataclass_default(f))
            for f in dataclasses.fields(cls)
            if f.init
        )
    return tuple(
        Field(name, name, tp, _is_key_required(cls, name, tp), attrs.NOTHING)
        for name, tp in hints.items()
    )


def type_hints(cls: Any) -> dict[str, Any]:
    """Return the types of a class's attributes, by name.

    Raises:
        LMStudioValueError: An annotation cannot be evaluated.
    """
    try:
        try:
            return get_type_hints(cls, include_extras=True)
        except NameError:
            # A class in a function does not see its own name.
            return get_type_hints(cls, None, {cls.__name__: cls}, include_extras=True)
    except NameError as exc:
        raise LMStudioValueError(
            f"the annotations of {cls.__name__} cannot be read here: {exc}"
        ) from None


def _field(field: Any, argument: str, tp: Any, default: Any) -> Field:
    shown = default
    if isinstance(default, _FACTORY):
        factory: Any = default.factory
        is_same = factory in _EMPTY or isinstance(factory, CopyOf)
        shown = factory() if is_same else attrs.NOTHING
    description = field.metadata.get("description")
    return Field(field.name, argument, tp, default is attrs.NOTHING, shown, description)


def _dataclass_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return attrs.Factory(field.default_factory)
    return attrs.NOTHING if field.default is dataclasses.MISSING else field.default


def _is_key_required(cls: Any, name: str, tp: Any) -> bool:
    # The wrapper comes first: a class with lazy annotations has not seen it.
    wrapper = _wrapper(tp)
    return wrapper == "Required" or (wrapper != "NotRequired" and name in cls.__required_keys__)


def _wrapper(tp: Any) -> Any:
    return getattr(get_origin(tp), "_name", None)


def unwrap(tp: Any) -> tuple[Any, str | None]:
    """Return a type without what is wrapped around it, and the description found there."""
    description = None
    while True:
        if get_origin(tp) is Annotated:
            for note in tp.__metadata__:
                text = note if isinstance(note, str) else getattr(note, "description", None)
                description = text if isinstance(text, str) else description
            tp = tp.__origin__
        elif _wrapper(tp) in ("Required", "NotRequired", "ReadOnly"):
            (tp,) = get_args(tp)
        elif hasattr(tp, "__supertype__"):
            tp = tp.__supertype__  # NewType
        elif type(tp).__name__ == "TypeAliasType":
            tp = tp.__value__
        else:
            return (type(None) if tp is None else tp), description


def full_name(tp: Any) -> str:
    """Return the name of a class with its module's."""
    return f"{getattr(tp, '__module__', '')}.{getattr(tp, '__qualname__', '')}"


def to_json_data(value: Any) -> Any:
    """Return a value as JSON data.

    Raises:
        TypeError, ValueError: JSON has no form for it.
    """
    return json.loads(json.dumps(value, default=json_default, allow_nan=False))


def json_default(value: Any) -> Any:
    """Return JSON data for an object that is none: what ``json.dumps(default=)`` takes.

    Raises:
        TypeError: JSON has no form for it.
    """
    cls: Any = type(value)
    if hasattr(cls, "model_dump"):  # a model of pydantic
        return value.model_dump(mode="json")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, enum.Enum):
        return value.value
    if has_fields(cls):
        return {field.name: getattr(value, field.name) for field in fields_of(cls)}
    if isinstance(value, (set, frozenset)):
        return list(value)
    if hasattr(cls, "isoformat"):
        return value.isoformat()
    if full_name(cls) in FORMATS:
        return str(value)
    if not getattr(value, "shape", ()):  # a number of numpy's, no array of one number
        for plain in (as_bool(value), as_number(value)):
            if plain is not None:
                return plain
    if hasattr(cls, "to_dict") and hasattr(value, "index"):
        return _table_as_data(value)
    if hasattr(cls, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON has no form for {shown(value)}")


def _table_as_data(table: Any) -> Any:
    """Return a table of pandas as its rows, with what they are called if that says something."""
    if type(table.index).__name__ != "RangeIndex":
        table = table.reset_index()
    return table.tolist() if hasattr(table, "tolist") else table.to_dict(orient="records")
