"""Puts what a JSON Schema refers to in its place: servers have trouble with ``$ref``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

# What a schema holds besides schemas: maps from names to schemas, plain data, and mere notes.
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_DATA = frozenset({"default", "const", "enum", "examples"})
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated"})


def dereference(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a schema with the target of each local ``$ref`` in its place.

    What refers to itself stays under ``$defs``, but the top of the result is never a mere
    reference. References to other documents stay; a schema with a local reference that leads
    nowhere is copied as it is.
    """
    walk = _Walk(schema)
    top = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    try:
        result: dict[str, Any] = walk.expand(top)
    except LookupError:
        return copy.deepcopy(dict(schema))
    ref = result.get("$ref")
    if isinstance(ref, str) and ref in walk.kept:
        result = {**walk.kept[ref], **{key: result[key] for key in result if key != "$ref"}}
    if walk.kept:
        result["$defs"] = {_key(_last(ref)): kept for ref, kept in walk.kept.items()}
    return result


class _Walk:
    """Walks through one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.kept: dict[str, Any] = {}  # what refers to itself, by its new reference
        self._root = root
        self._open = ["#"]  # the references that lead to where we are
        self._names: dict[str, str] = {"#": "#"}  # the new references of those that are recursive

    def expand(self, node: Any) -> Any:
        if isinstance(node, (list, tuple)):
            return [self.expand(item) for item in node]
        if not isinstance(node, Mapping):
            return node
        rest = {
            key: self._part(key, value)
            for key, value in node.items()
            if key != "$ref" and not _is_discriminator(key, value)
        }
        ref = node.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return rest if ref is None else {"$ref": ref, **rest}
        if ref in self._open or ref in self._names:
            return {"$ref": self._name(ref), **rest}
        self._open.append(ref)
        target = self.expand(find_target(self._root, ref))
        self._open.pop()
        if ref in self._names:
            self.kept[self._names[ref]] = target
            return {"$ref": self._names[ref], **rest}
        if not isinstance(target, dict) or set(rest) & set(target) - _NOTES:
            return {"allOf": [target], **rest}
        return {**target, **rest}

    def _part(self, key: str, value: Any) -> Any:
        if key in _DATA:
            return copy.deepcopy(value)
        if key in _MAPS and isinstance(value, Mapping):
            return {name: self.expand(schema) for name, schema in value.items()}
        return self.expand(value)

    def _name(self, ref: str) -> str:
        if ref not in self._names:
            name = f"#/$defs/{_last(ref)}"
            while name in self._names.values():
                name += "_"
            self._names[ref] = name
        return self._names[ref]


def _is_discriminator(key: str, value: Any) -> bool:
    """Return whether this says which reference is meant: a note of pydantic's, for OpenAPI."""
    return key == "discriminator" and isinstance(value, Mapping) and "mapping" in value


def _last(ref: str) -> str:
    return ref.rpartition("/")[2]


def _key(part: str) -> str:
    """Return what a part of a JSON Pointer stands for."""
    if "%" in part:
        from urllib.parse import unquote  # rarely needed, slow to import

        part = unquote(part)
    return part.replace("~1", "/").replace("~0", "~")


def find_target(root: Any, ref: str) -> Any:
    """Return what a reference leads to; raise LookupError if that is nothing."""
    start, *parts = ref.split("/")
    node = root
    for part in map(_key, parts):
        if isinstance(node, list) and part.isdecimal():
            node = node[int(part)]
        elif isinstance(node, Mapping):
            node = node[part]
        else:
            raise LookupError(ref)
    if start != "#":
        raise LookupError(ref)  # an anchor, "#name"
    return node
