"""Writes down the official package's public names, signatures and defaults, as data.

    python official_api.py > official_api.json

Run it with a Python that has the official `lmstudio` package, 1.6.0b1. tests/interop/test_api.py
compares this package with what it wrote.
"""

import dataclasses
import enum
import inspect
import json
import sys

import lmstudio
from lmstudio import (
    async_api,
    history,
    json_api,
    schemas,
    sdk_api,
    sync_api,
)

# The namespaces of a client have private class names there; they are reached through properties.
NAMESPACES = {
    "Client.llm": "_SyncSessionLlm",
    "Client.embedding": "_SyncSessionEmbedding",
    "Client.system": "_SyncSessionSystem",
    "Client.files": "_SyncSessionFiles",
    "Client.repository": "_SyncSessionRepository",
    "AsyncClient.llm": "_AsyncSessionLlm",
    "AsyncClient.embedding": "_AsyncSessionEmbedding",
    "AsyncClient.system": "_AsyncSessionSystem",
    "AsyncClient.files": "_AsyncSessionFiles",
    "AsyncClient.repository": "_AsyncSessionRepository",
}
# Classes that users hold in their hands, though `__all__` does not have them.
HELD = (
    "AvailableModel",
    "ModelDownloadOption",
    "AsyncAvailableModel",
    "AsyncModelDownloadOption",
    "AsyncModelHandle",
)
# How the language itself uses a class.
PROTOCOLS = ("__iter__", "__next__", "__enter__", "__exit__")
PROTOCOLS += ("__aiter__", "__anext__", "__aenter__", "__aexit__", "__await__")


def describe_default(value):
    """A default as text, or None if there is none."""
    if value is inspect.Parameter.empty:
        return None
    return value.name if isinstance(value, enum.Enum) else repr(value)


def describe_function(function):
    """A signature: parameter names, kinds and defaults, in order."""
    parameters = inspect.signature(function).parameters.values()
    return [
        [parameter.name, parameter.kind.name, describe_default(parameter.default)]
        for parameter in parameters
        if parameter.name != "self"
    ]


def describe_class(cls):
    """A class: its fields, properties and methods, inherited ones included."""
    fields = list(getattr(cls, "__struct_fields__", ()))
    if dataclasses.is_dataclass(cls):
        fields = [field.name for field in dataclasses.fields(cls)]
    members = {"fields": fields, "properties": [], "methods": {}, "coroutines": []}
    members["protocols"] = [name for name in PROTOCOLS if hasattr(cls, name)]
    for name in dir(cls):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(cls, name)
        if isinstance(member, property):
            members["properties"].append(name)
        elif callable(getattr(cls, name)):
            if inspect.iscoroutinefunction(getattr(cls, name)):
                members["coroutines"].append(name)
            try:
                members["methods"][name] = describe_function(getattr(cls, name))
            except (TypeError, ValueError):
                members["methods"][name] = []
    if cls.__init__ is not object.__init__:
        try:
            members["init"] = describe_function(cls)
        except (TypeError, ValueError):
            pass
    return members


def describe(value):
    """Whatever a public name stands for."""
    if inspect.isclass(value):
        errors = [base.__name__ for base in value.__mro__[1:] if issubclass(base, BaseException)]
        if errors:
            return {"kind": "error", "bases": errors}
        return {"kind": "class", **describe_class(value)}
    if inspect.isfunction(value):
        return {"kind": "function", "parameters": describe_function(value)}
    return {"kind": "alias"}


def main():
    """Print all of it as JSON."""
    modules = (sdk_api, schemas, history, json_api, async_api, sync_api)
    names = {name for module in modules for name in module.__all__}
    api = {name: describe(getattr(lmstudio, name)) for name in sorted(names)}
    for name in HELD:
        module = async_api if name.startswith("Async") else sync_api
        api[name] = {**describe(getattr(module, name)), "is_held": True}
        api[name].pop("init", None)
    for path, name in NAMESPACES.items():
        module = async_api if path.startswith("Async") else sync_api
        api[path] = {"kind": "class", **describe_class(getattr(module, name))}
        api[path].pop("init", None)
        # What the private base class has manages the namespace's connection: no user's business.
        base = async_api._AsyncSession if module is async_api else sync_api._SyncSession
        for member in dir(base):
            api[path]["methods"].pop(member, None)
            for group in ("properties", "coroutines", "protocols"):
                if member in api[path][group]:
                    api[path][group].remove(member)
    json.dump({"version": lmstudio.__version__, "api": api}, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
