"""What of a JSON text does not fit a JSON schema, as far as a test's author is likely to err."""

from __future__ import annotations

import json
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfit(text: str, schema: Any) -> str | None:
    """Return what is wrong with a text; None if nothing is, or if this does not know.

    It looks at types, required properties, and enums; what stands behind a `$ref`, or in one of
    several branches, passes.
    """
    try:
        value = json.loads(text)
    except ValueError as problem:
        return f"it is no JSON ({problem})"
    try:
        return _wrong(value, schema, "the reply")
    except (AttributeError, TypeError, RecursionError):  # it is no schema
        return None


def _wrong(value: Any, schema: Any, where: str) -> str | None:
    if not isinstance(schema, dict) or "$ref" in schema:
        return None
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is none of {schema['enum']}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_of(value, kind) for kind in kinds):
        return f"{where} is not of the type {' or '.join(map(repr, kinds))}"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                return f"{where} has no {name!r}"
        properties = schema.get("properties", {})
        parts = [(one, properties.get(name), repr(name)) for name, one in value.items()]
    elif isinstance(value, list):
        parts = [
            (one, schema.get("items"), f"entry {at} of {where}") for at, one in enumerate(value)
        ]
    return next(filter(None, (_wrong(*part) for part in parts)), None)


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return bool(kind == "boolean")
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))
