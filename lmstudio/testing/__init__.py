"""An embedded LM Studio server for tests, demos and examples: the public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .call import Call
    from .catalogue import Model
    from .connection import Connection
    from .engine import Engine, Fault, Finish, GenerationRequest, Token, ToolCall
    from .generated import GeneratedEngine
    from .llama import LlamaEngine, find_smollm2
    from .prediction import Prediction
    from .scripted import Reply, ScriptedEngine
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
    "Prediction",
    "Reply",
    "ScriptedEngine",
    "Server",
    "Token",
    "ToolCall",
    "find_smollm2",
]

_ROOMS = {
    "Call": "call",
    "Connection": "connection",
    "Engine": "engine",
    "Fault": "engine",
    "Finish": "engine",
    "GeneratedEngine": "generated",
    "GenerationRequest": "engine",
    "LlamaEngine": "llama",
    "Model": "catalogue",
    "Prediction": "prediction",
    "Reply": "scripted",
    "ScriptedEngine": "scripted",
    "Server": "server",
    "Token": "engine",
    "ToolCall": "engine",
    "find_smollm2": "llama",
}


def __getattr__(name: str) -> Any:
    # On first use, because every run of pytest imports this package for its plugin.
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        room = importlib.import_module(f".{_ROOMS[name]}", __name__)
    except ModuleNotFoundError as problem:
        if problem.name is not None and problem.name.partition(".")[0] == "websockets":
            raise ImportError("lmstudio.testing needs websockets: pip install websockets") from None
        raise
    found = globals()[name] = getattr(room, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
