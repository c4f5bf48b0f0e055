"""A JSON text that fits a given JSON schema."""

from __future__ import annotations

import json
from typing import Any

_DEPTH = 8


def fit(schema: Any) -> str:
    """Return a small JSON text that fits the schema (an object if the schema says nothing).

    Raises:
        ValueError: It is no schema.
    """
    root = schema if isinstance(schema, dict) else {}
    try:
        return json.dumps(_value(root, root, 0), ensure_ascii=False)
    except (AttributeError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"the JSON schema cannot be followed: {error}") from None


def _value(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > 4 * _DEPTH:
        return {} if depth == 0 else "text"
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    if "$ref" in schema:
        return _value(_resolve(schema["$ref"], root), root, depth + 1)
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            # Deep down the last branch: in recursive schemas that is mostly null.
            branch = schema[choice][-1 if depth > _DEPTH else 0]
            return _value(branch, root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {key: item for key, item in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            _merge(merged, _resolve(part["$ref"], root) if "$ref" in part else part)
        return _value(merged, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema or depth == 0 else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    return _of_type(kind, schema, root, depth)


def _of_type(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        # Optional properties come too, but not for ever.
        names = [name for name in properties if name in required or depth < _DEPTH]
        return {
            name: _value(properties.get(name, {}), root, depth + 1)
            for name in [*names, *(name for name in required if name not in properties)]
        }
    if kind == "array":
        item = schema.get("items", {})
        first = schema.get("prefixItems", [])
        least = schema.get("minItems", 0 if depth > _DEPTH else 1)
        most = schema.get("maxItems", max(least, len(first)))
        return [
            _value(first[at] if at < len(first) else item, root, depth + 1)
            for at in range(min(max(least, len(first)), most))
        ]
    if kind in ("integer", "number"):
        return _number(kind, schema)
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return _text(schema)


def _number(kind: str, schema: dict[str, Any]) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value: float = 1
    if low is not None and high is not None and kind == "number":
        value = (low + high) / 2
    elif low is not None and value <= low:
        value = low + ("exclusiveMinimum" in schema)
    elif high is not None and value >= high:
        value = high - ("exclusiveMaximum" in schema)
    multiple = schema.get("multipleOf")
    if multiple:
        value = -(-value // multiple) * multiple
    return int(value) if kind == "integer" or value == int(value) else value


_FORMATS = {
    "date": "2024-01-31",
    "time": "12:00:00Z",
    "date-time": "2024-01-31T12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def _text(schema: dict[str, Any]) -> str:
    text: str = _FORMATS.get(schema.get("format", ""), "text")
    text += "x" * (schema.get("minLength", 0) - len(text))
    return text[: schema.get("maxLength", len(text))]


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    found: Any = root
    for name in reference.lstrip("#/").split("/"):
        found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if name else found
    return found if isinstance(found, dict) else {}


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for key, item in part.items():
        if key == "properties":
            into[key] = {**into.get(key, {}), **item}
        elif key == "required":
            into[key] = [*into.get(key, []), *item]
        else:
            into.setdefault(key, item)
