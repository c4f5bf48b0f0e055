"""An embedded LM Studio server for tests, demos and examples: the public names."""

from __future__ import annotations

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
