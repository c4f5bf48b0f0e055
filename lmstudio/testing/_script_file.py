"""Reads a script: a TOML or JSON file with a server's settings and its replies."""

from __future__ import annotations

import importlib
import inspect
import json
import os.path
from collections.abc import Callable
from typing import Any

import attrs

from .catalogue import Model
from .server import Server

_SECTIONS = ("server", "models", "replies")
_NOT_IN_FILES = ("self", "engine", "models", "hub", "hold", "stats")


@attrs.frozen
class Script:
    """The content of a script file.

    Args:
        server: Arguments of `Server`.
        replies: Arguments of `Server.reply`, one entry for each call.
    """

    server: dict[str, Any]
    replies: list[dict[str, Any]]

    def play(self, server: Server) -> None:
        """Queue the replies."""
        for reply in self.replies:
            server.reply(**reply)


def read_script(path: str) -> Script:
    """Read a script file; `.json` is JSON, all else TOML (from Python 3.11 on).

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such file; the text says what is wrong and what is possible.
    """
    content = _parse(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected sections {', '.join(_SECTIONS)}")
    _check_names(path, "section", content, _SECTIONS)
    settings = dict(content.get("server", {}))
    _check_names(f"{path}, server", "setting", settings, _arguments(Server))
    if content.get("models"):
        settings["models"] = [_model(path, entry) for entry in content["models"]]
    replies = [_reply(path, entry) for entry in content.get("replies", [])]
    return Script(settings, replies)


def _parse(path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    try:
        if os.path.splitext(path)[1].lower() == ".json":
            return json.loads(data)
        try:
            tomllib: Any = importlib.import_module("tomllib")
        except ModuleNotFoundError:
            raise ValueError("TOML needs Python 3.11 or newer; use JSON here") from None
        return tomllib.loads(data.decode())
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None


def _model(path: str, entry: dict[str, Any]) -> Model:
    fields = [field.name for field in attrs.fields(Model)]
    _check_names(f"{path}, models", "field", entry, fields)
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return Model(**{**entry, **lists})


def _reply(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    allowed = [*_arguments(Server.reply), "text"]
    _check_names(f"{path}, replies", "field", entry, allowed)
    reply = dict(entry)
    if "text" in reply:
        reply["tokens"] = reply.pop("text")
    reply.update(reply.pop("stats", {}))
    return reply


def _arguments(function: Callable[..., Any]) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in _NOT_IN_FILES] + ["stats"]


def _check_names(where: str, kind: str, given: Any, allowed: Any) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{where}: expected {kind}s with values, got {given!r}")
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise ValueError(
            f"{where}: there is no {kind} {', '.join(unknown)}; there is {', '.join(allowed)}"
        )
