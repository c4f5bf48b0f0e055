"""The public names, signatures and defaults of the official package, compared mechanically.

Both halves; only plugins are not offered, for which the official package has no public names.
official_api.json was written by official_api.py.
"""

import inspect
import json
import re
from pathlib import Path

import attrs
import pytest

import lmstudio as lms

OFFICIAL = json.loads((Path(__file__).parent / "official_api.json").read_text())["api"]

# Acts when it is called, and gives back what may be awaited.
AWAITABLE = ["AsyncPredictionStream.cancel"]
# Made by this package, not by users.
MADE_HERE = re.compile(r"(Async)?(PredictionStream|LLM|EmbeddingModel|Downloaded.*)|SyncM.*")


def ours(name):
    client, _, namespace = name.partition(".")
    if namespace:
        return type(getattr(getattr(lms, client)("localhost:1"), namespace))
    return getattr(lms, name)


CLASSES = [
    name
    for name, entry in OFFICIAL.items()
    if entry["kind"] == "class" and not name.endswith("Dict")
]
FUNCTIONS = [name for name, entry in OFFICIAL.items() if entry["kind"] == "function"]


@pytest.mark.parametrize("name", [n for n in OFFICIAL if "." not in n])
def test_the_official_name_exists_and_is_public(name):
    assert name in lms.__all__ or OFFICIAL[name].get("is_held")
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
        instance_attributes = {"info", "search_result"}  # set in __init__
        assert hasattr(cls, member) or member in instance_attributes, f"{name}.{member}"
    for member, parameters in entry["methods"].items():
        path = f"{name}.{member}"
        assert hasattr(cls, member), path
        compare(parameters, getattr(cls, member), path)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_made_as_it_is_made_there(name):
    init = OFFICIAL[name].get("init")
    if init and not MADE_HERE.fullmatch(name):
        compare(init, ours(name), name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_may_be_entered_iterated_and_awaited_as_there(name):
    for protocol in OFFICIAL[name]["protocols"]:
        assert hasattr(ours(name), protocol), f"{name}.{protocol}"


@pytest.mark.parametrize("name", CLASSES)
def test_a_method_is_a_coroutine_function_where_it_is_one_there(name):
    entry = OFFICIAL[name]
    for member in entry["methods"]:
        is_coroutine = inspect.iscoroutinefunction(getattr(ours(name), member))
        path = f"{name}.{member}"
        assert is_coroutine == (member in entry["coroutines"] and path not in AWAITABLE), path


def test_the_classes_of_both_halves_are_compared():
    compared = [name for name in CLASSES if name.startswith("Async")]
    assert len(compared) >= 14
    assert all(path.partition(".")[0] in compared for path in AWAITABLE)
