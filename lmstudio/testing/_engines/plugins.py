"""The plugins that a server has, and their tools: values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from .._protocol import argument_checks as checks
from .._protocol.public import public

_IDENTIFIER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*/[a-z0-9]+(?:[-.][a-z0-9]+)*")


def _no_parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


@attrs.frozen(kw_only=True)
@public
class Tool:
    """A tool of a plugin, and how its calls are answered.

    What it says comes first: `warnings`, then each `status` and its part of the `delay`. Then it
    is answered by `implementation`, if there is one, else with `error` or with `result`.

    Args:
        name: Its name.
        description: What it does, for the model.
        parameters: The JSON Schema of its arguments, which are an object.
        result: What it returns, as JSON data.
        implementation: Called with the arguments by name, in a thread of its own; what it returns
            is the result, what it raises the error. Nobody stops it when the call is aborted.
        error: Title of the error that it ends with.
        warnings: What it says that it coped with.
        status: What it says of how far it is.
        delay: Seconds before the answer.
        hold: Whether the test answers its calls itself, by the `ToolRun` of each.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value has no meaning.

    Thread safety:
        Immutable: any thread.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = attrs.field(factory=_no_parameters)
    result: Any = None
    implementation: Callable[..., Any] | None = None
    error: str | None = None
    warnings: Sequence[str] = ()
    status: Sequence[str] = ()
    delay: float = 0.0
    hold: bool = False

    def __attrs_post_init__(self) -> None:
        for field, check in _TOOL_CHECKS.items():
            check(field, getattr(self, field))
        ways = {"implementation": self.implementation, "error": self.error, "result": self.result}
        given = [name for name, value in ways.items() if value is not None]
        if self.hold:
            given.append("hold")
        if len(given) > 1:
            raise ValueError(f"give at most one of {', '.join(given)}")

    def definition(self) -> dict[str, Any]:
        """Return the description that goes over the wire."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }
        return {"type": "function", "function": function}


@attrs.frozen(kw_only=True)
@public
class Plugin:
    """A plugin, or an MCP server, whose tools clients may use.

    Args:
        identifier: "owner/name"; that of an MCP server is "mcp/" and its name.
        tools: Its tools.
        permitted: Whether the server's settings let clients use it.
        start_time: Seconds that it takes to start.
        start_error: Title of the error that it fails to start with.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value has no meaning.

    Thread safety:
        Immutable: any thread.
    """

    identifier: str
    tools: Sequence[Tool] = ()
    permitted: bool = True
    start_time: float = 0.0
    start_error: str | None = None

    def __attrs_post_init__(self) -> None:
        for field, check in _PLUGIN_CHECKS.items():
            check(field, getattr(self, field))
        names = [tool.name for tool in self.tools]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two tools of {self.identifier!r} have the name {twice[0]!r}")


def _json(name: str, value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise TypeError(f"{name} must be fit for JSON: {problem}") from None


def _schema(name: str, value: Any) -> None:
    checks.entries(name, value)
    _json(name, value)
    if value.get("type") != "object" or not isinstance(value.get("properties"), dict):
        raise ValueError(
            f'{name} must be the JSON Schema of an object, {{"type": "object", "properties": '
            f"{{...}}}}, got {value!r}"
        )


def _function(name: str, value: Any) -> None:
    if not callable(value):
        raise checks.wrong_type(name, "a function", value)


def _identifier(name: str, value: Any) -> None:
    if not _IDENTIFIER.fullmatch(checks.text(name, value)):
        raise ValueError(
            f"{name} must be 'owner/name' in small letters, digits and single hyphens, "
            f"got {value!r}"
        )


_TEXTS = checks.several(checks.text, "a list of texts")
_TOOL_CHECKS: dict[str, checks.Check] = {
    "name": checks.text,
    "description": checks.text,
    "parameters": _schema,
    "result": _json,
    "implementation": checks.optional(_function),
    "error": checks.optional(checks.text),
    "warnings": _TEXTS,
    "status": _TEXTS,
    "delay": checks.number(),
    "hold": checks.flag,
}
_PLUGIN_CHECKS: dict[str, checks.Check] = {
    "identifier": _identifier,
    "tools": checks.several(
        checks.instance(Tool, "a Tool, as Tool(name='search')"), "a list of Tool objects"
    ),
    "permitted": checks.flag,
    "start_time": checks.number(),
    "start_error": checks.optional(checks.text),
}
