"""What docstrings of public names describe exists: arguments, attributes and errors."""

import builtins
import inspect
import re

import pytest
from api.public_api import PublicApi

import lmstudio as lms
import lmstudio.testing

ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \w+)*)(?: \(.*?\))?:", re.MULTILINE)


def public_names():
    """By its path: every public class and function, and the methods and properties of classes."""
    found = {}
    for module in (lms, lmstudio.testing):
        for name in module.__all__:
            value = getattr(module, name)
            path = f"{module.__name__}.{name}"
            if inspect.isfunction(value) or inspect.isclass(value):
                found[path] = value
            if inspect.isclass(value):
                found |= {f"{path}.{member}": each for member, each in members(value)}
    return found


def members(cls):
    """The public methods and properties of a class, inherited ones too."""
    for name in dir(cls):
        if not name.startswith("_"):
            value = inspect.getattr_static(cls, name, None)  # Python 3.10 finds no `dict.get`
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            if inspect.isfunction(value) or isinstance(value, property):
                yield name, value


NAMES = public_names()


def entries(value, heading):
    """The names that stand in a part of a docstring, as `Args:`."""
    section = rf"^{heading}:\n((?:    .*\n|\n)*)"
    found = re.search(section, (inspect.getdoc(value) or "") + "\n", re.MULTILINE)
    names = ENTRY.findall(found[1]) if found else []
    return [name.lstrip("*") for group in names for name in group.split(", ")]


def test_the_arguments_that_docstrings_describe_exist():
    wrong = [
        f"{path}({name})"
        for path, value in NAMES.items()
        if (described := entries(value, "Args"))
        for name in described
        if name not in inspect.signature(value).parameters
    ]
    assert wrong == []


def test_the_attributes_that_docstrings_describe_exist():
    api = PublicApi()
    wrong = [
        f"{path}.{name}"
        for cls, path in api.described.items()
        for name in entries(cls, "Attributes")
        if name not in api.members(cls) and not any(name in vars(base) for base in cls.__mro__)
    ]
    assert wrong == []


def test_the_errors_that_docstrings_name_exist():
    named = {name: path for path, value in NAMES.items() for name in entries(value, "Raises")}
    assert "LMStudioTimeoutError" in named
    wrong = [f"{path}: {name}" for name, path in named.items() if not is_error(name)]
    assert wrong == []


def is_error(name):
    """Whether a public name, or one of Python's, is an exception."""
    value = getattr(lms, name, None) or getattr(builtins, name, None)
    return inspect.isclass(value) and issubclass(value, BaseException)


@pytest.mark.parametrize("heading", ["Args", "Raises"])
def test_what_is_described_is_found(heading):
    assert entries(lms.start_local, heading)
