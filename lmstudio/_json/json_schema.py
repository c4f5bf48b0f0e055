"""JSON Schemas of Python types, and `BaseModel`, the base class for the form of a reply."""

from __future__ import annotations

import contextlib
import enum
import inspect
from collections.abc import Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    get_args,
    get_origin,
    runtime_checkable,
)

import attrs

from .._api.public import public
from .._api.shown import shown
from ..errors import LMStudioValueError
from .annotations import (
    ARRAYS,
    FORMATS,
    OBJECTS,
    SCALARS,
    CopyOf,
    Field,
    fields_of,
    full_name,
    has_fields,
    is_any,
    is_union,
    to_json_data,
    unwrap,
)
from .dereference import dereference

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:  # it only speaks to type checkers

    def dataclass_transform(**_options):
        return lambda cls: cls


DictSchema: TypeAlias = Mapping[str, Any]
"""A JSON Schema, as a dict."""


@runtime_checkable
class ModelSchema(Protocol):
    """What a class offers to be taken as a ``response_format``; pydantic's models do."""

    @classmethod
    def model_json_schema(cls) -> DictSchema:
        """Return the JSON Schema of this class."""
        ...


@dataclass_transform(field_specifiers=(attrs.field,))
class BaseModel:
    """Base class for the form of a reply: its annotations become the fields of an attrs class.

    ::

        class Book(lmstudio.BaseModel):
            title: str
            tags: list[str] = []

    Options of the class statement go to `attrs.define`: ``class Book(BaseModel, frozen=True)``.
    Each instance gets a copy of a list, dict or set that is a default. Where a field without a
    default follows one that has a default, name the arguments.

    Thread safety: instances are plain data; share them while nobody changes them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Turn the subclass into an attrs class."""
        super().__init_subclass__()
        # Without slots attrs works on the class itself: one with slots would be a second class.
        options = {"slots": False, "field_transformer": _copy_defaults, **options}
        try:
            attrs.define(cls, **options)
        except ValueError:  # a field without a default after one that has a default
            attrs.define(cls, **{**options, "kw_only": True})

    def __attrs_post_init__(self) -> None:
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check or complete a new instance: for subclasses to override."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of this class.

        Raises:
            LMStudioValueError: A field has a type that JSON has no form for.
        """
        return json_schema(cls)


public(ModelSchema, BaseModel)


def _copy_defaults(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    return [
        field.evolve(default=attrs.Factory(CopyOf(field.default)))
        if isinstance(field.default, (list, dict, set))
        else field
        for field in fields
    ]


def class_schema(cls: object) -> dict[str, Any] | None:
    """Return the schema of a class that describes an object; None for anything else.

    Args:
        cls: A class with ``model_json_schema()``, an attrs class, a dataclass or a TypedDict.

    Raises:
        LMStudioValueError: A field has a type that JSON has no form for.
    """
    if not isinstance(cls, type):
        return None
    if hasattr(cls, "model_json_schema"):
        return dereference(cls.model_json_schema())
    return json_schema(cls) if has_fields(cls) else None


def json_schema(tp: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type, with nested types in place unless they are recursive.

    Args:
        tp: str, int, float, bool, None, Any, Literal, an enum, a union; list, set, tuple, dict and
            their abstract kinds; datetime, date, time, UUID, Decimal; an attrs class, dataclass or
            TypedDict, `BaseModel`, or a class with ``model_json_schema()``. Descriptions come from
            docstrings, a string in ``Annotated``, and ``metadata={"description": ...}`` of fields.

    Raises:
        LMStudioValueError: JSON has no form for it.
    """
    definitions = _Definitions()
    schema = definitions.describe(tp)
    return dereference({**schema, "$defs": definitions.schemas})


def object_schema(fields: Sequence[Field], owner: str) -> dict[str, Any]:
    """Return the JSON Schema of an object with these fields; `owner` is named in errors.

    Raises:
        LMStudioValueError: JSON has no form for the type of one.
    """
    definitions = _Definitions()
    schema = definitions.object(fields, owner)
    return dereference({**schema, "$defs": definitions.schemas})


class _Definitions:
    """The schemas of the classes that one schema refers to, by name."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self._names: dict[type, str] = {}

    def describe(self, tp: Any) -> dict[str, Any]:
        tp, description = unwrap(tp)
        schema = self._describe(tp)
        return {**schema, "description": description} if description else schema

    def _describe(self, tp: Any) -> dict[str, Any]:
        origin, args = get_origin(tp) or tp, get_args(tp)
        if is_any(tp):
            return {}
        if origin is Literal:
            return {"enum": [to_json_data(value) for value in args]}
        if is_union(tp):
            return {"anyOf": [self.describe(member) for member in args]}
        if origin in SCALARS:
            return {"type": SCALARS[origin]}
        if origin in ARRAYS:
            return self._array(ARRAYS[origin], args)
        if origin in OBJECTS:
            values = self.describe(args[1]) if args else {}
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if full_name(origin) in FORMATS:
            form = FORMATS[full_name(origin)]
            return {"type": "string", **({"format": form} if form else {})}
        if not isinstance(origin, type):
            raise LMStudioValueError(f"there is no JSON Schema for {shown(tp)}")
        if hasattr(origin, "model_json_schema") and not has_fields(origin):
            return self._foreign(origin.model_json_schema())
        return {"$ref": f"#/$defs/{self._define(origin)}"}

    def _array(self, kind: type, args: tuple[Any, ...]) -> dict[str, Any]:
        if kind is tuple and args and args[-1] is not ...:
            items = [self.describe(item) for item in args]
            size = {"minItems": len(items), "maxItems": len(items)}
            return {"type": "array", "prefixItems": items, **size, "items": False}
        items_schema = self.describe(args[0]) if args else {}
        items_part = {"items": items_schema} if items_schema else {}
        unique = {"uniqueItems": True} if kind in (set, frozenset) else {}
        return {"type": "array", **items_part, **unique}

    def _define(self, cls: type) -> str:
        if cls in self._names:
            return self._names[cls]
        name = cls.__name__
        while name in self.schemas:
            name += "_"
        self._names[cls] = name
        self.schemas[name] = {}  # the place is taken: the class may refer to itself
        self.schemas[name] = self._class(cls)
        return name

    def _class(self, cls: Any) -> dict[str, Any]:
        schema: dict[str, Any] = {"title": cls.__name__}
        doc = cls.__dict__.get("__doc__")
        # Those that Python itself writes say nothing.
        if isinstance(doc, str) and not doc.startswith((f"{cls.__name__}(", "An enumeration.")):
            schema["description"] = inspect.cleandoc(doc)
        if issubclass(cls, enum.Enum):
            return {**schema, "enum": [to_json_data(member) for member in cls]}
        if has_fields(cls):
            return {**schema, **self.object(fields_of(cls), cls.__name__)}
        raise LMStudioValueError(f"there is no JSON Schema for {shown(cls)}")

    def _foreign(self, schema: DictSchema) -> dict[str, Any]:
        """Return what another library says of its class, without the parts that are recursive."""
        schema = dereference(schema)
        for name, recursive in schema.pop("$defs", {}).items():
            if self.schemas.setdefault(name, recursive) != recursive:
                raise LMStudioValueError(f"there are two classes {name}, one of them recursive")
        return schema

    def object(self, fields: Sequence[Field], owner: str) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for field in fields:
            try:
                schema = self.describe(field.type)
            except LMStudioValueError as exc:
                raise LMStudioValueError(f"{owner}.{field.name}: {exc}") from None
            if field.description:
                schema["description"] = field.description
            with contextlib.suppress(TypeError, ValueError):  # a default that JSON has no form for
                if field.default is not attrs.NOTHING:
                    schema["default"] = to_json_data(field.default)
            properties[field.name] = schema
        required = [field.name for field in fields if field.is_required]
        return {"type": "object", "properties": properties, "required": required}
