"""An embedded LM Studio server for tests, demos and examples: the public names."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._calls.call import Call
    from ._core.connection import Connection
    from ._core.prediction import Prediction
    from ._core.tool_run import ToolRun
    from ._engines.engine import Engine, Fault, Finish, GenerationRequest, Token, ToolCall
    from ._engines.generated import GeneratedEngine
    from ._engines.llama import LlamaEngine, find_smollm2
    from ._engines.models_on_disk import Model
    from ._engines.plugins import Plugin, Tool
    from ._engines.scripted import Reply, ScriptedEngine
    from .server import Server

__all__ = [
    "Call",
    "Connection",
    "Engine",
    "Fault",
    "Finish",
    "GeneratedEngine",
    "GenerationRequest",
    "LlamaEngine",
    "Model",
    "Plugin",
    "Prediction",
    "Reply",
    "ScriptedEngine",
    "Server",
    "Token",
    "Tool",
    "ToolCall",
    "ToolRun",
    "find_smollm2",
]

# Where each name is defined. It is imported when it is used first, because every run of pytest
# imports this package for its plugin.
_HOMES = {
    "_calls.call": ["Call"],
    "_core.connection": ["Connection"],
    "_core.prediction": ["Prediction"],
    "_core.tool_run": ["ToolRun"],
    "_engines.engine": ["Engine", "Fault", "Finish", "GenerationRequest", "Token", "ToolCall"],
    "_engines.generated": ["GeneratedEngine"],
    "_engines.llama": ["LlamaEngine", "find_smollm2"],
    "_engines.models_on_disk": ["Model"],
    "_engines.plugins": ["Plugin", "Tool"],
    "_engines.scripted": ["Reply", "ScriptedEngine"],
    "server": ["Server"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def _name_all_modules() -> None:
    """Name the files that no other imports, for what packs programs; it is never called."""
    from . import script_file, server  # noqa: F401
    from ._engines import generated, llama  # noqa: F401


def __dir__() -> list[str]:
    own = [name for name in globals() if name.startswith("__")]
    modules = [name for name in globals() if f"{__name__}.{name}" in sys.modules and name[0] != "_"]
    return sorted({*__all__, *own, *modules})


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(f".{_HOME[name]}", __name__)
        except ModuleNotFoundError as problem:
            if problem.name is not None and problem.name.partition(".")[0] == "websockets":
                raise ImportError(
                    "lmstudio.testing needs websockets: pip install websockets"
                ) from None
            raise
        found = globals()[name] = getattr(module, name)
        return found
