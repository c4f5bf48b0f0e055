"""An embedded LM Studio server for tests, demos and examples: the public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._calls.call import Call
    from ._core.connection import Connection
    from ._core.prediction import Prediction
    from ._engines.engine import (
        Engine,
        Fault,
        Finish,
        GenerationRequest,
        Token,
        ToolCall,
    )
    from ._engines.generated import GeneratedEngine
    from ._engines.llama import LlamaEngine, find_smollm2
    from ._engines.models_on_disk import Model
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
    "Prediction",
    "Reply",
    "ScriptedEngine",
    "Server",
    "Token",
    "ToolCall",
    "find_smollm2",
]

_ROOMS = {
    "Call": "_calls.call",
    "Connection": "_core.connection",
    "Engine": "_engines.engine",
    "Fault": "_engines.engine",
    "Finish": "_engines.engine",
    "GeneratedEngine": "_engines.generated",
    "GenerationRequest": "_engines.engine",
    "LlamaEngine": "_engines.llama",
    "Model": "_engines.models_on_disk",
    "Prediction": "_core.prediction",
    "Reply": "_engines.scripted",
    "ScriptedEngine": "_engines.scripted",
    "Server": "server",
    "Token": "_engines.engine",
    "ToolCall": "_engines.engine",
    "find_smollm2": "_engines.llama",
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
