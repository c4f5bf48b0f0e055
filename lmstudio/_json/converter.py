"""The one place where attrs objects and JSON data meet: camelCase keys, lenient reading."""

from __future__ import annotations

import copy
import functools
import json
import math
import re
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, get_args, get_origin, overload

import attrs

from .._api.backports import Self
from .._api.public import public
from ..errors import LMStudioProtocolError, LMStudioValueError
from .annotations import type_hints

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

DictObject: TypeAlias = Mapping[str, Any]
"""JSON data: an object, as a dict."""

# The names that do not follow the rule of capitalising each word.
_IRREGULAR = {
    "use_fp16_for_kv_cache": "useFp16ForKVCache",
    "offload_kv_cache_to_gpu": "offloadKVCacheToGpu",
    "try_direct_io": "tryDirectIO",
}
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
# What lies under these keys belongs to the user: its keys are names, not ours to respell.
_VERBATIM = frozenset({"jsonSchema", "parameters", "arguments", "envVars", "raw", "extra"})
# A class attribute of one of these names is the tag that tells the class apart on the wire.
_TAGS = ("type", "role")
# A class with this attribute describes what a server says for information only: a field that has
# a default and does not fit keeps the default, so that no call fails for it.
_LENIENT = "_keeps_defaults"


def camel_case(name: str) -> str:
    """Return the JSON key for an attribute name; a name without ``_`` stays as it is."""
    if not _SNAKE_CASE.fullmatch(name):
        return name
    first, *rest = name.split("_")
    return _IRREGULAR.get(name) or first + "".join(word.capitalize() for word in rest)


def camel_keys(data: Any) -> Any:
    """Return a deep copy of dicts and lists with the snake_case keys made camelCase.

    Schemas, tool arguments and raw settings are left alone: their keys are the user's own names.
    """
    if isinstance(data, Mapping):
        result = {}
        for key, value in data.items():
            key = camel_case(key) if isinstance(key, str) else key
            result[key] = copy.deepcopy(value) if key in _VERBATIM else camel_keys(value)
        return result
    if isinstance(data, (list, tuple)):
        return [camel_keys(item) for item in data]
    return data


def format_json(data: Any) -> str:
    """Return ``data`` as indented JSON text with sorted keys, for people to read."""
    return json.dumps(data, indent=2, sort_keys=True)


class LMStudioStruct:
    """Base class of the values that LM Studio sends or takes.

    Thread safety: values are plain data; share them between threads while nobody changes them.
    """

    __slots__ = ()

    @classmethod
    def from_dict(cls, data: DictObject) -> Self:
        """Make an instance from a dict with camelCase or snake_case keys.

        Raises:
            LMStudioValueError: a field is missing or has the wrong type.
        """
        try:
            return structure(camel_keys(data), cls)
        except LMStudioProtocolError as exc:
            raise LMStudioValueError(str(exc)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict with camelCase keys, without those that are None."""
        data: dict[str, Any] = unstructure(self)
        return data

    def __repr__(self) -> str:
        # Written once here: attrs would compile one for each class, a third of its import time.
        cls: Any = type(self)
        values = ((field.name, getattr(self, field.name)) for field in attrs.fields(cls))
        given = ", ".join(f"{name}={value!r}" for name, value in values if value is not None)
        return f"{type(self).__name__}({given})"

    def __str__(self) -> str:
        return f"{type(self).__name__}.from_dict({format_json(self.to_dict())})"


public(LMStudioStruct)
AnyLMStudioStruct: TypeAlias = LMStudioStruct
"""Any of the values that LM Studio takes or tells."""


@overload
def structure(data: object, cls: type[T]) -> T: ...
@overload
def structure(data: object, cls: Any) -> Any: ...
def structure(data: object, cls: Any) -> Any:
    """Turn JSON data into an object of ``cls`` (an attrs class, a union of them, a list of them).

    Unknown keys are ignored (or kept, where the class has a field ``extra``), nulls count as
    absent, and absent fields take their defaults. So do fields that do not fit, in the classes that
    say so; ``extra`` then has what the server said.

    Raises:
        LMStudioProtocolError: the data does not fit; the message names the class and the field.
    """
    converter = _converter()
    try:
        return converter.structure(data, cls)
    except Exception as exc:
        raise LMStudioProtocolError(f"Unexpected data: {_problems(exc, cls)}.") from None


def unstructure(obj: object) -> Any:
    """Turn attrs objects, and lists and dicts of them, into JSON data without null fields."""
    return _converter().unstructure(obj)


def _problems(exc: Exception, cls: Any) -> str:
    """Say which fields of which class do not fit: ``LlmInfo.path: expected str, got int``."""
    from cattrs import transform_error

    members = get_args(cls) if _is_tagged_union(cls) else (cls,)
    name = " or ".join(getattr(member, "__name__", str(member)) for member in members)
    lines = (line.rpartition(" @ ") for line in transform_error(exc, name, _explain))
    return "; ".join(f"{where}: {what}" for what, _, where in lines)


def _explain(exc: BaseException, _type: type | None) -> str:
    return f"field {exc} is missing" if isinstance(exc, KeyError) else str(exc)


@functools.cache
def _converter() -> Converter:
    # cattrs takes 20-40 ms to import, and nothing needs it before the first call.
    from cattrs import Converter

    converter = Converter()
    for primitive in (str, int, float, bool):
        converter.register_structure_hook(primitive, _primitive)
    converter.register_structure_hook_factory(
        attrs.has, lambda cls: _structure_hook(cls, converter)
    )
    converter.register_structure_hook_factory(
        _is_tagged_union, lambda union: _union_hook(union, converter)
    )
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: _unstructure_hook(cls, converter)
    )
    return converter


def _primitive(value: Any, cls: type) -> Any:
    # cattrs would coerce: 1 to "1", "no" to True.
    if cls is float and type(value) is int:
        return float(value)
    if cls is float and type(value) is float and not math.isfinite(value):
        raise TypeError(f"expected a number, got {value}")  # JSON has no NaN, but Python reads it
    if cls is int and type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not cls:
        raise TypeError(f"expected {cls.__name__}, got {type(value).__name__}")
    return value


def _structure_hook(cls: type, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs import ClassValidationError
    from cattrs.gen import make_dict_structure_fn, override

    keys = {field.name: camel_case(field.name) for field in attrs.fields(cls)}
    renames: dict[str, Any] = {name: override(rename=key) for name, key in keys.items()}
    from_dict: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter, **renames)
    known = frozenset(keys.values()) - {"extra"}
    tags = frozenset(_TAGS)
    optional = {f.name for f in attrs.fields(cls) if f.default is not attrs.NOTHING}
    spared = optional if hasattr(cls, _LENIENT) else frozenset()
    lists = {name for name, hint in type_hints(cls).items() if name in keys and _is_list(hint)}

    def set_aside(values: dict[str, Any], misfits: set[str]) -> None:
        for key in map(keys.__getitem__, misfits):
            value = values.pop(key)
            if "extra" in keys:
                values["extra"][key] = value

    def hook(data: Any, _cls: Any) -> Any:
        if not isinstance(data, Mapping):
            raise TypeError(f"expected an object, got {type(data).__name__}")
        values = {key: value for key, value in data.items() if key in known and value is not None}
        if "extra" in keys:
            values["extra"] = {k: v for k, v in data.items() if k not in known and k not in tags}
        # cattrs would take any iterable for a list, also a string.
        misfits = {
            name for name in lists if not isinstance(values.get(keys[name], []), (list, tuple))
        }
        for name in misfits - spared:
            raise TypeError(f"{name}: expected list, got {type(values[keys[name]]).__name__}")
        set_aside(values, misfits)
        try:
            return from_dict(values, cls)
        except ClassValidationError as exc:
            misfits = {note.name for _, note in exc.group_exceptions()[0]}
            if not misfits or not misfits <= spared:
                raise
        set_aside(values, misfits)
        return from_dict(values, cls)

    return hook


def _is_list(hint: Any) -> bool:
    return any((get_origin(member) or member) is list for member in (hint, *get_args(hint)))


def _unstructure_hook(cls: type, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    pairs = [(f.name, camel_case(f.name)) for f in attrs.fields(cls) if f.name != "extra"]
    tag = _tag_of(cls)
    keeps_extra = "extra" in {field.name for field in attrs.fields(cls)}

    def hook(obj: Any) -> dict[str, Any]:
        data = dict([tag]) if tag else {}
        for name, key in pairs:
            value = getattr(obj, name)
            # The server takes an absent key for "not given", and often rejects a null.
            if value is not None:
                data[key] = converter.unstructure(value)
        if keeps_extra:
            data.update(obj.extra)
        return data

    return hook


def _tag_of(cls: Any) -> tuple[str, str] | None:
    for name in _TAGS:
        value = getattr(cls, name, None)
        if isinstance(value, str):
            return name, value
    return None


def _is_tagged_union(cls: Any) -> bool:
    members = get_args(cls)
    return (
        get_origin(cls) in (Union, types.UnionType)
        and all(isinstance(member, type) and attrs.has(member) for member in members)
        and any(_tag_of(member) for member in members)
    )


def _union_hook(union: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    by_tag: dict[Any, Any] = {_tag_of(member): member for member in get_args(union)}
    # A member without a tag of its own takes what no other member claims.
    fallback = by_tag.pop(None, None)
    names = {tag[0] for tag in by_tag if tag}

    def hook(data: Any, _cls: Any) -> Any:
        if not isinstance(data, Mapping):
            raise TypeError(f"expected an object, got {type(data).__name__}")
        for name in names:
            tag = data.get(name)
            member = by_tag.get((name, tag), fallback) if isinstance(tag, str) else fallback
            if member is not None:
                return converter.structure(data, member)
        name = " or ".join(names)
        raise ValueError(f"unknown {name} {data.get(name)!r}")

    return hook
