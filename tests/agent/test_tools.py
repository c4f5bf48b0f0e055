"""Definitions of tools: what a model is told of a function, and what cannot be a tool."""

import dataclasses
import functools
import gc
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from agent import official_tools
from agent.tool_classes import Book, Box, Colour, Options, Point

import lmstudio as lms
from lmstudio._agent.tools import prepare_tools
from lmstudio._json.json_schema import json_schema

OFFICIAL = json.loads((Path(__file__).parent / "official_tools.json").read_text("utf-8"))["tools"]
# Where a model is told something else than by the official package, and why.
DIFFERENT = {
    "enums": "classes are put in place: there, references are sent without what they refer to",
    "classes": "likewise",
    "literals": "the order of the choices is the author's; there, they are sorted",
    "described": "a text in Annotated describes the parameter",
    "times": "the format tells a model how to write a time",
    "decimals": "some servers refuse a format that they do not know",
}


def prepare(tool):
    """The one tool that was given, as act() uses it."""
    (prepared,) = prepare_tools([tool]).values()
    return prepared


def told(tool):
    """What a model is told of a tool's parameters."""
    return prepare(tool).definition["function"]["parameters"]


def refusal(*tools):
    """Why tools cannot be offered."""
    with pytest.raises(lms.LMStudioValueError) as caught:
        prepare_tools(tools)
    return str(caught.value)


def add(a: int, b: int = 2) -> int:
    """Add numbers.

    More of it.
    """
    return a + b


ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
    "required": ["a"],
}


class Adder:
    """Adds to a number of its own."""

    def __init__(self, own: int) -> None:
        self.own = own

    def add_to(self, a: int) -> int:
        """Add a number."""
        return self.own + a

    @classmethod
    def make(cls, a: int) -> "Adder":
        """Make one."""
        return cls(a)

    @staticmethod
    def both(a: int, b: int) -> int:
        """Add both."""
        return a + b

    def __call__(self, a: int, context: lms.ToolCallContext) -> int:
        return self.own + a


class Quiet:
    def __call__(self, a: int) -> int:
        """Be called."""
        return a


# ---- from functions ----


def test_a_function_is_told_by_its_name_its_docstring_and_its_annotations():
    assert prepare(add).definition == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add numbers.\n\nMore of it.",
            "parameters": ADD,
        },
    }
    assert prepare(add).implementation is add


@pytest.mark.parametrize(
    ("tool", "name", "names"),
    [
        (Adder(1).add_to, "add_to", ["a"]),
        (Adder.make, "make", ["a"]),
        (Adder.both, "both", ["a", "b"]),
        (functools.partial(add, 1), "add", ["b"]),
        (functools.partial(functools.partial(add, 1), 2), "add", []),
        (functools.lru_cache(add), "add", ["a", "b"]),
    ],
)
def test_methods_and_partial_functions_are_told_without_what_they_have_already(tool, name, names):
    assert prepare(tool).name == name
    assert list(told(tool)["properties"]) == names


def test_an_argument_of_a_partial_function_is_a_default():
    tool = functools.partial(add, a=5)
    assert told(tool)["properties"]["a"] == {"type": "integer", "default": 5}
    assert tool(**prepare(tool).read({})) == 7


def test_an_object_that_can_be_called_needs_a_name():
    assert "from_callable(f, name=...)" in refusal(Adder(1))
    tool = lms.ToolFunctionDef.from_callable(Adder(1), name="adder")
    assert tool.description == "Adds to a number of its own."
    assert told(tool)["required"] == ["a"]
    assert prepare(tool).context_parameter == "context"
    assert lms.ToolFunctionDef.from_callable(Quiet(), name="q").description == "Be called."


def test_a_decorated_function_is_told_like_the_function_inside():
    def decorated(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    assert prepare(decorated(add)).definition == prepare(add).definition


def test_what_a_decorator_has_copied_by_hand_tells_of_the_function_inside():
    def wrapper(*args, **kwargs):
        return add(*args, **kwargs)

    wrapper.__name__, wrapper.__doc__ = "add", add.__doc__
    wrapper.__annotations__ = add.__annotations__
    assert told(wrapper)["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer"}}
    assert prepare(wrapper).read({"a": "1", "b": 2}) == {"a": 1, "b": 2}


def noted(function):
    """Decorate, as programs do that count or log."""

    @functools.wraps(function)
    def inside(*args, **kwargs):
        return function(*args, **kwargs)

    return inside


def test_only_what_was_copied_by_hand_is_added_to_what_a_function_takes():
    def search(query: str, limit: int = 5, **options):
        """Search."""

    class Searcher:
        """Search."""

        limit: int = 5

        def __init__(self, query: str, **options):
            pass

        def search(self: "Searcher", query: str, **options):
            """Search."""

        @noted
        def find(self: "Searcher", query: str, **options):
            """Search."""

    def wrapper(*args, **kwargs):
        return search(*args, **kwargs)

    wrapper.__name__, wrapper.__doc__ = "search", search.__doc__
    wrapper.__annotations__ = search.__annotations__
    assert list(told(functools.cache(wrapper))["properties"]) == ["query", "limit"]
    known = functools.partial(wrapper, limit=1)
    known.__name__, known.__doc__ = "search", search.__doc__
    assert list(told(known)["properties"]) == ["query"]
    given = functools.partial(search, "in English")
    given.__name__, given.__doc__ = "search", search.__doc__
    assert list(told(given)["properties"]) == ["limit"]
    assert list(told(Searcher)["properties"]) == ["query"]
    assert list(told(Searcher("a").search)["properties"]) == ["query"]
    assert list(told(Searcher("a").find)["properties"]) == ["query"]


def test_beside_keywords_annotations_need_not_all_be_known_at_run_time():
    lazy = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"
    namespace: dict[str, Any] = {}
    exec(f'{lazy}def note(text: str, **more) -> OnlyForTyping:\n    """Note it."""', namespace)

    assert told(namespace["note"])["properties"] == {"text": {"type": "string"}}


def test_what_a_function_takes_beyond_its_named_parameters_is_not_told():
    def note(text: str, *parts: int, **more):
        """Note it."""

    assert list(told(note)["properties"]) == ["text"]


def test_a_parameter_without_an_annotation_takes_anything():
    def now(zone, style="short"):
        """Tell the time."""

    assert told(now)["properties"] == {"zone": {}, "style": {"default": "short"}}
    assert told(now)["required"] == ["zone"]
    assert prepare(now).read({"zone": ["Oslo"]}) == {"zone": ["Oslo"], "style": "short"}


def test_a_definition_may_be_derived_as_a_dataclass():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Titled(lms.ToolFunctionDef):
        title: str

    tool = Titled(**BY_HAND, title="Adds")
    assert dataclasses.replace(tool, name="plus").name == "plus"
    assert prepare(tool).definition == prepare(lms.ToolFunctionDef(**BY_HAND)).definition


def test_a_definition_need_not_say_what_the_tool_does():
    described = prepare(lms.ToolFunctionDef(**{**BY_HAND, "description": None}))
    assert described.definition["function"]["description"] == ""


def test_annotations_may_be_lazy():
    namespace: dict[str, Any] = {}
    source = (
        "from __future__ import annotations\n"
        "import lmstudio\n"
        "def tool(a: int, context: lmstudio.ToolCallContext, b: list[str] | None = None):\n"
        "    'Do it.'\n"
    )
    exec(compile(source, "lazy", "exec", dont_inherit=True), namespace)
    assert told(namespace["tool"])["properties"]["a"] == {"type": "integer"}
    assert list(told(namespace["tool"])["properties"]) == ["a", "b"]
    assert prepare(namespace["tool"]).context_parameter == "context"


def test_name_and_description_may_be_given():
    tool = lms.ToolFunctionDef.from_callable(lambda: 1, name="one", description="  Give 1.\n  Ok.")
    assert prepare(tool).definition["function"]["name"] == "one"
    assert prepare(tool).definition["function"]["description"] == "Give 1.\nOk."
    assert told(tool) == {"type": "object", "properties": {}, "required": []}


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (Annotated[int, "How many."], {"type": "integer", "description": "How many."}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Colour, {"title": "Colour", "enum": ["red", "blue"]}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (Any, {}),
    ],
)
def test_the_type_of_a_parameter_becomes_its_schema(tp, schema):
    assert told(lms.ToolFunctionDef(**{**BY_HAND, "parameters": {"a": tp}})) == {
        "type": "object",
        "properties": {"a": schema},
        "required": ["a"],
    }


@pytest.mark.parametrize("cls", [Point, Box, Options, Book])
def test_a_class_is_put_in_place_as_it_is_for_a_structured_reply(cls):
    tool = lms.ToolFunctionDef(**{**BY_HAND, "parameters": {"a": cls, "b": list[cls]}})
    schema = json_schema(cls)
    assert told(tool)["properties"] == {"a": schema, "b": {"type": "array", "items": schema}}


def test_a_recursive_pydantic_model_is_told_with_its_definitions():
    pydantic = pytest.importorskip("pydantic")

    class Node(pydantic.BaseModel):
        value: int
        more: "list[Node]" = []  # noqa: RUF012 (pydantic copies it)

    tool = prepare(lms.ToolFunctionDef(**{**BY_HAND, "parameters": {"node": Node}}))
    assert list(tool.definition["function"]["parameters"]["$defs"]) == ["Node"]
    read = tool.read({"node": {"value": 1, "more": [{"value": 2}]}})
    assert read == {"node": Node(value=1, more=[Node(value=2)])}


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        (None, None),
        ([1, 2], [1, 2]),
        ({}, {}),
        (Colour.BLUE, "blue"),
        (Point(1.0), {"x": 1.0, "y": 0.0}),
        ((), []),
    ],
)
def test_a_default_is_told_as_json(default, shown):
    parameters = {"a": {"type": Any, "default": default}}
    tool = lms.ToolFunctionDef(**{**BY_HAND, "parameters": parameters})
    assert told(tool) == {
        "type": "object",
        "properties": {"a": {"default": shown}},
        "required": [],
    }
    assert prepare(tool).read({}) == {"a": default}


@pytest.mark.parametrize("default", [math.nan, math.inf, object(), print, b"x"])
def test_a_default_without_a_form_in_json_is_not_told_but_used(default):
    parameters = {"a": {"type": Any, "default": default}}
    tool = lms.ToolFunctionDef(**{**BY_HAND, "parameters": parameters})
    assert told(tool) == {"type": "object", "properties": {"a": {}}, "required": []}
    assert prepare(tool).read({})["a"] is default


def test_each_call_gets_a_default_list_of_its_own():
    parameters = {"a": {"type": list[int], "default": [1]}}
    tool = prepare(lms.ToolFunctionDef(**{**BY_HAND, "parameters": parameters}))
    tool.read({})["a"].append(2)
    assert tool.read({}) == {"a": [1]}


# ---- described by hand ----

BY_HAND = {
    "name": "tool",
    "description": "Do it.",
    "parameters": {"a": int, "b": {"type": int, "default": 2}},
    "implementation": lambda **arguments: arguments,
}


@pytest.mark.parametrize("form", [dict, lambda entries: lms.ToolFunctionDef(**entries)])
def test_a_definition_may_be_an_object_or_a_dict(form):
    assert told(form(BY_HAND.items()) if form is dict else form(BY_HAND)) == ADD


def test_a_parameter_may_have_a_name_that_python_keeps_for_itself():
    names = ("from", "class", "self", "_x", "__y", "None")
    tool = prepare({**BY_HAND, "parameters": dict.fromkeys(names, int)})
    arguments = dict(zip(names, range(6), strict=True))
    assert tool.implementation(**tool.read(arguments)) == arguments


def test_tools_that_are_offered_again_and_again_fill_no_memory():
    for _ in range(600):
        prepare(add).read({"a": 1})
    gc.collect()
    kept = [
        one for one in gc.get_objects() if isinstance(one, type) and one.__name__ == "parameters"
    ]
    assert len(kept) <= 256  # a cache of that size


def test_a_tool_may_have_any_name():
    names = ("search-web", "search.web", 'a "b"\n', "Datei öffnen", "class")
    tools = prepare_tools({**BY_HAND, "name": name} for name in names)
    assert tuple(tools) == names
    for tool in tools.values():
        assert tool.read({"a": 1}) == {"a": 1, "b": 2}


@pytest.mark.parametrize("form", [dict, lambda **entries: lms.RawFunctionTool(**entries)])
def test_a_raw_tool_is_told_by_its_schema_and_gets_what_fits_it(form):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 1}
    raw = {key: BY_HAND[key] for key in ("name", "description", "implementation")}
    tool = prepare(form(**raw, parameters_json_schema=schema))
    assert tool.definition["function"]["parameters"] == schema
    assert tool.read({"a": 1, "z": None}) == {"a": 1, "z": None}
    with pytest.raises(lms.LMStudioValueError, match=r"^a: expected integer, got 'x'$"):
        tool.read({"a": "x", "z": None})
    with pytest.raises(lms.LMStudioValueError, match="expected at least 1 properties, got 0"):
        tool.read(None)
    with pytest.raises(lms.LMStudioValueError, match="expected an object with arguments"):
        tool.read([1])


def test_a_raw_tool_without_parameters_still_describes_an_object():
    raw = {key: BY_HAND[key] for key in ("name", "description", "implementation")}
    assert told({**raw, "parameters_json_schema": {}}) == {"type": "object", "properties": {}}


# ---- the context ----


def with_context(a: int, context: lms.ToolCallContext, b: int = 2):
    """Do it."""


def with_optional_context(a: int, context: lms.ToolCallContext | None = None, b: int = 2):
    """Do it."""


def with_noted_context(a: int, *, context: Annotated[lms.ToolCallContext, "x"], b: int = 2):
    """Do it."""


@pytest.mark.parametrize("function", [with_context, with_optional_context, with_noted_context])
def test_a_model_does_not_see_the_context_and_cannot_give_it(function):
    unlisted = {**BY_HAND, "implementation": function}
    listed = {**unlisted, "parameters": {**BY_HAND["parameters"], "context": lms.ToolCallContext}}
    by_type = {**listed, "implementation": lambda **arguments: None}
    for tool in (function, unlisted, listed, by_type, lms.ToolFunctionDef(**unlisted)):
        assert told(tool) == ADD
        assert prepare(tool).context_parameter == "context"
        assert prepare(tool).read({"a": 1, "context": 5}) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "implementation", [Adder(1), functools.partial(Adder(1), a=3), functools.partial(with_context)]
)
def test_a_raw_tool_may_be_any_callable_that_asks_for_the_context(implementation):
    raw = {"name": "tool", "description": "Do it.", "parameters_json_schema": {}}
    assert prepare({**raw, "implementation": implementation}).context_parameter == "context"


def test_an_implementation_whose_annotations_cannot_be_read_is_taken_without_a_context():
    def odd(a: "Unknown"):  # noqa: F821
        pass

    tool = prepare({**BY_HAND, "implementation": odd, "parameters": {"a": int}})
    assert tool.context_parameter is None


# ---- compared with the official package ----


@pytest.mark.parametrize("function", official_tools.FUNCTIONS, ids=lambda f: f.__name__)
def test_a_model_is_told_the_same_as_by_the_official_package(function):
    tool = lms.ToolFunctionDef.from_callable(function, description="Do it.")
    is_equal = told(tool) == OFFICIAL[function.__name__]
    assert is_equal == (function.__name__ not in DIFFERENT)


def test_what_a_model_is_told_is_what_is_sent(server, client):
    client.llm.model().act("Hi", [add, with_context, {**BY_HAND, "name": "third"}])
    sent = server.predictions[0].config["llm.prediction.tools"]
    assert sent["type"] == "toolArray"
    assert sent["tools"] == [
        prepare(add).definition,
        prepare(with_context).definition,
        prepare({**BY_HAND, "name": "third"}).definition,
    ]
