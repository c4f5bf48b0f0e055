"""Requests about plugins and MCP servers: a session with one's tools, and calls of these."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from .._api.callbacks import check_callback
from .._api.checks import check_text
from .._api.shown import shown
from .._concurrency.callback_gate import CallbackRunner
from .._connection.endpoints import call_inside, channel
from .._connection.request import Request
from .._json.annotations import to_json_data
from .._json.whole import error_details
from ..errors import LMStudioConnectionLostError, LMStudioServerError, LMStudioValueError
from . import answers

ToolReportCallback: TypeAlias = Callable[[str], Any]
"""Gets what a tool of a plugin says while it runs."""

READY = "sessionReady"
_IDENTIFIER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*/[a-z0-9]+(?:[-.][a-z0-9]+)*")
_PERMISSION = (
    "LM Studio lets programs use a plugin or an MCP server only if its server settings allow that "
    "(for those of mcp.json: 'Allow calling servers from mcp.json'), and if the API token of the "
    "program has the permission."
)


@attrs.frozen
class ToolDescription:
    """What a plugin says of one of its tools; the parameters are a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


def start_tools(
    identifier: str,
    config: Mapping[str, Any] | None,
    working_directory: str | os.PathLike[str] | None,
) -> Request[list[ToolDescription]]:
    """Open a session with the tools of a plugin: what the packet means that says it is ready.

    Raises:
        LMStudioValueError: An argument cannot be used.
    """
    specifier: dict[str, Any] = {"type": "direct", "config": _config(config)}
    if working_directory is not None:
        specifier["workingDirectoryPath"] = _path(working_directory)
    endpoint = channel(
        "plugins",
        "startToolUseSession",
        f"Starting the tools of {check_identifier(identifier)!r}",
        "Plugin tools",
        stop="discardSession",
        ready=READY,
    )
    parameter = {"pluginIdentifier": identifier, "pluginConfigSpecifier": specifier}
    return Request(endpoint, parameter, _tools)


def check_identifier(identifier: object) -> str:
    """Return what names a plugin as it is.

    Raises:
        LMStudioValueError: LM Studio would refuse it; the text says what may have been meant.
    """
    name = check_text(identifier, "The identifier of a plugin")
    if _IDENTIFIER.fullmatch(name):
        return name
    owner, slash, rest = name.partition("/")
    near = f"{_plain(owner)}/{_plain(rest)}" if slash else f"mcp/{_plain(owner)}"
    hint = f" Perhaps it is {near!r}." if _IDENTIFIER.fullmatch(near) else ""
    raise LMStudioValueError(
        "A plugin is named 'owner/name', an MCP server 'mcp/name', in small letters, digits and "
        f"single hyphens; {shown(identifier)} was given.{hint}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings of a plugin as LM Studio takes them."""
    if not isinstance(config, (Mapping, type(None))):
        raise LMStudioValueError(
            f"The config of a plugin is a dict of its settings; {shown(config)} was given."
        )
    values = _json_object(config, "The config of a plugin")
    return {"fields": [{"key": key, "value": value} for key, value in values.items()]}


def _path(path: object) -> str:
    try:
        found = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        found = path
    return check_text(found, "working_directory")


def _json_object(values: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = to_json_data(dict(values or {}))
    except (TypeError, ValueError) as error:
        raise LMStudioValueError(f"{what} must be JSON data: {error}") from None
    return data


def _tools(packet: Any) -> list[ToolDescription]:
    functions = [
        answers.field(tool, "function")
        for tool in answers.objects(answers.field(packet, "toolDefinitions"), "toolDefinitions")
    ]
    return [_tool(function) for function in functions]


def _tool(function: Any) -> ToolDescription:
    name = answers.text(function, "name")
    description, parameters = function.get("description"), function.get("parameters")
    return ToolDescription(
        name,
        description if isinstance(description, str) else "",
        parameters if isinstance(parameters, dict) else {},
    )


def explain_refusal(error: LMStudioServerError) -> None:
    """Say what to do, where LM Studio does not let a program use a plugin."""
    if "permission" in str(error).lower():
        error.args = (f"{error}\n  {_PERMISSION}",)


def explain_loss(error: LMStudioConnectionLostError, plugin_identifier: str) -> None:
    """Say that the session is gone too: with it, no later call connects again."""
    words = str(error).removesuffix(" The next call connects again.")
    error.args = (
        f"{words} The session with {plugin_identifier!r} has ended with it: open another one.",
    )


def call_tool(
    name: str,
    arguments: Mapping[str, Any] | None,
    on_status: ToolReportCallback | None,
    on_warning: ToolReportCallback | None,
    runner: CallbackRunner,
) -> Request[Any]:
    """Call a tool of a session; it is sent inside the channel of that.

    Raises:
        LMStudioValueError: An argument cannot be used.
    """
    check_callback("on_status", on_status, "text")
    check_callback("on_warning", on_warning, "text")
    if not isinstance(arguments, (Mapping, type(None))):
        raise LMStudioValueError(
            f"The arguments of a tool are a dict; {shown(arguments)} was given."
        )
    reports = {
        "toolCallStatus": (on_status, "statusText"),
        "toolCallWarn": (on_warning, "warnText"),
    }

    def take(packet: dict[str, Any]) -> None:
        callback, field = reports.get(packet["type"], (None, ""))
        text = packet.get(field)
        if callback is not None and isinstance(text, str):
            runner.run(callback, text)

    def read(packet: dict[str, Any]) -> Any:
        if packet["type"] == "toolCallError":
            details = error_details(packet.get("error"))
            raise LMStudioServerError.from_details(f"The tool {name!r} failed", details)
        return packet.get("result")

    endpoint = call_inside(
        "plugins",
        "callTool",
        f"The call of the tool {name!r}",
        "toolCallComplete",
        "toolCallError",
        stop="abortToolCall",
    )
    parameter = {"name": name, "arguments": _json_object(arguments, "The arguments of a tool")}
    return Request(endpoint, parameter, read, take)
