"""Makes values of Python types out of JSON data, and says what does not fit."""

from __future__ import annotations

import contextlib
import enum
import functools
import math
import reprlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, NoReturn, get_args, get_origin

from .._api.public import public
from ..errors import LMStudioValueError
from .annotations import (
    ARRAYS,
    FORMATS,
    OBJECTS,
    SCALARS,
    fields_of,
    full_name,
    has_fields,
    is_any,
    is_union,
    to_json_data,
    unwrap,
)


class ValidationError(LMStudioValueError):
    """JSON data does not fit the type that it was to become; the text names the place."""


public(ValidationError)


class _Rules(NamedTuple):
    exact: bool = False  # take no unknown keys
    coerce: bool = False  # take numbers and truth values that are written as texts, and so on


def response_class(response_format: object) -> type | None:
    """Return the class that a reply can become: ``response_format``, if it is such a class.

    A class that merely gives a schema, and anything that is no class, cannot be made from data.
    """
    if not isinstance(response_format, type):
        return None
    can_be_made = hasattr(response_format, "model_validate") or has_fields(response_format)
    return response_format if can_be_made else None


def from_json(data: Any, tp: Any, where: str = "", *, coerce: bool = False) -> Any:
    """Return JSON data as a value of a type; unknown keys are ignored.

    Args:
        data: What ``json.loads`` gave.
        tp: What `json_schema()` takes. A class with ``model_validate()`` does it
            itself.
        where: The name of the place of ``data``, for the error.
        coerce: Take what can only mean one thing: ``"3"`` as a number, ``"true"`` as a truth
            value, 3 as a text. Otherwise nothing is coerced.

    Raises:
        ValidationError: The data does not fit, or the class does not take it.
        LMStudioValueError: The type is none that JSON has a form for.
    """
    return _read(data, tp, where, _Rules(coerce=coerce))


def _read(data: Any, tp: Any, where: str, rules: _Rules) -> Any:
    tp, _ = unwrap(tp)
    origin, args = get_origin(tp) or tp, get_args(tp)
    if is_any(tp):
        return data
    if origin in SCALARS:
        return _read_scalar(data, tp, where, rules)
    if origin is Literal:
        return _read_member(data, args, where, rules)
    if is_union(tp):
        return _read_union(data, args, where, rules)
    if origin in ARRAYS:
        return _read_array(data, ARRAYS[origin], args, where, rules)
    if origin in OBJECTS:
        return _read_object(data, args or (Any, Any), where, rules)
    if full_name(origin) in FORMATS:
        return _read_formatted(data, origin, where, rules)
    if hasattr(origin, "model_validate"):
        return _call(where, origin.model_validate, data)
    if has_fields(origin):
        return _read_fields(data, origin, where, rules)
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return _read_member(data, origin, where, rules)
    raise LMStudioValueError(f"JSON has no form for {tp!r}")


def _read_scalar(data: Any, tp: Any, where: str, rules: _Rules) -> Any:
    kind = type(data)
    if kind is float and not math.isfinite(data):
        _fail(where, SCALARS[tp], data)  # Python reads NaN, JSON does not know it
    if kind is tp:
        return data
    if tp is float and kind is int:
        return _call(where, float, data)  # it may be too large
    if tp is int and kind is float and data.is_integer():
        return int(data)
    if rules.coerce:
        if tp is str and kind in (int, float):
            return str(data)
        if tp is bool and kind is str and data.lower() in ("true", "false"):
            return data.lower() == "true"
        if tp in (int, float) and kind is str:
            with contextlib.suppress(ValueError):
                number = tp(data)
                if math.isfinite(number):
                    return number
    _fail(where, SCALARS[tp], data)


def _read_member(data: Any, members: Any, where: str, rules: _Rules) -> Any:
    values = [to_json_data(member) for member in members]
    for value, member in zip(values, members, strict=True):
        if value == data and isinstance(value, bool) == isinstance(data, bool):
            return member
    if rules.coerce:
        for value, member in zip(values, members, strict=True):
            with contextlib.suppress(ValidationError):
                kind = type(value)
                if kind in SCALARS and value == _read_scalar(data, kind, where, rules):
                    return member
    _fail(where, f"one of {', '.join(map(repr, values))}", data)


def _read_union(data: Any, members: Any, where: str, rules: _Rules) -> Any:
    # The first member that fits; but an object is rather that whose fields it has, no others.
    for attempt in (_Rules(exact=True), rules._replace(coerce=False), rules):
        for member in members:
            try:
                return _read(data, member, where, attempt)
            except ValidationError:
                continue
    others = [member for member in members if member is not type(None)]
    if len(others) == 1 and data is not None:
        return _read(data, others[0], where, rules)  # which says what is wrong inside
    _fail(where, " or ".join(getattr(tp, "__name__", str(tp)) for tp in members), data)


def _read_array(data: Any, kind: Any, args: tuple[Any, ...], where: str, rules: _Rules) -> Any:
    if not isinstance(data, list):
        _fail(where, "array", data)
    if kind is tuple and args and args[-1] is not ...:
        if len(data) != len(args):
            _fail(where, f"array of length {len(args)}", data)
        types_of_items = args
    else:
        types_of_items = (args[0] if args else Any,) * len(data)
    pairs = enumerate(zip(data, types_of_items, strict=True))
    items = [_read(item, tp, f"{where}[{i}]", rules) for i, (item, tp) in pairs]
    return _call(where, kind, items)  # a set takes no lists


def _read_object(data: Any, args: tuple[Any, ...], where: str, rules: _Rules) -> Any:
    if not isinstance(data, Mapping):
        _fail(where, "object", data)
    key_type, value_type = args
    return {
        _read_key(key, key_type, where): _read(value, value_type, _join(where, key), rules)
        for key, value in data.items()
    }


def _read_key(key: str, tp: Any, where: str) -> Any:
    # JSON's keys are strings: {"1": ...} is what dict[int, ...] looks like.
    if tp is int or tp is float:
        return _call(where, tp, key)
    return _read(key, tp, where, _Rules())


def _read_formatted(data: Any, tp: Any, where: str, rules: _Rules) -> Any:
    if rules.coerce and type(data) in (int, float) and full_name(tp) == "decimal.Decimal":
        data = str(data)  # the shortest that is this number: what the model wrote
    if not isinstance(data, str):
        _fail(where, "string", data)
    if hasattr(tp, "fromisoformat"):
        # Python 3.10 does not know "Z".
        data = data[:-1] + "+00:00" if data.endswith("Z") else data
        return _call(where, tp.fromisoformat, data)
    return _call(where, tp, data)


def _read_fields(data: Any, cls: Any, where: str, rules: _Rules) -> Any:
    if not isinstance(data, Mapping):
        _fail(where, "object", data)
    arguments = {}
    fields = fields_of(cls)
    for field in fields:
        if field.name in data:
            value = _read(data[field.name], field.type, _join(where, field.name), rules)
            arguments[field.argument] = value
        elif field.is_required:
            raise ValidationError(f"{_join(where, field.name)}: missing")
    if rules.exact and not set(data) <= {field.name for field in fields}:
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
