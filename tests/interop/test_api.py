"""The public names, signatures and defaults of the official package, compared mechanically.

official_api.json was written by official_api.py.
"""

import inspect
import json
import re
from pathlib import Path

import attrs
import pytest

import lmstudio as lms
from lmstudio._handles import files as _upload
from lmstudio._handles import namespaces as catalog
from lmstudio._handles import repository

OFFICIAL = json.loads((Path(__file__).parent / "official_api.json").read_text())["api"]

# Plugins are not offered; the official package has no public names for them.
# The classes of asyncio have their names, and cannot be made yet.
EMPTY = [name for name in OFFICIAL if name.startswith(("Async", "AnyAsync"))]

OURS = {
    "Client.llm": catalog.LlmNamespace,
    "Client.embedding": catalog.EmbeddingNamespace,
    "Client.system": catalog.SystemNamespace,
    "Client.repository": repository.RepositoryNamespace,
    "Client.files": _upload.FilesNamespace,
}


def ours(name):
    return OURS.get(name) or getattr(lms, name)


CLASSES = [
    name
    for name, entry in OFFICIAL.items()
    if entry["kind"] == "class" and name not in EMPTY and not name.endswith("Dict")
]
FUNCTIONS = [name for name, entry in OFFICIAL.items() if entry["kind"] == "function"]


@pytest.mark.parametrize("name", [n for n in OFFICIAL if "." not in n])
def test_the_official_name_exists_and_is_public(name):
    assert name in lms.__all__
    assert getattr(lms, name) is not None


@pytest.mark.parametrize("name", [n for n, e in OFFICIAL.items() if e["kind"] == "error"])
def test_an_error_can_be_caught_as_what_it_is_there(name):
    bases = {base.__name__ for base in getattr(lms, name).__mro__}

    assert set(OFFICIAL[name]["bases"]) - {"MsgspecError", "DecodeError"} <= bases


def compare(official, function, where):
    """Each official parameter exists, takes the same calls, and has the same default."""
    parameters = inspect.signature(function).parameters
    order = [p.name for p in parameters.values() if p.name != "self"]
    positional = []
    for parameter, kind, default in official:
        if kind.startswith("VAR_") or parameter.startswith("_"):
            continue
        assert parameter in parameters, f"{where} takes no {parameter}"
        mine = parameters[parameter]
        if kind == "KEYWORD_ONLY":
            assert mine.kind.name in ("KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD"), where
        else:
            positional.append(parameter)
            assert mine.kind.name == kind, f"{where}: {parameter} is {mine.kind.name}"
        if default is not None:  # where it is required there, it may be optional here
            shown = re.sub(r"NODEFAULT|<factory>|UNSET", "None", default)
            assert repr(mine.default) == shown, f"{where}: the default of {parameter}"
    assert order[: len(positional)] == positional, where


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_what_it_takes_there(name):
    compare(OFFICIAL[name]["parameters"], getattr(lms, name), name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_fields_properties_and_methods_that_it_has_there(name):
    cls, entry = ours(name), OFFICIAL[name]
    for field in entry["fields"]:
        declared = {a.name for a in attrs.fields(cls)} if attrs.has(cls) else set()
        assert field in declared or hasattr(cls, field), f"{name}.{field}"
    for member in entry["properties"]:
        instance_attributes = {"info"}  # set in __init__
        assert hasattr(cls, member) or member in instance_attributes, f"{name}.{member}"
    for member, parameters in entry["methods"].items():
        path = f"{name}.{member}"
        assert hasattr(cls, member), path
        compare(parameters, getattr(cls, member), path)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_made_as_it_is_made_there(name):
    init = OFFICIAL[name].get("init")
    if not init or name in ("PredictionStream", "LLM", "EmbeddingModel", "SyncModelHandle"):
        return  # not made by users
    if name.startswith("Downloaded"):
        return
    compare(init, ours(name), name)
