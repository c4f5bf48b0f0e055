"""Type hints can be read at run time: frameworks do so with `typing.get_type_hints`."""

import collections.abc
import importlib
import inspect
import pickle
import pkgutil
import typing
from types import FunctionType, ModuleType

import pytest

import lmstudio as lms
from lmstudio._handles.diagnostics import DiagnosticsNamespace
from lmstudio._handles.files import FilesNamespace
from lmstudio._handles.namespaces import EmbeddingNamespace, LlmNamespace
from lmstudio._handles.plugins import PluginsNamespace
from lmstudio._handles.repository import AvailableModel, ModelDownloadOption, RepositoryNamespace
from lmstudio._handles.system import SystemNamespace

# What programs get hold of without naming it.
UNNAMED = [
    LlmNamespace,
    EmbeddingNamespace,
    SystemNamespace,
    RepositoryNamespace,
    FilesNamespace,
    DiagnosticsNamespace,
    PluginsNamespace,
    AvailableModel,
    ModelDownloadOption,
]


def is_class(value):
    return isinstance(value, type) and typing.get_origin(value) is None


def methods_of(cls):
    """The public functions of a class, those of properties and class methods too."""
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        member = getattr(member, "fget", None) or getattr(member, "__func__", member)
        is_ours = isinstance(member, FunctionType) and member.__module__.startswith("lmstudio")
        if is_ours and (name == "__init__" or not name.startswith("_")):
            yield name, member


def functions():
    """Every public function and method, by the name that programs have for it."""
    values = {name: getattr(lms, name) for name in lms.__all__}
    values |= {cls.__name__: cls for cls in UNNAMED}
    for name, value in values.items():
        if isinstance(value, FunctionType):
            yield name, value
        elif is_class(value):
            yield from ((f"{name}.{method}", member) for method, member in methods_of(value))


FUNCTIONS = dict(functions())


def strings_in(hint):
    """What in a type was not evaluated."""
    if isinstance(hint, (str, typing.ForwardRef)):
        return [hint]
    is_literal = typing.get_origin(hint) is typing.Literal
    parts = () if is_literal else typing.get_args(hint)
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return [found for part in flat for found in strings_in(part)]


def test_there_are_functions_and_methods_to_look_at():
    assert len(FUNCTIONS) > 150
    assert {"llm", "LLM.act", "Client.close", "PredictionStream.result"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_type_hints_of_a_public_function_can_be_read(name):
    hints = typing.get_type_hints(FUNCTIONS[name])

    assert [text for hint in hints.values() for text in strings_in(hint)] == []
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters)
    assert set(parameters) - set(hints) <= {"self", "cls"}
    assert "return" in hints


def test_hints_are_the_public_classes_themselves():
    hints = typing.get_type_hints(lms.LLM.respond_many)

    assert typing.get_origin(hints["return"]) is lms.Batch
    assert lms.LlmPredictionConfigDict in typing.get_args(hints["config"])
    hints = typing.get_type_hints(lms.PredictionStream.run_in_background)
    assert typing.get_origin(hints["return"]) is lms.BackgroundCall
    hints = typing.get_type_hints(lms.LLM.act)
    guard, _none = typing.get_args(hints["guard_tool_call"])
    assert typing.get_args(guard) == ([lms.GuardToolCallController], typing.Any)
    limits = typing.get_type_hints(lms.llm)["limits"]
    assert set(typing.get_type_hints(*typing.get_args(limits))) == {
        "cancel_event",
        "timeout",
        "idle_timeout",
    }


def test_results_and_streams_can_be_annotated_with_the_class_of_the_reply():
    class Person:
        pass

    def use(result: lms.PredictionResult[Person], stream: lms.PredictionStream[Person]) -> None:
        pass

    hints = typing.get_type_hints(use)

    assert typing.get_origin(hints["result"]) is lms.PredictionResult
    assert typing.get_origin(hints["stream"]) is lms.PredictionStream
    assert typing.get_args(hints["stream"]) == (Person,)


FUNCTION_NAMES = [name for name in lms.__all__ if isinstance(getattr(lms, name), FunctionType)]


@pytest.mark.parametrize("name", FUNCTION_NAMES)
def test_a_public_function_names_the_package_as_its_module(name):
    function = getattr(lms, name)

    assert (function.__module__, function.__qualname__) == ("lmstudio", name)
    assert pickle.loads(pickle.dumps(function)) is function


def test_dir_shows_public_names_only():
    names = [name for name in dir(lms) if not name.startswith("__")]
    modules = [name for name in names if isinstance(getattr(lms, name), ModuleType)]

    assert set(names) - set(lms.__all__) == set(modules)
    public = {found.name for found in pkgutil.iter_modules(lms.__path__)}
    assert {name for name in public if name[0] != "_"} >= set(modules)
    assert set(lms.__all__) | {"__version__", "__name__", "__doc__"} <= set(dir(lms))


def test_dir_of_the_embedded_server_shows_public_names_only():
    testing = importlib.import_module("lmstudio.testing")
    names = [name for name in dir(testing) if not name.startswith("__")]
    modules = [name for name in names if isinstance(getattr(testing, name), ModuleType)]

    assert set(names) - set(testing.__all__) == set(modules)


def test_aliases_of_arguments_can_be_taken_apart():
    event = typing.get_type_hints(FilesNamespace.prepare_image)["cancel_event"]

    assert type(None) in typing.get_args(event)
    iterables = [typing.get_origin(member) for member in typing.get_args(event)]
    assert collections.abc.Iterable in iterables
