"""The public names of the embedded server: where they say they are from, and their annotations."""

import ast
import inspect
import pickle
import typing

import attrs
import pytest

import lmstudio as lms
from lmstudio import testing
from lmstudio.testing import Finish, Model, Reply, Server, Token, ToolCall

CLASSES = [one for one in (getattr(testing, n) for n in testing.__all__) if isinstance(one, type)]


def public_functions(cls):
    """What a user may call on a class: its methods and properties, and how it is made."""
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            yield function


def test_what_type_checkers_see_is_what_is_imported():
    body = ast.parse(inspect.getsource(testing)).body
    (static, _) = [node for node in body if isinstance(node, ast.If)]  # and __getattr__
    assert {
        node.module: [alias.name for alias in node.names] for node in static.body
    } == testing._HOMES
    assert sorted(testing._HOME) == testing.__all__
    assert set(testing.__all__) <= set(dir(testing))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_public_class_says_its_public_path(cls):
    assert repr(cls) == f"<class 'lmstudio.testing.{cls.__name__}'>"
    assert getattr(testing, cls.__name__) is cls


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_annotations_can_be_resolved(cls):
    hints = typing.get_type_hints(cls)
    if attrs.has(cls):
        attrs.resolve_types(cls)
        assert [field.type for field in attrs.fields(cls)] == list(hints.values())
    functions = list(public_functions(cls))
    assert functions
    for function in functions:
        assert "return" in typing.get_type_hints(function), function


@pytest.mark.parametrize(
    "value",
    [Model(key="mine"), Token("a"), ToolCall("add", {"a": 1}), Finish(), Reply(tokens=("a", "b"))],
    ids=lambda value: type(value).__name__,
)
def test_a_pickle_names_the_public_path(value):
    data = pickle.dumps(value)
    assert b"lmstudio.testing" in data and b"_engines" not in data
    assert pickle.loads(data) == value


def test_a_client_takes_the_host_of_a_server():
    with Server() as server, lms.Client(server.api_host) as client:
        assert client.list_loaded_models()
        assert server.host == server.api_host == f"127.0.0.1:{server.port}"
