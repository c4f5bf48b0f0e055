"""Reads configurations as users write them: in either spelling, checked, with clear errors."""

from __future__ import annotations

import difflib
import functools
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from .._api.backports import Self
from .._json.annotations import type_hints
from .._json.converter import DictObject, LMStudioStruct, camel_case, camel_keys
from ..errors import LMStudioValueError

_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    list: "a list",
    Mapping: "a dict",
}


# Python's own pickling, unlike that of attrs, keeps slots that are no fields.
@attrs.define(repr=False, getstate_setstate=False)
class Config(LMStudioStruct):
    """Base class of configurations."""

    @classmethod
    def from_dict(cls, data: DictObject) -> Self:
        """Make a configuration from a dict with camelCase or snake_case keys.

        Raises:
            LMStudioValueError: an unknown option, or a value of the wrong type.
        """
        return read_config(data, cls)


class Reported(Config):
    """Base class of configurations that remember what of them a server reported.

    It is no field: it plays no part in equality, in printing or in dicts. A copy and a pickle keep
    it; what is made from the values, as by ``attrs.evolve()`` or ``to_dict()``, is a new
    configuration, as if made by hand.
    """

    __slots__ = ("_reported",)
    _reported: dict[str, Any]


C = TypeVar("C", bound=Config)


def read_config(config: object, cls: type[C]) -> C:
    """Return ``config`` as a new, checked instance of ``cls``.

    Args:
        config: an instance of ``cls``, a dict with camelCase or snake_case keys, or None.
        cls: one of the configuration classes.

    Raises:
        LMStudioValueError: an unknown option, an option given twice, or a value of the wrong type.
    """
    table: Any = cls  # mypy takes a class for unhashable when its instances are
    values: dict[str, Any] = {}
    if isinstance(config, cls):
        values = {field.name: getattr(config, field.name) for field in attrs.fields(cls)}
    elif isinstance(config, Mapping):
        for key, value in config.items():
            name = _names(table).get(key)
            if name is None:
                raise _unknown_option(key, cls)
            if name in values:
                raise LMStudioValueError(f"{cls.__name__} option {name!r} is given twice.")
            values[name] = value
    elif config is not None:
        raise LMStudioValueError(
            f"A configuration is a {cls.__name__} or a dict, not {_short(config)}."
        )
    hints = _hints(table)
    checked = {
        name: _checked(name, value, hints[name], cls)
        for name, value in values.items()
        if value is not None
    }
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING and field.name not in checked:
            raise LMStudioValueError(f"{cls.__name__} needs {field.name!r}.")
    return cls(**checked)


@functools.cache
def _names(cls: Any) -> dict[str, str]:
    names = [field.name for field in attrs.fields(cls)]
    return {camel_case(name): name for name in names} | {name: name for name in names}


_hints = functools.cache(type_hints)


def _unknown_option(key: object, cls: Any) -> LMStudioValueError:
    names = _names(cls)
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(key).lower(), lowered, n=1)
    hint = f"did you mean {lowered[near[0]]!r}? " if near else ""
    return LMStudioValueError(
        f"Unknown option {key!r}: {hint}help(lmstudio.{cls.__name__}) lists them all."
    )


def _checked(name: str, value: Any, hint: Any, cls: type[Config]) -> Any:
    """Return the value for an option of this type, nested dicts in the spelling of the wire."""
    members = [member for member in _members(hint) if member is not type(None)]
    for member in members:
        if isinstance(member, type) and issubclass(member, Config):
            return read_config(value, member)
    if not any(_fits(value, member) for member in members):
        words = " or ".join(_word(member) for member in members)
        raise LMStudioValueError(f"{cls.__name__}.{name} takes {words}, not {_short(value)}.")
    return camel_keys({name: value})[camel_case(name)]


def fits(name: str, value: Any, cls: Any) -> bool:
    """Tell whether an option of ``cls`` takes this value, which is no dict of options."""
    return any(_fits(value, member) for member in _members(_hints(cls)[name]))


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint) or hint
    if origin is Any:
        return True
    if origin is Literal:
        return any(value is literal for literal in get_args(hint))
    if origin is float:
        is_number = type(value) is not bool and isinstance(value, (int, float))
        return is_number and abs(value) <= sys.float_info.max  # an int may be beyond any float
    if origin is int:
        return type(value) is not bool and isinstance(value, int)
    if origin is list:
        (item,) = get_args(hint)
        return isinstance(value, (list, tuple)) and all(_fits(part, item) for part in value)
    return isinstance(value, origin)


def _word(hint: Any) -> str:
    origin = get_origin(hint) or hint
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if origin is list and get_args(hint)[0] in _WORDS:
        return f"a list, each item {_WORDS[get_args(hint)[0]]}"
    return _WORDS[origin]


def _short(value: object) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{text} ({type(value).__name__})"
