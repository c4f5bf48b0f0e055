"""`help()` of the package is an overview, and leads on to names that `help()` finds."""

import builtins
import inspect
import pydoc
import re
import subprocess
import sys
import types

import attrs
import pytest

import lmstudio as lms
from lmstudio._api import public_names

LONGEST = 200  # lines of an overview

CLASSES = [
    name
    for name in {*lms.__all__, *public_names.HOME}
    if isinstance(getattr(lms, name), type)
    and not isinstance(getattr(lms, name), types.GenericAlias)
]


def shown(thing):
    return pydoc.plain(pydoc.render_doc(thing))


def test_help_of_the_package_is_an_overview_of_all_names():
    text = shown(lms)
    overview = text.partition("Connect:")[2].partition("PACKAGE CONTENTS")[0]
    groups = re.findall(r"(?m)^    {4}([\w, ]+)$", overview)
    names = [name for line in groups for name in line.replace(" ", "").split(",") if name]

    assert len(text.splitlines()) < LONGEST
    assert sorted(names) == sorted(lms.__all__)


def test_the_overview_imports_nothing():
    code = """
import sys, pydoc, lmstudio
pydoc.render_doc(lmstudio)
print("websocket" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout) == ("", "False\n")


def test_all_others_that_ask_for_the_names_get_all():
    assert set(lms.__all__) <= set(dir(lms))
    assert set(lms.__all__) <= {name for name, _ in inspect.getmembers(lms)}
    assert "Client" in pydoc.html.docmodule(lms)


@pytest.mark.parametrize("thing", [lms.llm, lms.embedding_model, lms.Client, lms.LLM])
def test_help_names_where_to_go_on(thing):
    named = re.findall(r"help\(lmstudio\.([\w.]+)\)", shown(thing))

    assert named
    for path in named:
        assert inspect.getdoc(find(path))


def find(path):
    """What a dotted name of a docstring means; AttributeError if it means nothing."""
    value = lms
    for name in path.split("."):
        if isinstance(value, property):
            value = returned_by(value)
        is_field = isinstance(value, type) and name in said_of_instances(value)
        value = None if is_field else getattr(value, name)
    return value


def returned_by(member):
    """The class of what a property gives, by its annotation."""
    return getattr(lms, inspect.signature(member.fget).return_annotation)


def said_of_instances(cls):
    """Attributes that only instances have."""
    fields = [field.name for field in attrs.fields(cls)] if attrs.has(cls) else []
    docs = [inspect.getdoc(base) or "" for base in cls.__mro__]
    keys = [key for base in cls.__mro__ for key in getattr(base, "__annotations__", ())]
    return {*fields, *keys, *(n for doc in docs for n in re.findall(r"(?m)^    (\w+):", doc))}


def docstrings():
    for name in {*lms.__all__, *public_names.HOME}:
        value = getattr(lms, name)
        if inspect.isfunction(value):
            yield name, inspect.getdoc(value)
    for name in CLASSES:
        cls = getattr(lms, name)
        yield name, inspect.getdoc(cls) or ""
        for member, value in vars(cls).items():
            if not member.startswith("_") and (inspect.isroutine(value) or value is property):
                yield f"{name}.{member}", inspect.getdoc(value) or ""


@pytest.mark.parametrize(("path", "doc"), list(docstrings()))
def test_names_in_backticks_exist(path, doc):
    owner = path.partition(".")[0]
    for text in re.findall(r"(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)", doc):
        first, _, rest = text.partition(".")
        if rest and first in {*lms.__all__, *public_names.HOME}:
            find(text)
        elif not rest and re.match("[A-Z]", text) and not hasattr(builtins, text):
            assert hasattr(lms, text) or hasattr(getattr(lms, owner), text), text
