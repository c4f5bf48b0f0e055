"""What Python types are made of, and values of these types out of JSON data."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import functools
import json
import reprlib
import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from .errors import LMStudioValueError

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
# JSON Schema's formats of strings; by name, so that uuid and decimal need not be imported.
FORMATS = {
    "datetime.datetime": "date-time",
    "datetime.date": "date",
    "datetime.time": "time",
    "uuid.UUID": "uuid",
    "decimal.Decimal": "decimal",
}


class ValidationError(LMStudioValueError):
    """JSON data does not fit the type that it was to become; the text names the place."""


# -- types ----------------------------------------------------------------------------------------


class Field(NamedTuple):
    """A field of an attrs class, a dataclass or a TypedDict."""

    name: str
    argument: str  # of __init__
    type: Any
    default: Any  # attrs.NOTHING: required
    description: str | None


_LEFT_OUT = attrs.Factory(object)  # optional, and has no default


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
    hints = _hints(cls)
    if attrs.has(cls):
        return tuple(
            Field(f.name, f.alias or f.name, hints.get(f.name, f.type or Any), f.default, _note(f))
            for f in attrs.fields(cls)
            if f.init
        )
    if dataclasses.is_dataclass(cls):
        return tuple(
            Field(f.name, f.name, hints[f.name], _dataclass_default(f), _note(f))
            for f in dataclasses.fields(cls)
            if f.init
        )
    return tuple(
        Field(name, name, tp, attrs.NOTHING if _is_required(cls, name, tp) else _LEFT_OUT, None)
        for name, tp in hints.items()
    )


def _hints(cls: Any) -> dict[str, Any]:
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


def _note(field: Any) -> str | None:
    note = field.metadata.get("description")
    return note if isinstance(note, str) else None


def _dataclass_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return attrs.Factory(field.default_factory)
    return attrs.NOTHING if field.default is dataclasses.MISSING else field.default


def _is_required(cls: Any, name: str, tp: Any) -> bool:
    # The wrapper comes first: a class with lazy annotations has not seen it.
    wrapper = _wrapper(tp)
    return wrapper == "Required" or (wrapper != "NotRequired" and name in cls.__required_keys__)


def _wrapper(tp: Any) -> Any:
    return getattr(get_origin(tp), "_name", None)


def bare(tp: Any) -> tuple[Any, str | None]:
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


# -- values as JSON -------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Return a value as JSON data.

    Raises:
        TypeError, ValueError: JSON has no form for it.
    """
    return json.loads(json.dumps(value, default=_encode, allow_nan=False))


def _encode(value: Any) -> Any:
    cls = type(value)
    if isinstance(value, enum.Enum):
        return value.value
    if has_fields(cls):
        return {field.name: getattr(value, field.name) for field in fields_of(cls)}
    if isinstance(value, (set, frozenset)):
        return list(value)
    if full_name(cls) in FORMATS:
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    raise TypeError(f"JSON has no form for {value!r}")


# -- values ---------------------------------------------------------------------------------------


def response_class(response_format: object) -> type | None:
    """Return the class that a reply can become: ``response_format``, if it is such a class.

    A class that merely gives a schema, and anything that is no class, cannot be made from data.
    """
    if isinstance(response_format, type):
        if hasattr(response_format, "model_validate") or has_fields(response_format):
            return response_format
    return None


def from_json(data: Any, tp: Any, where: str = "") -> Any:
    """Return JSON data as a value of a type; nothing is coerced, unknown keys are ignored.

    Args:
        data: What ``json.loads`` gave.
        tp: What `lmstudio.schema.json_schema` takes. A class with ``model_validate()`` does it
            itself.
        where: The name of the place of ``data``, for the error.

    Raises:
        ValidationError: The data does not fit, or the class does not take it.
        LMStudioValueError: The type is none that JSON has a form for.
    """
    return _read(data, tp, where, False)


def _read(data: Any, tp: Any, where: str, exact: bool) -> Any:
    """Read; an `exact` reading takes no unknown keys."""
    tp, _ = bare(tp)
    origin, args = get_origin(tp) or tp, get_args(tp)
    if is_any(tp):
        return data
    if origin in SCALARS:
        return _read_scalar(data, tp, where)
    if origin is Literal:
        return _read_member(data, args, where)
    if is_union(tp):
        return _read_union(data, args, where, exact)
    if origin in ARRAYS:
        return _read_array(data, ARRAYS[origin], args, where, exact)
    if origin in OBJECTS:
        return _read_object(data, args or (Any, Any), where, exact)
    if full_name(origin) in FORMATS:
        return _read_formatted(data, origin, where)
    if hasattr(origin, "model_validate"):
        return _call(where, origin.model_validate, data)
    if has_fields(origin):
        return _read_fields(data, origin, where, exact)
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return _read_member(data, origin, where)
    raise LMStudioValueError(f"JSON has no form for {tp!r}")


def _read_scalar(data: Any, tp: Any, where: str) -> Any:
    kind = type(data)
    if kind is tp:
        return data
    if tp is float and kind is int:
        return _call(where, float, data)  # it may be too large
    if tp is int and kind is float and data.is_integer():
        return int(data)
    _fail(where, SCALARS[tp], data)


def _read_member(data: Any, members: Any, where: str) -> Any:
    values = [plain(member) for member in members]
    for value, member in zip(values, members, strict=True):
        if value == data and isinstance(value, bool) == isinstance(data, bool):
            return member
    _fail(where, f"one of {', '.join(map(repr, values))}", data)


def _read_union(data: Any, members: Any, where: str, exact: bool) -> Any:
    # The first member that fits; but an object is rather that whose fields it has, no others.
    for exactly in (True, exact):
        for member in members:
            try:
                return _read(data, member, where, exactly)
            except ValidationError:
                continue
    _fail(where, " or ".join(getattr(tp, "__name__", str(tp)) for tp in members), data)


def _read_array(data: Any, kind: Any, args: tuple[Any, ...], where: str, exact: bool) -> Any:
    if not isinstance(data, list):
        _fail(where, "array", data)
    if kind is tuple and args and args[-1] is not ...:
        if len(data) != len(args):
            _fail(where, f"array of length {len(args)}", data)
        types_of_items = args
    else:
        types_of_items = (args[0] if args else Any,) * len(data)
    pairs = enumerate(zip(data, types_of_items, strict=True))
    items = [_read(item, tp, f"{where}[{i}]", exact) for i, (item, tp) in pairs]
    return _call(where, kind, items)  # a set takes no lists


def _read_object(data: Any, args: tuple[Any, ...], where: str, exact: bool) -> Any:
    if not isinstance(data, Mapping):
        _fail(where, "object", data)
    key_type, value_type = args
    return {
        _read_key(key, key_type, where): _read(value, value_type, _join(where, key), exact)
        for key, value in data.items()
    }


def _read_key(key: str, tp: Any, where: str) -> Any:
    # JSON's keys are strings: {"1": ...} is what dict[int, ...] looks like.
    if tp is int or tp is float:
        return _call(where, tp, key)
    return _read(key, tp, where, False)


def _read_formatted(data: Any, tp: Any, where: str) -> Any:
    if not isinstance(data, str):
        _fail(where, FORMATS[full_name(tp)], data)
    if hasattr(tp, "fromisoformat"):
        # Python 3.10 does not know "Z".
        data = data[:-1] + "+00:00" if data.endswith("Z") else data
        return _call(where, tp.fromisoformat, data)
    return _call(where, tp, data)


def _read_fields(data: Any, cls: Any, where: str, exact: bool) -> Any:
    if not isinstance(data, Mapping):
        _fail(where, "object", data)
    arguments = {}
    fields = fields_of(cls)
    for field in fields:
        if field.name in data:
            value = _read(data[field.name], field.type, _join(where, field.name), exact)
            arguments[field.argument] = value
        elif field.default is attrs.NOTHING:
            raise ValidationError(f"{_join(where, field.name)}: missing")
    if exact and not set(data) <= {field.name for field in fields}:
        raise ValidationError(f"{where}: unknown keys")
    return _call(where, functools.partial(cls, **arguments))


def _call(where: str, function: Any, *arguments: Any) -> Any:
    """Call what the user's or Python's own class checks its data with."""
    try:
        return function(*arguments)
    except Exception as exc:
        raise ValidationError(f"{where}: {exc}" if where else str(exc)) from exc


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _fail(where: str, expected: str, data: Any) -> NoReturn:
    text = f"expected {expected}, got {reprlib.repr(data)}"
    raise ValidationError(f"{where}: {text}" if where else text)
