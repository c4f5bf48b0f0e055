"""Says what in JSON data does not fit a JSON Schema."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from .dereference import find_target
from .pattern import Pattern, UnknownPatternError

_WORK = 1_000_000  # steps of one check; half a second, about
_DEEPEST = 200  # schemas in schemas, and data in data
_SHOWN = 10  # problems of one check
_LONGEST_NAME = 100  # characters of a property's name that are shown

# What is looked at, and what says nothing of the data.
_KNOWN = {
    *("type", "enum", "const", "allOf", "anyOf", "oneOf", "$ref", "nullable"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *(
        "pattern",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    ),
    *("properties", "required", "additionalProperties", "patternProperties"),
    *("items", "prefixItems", "additionalItems"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$comment", "$defs", "definitions", "discriminator"),
}


def schema_problems(data: Any, schema: Any) -> list[str]:
    """Return what does not fit, each with its place, for a model to try again; nothing if all fits.

    What is looked at: ``type``, ``enum``, ``const``, ``properties``, ``required``,
    ``additionalProperties``, ``patternProperties``, ``items``, ``prefixItems``, ``allOf``,
    ``anyOf``, ``oneOf``, limits of numbers, lengths and counts, ``pattern``, ``$ref`` to a place
    in the same schema, and ``nullable``, which OpenAPI has. Everything else is ignored, and so is
    what is no schema: of ``oneOf``, what fits as far as is known may be fitted by another, too.

    The schema may be hostile: the work has a limit, and data for which it does not suffice does
    not fit.
    """
    check = _Check(schema)
    try:
        problems = check.problems(schema, data, "")
    except (_TooMuchError, RecursionError):
        return ["nested too deeply, or too much to be checked"]
    return problems if len(problems) <= _SHOWN else [*problems[:_SHOWN], "and more"]


class _TooMuchError(Exception):
    """The check would take too long."""


class _Check:
    """One check of some data."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._work = _WORK
        self._depth = 0
        # What was found for a schema at a place of the data. Each is asked once, so that choices
        # among choices take no exponential time, and a schema that refers to itself ends.
        # The second value says whether something was ignored there.
        self._found: dict[tuple[int, int, str], tuple[list[str], bool]] = {}
        self._guesses = 0  # how often something was ignored
        self._patterns: dict[str, Pattern | None] = {}  # None: it is not known what it means

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise _TooMuchError

    def problems(self, schema: Any, data: Any, where: str) -> list[str]:
        """Return what does not fit at a place."""
        if schema is False:
            return [_told(where, "not allowed")]
        if not isinstance(schema, Mapping):
            return []
        self._spend(1)
        key = (id(schema), id(data), where)  # two places may have one name
        if key not in self._found:
            self._found[key] = [], True  # while it is looked for: it may refer to itself
            before = self._guesses
            self._spend(10)
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _TooMuchError
            found = dict.fromkeys(self._look(schema, data, where))
            # No more than are shown: many choices among many would have a great many.
            self._found[key] = list(found)[: _SHOWN + 1], self._guesses > before
            self._depth -= 1
        told, is_guess = self._found[key]
        self._guesses += is_guess
        return told

    def _look(self, schema: Mapping[str, Any], data: Any, where: str) -> list[str]:
        if data is None and schema.get("nullable") is True:
            return []
        kinds = self._types_of(schema)
        if any(key not in _KNOWN for key in schema) or ("type" in schema and not kinds):
            self._guesses += 1
        if kinds and not any(_TYPES[kind](data) for kind in kinds):
            return [_expected(where, " or ".join(kinds), data)]
        found = self._values(schema, data, where)
        if isinstance(data, str):
            found += self._text(schema, data, where)
        elif isinstance(data, dict):
            found += self._object(schema, data, where)
        elif isinstance(data, list):
            found += self._array(schema, data, where)
        elif _is_number(data):
            found += _number(schema, data, where)
        target = self._target(schema.get("$ref"))
        parts = _list(schema.get("allOf"))
        self._spend(len(parts))
        for part in (target, *parts):
            found += self.problems(part, data, where)
        for name in ("anyOf", "oneOf"):
            found += self._choice(_list(schema.get(name)), data, where, is_one=name == "oneOf")
        return found

    def _target(self, ref: Any) -> Any:
        """Return what a reference leads to; True, which all data fits, if that is not known."""
        if ref is None:
            return True
        if isinstance(ref, str) and ref.startswith("#"):
            self._spend(ref.count("/") + len(ref) // 8)
            try:
                return find_target(self._root, ref)
            except (LookupError, ValueError):
                pass
        self._guesses += 1
        return True

    def _values(self, schema: Mapping[str, Any], data: Any, where: str) -> list[str]:
        allowed = schema.get("enum")
        if isinstance(allowed, list):
            self._spend(len(allowed) * _weight(data))
            if not any(_is_same(data, value) for value in allowed):
                self._spend(sum(map(_weight, allowed[:20])))
                shown = ", ".join(reprlib.repr(value) for value in allowed[:20])
                return [_expected(where, f"one of {shown}", data)]
        if "const" in schema and not _is_same(data, schema["const"]):
            self._spend(_weight(schema["const"]))
            return [_expected(where, reprlib.repr(schema["const"]), data)]
        return []

    def _text(self, schema: Mapping[str, Any], data: str, where: str) -> list[str]:
        found = _size(schema, "Length", len(data), where, "characters")
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and self._finds(pattern, data) is False:
            found.append(_expected(where, f"a text with the pattern {reprlib.repr(pattern)}", data))
        return found

    def _finds(self, text: str, data: str) -> bool | None:
        """Return whether a pattern is in a text; None for one that is not known."""
        if text not in self._patterns:
            self._spend(3000)
            try:
                self._patterns[text] = Pattern(text)
            except UnknownPatternError:
                self._patterns[text] = None
        pattern = self._patterns[text]
        if pattern is None or not pattern.is_plain_for(data):
            self._guesses += 1
            return None
        return pattern.is_in(data, self._spend)

    def _object(self, schema: Mapping[str, Any], data: dict[str, Any], where: str) -> list[str]:
        found = _size(schema, "Properties", len(data), where, "properties")
        required = _list(schema.get("required"))
        self._spend(len(required) // 4)
        found += [
            _told(_join(where, name), "missing")
            for name in required
            if isinstance(name, str) and name not in data
        ]
        by_name, by_pattern = _map(schema.get("properties")), _map(schema.get("patternProperties"))
        others = schema.get("additionalProperties", True)
        for name, value in data.items():
            place = _join(where, name)
            parts = [by_name[name]] if name in by_name else []
            self._spend(len(by_pattern))
            for text, part in by_pattern.items():
                is_meant = self._finds(text, name)
                if is_meant is not False:  # by a pattern that is not known, perhaps
                    parts.append(part if is_meant else True)
            for part in parts or [others]:
                found += self.problems(part, value, place)
        return found

    def _array(self, schema: Mapping[str, Any], data: list[Any], where: str) -> list[str]:
        found = _size(schema, "Items", len(data), where, "items")
        first, rest = _list(schema.get("prefixItems")), schema.get("items", True)
        if isinstance(rest, list):  # as older schemas have it
            first, rest = rest, schema.get("additionalItems", True)
        for at, item in enumerate(data):
            part = first[at] if at < len(first) else rest
            found += self.problems(part, item, f"{where}[{at}]")
        return found

    def _choice(self, parts: list[Any], data: Any, where: str, *, is_one: bool) -> list[str]:
        if not parts:
            return []
        self._spend(len(parts))
        outcomes, fitting = [], 0
        for part in parts:
            before = self._guesses
            outcomes.append(self.problems(part, data, where))
            if not outcomes[-1]:
                if not is_one:
                    return []
                fitting += self._guesses == before
        if not all(outcomes):
            return [] if fitting < 2 else [_told(where, "fits more than one of what it may be")]
        # What is told is the nearest: of those for data of this type, the one with the least wrong.
        kinds = [self._types_of(part) if isinstance(part, Mapping) else [] for part in parts]
        near = [
            problems
            for problems, types in zip(outcomes, kinds, strict=True)
            if not types or any(_TYPES[kind](data) for kind in types)
        ]
        if near:
            return min(near, key=len)
        names = dict.fromkeys(kind for types in kinds for kind in types)
        return [_expected(where, " or ".join(names), data)]

    def _types_of(self, schema: Mapping[str, Any]) -> list[str]:
        """Return the types that a schema names; none, if it allows one that is not known."""
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else _list(kinds)
        self._spend(len(kinds) // 4)
        if not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
            return []
        return list(dict.fromkeys(kinds))


def _is_number(data: Any) -> bool:
    # Python reads NaN, JSON does not know it.
    return type(data) is int or (type(data) is float and math.isfinite(data))


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda data: isinstance(data, dict),
    "array": lambda data: isinstance(data, list),
    "string": lambda data: isinstance(data, str),
    "boolean": lambda data: isinstance(data, bool),
    "null": lambda data: data is None,
    "number": _is_number,
    "integer": lambda data: _is_number(data) and data == data // 1,
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _weight(data: Any) -> int:
    """Return about how long it takes to compare data."""
    if isinstance(data, (list, dict)):
        return 1 + sum(map(_weight, data.values() if isinstance(data, dict) else data))
    return 1


def _is_same(data: Any, value: Any) -> bool:
    return bool(data == value) and isinstance(data, bool) == isinstance(value, bool)


def _number(schema: Mapping[str, Any], data: float, where: str) -> list[str]:
    least, most = _limit(schema, "minimum"), _limit(schema, "maximum")
    above, below = _limit(schema, "exclusiveMinimum"), _limit(schema, "exclusiveMaximum")
    if schema.get("exclusiveMinimum") is True:  # as older schemas have it
        least, above = None, least
    if schema.get("exclusiveMaximum") is True:
        most, below = None, most
    found = []
    if least is not None and data < least:
        found.append(_expected(where, f"at least {least}", data))
    if most is not None and data > most:
        found.append(_expected(where, f"at most {most}", data))
    if above is not None and data <= above:
        found.append(_expected(where, f"more than {above}", data))
    if below is not None and data >= below:
        found.append(_expected(where, f"less than {below}", data))
    return found


def _size(schema: Mapping[str, Any], what: str, size: int, where: str, unit: str) -> list[str]:
    least, most = _limit(schema, f"min{what}"), _limit(schema, f"max{what}")
    found = []
    if least is not None and size < least:
        found.append(_told(where, f"expected at least {least} {unit}, got {size}"))
    if most is not None and size > most:
        found.append(_told(where, f"expected at most {most} {unit}, got {size}"))
    return found


def _limit(schema: Mapping[str, Any], name: str) -> float | None:
    limit = schema.get(name)
    return limit if _is_number(limit) else None


def _join(where: str, name: str) -> str:
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}..."
    return f"{where}.{name}" if where else name


def _expected(where: str, expected: str, data: Any) -> str:
    return _told(where, f"expected {expected}, got {reprlib.repr(data)}")


def _told(where: str, words: str) -> str:
    return f"{where}: {words}" if where else words
