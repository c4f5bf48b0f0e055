"""Reads a script: a TOML or JSON file with a server's settings and its replies."""

from __future__ import annotations

import importlib
import inspect
import json
import os.path
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from ._core.options import Options
from ._engines.make_reply import make_replies
from ._engines.models_on_disk import Model
from ._engines.plugins import Plugin, Tool
from ._protocol import argument_checks as checks
from .server import Server

_SECTIONS = ("server", "models", "hub", "plugins", "replies")
# Lists of models have sections of their own, and an engine or a test cannot be in a file.
_SHOWN = 60  # characters of a line that is wrong
_NOT_IN_FILES = ("self", "engine", "models", "hub", "plugins", "hold", "stats")
_NOT_OF_A_TOOL = ("implementation", "hold")  # likewise


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
        ValueError: It is no such file; the text says what is wrong, where, and what is possible.
    """
    content = _parse(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected sections {', '.join(_SECTIONS)}")
    _check_names(path, "section", content, _SECTIONS)
    settings = content.get("server", {})
    _check_names(f"{path}, server", "setting", settings, _arguments(Server))
    defaults = {name: one.default for name, one in inspect.signature(Server).parameters.items()}
    with _place(f"{path}, server"):
        Options(**{**defaults, **settings})
    settings = dict(settings)
    for section, read in (("models", _model), ("hub", _model), ("plugins", _plugin)):
        if section in content:
            settings[section] = _entries(path, section, content, read)
            with _place(path):
                Options(**{**defaults, section: settings[section]})
    return Script(settings, _entries(path, "replies", content, _reply))


def _parse(path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise ValueError(f"{path}, line {line}: this is no text in UTF-8") from None
    if os.path.splitext(path)[1].lower() == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as problem:
            line, shown = problem.lineno, (text.splitlines() or [""])[problem.lineno - 1 :][:1]
            raise ValueError(
                f"{path}, line {line}: this is no JSON ({problem.msg}, in column {problem.colno} "
                f"of {''.join(shown)[:_SHOWN]!r}); TOML needs a name that ends in .toml"
            ) from None
    try:
        tomllib: Any = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        raise ValueError(f"{path}: TOML needs Python 3.11 or newer; use JSON here") from None
    try:
        return tomllib.loads(text)
    except ValueError as problem:  # it says the line
        hint = "JSON needs a name that ends in .json"
        raise ValueError(f"{path}: this is no TOML: {problem}; {hint}") from None


def _entries(
    path: str, section: str, content: dict[str, Any], read: Callable[[str, Any], Any]
) -> list[Any]:
    """Read the entries of a section, and say which one a problem is in (counted from 1)."""
    entries = content.get(section, [])
    if not isinstance(entries, list):
        raise ValueError(f"{path}, {section}: expected a list, got {entries!r}")
    found = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}, {section}, entry {number}"
        with _place(where):
            found.append(read(where, entry))
    return found


def _model(where: str, entry: Any) -> Model:
    _check_names(where, "field", entry, [field.name for field in attrs.fields(Model)])
    if "key" not in entry:
        raise TypeError("a model needs a key")
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return Model(**{**entry, **lists})


def _plugin(where: str, entry: Any) -> Plugin:
    _check_names(where, "field", entry, [field.name for field in attrs.fields(Plugin)])
    if "identifier" not in entry:
        raise TypeError("a plugin needs an identifier")
    return Plugin(**{**entry, "tools": _entries(where, "tools", entry, _tool)})


def _tool(where: str, entry: Any) -> Tool:
    fields = [field.name for field in attrs.fields(Tool) if field.name not in _NOT_OF_A_TOOL]
    _check_names(where, "field", entry, fields)
    if "name" not in entry:
        raise TypeError("a tool needs a name")
    return Tool(**entry)


def _reply(where: str, entry: Any) -> dict[str, Any]:
    _check_names(where, "field", entry, [*_arguments(Server.reply), "text", "stats"])
    reply = dict(entry)
    if "text" in reply:
        if "tokens" in reply:
            raise TypeError("give text or tokens, not both")
        reply["tokens"] = checks.text("text", reply.pop("text"))
    stats = checks.entries("stats", reply.pop("stats", {}))
    for name in stats:
        if name in reply or name in _arguments(Server.reply):
            raise TypeError(f"{name} is a field of the reply, not of its stats")
    reply.update(stats)
    make_replies(**reply)
    return reply


def _arguments(function: Callable[..., Any]) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in _NOT_IN_FILES]


class _Placed(ValueError):
    """A problem that says already where it is."""


@contextmanager
def _place(where: str) -> Iterator[None]:
    """Say where in the file a wrong value is."""
    try:
        yield
    except _Placed:
        raise
    except (TypeError, ValueError) as problem:
        raise _Placed(f"{where}: {problem}") from None


def _check_names(where: str, kind: str, given: Any, allowed: Sequence[str]) -> None:
    if not isinstance(given, dict):
        raise _Placed(f"{where}: expected {kind}s with values, got {given!r}")
    for name in given:
        if name not in allowed:
            raise _Placed(f"{where}: there is no {kind} {name!r}; {checks.choice(name, allowed)}")
